//! The training half as the trainer reads it: everything resolved, every default filled in.

use std::fmt;

use super::augment::Augment;
use super::batch::BatchSize;
use super::clip::Clip;
use super::data::DataLine;
use super::early_stop::EarlyStop;
use super::freeze::Freeze;
use super::init::InitRule;
use super::loss::OutputLoss;
use super::optimizer::OptimizerConfig;
use super::regularize::Regularize;
use super::schedule::Schedule;
use crate::diag::Span;

/// A `train` section.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Where the examples come from; a trainer that needs it asks for it.
    pub data: Option<DataLine>,
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

/// A key of a `train` section with its value, every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The key.
    pub key: &'static str,
    /// The output that it is for, where it names one.
    pub target: Option<String>,
    /// The value, in the form in which a section is written.
    pub value: String,
}

impl Written {
    /// The key with its target: what tells the lines of a section apart.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.target {
            Some(target) => format!("{} {target}", self.key),
            None => self.key.to_owned(),
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, target, value } = self;
        match target {
            Some(target) => write!(f, "{key} {target} = {value}"),
            // `batch(64, drop_last = true)` and `early_stop(…)` are keys with arguments of their own.
            None if value
                .strip_prefix(key)
                .is_some_and(|args| args.starts_with('(')) =>
            {
                f.write_str(value)
            }
            None => write!(f, "{key} {value}"),
        }
    }
}

impl TrainConfig {
    /// The whole section, a key each, in the order of the language. What is `none` where a section does
    /// not name it, such as `clip`, is left out.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        let line = |key, value: String| Written {
            key,
            target: None,
            value,
        };
        let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(", "));
        let batch = BatchSize {
            samples: self.batch,
            drop_last: self.drop_last,
        };
        let augment = list(self.augment.iter().map(ToString::to_string).collect());
        let regularize = list(self.regularize.parts());
        let before = [
            self.data
                .as_ref()
                .map(|data| line("data", data.to_string())),
            augment.map(|augment| line("augment", augment)),
        ];
        let losses = self.losses.iter().map(|loss| Written {
            target: loss.output.clone(),
            ..line("loss", loss.to_string())
        });
        let after = [
            self.optimizer
                .map(|optimizer| line("optimizer", optimizer.to_string())),
            Some(line("schedule", self.schedule.to_string())),
            Some(line("init", self.init.to_string())),
            regularize.map(|regularize| line("regularize", regularize)),
            (!self.freeze.is_empty()).then(|| line("freeze", self.freeze.to_string())),
            self.clip.map(|clip| line("clip", clip.to_string())),
            Some(line("accumulate", self.accumulate.to_string())),
            Some(line("batch", batch.to_string())),
            Some(line("epochs", self.epochs.to_string())),
            Some(line("seed", self.seed.to_string())),
            self.early_stop
                .map(|early_stop| line("early_stop", early_stop.to_string())),
        ];
        let before = before.into_iter().flatten();
        before
            .chain(losses)
            .chain(after.into_iter().flatten())
            .collect()
    }
}
