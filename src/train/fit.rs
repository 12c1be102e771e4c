//! The training loop: a step over the batches of an epoch, and an evaluation after each epoch.
//!
//! Once it runs, a step allocates nothing: the program owns its memory, and batches pass through
//! buffers that are made once.

mod judge;
mod worker;

use std::num::NonZeroUsize;
use std::time::Instant;

use self::worker::{Tally, Worker};
use super::accumulate::Groups;
use super::data::{BatchConfig, Batches, DataError, Dataset, LabelError, Part, Scaling};
use super::rate::Rates;
use crate::engine::{Engine, RunError};
use crate::model::{self, NamedParam, NetError};
use crate::sema::Model;

/// What a training is given beside the model.
#[derive(Clone, Debug)]
pub struct FitConfig {
    /// What computes.
    pub engine: Engine,
    /// The seed of shuffling and dropout; that of the first weights is the caller's.
    pub seed: u64,
    /// Images of a step.
    pub batch: usize,
    /// How often all samples are seen.
    pub epochs: usize,
    /// What is done to the numbers of samples.
    pub scaling: Option<Scaling>,
}

/// Why a training did not begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The net or its `train` section.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Machine code, memory, threads.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There are no samples, or no images in a step.
    #[error("there is nothing to train on: {samples} samples in batches of {batch}")]
    Nothing {
        /// The samples.
        samples: usize,
        /// The batch.
        batch: usize,
    },
    /// A net with more than one input: data sets have one.
    #[error("data sets have one input a sample, and the net has {found}")]
    Inputs {
        /// The net's inputs.
        found: usize,
    },
    /// An output that a label says nothing of.
    #[error(
        "the output `{output}` is {found:?}, and the samples have a label each, which stands for a \
         number or for one of several classes: end the output with `flatten` and `dense`"
    )]
    Target {
        /// The output.
        output: String,
        /// Its sizes.
        found: Vec<usize>,
    },
    /// A label that is no class of the net.
    #[error("in the {part} samples: {source}")]
    Label {
        /// Training, validation or test.
        part: &'static str,
        /// Which.
        source: LabelError,
    },
    /// Samples of another shape than the net's input.
    #[error("the net takes samples of {wanted:?}, but the {part} samples are {found:?}")]
    SampleShape {
        /// Training, validation or test.
        part: &'static str,
        /// The input's sizes.
        wanted: Vec<usize>,
        /// The samples' sizes.
        found: Vec<usize>,
    },
    /// The loss is no number any more.
    #[error("the loss is {loss} in epoch {epoch}, step {step}: the learning rate may be too high")]
    Diverged {
        /// The loss.
        loss: f32,
        /// The epoch, from 1.
        epoch: usize,
        /// The step in it, from 1.
        step: usize,
    },
}

/// Means over an epoch or a part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Score {
    /// The mean loss, every sample counting the same.
    pub loss: f64,
    /// The share of right answers of the first output that has a loss: the greatest score is the
    /// label's, or, where the output is a single number, the label is nearest to it; for the binary
    /// cross-entropy, the share of elements whose logit is above 0 where they should be 1, and not
    /// where they should be 0.
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
    /// Some steps are done.
    Progress(Progress),
    /// An epoch is done; the parameters can be read.
    Epoch(Epoch, &'t Trainer),
}

/// A model being trained.
#[derive(Debug)]
pub struct Trainer {
    step: Worker,
    evaluation: Worker,
    rates: Rates,
    groups: Groups,
    scaling: Option<Scaling>,
    has_statistics: bool,
}

/// Steps between progress reports.
const REPORT_EVERY: usize = 16;

impl Trainer {
    /// Prepares a model made for training, and the same made for use. `params` are the first values.
    ///
    /// # Errors
    ///
    /// The `train` section lacks something, or there is no code, memory or thread.
    pub fn new(
        train: &Model,
        infer: &Model,
        params: &[NamedParam],
        config: FitConfig,
    ) -> Result<Trainer, FitError> {
        let FitConfig {
            engine,
            seed,
            batch,
            epochs,
            scaling,
        } = config;
        let section = model::train_config(train)?;
        let loss = model::loss(train)?;
        let step = model::training_graph(train)?;
        let evaluation = model::evaluation_graph(infer)?;
        let optimizer = section
            .optimizer
            .ok_or_else(|| model::no_optimizer(train))?;
        let batch = batch.max(1);
        let known = |(name, _, _): &&NamedParam| {
            let mut params = evaluation.params();
            params.any(|(_, param)| param.name == *name)
        };
        let kept: Vec<NamedParam> = params.iter().filter(known).cloned().collect();
        let mut roles = step.params().map(|(_, param)| param.role);
        Ok(Trainer {
            has_statistics: roles.any(|role| !role.is_trainable()),
            step: Worker::new(&step, &loss, batch, &engine, params)?,
            evaluation: Worker::new(&evaluation, &loss, batch, &engine, &kept)?,
            rates: Rates {
                optimizer,
                schedule: section.schedule,
                per_epoch: 1,
                epochs,
                seed,
            },
            groups: Groups {
                every: section.accumulate,
                steps: 0,
                batch,
                images: 0,
            },
            scaling,
        })
    }

    /// The parameters as they are now, statistics and heads that exist only in training among them.
    ///
    /// # Errors
    ///
    /// None in practice: the names are the program's own.
    pub fn params(&self) -> Result<Vec<NamedParam>, FitError> {
        let runner = &self.step.runner;
        let names = model::names_and_dims(runner.graph());
        let read = |(name, dims): (String, Vec<usize>)| {
            let data = runner.param(&name)?;
            Ok((name, dims, data))
        };
        names.into_iter().map(read).collect()
    }

    /// Trains for all epochs and tells what happens.
    ///
    /// # Errors
    ///
    /// The data does not fit the net, the loss is no number any more, or a report fails.
    pub fn fit<E: From<FitError> + Send>(
        &mut self,
        data: &Dataset,
        validation: Option<&Part>,
        mut report: impl FnMut(Event<'_>) -> Result<(), E> + Send,
    ) -> Result<Vec<Epoch>, E> {
        self.step.check(&data.train, "training")?;
        self.evaluation.check(&data.test, "test")?;
        if let Some(part) = validation {
            self.evaluation.check(part, "validation")?;
        }
        let (samples, batch) = (data.train.len(), self.step.batch);
        // The statistics of a single image say nothing, and of a map of one pixel they do not exist.
        let drop_last = self.has_statistics && samples > batch && samples % batch == 1;
        let scaling = self.scaling.clone();
        let seed = Some(self.rates.seed);
        let mut batches = deal(&data.train, scaling.as_ref(), batch, seed, drop_last)?;
        let evaluation = self.evaluation.batch;
        let mut test = deal(&data.test, scaling.as_ref(), evaluation, None, false)?;
        let held_out = validation.map(|part| deal(part, scaling.as_ref(), evaluation, None, false));
        let mut held_out = held_out.transpose()?;
        let steps = batches.per_epoch();
        self.groups.steps = steps;
        self.groups.images = samples.min(steps * batch);
        self.rates.per_epoch = self.groups.updates();
        if steps == 0 {
            return Err(FitError::Nothing { samples, batch }.into());
        }
        let mut history = Vec::new();
        for epoch in 1..=self.rates.epochs {
            let start = Instant::now();
            let (train, seen) = self.epoch(&mut batches, epoch, samples, &mut report)?;
            let seconds = start.elapsed().as_secs_f64();
            self.hand_over()?;
            let validation = held_out.as_mut().map(|part| self.evaluate(part));
            let done = Epoch {
                epoch,
                train,
                validation: validation.transpose()?,
                test: self.evaluate(&mut test)?,
                images_per_second: seen as f64 / seconds,
            };
            history.push(done);
            report(Event::Epoch(done, self))?;
        }
        Ok(history)
    }

    /// Trains for one epoch; its means, and the samples seen.
    fn epoch<E: From<FitError> + Send>(
        &mut self,
        batches: &mut Batches<'_>,
        epoch: usize,
        samples: usize,
        report: &mut (impl FnMut(Event<'_>) -> Result<(), E> + Send),
    ) -> Result<(Score, usize), E> {
        batches.start_epoch(epoch as u64 - 1);
        let (rates, groups) = (self.rates, self.groups);
        let first = (epoch - 1) * groups.steps;
        let first_update = (epoch - 1) * rates.per_epoch;
        enter(&mut self.step, |worker| {
            let mut tally = Tally::default();
            let mut in_epoch = 0;
            while let Some(count) = worker.load(batches)? {
                let update = first_update + in_epoch / groups.every;
                let scalars = rates.scalars(update).into_iter();
                for (scalar, number) in scalars.chain(groups.scalars(in_epoch)) {
                    worker.runner.set_scalar(scalar, number);
                }
                let seed = rates.dropout_seed(first + in_epoch);
                worker.runner.set_seed(seed);
                let loss = worker.run(count, &mut tally)?;
                in_epoch += 1;
                if !loss.is_finite() {
                    let step = in_epoch;
                    return Err(FitError::Diverged { loss, epoch, step }.into());
                }
                if in_epoch.is_multiple_of(REPORT_EVERY) || in_epoch == groups.steps {
                    report(Event::Progress(Progress {
                        epoch,
                        done: tally.seen,
                        of: samples,
                        score: tally.score(),
                    }))?;
                }
            }
            Ok((tally.score(), tally.seen))
        })
    }

    /// Gives the evaluation the parameters of the training.
    fn hand_over(&mut self) -> Result<(), FitError> {
        for (name, _) in model::names_and_dims(self.evaluation.runner.graph()) {
            let data = self.step.runner.param(&name)?;
            self.evaluation.runner.set_param(&name, &data)?;
        }
        Ok(())
    }

    fn evaluate(&mut self, batches: &mut Batches<'_>) -> Result<Score, FitError> {
        enter(&mut self.evaluation, |worker| worker.evaluate(batches))
    }
}

/// Runs a closure on the threads of a worker's runner.
fn enter<R: Send>(worker: &mut Worker, work: impl FnOnce(&mut Worker) -> R + Send) -> R {
    let pool = worker.runner.take_threads();
    let Some(pool) = pool else {
        return work(worker);
    };
    let result = pool.install(|| work(worker));
    worker.runner.put_threads(pool);
    result
}

fn deal<'p>(
    part: &'p Part,
    scaling: Option<&Scaling>,
    batch: usize,
    seed: Option<u64>,
    drop_last: bool,
) -> Result<Batches<'p>, FitError> {
    let samples = part.len();
    let size = NonZeroUsize::new(batch).ok_or(FitError::Nothing { samples, batch })?;
    let how = BatchConfig {
        size,
        seed,
        drop_last,
    };
    Ok(Batches::new(part, scaling, how)?)
}

/// Loss and accuracy of a model, made for use, on some samples.
///
/// # Errors
///
/// The data does not fit the net.
pub fn score(
    infer: &Model,
    params: &[NamedParam],
    part: &Part,
    config: &FitConfig,
) -> Result<Score, FitError> {
    let loss = model::loss(infer)?;
    let graph = model::evaluation_graph(infer)?;
    let batch = config.batch.max(1);
    let mut worker = Worker::new(&graph, &loss, batch, &config.engine, params)?;
    worker.check(part, "test")?;
    let mut batches = deal(part, config.scaling.as_ref(), batch, None, false)?;
    enter(&mut worker, |worker| worker.evaluate(&mut batches))
}
