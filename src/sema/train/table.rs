//! What optimizers, losses and initialisers can be, with their arguments and defaults.

use crate::sema::layers::{Attr, AttrKind, Default, INITS, Layer, LayerKind};

pub(super) const fn number(name: &'static str, default: f64) -> Attr {
    Attr {
        name,
        kind: AttrKind::Float,
        default: Default::Float(default),
        positional: false,
    }
}

const fn flag(name: &'static str, default: bool) -> Attr {
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

const LR: Attr = Attr {
    name: "lr",
    kind: AttrKind::Float,
    default: Default::Required,
    positional: true,
};
const ADAM_LR: Attr = Attr {
    default: Default::Float(1e-3),
    ..LR
};
const DECAY: Attr = Attr {
    name: "decay",
    kind: AttrKind::Word(&["all", "weights"]),
    default: Default::Word("all"),
    positional: false,
};

pub(super) static CROSS_ENTROPY: Layer = choice("cross_entropy", &[]);
pub(super) static MSE: Layer = choice("mse", &[]);
pub(super) static SGD: Layer = choice(
    "sgd",
    &[
        LR,
        number("momentum", 0.0),
        number("dampening", 0.0),
        flag("nesterov", false),
        number("weight_decay", 0.0),
        DECAY,
    ],
);
pub(super) static ADAM: Layer = choice(
    "adam",
    &[
        ADAM_LR,
        number("beta1", 0.9),
        number("beta2", 0.999),
        number("eps", 1e-8),
        number("weight_decay", 0.0),
        flag("decoupled", false),
        DECAY,
    ],
);
pub(super) static ADAMW: Layer = choice(
    "adamw",
    &[
        ADAM_LR,
        number("beta1", 0.9),
        number("beta2", 0.999),
        number("eps", 1e-8),
        number("weight_decay", 0.01),
        flag("decoupled", true),
        DECAY,
    ],
);
pub(super) static FAN_IN: Layer = choice(INITS[1], &[]);
pub(super) static HE: Layer = choice(INITS[2], &[]);
pub(super) static XAVIER: Layer = choice(INITS[3], &[]);
pub(super) static ZEROS: Layer = choice(INITS[4], &[]);
