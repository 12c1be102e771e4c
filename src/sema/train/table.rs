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
        kind: LayerKind::Later,
        attrs,
    }
}
