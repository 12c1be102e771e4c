//! Lowers a group: finds its anchor's own lowering, or the element-wise loop.

use super::{Cx, Footprint, Group, Lowered, elementwise, halo};
use crate::codegen::Target;
use crate::ir::Graph;
use crate::ops::{
    Op, concat, conv, index, linear, loss, lrn, magnitude, maximum, norm, pool, reduce, reshape,
    softmax, winograd,
};

/// The kernels of a group. `name` starts their names.
pub fn lower(graph: &Graph, target: &Target, batch: usize, group: &Group, name: &str) -> Lowered {
    let mut cx = Cx::new(graph, target, batch, group, Some(name));
    steps(&mut cx);
    cx.lowered()
}

/// What the kernels of a group touch, without making them.
pub fn footprint(graph: &Graph, target: &Target, batch: usize, group: &Group) -> Footprint {
    let mut cx = Cx::new(graph, target, batch, group, None);
    steps(&mut cx);
    cx.footprint()
}

/// Appends the steps of the group.
fn steps(cx: &mut Cx<'_>) {
    let (graph, group) = (cx.graph, cx.group);
    for &value in &group.stores {
        halo::zero(cx, value);
    }
    let Some(anchor) = group.anchor else {
        return elementwise::lower(cx);
    };
    let node = &graph.nodes[anchor];
    match &node.op {
        Op::Conv2d(op) => conv::lower::forward(cx, op, node),
        Op::Conv2dInputGrad(op) => conv::lower::input_grad(cx, op, node),
        Op::Conv2dFilterGrad(op) => conv::lower::filter_grad(cx, op, node),
        Op::WinogradFilter(op) => winograd::lower::filter_taps(cx, op, node),
        Op::WinogradConv(op) => winograd::lower::conv(cx, op, node),
        Op::WinogradFilterGrad(op) => winograd::lower::filter_grad_of(cx, op, node),
        Op::Dense => linear::lower::forward(cx, node),
        Op::DenseInputGrad => linear::lower::input_grad(cx, node),
        Op::DenseFilterGrad => linear::lower::filter_grad(cx, node),
        Op::MaxPool(op) => pool::lower::max_pool(cx, op, node),
        Op::MaxPoolGrad(op) => pool::lower::max_pool_grad(cx, op, node),
        Op::AvgPool(op) => pool::lower::avg_pool(cx, op, node),
        Op::AvgPoolGrad(op) => pool::lower::avg_pool_grad(cx, op, node),
        Op::Numbers(numbers) => reduce::lower::numbers(cx, numbers, node),
        Op::SumTo(_) => reduce::lower::sum_to(cx, node),
        Op::SumSquares => magnitude::lower::sum_squares(cx, node),
        Op::MaxNorm(op) => magnitude::lower::max_norm(cx, *op, node),
        Op::BatchStats => norm::lower::batch_stats(cx, node),
        Op::ChannelSums => norm::lower::channel_sums(cx, node),
        Op::Softmax => softmax::lower::softmax(cx, node),
        Op::SoftmaxGrad => softmax::lower::softmax_grad(cx, node),
        Op::CrossEntropy(op) => loss::lower::cross_entropy(cx, *op, node),
        Op::CrossEntropyGrad(op) => loss::lower::cross_entropy_grad(cx, *op, node),
        Op::ReduceMax(op) => maximum::lower::reduce_max(cx, op, node),
        Op::ReduceMaxGrad(op) => maximum::lower::reduce_max_grad(cx, op, node),
        Op::LogSoftmax => softmax::lower::log_softmax(cx, node),
        Op::LogSoftmaxGrad => softmax::lower::log_softmax_grad(cx, node),
        Op::Lrn(op) => lrn::lower::forward(cx, op, node),
        Op::LrnGrad(op) => lrn::lower::grad(cx, op, node),
        Op::Reshape(_) | Op::Relayout => reshape::lower::relayout(cx, node),
        Op::Transpose(axes) => reshape::lower::transpose(cx, axes, node),
        Op::Concat(op) => concat::lower::concat(cx, op, node),
        Op::Slice(op) => concat::lower::slice(cx, op, node),
        Op::Pad(op) => concat::lower::pad(cx, op, node),
        Op::Index(op) => index::lower::index(cx, op, node),
        Op::IndexGrad(op) => index::lower::index_grad(cx, op, node),
        // One that its readers cannot reach as it is.
        Op::Expand(_) => reduce::lower::expand(cx, node),
        Op::Constant(_) | Op::Pointwise(_) | Op::Dropout(_) => {
            panic!("{}: an element-wise node is no anchor", cx.name)
        }
    }
}
