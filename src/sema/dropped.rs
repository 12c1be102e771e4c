//! Values that are made and lost: a chain that starts somewhere else drops what flowed so far, and what flows behind the
//! last `output` leaves the net nowhere.

use std::collections::BTreeSet;

use super::build::Flowing;
use super::scope::Env;
use super::value::{Target, Value};
use super::{Elab, Mode};
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::ValueId;
use crate::syntax::ast::{Element, ElementKind, Stmt};

/// The statements that made what flows, as long as it has no name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    place: Option<Span>,
    /// Whether the next statement stands right behind them.
    extends: bool,
}

/// A value that nothing further down can reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped {
    place: Span,
    value: ValueId,
    /// Whether it is the end of the net.
    is_tail: bool,
}

impl<'a> Elab<'a> {
    /// Notes what a statement loses of the value that flows into it.
    pub(super) fn before(
        &mut self,
        env: &Env<'a>,
        stmt: &'a Stmt,
        pending: &mut Pending,
        current: Flowing,
    ) {
        let starts = match stmt {
            Stmt::Input(_) => true,
            Stmt::Flow(flow) => flow.chain.first().is_some_and(|first| match &first.kind {
                ElementKind::In => true,
                ElementKind::Call(call) => {
                    let bound = env.find(&call.name.text);
                    call.args.is_none() && matches!(bound, Some((Value::Tensor(_), _)))
                }
                _ => false,
            }),
            Stmt::Output(_) | Stmt::Let(_) | Stmt::Shared(_) | Stmt::Broken(_) => false,
        };
        if starts {
            self.drop_value(std::mem::take(pending), current, false);
        }
        match stmt {
            // A head hands on what it was given.
            Stmt::Flow(flow)
                if flow.name.is_none()
                    && flow
                        .chain
                        .iter()
                        .all(|one| matches!(one.kind, ElementKind::Aux(..))) =>
            {
                pending.extends = false;
            }
            Stmt::Flow(flow) if flow.name.is_none() => {
                let place = match pending.place.filter(|_| pending.extends) {
                    Some(earlier) => earlier.to(flow.span),
                    None => flow.span,
                };
                *pending = Pending {
                    place: Some(place),
                    extends: true,
                };
            }
            Stmt::Let(_) | Stmt::Shared(_) => pending.extends = false,
            Stmt::Flow(_) | Stmt::Output(_) | Stmt::Input(_) | Stmt::Broken(_) => {
                *pending = Pending::default();
            }
        }
    }

    /// Notes a value that is lost, unless something has read it.
    pub(super) fn drop_value(&mut self, pending: Pending, value: Flowing, is_tail: bool) {
        if let (Some(place), Flowing::Tensor(value)) = (pending.place, value) {
            self.dropped.push(Dropped {
                place,
                value,
                is_tail,
            });
        }
    }

    /// Warns of what was made and is read by nothing. In use the heads are missing that may read it in training.
    pub(super) fn unread(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if self.mode != Mode::Train || dropped.is_empty() {
            return;
        }
        let graph = self.builder.graph();
        let mut read: BTreeSet<ValueId> = graph.outputs.iter().map(|output| output.value).collect();
        for (_, node) in graph.nodes.iter() {
            read.extend(node.inputs.iter().copied());
        }
        // In another round of a loop, or another use of a block, the value of the same statements may be read.
        let useful: BTreeSet<Span> = dropped
            .iter()
            .filter(|dropped| read.contains(&dropped.value))
            .map(|dropped| dropped.place)
            .collect();
        let mut told = BTreeSet::new();
        for dropped in dropped {
            if useful.contains(&dropped.place) || !told.insert(dropped.place) {
                continue;
            }
            let message = "what is computed here is never used";
            let diagnostic = Diagnostic::warning(codes::UNUSED, message).primary(dropped.place, "");
            let help = if dropped.is_tail {
                "or make it an output too, as in `output NAME`"
            } else {
                "or name it, as in `as side`, and join it with what follows: the next chain starts from another value"
            };
            let diagnostic = diagnostic.edit("remove it", dropped.place, "").help(help);
            self.unused.push(diagnostic);
        }
    }

    /// Warns of a label of something that has no weights of its own.
    pub(super) fn label_without_use(&mut self, env: &Env<'a>, element: &'a Element) {
        let Some(label) = &element.label else { return };
        let why = match &element.kind {
            ElementKind::Id | ElementKind::In => "`id` and `in` have no weights",
            ElementKind::Call(call) => match env.find(&call.name.text) {
                Some((Value::Tensor(_), _)) => "a value has no weights",
                Some((Value::Layer(layer), _)) if matches!(layer.target, Target::Shared(_)) => {
                    "weights of a shared body are called after the body, whatever uses it"
                }
                _ => return,
            },
            _ => return,
        };
        let place = Span {
            end: element.span.start,
            ..label.span
        };
        let diagnostic = Diagnostic::warning(codes::UNUSED, "this label names nothing")
            .primary(label.span, "")
            .note(why);
        self.report(diagnostic.edit("remove it", place, ""));
    }
}
