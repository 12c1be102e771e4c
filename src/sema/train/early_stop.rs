//! `early_stop`: when a training ends before its last epoch.

use std::fmt;

use super::chosen::{call, figure};
use super::lines::Line;
use super::table::{choice, number};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;

/// When a training ends before its last epoch, and which weights it keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStop {
    /// Epochs in a row without a better value after which the training ends.
    pub patience: usize,
    /// How much better a value must be to count.
    pub min_delta: f64,
    /// What is judged.
    pub metric: Metric,
}

/// A number that an epoch is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The loss on the samples that were held out; less is better.
    ValidationLoss,
    /// The accuracy on the samples that were held out; more is better.
    ValidationAccuracy,
    /// The loss over the steps of the epoch; less is better.
    TrainLoss,
    /// The accuracy over the steps of the epoch; more is better.
    TrainAccuracy,
}

impl Metric {
    const ALL: [Metric; 4] = [
        Metric::ValidationLoss,
        Metric::ValidationAccuracy,
        Metric::TrainLoss,
        Metric::TrainAccuracy,
    ];

    /// Its word in a `train` section.
    #[must_use]
    pub fn name(self) -> &'static str {
        let at = Self::ALL.iter().position(|metric| *metric == self);
        WORDS[at.unwrap_or_default()]
    }

    /// Whether more is better.
    #[must_use]
    pub fn rises(self) -> bool {
        matches!(self, Self::ValidationAccuracy | Self::TrainAccuracy)
    }

    /// Whether it is taken of samples that were held out.
    #[must_use]
    pub fn is_held_out(self) -> bool {
        matches!(self, Self::ValidationLoss | Self::ValidationAccuracy)
    }
}

impl fmt::Display for EarlyStop {
    /// As it would be written with every default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = [
            ("patience", self.patience.to_string()),
            ("min_delta", figure(self.min_delta)),
            ("metric", self.metric.name().to_owned()),
        ];
        f.write_str(&call("early_stop", &args))
    }
}

const WORDS: [&str; 6] = [
    "validation_loss",
    "validation_accuracy",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
];

static EARLY_STOP: Layer = choice(
    "early_stop",
    &[
        Attr {
            name: "patience",
            kind: AttrKind::Int(1, 1 << 20),
            default: Default::Required,
            positional: true,
        },
        number("min_delta", 0.0),
        Attr {
            name: "metric",
            kind: AttrKind::Word(&WORDS),
            default: Default::Word(WORDS[0]),
            positional: false,
        },
    ],
);

impl<'a> Elab<'a> {
    /// `early_stop(patience = 5)`, or `early_stop 5`.
    pub(super) fn early_stop(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<EarlyStop> {
        let attrs = self.key_attrs(env, line, &EARLY_STOP)?;
        let patience = self.int(&attrs, "patience");
        let min_delta = self.number_of(&attrs, "min_delta", 0.0, f64::INFINITY);
        let word = self.word(&attrs, "metric")?;
        let long = match word.strip_prefix("val_") {
            Some(measure) => format!("validation_{measure}"),
            None => word.to_string(),
        };
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == long);
        Some(EarlyStop {
            patience: patience?,
            min_delta: min_delta?,
            metric: metric?,
        })
    }
}
