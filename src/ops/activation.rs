//! Activations as authors of nets know them, each a few element-wise operators that become one
//! kernel, or part of the kernel in front of them.
//!
//! Where a function has a kink, the gradient at it is PyTorch's: 0 for `relu` at 0 and for `relu6`,
//! `hard_sigmoid` and `clip` at both of their bounds, as `nn.Hardtanh` has it; the slope below zero
//! for `leaky_relu`, `prelu` and `elu` at 0; 0 and 1 for `hard_swish` at -3 and 3.
//!
//! `silu`, `gelu`, its approximation and `hard_swish` are products of x and a gate; at minus infinity that is
//! -∞ · 0, which is NaN, in PyTorch too. Their limit is 0, but a value that has overflowed should show.

use super::Pointwise;
use super::pointwise::scaled;
use crate::ir::{Builder, ValueId};

/// How a `prelu` starts (He et al. 2015, 2).
pub const PRELU_START: f32 = 0.25;

/// x · sigmoid(x) (Hendrycks and Gimpel 2016; Ramachandran, Zoph and Le 2017).
pub fn silu(builder: &mut Builder, x: ValueId) -> ValueId {
    let gate = builder.pointwise(Pointwise::Sigmoid, &[x]);
    builder.pointwise(Pointwise::Mul, &[x, gate])
}

/// x held between `lo` and `hi`, which is not below `lo`.
pub fn clip(builder: &mut Builder, x: ValueId, [lo, hi]: [f32; 2]) -> ValueId {
    builder.pointwise(Pointwise::Clip { lo, hi }, &[x])
}

/// x held between 0 and 6 (Howard et al. 2017).
pub fn relu6(builder: &mut Builder, x: ValueId) -> ValueId {
    clip(builder, x, [0.0, 6.0])
}

/// x where positive, slope · x elsewhere (Maas, Hannun and Ng 2013).
pub fn leaky_relu(builder: &mut Builder, x: ValueId, slope: f32) -> ValueId {
    let slope = builder.constant(slope);
    prelu(builder, x, slope)
}

/// x where positive, slope · x elsewhere, with a slope `[C]` a channel (He et al. 2015).
pub fn prelu(builder: &mut Builder, x: ValueId, slope: ValueId) -> ValueId {
    builder.pointwise(Pointwise::Prelu, &[x, slope])
}

/// x where positive, alpha · (e^x - 1) elsewhere (Clevert, Unterthiner and Hochreiter 2016).
pub fn elu(builder: &mut Builder, x: ValueId, alpha: f32) -> ValueId {
    builder.pointwise(Pointwise::Elu { alpha }, &[x])
}

/// x · Φ(x), Φ being the normal distribution (Hendrycks and Gimpel 2016).
pub fn gelu(builder: &mut Builder, x: ValueId) -> ValueId {
    builder.pointwise(Pointwise::Gelu, &[x])
}

/// √(8 / π) and 0.044715 times that: twice the factors of the approximation, as a sigmoid of twice
/// the argument stands for its hyperbolic tangent.
const TANH_GELU: [f32; 2] = [1.595_769_2, 0.071_354_814];

/// Where the approximation's gate is 0 or 1 to the last bit of single precision.
const TANH_GELU_FAR: f32 = 12.0;

/// The approximation of `gelu` that networks trained with it want: x / 2 · (1 + tanh(√(2 / π) · (x +
/// 0.044715 x³))) (ibid.). The cube is taken of a clipped x, so that no gradient is 0 · ∞.
pub fn gelu_tanh(builder: &mut Builder, x: ValueId) -> ValueId {
    let near = clip(builder, x, [-TANH_GELU_FAR, TANH_GELU_FAR]);
    let square = builder.pointwise(Pointwise::Square, &[near]);
    let cubic = scaled(builder, square, TANH_GELU[1]);
    let linear = builder.constant(TANH_GELU[0]);
    let factor = builder.pointwise(Pointwise::Add, &[cubic, linear]);
    let argument = builder.pointwise(Pointwise::Mul, &[near, factor]);
    let gate = builder.pointwise(Pointwise::Sigmoid, &[argument]);
    builder.pointwise(Pointwise::Mul, &[x, gate])
}

/// x / 6 + 1 / 2 held between 0 and 1 (Courbariaux, Bengio and David 2015; with PyTorch's slope).
pub fn hard_sigmoid(builder: &mut Builder, x: ValueId) -> ValueId {
    let sixth = scaled(builder, x, 1.0 / 6.0);
    let half = builder.constant(0.5);
    let line = builder.pointwise(Pointwise::Add, &[sixth, half]);
    clip(builder, line, [0.0, 1.0])
}

/// x · hard_sigmoid(x) (Howard et al. 2019, 5.2).
pub fn hard_swish(builder: &mut Builder, x: ValueId) -> ValueId {
    let gate = hard_sigmoid(builder, x);
    builder.pointwise(Pointwise::Mul, &[x, gate])
}

/// ln(1 + e^(beta x)) / beta (Dugas et al. 2001), for every x: no threshold beyond which it is x.
pub fn softplus(builder: &mut Builder, x: ValueId, beta: f32) -> ValueId {
    let x = scaled(builder, x, beta);
    let y = builder.pointwise(Pointwise::Softplus, &[x]);
    scaled(builder, y, 1.0 / beta)
}
