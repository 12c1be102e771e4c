//! Numbers, stretching, and its transpose: summing down.
//!
//! `expand` repeats a value along the axes that a wider shape adds; `sum_to` sums over them. Each is
//! the other's gradient.

pub mod lower;

use super::array::{self, Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type, ValueId};

/// () → [].
pub(super) struct Constant(pub(super) f32);
/// () → [K].
pub(super) struct Numbers<'a>(pub(super) &'a [f32]);
/// The value stretched to a shape.
pub(super) struct Expand<'a>(pub(super) &'a Shape);
/// The value summed down to a shape.
pub(super) struct SumTo<'a>(pub(super) &'a Shape);

/// The gradient of a stretched operand, from one that has the shape it was stretched to.
pub(super) fn narrowed(builder: &mut Builder, grad: ValueId, operand: ValueId) -> ValueId {
    let shape = builder.graph().ty(operand).shape.clone();
    if builder.graph().ty(grad).shape == shape {
        grad
    } else {
        builder.op(Op::SumTo(shape), &[grad])
    }
}

fn stretches(from: &Shape, to: &Shape) -> Result<(), ShapeError> {
    if from.stretches_to(to) {
        Ok(())
    } else {
        Err(ShapeError::NotWider {
            from: from.dims.to_vec(),
            to: to.dims.to_vec(),
        })
    }
}

impl OpRules for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn attributes(&self) -> String {
        format!("{:?}", self.0)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [] = error::exactly(inputs)?;
        Ok(vec![Type::f32(Shape::single([]))])
    }

    fn eval<T: Real>(&self, _: usize, _: &[&Array<T>]) -> Vec<Array<T>> {
        vec![Array::scalar(T::from_f64(f64::from(self.0)))]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        Vec::new()
    }
}

impl OpRules for Numbers<'_> {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn attributes(&self) -> String {
        format!("{:?}", self.0)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [] = error::exactly(inputs)?;
        Ok(vec![Type::f32(Shape::single([self.0.len()]))])
    }

    fn eval<T: Real>(&self, _: usize, _: &[&Array<T>]) -> Vec<Array<T>> {
        let data = self.0.iter().map(|&number| T::from_f64(f64::from(number)));
        vec![Array::new(Shape::single([self.0.len()]), data.collect())]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        Vec::new()
    }
}

impl OpRules for Expand<'_> {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        error::floats(x, "input")?;
        stretches(&x.shape, self.0)?;
        Ok(vec![Type::f32(self.0.clone())])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let sources = array::stretched(x.shape(), self.0, batch);
        let data = sources.into_iter().map(|source| x.data()[source]).collect();
        vec![Array::new(self.0.clone(), data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        vec![Grad::Value(narrowed(builder, dy, at.inputs[0]))]
    }
}

impl OpRules for SumTo<'_> {
    fn name(&self) -> &'static str {
        "sum_to"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        error::floats(x, "input")?;
        stretches(self.0, &x.shape)?;
        Ok(vec![Type::f32(self.0.clone())])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let targets = array::stretched(self.0, x.shape(), batch);
        let mut sum = Array::zeros(self.0.clone(), batch);
        for (target, &value) in targets.into_iter().zip(x.data()) {
            sum.data_mut()[target] += value;
        }
        vec![sum]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let shape = builder.graph().ty(at.inputs[0]).shape.clone();
        vec![Grad::Value(builder.op(Op::Expand(shape), &[dy]))]
    }
}

#[cfg(test)]
mod tests;
