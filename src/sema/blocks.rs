//! Uses of layers, blocks and shared bodies, and auxiliary heads.

use super::apply::Site;
use super::args::{Callee, Formal};
use super::build::Flowing;
use super::limits::{MAX_CALLS, MAX_SHARED};
use super::names::Segment;
use super::report::Use;
use super::scope::{Env, Scope};
use super::value::{EvArg, LayerValue, Target, Value};
use super::{Aux, Elab, Mode, SharedBody};
use crate::diag::{Span, codes};
use crate::ir::ValueId;
use crate::syntax::ast::{Args, Block, Body, Shared};

impl<'a> Elab<'a> {
    /// Applies a layer value.
    pub(super) fn apply(
        &mut self,
        layer: &LayerValue<'a>,
        span: Span,
        label: Option<String>,
        input: Flowing,
    ) -> Flowing {
        let value = self.need(input, span);
        let args = layer.args.as_deref().unwrap_or_default();
        let segment = |elab: &Self, kind: &str, weighted: bool| match label {
            Some(label) => Segment::labelled(label),
            None if weighted => elab.names.ordinal(kind),
            None => elab.names.plain(kind),
        };
        match layer.target {
            Target::Id => input,
            Target::Builtin(builtin) => {
                let segment = segment(self, builtin.name, builtin.kind.has_weights());
                let written: Vec<(Option<&str>, Span)> = args
                    .iter()
                    .map(|arg| (arg.name.map(|name| name.text.as_str()), arg.value_span))
                    .collect();
                let site = Site {
                    layer: builtin.name,
                    span,
                    segment: &segment,
                    input: value,
                    args: &written,
                };
                let output = self.apply_builtin(builtin, args, site);
                self.names.close(segment);
                // Behind an error in its attributes the sizes are known all the same.
                Flowing::of(output.or(value.filter(|_| builtin.kind.keeps_shape())))
            }
            Target::Block(block) => {
                let segment = segment(self, &block.name.text, true);
                let output = self.use_block(block, args, span, &segment, value);
                self.names.close(segment);
                Flowing::of(output)
            }
            Target::Shared(index) => Flowing::of(self.use_shared(index, span, value)),
        }
    }

    fn use_block(
        &mut self,
        block: &'a Block,
        args: &[EvArg<'a>],
        span: Span,
        segment: &Segment,
        input: Option<ValueId>,
    ) -> Option<ValueId> {
        let callee = Callee {
            name: &block.name.text,
            declared: Some(block.name.span),
            span,
        };
        let env = Scope::block(input);
        // Defaults belong to the block; what is wrong with the arguments belongs to its user.
        self.bind_params(&env, callee, &block.params, args)?;
        self.check_path(segment.text(), span)?;
        self.enter(("block", &block.name.text), span, input)?;
        if self.blocks_seen.insert(block.name.span) {
            self.used_blocks.push(block);
        }
        self.names.enter(segment.text());
        self.learned.enter_block(span, block.name.span);
        let output = self.stmts(&env, &block.body, Flowing::of(input));
        self.learned.leave();
        self.names.leave();
        self.leave();
        output.tensor()
    }

    /// Notes that a block or a shared body is being expanded.
    fn enter(
        &mut self,
        (what, name): (&'static str, &str),
        span: Span,
        input: Option<ValueId>,
    ) -> Option<()> {
        if self.calls >= MAX_CALLS {
            let message = format!(
                "functions and blocks are used inside of one another more than {MAX_CALLS} deep"
            );
            self.stop(
                codes::TOO_DEEP_CALLS,
                message,
                span,
                "a block that uses itself must have an end, as an `if`",
            );
            return None;
        }
        self.calls += 1;
        let input = input.map(|input| self.builder.graph().dims(input).to_vec());
        self.uses.push(Use {
            what,
            name: name.to_owned(),
            span,
            input,
        });
        Some(())
    }

    fn leave(&mut self) {
        self.calls -= 1;
        self.uses.pop();
    }

    /// `shared NAME { … }`
    pub(super) fn shared(&mut self, env: &Env<'a>, shared: &'a Shared) {
        let name = &shared.name.text;
        let segment = self.take_shared(name, shared.name.span);
        let path = self.names.path(&segment);
        let index = self.shared.len();
        if index >= MAX_SHARED {
            let message = format!("the net has more than {MAX_SHARED} shared bodies");
            let help = "a shared body stands in front of a loop, unless each round has its own";
            self.stop(codes::TOO_LARGE_NET, message, shared.name.span, help);
            return;
        }
        self.shared.push(SharedBody {
            name,
            body: &shared.body,
            env: env.clone(),
            path,
            frames: self.learned.frames.clone(),
        });
        let value = Value::Layer(
            LayerValue {
                target: Target::Shared(index),
                args: None,
            }
            .into(),
        );
        self.declare(env, &shared.name, value);
    }

    fn use_shared(&mut self, index: usize, span: Span, input: Option<ValueId>) -> Option<ValueId> {
        let SharedBody {
            name,
            body,
            env,
            path,
            frames,
        } = self.shared[index].clone();
        self.enter(("shared body", name), span, input)?;
        self.names.enter_shared(path);
        let outside = std::mem::replace(&mut self.learned.frames, frames);
        self.learned.enter(body.span, 0);
        let output = self.body(&env, body, Flowing::of(input));
        self.learned.frames = outside;
        self.names.leave();
        self.leave();
        output.tensor()
    }

    /// `aux(weight = 0.3) { … }`: a head that exists only in training.
    pub(super) fn aux(
        &mut self,
        env: &Env<'a>,
        (args, body): (Option<&'a Args>, &'a Body),
        label: Option<String>,
        span: Span,
        input: Flowing,
    ) {
        let formal = Formal {
            name: "weight",
            required: true,
            positional: true,
            words: &[],
        };
        let args = self.eval_args(env, args, &[formal]);
        let callee = Callee {
            name: "aux",
            declared: None,
            span,
        };
        let weight = self.bind(callee, &[formal], &args).and_then(|bound| {
            let arg = &args[bound[0]?];
            self.number_within(
                &arg.value,
                "the weight of an auxiliary head",
                0.0,
                f64::INFINITY,
                arg.value_span,
            )
        });
        self.auxes += 1;
        if self.mode == Mode::Infer {
            return;
        }
        let segment = label.unwrap_or_else(|| format!("aux{}", self.auxes));
        self.names.enter(&segment);
        let name = self.names.path("");
        let input = Flowing::of(self.need(input, span));
        let output = self.body(env, body, input);
        self.names.leave();
        if let (Some(weight), Some(value)) = (weight, output.tensor()) {
            if let Some(earlier) = self.outputs.insert(name.clone(), span) {
                self.duplicate(&name, span, earlier);
                return;
            }
            self.builder.output(&name, value);
            self.aux.push(Aux {
                output: name,
                weight,
            });
        }
    }
}
