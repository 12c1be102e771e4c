//! Stacking channels, and taking some of them back.
//!
//! `concat` of `[N, C1, …]`, `[N, C2, …]`, … is `[N, C1 + C2 + …, …]`; `slice` is its transpose.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type, ValueId};

/// Values whose sizes agree but for the channels, channels stacked.
pub(super) struct Concat;
/// Channels `from` up to `to`.
pub(super) struct Slice {
    pub(super) from: usize,
    pub(super) to: usize,
}

fn stacked(inputs: &[Type]) -> Result<Type, ShapeError> {
    let first = inputs.first().ok_or(ShapeError::Arity {
        expected: 1,
        found: 0,
    })?;
    let mut channels = 0;
    for (index, ty) in inputs.iter().enumerate() {
        error::floats(ty, "branch")?;
        if ty.shape.batched != first.shape.batched {
            return Err(ShapeError::Batched {
                input: "branch",
                expected: first.shape.batched,
            });
        }
        let (&[own, ref rest @ ..], &[_, ref expected @ ..]) =
            (ty.shape.dims.as_slice(), first.shape.dims.as_slice())
        else {
            return Err(ShapeError::Rank {
                input: "branch",
                expected: "[C, …]",
                found: Vec::new(),
            });
        };
        if rest != expected {
            return Err(ShapeError::Concat {
                branch: index + 1,
                found: ty.shape.dims.clone(),
                first: first.shape.dims.clone(),
            });
        }
        channels += own;
    }
    let mut shape = first.shape.clone();
    shape.dims[0] = channels;
    Ok(Type::f32(shape))
}

impl OpRules for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        Ok(vec![stacked(inputs)?])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let mut shape = inputs[0].shape().clone();
        shape.dims[0] = inputs.iter().map(|input| input.dims()[0]).sum();
        let images = if shape.batched { batch } else { 1 };
        let mut data = Vec::new();
        for n in 0..images {
            for input in inputs {
                let elements = input.shape().elements();
                data.extend_from_slice(&input.data()[n * elements..][..elements]);
            }
        }
        vec![Array::new(shape, data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let mut from = 0;
        let slices = at.inputs.iter().map(|&input| {
            let to = from + builder.graph().dims(input)[0];
            let slice = Op::Slice { from, to };
            from = to;
            Grad::Value(builder.op(slice, &[dy]))
        });
        slices.collect()
    }
}

impl OpRules for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn attributes(&self) -> String {
        format!("from {} to {}", self.from, self.to)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        error::floats(x, "input")?;
        let &[channels, ..] = x.shape.dims.as_slice() else {
            return Err(ShapeError::Rank {
                input: "input",
                expected: "[C, …]",
                found: Vec::new(),
            });
        };
        let Slice { from, to } = *self;
        if from >= to || to > channels {
            return Err(ShapeError::Slice { from, to, channels });
        }
        let mut ty = x.clone();
        ty.shape.dims[0] = to - from;
        Ok(vec![ty])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (_, pixels) = x.channels_and_pixels();
        let mut shape = x.shape().clone();
        shape.dims[0] = self.to - self.from;
        let images = x.data().chunks(x.shape().elements());
        let data = images
            .flat_map(|image| &image[self.from * pixels..self.to * pixels])
            .copied();
        vec![Array::new(shape, data.collect())]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let shape = builder.graph().ty(at.inputs[0]).shape.clone();
        let before = zero_channels(builder, &shape, self.from);
        let after = zero_channels(builder, &shape, shape.dims[0] - self.to);
        let parts: Vec<ValueId> = before.into_iter().chain([dy]).chain(after).collect();
        vec![Grad::Value(builder.op(Op::Concat, &parts))]
    }
}

/// So many channels of zeros, if any.
fn zero_channels(builder: &mut Builder, like: &Shape, channels: usize) -> Option<ValueId> {
    if channels == 0 {
        return None;
    }
    let zero = builder.constant(0.0);
    let mut shape = like.clone();
    shape.dims[0] = channels;
    Some(builder.op(Op::Expand(shape), &[zero]))
}
