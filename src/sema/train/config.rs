//! The training half as the trainer reads it: everything resolved, every default filled in.

use super::init::InitRule;
use super::loss::OutputLoss;
use super::optimizer::OptimizerConfig;
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
    /// Images in a step.
    pub batch: usize,
    /// Times that all examples are seen.
    pub epochs: usize,
    /// What all random numbers follow from.
    pub seed: u64,
    /// How weights start where the layer does not say.
    pub init: InitRule,
    /// The whole section.
    pub span: Span,
}
