//! A hash of an operator with its attributes, in which floats count by their bits: 0 and -0 are equal as numbers, but
//! the kernels that hold them are not.

use std::hash::{Hash as _, Hasher};

use super::{Op, Pointwise};

impl Op {
    /// Adds the operator and its attributes to a hash.
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        std::mem::discriminant(self).hash(hasher);
        let mut float = |number: f32| number.to_bits().hash(hasher);
        match self {
            Op::Constant(number) => float(*number),
            Op::Numbers(numbers) => numbers.iter().for_each(|&number| float(number)),
            Op::MaxNorm(op) => float(op.limit),
            Op::CrossEntropy(op) => float(op.label_smoothing),
            Op::CrossEntropyGrad(op) => float(op.label_smoothing),
            Op::Lrn(super::lrn::LrnForward(op)) | Op::LrnGrad(super::lrn::LrnGrad(op)) => {
                [op.alpha, op.beta, op.k].into_iter().for_each(float);
                op.size.hash(hasher);
            }
            Op::Pad(op) => {
                float(op.value);
                (&op.before, &op.after).hash(hasher);
            }
            Op::Dropout(op) => {
                float(op.rate);
                op.stream.hash(hasher);
            }
            Op::Pointwise(op) => {
                match *op {
                    Pointwise::Clip { lo, hi } | Pointwise::ClipGrad { lo, hi } => {
                        [lo, hi].into_iter().for_each(float);
                    }
                    Pointwise::Elu { alpha } | Pointwise::EluGrad { alpha } => float(alpha),
                    Pointwise::BatchNorm { eps, batch_stats } => {
                        float(eps);
                        batch_stats.hash(hasher);
                    }
                    Pointwise::BatchNormGrad { eps } => float(eps),
                    Pointwise::Add
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
                    | Pointwise::Square
                    | Pointwise::Prelu
                    | Pointwise::PreluGrad
                    | Pointwise::Softplus
                    | Pointwise::SoftplusGrad
                    | Pointwise::Gelu
                    | Pointwise::GeluGrad
                    | Pointwise::BinaryCrossEntropy => {}
                }
                std::mem::discriminant(op).hash(hasher);
            }
            Op::Conv2d(op) => op.hash(hasher),
            Op::Conv2dInputGrad(op) => op.hash(hasher),
            Op::Conv2dFilterGrad(op) => op.hash(hasher),
            Op::WinogradFilter(op) => op.hash(hasher),
            Op::WinogradConv(op) => op.hash(hasher),
            Op::WinogradFilterGrad(op) => op.hash(hasher),
            Op::MaxPool(op) => op.hash(hasher),
            Op::MaxPoolGrad(op) => op.hash(hasher),
            Op::AvgPool(op) => op.hash(hasher),
            Op::AvgPoolGrad(op) => op.hash(hasher),
            Op::ReduceMax(op) => op.hash(hasher),
            Op::ReduceMaxGrad(op) => op.hash(hasher),
            Op::Expand(shape) | Op::SumTo(shape) => shape.hash(hasher),
            Op::Reshape(sizes) | Op::Transpose(sizes) => sizes.hash(hasher),
            Op::Concat(op) => op.hash(hasher),
            Op::Slice(op) => op.hash(hasher),
            Op::Index(op) => op.hash(hasher),
            Op::IndexGrad(op) => op.hash(hasher),
            Op::Dense
            | Op::DenseInputGrad
            | Op::DenseFilterGrad
            | Op::SumSquares
            | Op::BatchStats
            | Op::ChannelSums
            | Op::Softmax
            | Op::SoftmaxGrad
            | Op::LogSoftmax
            | Op::LogSoftmaxGrad
            | Op::Relayout => {}
        }
    }
}
