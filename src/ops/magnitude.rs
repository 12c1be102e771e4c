//! How large a tensor is, and rows that may not be larger.
//!
//! ```text
//! sum_squares:   Σ x²
//! max_norm c:    y[k] = x[k] · min(1, c / ‖x[k]‖)      ‖x[k]‖ over all elements of row k
//! ```
//!
//! Both take what there is one of for all images: weights and their gradients. A row of zeros stays, a NaN in a row
//! makes the row NaN. Source of the second: Srivastava et al. 2014, section 5.1.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::pointwise::scaled;
use super::{Grad, GradInputs, Op, OpRules, Pointwise};
use crate::ir::{Builder, Shape, Type};

/// Any shape → [].
pub(super) struct SumSquares;

/// [K, …] → the same, each of the K rows scaled to at most a norm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MaxNorm {
    /// The greatest Euclidean norm of a row.
    pub limit: f32,
}

impl From<MaxNorm> for Op {
    fn from(op: MaxNorm) -> Op {
        Op::MaxNorm(op)
    }
}

fn unbatched(inputs: &[Type]) -> Result<&Type, ShapeError> {
    let [x] = error::exactly(inputs)?;
    error::floats(x, "input")?;
    if x.shape.batched {
        return Err(ShapeError::Batched {
            input: "input",
            expected: false,
        });
    }
    Ok(x)
}

fn sum_of_squares<T: Real>(data: &[T]) -> T {
    let mut sum = T::ZERO;
    for &x in data {
        sum += x * x;
    }
    sum
}

impl OpRules for SumSquares {
    fn name(&self) -> &'static str {
        "sum_squares"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        unbatched(inputs)?;
        Ok(vec![Type::f32(Shape::single([]))])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        vec![Array::scalar(sum_of_squares(inputs[0].data()))]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let slope = builder.pointwise(Pointwise::Mul, &[at.inputs[0], dy]);
        vec![Grad::Value(scaled(builder, slope, 2.0))]
    }
}

impl OpRules for MaxNorm {
    fn name(&self) -> &'static str {
        "max_norm"
    }

    fn attributes(&self) -> String {
        format!("{:?}", self.limit)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let x = unbatched(inputs)?;
        if x.shape.dims.is_empty() {
            return Err(ShapeError::Rank {
                input: "input",
                expected: "[K, …]",
                found: Vec::new(),
            });
        }
        Ok(vec![x.clone()])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let row = x.dims()[1..].iter().product::<usize>().max(1);
        let limit = T::from_f64(f64::from(self.limit));
        let mut data = Vec::with_capacity(x.data().len());
        for row in x.data().chunks(row) {
            let factor = limit / sum_of_squares(row).sqrt();
            let factor = if factor.is_nan() || factor < T::ONE {
                factor
            } else {
                T::ONE
            };
            data.extend(row.iter().map(|&x| x * factor));
        }
        vec![Array::new(x.shape().clone(), data)]
    }

    /// It acts on what parameters become, of which no loss is made.
    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown]
    }
}

#[cfg(test)]
mod tests;
