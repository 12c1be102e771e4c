//! What batch normalisation needs beyond element-wise arithmetic: statistics over batch and pixels.
//!
//! Over the `M = N · H · W` elements of each channel of x `[N, C, H, W]` (a vector's features are its
//! channels):
//!
//! ```text
//! batch_stats:   mean = Σ x / M,   var = Σ (x - mean)² / M
//! channel_sums:  Σ g,   Σ g · (x - mean)
//! ```
//!
//! Source: Ioffe and Szegedy 2015, algorithm 1 and section 3. The variance that normalises is the
//! biased one; the running variance takes the unbiased one (ibid., algorithm 2).

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::pointwise::scaled;
use super::{Grad, GradInputs, Op, OpRules, Pointwise};
use crate::ir::{Builder, Shape, StepScalar, Type, ValueId};

/// [N, C, …] → mean [C], biased variance [C].
pub(super) struct BatchStats;
/// (gradient, x, mean [C]) → sum of the gradient [C], sum of gradient · (x - mean) [C].
pub(super) struct ChannelSums;

/// The channels of a value whose statistics are taken.
fn channels(x: &Type, input: &'static str) -> Result<Type, ShapeError> {
    error::floats(x, input)?;
    if !x.shape.batched {
        return Err(ShapeError::Batched {
            input,
            expected: true,
        });
    }
    let &[channels, ..] = x.shape.dims.as_slice() else {
        return Err(ShapeError::Rank {
            input,
            expected: "[C, …]",
            found: Vec::new(),
        });
    };
    Ok(Type::f32(Shape::single([channels])))
}

/// Appends what moves running statistics towards those of a batch, as made by [`Op::BatchStats`]
/// from x: `(1 - momentum) · running + momentum · batch` for the mean and the unbiased variance.
/// Over a single element the variance is 0, and so is the unbiased one.
pub fn running_stats(
    builder: &mut Builder,
    x: ValueId,
    [mean, var]: [ValueId; 2],
    running: [ValueId; 2],
    momentum: f32,
) -> [ValueId; 2] {
    let share = inverse_count(builder, x);
    let one = builder.constant(1.0);
    let rest = builder.pointwise(Pointwise::Sub, &[one, share]);
    let least = builder.constant(f32::MIN_POSITIVE);
    let rest = builder.pointwise(Pointwise::Max, &[rest, least]);
    let unbiased = builder.pointwise(Pointwise::Div, &[var, rest]);
    [(running[0], mean), (running[1], unbiased)].map(|(running, batch)| {
        let distance = builder.pointwise(Pointwise::Sub, &[batch, running]);
        let step = scaled(builder, distance, momentum);
        builder.pointwise(Pointwise::Add, &[running, step])
    })
}

/// A value for 1 / M, which depends on the batch.
pub(super) fn inverse_count(builder: &mut Builder, x: ValueId) -> ValueId {
    let inverse_batch = builder.step_scalar(StepScalar::InverseBatch);
    let pixels = pixels(builder, x);
    if pixels == 1 {
        inverse_batch
    } else {
        scaled(builder, inverse_batch, inverse(pixels))
    }
}

/// Pixels of a channel.
pub(super) fn pixels(builder: &Builder, x: ValueId) -> usize {
    builder.graph().dims(x).iter().skip(1).product()
}

/// One over a number of elements.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a factor of that precision is meant"
)]
pub(crate) fn inverse(count: usize) -> f32 {
    (1.0 / count as f64) as f32
}

/// A whole number.
#[allow(clippy::cast_precision_loss, reason = "no tensor has 2^53 elements")]
fn count<T: Real>(count: usize) -> T {
    T::from_f64(count as f64)
}

impl OpRules for BatchStats {
    fn name(&self) -> &'static str {
        "batch_stats"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        let channels = channels(x, "input")?;
        Ok(vec![channels.clone(), channels])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (channels, pixels) = x.channels_and_pixels();
        let per_channel = Shape::single([channels]);
        let divisor = count::<T>(batch * pixels);
        let mut mean = Array::zeros(per_channel.clone(), batch);
        for (position, &value) in x.data().iter().enumerate() {
            mean.data_mut()[x.channel(position)] += value;
        }
        for sum in mean.data_mut() {
            *sum = *sum / divisor;
        }
        let mut var = Array::zeros(per_channel, batch);
        for (position, &value) in x.data().iter().enumerate() {
            let channel = x.channel(position);
            let distance = value - mean.data()[channel];
            var.data_mut()[channel] += distance * distance;
        }
        for sum in var.data_mut() {
            *sum = *sum / divisor;
        }
        vec![mean, var]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (x, mean) = (at.inputs[0], at.outputs[0]);
        let inverse_count = inverse_count(builder, x);
        let through_mean =
            at.grads[0].map(|dmean| builder.pointwise(Pointwise::Mul, &[dmean, inverse_count]));
        let through_var = at.grads[1].map(|dvar| {
            let slope = builder.pointwise(Pointwise::Mul, &[dvar, inverse_count]);
            let slope = scaled(builder, slope, 2.0);
            let distance = builder.pointwise(Pointwise::Sub, &[x, mean]);
            builder.pointwise(Pointwise::Mul, &[distance, slope])
        });
        let dx = match (through_mean, through_var) {
            (Some(mean), Some(var)) => builder.pointwise(Pointwise::Add, &[var, mean]),
            (None, Some(var)) => var,
            (Some(mean), None) => {
                let shape = builder.graph().ty(x).shape.clone();
                builder.op(Op::Expand(shape), &[mean])
            }
            (None, None) => return vec![Grad::None],
        };
        vec![Grad::Value(dx)]
    }
}

impl OpRules for ChannelSums {
    fn name(&self) -> &'static str {
        "channel_sums"
    }

    fn attributes(&self) -> String {
        String::new()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [grad, x, mean] = error::exactly(inputs)?;
        let channels = channels(x, "input")?;
        error::floats(grad, "gradient")?;
        error::same_shape(&grad.shape, &x.shape, "gradient")?;
        error::floats(mean, "mean")?;
        error::same_shape(&mean.shape, &channels.shape, "mean")?;
        Ok(vec![channels.clone(), channels])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (grad, x, mean) = (inputs[0], inputs[1], inputs[2]);
        let mut sum = Array::zeros(mean.shape().clone(), batch);
        let mut moment = sum.clone();
        for (position, (&grad, &value)) in grad.data().iter().zip(x.data()).enumerate() {
            let channel = x.channel(position);
            sum.data_mut()[channel] += grad;
            moment.data_mut()[channel] += grad * (value - mean.data()[channel]);
        }
        vec![sum, moment]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown; 3]
    }
}

/// The gradients of a batch norm's operands (x, mean, var, gamma, beta), each of the result's shape
/// or summed over batch and pixels already.
pub(super) fn batch_norm_gradient(
    builder: &mut Builder,
    inputs: &[ValueId],
    dy: ValueId,
    eps: f32,
    batch_stats: bool,
) -> Vec<Grad> {
    let &[x, mean, var, gamma, _] = inputs else {
        unreachable!("arity")
    };
    let sums = builder.node(Op::ChannelSums, &[dy, x, mean]);
    let (sum, moment) = (sums[0], sums[1]);
    let eps_value = builder.constant(eps);
    let shifted = builder.pointwise(Pointwise::Add, &[var, eps_value]);
    let inverse_std = builder.pointwise(Pointwise::Rsqrt, &[shifted]);
    let dgamma = builder.pointwise(Pointwise::Mul, &[moment, inverse_std]);
    let dbeta = sum;
    if batch_stats {
        let inverse_count = inverse_count(builder, x);
        let dx = builder.pointwise(
            Pointwise::BatchNormGrad { eps },
            &[dy, x, mean, var, gamma, sum, moment, inverse_count],
        );
        return vec![
            Grad::Value(dx),
            Grad::None,
            Grad::None,
            Grad::Value(dgamma),
            Grad::Value(dbeta),
        ];
    }
    let factor = builder.pointwise(Pointwise::Mul, &[gamma, inverse_std]);
    let dx = builder.pointwise(Pointwise::Mul, &[dy, factor]);
    let dmean = builder.pointwise(Pointwise::Mul, &[sum, factor]);
    let dmean = builder.pointwise(Pointwise::Neg, &[dmean]);
    let slope = builder.pointwise(Pointwise::Div, &[factor, shifted]);
    let dvar = builder.pointwise(Pointwise::Mul, &[moment, slope]);
    let dvar = scaled(builder, dvar, -0.5);
    [dx, dmean, dvar, dgamma, dbeta].map(Grad::Value).to_vec()
}
