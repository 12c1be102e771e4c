//! The training half as the trainer reads it: everything resolved, every default filled in.

use super::augment::Augment;
use super::clip::Clip;
use super::early_stop::EarlyStop;
use super::freeze::Freeze;
use super::init::InitRule;
use super::loss::OutputLoss;
use super::optimizer::OptimizerConfig;
use super::regularize::Regularize;
use super::schedule::Schedule;
use super::spec::Spec;
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
    /// What keeps weights small.
    pub regularize: Regularize,
    /// Which parameters stay as they are.
    pub freeze: Freeze,
    /// How large a gradient may be.
    pub clip: Option<Clip>,
    /// Steps whose gradients are averaged for one update.
    pub accumulate: usize,
    /// The whole section.
    pub span: Span,
}
