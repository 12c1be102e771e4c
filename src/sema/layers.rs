//! The table of built-in layers: names, attributes and defaults.
//!
//! It says what may be written; what a layer does with it is in [`super::apply`], and whether the sizes fit is for the
//! shape rule of its operator.

use super::args::Formal;
use crate::ops::Pointwise;
use crate::ops::layers::Reduce;

/// A built-in layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its name in a net.
    pub name: &'static str,
    /// What it becomes.
    pub kind: LayerKind,
    /// Its attributes; those that can be given by position come first.
    pub attrs: &'static [Attr],
}

/// What a layer becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LayerKind {
    /// Convolution.
    Conv,
    /// Convolution of each channel by itself.
    DwConv,
    /// Convolution whose groups of filters learn which channels they read.
    LearnedConv,
    /// Matrix product.
    Dense,
    /// Largest of a window.
    MaxPool,
    /// Mean of a window.
    AvgPool,
    /// Mean of a map.
    GlobalAvgPool,
    /// Largest of a map.
    GlobalMaxPool,
    /// An element-wise function of one operand.
    Pointwise(Pointwise),
    /// An element-wise function with attributes, weights or several operators.
    Activation(ActivationKind),
    /// Softmax over channels.
    Softmax,
    /// Batch normalisation.
    BatchNorm,
    /// Dropout.
    Dropout,
    /// Dropout of whole samples.
    StochasticDepth,
    /// A sum, mean or maximum along an axis.
    Reduce(Reduce),
    /// Local response normalisation.
    Lrn,
    /// A learned factor and shift a channel.
    Scale,
    /// The logarithm of softmax.
    LogSoftmax,
    /// The largest of consecutive channels.
    Maxout,
    /// Axes in another order.
    Transpose,
    /// A range of an axis.
    Slice,
    /// A number around a map.
    Pad,
    /// Channels dealt out to groups.
    Shuffle,
    /// Channels by a list.
    Index,
    /// All axes as one.
    Flatten,
    /// The same elements with other sizes.
    Reshape,
    /// No layer of a chain: a choice of the `train` section, or what an input is made from.
    Choice,
}

impl LayerKind {
    /// Whether the layer owns weights.
    pub(super) fn has_weights(self) -> bool {
        matches!(
            self,
            Self::Conv
                | Self::DwConv
                | Self::LearnedConv
                | Self::Dense
                | Self::BatchNorm
                | Self::Scale
                | Self::Activation(ActivationKind::Prelu)
        )
    }
}

/// The activations of [`crate::ops::activation`].
#[allow(missing_docs, reason = "each is the layer of its name")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ActivationKind {
    Silu,
    Relu6,
    LeakyRelu,
    Prelu,
    Elu,
    Gelu,
    HardSwish,
    HardSigmoid,
    Softplus,
    Clip,
}

impl LayerKind {
    /// Whether the result has the shape of the input, whatever the attributes say.
    pub(super) fn keeps_shape(self) -> bool {
        matches!(
            self,
            Self::Pointwise(_)
                | Self::Activation(_)
                | Self::Softmax
                | Self::LogSoftmax
                | Self::BatchNorm
                | Self::Lrn
                | Self::Scale
                | Self::Dropout
                | Self::StochasticDepth
        )
    }
}

/// An attribute of a layer.
#[derive(Debug)]
pub(super) struct Attr {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: AttrKind,
    /// What it is where it is not written.
    pub default: Default,
    /// Whether it can be given without its name.
    pub positional: bool,
}

/// What an attribute may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AttrKind {
    /// A whole number from the first to the second.
    Int(i64, i64),
    /// A number.
    Float,
    /// A truth value.
    Bool,
    /// A size, or (height, width).
    Size,
    /// A size, (height, width), (top, left, bottom, right), or a word.
    Pad,
    /// A size, (height, width), or one of these words.
    SizeOr(&'static [&'static str]),
    /// A list of sizes.
    Sizes,
    /// A list of numbers, or `none`.
    Numbers,
    /// A number, or one for each channel.
    PerChannel,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of places, counted from 0, at most so many.
    Places(i64),
    /// A list of axes, by number or by word.
    Axes,
    /// How weights start.
    Init,
    /// Looked at by whoever reads it.
    Any,
}

/// What an attribute is where it is not written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Default {
    /// It must be written.
    Required,
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A word.
    Word(&'static str),
    /// What another attribute is.
    Attr(&'static str),
}

impl AttrKind {
    /// The words that stand for themselves here.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            AttrKind::Pad => &["same", "valid"],
            AttrKind::Numbers => &["none"],
            AttrKind::Word(words) | AttrKind::SizeOr(words) => words,
            AttrKind::Init => &[AUTO],
            _ => &[],
        }
    }
}

impl Layer {
    /// The attributes as the binder of arguments sees them.
    pub(super) fn formals(&self) -> Vec<Formal<'static>> {
        let formal = |attr: &'static Attr| Formal {
            name: attr.name,
            required: attr.default == Default::Required,
            positional: attr.positional,
            words: attr.kind.words(),
        };
        self.attrs.iter().map(formal).collect()
    }
}

/// Finds a layer by name.
pub(super) fn find(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// Whether some attribute takes this word.
pub(super) fn is_word(word: &str) -> bool {
    words().any(|known| known == word)
}

/// All words that some attribute takes.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let attrs = LAYERS.iter().flat_map(|layer| layer.attrs);
    attrs.flat_map(|attr| attr.kind.words().iter().copied())
}

const fn first(name: &'static str, kind: AttrKind) -> Attr {
    Attr {
        name,
        kind,
        default: Default::Required,
        positional: true,
    }
}

const fn named(name: &'static str, kind: AttrKind, default: Default) -> Attr {
    Attr {
        name,
        kind,
        default,
        positional: false,
    }
}

/// An attribute that may be given by position and may be left out.
const fn optional(name: &'static str, kind: AttrKind, default: Default) -> Attr {
    Attr {
        name,
        kind,
        default,
        positional: true,
    }
}

const fn layer(name: &'static str, kind: LayerKind, attrs: &'static [Attr]) -> Layer {
    Layer { name, kind, attrs }
}

const SIZE: AttrKind = AttrKind::Int(1, super::limits::MAX_SIZE);
const GROUPS: AttrKind = AttrKind::Int(0, super::limits::MAX_SIZE);
/// What starts weights as the training half says.
pub(super) const AUTO: &str = "auto";

const ONE: Default = Default::Int(1);
const INIT: Attr = named("init", AttrKind::Init, Default::Word(AUTO));
const STRIDE: Attr = named("stride", AttrKind::Size, ONE);
const PAD: Attr = named("pad", AttrKind::Pad, Default::Int(0));
const DILATION: Attr = named("dilation", AttrKind::Size, ONE);
const BIAS: Attr = named("bias", AttrKind::Bool, Default::Bool(true));
const POOL_STRIDE: Attr = named("stride", AttrKind::Size, Default::Attr("kernel"));
const CEIL: Attr = named("ceil", AttrKind::Bool, Default::Bool(false));
const AXIS: Attr = first(
    "axis",
    AttrKind::Word(&["channels", "height", "width", "space"]),
);
/// The axes of a map in the order of their numbers.
pub(super) const AXES: &[&str] = &["channels", "height", "width"];
const ONE_AXIS: Attr = first("axis", AttrKind::Word(AXES));

/// All layers of the language reference.
pub(super) static LAYERS: &[Layer] = {
    use AttrKind::{Axes, Bool, Float, Int, Places, Size, Sizes, Word};
    use LayerKind::*;
    &[
        layer(
            "conv",
            Conv,
            &[
                first("channels", SIZE),
                first("kernel", Size),
                STRIDE,
                PAD,
                DILATION,
                named("groups", GROUPS, ONE),
                BIAS,
                INIT,
            ],
        ),
        layer(
            "dwconv",
            DwConv,
            &[
                first("kernel", Size),
                named("multiplier", SIZE, ONE),
                STRIDE,
                PAD,
                DILATION,
                BIAS,
                INIT,
            ],
        ),
        layer(
            "lgconv",
            LearnedConv,
            &[
                first("channels", SIZE),
                first("kernel", Size),
                named("groups", SIZE, ONE),
                named("condense", SIZE, Default::Attr("groups")),
                STRIDE,
                PAD,
                DILATION,
                named("bias", Bool, Default::Bool(false)),
                INIT,
            ],
        ),
        layer("dense", Dense, &[first("features", SIZE), BIAS, INIT]),
        layer(
            "maxpool",
            MaxPool,
            &[first("kernel", Size), POOL_STRIDE, PAD, CEIL, DILATION],
        ),
        layer(
            "avgpool",
            AvgPool,
            &[
                first("kernel", Size),
                POOL_STRIDE,
                PAD,
                CEIL,
                named("include_pad", Bool, Default::Bool(false)),
            ],
        ),
        layer("global_avgpool", GlobalAvgPool, &[]),
        layer("global_maxpool", GlobalMaxPool, &[]),
        layer(
            "reduce_mean",
            LayerKind::Reduce(self::Reduce::Mean),
            &[AXIS],
        ),
        layer("reduce_max", LayerKind::Reduce(self::Reduce::Max), &[AXIS]),
        layer("reduce_sum", LayerKind::Reduce(self::Reduce::Sum), &[AXIS]),
        layer(
            "bn",
            BatchNorm,
            &[
                named("eps", Float, Default::Float(1e-5)),
                named("momentum", Float, Default::Float(0.1)),
                named("affine", Bool, Default::Bool(true)),
            ],
        ),
        layer(
            "lrn",
            Lrn,
            &[
                first("size", Int(1, 1024)),
                named("alpha", Float, Default::Float(1e-4)),
                named("beta", Float, Default::Float(0.75)),
                named("k", Float, Default::Float(2.0)),
                named(
                    "across",
                    Word(&["channels", "space"]),
                    Default::Word("channels"),
                ),
                named("by_window", Bool, Default::Bool(false)),
            ],
        ),
        layer("dropout", Dropout, &[first("rate", Float)]),
        layer("stochastic_depth", StochasticDepth, &[first("rate", Float)]),
        layer("relu", LayerKind::Pointwise(self::Pointwise::Relu), &[]),
        layer("relu6", Activation(ActivationKind::Relu6), &[]),
        layer(
            "leaky_relu",
            Activation(ActivationKind::LeakyRelu),
            &[optional("slope", Float, Default::Float(0.01))],
        ),
        layer("prelu", Activation(ActivationKind::Prelu), &[]),
        layer(
            "elu",
            Activation(ActivationKind::Elu),
            &[optional("alpha", Float, Default::Float(1.0))],
        ),
        layer("silu", Activation(ActivationKind::Silu), &[]),
        layer(
            "gelu",
            Activation(ActivationKind::Gelu),
            &[named(
                "approximate",
                Word(&["none", "tanh"]),
                Default::Word("none"),
            )],
        ),
        layer("hard_swish", Activation(ActivationKind::HardSwish), &[]),
        layer("hard_sigmoid", Activation(ActivationKind::HardSigmoid), &[]),
        layer(
            "sigmoid",
            LayerKind::Pointwise(self::Pointwise::Sigmoid),
            &[],
        ),
        layer("tanh", LayerKind::Pointwise(self::Pointwise::Tanh), &[]),
        layer(
            "softplus",
            Activation(ActivationKind::Softplus),
            &[optional("beta", Float, Default::Float(1.0))],
        ),
        layer(
            "clip",
            Activation(ActivationKind::Clip),
            &[first("lo", Float), first("hi", Float)],
        ),
        layer("scale", Scale, &[]),
        layer("softmax", Softmax, &[]),
        layer("log_softmax", LogSoftmax, &[]),
        layer("maxout", Maxout, &[first("pieces", SIZE)]),
        layer("flatten", Flatten, &[]),
        layer("reshape", Reshape, &[first("shape", Sizes)]),
        layer("transpose", Transpose, &[first("axes", Axes)]),
        layer(
            "slice",
            Slice,
            &[
                ONE_AXIS,
                first("from", Int(0, super::limits::MAX_SIZE)),
                first("to", SIZE),
            ],
        ),
        layer(
            "pad",
            LayerKind::Pad,
            &[
                first("pad", AttrKind::Pad),
                named("value", Float, Default::Float(0.0)),
            ],
        ),
        layer("shuffle", Shuffle, &[first("groups", SIZE)]),
        layer(
            "index",
            Index,
            &[first("items", Places(super::limits::MAX_SIZE))],
        ),
    ]
};
