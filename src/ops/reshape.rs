//! The same elements seen another way: with other sizes, or lying otherwise in memory.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// The same elements, in row-major C, H, W order, with other sizes; each image by itself.
pub(super) struct Reshape<'a>(pub(super) &'a [usize]);
/// The same value in another layout.
pub(super) struct Relayout;

impl OpRules for Reshape<'_> {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        let shape = Shape {
            batched: x.shape.batched,
            dims: self.0.to_vec(),
        };
        if shape.elements() != x.shape.elements() {
            return Err(ShapeError::Elements {
                from: x.shape.dims.clone(),
                to: shape.dims,
            });
        }
        Ok(vec![Type {
            dtype: x.dtype,
            shape,
        }])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let shape = Shape {
            batched: inputs[0].shape().batched,
            dims: self.0.to_vec(),
        };
        vec![Array::new(shape, inputs[0].data().to_vec())]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let dims = builder.graph().dims(at.inputs[0]).to_vec();
        vec![Grad::Value(builder.op(Op::Reshape(dims), &[dy]))]
    }
}

impl OpRules for Relayout {
    fn name(&self) -> &'static str {
        "relayout"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        Ok(vec![x.clone()])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        vec![inputs[0].clone()]
    }

    fn grad(&self, _: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        vec![Grad::Value(dy)]
    }
}
