//! The operators. A family's file holds everything there is to know of its operators, in this order:
//! formula and source, attributes, shape rule, naive reference, gradient; its lowering to vector IR
//! stands beside it in the family's `lower` module.
//!
//! [`Op`] is closed: adding an operator makes the compiler name every place that must know it.

use crate::ir::{Builder, Shape, Type, ValueId};

pub mod activation;
pub mod array;
pub mod concat;
pub mod condense;
pub mod conv;
pub mod dropout;
pub mod error;
mod fingerprint;
pub mod index;
pub mod layers;
pub mod linear;
pub mod loss;
pub mod lrn;
pub mod magnitude;
pub mod maximum;
pub mod norm;
pub mod pointwise;
pub mod pool;
pub mod reduce;
pub mod reshape;
pub mod softmax;
#[cfg(test)]
pub(crate) mod testing;
pub mod window;
pub mod winograd;

pub use array::{Array, Real};
pub use concat::{Concat, Pad, Slice};
pub use conv::{Conv2d, Conv2dFilterGrad, Conv2dInputGrad};
pub use error::ShapeError;
pub use index::{Index, IndexGrad};
pub use lrn::Lrn;
pub use maximum::{Over, ReduceMax, ReduceMaxGrad};
pub use pointwise::Pointwise;
pub use pool::{AvgPool, AvgPoolGrad, MaxPool, MaxPoolGrad};
pub use window::{Pads, Window};

/// An operator with its attributes.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// () → [], a number.
    Constant(f32),
    /// () → `[K]`, numbers.
    Numbers(Vec<f32>),
    /// ([N, C, H, W], filter [K, C / G, R, S]) → [N, K, H', W']. No bias: that is an addition.
    Conv2d(Conv2d),
    /// (gradient of the output, filter) → gradient of the input.
    Conv2dInputGrad(Conv2dInputGrad),
    /// (input, gradient of the output) → gradient of the filter, summed over the batch.
    Conv2dFilterGrad(Conv2dFilterGrad),
    /// Filter [K, C, R, R] → [K, C, t, t], for [`Op::WinogradConv`].
    WinogradFilter(winograd::WinogradFilter),
    /// ([N, C, H, W], filter [K, C, t, t]) → [N, K, H', W'].
    WinogradConv(winograd::WinogradConv),
    /// (x, gradient of the output) → gradient of a filter, by tiles.
    WinogradFilterGrad(winograd::WinogradFilterGrad),
    /// ([N, F], weights [K, F]) → [N, K].
    Dense,
    /// (gradient [N, K], weights [K, F]) → [N, F].
    DenseInputGrad,
    /// (input [N, F], gradient [N, K]) → [K, F], summed over the batch.
    DenseFilterGrad,
    /// [N, C, H, W] → ([N, C, H', W'], the position r · S + s of each maximum in its window, i32).
    MaxPool(MaxPool),
    /// (gradient of the output, positions) → gradient of the input.
    MaxPoolGrad(MaxPoolGrad),
    /// [N, C, H, W] → [N, C, H', W'].
    AvgPool(AvgPool),
    /// Gradient of the output → gradient of the input.
    AvgPoolGrad(AvgPoolGrad),
    /// Element by element; operands stretch by [`Shape::stretches_to`].
    Pointwise(Pointwise),
    /// The greatest along axes of each image, and the number of its place there, i32.
    ReduceMax(ReduceMax),
    /// (gradient of the output, places) → gradient of the input.
    ReduceMaxGrad(ReduceMaxGrad),
    /// The value stretched to a shape.
    Expand(Shape),
    /// The value summed down to a shape that stretches to its own: the transpose of `Expand`.
    SumTo(Shape),
    /// Any shape, but no batch → the sum of all squares, [].
    SumSquares,
    /// [K, …] → the same, each row scaled to at most a norm.
    MaxNorm(magnitude::MaxNorm),
    /// [N, C, H, W] → mean `[C]` and biased variance `[C]` over batch and pixels.
    BatchStats,
    /// (gradient, x, mean `[C]`) → sum of the gradient `[C]`, sum of gradient · (x - mean) `[C]`.
    ChannelSums,
    /// Over the channels of each pixel: [N, C, …] → [N, C, …].
    Softmax,
    /// (softmax's output, its gradient) → gradient of the input.
    SoftmaxGrad,
    /// (logits [N, C], labels i32 `[N]`) → the cross-entropy of each sample `[N]`; with class weights
    /// `[C]` as a third input, the weight of each sample's label `[N]` besides.
    CrossEntropy(loss::CrossEntropy),
    /// (logits, labels, gradient `[N]` of the cross-entropy) → gradient of the logits; class weights
    /// come last.
    CrossEntropyGrad(loss::CrossEntropyGrad),
    /// The logarithm of softmax: [N, C, …] → [N, C, …].
    LogSoftmax,
    /// (log softmax's output, its gradient) → gradient of the input.
    LogSoftmaxGrad,
    /// Local response normalisation across channels: [N, C, …] → [N, C, …].
    Lrn(lrn::LrnForward),
    /// (x, gradient of the output) → gradient of x.
    LrnGrad(lrn::LrnGrad),
    /// The same elements, in C, H, W order, with other sizes.
    Reshape(Vec<usize>),
    /// Axes in another order: axis i of the result is the input's axis of that number.
    Transpose(Vec<usize>),
    /// Values joined along an axis, their other sizes being the same.
    Concat(Concat),
    /// A range of an axis.
    Slice(Slice),
    /// A number around the value.
    Pad(Pad),
    /// Channels by a list: [N, C, …] → [N, items, …].
    Index(Index),
    /// Gradient of the output → gradient of the input.
    IndexGrad(IndexGrad),
    /// (x, seed i32 []) → x with elements zeroed at random and the rest scaled up.
    Dropout(dropout::Dropout),
    /// The same value in another layout.
    Relayout,
}

/// What an operator's gradient is with regard to one input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grad {
    /// The input is not differentiable (labels, positions, a seed), or its share is in another's.
    None,
    /// The gradient, of the input's type.
    Value(ValueId),
    /// The input is differentiable but there is no rule: second gradients of some operators that
    /// are gradients themselves, which no net can ask for.
    Unknown,
}

/// What a gradient rule is given.
#[derive(Clone, Copy, Debug)]
pub struct GradInputs<'a> {
    /// The node's inputs.
    pub inputs: &'a [ValueId],
    /// The node's outputs.
    pub outputs: &'a [ValueId],
    /// The gradient of each output, where there is one.
    pub grads: &'a [Option<ValueId>],
}

/// The rules of an operator. None has a default: an operator without a gradient says so.
pub trait OpRules {
    /// The name in dumps.
    fn name(&self) -> &'static str;

    /// The attributes in dumps, resolved, such as `stride 2,2 pad 1,1,1,1`; empty if there are none.
    fn attributes(&self) -> String;

    /// The types of the outputs.
    ///
    /// # Errors
    ///
    /// The inputs do not fit the operator or one another.
    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError>;

    /// The outputs, the obvious way: the definition that everything else is held against. Arrays are
    /// row-major with the batch outermost; integers are stored as whole numbers.
    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>>;

    /// Appends the nodes that compute the gradient, one entry an input.
    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad>;
}

/// Evaluates an expression with the rules of whichever operator it is.
macro_rules! with_rules {
    ($op:expr, $rules:ident => $result:expr) => {
        match $op {
            Op::Constant(value) => with_rules!(@ &reduce::Constant(*value), $rules => $result),
            Op::Numbers(numbers) => with_rules!(@ &reduce::Numbers(numbers), $rules => $result),
            Op::Conv2d($rules) => $result,
            Op::Conv2dInputGrad($rules) => $result,
            Op::Conv2dFilterGrad($rules) => $result,
            Op::WinogradFilter($rules) => $result,
            Op::WinogradConv($rules) => $result,
            Op::WinogradFilterGrad($rules) => $result,
            Op::Dense => with_rules!(@ &linear::Dense, $rules => $result),
            Op::DenseInputGrad => with_rules!(@ &linear::DenseInputGrad, $rules => $result),
            Op::DenseFilterGrad => with_rules!(@ &linear::DenseFilterGrad, $rules => $result),
            Op::MaxPool($rules) => $result,
            Op::MaxPoolGrad($rules) => $result,
            Op::AvgPool($rules) => $result,
            Op::AvgPoolGrad($rules) => $result,
            Op::Pointwise($rules) => $result,
            Op::ReduceMax($rules) => $result,
            Op::ReduceMaxGrad($rules) => $result,
            Op::Expand(shape) => with_rules!(@ &reduce::Expand(shape), $rules => $result),
            Op::SumTo(shape) => with_rules!(@ &reduce::SumTo(shape), $rules => $result),
            Op::SumSquares => with_rules!(@ &magnitude::SumSquares, $rules => $result),
            Op::MaxNorm($rules) => $result,
            Op::BatchStats => with_rules!(@ &norm::BatchStats, $rules => $result),
            Op::ChannelSums => with_rules!(@ &norm::ChannelSums, $rules => $result),
            Op::Softmax => with_rules!(@ &softmax::Softmax, $rules => $result),
            Op::SoftmaxGrad => with_rules!(@ &softmax::SoftmaxGrad, $rules => $result),
            Op::CrossEntropy($rules) => $result,
            Op::CrossEntropyGrad($rules) => $result,
            Op::LogSoftmax => with_rules!(@ &softmax::LogSoftmax, $rules => $result),
            Op::LogSoftmaxGrad => with_rules!(@ &softmax::LogSoftmaxGrad, $rules => $result),
            Op::Lrn($rules) => $result,
            Op::LrnGrad($rules) => $result,
            Op::Reshape(dims) => with_rules!(@ &reshape::Reshape(dims), $rules => $result),
            Op::Transpose(axes) => with_rules!(@ &reshape::Transpose(axes), $rules => $result),
            Op::Concat($rules) => $result,
            Op::Slice($rules) => $result,
            Op::Pad($rules) => $result,
            Op::Index($rules) => $result,
            Op::IndexGrad($rules) => $result,
            Op::Dropout($rules) => $result,
            Op::Relayout => with_rules!(@ &reshape::Relayout, $rules => $result),
        }
    };
    (@ $value:expr, $rules:ident => $result:expr) => {{
        let $rules = $value;
        $result
    }};
}

impl OpRules for Op {
    fn name(&self) -> &'static str {
        with_rules!(self, rules => rules.name())
    }

    fn attributes(&self) -> String {
        with_rules!(self, rules => rules.attributes())
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        with_rules!(self, rules => rules.infer(inputs))
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        with_rules!(self, rules => rules.eval(batch, inputs))
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        with_rules!(self, rules => rules.grad(builder, at))
    }
}
