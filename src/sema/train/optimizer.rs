//! `optimizer`: how weights follow the gradient.

use super::lines::Line;
use super::table::{choice, flag, number};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;

/// How weights follow the gradient. Rules are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerConfig {
    /// `g += weight_decay · w; v = momentum · v + (1 - dampening) · g; w -= lr · v`, with `dampening` left out in the
    /// first step; with `nesterov`, `w -= lr · (g + momentum · v)`.
    Sgd {
        /// Learning rate.
        lr: f64,
        /// How much of the last step is kept.
        momentum: f64,
        /// How much less of the gradient enters the momentum.
        dampening: f64,
        /// Whether the step looks ahead.
        nesterov: bool,
        /// How much each weight is drawn towards zero.
        weight_decay: f64,
        /// Which parameters that touches.
        decay: Decay,
    },
    /// Kingma and Ba 2015, algorithm 1; with `decoupled`, Loshchilov and Hutter 2019.
    Adam {
        /// Learning rate.
        lr: f64,
        /// Decay of the mean of gradients.
        beta1: f64,
        /// Decay of the mean of squared gradients.
        beta2: f64,
        /// Keeps the divisor from zero.
        eps: f64,
        /// How much each weight is drawn towards zero.
        weight_decay: f64,
        /// Whether the decay acts on the weight (AdamW) and not on the gradient.
        decoupled: bool,
        /// Which parameters the decay touches.
        decay: Decay,
    },
}

impl OptimizerConfig {
    /// The learning rate before the schedule.
    #[must_use]
    pub fn lr(&self) -> f64 {
        match *self {
            Self::Sgd { lr, .. } | Self::Adam { lr, .. } => lr,
        }
    }
}

/// Which parameters weight decay touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// All that are trained, as in PyTorch.
    All,
    /// Filters and matrices alone: no biases, no factors and shifts of norms.
    Weights,
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

static SGD: Layer = choice(
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
static ADAM: Layer = choice(
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
static ADAMW: Layer = choice(
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

impl<'a> Elab<'a> {
    pub(super) fn optimizer(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<OptimizerConfig> {
        let chosen = self.chosen(line)?;
        let later = ["rmsprop", "adagrad", "lamb", "lion"];
        let signature = self.signature(line, &chosen, &[&SGD, &ADAM, &ADAMW], &later)?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        let lr = self.real(&attrs, "lr", f64::INFINITY);
        let weight_decay = self.real(&attrs, "weight_decay", f64::INFINITY);
        let decay = self.word(&attrs, "decay").map(|word| {
            if word == "weights" {
                Decay::Weights
            } else {
                Decay::All
            }
        });
        if signature.name == "sgd" {
            let (momentum, dampening) = (
                self.real(&attrs, "momentum", 1.0),
                self.real(&attrs, "dampening", 1.0),
            );
            let nesterov = self.bool(&attrs, "nesterov");
            let (lr, weight_decay, decay) = (lr?, weight_decay?, decay?);
            return Some(OptimizerConfig::Sgd {
                lr,
                momentum: momentum?,
                dampening: dampening?,
                nesterov: nesterov?,
                weight_decay,
                decay,
            });
        }
        let (beta1, beta2) = (
            self.real(&attrs, "beta1", 1.0),
            self.real(&attrs, "beta2", 1.0),
        );
        let (eps, decoupled) = (
            self.real(&attrs, "eps", f64::INFINITY),
            self.bool(&attrs, "decoupled"),
        );
        let (lr, weight_decay, decay) = (lr?, weight_decay?, decay?);
        Some(OptimizerConfig::Adam {
            lr,
            beta1: beta1?,
            beta2: beta2?,
            eps: eps?,
            weight_decay,
            decoupled: decoupled?,
            decay,
        })
    }
}
