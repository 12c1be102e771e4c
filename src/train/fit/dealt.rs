//! The batches of a training, and all that is found wrong with it before its first step.

use std::num::NonZeroUsize;

use super::worker::Feed;
use super::{FitError, Trainer};
use crate::train::data::{BatchConfig, Batches, Dataset, Part, Scaling};

/// The batches of a training.
pub(super) struct Dealt<'d> {
    /// Those of its steps.
    pub(super) train: Batches<'d>,
    /// Those of the samples that decide nothing.
    pub(super) test: Batches<'d>,
    /// Those of the samples that are held out, where some are.
    pub(super) held_out: Option<Batches<'d>>,
}

impl Trainer {
    /// Whether [`Trainer::fit`] can train on these samples.
    ///
    /// # Errors
    ///
    /// The data does not fit the net, or there is too little of it.
    pub fn check(&self, data: &Dataset, validation: Option<&Part>) -> Result<(), FitError> {
        let steps = self.dealt(data, validation)?.train.per_epoch();
        self.agenda.check(self.rates.epochs * steps)
    }

    pub(super) fn dealt<'d>(
        &self,
        data: &'d Dataset,
        validation: Option<&'d Part>,
    ) -> Result<Dealt<'d>, FitError> {
        self.step.check(&data.train, "training")?;
        self.evaluation.check(&data.test, "test")?;
        if let Some(part) = validation {
            self.evaluation.check(part, "validation")?;
        }
        if let Some(rule) = self.early_stop.filter(|rule| rule.metric.is_held_out())
            && validation.is_none()
        {
            let metric = rule.metric.name();
            return Err(FitError::NothingHeldOut { metric });
        }
        self.check_norms(data)?;
        let (seed, drop_last) = (Some(self.rates.seed), self.drop_last);
        let train = |part| {
            deal(
                &self.step.feed,
                part,
                &self.scalings,
                "training",
                seed,
                drop_last,
            )
        };
        let unseen = |part, name| {
            deal(
                &self.evaluation.feed,
                part,
                &self.scalings,
                name,
                None,
                false,
            )
        };
        let mut dealt = Dealt {
            train: train(&data.train)?,
            test: unseen(&data.test, "test")?,
            held_out: validation
                .map(|part| unseen(part, "validation"))
                .transpose()?,
        };
        dealt.train.augment(&self.augment)?;
        if dealt.train.per_epoch() == 0 {
            let (samples, batch) = (data.train.len(), self.step.feed.batch);
            return Err(FitError::Nothing { samples, batch });
        }
        Ok(dealt)
    }

    /// That no batch norm is given a single value a channel.
    fn check_norms(&self, data: &Dataset) -> Result<(), FitError> {
        let (samples, batch) = (data.train.len(), self.step.feed.batch);
        let Some(layer) = &self.single else {
            return Ok(());
        };
        let (what, help) = if batch == 1 {
            let help = "take a larger batch".to_owned();
            ("each batch has".to_owned(), help)
        } else if samples % batch == 1 && !self.drop_last {
            (
                format!("the last batch of the {samples} samples has"),
                format!("write `batch({batch}, drop_last = true)`, or take another batch"),
            )
        } else {
            return Ok(());
        };
        let layer = layer.clone();
        Err(FitError::SingleSample { layer, what, help })
    }
}

/// The batches of one part.
pub(super) fn deal<'p>(
    feed: &Feed,
    part: &'p Part,
    scalings: &[Option<Scaling>],
    name: &'static str,
    seed: Option<u64>,
    drop_last: bool,
) -> Result<Batches<'p>, FitError> {
    let (samples, batch) = (part.len(), feed.batch);
    let size = NonZeroUsize::new(batch).ok_or(FitError::Nothing { samples, batch })?;
    let how = BatchConfig {
        size,
        seed,
        drop_last,
    };
    let places = feed.places(part, name)?.into_iter().enumerate();
    let inputs: Vec<(usize, Option<&Scaling>)> = places
        .map(|(input, place)| (place, scalings.get(input).and_then(Option::as_ref)))
        .collect();
    Ok(Batches::of_inputs(part, &inputs, how)?)
}
