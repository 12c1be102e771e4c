//! The cross-entropy of each image, straight from the logits.
//!
//! With p the softmax of logits `[N, C]`, t the label and q the wanted distribution, weighted by class:
//!
//! ```text
//! q[c] = w[c] · ((1 - ε) · [c = t] + ε / C)
//! loss = -Σ q[c] log p[c] = Σ q[c] · (m - x[c]) + Σ q · log Σ e^(x - m)
//! ```
//!
//! where ε is the label smoothing, w are the class weights (1 without them) and m is the largest
//! logit, so that neither a large nor a vanishing probability overflows. Classes of q = 0 do not
//! count, also where their logit is -∞. The gradient of a logit is `(Σ q · p[c] - q[c]) · g` with g
//! the gradient of the loss. Sources: Bishop, "Pattern Recognition and Machine Learning", 4.3.4;
//! Szegedy et al. 2016, 7, for the smoothing; where class weights meet it, the rule is PyTorch's.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::softmax::largest;
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// (logits `[N, C]`, labels i32 `[N]`) → losses `[N]`, or (logits, labels, class weights `[C]`) → losses `[N]`,
/// the weight of each image's label `[N]`.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct CrossEntropy {
    /// The part of what is wanted that is spread over all classes, from 0 to 1.
    pub label_smoothing: f32,
}

/// (logits, labels, gradient of the losses `[N]`) → gradient of the logits; class weights come last.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct CrossEntropyGrad {
    /// As in the forward operator.
    pub label_smoothing: f32,
}

impl From<CrossEntropy> for Op {
    fn from(op: CrossEntropy) -> Op {
        Op::CrossEntropy(op)
    }
}

impl From<CrossEntropyGrad> for Op {
    fn from(op: CrossEntropyGrad) -> Op {
        Op::CrossEntropyGrad(op)
    }
}

/// What is wanted of the label's class beside what is wanted of every class, before class weights.
fn shares(label_smoothing: f32, classes: usize) -> [f64; 2] {
    let smoothing = f64::from(label_smoothing);
    #[allow(clippy::cast_precision_loss, reason = "no layer has 2^53 classes")]
    let each = smoothing / classes as f64;
    [1.0 - smoothing, each]
}

fn attributes(label_smoothing: f32) -> String {
    if label_smoothing == 0.0 {
        String::new()
    } else {
        format!("label_smoothing {label_smoothing:?}")
    }
}

fn infer(logits: &Type, labels: &Type, weights: Option<&Type>) -> Result<(), ShapeError> {
    let [classes] = error::vector(logits, "logits")?;
    error::integers(labels, "labels")?;
    error::same_shape(&labels.shape, &Shape::batched([]), "labels")?;
    if let Some(weights) = weights {
        error::floats(weights, "class weights")?;
        error::same_shape(&weights.shape, &Shape::single([classes]), "class weights")?;
    }
    Ok(())
}

/// What is wanted of each class, with the largest logit m and the sum of all e^(x - m).
struct Sample<T> {
    wanted: Vec<T>,
    max: T,
    sum: T,
}

impl<T: Real> Sample<T> {
    fn new(logits: &[T], class: usize, label_smoothing: f32, weights: Option<&Array<T>>) -> Self {
        let [hit, each] = shares(label_smoothing, logits.len()).map(T::from_f64);
        let wanted = (0..logits.len()).map(|c| {
            let share = if c == class { hit + each } else { each };
            weights.map_or(share, |weights| share * weights.data()[c])
        });
        let max = largest(logits.iter().copied());
        let mut sum = T::ZERO;
        for &logit in logits {
            sum += (logit - max).exp();
        }
        Sample {
            wanted: wanted.collect(),
            max,
            sum,
        }
    }

    fn total(&self) -> T {
        let mut total = T::ZERO;
        for &wanted in &self.wanted {
            total += wanted;
        }
        total
    }
}

/// The logits of each image, with its label.
fn samples<'a, T: Real>(
    logits: &'a Array<T>,
    labels: &'a Array<T>,
) -> impl Iterator<Item = (&'a [T], usize)> {
    let classes = logits.dims()[0];
    logits
        .data()
        .chunks(classes)
        .zip(labels.data())
        .map(move |(logits, label)| {
            let label = label.to_f64();
            let class = (0..classes).find(|&class| label == class as f64);
            (
                logits,
                class.unwrap_or_else(|| panic!("label {label} is none of {classes} classes")),
            )
        })
}

impl OpRules for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn attributes(&self) -> String {
        attributes(self.label_smoothing)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let each = Type::f32(Shape::batched([]));
        if let [logits, labels, weights] = inputs {
            infer(logits, labels, Some(weights))?;
            return Ok(vec![each.clone(), each]);
        }
        let [logits, labels] = error::exactly(inputs)?;
        infer(logits, labels, None)?;
        Ok(vec![each])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let weights = inputs.get(2).copied();
        let mut losses = Vec::new();
        let mut counted = Vec::new();
        for (logits, class) in samples(inputs[0], inputs[1]) {
            let sample = Sample::new(logits, class, self.label_smoothing, weights);
            let mut loss = sample.total() * sample.sum.ln();
            for (&wanted, &logit) in sample.wanted.iter().zip(logits) {
                if wanted != T::ZERO {
                    loss += wanted * (sample.max - logit);
                }
            }
            losses.push(loss);
            counted.extend(weights.map(|weights| weights.data()[class]));
        }
        let each = |data| Array::new(Shape::batched([]), data);
        let mut outputs = vec![each(losses)];
        outputs.extend(weights.map(|_| each(counted)));
        outputs
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let Some(grad) = at.grads[0] else {
            return vec![Grad::None; at.inputs.len()];
        };
        let mut inputs = vec![at.inputs[0], at.inputs[1], grad];
        inputs.extend(at.inputs.get(2));
        let op = CrossEntropyGrad {
            label_smoothing: self.label_smoothing,
        };
        let grad = builder.op(op, &inputs);
        let mut grads = vec![Grad::Value(grad), Grad::None];
        grads.extend(at.inputs.get(2).map(|_| Grad::Unknown));
        grads
    }
}

impl OpRules for CrossEntropyGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn attributes(&self) -> String {
        attributes(self.label_smoothing)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let (logits, labels, grad, weights) = match inputs {
            [logits, labels, grad, weights] => (logits, labels, grad, Some(weights)),
            _ => {
                let [logits, labels, grad] = error::exactly(inputs)?;
                (logits, labels, grad, None)
            }
        };
        infer(logits, labels, weights)?;
        error::floats(grad, "gradient")?;
        error::same_shape(&grad.shape, &Shape::batched([]), "gradient")?;
        Ok(vec![logits.clone()])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (logits, labels, grads) = (inputs[0], inputs[1], inputs[2]);
        let mut data = Vec::with_capacity(logits.data().len());
        for ((logits, class), &grad) in samples(logits, labels).zip(grads.data()) {
            let weights = inputs.get(3).copied();
            let sample = Sample::new(logits, class, self.label_smoothing, weights);
            let total = sample.total();
            data.extend(logits.iter().zip(&sample.wanted).map(|(&logit, &wanted)| {
                let probability = (logit - sample.max).exp() / sample.sum;
                (total * probability - wanted) * grad
            }));
        }
        vec![Array::new(logits.shape().clone(), data)]
    }

    fn grad(&self, _: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let mut grads = vec![Grad::Unknown, Grad::None, Grad::Unknown];
        grads.extend(at.inputs.get(3).map(|_| Grad::Unknown));
        grads
    }
}

#[cfg(test)]
mod tests;
