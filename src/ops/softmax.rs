//! Softmax over the channels of each pixel.
//!
//! `y[c] = e^(x[c] - m) / Σ e^(x[·] - m)` with m the largest x, which changes nothing but keeps the
//! powers finite (Goodfellow, Bengio and Courville, "Deep Learning", 4.1). Its gradient is
//! `dx[c] = y[c] · (dy[c] - Σ y · dy)`. Its logarithm is `x[c] - m - log Σ e^(x[·] - m)`, with the
//! gradient `dx[c] = dy[c] - e^y[c] · Σ dy`.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Type};

/// [N, C, …] → [N, C, …].
pub(super) struct Softmax;
/// (softmax's output, its gradient) → gradient of the input.
pub(super) struct SoftmaxGrad;
/// [N, C, …] → [N, C, …]: the logarithm of softmax, of which none is infinite.
pub(super) struct LogSoftmax;
/// (its output, its gradient) → gradient of the input.
pub(super) struct LogSoftmaxGrad;

fn infer(x: &Type) -> Result<Vec<Type>, ShapeError> {
    error::floats(x, "input")?;
    if x.shape.dims.is_empty() {
        return Err(ShapeError::Rank {
            input: "input",
            expected: "[C, …]",
            found: Vec::new(),
        });
    }
    Ok(vec![x.clone()])
}

fn infer_grad(inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
    let [y, dy] = error::exactly(inputs)?;
    error::floats(dy, "gradient")?;
    error::same_shape(&dy.shape, &y.shape, "gradient")?;
    infer(y)
}

/// The positions of each pixel's channels, pixel by pixel.
fn pixels<T: Real>(x: &Array<T>) -> impl Iterator<Item = Vec<usize>> + use<T> {
    let (channels, pixels) = x.channels_and_pixels();
    let images = x.data().len() / (channels * pixels).max(1);
    (0..images).flat_map(move |n| {
        (0..pixels).map(move |pixel| {
            (0..channels)
                .map(|c| (n * channels + c) * pixels + pixel)
                .collect()
        })
    })
}

/// The largest; NaN if there is one.
pub(super) fn largest<T: Real>(values: impl Iterator<Item = T>) -> T {
    let larger = |a: T, b: T| if a.is_nan() || a > b { a } else { b };
    values.reduce(larger).expect("there is a channel")
}

impl OpRules for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        infer(x)
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let mut y = x.clone();
        for channels in pixels(x) {
            let max = largest(channels.iter().map(|&at| x.data()[at]));
            let mut sum = T::ZERO;
            for &at in &channels {
                let power = (x.data()[at] - max).exp();
                y.data_mut()[at] = power;
                sum += power;
            }
            for &at in &channels {
                y.data_mut()[at] = y.data()[at] / sum;
            }
        }
        vec![y]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[y], &[Some(dy)]) = (at.outputs, at.grads) else {
            unreachable!("one output")
        };
        vec![Grad::Value(builder.op(Op::SoftmaxGrad, &[y, dy]))]
    }
}

impl OpRules for SoftmaxGrad {
    fn name(&self) -> &'static str {
        "softmax_grad"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        infer_grad(inputs)
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (y, dy) = (inputs[0], inputs[1]);
        let mut dx = y.clone();
        for channels in pixels(y) {
            let mut sum = T::ZERO;
            for &at in &channels {
                sum += y.data()[at] * dy.data()[at];
            }
            for &at in &channels {
                dx.data_mut()[at] = y.data()[at] * (dy.data()[at] - sum);
            }
        }
        vec![dx]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(grad)] = at.grads else {
            unreachable!("one output")
        };
        // The matrix of slopes is symmetric.
        vec![
            Grad::Unknown,
            Grad::Value(builder.op(Op::SoftmaxGrad, &[at.inputs[0], grad])),
        ]
    }
}

impl OpRules for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        infer(x)
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let mut y = x.clone();
        for channels in pixels(x) {
            let max = largest(channels.iter().map(|&at| x.data()[at]));
            let mut sum = T::ZERO;
            for &at in &channels {
                sum += (x.data()[at] - max).exp();
            }
            for &at in &channels {
                y.data_mut()[at] = x.data()[at] - max - sum.ln();
            }
        }
        vec![y]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[y], &[Some(dy)]) = (at.outputs, at.grads) else {
            unreachable!("one output")
        };
        vec![Grad::Value(builder.op(Op::LogSoftmaxGrad, &[y, dy]))]
    }
}

impl OpRules for LogSoftmaxGrad {
    fn name(&self) -> &'static str {
        "log_softmax_grad"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        infer_grad(inputs)
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (y, dy) = (inputs[0], inputs[1]);
        let mut dx = y.clone();
        for channels in pixels(y) {
            let mut sum = T::ZERO;
            for &at in &channels {
                sum += dy.data()[at];
            }
            for &at in &channels {
                dx.data_mut()[at] = dy.data()[at] - y.data()[at].exp() * sum;
            }
        }
        vec![dx]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown; 2]
    }
}

#[cfg(test)]
mod tests;
