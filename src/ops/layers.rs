//! Layers as authors of nets know them, made of operators. The front end calls these with values
//! it has at hand, so that what a layer means stands here, once.

use super::lrn::Lrn;
use super::maximum::{Over, ReduceMax};
use super::pointwise::scaled;
use super::pool::MaxPool;
use super::window::{Pads, Window};
use super::{AvgPool, Conv2d, Index, Op, Pointwise, ShapeError, dropout, error, norm};
use crate::ir::{
    Builder, Distribution, Init, Param, ParamRole, Scaled, Scaling, Shape, StepScalar, ValueId,
};

/// The parameters of a convolution or a dense layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affine {
    /// The filter or matrix.
    pub weight: ValueId,
    /// One number an output.
    pub bias: Option<ValueId>,
}

/// How a filter or matrix starts; the fans follow from its shape.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum WeightInit {
    /// [`Init::FanInUniform`].
    FanIn,
    /// [`Scaling::HeFanIn`], normal.
    He,
    /// [`Scaling::Xavier`], uniform.
    Xavier,
    /// [`Init::Constant`].
    Constant(f32),
}

/// The parameters of a batch norm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchNormParams {
    /// The factor after normalising.
    pub gamma: ValueId,
    /// The offset after normalising.
    pub beta: ValueId,
    /// The running mean.
    pub mean: ValueId,
    /// The running variance, unbiased.
    pub var: ValueId,
}

/// The attributes of a batch norm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNorm {
    /// Keeps the divisor from zero.
    pub eps: f32,
    /// The share of the batch in the new running statistics.
    pub momentum: f32,
    /// Whether the batch's own statistics normalise.
    pub train: bool,
}

/// A single output of a node whose inputs may not fit.
fn fit(
    builder: &mut Builder,
    op: impl Into<Op>,
    inputs: &[ValueId],
) -> Result<ValueId, ShapeError> {
    Ok(builder.try_node(op.into(), inputs)?[0])
}

fn dims_of_map(builder: &Builder, x: ValueId) -> Result<[usize; 3], ShapeError> {
    error::map(builder.graph().ty(x), "input")
}

fn affine(
    builder: &mut Builder,
    path: &str,
    dims: &[usize],
    outputs_reached: usize,
    bias: bool,
    init: WeightInit,
) -> Affine {
    let fan_in = dims[1..].iter().product();
    let scaled = |scaling, distribution| {
        Init::Scaled(Scaled {
            scaling,
            distribution,
            gain: 1.0,
            fan_in,
            fan_out: outputs_reached,
        })
    };
    let init = match init {
        WeightInit::FanIn => Init::FanInUniform { fan_in },
        WeightInit::He => scaled(Scaling::HeFanIn, Distribution::Normal),
        WeightInit::Xavier => scaled(Scaling::Xavier, Distribution::Uniform),
        WeightInit::Constant(value) => Init::Constant(value),
    };
    let name = format!("{path}.weight");
    let weight = builder.param(
        dims,
        Param {
            name,
            role: ParamRole::Weight,
            init,
        },
    );
    let bias = bias.then(|| {
        let init = Init::FanInUniform { fan_in };
        let param = Param {
            name: format!("{path}.bias"),
            role: ParamRole::Bias,
            init,
        };
        builder.param([dims[0]], param)
    });
    Affine { weight, bias }
}

/// The parameters of [`conv2d`] between so many channels.
///
/// # Errors
///
/// The groups do not divide the channels.
pub fn conv2d_params(
    builder: &mut Builder,
    path: &str,
    conv: &Conv2d,
    [channels, outputs]: [usize; 2],
    bias: bool,
    init: WeightInit,
) -> Result<Affine, ShapeError> {
    let dims = conv.filter(channels, outputs)?;
    let reached = outputs / conv.groups * dims[2] * dims[3];
    Ok(affine(builder, path, &dims, reached, bias, init))
}

/// [N, C, H, W] → [N, K, H', W']: a convolution, plus a bias an output channel.
///
/// # Errors
///
/// The input is no map, or window or channels do not fit it.
pub fn conv2d(
    builder: &mut Builder,
    x: ValueId,
    params: Affine,
    conv: Conv2d,
) -> Result<ValueId, ShapeError> {
    let y = fit(builder, conv, &[x, params.weight])?;
    biased(builder, y, params.bias)
}

/// The parameters of [`dense`] between so many features.
pub fn dense_params(
    builder: &mut Builder,
    path: &str,
    [features, outputs]: [usize; 2],
    bias: bool,
    init: WeightInit,
) -> Affine {
    affine(builder, path, &[outputs, features], outputs, bias, init)
}

/// [N, F] → [N, K]: every output is a weighted sum of all features, plus a bias.
///
/// # Errors
///
/// The input is no vector, or has another length.
pub fn dense(builder: &mut Builder, x: ValueId, params: Affine) -> Result<ValueId, ShapeError> {
    let y = fit(builder, Op::Dense, &[x, params.weight])?;
    biased(builder, y, params.bias)
}

fn biased(builder: &mut Builder, y: ValueId, bias: Option<ValueId>) -> Result<ValueId, ShapeError> {
    bias.map_or(Ok(y), |bias| fit(builder, Pointwise::Add, &[y, bias]))
}

/// The parameters of [`batch_norm`], named as in PyTorch. Without `affine` factor and offset are
/// the numbers 1 and 0.
pub fn batch_norm_params(
    builder: &mut Builder,
    path: &str,
    channels: usize,
    affine: bool,
) -> BatchNormParams {
    let mut param = |name: &str, role: ParamRole, start: f32| {
        let (name, init) = (format!("{path}.{name}"), Init::Constant(start));
        builder.param([channels], Param { name, role, init })
    };
    let learned = affine.then(|| {
        (
            param("weight", ParamRole::Scale, 1.0),
            param("bias", ParamRole::Shift, 0.0),
        )
    });
    let mean = param("running_mean", ParamRole::Statistic, 0.0);
    let var = param("running_var", ParamRole::Statistic, 1.0);
    let (gamma, beta) = learned.unwrap_or_else(|| (builder.constant(1.0), builder.constant(0.0)));
    BatchNormParams {
        gamma,
        beta,
        mean,
        var,
    }
}

/// [N, C, …] → [N, C, …]: each channel shifted and scaled to mean 0 and variance 1, then to a
/// learned mean and variance (Ioffe and Szegedy 2015).
///
/// In training the batch's own mean and biased variance normalise, and the running statistics
/// take `momentum` of its mean and *unbiased* variance; at rest the running statistics normalise.
///
/// # Errors
///
/// The input has no channels, or another number of them.
pub fn batch_norm(
    builder: &mut Builder,
    x: ValueId,
    params: BatchNormParams,
    BatchNorm {
        eps,
        momentum,
        train,
    }: BatchNorm,
) -> Result<ValueId, ShapeError> {
    let BatchNormParams {
        gamma,
        beta,
        mean,
        var,
    } = params;
    let op = Pointwise::BatchNorm {
        eps,
        batch_stats: train,
    };
    if !train {
        return fit(builder, op, &[x, mean, var, gamma, beta]);
    }
    let stats = builder.try_node(Op::BatchStats, &[x])?;
    let y = fit(builder, op, &[x, stats[0], stats[1], gamma, beta])?;
    // In a shared body the statistics move once for each use, one after the other.
    let running = [mean, var];
    let current = running.map(|statistic| builder.updated(statistic));
    let next = norm::running_stats(builder, x, [stats[0], stats[1]], current, momentum);
    for (statistic, next) in running.into_iter().zip(next) {
        builder.update(statistic, next);
    }
    Ok(y)
}

/// [N, C, H, W] → [N, C, H', W'].
///
/// # Errors
///
/// The input is no map, or the window does not fit it.
pub fn max_pool(builder: &mut Builder, x: ValueId, window: Window) -> Result<ValueId, ShapeError> {
    fit(builder, MaxPool { window }, &[x])
}

/// [N, C, H, W] → [N, C, H', W'].
///
/// # Errors
///
/// The input is no map, or the window does not fit it.
pub fn avg_pool(
    builder: &mut Builder,
    x: ValueId,
    window: Window,
    include_pad: bool,
) -> Result<ValueId, ShapeError> {
    fit(
        builder,
        AvgPool {
            window,
            include_pad,
        },
        &[x],
    )
}

/// What [`reduce`] makes of the elements along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduce {
    /// Their sum.
    Sum,
    /// Their sum divided by their number.
    Mean,
    /// The greatest; see [`ReduceMax`].
    Max,
}

/// What [`reduce`] goes along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Axis {
    /// The channels: [N, C, …] → [N, 1, …].
    Channels,
    /// The rows: [N, C, H, W] → [N, C, 1, W].
    Height,
    /// The columns: [N, C, H, W] → [N, C, H, 1].
    Width,
    /// The pixels: [N, C, H, W] → [N, C, 1, 1].
    Space,
}

/// A sum, mean or maximum along an axis, which stays with size 1.
///
/// # Errors
///
/// The input has no such axis.
pub fn reduce(
    builder: &mut Builder,
    x: ValueId,
    kind: Reduce,
    axis: Axis,
) -> Result<ValueId, ShapeError> {
    let mut shape = builder.graph().ty(x).shape.clone();
    let reduced = match axis {
        Axis::Channels => 0..shape.dims.len().min(1),
        _ => {
            dims_of_map(builder, x)?;
            match axis {
                Axis::Height => 1..2,
                Axis::Width => 2..3,
                Axis::Channels | Axis::Space => 1..3,
            }
        }
    };
    let count: usize = shape.dims[reduced.clone()].iter().product();
    if kind == Reduce::Max {
        let over = match axis {
            Axis::Channels => Over::Channels { pieces: count },
            Axis::Height => Over::Height,
            Axis::Width => Over::Width,
            Axis::Space => Over::Space,
        };
        return fit(builder, ReduceMax { over }, &[x]);
    }
    shape.dims[reduced].fill(1);
    let sum = fit(builder, Op::SumTo(shape), &[x])?;
    Ok(match kind {
        Reduce::Mean => scaled(builder, sum, norm::inverse(count)),
        Reduce::Sum | Reduce::Max => sum,
    })
}

/// [N, C, H, W] → [N, C]: the mean over all pixels.
///
/// # Errors
///
/// The input is no map.
pub fn global_avg_pool(builder: &mut Builder, x: ValueId) -> Result<ValueId, ShapeError> {
    let [channels, height, width] = dims_of_map(builder, x)?;
    let sum = fit(builder, Op::SumTo(Shape::batched([channels])), &[x])?;
    Ok(scaled(builder, sum, norm::inverse(height * width)))
}

/// [N, C, H, W] → [N, C]: the maximum over all pixels.
///
/// # Errors
///
/// The input is no map.
pub fn global_max_pool(builder: &mut Builder, x: ValueId) -> Result<ValueId, ShapeError> {
    let [channels, ..] = dims_of_map(builder, x)?;
    let y = reduce(builder, x, Reduce::Max, Axis::Space)?;
    fit(builder, Op::Reshape(vec![channels]), &[y])
}

/// Any shape → [N, F], in C, H, W order.
///
/// # Errors
///
/// None is known.
pub fn flatten(builder: &mut Builder, x: ValueId) -> Result<ValueId, ShapeError> {
    let elements = builder.graph().ty(x).shape.elements();
    fit(builder, Op::Reshape(vec![elements]), &[x])
}

/// [N, C, …] → the same: over the channels of each pixel.
///
/// # Errors
///
/// The input has no channels.
pub fn softmax(builder: &mut Builder, x: ValueId) -> Result<ValueId, ShapeError> {
    fit(builder, Op::Softmax, &[x])
}

/// In training, elements zeroed at random and the rest scaled up; at rest, the input itself.
///
/// # Errors
///
/// The rate is not from 0 to 1.
pub fn dropout(
    builder: &mut Builder,
    x: ValueId,
    dropout: dropout::Dropout,
    train: bool,
) -> Result<ValueId, ShapeError> {
    if !(0.0..=1.0).contains(&dropout.rate) {
        return Err(ShapeError::Rate { rate: dropout.rate });
    }
    if !train {
        return Ok(x);
    }
    let seed = builder.step_scalar(StepScalar::Seed);
    fit(builder, dropout, &[x, seed])
}

/// In training, whole samples zeroed at random and the rest scaled up by 1 / (1 - rate); at rest, the
/// input itself (Huang et al. 2016, "Deep Networks with Stochastic Depth", in the inverted form, which
/// leaves a network at rest as it is).
///
/// # Errors
///
/// The rate is not from 0 to 1.
pub fn stochastic_depth(
    builder: &mut Builder,
    x: ValueId,
    dropout: dropout::Dropout,
    train: bool,
) -> Result<ValueId, ShapeError> {
    if !(0.0..=1.0).contains(&dropout.rate) {
        return Err(ShapeError::Rate { rate: dropout.rate });
    }
    if !train {
        return Ok(x);
    }
    let one = builder.constant(1.0);
    let ones = fit(builder, Op::Expand(Shape::batched([])), &[one])?;
    let seed = builder.step_scalar(StepScalar::Seed);
    let gates = fit(builder, dropout, &[ones, seed])?;
    fit(builder, Pointwise::Mul, &[x, gates])
}

/// [N, C, …] → the same: each channel times a number, plus a number.
///
/// # Errors
///
/// The numbers are not one a channel.
pub fn scale(
    builder: &mut Builder,
    x: ValueId,
    factor: ValueId,
    shift: ValueId,
) -> Result<ValueId, ShapeError> {
    let scaled = fit(builder, Pointwise::Mul, &[x, factor])?;
    fit(builder, Pointwise::Add, &[scaled, shift])
}

/// [N, C, …] → the same: the channels of `groups` groups dealt out in turn (Zhang et al. 2018,
/// "ShuffleNet", 3.1).
///
/// # Errors
///
/// The groups do not divide the channels.
pub fn shuffle(builder: &mut Builder, x: ValueId, groups: usize) -> Result<ValueId, ShapeError> {
    let channels = builder.graph().dims(x).first().copied().unwrap_or(0);
    fit(builder, Index::shuffle(channels, groups)?, &[x])
}

/// [N, C, …] → [N, C / pieces, …]: the maximum over each `pieces` consecutive channels (Goodfellow
/// et al. 2013).
///
/// # Errors
///
/// The pieces do not divide the channels.
pub fn maxout(builder: &mut Builder, x: ValueId, pieces: usize) -> Result<ValueId, ShapeError> {
    let over = Over::Channels { pieces };
    fit(builder, ReduceMax { over }, &[x])
}

/// What the window of [`local_response_norm`] covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Across {
    /// `size` channels of one pixel.
    Channels,
    /// `size` x `size` pixels of one channel.
    Space,
}

/// The attributes of [`local_response_norm`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LocalResponseNorm {
    /// Channels in the window, or pixels along a side of it.
    pub size: usize,
    /// The factor of the sum of squares.
    pub alpha: f32,
    /// The power.
    pub beta: f32,
    /// The offset.
    pub k: f32,
    /// What the window covers.
    pub across: Across,
    /// Whether alpha is divided by the window's elements, as in Caffe and PyTorch; the paper's isn't.
    pub by_window: bool,
}

/// [N, C, H, W] → the same: `x / (k + alpha · Σ x²)^beta`, the sum going over the window around each
/// element (Krizhevsky et al. 2012, 3.3, across channels; Caffe also knows it within a channel). An
/// even window has its larger half before the element.
///
/// # Errors
///
/// The input is no map, or the size is 0.
pub fn local_response_norm(
    builder: &mut Builder,
    x: ValueId,
    norm: LocalResponseNorm,
) -> Result<ValueId, ShapeError> {
    let LocalResponseNorm {
        size,
        alpha,
        beta,
        k,
        across,
        by_window,
    } = norm;
    dims_of_map(builder, x)?;
    let before = size / 2;
    let after = size.saturating_sub(before + 1);
    let pads = Pads {
        top: before,
        left: before,
        bottom: after,
        right: after,
    };
    let window = Window {
        pads,
        ..Window::new([size; 2])
    };
    #[allow(clippy::cast_precision_loss, reason = "windows are small")]
    let pixels = (size * size) as f32;
    if across == Across::Channels {
        if size == 0 {
            // As the rule of a window says it.
            window.output([1, 1])?;
        }
        let lrn = Lrn {
            size,
            alpha,
            beta,
            k,
            by_window,
        };
        return fit(builder, lrn, &[x]);
    }
    // Counting padding, the mean is the sum over the window divided by its size.
    let squares = builder.pointwise(Pointwise::Square, &[x]);
    let means = avg_pool(builder, squares, window, true)?;
    let sums = scaled(
        builder,
        means,
        if by_window { alpha } else { alpha * pixels },
    );
    let k = builder.constant(k);
    let base = builder.pointwise(Pointwise::Add, &[sums, k]);
    let exponent = builder.pointwise(Pointwise::Log, &[base]);
    let exponent = scaled(builder, exponent, -beta);
    let factor = builder.pointwise(Pointwise::Exp, &[exponent]);
    Ok(builder.pointwise(Pointwise::Mul, &[x, factor]))
}

#[cfg(test)]
mod tests;
