//! How what a key of `train` can be is written down: names with arguments and defaults, as layers have.

use crate::sema::layers::{Attr, AttrKind, Default, Layer, LayerKind};

pub(super) const fn number(name: &'static str, default: f64) -> Attr {
    Attr {
        name,
        kind: AttrKind::Float,
        default: Default::Float(default),
        positional: false,
    }
}

pub(super) const fn flag(name: &'static str, default: bool) -> Attr {
    Attr {
        name,
        kind: AttrKind::Bool,
        default: Default::Bool(default),
        positional: false,
    }
}

pub(super) const fn choice(name: &'static str, attrs: &'static [Attr]) -> Layer {
    Layer {
        name,
        kind: LayerKind::Choice,
        attrs,
    }
}

/// The factor of a loss in the sum of all.
const WEIGHT: Attr = number("weight", 1.0);

pub(super) static CROSS_ENTROPY: Layer = choice(
    "cross_entropy",
    &[
        number("label_smoothing", 0.0),
        Attr {
            name: "class_weights",
            kind: AttrKind::Numbers,
            default: Default::Word("none"),
            positional: false,
        },
        WEIGHT,
    ],
);
pub(super) static MSE: Layer = choice("mse", &[WEIGHT]);
pub(super) static MAE: Layer = choice("mae", &[WEIGHT]);
pub(super) static HUBER: Layer = choice(
    "huber",
    &[
        Attr {
            positional: true,
            ..number("delta", 1.0)
        },
        WEIGHT,
    ],
);
pub(super) static BINARY_CROSS_ENTROPY: Layer = choice("binary_cross_entropy", &[WEIGHT]);
