//! Losses as graph nodes: what an output is held against, and how far it is from that.
//!
//! All are PyTorch's with `reduction="mean"`. With o an output, t its target, N the images of a batch
//! and M the elements of the output for one of them:
//!
//! ```text
//! cross-entropy          Σ loss(n) / N, or with class weights w  Σ loss(n) / Σ w[t(n)]
//! mean squared error     Σ (o - t)² / (N M)
//! mean absolute error    Σ |o - t| / (N M)                              slope 0 at o = t
//! Huber                  Σ h(o - t) / (N M), h(d) = d² / 2 where |d| ≤ delta,
//!                                            else delta · (|d| - delta / 2)
//! binary cross-entropy   Σ (max(o, 0) - o t + ln(1 + e^-|o|)) / (N M)   o being a logit
//! ```
//!
//! The cross-entropy of an image, with its label smoothing and class weights, is
//! [`crate::ops::loss`]'s. Where every label of a batch has weight 0, the loss is 0. Huber 1964, with
//! delta as in `nn.HuberLoss`.

use crate::ir::{Builder, Graph, Shape, StepScalar, Type, ValueId};
use crate::ops::loss::CrossEntropy;
use crate::ops::pointwise::scaled;
use crate::ops::{Op, Pointwise, ShapeError, error, norm};

/// The input that holds what a net should have said; with several losses, `target.` and the name of
/// the output.
pub const TARGET: &str = "target";
/// The output that holds the loss.
pub const LOSS: &str = "loss";

/// How far an output is from its target.
#[derive(Clone, PartialEq, Debug)]
pub enum LossKind {
    /// Of logits and integer labels.
    CrossEntropy {
        /// The part of what is wanted that is spread over all classes, from 0 to 1.
        label_smoothing: f32,
        /// How much each class counts; all alike without them.
        class_weights: Option<Vec<f32>>,
    },
    /// The squared difference.
    MeanSquared,
    /// The absolute difference.
    MeanAbsolute,
    /// The squared difference near zero, the absolute one beyond.
    Huber {
        /// Where the one gives way to the other; positive.
        delta: f32,
    },
    /// Of logits and targets from 0 to 1, each element by itself.
    BinaryCrossEntropy,
}

impl LossKind {
    /// The cross-entropy without smoothing and class weights.
    pub const CROSS_ENTROPY: LossKind = LossKind::CrossEntropy {
        label_smoothing: 0.0,
        class_weights: None,
    };

    /// Whether targets are integer labels and not numbers of the output's shape.
    pub fn takes_labels(&self) -> bool {
        matches!(self, LossKind::CrossEntropy { .. })
    }
}

/// The loss of one output.
#[derive(Clone, PartialEq, Debug)]
pub struct OutputLoss {
    /// The output's name; the graph's first output without one.
    pub output: Option<String>,
    /// What is measured.
    pub kind: LossKind,
    /// The factor in the sum of all losses.
    pub weight: f32,
}

impl From<LossKind> for OutputLoss {
    fn from(kind: LossKind) -> OutputLoss {
        OutputLoss {
            output: None,
            kind,
            weight: 1.0,
        }
    }
}

/// What a net is trained to make small: the weighted sum of its outputs' losses and of those of its
/// auxiliary heads.
#[derive(Clone, PartialEq, Debug)]
pub struct Loss {
    /// At least one; the first is the main one.
    pub outputs: Vec<OutputLoss>,
    /// Names of further outputs, with the factor of each. They share the main loss's target and what
    /// it measures.
    pub auxiliary: Vec<(String, f32)>,
}

impl From<LossKind> for Loss {
    fn from(kind: LossKind) -> Loss {
        Loss {
            outputs: vec![kind.into()],
            auxiliary: Vec::new(),
        }
    }
}

/// What an output is held against.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The graph's input.
    pub input: String,
    /// The output's name.
    pub output: String,
    /// The output.
    pub value: ValueId,
    /// The loss between them.
    pub kind: LossKind,
}

impl Loss {
    /// The target of each of [`Loss::outputs`], in order: the input is [`TARGET`], or where there are
    /// several, [`TARGET`], a point and the output's name.
    ///
    /// # Panics
    ///
    /// The graph has no such output.
    pub fn targets(&self, graph: &Graph) -> Vec<Target> {
        let several = self.outputs.len() > 1;
        let target = |loss: &OutputLoss| {
            let named = |name: &String| graph.outputs.iter().find(|output| output.name == *name);
            let output = match &loss.output {
                Some(name) => named(name).unwrap_or_else(|| panic!("no output is called `{name}`")),
                None => graph.outputs.first().expect("a net has an output"),
            };
            Target {
                input: if several {
                    format!("{TARGET}.{}", output.name)
                } else {
                    TARGET.to_owned()
                },
                output: output.name.clone(),
                value: output.value,
                kind: loss.kind.clone(),
            }
        };
        self.outputs.iter().map(target).collect()
    }
}

/// Appends the targets and the loss, one number.
///
/// # Errors
///
/// A loss can't be taken of its output's shape.
///
/// # Panics
///
/// The graph has no output of a loss's name.
pub(super) fn append(builder: &mut Builder, loss: &Loss) -> Result<ValueId, ShapeError> {
    builder.set_origin(LOSS);
    let targets = loss.targets(builder.graph());
    let mut terms = Vec::new();
    let mut main = None;
    for (target, own) in targets.iter().zip(&loss.outputs) {
        let ty = if target.kind.takes_labels() {
            Type::i32(Shape::batched([]))
        } else {
            builder.graph().ty(target.value).clone()
        };
        let input = builder.input(target.input.as_str(), ty);
        main.get_or_insert((input, &target.kind));
        let mean = mean_loss(builder, &target.kind, target.value, input)?;
        terms.push(scaled(builder, mean, own.weight));
    }
    let (target, kind) = main.expect("there is a loss");
    for (name, weight) in &loss.auxiliary {
        let output = builder.graph().output(name);
        let output = output.unwrap_or_else(|| panic!("no output is called `{name}`"));
        let mean = mean_loss(builder, kind, output, target)?;
        terms.push(scaled(builder, mean, *weight));
    }
    let total = terms
        .into_iter()
        .reduce(|sum, term| builder.pointwise(Pointwise::Add, &[sum, term]));
    builder.set_origin("");
    Ok(total.expect("there is a loss"))
}

fn mean_loss(
    builder: &mut Builder,
    kind: &LossKind,
    output: ValueId,
    target: ValueId,
) -> Result<ValueId, ShapeError> {
    let LossKind::CrossEntropy {
        label_smoothing,
        class_weights,
    } = kind
    else {
        return element_wise(builder, kind, output, target);
    };
    let op = CrossEntropy {
        label_smoothing: *label_smoothing,
    };
    let Some(weights) = class_weights else {
        let losses = builder.try_node(op.into(), &[output, target])?[0];
        return Ok(mean_over_batch(builder, losses));
    };
    let weights = builder.op(Op::Numbers(weights.clone()), &[]);
    let outputs = builder.try_node(op.into(), &[output, target, weights])?;
    let [losses, counted] =
        [outputs[0], outputs[1]].map(|value| builder.op(Op::SumTo(Shape::single([])), &[value]));
    // Where no label counts, the loss is 0 and not 0 / 0.
    let least = builder.constant(f32::MIN_POSITIVE);
    let counted = builder.pointwise(Pointwise::Max, &[counted, least]);
    Ok(builder.pointwise(Pointwise::Div, &[losses, counted]))
}

/// A loss that is a mean over elements. Nothing stretches: an output of [1] has one target an image.
fn element_wise(
    builder: &mut Builder,
    kind: &LossKind,
    output: ValueId,
    target: ValueId,
) -> Result<ValueId, ShapeError> {
    let graph = builder.graph();
    let (wanted, found) = (&graph.ty(output).shape, &graph.ty(target).shape);
    error::same_shape(found, wanted, "target")?;
    let elements = wanted.elements();
    let mut op = |op, operands: &[ValueId]| builder.pointwise(op, operands);
    let losses = match kind {
        LossKind::BinaryCrossEntropy => op(Pointwise::BinaryCrossEntropy, &[output, target]),
        LossKind::MeanSquared => {
            let difference = op(Pointwise::Sub, &[output, target]);
            op(Pointwise::Square, &[difference])
        }
        LossKind::MeanAbsolute => {
            let difference = op(Pointwise::Sub, &[output, target]);
            let opposite = op(Pointwise::Neg, &[difference]);
            // Two rectifiers, whose slopes at 0 are both 0.
            let [above, below] = [difference, opposite].map(|side| op(Pointwise::Relu, &[side]));
            op(Pointwise::Add, &[above, below])
        }
        LossKind::Huber { delta } => {
            let difference = op(Pointwise::Sub, &[output, target]);
            let bounds = Pointwise::Clip {
                lo: -delta,
                hi: *delta,
            };
            // c · (d - c / 2) with the clipped difference c is d² / 2 inside and the line outside.
            let clipped = op(bounds, &[difference]);
            let half = scaled(builder, clipped, 0.5);
            let rest = builder.pointwise(Pointwise::Sub, &[difference, half]);
            builder.pointwise(Pointwise::Mul, &[clipped, rest])
        }
        LossKind::CrossEntropy { .. } => unreachable!("it is no mean over elements"),
    };
    let mean = mean_over_batch(builder, losses);
    Ok(scaled(builder, mean, norm::inverse(elements)))
}

/// The sum of all elements, divided by the number of images.
fn mean_over_batch(builder: &mut Builder, losses: ValueId) -> ValueId {
    let inverse_batch = builder.step_scalar(StepScalar::InverseBatch);
    let sum = builder.op(Op::SumTo(Shape::single([])), &[losses]);
    builder.pointwise(Pointwise::Mul, &[sum, inverse_batch])
}

#[cfg(test)]
mod tests;
