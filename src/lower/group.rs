//! Lowers a group: finds its anchor's own lowering, or the element-wise loop.

use super::{Cx, Group, Lowered, elementwise, halo};
use crate::codegen::Target;
use crate::ir::Graph;
use crate::ops::{
    Op, concat, conv, index, linear, loss, lrn, magnitude, maximum, norm, pool, reduce, reshape,
    softmax, winograd,
};

/// The kernels of a group. `name` starts their names.
pub fn lower(graph: &Graph, target: &Target, batch: usize, group: &Group, name: &str) -> Lowered {
    let mut cx = Cx::new(graph, target, batch, group, name.to_owned());
    for &value in &group.stores {
        halo::zero(&mut cx, value);
    }
    let Some(anchor) = group.anchor else {
        elementwise::lower(&mut cx);
        return cx.finish();
    };
    let node = &graph.nodes[anchor];
    match &node.op {
        Op::Conv2d(op) => conv::lower::forward(&mut cx, op, node),
        Op::Conv2dInputGrad(op) => conv::lower::input_grad(&mut cx, op, node),
        Op::Conv2dFilterGrad(op) => conv::lower::filter_grad(&mut cx, op, node),
        Op::WinogradFilter(op) => winograd::lower::filter_taps(&mut cx, op, node),
        Op::WinogradConv(op) => winograd::lower::conv(&mut cx, op, node),
        Op::WinogradFilterGrad(op) => winograd::lower::filter_grad_of(&mut cx, op, node),
        Op::Dense => linear::lower::forward(&mut cx, node),
        Op::DenseInputGrad => linear::lower::input_grad(&mut cx, node),
        Op::DenseFilterGrad => linear::lower::filter_grad(&mut cx, node),
        Op::MaxPool(op) => pool::lower::max_pool(&mut cx, op, node),
        Op::MaxPoolGrad(op) => pool::lower::max_pool_grad(&mut cx, op, node),
        Op::AvgPool(op) => pool::lower::avg_pool(&mut cx, op, node),
        Op::AvgPoolGrad(op) => pool::lower::avg_pool_grad(&mut cx, op, node),
        Op::Numbers(numbers) => reduce::lower::numbers(&mut cx, numbers, node),
        Op::SumTo(_) => reduce::lower::sum_to(&mut cx, node),
        Op::SumSquares => magnitude::lower::sum_squares(&mut cx, node),
        Op::MaxNorm(op) => magnitude::lower::max_norm(&mut cx, *op, node),
        Op::BatchStats => norm::lower::batch_stats(&mut cx, node),
        Op::ChannelSums => norm::lower::channel_sums(&mut cx, node),
        Op::Softmax => softmax::lower::softmax(&mut cx, node),
        Op::SoftmaxGrad => softmax::lower::softmax_grad(&mut cx, node),
        Op::CrossEntropy(op) => loss::lower::cross_entropy(&mut cx, *op, node),
        Op::CrossEntropyGrad(op) => loss::lower::cross_entropy_grad(&mut cx, *op, node),
        Op::ReduceMax(op) => maximum::lower::reduce_max(&mut cx, op, node),
        Op::ReduceMaxGrad(op) => maximum::lower::reduce_max_grad(&mut cx, op, node),
        Op::LogSoftmax => softmax::lower::log_softmax(&mut cx, node),
        Op::LogSoftmaxGrad => softmax::lower::log_softmax_grad(&mut cx, node),
        Op::Lrn(op) => lrn::lower::forward(&mut cx, op, node),
        Op::LrnGrad(op) => lrn::lower::grad(&mut cx, op, node),
        Op::Reshape(_) | Op::Relayout => reshape::lower::relayout(&mut cx, node),
        Op::Transpose(axes) => reshape::lower::transpose(&mut cx, axes, node),
        Op::Concat(op) => concat::lower::concat(&mut cx, op, node),
        Op::Slice(op) => concat::lower::slice(&mut cx, op, node),
        Op::Pad(op) => concat::lower::pad(&mut cx, op, node),
        Op::Index(op) => index::lower::index(&mut cx, op, node),
        Op::IndexGrad(op) => index::lower::index_grad(&mut cx, op, node),
        // One that its readers cannot reach as it is.
        Op::Expand(_) => reduce::lower::expand(&mut cx, node),
        Op::Constant(_) | Op::Pointwise(_) | Op::Dropout(_) => {
            panic!("{name}: an element-wise node is no anchor")
        }
    }
    cx.finish()
}
