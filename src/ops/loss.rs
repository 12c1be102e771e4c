//! The cross-entropy of each image, straight from the logits.
//!
//! With p the softmax of logits `[N, C]` and t the label: `loss = -log p[t] = log Σ e^(x - m) + m - x[t]`,
//! m the largest logit, so that neither a large nor a vanishing probability overflows. The gradient
//! of a logit is `(p[c] - [c = t]) · g` with g the gradient of the loss. Source: Bishop, "Pattern
//! Recognition and Machine Learning", 4.3.4.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::softmax::largest;
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// (logits [N, C], labels i32 [N]) → [N].
pub(super) struct CrossEntropy;
/// (logits, labels, gradient [N]) → gradient of the logits.
pub(super) struct CrossEntropyGrad;

fn infer(logits: &Type, labels: &Type) -> Result<[usize; 1], ShapeError> {
    let classes = error::vector(logits, "logits")?;
    error::integers(labels, "labels")?;
    error::same_shape(&labels.shape, &Shape::batched([]), "labels")?;
    Ok(classes)
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

/// The largest logit, and the sum of all powers of e to what a logit lies below it.
fn largest_and_sum<T: Real>(logits: &[T]) -> (T, T) {
    let max = largest(logits.iter().copied());
    let mut sum = T::ZERO;
    for &logit in logits {
        sum += (logit - max).exp();
    }
    (max, sum)
}

impl OpRules for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [logits, labels] = error::exactly(inputs)?;
        infer(logits, labels)?;
        Ok(vec![Type::f32(Shape::batched([]))])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let losses = samples(inputs[0], inputs[1]).map(|(logits, class)| {
            let (max, sum) = largest_and_sum(logits);
            sum.ln() + (max - logits[class])
        });
        vec![Array::new(Shape::batched([]), losses.collect())]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[logits, labels], &[Some(grad)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        let grad = builder.op(Op::CrossEntropyGrad, &[logits, labels, grad]);
        vec![Grad::Value(grad), Grad::None]
    }
}

impl OpRules for CrossEntropyGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [logits, labels, grad] = error::exactly(inputs)?;
        infer(logits, labels)?;
        error::floats(grad, "gradient")?;
        error::same_shape(&grad.shape, &Shape::batched([]), "gradient")?;
        Ok(vec![logits.clone()])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (logits, labels, grads) = (inputs[0], inputs[1], inputs[2]);
        let mut data = Vec::with_capacity(logits.data().len());
        for ((logits, class), &grad) in samples(logits, labels).zip(grads.data()) {
            let (max, sum) = largest_and_sum(logits);
            data.extend(logits.iter().enumerate().map(|(c, &logit)| {
                let probability = (logit - max).exp() / sum;
                let target = if c == class { T::ONE } else { T::ZERO };
                (probability - target) * grad
            }));
        }
        vec![Array::new(logits.shape().clone(), data)]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown, Grad::None, Grad::Unknown]
    }
}
