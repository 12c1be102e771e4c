//! `optimizer`: how weights follow the gradient.

use std::fmt;

use super::chosen::{call, figure};
use super::lines::Line;
use super::table::{choice, flag, number};
use crate::diag::{Diagnostic, codes};
use crate::ir::ParamRole;
use crate::sema::Elab;
use crate::sema::attrs::Attrs;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;

/// How weights follow the gradient. What each rule computes is said in [`crate::train::optimizer`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// The learning rate before the schedule.
    pub lr: f64,
    /// The rule.
    pub rule: UpdateRule,
    /// How weights are drawn towards zero.
    pub weight_decay: WeightDecay,
}

/// An update rule; each is PyTorch's of the same name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UpdateRule {
    /// Stochastic gradient descent.
    Sgd {
        /// What is left of the last step's velocity.
        momentum: f64,
        /// How much less of the gradient enters the velocity after the first step.
        dampening: f64,
        /// Whether the step looks ahead along the velocity.
        nesterov: bool,
    },
    /// Adam, or AdamW if the decay is decoupled.
    Adam {
        /// What is left of the mean of gradients.
        beta1: f64,
        /// What is left of the mean of squared gradients.
        beta2: f64,
        /// Keeps the divisor from zero.
        eps: f64,
        /// Whether the divisor is of the largest mean of squares so far.
        amsgrad: bool,
    },
    /// RMSProp.
    RmsProp {
        /// What is left of the mean of squared gradients.
        alpha: f64,
        /// Keeps the divisor from zero.
        eps: f64,
        /// What is left of the last step's velocity.
        momentum: f64,
        /// Whether the divisor is of the variance in place of the mean square.
        centered: bool,
    },
    /// Adagrad.
    Adagrad {
        /// How much the learning rate falls with each step.
        lr_decay: f64,
        /// What the sum of squared gradients starts at.
        initial_accumulator_value: f64,
        /// Keeps the divisor from zero.
        eps: f64,
    },
}

/// How weights are drawn towards zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightDecay {
    /// The factor of the weight; 0 for none.
    pub factor: f64,
    /// Whether the decay acts on the weight (Loshchilov and Hutter 2019) and not on the gradient.
    pub decoupled: bool,
    /// Which parameters it touches.
    pub decay: Decay,
}

/// Which parameters weight decay or a penalty touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// All that are trained, as in PyTorch.
    All,
    /// Filters and matrices alone: no biases, no factors and shifts of norms.
    Weights,
}

impl Decay {
    /// Whether a parameter of this role is touched.
    #[must_use]
    pub fn touches(self, role: ParamRole) -> bool {
        match role {
            ParamRole::Weight => true,
            ParamRole::Bias | ParamRole::Scale | ParamRole::Shift => self == Self::All,
            ParamRole::Statistic | ParamRole::Mask => false,
        }
    }

    /// How it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Weights => "weights",
        }
    }
}

impl WeightDecay {
    /// No decay.
    pub const NONE: Self = Self {
        factor: 0.0,
        decoupled: false,
        decay: Decay::All,
    };

    /// Whether a parameter of this role decays.
    #[must_use]
    pub fn touches(&self, role: ParamRole) -> bool {
        self.factor != 0.0 && self.decay.touches(role)
    }
}

impl OptimizerConfig {
    /// The learning rate before the schedule.
    #[must_use]
    pub fn lr(&self) -> f64 {
        self.lr
    }
}

impl fmt::Display for OptimizerConfig {
    /// As it would be written with every default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WeightDecay {
            factor,
            decoupled,
            decay,
        } = self.weight_decay;
        let (name, own): (&str, Vec<(&str, String)>) = match self.rule {
            UpdateRule::Sgd {
                momentum,
                dampening,
                nesterov,
            } => (
                "sgd",
                vec![
                    ("momentum", figure(momentum)),
                    ("dampening", figure(dampening)),
                    ("nesterov", nesterov.to_string()),
                ],
            ),
            UpdateRule::Adam {
                beta1,
                beta2,
                eps,
                amsgrad,
            } => (
                "adam",
                vec![
                    ("beta1", figure(beta1)),
                    ("beta2", figure(beta2)),
                    ("eps", figure(eps)),
                    ("amsgrad", amsgrad.to_string()),
                ],
            ),
            UpdateRule::RmsProp {
                alpha,
                eps,
                momentum,
                centered,
            } => (
                "rmsprop",
                vec![
                    ("alpha", figure(alpha)),
                    ("eps", figure(eps)),
                    ("momentum", figure(momentum)),
                    ("centered", centered.to_string()),
                ],
            ),
            UpdateRule::Adagrad {
                lr_decay,
                initial_accumulator_value,
                eps,
            } => (
                "adagrad",
                vec![
                    ("lr_decay", figure(lr_decay)),
                    (
                        "initial_accumulator_value",
                        figure(initial_accumulator_value),
                    ),
                    ("eps", figure(eps)),
                ],
            ),
        };
        let mut args = vec![("lr", figure(self.lr))];
        args.extend(own);
        args.extend([
            ("weight_decay", figure(factor)),
            ("decoupled", decoupled.to_string()),
            ("decay", decay.word().to_owned()),
        ]);
        f.write_str(&call(name, &args))
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
const OTHER_LR: Attr = Attr {
    default: Default::Float(1e-2),
    ..LR
};
const EPS: Attr = number("eps", 1e-8);
const DECAY: Attr = Attr {
    name: "decay",
    kind: AttrKind::Word(&["all", "weights"]),
    default: Default::Word("all"),
    positional: false,
};
const WEIGHT_DECAY: Attr = number("weight_decay", 0.0);
const DECOUPLED: Attr = flag("decoupled", false);

pub(super) static SGD: Layer = choice(
    "sgd",
    &[
        LR,
        number("momentum", 0.0),
        number("dampening", 0.0),
        flag("nesterov", false),
        WEIGHT_DECAY,
        DECOUPLED,
        DECAY,
    ],
);
pub(super) static ADAM: Layer = choice(
    "adam",
    &[
        ADAM_LR,
        number("beta1", 0.9),
        number("beta2", 0.999),
        EPS,
        flag("amsgrad", false),
        WEIGHT_DECAY,
        DECOUPLED,
        DECAY,
    ],
);
pub(super) static ADAMW: Layer = choice(
    "adamw",
    &[
        ADAM_LR,
        number("beta1", 0.9),
        number("beta2", 0.999),
        EPS,
        flag("amsgrad", false),
        number("weight_decay", 0.01),
        flag("decoupled", true),
        DECAY,
    ],
);
pub(super) static RMSPROP: Layer = choice(
    "rmsprop",
    &[
        OTHER_LR,
        number("alpha", 0.99),
        EPS,
        number("momentum", 0.0),
        flag("centered", false),
        WEIGHT_DECAY,
        DECOUPLED,
        DECAY,
    ],
);
pub(super) static ADAGRAD: Layer = choice(
    "adagrad",
    &[
        OTHER_LR,
        number("lr_decay", 0.0),
        number("initial_accumulator_value", 0.0),
        number("eps", 1e-10),
        WEIGHT_DECAY,
        DECOUPLED,
        DECAY,
    ],
);

impl<'a> Elab<'a> {
    pub(super) fn optimizer(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<OptimizerConfig> {
        let chosen = self.chosen(line)?;
        let known = [&SGD, &ADAM, &ADAMW, &RMSPROP, &ADAGRAD];
        let signature = self.signature(line, &chosen, &known, &[])?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        // All are read before the first that is wrong ends it, so that one run tells all of them.
        let lr = self.real(&attrs, "lr", f64::INFINITY);
        let weight_decay = self.weight_decay(&attrs);
        let rule = match signature.name {
            "sgd" => self.sgd(&attrs),
            "rmsprop" => self.rmsprop(&attrs),
            "adagrad" => self.adagrad(&attrs),
            _ => self.adam(&attrs),
        };
        let rule = rule?;
        if let UpdateRule::Sgd {
            momentum,
            dampening,
            nesterov: true,
        } = rule
            && (momentum == 0.0 || dampening != 0.0)
        {
            let message = "`nesterov` needs a `momentum` above 0 and a `dampening` of 0";
            let span = chosen.span();
            self.report(
                Diagnostic::error(codes::BAD_VALUE, message)
                    .primary(
                        span,
                        format!("momentum is {momentum}, dampening is {dampening}"),
                    )
                    .help("write, for example, `sgd(lr = 0.1, momentum = 0.9, nesterov = true)`"),
            );
            return None;
        }
        Some(OptimizerConfig {
            lr: lr?,
            rule,
            weight_decay: weight_decay?,
        })
    }

    fn weight_decay(&mut self, attrs: &Attrs<'a>) -> Option<WeightDecay> {
        let factor = self.real(attrs, "weight_decay", f64::INFINITY);
        let (decoupled, decay) = (self.bool(attrs, "decoupled"), self.decay(attrs, "decay"));
        Some(WeightDecay {
            factor: factor?,
            decoupled: decoupled?,
            decay: decay?,
        })
    }

    /// `all` or `weights`.
    pub(super) fn decay(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<Decay> {
        Some(match self.word(attrs, name)? {
            "weights" => Decay::Weights,
            _ => Decay::All,
        })
    }

    fn sgd(&mut self, attrs: &Attrs<'a>) -> Option<UpdateRule> {
        let momentum = self.real(attrs, "momentum", 1.0);
        let dampening = self.real(attrs, "dampening", 1.0);
        let nesterov = self.bool(attrs, "nesterov");
        Some(UpdateRule::Sgd {
            momentum: momentum?,
            dampening: dampening?,
            nesterov: nesterov?,
        })
    }

    fn adam(&mut self, attrs: &Attrs<'a>) -> Option<UpdateRule> {
        let (beta1, beta2) = (
            self.below_one(attrs, "beta1"),
            self.below_one(attrs, "beta2"),
        );
        let (eps, amsgrad) = (
            self.real(attrs, "eps", f64::INFINITY),
            self.bool(attrs, "amsgrad"),
        );
        Some(UpdateRule::Adam {
            beta1: beta1?,
            beta2: beta2?,
            eps: eps?,
            amsgrad: amsgrad?,
        })
    }

    fn rmsprop(&mut self, attrs: &Attrs<'a>) -> Option<UpdateRule> {
        let (alpha, momentum) = (
            self.real(attrs, "alpha", 1.0),
            self.real(attrs, "momentum", 1.0),
        );
        let (eps, centered) = (
            self.real(attrs, "eps", f64::INFINITY),
            self.bool(attrs, "centered"),
        );
        Some(UpdateRule::RmsProp {
            alpha: alpha?,
            eps: eps?,
            momentum: momentum?,
            centered: centered?,
        })
    }

    fn adagrad(&mut self, attrs: &Attrs<'a>) -> Option<UpdateRule> {
        let [lr_decay, start, eps] = ["lr_decay", "initial_accumulator_value", "eps"]
            .map(|name| self.real(attrs, name, f64::INFINITY));
        Some(UpdateRule::Adagrad {
            lr_decay: lr_decay?,
            initial_accumulator_value: start?,
            eps: eps?,
        })
    }

    /// A number from 0 up to but not 1: at 1 the correction of a moment divides by zero.
    fn below_one(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<f64> {
        let number = self.real(attrs, name, 1.0)?;
        if number < 1.0 {
            return Some(number);
        }
        let span = self.place(attrs, name);
        let message = format!("`{name}` must be less than 1, but is {number}");
        self.report(
            Diagnostic::error(codes::OUT_OF_RANGE, message)
                .primary(span, "nothing new would ever enter the mean"),
        );
        None
    }
}
