//! The dense layer's product, and its two gradients.
//!
//! With x `[N, F]` and w `[K, F]`, `y[n, k] = Σ f  x[n, f] · w[k, f]`. Weights are stored one row an
//! output, as in PyTorch. No bias: that is an addition.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// ([N, F], weights [K, F]) → [N, K].
pub(super) struct Dense;
/// (gradient [N, K], weights [K, F]) → [N, F].
pub(super) struct DenseInputGrad;
/// (input [N, F], gradient [N, K]) → [K, F].
pub(super) struct DenseFilterGrad;

fn weights(ty: &Type) -> Result<[usize; 2], ShapeError> {
    error::floats(ty, "weights")?;
    error::axes(ty, "weights", "[K, F]", false)
}

/// Visits every product of the sum: the positions of its input, its weight and its output.
fn for_each_product(
    batch: usize,
    [outputs, features]: [usize; 2],
    mut visit: impl FnMut(usize, usize, usize),
) {
    for n in 0..batch {
        for k in 0..outputs {
            for f in 0..features {
                visit(n * features + f, k * features + f, n * outputs + k);
            }
        }
    }
}

impl OpRules for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, w] = error::exactly(inputs)?;
        let [features] = error::vector(x, "input")?;
        let [outputs, _] = weights(w)?;
        error::same_shape(&w.shape, &Shape::single([outputs, features]), "weights")?;
        Ok(vec![Type::f32(Shape::batched([outputs]))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, w) = (inputs[0], inputs[1]);
        let &[outputs, features] = w.dims() else {
            unreachable!("a matrix")
        };
        let mut y = Array::zeros(Shape::batched([outputs]), batch);
        for_each_product(batch, [outputs, features], |x_at, w_at, y_at| {
            y.data_mut()[y_at] += x.data()[x_at] * w.data()[w_at];
        });
        vec![y]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[x, w], &[Some(dy)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        vec![
            Grad::Value(builder.op(Op::DenseInputGrad, &[dy, w])),
            Grad::Value(builder.op(Op::DenseFilterGrad, &[x, dy])),
        ]
    }
}

impl OpRules for DenseInputGrad {
    fn name(&self) -> &'static str {
        "dense_input_grad"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [dy, w] = error::exactly(inputs)?;
        error::vector(dy, "gradient")?;
        let [outputs, features] = weights(w)?;
        error::same_shape(&dy.shape, &Shape::batched([outputs]), "gradient")?;
        Ok(vec![Type::f32(Shape::batched([features]))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (dy, w) = (inputs[0], inputs[1]);
        let &[outputs, features] = w.dims() else {
            unreachable!("a matrix")
        };
        let mut dx = Array::zeros(Shape::batched([features]), batch);
        for_each_product(batch, [outputs, features], |x_at, w_at, y_at| {
            dx.data_mut()[x_at] += dy.data()[y_at] * w.data()[w_at];
        });
        vec![dx]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[dy, w], &[Some(grad)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        vec![
            Grad::Value(builder.op(Op::Dense, &[grad, w])),
            Grad::Value(builder.op(Op::DenseFilterGrad, &[grad, dy])),
        ]
    }
}

impl OpRules for DenseFilterGrad {
    fn name(&self) -> &'static str {
        "dense_filter_grad"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, dy] = error::exactly(inputs)?;
        let [features] = error::vector(x, "input")?;
        let [outputs] = error::vector(dy, "gradient")?;
        Ok(vec![Type::f32(Shape::single([outputs, features]))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, dy) = (inputs[0], inputs[1]);
        let sizes = [dy.dims()[0], x.dims()[0]];
        let mut dw = Array::zeros(Shape::single(sizes), batch);
        for_each_product(batch, sizes, |x_at, w_at, y_at| {
            dw.data_mut()[w_at] += dy.data()[y_at] * x.data()[x_at];
        });
        vec![dw]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[x, dy], &[Some(grad)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        vec![
            Grad::Value(builder.op(Op::DenseInputGrad, &[dy, grad])),
            Grad::Value(builder.op(Op::Dense, &[x, grad])),
        ]
    }
}
