//! Layers as authors of nets know them, made of operators. The front end calls these with values
//! it has at hand, so that what a layer means stands here, once.

use super::pointwise::scaled;
use super::pool::MaxPool;
use super::window::{Pads, Window};
use super::{AvgPool, Conv2d, Op, Pointwise, ShapeError, dropout, error, norm};
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
    let [channels, height, width] = dims_of_map(builder, x)?;
    let y = max_pool(builder, x, Window::new([height, width]))?;
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

/// [N, C, …] → [N, C / pieces, …]: the maximum over each `pieces` consecutive channels (Goodfellow
/// et al. 2013).
///
/// # Errors
///
/// The pieces do not divide the channels.
pub fn maxout(builder: &mut Builder, x: ValueId, pieces: usize) -> Result<ValueId, ShapeError> {
    let mut dims = builder.graph().dims(x).to_vec();
    let channels = dims.first().copied().unwrap_or(0);
    if pieces == 0 || channels == 0 || !channels.is_multiple_of(pieces) {
        return Err(ShapeError::Pieces { channels, pieces });
    }
    let pixels = dims[1..].iter().product();
    dims[0] = channels / pieces;
    let rows = fit(builder, Op::Reshape(vec![1, channels, pixels]), &[x])?;
    let window = Window {
        stride: [pieces, 1],
        ..Window::new([pieces, 1])
    };
    let largest = max_pool(builder, rows, window)?;
    fit(builder, Op::Reshape(dims), &[largest])
}

/// The attributes of [`local_response_norm`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LocalResponseNorm {
    /// Channels in the window.
    pub size: usize,
    /// The factor of the sum of squares.
    pub alpha: f32,
    /// The power.
    pub beta: f32,
    /// The offset.
    pub k: f32,
    /// Whether alpha is divided by the window's size, as in Caffe and PyTorch; the paper's isn't.
    pub by_window: bool,
}

/// [N, C, H, W] → the same: `x[c] / (k + alpha · Σ x[j]²)^beta`, j over the `size` channels around c
/// (Krizhevsky et al. 2012, 3.3). An even window has its larger half before c.
///
/// # Errors
///
/// The input is no map, or the size is 0.
pub fn local_response_norm(
    builder: &mut Builder,
    x: ValueId,
    norm: LocalResponseNorm,
) -> Result<ValueId, ShapeError> {
    let [channels, height, width] = dims_of_map(builder, x)?;
    let squares = builder.pointwise(Pointwise::Square, &[x]);
    let rows = fit(
        builder,
        Op::Reshape(vec![1, channels, height * width]),
        &[squares],
    )?;
    let before = norm.size / 2;
    let pads = Pads {
        top: before,
        bottom: norm.size.saturating_sub(before + 1),
        ..Pads::default()
    };
    let window = Window {
        pads,
        ..Window::new([norm.size, 1])
    };
    // Counting padding, the mean is the sum over the window divided by its size.
    let means = avg_pool(builder, rows, window, true)?;
    let means = fit(
        builder,
        Op::Reshape(vec![channels, height, width]),
        &[means],
    )?;
    #[allow(clippy::cast_precision_loss, reason = "a window has few channels")]
    let alpha = if norm.by_window {
        norm.alpha
    } else {
        norm.alpha * norm.size as f32
    };
    let sums = scaled(builder, means, alpha);
    let k = builder.constant(norm.k);
    let base = builder.pointwise(Pointwise::Add, &[sums, k]);
    let exponent = builder.pointwise(Pointwise::Log, &[base]);
    let exponent = scaled(builder, exponent, -norm.beta);
    let factor = builder.pointwise(Pointwise::Exp, &[exponent]);
    Ok(builder.pointwise(Pointwise::Mul, &[x, factor]))
}

#[cfg(test)]
mod tests;
