//! What leaves a net, and whether the losses of its `train` section fit it.

use super::build::Flowing;
use super::report::{quoted, suggest};
use super::{Elab, Mode, OutputLoss, TrainConfig};
use crate::diag::{Diagnostic, codes};
use crate::ir::ValueId;
use crate::ops::Op;
use crate::syntax::ast::{Net, Output};

/// The name of the only output.
const OUTPUT: &str = "output";

impl<'a> Elab<'a> {
    /// `output NAME`
    pub(super) fn output(&mut self, output: &'a Output, current: Flowing) {
        let name = &output.name.text;
        let Flowing::Tensor(value) = current else {
            if current == Flowing::Nothing {
                let diagnostic =
                    Diagnostic::error(codes::NO_INPUT, "there is no value to be an output");
                self.report(diagnostic.primary(output.span, ""));
            }
            return;
        };
        if let Some(earlier) = self.outputs.insert(name.clone(), output.span) {
            self.duplicate(name, output.span, earlier);
            return;
        }
        self.builder.output(name, value);
    }

    /// What flows out of the net's end is its output, unless it names others.
    pub(super) fn last_output(&mut self, net: &'a Net, output: Flowing) {
        match output {
            Flowing::Nothing => {
                let diagnostic = Diagnostic::error(
                    codes::NO_INPUT,
                    format!("the net `{}` has no input", net.name.text),
                );
                let diagnostic = diagnostic.primary(net.name.span, "");
                self.report(diagnostic.help("declare it first, as in `input [3, 224, 224]`"));
            }
            Flowing::Tensor(value) => {
                let auxes = self.aux.len();
                if self.builder.graph().outputs.len() == auxes {
                    self.builder.output(OUTPUT, value);
                }
            }
            Flowing::Unknown => {}
        }
    }

    /// What a `train` section says about outputs must fit the net.
    pub(super) fn check_outputs(&mut self, train: &TrainConfig) {
        for loss in &train.losses {
            if let Some(value) = self.loss_output(loss) {
                self.check_softmax(loss, value);
                self.check_classes(loss, value);
            }
        }
    }

    /// The output that a loss is for.
    fn loss_output(&mut self, loss: &OutputLoss) -> Option<ValueId> {
        let graph = self.builder.graph();
        let heads = graph.outputs.iter().map(|output| output.name.as_str());
        let heads: Vec<&str> = heads
            .filter(|name| !self.aux.iter().any(|aux| aux.output == *name))
            .collect();
        let name = match (&loss.output, heads.as_slice()) {
            (Some(name), _) => name.as_str(),
            (None, [name]) => name,
            // The error that left the net without an output has been reported.
            (None, []) => return None,
            (None, [first, ..]) => {
                let message = format!(
                    "the net has {} outputs, and this loss does not say which it is for",
                    heads.len()
                );
                let diagnostic =
                    Diagnostic::error(codes::LOSS_OUTPUT, message).primary(loss.span, "");
                let help = format!("name it, as in `loss {first} = cross_entropy`");
                self.report(diagnostic.help(help));
                return None;
            }
        };
        if let Some(value) = graph.output(name) {
            return Some(value);
        }
        // After an error the output may be missing for another reason.
        if !self.diagnostics.iter().any(Diagnostic::is_error) {
            let diagnostic = Diagnostic::error(
                codes::LOSS_OUTPUT,
                format!("the net has no output `{name}`"),
            );
            let help = match suggest(name, heads.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "its outputs are {}",
                    heads.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
                ),
            };
            self.report(diagnostic.primary(loss.span, "").help(help));
        }
        None
    }

    fn check_softmax(&mut self, loss: &OutputLoss, value: ValueId) {
        let graph = self.builder.graph();
        let softmax = graph
            .producer(value)
            .is_some_and(|node| graph.nodes[node].op == Op::Softmax);
        let Some(fact) = self
            .facts
            .get(&value)
            .filter(|_| softmax && loss.is_cross_entropy())
        else {
            return;
        };
        let message = "`softmax` stands before `loss cross_entropy`, which applies it again";
        let diagnostic =
            Diagnostic::warning(codes::SOFTMAX_LOSS, message).primary(fact.span, "remove this");
        let diagnostic = diagnostic.secondary(
            loss.span,
            "this loss works on the values in front of the softmax",
        );
        self.report(diagnostic.help("train without it; the largest value is the same class"));
    }

    fn check_classes(&mut self, loss: &OutputLoss, value: ValueId) {
        let dims = self.builder.graph().dims(value);
        if self.mode == Mode::Infer || !loss.is_cross_entropy() || dims.len() == 1 {
            return;
        }
        let message = format!("`cross_entropy` wants a vector of one value a class, not {dims:?}");
        let mut diagnostic = Diagnostic::error(codes::LOSS_OUTPUT, message).primary(loss.span, "");
        if let Some(fact) = self.facts.get(&value) {
            diagnostic = diagnostic.secondary(fact.span, self.shown(value));
        }
        self.report(
            diagnostic.help("end the net with `global_avgpool` or `flatten -> dense(classes)`"),
        );
    }
}
