//! What leaves a net, and whether the losses of its `train` section fit it.

use super::build::Flowing;
use super::report::{quoted, suggest};
use super::{Elab, Loss, Mode, OutputLoss, TrainConfig};
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::ValueId;
use crate::ops::{Op, Pointwise};
use crate::syntax::ast::{Net, Output};

/// What the training calls what it makes small, and what it holds the only output against.
const LOSS: &str = "loss";
const TARGET: &str = "target";

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
        self.check_taken_names(train);
        let mut judged: Vec<(ValueId, Span)> = Vec::new();
        for loss in &train.losses {
            let Some(value) = self.loss_output(loss) else {
                continue;
            };
            if let Some(&(_, earlier)) = judged.iter().find(|(known, _)| *known == value) {
                let message = "an output has two losses";
                let diagnostic = Diagnostic::error(codes::LOSS_OUTPUT, message)
                    .primary(loss.span, "second loss")
                    .secondary(earlier, "first loss");
                self.report(
                    diagnostic.help("give the net an output for each, as in `output NAME`"),
                );
                continue;
            }
            judged.push((value, loss.span));
            self.check_squashed(loss, value);
            self.check_classes(loss, value);
            self.check_class_weights(loss, value);
        }
        if let Some(&(main, span)) = judged.first() {
            self.check_heads(main, span);
        }
    }

    /// The training adds an output and an input of its own.
    fn check_taken_names(&mut self, train: &TrainConfig) {
        let output = self.outputs.get(LOSS).copied();
        let is_input = self.inputs.iter().any(|input| input.name == TARGET);
        let input = is_input.then_some(train.span);
        let what = [("output", LOSS, output), ("input", TARGET, input)];
        for (what, name, span) in what {
            let Some(span) = span else { continue };
            let message = format!("a net that is trained cannot have an {what} `{name}`");
            let diagnostic = Diagnostic::error(codes::LOSS_OUTPUT, message).primary(span, "");
            self.report(diagnostic.help(format!(
                "the training calls its own {what} so; choose another name"
            )));
        }
    }

    /// Auxiliary heads share the target of the first loss.
    fn check_heads(&mut self, main: ValueId, span: Span) {
        let graph = self.builder.graph();
        let wanted = graph.dims(main).to_vec();
        let heads = self.aux.iter();
        let heads = heads.filter_map(|aux| Some((aux.output.clone(), graph.output(&aux.output)?)));
        let misfits: Vec<(String, ValueId)> = heads
            .filter(|(_, value)| graph.dims(*value) != wanted)
            .collect();
        for (name, value) in misfits {
            let found = self.builder.graph().dims(value);
            let message = format!(
                "the head `{name}` is {found:?} and the output {wanted:?}, but they share a target"
            );
            let mut diagnostic = Diagnostic::error(codes::LOSS_OUTPUT, message).primary(span, "");
            for value in [value, main] {
                if let Some(fact) = self.facts.get(&value) {
                    diagnostic = diagnostic.secondary(fact.span, self.shown(value));
                }
            }
            self.report(diagnostic.help("end both with the same number of values"));
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
        if !self.gap && !self.diagnostics.iter().any(Diagnostic::is_error) {
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

    /// A loss on logits applies the softmax or sigmoid by itself.
    fn check_squashed(&mut self, loss: &OutputLoss, value: ValueId) {
        let graph = self.builder.graph();
        let Some(producer) = graph.producer(value) else {
            return;
        };
        let layer = match (&graph.nodes[producer].op, &loss.loss) {
            (Op::Softmax, Loss::CrossEntropy { .. } | Loss::BinaryCrossEntropy) => "softmax",
            (
                Op::Pointwise(Pointwise::Sigmoid),
                Loss::CrossEntropy { .. } | Loss::BinaryCrossEntropy,
            ) => "sigmoid",
            _ => return,
        };
        let Some(fact) = self.facts.get(&value) else {
            return;
        };
        let (name, again) = match (layer, &loss.loss) {
            ("softmax", Loss::CrossEntropy { .. }) | ("sigmoid", Loss::BinaryCrossEntropy) => {
                (loss.loss.name(), "applies it again")
            }
            ("softmax", _) => (loss.loss.name(), "applies a sigmoid to its results"),
            _ => (loss.loss.name(), "applies a softmax to its results"),
        };
        let message = format!("`{layer}` stands before `loss {name}`, which {again}");
        let diagnostic =
            Diagnostic::warning(codes::SOFTMAX_LOSS, message).primary(fact.span, "remove this");
        let diagnostic = diagnostic.secondary(
            loss.span,
            format!("this loss works on the values in front of the {layer}"),
        );
        self.report(diagnostic.help(match loss.loss {
            Loss::BinaryCrossEntropy => {
                "train without it; an answer is yes where the value is above 0"
            }
            _ => "train without it; the largest value is the same class",
        }));
    }

    /// There is one weight a class.
    fn check_class_weights(&mut self, loss: &OutputLoss, value: ValueId) {
        let Loss::CrossEntropy {
            class_weights: Some(weights),
            ..
        } = &loss.loss
        else {
            return;
        };
        let &[classes] = self.builder.graph().dims(value) else {
            return;
        };
        if weights.len() == classes {
            return;
        }
        let message = format!(
            "`class_weights` has {} numbers, but the output has {classes} classes",
            weights.len()
        );
        let mut diagnostic = Diagnostic::error(codes::LOSS_OUTPUT, message).primary(loss.span, "");
        if let Some(fact) = self.facts.get(&value) {
            diagnostic = diagnostic.secondary(fact.span, self.shown(value));
        }
        self.report(diagnostic.help("write one number for each class, in the order of the labels"));
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
