//! What a training tells: scores, epochs, where it stands.

use serde::{Deserialize, Serialize};

use super::Trainer;
use super::worker::Tally;
use crate::sema::Metric;
use crate::train::judge::{Best, Plateau};

/// Means over an epoch or a part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Score {
    /// The mean loss, every sample counting the same.
    pub loss: f64,
    /// The share of right answers: the greatest score is the label's, or, where the output is a
    /// single number, the label is nearest to it. No number (NaN) where the answers are no classes.
    pub accuracy: f64,
}

/// One epoch.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Over the steps of the epoch, each as it was when taken.
    pub train: Score,
    /// On the samples that were held out, after the epoch.
    pub validation: Option<Score>,
    /// On unseen samples, after the epoch.
    pub test: Score,
    /// Training speed, evaluation left out.
    pub images_per_second: f64,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
}

impl Epoch {
    /// The number that an epoch is judged by, if its samples were held out.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::ValidationLoss => self.validation.map(|score| score.loss),
            Metric::ValidationAccuracy => self.validation.map(|score| score.accuracy),
            Metric::TrainLoss => Some(self.train.loss),
            Metric::TrainAccuracy => Some(self.train.accuracy),
        }
    }
}

/// Where a training stands between two steps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The epochs that the training is to have.
    pub epochs: usize,
    /// The epoch under way, from 1, or the one after the last.
    pub epoch: usize,
    /// Its steps that are done.
    pub step: usize,
    /// Their sums.
    pub(super) tally: Tally,
    /// The time they took.
    pub(super) seconds: f64,
    /// What the learning rate has come to.
    pub plateau: Plateau,
    /// The best epoch.
    pub best: Best,
    /// The epoch after which `early_stop` ended the training.
    pub stopped: Option<usize>,
}

impl Place {
    /// The beginning, with the optimizer's learning rate.
    #[must_use]
    pub fn start(epochs: usize, rate: f64) -> Place {
        Place {
            epochs,
            epoch: 1,
            step: 0,
            tally: Tally::default(),
            seconds: 0.0,
            plateau: Plateau::new(rate),
            best: Best::default(),
            stopped: None,
        }
    }

    /// Whether nothing is left of the training.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.epoch > self.epochs || self.stopped.is_some()
    }
}

/// Where a training stands, for progress reports.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Samples seen in it.
    pub done: usize,
    /// Samples of an epoch.
    pub of: usize,
    /// Means so far.
    pub score: Score,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'t> {
    /// A step is done.
    Progress(Progress),
    /// A batch of an evaluation is done. What is answered here but [`Flow::Continue`] breaks the
    /// evaluation off; it begins anew where the training goes on.
    Evaluating,
    /// What [`Flow::Pause`] or [`Flow::Stop`] asked for: the training stands between two steps, and
    /// can be read.
    Pause(&'t Trainer),
    /// An epoch is done; the training can be read.
    Epoch(Epoch, &'t Trainer),
}

/// What is to happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// The training goes on.
    Continue,
    /// [`Event::Pause`] comes next, and then the training goes on.
    Pause,
    /// [`Event::Pause`] comes next where it has not just been, and then the training ends.
    Stop,
}

/// How a training ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// `early_stop` ended it after this epoch.
    StoppedEarly(usize),
    /// A report asked for it.
    Interrupted,
}
