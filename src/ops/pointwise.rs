//! Element-wise operators: a closed table whose rows give a name, a scalar function and a gradient.
//! The loop over elements, stretching and summing back are written once, for all.
//!
//! The result is as large along each axis as the largest operand; the others stretch to it by
//! [`Shape::stretches_to`], channels aligned with channels.

pub mod lower;

use super::array::{self, Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules, norm, reduce};
use crate::ir::{Builder, Shape, Type, ValueId};

/// An element-wise operator. `y` is the operator's own output, `dy` the gradient of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pointwise {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a · b.
    Mul,
    /// a · b + c; machine code rounds once.
    MulAdd,
    /// a / b.
    Div,
    /// The greater; a NaN if either is one. Of equal operands the first gets the gradient; which of
    /// +0 and -0 is the result is not defined.
    Max,
    /// The lesser; as [`Pointwise::Max`] otherwise.
    Min,
    /// -a.
    Neg,
    /// √a.
    Sqrt,
    /// 1 / √a.
    Rsqrt,
    /// e^a.
    Exp,
    /// The natural logarithm of a.
    Log,
    /// a where a > 0, NaN where a is NaN, else 0 (Nair and Hinton 2010).
    Relu,
    /// (y, dy) → dy where y > 0, else 0; so it is 0 at exactly 0.
    ReluGrad,
    /// tanh a.
    Tanh,
    /// (y, dy) → dy · (1 - y²).
    TanhGrad,
    /// 1 / (1 + e^-a).
    Sigmoid,
    /// (y, dy) → dy · y · (1 - y).
    SigmoidGrad,
    /// a².
    Square,
    /// (x, slope) → x where x > 0, else slope · x (He et al. 2015, 2; with a constant slope the leaky
    /// rectifier of Maas, Hannun and Ng 2013).
    Prelu,
    /// (s, slope, dy) → dy where s > 0, else slope · dy; s is x, or anything of its sign.
    PreluGrad,
    /// a held between lo and hi, NaN where a is NaN.
    Clip {
        /// The least result.
        lo: f32,
        /// The greatest result, not below `lo`.
        hi: f32,
    },
    /// (y, dy) → dy where lo < y < hi, else 0; so it is 0 at exactly lo and hi.
    ClipGrad {
        /// The least y.
        lo: f32,
        /// The greatest y.
        hi: f32,
    },
    /// a where a > 0, else alpha · (e^a - 1) (Clevert, Unterthiner and Hochreiter 2016).
    Elu {
        /// How far it goes below zero; not negative.
        alpha: f32,
    },
    /// (y, dy) → dy where y > 0, else dy · (y + alpha).
    EluGrad {
        /// That of the forward operator.
        alpha: f32,
    },
    /// ln(1 + e^a) (Dugas et al. 2001).
    Softplus,
    /// (y, dy) → dy · (1 - e^-y).
    SoftplusGrad,
    /// a · Φ(a), Φ being the normal distribution (Hendrycks and Gimpel 2016).
    Gelu,
    /// (x, dy) → dy · (Φ(x) + x · φ(x)), φ being the normal density.
    GeluGrad,
    /// (logit x, target t) → ln(1 + e^-x) · t + ln(1 + e^x) · (1 - t), as
    /// max(x, 0) - x · t + ln(1 + e^-|x|), which neither overflows nor cancels for targets 0 and 1.
    BinaryCrossEntropy,
    /// (x, mean, var, gamma, beta) → (x - mean) · gamma / √(var + eps) + beta (Ioffe and Szegedy
    /// 2015, algorithms 1 and 2).
    BatchNorm {
        /// Keeps the divisor from zero.
        eps: f32,
        /// Whether mean and var are this batch's own, as made by [`Op::BatchStats`] from x. The
        /// gradient of x then includes what passes through them, and theirs is
        /// [`Grad::None`].
        batch_stats: bool,
    },
    /// (dy, x, mean, var, gamma, Σ dy, Σ dy · (x - mean), 1 / count) → the gradient of x through a
    /// batch norm with the batch's own mean and var; sums and count are over batch and pixels:
    /// `gamma / √(var + eps) · (dy - Σ dy / count - (x - mean) / (var + eps) · Σ dy (x - mean) / count)`.
    BatchNormGrad {
        /// Keeps the divisor from zero.
        eps: f32,
    },
}

/// Beyond, the tails of the normal distribution are zero in double precision.
const FAR: f32 = 40.0;

/// A number of an attribute.
fn number<T: Real>(value: f32) -> T {
    T::from_f64(f64::from(value))
}

/// ln(1 + e^x), whose power does not overflow.
fn softplus<T: Real>(x: T) -> T {
    let (positive, below) = if x > T::ZERO { (x, -x) } else { (T::ZERO, x) };
    positive + below.exp().ln_1p()
}

/// The normal distribution Φ, accurate in both tails.
fn normal<T: Real>(x: T) -> T {
    (-x / T::from_f64(std::f64::consts::SQRT_2)).erfc() * number(0.5)
}

/// The most operands that a row has.
const MAX_ARITY: usize = 8;

impl From<Pointwise> for Op {
    fn from(op: Pointwise) -> Op {
        Op::Pointwise(op)
    }
}

impl Pointwise {
    /// The name in dumps, and the number of operands.
    fn row(self) -> (&'static str, usize) {
        match self {
            Pointwise::Add => ("add", 2),
            Pointwise::Sub => ("sub", 2),
            Pointwise::Mul => ("mul", 2),
            Pointwise::MulAdd => ("mul_add", 3),
            Pointwise::Div => ("div", 2),
            Pointwise::Max => ("max", 2),
            Pointwise::Min => ("min", 2),
            Pointwise::Neg => ("neg", 1),
            Pointwise::Sqrt => ("sqrt", 1),
            Pointwise::Rsqrt => ("rsqrt", 1),
            Pointwise::Exp => ("exp", 1),
            Pointwise::Log => ("log", 1),
            Pointwise::Relu => ("relu", 1),
            Pointwise::ReluGrad => ("relu_grad", 2),
            Pointwise::Tanh => ("tanh", 1),
            Pointwise::TanhGrad => ("tanh_grad", 2),
            Pointwise::Sigmoid => ("sigmoid", 1),
            Pointwise::SigmoidGrad => ("sigmoid_grad", 2),
            Pointwise::Square => ("square", 1),
            Pointwise::Prelu => ("prelu", 2),
            Pointwise::PreluGrad => ("prelu_grad", 3),
            Pointwise::Clip { .. } => ("clip", 1),
            Pointwise::ClipGrad { .. } => ("clip_grad", 2),
            Pointwise::Elu { .. } => ("elu", 1),
            Pointwise::EluGrad { .. } => ("elu_grad", 2),
            Pointwise::Softplus => ("softplus", 1),
            Pointwise::SoftplusGrad => ("softplus_grad", 2),
            Pointwise::Gelu => ("gelu", 1),
            Pointwise::GeluGrad => ("gelu_grad", 2),
            Pointwise::BinaryCrossEntropy => ("binary_cross_entropy", 2),
            Pointwise::BatchNorm { .. } => ("batch_norm", 5),
            Pointwise::BatchNormGrad { .. } => ("batch_norm_grad", MAX_ARITY),
        }
    }

    /// The number of operands.
    pub fn arity(self) -> usize {
        self.row().1
    }

    /// The function of one element of each operand.
    pub fn scalar<T: Real>(self, operands: &[T]) -> T {
        let a = operands[0];
        let b = operands.get(1).copied().unwrap_or(T::ZERO);
        let pick = |condition: bool, yes: T, no: T| if condition { yes } else { no };
        match self {
            Pointwise::Add => a + b,
            Pointwise::Sub => a - b,
            Pointwise::Mul => a * b,
            Pointwise::MulAdd => a * b + operands[2],
            Pointwise::Div => a / b,
            Pointwise::Max => pick(a.is_nan() || a > b, a, b),
            Pointwise::Min => pick(a.is_nan() || a < b, a, b),
            Pointwise::Neg => -a,
            Pointwise::Sqrt => a.sqrt(),
            Pointwise::Rsqrt => T::ONE / a.sqrt(),
            Pointwise::Exp => a.exp(),
            Pointwise::Log => a.ln(),
            Pointwise::Relu => pick(a <= T::ZERO, T::ZERO, a),
            Pointwise::ReluGrad => pick(a > T::ZERO, b, T::ZERO),
            Pointwise::Tanh => a.tanh(),
            Pointwise::TanhGrad => b * (T::ONE - a * a),
            Pointwise::Sigmoid => T::ONE / (T::ONE + (-a).exp()),
            Pointwise::SigmoidGrad => b * a * (T::ONE - a),
            Pointwise::Square => a * a,
            Pointwise::Prelu => pick(a > T::ZERO, a, b * a),
            Pointwise::PreluGrad => pick(a > T::ZERO, operands[2], b * operands[2]),
            Pointwise::Clip { lo, hi } => {
                let (lo, hi) = (number(lo), number(hi));
                pick(a < lo, lo, pick(a > hi, hi, a))
            }
            Pointwise::ClipGrad { lo, hi } => pick(a > number(lo) && a < number(hi), b, T::ZERO),
            Pointwise::Elu { alpha } => pick(a > T::ZERO, a, number::<T>(alpha) * a.exp_m1()),
            Pointwise::EluGrad { alpha } => pick(a > T::ZERO, b, b * (a + number(alpha))),
            Pointwise::Softplus => softplus(a),
            Pointwise::SoftplusGrad => -b * (-a).exp_m1(),
            // Far below, the product of -∞ and 0 would be no number.
            Pointwise::Gelu => pick(a < number(-FAR), -T::ZERO, a * normal(a)),
            Pointwise::GeluGrad => {
                let density =
                    (a * a * number(-0.5)).exp() / T::from_f64(std::f64::consts::TAU).sqrt();
                let slope = normal(a) + a * density;
                let far = pick(a > T::ZERO, T::ONE, T::ZERO);
                pick(a.is_nan() || a * a < number(FAR * FAR), slope, far) * b
            }
            Pointwise::BinaryCrossEntropy => {
                let positive = pick(a <= T::ZERO, T::ZERO, a);
                positive - a * b + softplus(pick(a > T::ZERO, -a, a))
            }
            Pointwise::BatchNorm { eps, .. } => {
                let &[x, mean, var, gamma, beta] = operands else {
                    unreachable!("arity")
                };
                (x - mean) * (gamma / (var + T::from_f64(f64::from(eps))).sqrt()) + beta
            }
            Pointwise::BatchNormGrad { eps } => {
                let &[dy, x, mean, var, gamma, sum, moment, inverse_count] = operands else {
                    unreachable!("arity")
                };
                let var = var + T::from_f64(f64::from(eps));
                let through_var = (x - mean) / var * (moment * inverse_count);
                gamma / var.sqrt() * (dy - sum * inverse_count - through_var)
            }
        }
    }

    /// The gradient of each operand, of the result's shape where nothing else is said.
    fn gradient(
        self,
        builder: &mut Builder,
        inputs: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Vec<Grad> {
        let a = inputs[0];
        let b = inputs.get(1).copied().unwrap_or(a);
        let mut op = |op: Pointwise, operands: &[ValueId]| builder.pointwise(op, operands);
        let values = |values: &[ValueId]| values.iter().map(|&value| Grad::Value(value)).collect();
        match self {
            Pointwise::Add => values(&[dy, dy]),
            Pointwise::Sub => {
                let db = op(Pointwise::Neg, &[dy]);
                values(&[dy, db])
            }
            Pointwise::Mul => {
                let da = op(Pointwise::Mul, &[dy, b]);
                let db = op(Pointwise::Mul, &[dy, a]);
                values(&[da, db])
            }
            Pointwise::MulAdd => {
                let da = op(Pointwise::Mul, &[dy, b]);
                let db = op(Pointwise::Mul, &[dy, a]);
                values(&[da, db, dy])
            }
            Pointwise::Div => {
                let da = op(Pointwise::Div, &[dy, b]);
                let weighted = op(Pointwise::Mul, &[da, y]);
                let db = op(Pointwise::Neg, &[weighted]);
                values(&[da, db])
            }
            Pointwise::Max | Pointwise::Min => {
                let lead = if self == Pointwise::Max {
                    [b, a]
                } else {
                    [a, b]
                };
                let lead = op(Pointwise::Sub, &lead);
                let db = op(Pointwise::ReluGrad, &[lead, dy]);
                let da = op(Pointwise::Sub, &[dy, db]);
                values(&[da, db])
            }
            Pointwise::Neg => {
                let da = op(Pointwise::Neg, &[dy]);
                values(&[da])
            }
            Pointwise::Sqrt => {
                let quotient = op(Pointwise::Div, &[dy, y]);
                values(&[scaled(builder, quotient, 0.5)])
            }
            Pointwise::Rsqrt => {
                let squared = op(Pointwise::Square, &[y]);
                let cubed = op(Pointwise::Mul, &[squared, y]);
                let product = op(Pointwise::Mul, &[dy, cubed]);
                values(&[scaled(builder, product, -0.5)])
            }
            Pointwise::Exp => {
                let da = op(Pointwise::Mul, &[dy, y]);
                values(&[da])
            }
            Pointwise::Log => {
                let da = op(Pointwise::Div, &[dy, a]);
                values(&[da])
            }
            Pointwise::Relu => {
                let da = op(Pointwise::ReluGrad, &[y, dy]);
                values(&[da])
            }
            Pointwise::Tanh => {
                let da = op(Pointwise::TanhGrad, &[y, dy]);
                values(&[da])
            }
            Pointwise::Sigmoid => {
                let da = op(Pointwise::SigmoidGrad, &[y, dy]);
                values(&[da])
            }
            Pointwise::Square => {
                let product = op(Pointwise::Mul, &[dy, a]);
                values(&[scaled(builder, product, 2.0)])
            }
            Pointwise::Prelu => {
                // The sign of y is that of x unless the slope is negative; then x need not be kept.
                let from = if is_positive(builder, b) { y } else { a };
                let dx = builder.pointwise(Pointwise::PreluGrad, &[from, b, dy]);
                let zero = builder.constant(0.0);
                let below = builder.pointwise(Pointwise::Min, &[a, zero]);
                let dslope = builder.pointwise(Pointwise::Mul, &[dy, below]);
                values(&[dx, dslope])
            }
            Pointwise::Clip { lo, hi } => {
                let da = op(Pointwise::ClipGrad { lo, hi }, &[y, dy]);
                values(&[da])
            }
            Pointwise::Elu { alpha } => {
                let da = op(Pointwise::EluGrad { alpha }, &[y, dy]);
                values(&[da])
            }
            Pointwise::Softplus => {
                let da = op(Pointwise::SoftplusGrad, &[y, dy]);
                values(&[da])
            }
            Pointwise::Gelu => {
                let da = op(Pointwise::GeluGrad, &[a, dy]);
                values(&[da])
            }
            Pointwise::BinaryCrossEntropy => {
                let probability = op(Pointwise::Sigmoid, &[a]);
                let excess = op(Pointwise::Sub, &[probability, b]);
                let da = op(Pointwise::Mul, &[excess, dy]);
                let weighted = op(Pointwise::Mul, &[a, dy]);
                let db = op(Pointwise::Neg, &[weighted]);
                values(&[da, db])
            }
            // As with the rectifier below: constant in y other than at the steps.
            Pointwise::ClipGrad { .. } => vec![Grad::None, Grad::Value(op(self, &[a, dy]))],
            Pointwise::PreluGrad => vec![
                Grad::None,
                Grad::Unknown,
                Grad::Value(op(self, &[a, b, dy])),
            ],
            Pointwise::EluGrad { .. } | Pointwise::SoftplusGrad | Pointwise::GeluGrad => {
                vec![Grad::Unknown, Grad::Value(op(self, &[a, dy]))]
            }
            // It does not change with y, other than at the step.
            Pointwise::ReluGrad => vec![Grad::None, Grad::Value(op(Pointwise::ReluGrad, &[a, dy]))],
            Pointwise::TanhGrad => {
                let db = op(Pointwise::TanhGrad, &[a, dy]);
                let product = op(Pointwise::Mul, &[a, b]);
                let product = op(Pointwise::Mul, &[product, dy]);
                values(&[scaled(builder, product, -2.0), db])
            }
            Pointwise::SigmoidGrad => {
                let db = op(Pointwise::SigmoidGrad, &[a, dy]);
                let product = op(Pointwise::Mul, &[b, dy]);
                let weighted = op(Pointwise::Mul, &[product, a]);
                let twice = scaled(builder, weighted, 2.0);
                let da = builder.pointwise(Pointwise::Sub, &[product, twice]);
                values(&[da, db])
            }
            Pointwise::BatchNorm { eps, batch_stats } => {
                norm::batch_norm_gradient(builder, inputs, dy, eps, batch_stats)
            }
            Pointwise::BatchNormGrad { .. } => vec![Grad::Unknown; MAX_ARITY],
        }
    }
}

/// Whether a value is a number that is not negative.
fn is_positive(builder: &Builder, value: ValueId) -> bool {
    let graph = builder.graph();
    let producer = graph.producer(value);
    producer.is_some_and(|node| matches!(graph.nodes[node].op, Op::Constant(value) if value >= 0.0))
}

/// A value times a number.
pub(crate) fn scaled(builder: &mut Builder, value: ValueId, factor: f32) -> ValueId {
    if factor == 1.0 {
        return value;
    }
    let factor = builder.constant(factor);
    builder.pointwise(Pointwise::Mul, &[value, factor])
}

/// The shape that all stretch to: along each axis the largest size.
fn widest(inputs: &[Type]) -> Result<Shape, ShapeError> {
    let shapes = || inputs.iter().map(|ty| &ty.shape);
    let axes = shapes().map(|shape| shape.dims.len()).max().unwrap_or(0);
    let size = |axis: usize| {
        shapes()
            .filter_map(|shape| shape.dims.get(axis).copied())
            .max()
    };
    let widest = Shape {
        batched: shapes().any(|shape| shape.batched),
        dims: (0..axes).filter_map(size).collect(),
    };
    if shapes().all(|from| from.stretches_to(&widest)) {
        return Ok(widest);
    }
    let largest = shapes().max_by_key(|shape| (shape.batched, shape.dims.len(), shape.elements()));
    let largest = largest.expect("every row has an operand");
    let (index, misfit) = shapes()
        .enumerate()
        .find(|(_, from)| !from.stretches_to(largest))
        .expect("one does not, or the largest were the widest");
    Err(ShapeError::Stretch {
        operand: index + 1,
        found: misfit.dims.to_vec(),
        widest: largest.dims.to_vec(),
    })
}

impl OpRules for Pointwise {
    fn name(&self) -> &'static str {
        self.row().0
    }

    fn attributes(&self) -> String {
        match self {
            Pointwise::BatchNorm {
                eps,
                batch_stats: false,
            } => format!("eps {eps:?}"),
            Pointwise::BatchNorm {
                eps,
                batch_stats: true,
            } => format!("eps {eps:?} batch_stats"),
            Pointwise::BatchNormGrad { eps } => format!("eps {eps:?}"),
            Pointwise::Clip { lo, hi } | Pointwise::ClipGrad { lo, hi } => {
                format!("lo {lo:?} hi {hi:?}")
            }
            Pointwise::Elu { alpha } | Pointwise::EluGrad { alpha } => format!("alpha {alpha:?}"),
            Pointwise::Prelu
            | Pointwise::PreluGrad
            | Pointwise::Softplus
            | Pointwise::SoftplusGrad
            | Pointwise::Gelu
            | Pointwise::GeluGrad
            | Pointwise::BinaryCrossEntropy
            | Pointwise::Add
            | Pointwise::Sub
            | Pointwise::Mul
            | Pointwise::MulAdd
            | Pointwise::Div
            | Pointwise::Max
            | Pointwise::Min
            | Pointwise::Neg
            | Pointwise::Sqrt
            | Pointwise::Rsqrt
            | Pointwise::Exp
            | Pointwise::Log
            | Pointwise::Relu
            | Pointwise::ReluGrad
            | Pointwise::Tanh
            | Pointwise::TanhGrad
            | Pointwise::Sigmoid
            | Pointwise::SigmoidGrad
            | Pointwise::Square => String::new(),
        }
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        if inputs.len() != self.arity() {
            return Err(ShapeError::Arity {
                expected: self.arity(),
                found: inputs.len(),
            });
        }
        for input in inputs {
            error::floats(input, "operand")?;
        }
        Ok(vec![Type::f32(widest(inputs)?)])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let types: Vec<Type> = inputs
            .iter()
            .map(|x| Type::f32(x.shape().clone()))
            .collect();
        let shape = widest(&types).expect("the shape rule said yes");
        let sources: Vec<Vec<usize>> = inputs
            .iter()
            .map(|x| array::stretched(x.shape(), &shape, batch))
            .collect();
        let mut operands = [T::ZERO; MAX_ARITY];
        let data = (0..array::len(&shape, batch)).map(|position| {
            for ((operand, input), source) in operands.iter_mut().zip(inputs).zip(&sources) {
                *operand = input.data()[source[position]];
            }
            self.scalar(&operands[..inputs.len()])
        });
        let data = data.collect();
        vec![Array::new(shape, data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[y], &[Some(dy)]) = (at.outputs, at.grads) else {
            unreachable!("one output")
        };
        let grads = self.gradient(builder, at.inputs, y, dy);
        let narrowed = grads
            .into_iter()
            .zip(at.inputs)
            .map(|(grad, &input)| match grad {
                Grad::Value(grad) => Grad::Value(reduce::narrowed(builder, grad, input)),
                Grad::None | Grad::Unknown => grad,
            });
        narrowed.collect()
    }
}

#[cfg(test)]
mod tests;
