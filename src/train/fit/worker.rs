//! One graph with the buffers that its batches pass through.

use serde::{Deserialize, Serialize};

use super::super::data::{Answers, Batches};
use super::super::loss::{LOSS, Loss};
use super::super::mean::WeightedMean;
use super::targets::Targets;
use super::{FitError, Score};
use crate::engine::{Engine, Runner};
use crate::ir::Graph;
use crate::model::NamedParam;
use crate::train::data::Part;

/// The buffers that batches pass through on their way into a graph.
#[derive(Debug)]
pub(super) struct Feed {
    targets: Targets,
    /// The net's inputs, and the elements of a sample.
    pub(super) inputs: Vec<(String, usize)>,
    pub(super) batch: usize,
    /// The samples of each input.
    samples: Vec<Vec<f32>>,
    /// Whether the answers of the last batch were classes.
    has_classes: bool,
    labels: Vec<u32>,
}

impl Feed {
    fn new(graph: &Graph, loss: &Loss, batch: usize) -> Feed {
        let targets = Targets::new(graph, loss, batch);
        let inputs = graph.inputs().filter(|(_, name)| !targets.takes(name));
        let inputs: Vec<(String, usize)> = inputs
            .map(|(id, name)| (name.to_owned(), graph.ty(id).shape.elements()))
            .collect();
        let room = |(_, elements): &(String, usize)| vec![0.0; batch * elements];
        Feed {
            targets,
            batch,
            samples: inputs.iter().map(room).collect(),
            inputs,
            has_classes: false,
            labels: vec![0; batch],
        }
    }

    /// For each input of the net, the place of its samples among those of a part.
    pub(super) fn places(&self, part: &Part, name: &'static str) -> Result<Vec<usize>, FitError> {
        let inputs: Vec<&str> = self
            .inputs
            .iter()
            .map(|(input, _)| input.as_str())
            .collect();
        part.places(&inputs).ok_or_else(|| FitError::Inputs {
            part: name,
            wanted: inputs.into_iter().map(str::to_owned).collect(),
            found: part.inputs().map(|(known, _)| known.to_owned()).collect(),
        })
    }

    /// Takes the next batch in; the number of its samples.
    pub(super) fn take(&mut self, batches: &mut Batches<'_>) -> Option<usize> {
        let answers = batches.answers();
        let chosen = batches.fill_inputs(&mut self.samples)?;
        let count = chosen.len();
        self.has_classes = matches!(answers, Answers::Labels(_));
        match answers {
            Answers::Labels(labels) => {
                for (label, &sample) in self.labels.iter_mut().zip(chosen) {
                    *label = labels[sample as usize];
                }
                self.targets.take_labels(&self.labels[..count]);
            }
            Answers::Targets { values, .. } => self.targets.take_numbers(values, chosen),
        }
        Some(count)
    }

    /// Gives the first samples of the batch that was taken in to a graph.
    pub(super) fn give(&self, runner: &mut Runner, count: usize) -> Result<(), FitError> {
        for ((name, elements), samples) in self.inputs.iter().zip(&self.samples) {
            runner.set_input(name, &samples[..count * elements])?;
        }
        self.targets.give(runner, &self.labels[..count])?;
        Ok(())
    }
}

/// A graph that gives a net's output and its loss, and buffers for a batch.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) runner: Runner,
    pub(super) feed: Feed,
}

impl Worker {
    /// Prepares a graph to which a loss was added.
    pub(super) fn new(
        graph: &Graph,
        loss: &Loss,
        batch: usize,
        engine: &Engine,
        params: &[NamedParam],
    ) -> Result<Worker, FitError> {
        Ok(Worker {
            runner: Runner::new(graph, batch, engine, params)?,
            feed: Feed::new(graph, loss, batch),
        })
    }

    /// Holds samples against the net, so that what does not fit is told before the first step.
    pub(super) fn check(&self, part: &Part, name: &'static str) -> Result<(), FitError> {
        let graph = self.runner.graph();
        let places = self.feed.places(part, name)?;
        let given: Vec<&[usize]> = part.inputs().map(|(_, shape)| shape).collect();
        for ((input, _), place) in self.feed.inputs.iter().zip(places) {
            let value = graph.inputs().find(|(_, known)| known == input);
            let wanted = value.map_or(&[][..], |(value, _)| graph.dims(value));
            if wanted != given[place] {
                return Err(FitError::SampleShape {
                    part: name,
                    input: input.clone(),
                    wanted: wanted.to_vec(),
                    found: given[place].to_vec(),
                });
            }
        }
        if let Some(sample) = part.not_finite() {
            return Err(FitError::SampleNotFinite { part: name, sample });
        }
        self.feed.targets.check(part, name)
    }

    /// Takes the next batch in; the number of its samples.
    pub(super) fn load(&mut self, batches: &mut Batches<'_>) -> Result<Option<usize>, FitError> {
        let Some(count) = self.feed.take(batches) else {
            return Ok(None);
        };
        self.feed.give(&mut self.runner, count)?;
        Ok(Some(count))
    }

    /// Runs on the batch that was taken in, and counts it in; its loss.
    pub(super) fn run(&mut self, count: usize, tally: &mut Tally) -> Result<f32, FitError> {
        self.runner.run(count)?;
        let mut loss = [0.0];
        self.runner.read_output(LOSS, count, &mut loss)?;
        let Feed {
            targets,
            labels,
            has_classes,
            ..
        } = &mut self.feed;
        let labels = &labels[..count];
        let mut weight = count as f64;
        if *has_classes {
            tally.right += targets.right(&self.runner, labels)?;
            tally.judged += count;
            weight = targets.weight(labels);
        }
        tally.seen += count;
        tally.loss.add(f64::from(loss[0]), weight);
        Ok(loss[0])
    }

    /// Loss and accuracy on all samples of a part, unless `goes_on` says no after a batch.
    pub(super) fn evaluate(
        &mut self,
        batches: &mut Batches<'_>,
        goes_on: &mut impl FnMut() -> bool,
    ) -> Result<Option<Score>, FitError> {
        batches.start_epoch(0);
        let mut tally = Tally::default();
        while let Some(count) = self.load(batches)? {
            self.run(count, &mut tally)?;
            if !goes_on() {
                return Ok(None);
            }
        }
        Ok(Some(tally.score()))
    }
}

/// Sums over some samples.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    loss: WeightedMean,
    right: f64,
    /// Samples whose answer is a class.
    judged: usize,
    pub(super) seen: usize,
}

impl Tally {
    pub(super) fn score(&self) -> Score {
        Score {
            loss: self.loss.value().unwrap_or(f64::NAN),
            accuracy: self.right / self.judged as f64,
        }
    }
}
