//! One graph with the buffers that its batches pass through.

use super::super::data::Batches;
use super::super::loss::{LOSS, Loss};
use super::super::mean::WeightedMean;
use super::judge::Judge;
use super::{FitError, Score};
use crate::engine::{Engine, Runner};
use crate::ir::Graph;
use crate::model::NamedParam;
use crate::train::data::Part;

/// A graph that gives a net's output and its loss, and buffers for a batch.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) runner: Runner,
    judge: Judge,
    input: String,
    pub(super) batch: usize,
    samples: Vec<f32>,
    labels: Vec<u32>,
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
        let judge = Judge::new(graph, loss, batch)?;
        let inputs: Vec<_> = graph
            .inputs()
            .filter(|(_, name)| !judge.takes(name))
            .collect();
        let &[(input, input_name)] = inputs.as_slice() else {
            let found = inputs.len();
            return Err(FitError::Inputs { found });
        };
        let elements = graph.ty(input).shape.elements();
        Ok(Worker {
            runner: Runner::new(graph, batch, engine, params)?,
            judge,
            input: input_name.to_owned(),
            batch,
            samples: vec![0.0; batch * elements],
            labels: vec![0; batch],
        })
    }

    /// Holds samples against the net, so that what does not fit is told before the first step.
    pub(super) fn check(&self, part: &Part, name: &'static str) -> Result<(), FitError> {
        let graph = self.runner.graph();
        let input = graph.inputs().find(|(_, name)| *name == self.input);
        let wanted = input.map_or(&[][..], |(value, _)| graph.dims(value));
        if wanted != part.shape() {
            return Err(FitError::SampleShape {
                part: name,
                wanted: wanted.to_vec(),
                found: part.shape().to_vec(),
            });
        }
        self.judge.check(part, name)
    }

    /// Takes the next batch in; the number of its samples.
    pub(super) fn load(&mut self, batches: &mut Batches<'_>) -> Result<Option<usize>, FitError> {
        let Some(count) = batches.fill(&mut self.samples, &mut self.labels) else {
            return Ok(None);
        };
        let elements = self.samples.len() / self.batch;
        let samples = &self.samples[..count * elements];
        self.runner.set_input(&self.input, samples)?;
        self.judge.load(&mut self.runner, &self.labels[..count])?;
        Ok(Some(count))
    }

    /// Runs on the batch that was taken in, and counts it in; its loss.
    pub(super) fn run(&mut self, count: usize, tally: &mut Tally) -> Result<f32, FitError> {
        self.runner.run(count)?;
        let mut loss = [0.0];
        self.runner.read_output(LOSS, count, &mut loss)?;
        let labels = &self.labels[..count];
        tally.right += self.judge.right(&self.runner, labels)?;
        tally.seen += count;
        tally
            .loss
            .add(f64::from(loss[0]), self.judge.weight(labels));
        Ok(loss[0])
    }

    /// Loss and accuracy on all samples of a part.
    pub(super) fn evaluate(&mut self, batches: &mut Batches<'_>) -> Result<Score, FitError> {
        batches.start_epoch(0);
        let mut tally = Tally::default();
        while let Some(count) = self.load(batches)? {
            self.run(count, &mut tally)?;
        }
        Ok(tally.score())
    }
}

/// Sums over some samples.
#[derive(Debug, Default)]
pub(super) struct Tally {
    loss: WeightedMean,
    right: f64,
    pub(super) seen: usize,
}

impl Tally {
    pub(super) fn score(&self) -> Score {
        Score {
            loss: self.loss.value().unwrap_or(f64::NAN),
            accuracy: self.right / self.seen.max(1) as f64,
        }
    }
}
