//! The training half as the trainer reads it: everything resolved, every default filled in.

use std::fmt;

use super::augment::Augment;
use super::early_stop::EarlyStop;
use super::schedule::Schedule;
use crate::diag::Span;

/// A `train` section.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Where the examples come from; a trainer that needs it asks for it.
    pub data: Option<Spec>,
    /// What is minimised, for each output that has a loss.
    pub losses: Vec<OutputLoss>,
    /// How weights follow the gradient; a trainer that needs it asks for it.
    pub optimizer: Option<OptimizerConfig>,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Random changes of the samples to learn from, in the order in which they are made.
    pub augment: Vec<Augment>,
    /// When training ends before its last epoch.
    pub early_stop: Option<EarlyStop>,
    /// Images in a step.
    pub batch: usize,
    /// Whether a last batch that is not full is left out.
    pub drop_last: bool,
    /// Times that all examples are seen.
    pub epochs: usize,
    /// What all random numbers follow from.
    pub seed: u64,
    /// How weights start where the layer does not say.
    pub init: InitRule,
    /// The whole section.
    pub span: Span,
}

/// The loss of an output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputLoss {
    /// The output; `None` where the net has only one.
    pub output: Option<String>,
    /// The loss.
    pub loss: Loss,
    /// Where it stands.
    pub span: Span,
}

impl OutputLoss {
    pub(in crate::sema) fn is_cross_entropy(&self) -> bool {
        self.loss == Loss::CrossEntropy
    }
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The cross-entropy of the softmax of the output with the label, averaged over the batch.
    CrossEntropy,
    /// The squared difference of output and target, averaged over the batch and the elements of the output.
    MeanSquaredError,
}

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

/// How weights start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitRule {
    /// Uniform in ±sqrt(1 / fan-in), weights and biases alike: PyTorch's default.
    FanIn,
    /// Normal with variance 2 / fan-in (He et al. 2015); biases 0.
    He,
    /// Uniform in ±sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010); biases 0.
    Xavier,
    /// All 0.
    Zeros,
}

/// Something called by name with constant arguments, for whoever knows the name: a data set, a way to read pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// What is called.
    pub name: String,
    /// The arguments, as written.
    pub args: Vec<SpecArg>,
    /// The place.
    pub span: Span,
}

/// An argument of a [`Spec`].
#[derive(Clone, Debug, PartialEq)]
pub struct SpecArg {
    /// Its name, if it was given by name.
    pub name: Option<String>,
    /// Its value.
    pub value: Const,
    /// The place.
    pub span: Span,
}

/// A constant outside of the net.
#[derive(Clone, Debug, PartialEq)]
pub enum Const {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Str(String),
    /// A bare word.
    Word(String),
    /// A list or a tuple.
    List(Vec<Const>),
}

impl Spec {
    /// The argument of that name, or at that position.
    #[must_use]
    pub fn arg(&self, name: &str, position: usize) -> Option<&SpecArg> {
        let named = self
            .args
            .iter()
            .find(|arg| arg.name.as_deref() == Some(name));
        named.or_else(|| self.args.get(position).filter(|arg| arg.name.is_none()))
    }
}

impl fmt::Display for Const {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Str(text) => write!(f, "{text:?}"),
            Self::Word(word) => f.write_str(word),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}
