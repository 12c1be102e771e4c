//! Joining values along an axis, and cutting parts out of them.
//!
//! `concat` along axis a of values whose other sizes agree has the sum of their sizes there; `slice`
//! takes a range of an axis and `pad` puts a number around: each of the two is the other's gradient.
//! Axes are counted from 0, the batch left out: channels, height, width.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// Values whose sizes agree but for those of an axis, one behind the other along it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

/// What lies from `from` up to `to` along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slice {
    /// The axis.
    pub axis: usize,
    /// The first place.
    pub from: usize,
    /// The place after the last.
    pub to: usize,
}

/// A number around a value.
#[derive(Clone, PartialEq, Debug)]
pub struct Pad {
    /// Places before, for each axis.
    pub before: Vec<usize>,
    /// Places after, for each axis.
    pub after: Vec<usize>,
    /// What stands there.
    pub value: f32,
}

impl From<Concat> for Op {
    fn from(op: Concat) -> Op {
        Op::Concat(op)
    }
}

impl From<Slice> for Op {
    fn from(op: Slice) -> Op {
        Op::Slice(op)
    }
}

impl From<Pad> for Op {
    fn from(op: Pad) -> Op {
        Op::Pad(op)
    }
}

/// What an axis is called.
pub fn axis_name(axis: usize) -> String {
    match axis {
        0 => "channels".to_owned(),
        1 => "height".to_owned(),
        2 => "width".to_owned(),
        other => format!("axis {other}"),
    }
}

/// The shape that a value would need to have such an axis.
fn with_axis(axis: usize) -> &'static str {
    match axis {
        0 => "[C, …]",
        1 => "[C, H, …]",
        _ => "[C, H, W]",
    }
}

/// The size of an axis.
fn size(ty: &Type, axis: usize, input: &'static str) -> Result<usize, ShapeError> {
    ty.shape
        .dims
        .get(axis)
        .copied()
        .ok_or_else(|| ShapeError::Rank {
            input,
            expected: with_axis(axis),
            found: ty.shape.dims.to_vec(),
        })
}

/// The elements before an axis and after it, both counted in one image; the images are with the first.
fn around<T: Real>(x: &Array<T>, axis: usize) -> (usize, usize) {
    let inner: usize = x.dims()[axis + 1..].iter().product();
    let outer = x.data().len() / (x.dims()[axis] * inner).max(1);
    (outer, inner)
}

impl OpRules for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn attributes(&self) -> String {
        format!("axis {}", axis_name(self.axis))
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let first = inputs.first().ok_or(ShapeError::Arity {
            expected: 1,
            found: 0,
        })?;
        let mut total = 0;
        for (index, ty) in inputs.iter().enumerate() {
            error::floats(ty, "branch")?;
            if ty.shape.batched != first.shape.batched {
                return Err(ShapeError::Batched {
                    input: "branch",
                    expected: first.shape.batched,
                });
            }
            total += size(ty, self.axis, "branch")?;
            let others = |ty: &Type| {
                let mut dims = ty.shape.dims.to_vec();
                dims.remove(self.axis);
                dims
            };
            if ty.shape.dims.len() != first.shape.dims.len() || others(ty) != others(first) {
                return Err(ShapeError::Concat {
                    branch: index + 1,
                    axis: self.axis,
                    found: ty.shape.dims.to_vec(),
                    first: first.shape.dims.to_vec(),
                });
            }
        }
        let mut shape = first.shape.clone();
        shape.dims[self.axis] = total;
        Ok(vec![Type::f32(shape)])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let mut shape = inputs[0].shape().clone();
        shape.dims[self.axis] = inputs.iter().map(|input| input.dims()[self.axis]).sum();
        let (outer, inner) = around(inputs[0], self.axis);
        let mut data = Vec::new();
        for n in 0..outer {
            for input in inputs {
                let run = input.dims()[self.axis] * inner;
                data.extend_from_slice(&input.data()[n * run..][..run]);
            }
        }
        vec![Array::new(shape, data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let axis = self.axis;
        let mut from = 0;
        let slices = at.inputs.iter().map(|&input| {
            let to = from + builder.graph().dims(input)[axis];
            let slice = Slice { axis, from, to };
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
        let Slice { axis, from, to } = self;
        format!("axis {} from {from} to {to}", axis_name(*axis))
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        error::floats(x, "input")?;
        let Slice { axis, from, to } = *self;
        let size = size(x, axis, "input")?;
        if from >= to || to > size {
            return Err(ShapeError::Slice {
                axis: axis_name(axis),
                from,
                to,
                size,
            });
        }
        let mut ty = x.clone();
        ty.shape.dims[axis] = to - from;
        Ok(vec![ty])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (_, inner) = around(x, self.axis);
        let mut shape = x.shape().clone();
        let runs = x.data().chunks(shape.dims[self.axis] * inner);
        let data = runs.flat_map(|run| &run[self.from * inner..self.to * inner]);
        let data = data.copied().collect();
        shape.dims[self.axis] = self.to - self.from;
        vec![Array::new(shape, data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let dims = builder.graph().dims(at.inputs[0]);
        let mut pad = Pad {
            before: vec![0; dims.len()],
            after: vec![0; dims.len()],
            value: 0.0,
        };
        pad.before[self.axis] = self.from;
        pad.after[self.axis] = dims[self.axis] - self.to;
        vec![Grad::Value(builder.op(pad, &[dy]))]
    }
}

impl Pad {
    fn output(&self, shape: &Shape) -> Shape {
        let dims = shape.dims.iter().zip(self.before.iter().zip(&self.after));
        Shape {
            batched: shape.batched,
            dims: dims
                .map(|(&size, (&before, &after))| before + size + after)
                .collect(),
        }
    }
}

impl OpRules for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn attributes(&self) -> String {
        format!(
            "before {} after {} value {:?}",
            error::list(&self.before),
            error::list(&self.after),
            self.value
        )
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        error::floats(x, "input")?;
        let axes = x.shape.dims.len();
        if self.before.len() != axes || self.after.len() != axes {
            return Err(ShapeError::Rank {
                input: "input",
                expected: with_axis(self.before.len().max(1) - 1),
                found: x.shape.dims.to_vec(),
            });
        }
        Ok(vec![Type::f32(self.output(&x.shape))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let shape = self.output(x.shape());
        let value = T::from_f64(f64::from(self.value));
        let mut y = Array::filled(shape.clone(), batch, value);
        for (position, &value) in x.data().iter().enumerate() {
            let (mut rest, mut target, mut stride) = (position, 0, 1);
            for axis in (0..shape.dims.len()).rev() {
                target += (rest % x.dims()[axis] + self.before[axis]) * stride;
                rest /= x.dims()[axis];
                stride *= shape.dims[axis];
            }
            y.data_mut()[target + rest * stride] = value;
        }
        vec![y]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(mut dx)] = at.grads else {
            unreachable!("one output")
        };
        let dims = builder.graph().dims(at.inputs[0]).to_vec();
        for (axis, size) in dims.into_iter().enumerate() {
            let from = self.before[axis];
            let to = from + size;
            if builder.graph().dims(dx)[axis] != size {
                dx = builder.op(Slice { axis, from, to }, &[dx]);
            }
        }
        vec![Grad::Value(dx)]
    }
}

#[cfg(test)]
mod tests;
