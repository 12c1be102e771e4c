//! The training loop: a step over the batches of an epoch, and an evaluation after each epoch.
//!
//! Once it runs, a step allocates nothing: the program owns its memory, and batches pass through
//! buffers that are made once. All that is random follows from the seed, the epoch and the step, so a
//! training that is resumed from a [`Checkpoint`] comes to the same bits as one that never stopped.

mod agenda;
mod clock;
mod dealt;
mod error;
mod events;
mod snapshot;
mod targets;
mod trouble;
mod watch;
mod worker;

use std::time::Instant;

use self::agenda::Agenda;
use self::clock::{Clock, StepNumbers};
use self::dealt::{Dealt, deal};
pub use self::error::FitError;
pub use self::events::{Ending, Epoch, Event, Flow, Place, Progress, Score};
use self::snapshot::Snapshot;
use self::trouble::Finder;
use self::watch::Watch;
use self::worker::{Tally, Worker};
use super::accumulate::Groups;
use super::checkpoint::Checkpoint;
use super::data::{Batches, Dataset, Part, Scaling};
use super::rate::Rates;
use crate::engine::{Engine, Kept};
use crate::ir::{Graph, Node, ValueId};
use crate::model::{self, NamedParam};
use crate::ops::Op;
use crate::sema::{Augment, EarlyStop, Model};

/// What a training is given beside the model.
#[derive(Clone, Debug)]
pub struct FitConfig {
    /// What computes.
    pub engine: Engine,
    /// The seed of shuffling, augmentation and dropout; that of the first weights is the caller's.
    pub seed: u64,
    /// Images of a step.
    pub batch: usize,
    /// How often all samples are seen.
    pub epochs: usize,
    /// What is done to the numbers of samples, for each input of the net; nothing where the list ends.
    pub scalings: Vec<Option<Scaling>>,
    /// Whether the gradient norms of all layers are taken at the beginning of each epoch.
    pub watch_gradients: bool,
}

/// A model being trained.
#[derive(Debug)]
pub struct Trainer {
    step: Worker,
    evaluation: Worker,
    watch: Option<Watch>,
    rates: Rates,
    groups: Groups,
    engine: Engine,
    scalings: Vec<Option<Scaling>>,
    augment: Vec<Augment>,
    early_stop: Option<EarlyStop>,
    drop_last: bool,
    /// A batch norm over one value a channel and sample.
    single: Option<String>,
    /// The nodes of the net itself in the graph of a step.
    forward_nodes: usize,
    agenda: Agenda,
    snapshot: Snapshot,
    diverged: bool,
    place: Place,
    history: Vec<Epoch>,
    gradient_norms: Vec<Vec<f64>>,
    best: Option<Vec<NamedParam>>,
}

/// Steps between snapshots in memory. When a number is found that is not finite, at most so many are
/// run again; one snapshot costs about as much as reading and writing all parameters once.
const SNAPSHOT_EVERY: usize = 64;

/// Why the steps of an epoch ended.
enum Reached {
    End,
    Pause(Flow),
}

impl Trainer {
    /// Prepares a model made for training, and the same made for use. `params` are the first values.
    ///
    /// # Errors
    ///
    /// The `train` section lacks something, a parameter is not finite, or there is no code, memory or
    /// thread.
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
            scalings,
            watch_gradients,
        } = config;
        let section = model::train_config(train)?;
        let loss = model::loss(train)?;
        let step = model::training_graph(train)?;
        let evaluation = model::evaluation_graph(infer)?;
        let optimizer = section
            .optimizer
            .ok_or_else(|| model::no_optimizer(train))?;
        let batch = batch.max(1);
        if let Some(name) = trouble::not_finite(params) {
            let name = name.to_owned();
            return Err(FitError::ParamNotFinite { name });
        }
        let known = |(name, _, _): &&NamedParam| {
            let mut params = evaluation.params();
            params.any(|(_, param)| param.name == *name)
        };
        let kept: Vec<NamedParam> = params.iter().filter(known).cloned().collect();
        let watch = if watch_gradients {
            let graph = model::gradient_graph(train)?;
            Some(Watch::new(&graph, batch, &engine, params)?)
        } else {
            None
        };
        let worker = Worker::new(&step, &loss, batch, &engine, params)?;
        Ok(Trainer {
            evaluation: Worker::new(&evaluation, &loss, batch, &engine, &kept)?,
            watch,
            rates: Rates {
                optimizer,
                schedule: section.schedule,
                per_epoch: 1,
                epochs,
                seed,
                plateau: optimizer.lr(),
            },
            groups: Groups {
                every: section.accumulate,
                steps: 0,
                batch,
                images: 0,
            },
            engine,
            scalings,
            augment: section.augment.clone(),
            early_stop: section.early_stop,
            drop_last: section.drop_last,
            single: single_value_norm(&step),
            forward_nodes: train.graph.nodes.len(),
            agenda: Agenda::new(&step),
            snapshot: Snapshot::new(&worker.runner),
            step: worker,
            diverged: false,
            place: Place::start(epochs, optimizer.lr()),
            history: Vec::new(),
            gradient_norms: Vec::new(),
            best: None,
        })
    }

    /// The parameters as they are now, statistics and heads that exist only in training among them.
    ///
    /// # Errors
    ///
    /// None in practice: the names are the program's own.
    pub fn params(&self) -> Result<Vec<NamedParam>, FitError> {
        self.kept(Kept::Param)
    }

    /// The parameters to use: those of the best epoch where `early_stop` keeps them, or else as they
    /// are now.
    ///
    /// # Errors
    ///
    /// None in practice: the names are the program's own.
    pub fn best_params(&self) -> Result<Vec<NamedParam>, FitError> {
        match &self.best {
            Some(best) => Ok(best.clone()),
            None => self.params(),
        }
    }

    fn kept(&self, wanted: Kept) -> Result<Vec<NamedParam>, FitError> {
        let runner = &self.step.runner;
        let kept = runner.kept().into_iter();
        kept.filter(|(kind, _, _)| *kind == wanted)
            .map(|(kind, name, dims)| {
                let mut data = vec![0.0; dims.iter().product()];
                runner.read_kept(kind, &name, &mut data)?;
                Ok((name, dims, data))
            })
            .collect()
    }

    fn clock(&self) -> Clock {
        Clock {
            rates: self.rates,
            groups: self.groups,
        }
    }

    /// Where the training stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The epochs that are done.
    #[must_use]
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// The layers whose gradient norms are taken, from the input to the output.
    #[must_use]
    pub fn watched_layers(&self) -> Vec<&str> {
        self.watch.iter().flat_map(Watch::layers).collect()
    }

    /// The gradient norms of these layers at the beginning of each epoch that has begun.
    #[must_use]
    pub fn gradient_norms(&self) -> &[Vec<f64>] {
        &self.gradient_norms
    }

    /// Whether a number has appeared that is not finite. The parameters are then those of before that
    /// step, and the training cannot go on.
    #[must_use]
    pub fn has_diverged(&self) -> bool {
        self.diverged
    }

    /// All that another trainer of the same model needs to go on from here.
    ///
    /// # Errors
    ///
    /// None in practice: the names are the program's own.
    pub fn checkpoint(&self) -> Result<Checkpoint, FitError> {
        Ok(Checkpoint {
            place: self.place.clone(),
            history: self.history.clone(),
            gradient_norms: self.gradient_norms.clone(),
            params: self.params()?,
            states: self.kept(Kept::State)?,
            best: self.best.clone(),
        })
    }

    /// Goes to where a checkpoint was made.
    ///
    /// # Errors
    ///
    /// The checkpoint is of another net.
    pub fn restore(&mut self, checkpoint: Checkpoint) -> Result<(), FitError> {
        let runner = &mut self.step.runner;
        for (kind, name, dims) in runner.kept() {
            let tensors = match kind {
                Kept::Param => &checkpoint.params,
                Kept::State => &checkpoint.states,
            };
            let found = tensors.iter().find(|(known, _, _)| *known == name);
            let Some((_, _, data)) = found.filter(|(_, shape, _)| *shape == dims) else {
                return Err(FitError::Checkpoint { name });
            };
            runner.set_kept(kind, &name, data)?;
        }
        self.place = Place {
            epochs: self.rates.epochs,
            ..checkpoint.place
        };
        self.history = checkpoint.history;
        self.gradient_norms = checkpoint.gradient_norms;
        self.best = checkpoint.best;
        self.snapshot.step = None;
        Ok(())
    }

    /// Trains from where it stands to the end of all epochs and tells what happens.
    ///
    /// # Errors
    ///
    /// The data does not fit the net, a number is not finite any more, or a report fails.
    pub fn fit<E: From<FitError> + Send>(
        &mut self,
        data: &Dataset,
        validation: Option<&Part>,
        mut report: impl FnMut(Event<'_>) -> Result<Flow, E> + Send,
    ) -> Result<Ending, E> {
        let Dealt {
            train: mut batches,
            mut test,
            mut held_out,
        } = self.dealt(data, validation)?;
        let (samples, batch) = (data.train.len(), self.step.feed.batch);
        let steps = batches.per_epoch();
        self.groups.steps = steps;
        self.groups.images = samples.min(steps * batch);
        self.rates.per_epoch = self.groups.updates();
        self.agenda.set_steps(self.rates.epochs * steps)?;
        let done = (self.place.epoch - 1) * steps + self.place.step;
        self.agenda.catch_up(&mut self.step.runner, done)?;
        while !self.place.is_end() {
            self.rates.plateau = self.place.plateau.rate;
            // Gradients are measured with the masks that the first step has, resumed or not.
            let next = (self.place.epoch - 1) * steps + self.place.step;
            self.agenda.before(&mut self.step.runner, next)?;
            self.measure_gradients(&mut batches)?;
            let mut flow = match self.steps(&mut batches, samples, &mut report)? {
                Reached::Pause(flow) => Some(flow),
                Reached::End => None,
            };
            if flow.is_none() {
                self.check_finite(&mut batches)?;
                self.hand_over()?;
                flow = self.judge(held_out.as_mut(), &mut test, &mut report)?;
            }
            if let Some(flow) = flow {
                self.check_finite(&mut batches)?;
                let after = report(Event::Pause(self))?;
                if flow == Flow::Stop || after == Flow::Stop {
                    return Ok(Ending::Interrupted);
                }
                continue;
            }
            let Some(&epoch) = self.history.last() else {
                continue;
            };
            let after = report(Event::Epoch(epoch, self))?;
            if after == Flow::Stop && !self.place.is_end() {
                return Ok(Ending::Interrupted);
            }
        }
        Ok(match self.place.stopped {
            Some(epoch) => Ending::StoppedEarly(epoch),
            None => Ending::Finished,
        })
    }

    /// Takes the steps of the epoch that are left.
    fn steps<E: From<FitError> + Send>(
        &mut self,
        batches: &mut Batches<'_>,
        samples: usize,
        report: &mut (impl FnMut(Event<'_>) -> Result<Flow, E> + Send),
    ) -> Result<Reached, E> {
        let clock = self.clock();
        let first = (self.place.epoch - 1) * clock.groups.steps;
        batches.start_epoch(self.place.epoch as u64 - 1);
        batches.skip(self.place.step);
        let start = Instant::now();
        let Trainer {
            step: worker,
            place,
            snapshot,
            agenda,
            ..
        } = self;
        let earlier = place.seconds;
        let mut failed = None;
        let reached = enter(worker, |worker| -> Result<Reached, E> {
            while let Some(count) = worker.load(batches)? {
                let step = first + place.step;
                if snapshot
                    .step
                    .is_none_or(|taken| step >= taken + SNAPSHOT_EVERY)
                {
                    if snapshot.not_finite(&worker.runner)?.is_some() {
                        failed = Some(step);
                        return Ok(Reached::End);
                    }
                    snapshot.take(&worker.runner, step)?;
                }
                agenda.before(&mut worker.runner, step)?;
                StepNumbers::new(&clock, step).give(&mut worker.runner);
                let loss = worker.run(count, &mut place.tally)?;
                if !loss.is_finite() {
                    failed = Some(step + 1);
                    return Ok(Reached::End);
                }
                place.step += 1;
                place.seconds = earlier + start.elapsed().as_secs_f64();
                let flow = report(Event::Progress(Progress {
                    epoch: place.epoch,
                    done: place.tally.seen,
                    of: samples,
                    score: place.tally.score(),
                }))?;
                if flow != Flow::Continue {
                    return Ok(Reached::Pause(flow));
                }
            }
            Ok(Reached::End)
        })?;
        match failed {
            Some(end) => Err(self.explain(batches, end)?.into()),
            None => Ok(reached),
        }
    }

    /// That all parameters and states are finite, so that nothing else is ever saved.
    fn check_finite(&mut self, batches: &mut Batches<'_>) -> Result<(), FitError> {
        if self.snapshot.not_finite(&self.step.runner)?.is_none() {
            return Ok(());
        }
        let done = (self.place.epoch - 1) * self.groups.steps + self.place.step;
        Err(self.explain(batches, done)?)
    }

    /// Runs the steps since the last snapshot again, up to `end`, finds the one in which a number came
    /// up that is not finite, and goes back to before it.
    fn explain(&mut self, batches: &mut Batches<'_>, end: usize) -> Result<FitError, FitError> {
        let clock = self.clock();
        let Some(start) = self.snapshot.step else {
            // No step has been taken since these came from outside.
            let name = self.snapshot.not_finite(&self.step.runner)?;
            let name = name.unwrap_or_default().to_owned();
            return Ok(FitError::ParamNotFinite { name });
        };
        self.diverged = true;
        let mut loss = f32::NAN;
        let mut culprit = end.saturating_sub(1).max(start);
        self.snapshot.put(&mut self.step.runner)?;
        for step in start..end {
            loss = self.again(batches, &clock, step)?;
            let tainted = self.snapshot.not_finite(&self.step.runner)?.is_some();
            if tainted || !loss.is_finite() {
                culprit = step;
                break;
            }
        }
        self.snapshot.put(&mut self.step.runner)?;
        for step in start..culprit {
            self.again(batches, &clock, step)?;
        }
        seek(batches, &clock, culprit);
        let count = self.step.load(batches)?.unwrap_or(0);
        self.agenda.before(&mut self.step.runner, culprit)?;
        let finder = Finder {
            engine: &self.engine,
            graph: self.step.runner.graph(),
            forward_nodes: self.forward_nodes,
        };
        let numbers = StepNumbers::new(&clock, culprit);
        let found = finder.find(&self.step.runner, &self.step.feed, count, &numbers);
        let first = match found {
            Ok(Some(first)) => first,
            Ok(None) => "it appears only in the fused code of the whole step".to_owned(),
            // The machine may lack the memory to keep every value of a step.
            Err(error) => format!("it could not be looked for: {error}"),
        };
        Ok(FitError::Diverged {
            loss,
            epoch: clock.place(culprit).0 + 1,
            step: clock.place(culprit).1 + 1,
            first,
        })
    }

    /// Takes a step that has been taken before; its loss.
    fn again(
        &mut self,
        batches: &mut Batches<'_>,
        clock: &Clock,
        step: usize,
    ) -> Result<f32, FitError> {
        seek(batches, clock, step);
        let count = self.step.load(batches)?.unwrap_or(0);
        self.agenda.before(&mut self.step.runner, step)?;
        StepNumbers::new(clock, step).give(&mut self.step.runner);
        self.step.run(count, &mut Tally::default())
    }

    /// Takes the gradient norms of an epoch that is about to begin.
    fn measure_gradients(&mut self, batches: &mut Batches<'_>) -> Result<(), FitError> {
        let clock = self.clock();
        let Some(watch) = &mut self.watch else {
            return Ok(());
        };
        if self.place.step > 0 || self.gradient_norms.len() >= self.place.epoch {
            return Ok(());
        }
        let first = (self.place.epoch - 1) * self.groups.steps;
        seek(batches, &clock, first);
        let count = self.step.feed.take(batches).unwrap_or(0);
        let numbers = StepNumbers::new(&clock, first);
        let norms = watch.measure(&self.step.runner, &self.step.feed, count, &numbers)?;
        self.gradient_norms.push(norms);
        Ok(())
    }

    /// Judges the epoch whose steps are done, and goes to the next; or what a report asked for instead.
    fn judge<E: From<FitError> + Send>(
        &mut self,
        held_out: Option<&mut Batches<'_>>,
        test: &mut Batches<'_>,
        report: &mut (impl FnMut(Event<'_>) -> Result<Flow, E> + Send),
    ) -> Result<Option<Flow>, E> {
        let mut answer = Ok(Flow::Continue);
        let mut score = |batches: &mut Batches<'_>| {
            let mut goes_on = || {
                answer = report(Event::Evaluating);
                matches!(answer, Ok(Flow::Continue))
            };
            enter(&mut self.evaluation, |worker| {
                worker.evaluate(batches, &mut goes_on)
            })
        };
        let validation = match held_out {
            None => Some(None),
            Some(batches) => score(batches)?.map(Some),
        };
        let unseen = match validation {
            Some(_) => score(test)?,
            None => None,
        };
        let flow = answer?;
        let (Some(validation), Some(test)) = (validation, unseen) else {
            return Ok(Some(flow));
        };
        let clock = self.clock();
        let place = &mut self.place;
        let last = (place.epoch - 1) * clock.groups.steps + place.step.saturating_sub(1);
        let done = Epoch {
            epoch: place.epoch,
            train: place.tally.score(),
            validation,
            test,
            images_per_second: place.tally.seen as f64 / place.seconds,
            learning_rate: clock.rates.learning_rate(clock.update(last)),
        };
        let loss = validation.map_or(done.train.loss, |score| score.loss);
        place.plateau.judge(self.rates.schedule.curve, loss);
        if let Some(rule) = &self.early_stop {
            let value = done.metric(rule.metric).unwrap_or(f64::NAN);
            if place.best.judge(rule, done.epoch, value) {
                self.best = Some(self.params()?);
            }
            if self.place.best.is_over(rule) {
                self.place.stopped = Some(done.epoch);
            }
        }
        self.history.push(done);
        self.place.epoch += 1;
        self.place.step = 0;
        self.place.tally = Tally::default();
        self.place.seconds = 0.0;
        Ok(None)
    }

    /// Gives the evaluation the parameters of the training.
    fn hand_over(&mut self) -> Result<(), FitError> {
        for (name, _) in model::names_and_dims(self.evaluation.runner.graph()) {
            let data = self.step.runner.param(&name)?;
            self.evaluation.runner.set_param(&name, &data)?;
        }
        Ok(())
    }
}

/// Goes to the batch of a step, counted from 0 over all epochs.
fn seek(batches: &mut Batches<'_>, clock: &Clock, step: usize) {
    let (epoch, in_epoch) = clock.place(step);
    batches.start_epoch(epoch as u64);
    batches.skip(in_epoch);
}

/// The first batch norm that normalises one value a channel and sample.
fn single_value_norm(step: &Graph) -> Option<String> {
    let single = |node: &&Node| {
        let pixels = |&x: &ValueId| step.dims(x).iter().skip(1).product::<usize>();
        node.op == Op::BatchStats && node.inputs.first().map(pixels) == Some(1)
    };
    let mut nodes = step.nodes.iter().map(|(_, node)| node);
    nodes.find(single).map(|node| node.origin.to_string())
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
    let mut batches = deal(&worker.feed, part, &config.scalings, "test", None, false)?;
    let score = enter(&mut worker, |worker| {
        worker.evaluate(&mut batches, &mut || true)
    })?;
    Ok(score.unwrap_or_else(|| Tally::default().score()))
}
