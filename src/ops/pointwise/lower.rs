//! Element-wise operators in registers.

use super::Pointwise;
use crate::kernel::BodyBuilder;
use crate::kernel::{Cmp, Reg, math};

/// The operator's result for operands in registers.
pub fn emit(op: &Pointwise, b: &mut BodyBuilder, x: &[Reg]) -> Reg {
    match *op {
        Pointwise::Add => b.add(x[0], x[1]),
        Pointwise::Sub => b.sub(x[0], x[1]),
        Pointwise::Mul => b.mul(x[0], x[1]),
        Pointwise::MulAdd => b.fma(x[0], x[1], x[2]),
        Pointwise::Div => b.div(x[0], x[1]),
        Pointwise::Max => nan_or(b, Cmp::Gt, x[0], x[1]),
        Pointwise::Min => nan_or(b, Cmp::Lt, x[0], x[1]),
        Pointwise::Neg => b.neg(x[0]),
        Pointwise::Square => b.mul(x[0], x[0]),
        Pointwise::Sqrt => b.sqrt(x[0]),
        Pointwise::Rsqrt => {
            let root = b.sqrt(x[0]);
            let one = b.const_f(1.0);
            b.div(one, root)
        }
        Pointwise::Exp => math::exp(b, x[0]),
        Pointwise::Log => math::log(b, x[0]),
        // `max` gives its second operand where either is NaN, so NaN stays NaN.
        Pointwise::Relu => {
            let zero = b.const_f(0.0);
            b.max(zero, x[0])
        }
        Pointwise::ReluGrad => {
            let zero = b.const_f(0.0);
            positive_or(b, x[0], x[1], zero)
        }
        Pointwise::Tanh => math::tanh(b, x[0]),
        // (1 - y²) · dy
        Pointwise::TanhGrad => {
            let one = b.const_f(1.0);
            let slope = b.fma_neg(x[0], x[0], one);
            b.mul(slope, x[1])
        }
        Pointwise::Sigmoid => math::sigmoid(b, x[0]),
        // y · (1 - y) · dy
        Pointwise::SigmoidGrad => {
            let slope = b.fma_neg(x[0], x[0], x[0]);
            b.mul(slope, x[1])
        }
        Pointwise::Prelu => {
            let sloped = b.mul(x[0], x[1]);
            positive_or(b, x[0], x[0], sloped)
        }
        Pointwise::PreluGrad => {
            let sloped = b.mul(x[1], x[2]);
            positive_or(b, x[0], x[2], sloped)
        }
        // `min` and `max` give their second operand where either is NaN.
        Pointwise::Clip { lo, hi } => {
            let (lo, hi) = (b.const_f(lo), b.const_f(hi));
            let below = b.min(hi, x[0]);
            b.max(lo, below)
        }
        Pointwise::ClipGrad { lo, hi } => {
            let (lo, hi, zero) = (b.const_f(lo), b.const_f(hi), b.const_f(0.0));
            let above = b.select(Cmp::Gt, x[0], lo, x[1], zero);
            b.select(Cmp::Lt, x[0], hi, above, zero)
        }
        Pointwise::Elu { alpha } => {
            let alpha = b.const_f(alpha);
            let below = math::expm1(b, x[0]);
            let below = b.mul(alpha, below);
            positive_or(b, x[0], x[0], below)
        }
        Pointwise::EluGrad { alpha } => {
            let alpha = b.const_f(alpha);
            let slope = b.add(x[0], alpha);
            let below = b.mul(slope, x[1]);
            positive_or(b, x[0], x[1], below)
        }
        Pointwise::Softplus => math::softplus(b, x[0]),
        // The output is not negative, so that the power does not overflow.
        Pointwise::SoftplusGrad => {
            let minus = b.neg(x[0]);
            let less_one = math::expm1(b, minus);
            let slope = b.neg(less_one);
            b.mul(slope, x[1])
        }
        Pointwise::Gelu => math::gelu(b, x[0]),
        Pointwise::GeluGrad => {
            let slope = math::gelu_slope(b, x[0]);
            b.mul(slope, x[1])
        }
        // The first two terms are exact for targets 0 and 1; the third is added last.
        Pointwise::BinaryCrossEntropy => {
            let zero = b.const_f(0.0);
            let positive = b.max(zero, x[0]);
            let margin = b.fma_neg(x[0], x[1], positive);
            let magnitude = b.abs(x[0]);
            let below = b.neg(magnitude);
            let rest = math::softplus(b, below);
            b.add(margin, rest)
        }
        Pointwise::BatchNorm { eps, .. } => {
            let [x, mean, variance, gamma, beta] = [x[0], x[1], x[2], x[3], x[4]];
            let inverse = inverse_deviation(b, variance, eps);
            let scale = b.mul(gamma, inverse);
            // Centred first: a constant channel gives exactly beta.
            let centred = b.sub(x, mean);
            b.fma(centred, scale, beta)
        }
        Pointwise::BatchNormGrad { eps } => {
            let [
                dy,
                x,
                mean,
                variance,
                gamma,
                sum,
                sum_centred,
                inverse_count,
            ] = [x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]];
            let inverse = inverse_deviation(b, variance, eps);
            let scale = b.mul(gamma, inverse);
            let mean_dy = b.mul(sum, inverse_count);
            let mean_centred = b.mul(sum_centred, inverse_count);
            let square = b.mul(inverse, inverse);
            let slope = b.mul(mean_centred, square);
            let centred = b.sub(x, mean);
            let less = b.sub(dy, mean_dy);
            let less = b.fma_neg(centred, slope, less);
            b.mul(less, scale)
        }
    }
}

fn inverse_deviation(b: &mut BodyBuilder, variance: Reg, eps: f32) -> Reg {
    let eps = b.const_f(eps);
    let shifted = b.add(variance, eps);
    let root = b.sqrt(shifted);
    let one = b.const_f(1.0);
    b.div(one, root)
}

/// The first of two where a register is positive, else the second; so the second where it is NaN.
fn positive_or(b: &mut BodyBuilder, of: Reg, above: Reg, below: Reg) -> Reg {
    let zero = b.const_f(0.0);
    b.select(Cmp::Gt, of, zero, above, below)
}

/// The one of two that compares so, or NaN if either is.
fn nan_or(b: &mut BodyBuilder, cmp: Cmp, x: Reg, y: Reg) -> Reg {
    let chosen = b.select(cmp, x, y, x, y);
    b.select(Cmp::Unordered, x, x, x, chosen)
}
