//! The same elements seen another way: with other sizes, with axes in another order, or lying
//! otherwise in memory.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// The same elements, in row-major C, H, W order, with other sizes; each image by itself.
pub(super) struct Reshape<'a>(pub(super) &'a [usize]);
/// Axes in another order: axis i of the result is axis `axes[i]` of the input. The batch stays.
pub(super) struct Transpose<'a>(pub(super) &'a [usize]);
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
            dims: (&self.0).into(),
        };
        if shape.elements() != x.shape.elements() {
            return Err(ShapeError::Elements {
                from: x.shape.dims.to_vec(),
                to: shape.dims.to_vec(),
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
            dims: (&self.0).into(),
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

impl OpRules for Transpose<'_> {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn attributes(&self) -> String {
        format!("axes {}", error::list(self.0))
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        let mut sorted = self.0.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..x.shape.dims.len()) {
            return Err(ShapeError::Axes {
                axes: self.0.to_vec(),
                input: x.shape.dims.to_vec(),
            });
        }
        let mut ty = x.clone();
        ty.shape.dims = self.0.iter().map(|&axis| x.shape.dims[axis]).collect();
        Ok(vec![ty])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let shape = Shape {
            batched: x.shape().batched,
            dims: self.0.iter().map(|&axis| x.dims()[axis]).collect(),
        };
        let stride = |axis: usize| x.dims()[axis + 1..].iter().product::<usize>();
        let mut sources = vec![0];
        for &axis in self.0 {
            let places = 0..x.dims()[axis];
            sources = sources
                .into_iter()
                .flat_map(|start| places.clone().map(move |place| (start, place)))
                .map(|(start, place)| start + place * stride(axis))
                .collect();
        }
        let images = x.data().chunks(shape.elements().max(1));
        let data = images.flat_map(|image| sources.iter().map(|&source| image[source]));
        let data = data.collect();
        vec![Array::new(shape, data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let mut back = vec![0; self.0.len()];
        for (to, &from) in self.0.iter().enumerate() {
            back[from] = to;
        }
        vec![Grad::Value(builder.op(Op::Transpose(back), &[dy]))]
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

#[cfg(test)]
mod tests;
