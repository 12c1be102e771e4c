//! One graph with the buffers that its batches pass through.

use serde::{Deserialize, Serialize};

use super::super::data::{Answers, Batches, check_labels};
use super::super::mean::WeightedMean;
use super::super::step::{LOSS, LossKind, TARGET};
use super::{FitError, Score};
use crate::engine::{Engine, Runner};
use crate::ir::Graph;
use crate::model::NamedParam;
use crate::train::data::Part;

/// The buffers that batches pass through on their way into a graph.
#[derive(Debug)]
pub(super) struct Feed {
    kind: LossKind,
    /// The net's inputs, and the elements of a sample.
    pub(super) inputs: Vec<(String, usize)>,
    pub(super) batch: usize,
    /// The numbers of an output.
    width: usize,
    /// The samples of each input.
    samples: Vec<Vec<f32>>,
    /// Whether the answers of the last batch were classes.
    has_classes: bool,
    labels: Vec<u32>,
    /// For the squared error: what the output should be.
    targets: Vec<f32>,
}

impl Feed {
    fn new(graph: &Graph, kind: LossKind, batch: usize, width: usize) -> Feed {
        let inputs = graph.inputs().filter(|(_, name)| *name != TARGET);
        let inputs: Vec<(String, usize)> = inputs
            .map(|(id, name)| (name.to_owned(), graph.ty(id).shape.elements()))
            .collect();
        let room = |(_, elements): &(String, usize)| vec![0.0; batch * elements];
        Feed {
            kind,
            batch,
            width,
            samples: inputs.iter().map(room).collect(),
            inputs,
            has_classes: false,
            labels: vec![0; batch],
            targets: match kind {
                LossKind::CrossEntropy => Vec::new(),
                LossKind::MeanSquared => vec![0.0; batch * width],
            },
        }
    }

    /// For each input of the net, the place of its samples among those of a part.
    pub(super) fn places(&self, part: &Part, name: &'static str) -> Result<Vec<usize>, FitError> {
        let known: Vec<&str> = part.inputs().map(|(known, _)| known).collect();
        if self.inputs.len() == 1 && known.len() == 1 {
            return Ok(vec![0]);
        }
        let places: Option<Vec<usize>> = self
            .inputs
            .iter()
            .map(|(input, _)| known.iter().position(|known| known == input))
            .collect();
        match places {
            Some(places) if places.len() == known.len() => Ok(places),
            _ => Err(FitError::Inputs {
                part: name,
                wanted: self.inputs.iter().map(|(input, _)| input.clone()).collect(),
                found: known.into_iter().map(str::to_owned).collect(),
            }),
        }
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
                if self.kind == LossKind::MeanSquared {
                    self.write_labels_as_targets(count);
                }
            }
            Answers::Targets { values, .. } => {
                let targets = self.targets.chunks_exact_mut(self.width);
                for (target, &sample) in targets.zip(chosen) {
                    let at = sample as usize * self.width;
                    target.copy_from_slice(&values[at..at + self.width]);
                }
            }
        }
        Some(count)
    }

    /// What an output should be where the answer is a class: the label itself where it is a single
    /// number, or else 1 in its place and 0 elsewhere.
    fn write_labels_as_targets(&mut self, count: usize) {
        let targets = self.targets.chunks_exact_mut(self.width);
        for (target, &label) in targets.zip(&self.labels[..count]) {
            if let [number] = target {
                *number = label as f32;
            } else {
                target.fill(0.0);
                target[label as usize] = 1.0;
            }
        }
    }

    /// Gives the first samples of the batch that was taken in to a graph.
    pub(super) fn give(&self, runner: &mut Runner, count: usize) -> Result<(), FitError> {
        for ((name, elements), samples) in self.inputs.iter().zip(&self.samples) {
            runner.set_input(name, &samples[..count * elements])?;
        }
        match self.kind {
            LossKind::CrossEntropy => runner.set_labels(TARGET, &self.labels[..count])?,
            LossKind::MeanSquared => {
                runner.set_input(TARGET, &self.targets[..count * self.width])?;
            }
        }
        Ok(())
    }
}

/// A graph that gives a net's output and its loss, and buffers for a batch.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) runner: Runner,
    pub(super) feed: Feed,
    output: String,
    outputs: Vec<f32>,
}

impl Worker {
    /// Prepares a graph; its first output is judged.
    pub(super) fn new(
        graph: &Graph,
        kind: LossKind,
        batch: usize,
        engine: &Engine,
        params: &[NamedParam],
    ) -> Result<Worker, FitError> {
        let output = &graph.outputs[0];
        let width = graph.ty(output.value).shape.elements();
        let feed = Feed::new(graph, kind, batch, width);
        Ok(Worker {
            runner: Runner::new(graph, batch, engine, params)?,
            feed,
            output: output.name.clone(),
            outputs: vec![0.0; batch * width],
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
                    wanted: wanted.to_vec(),
                    found: given[place].to_vec(),
                });
            }
        }
        if let Answers::Targets { shape, .. } = part.answers() {
            let output = graph.dims(graph.outputs[0].value);
            if self.feed.kind != LossKind::MeanSquared || shape != output {
                return Err(FitError::Targets {
                    part: name,
                    found: shape.clone(),
                    output: output.to_vec(),
                });
            }
        }
        if let Some(sample) = part.not_finite() {
            return Err(FitError::SampleNotFinite { part: name, sample });
        }
        // A single number is compared with the label itself.
        if self.feed.kind == LossKind::MeanSquared && self.feed.width == 1 {
            return Ok(());
        }
        let check = check_labels(part.labels(), self.feed.width);
        check.map_err(|source| FitError::Label { part: name, source })
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
        let width = self.feed.width;
        let outputs = &mut self.outputs[..count * width];
        self.runner.read_output(&self.output, count, outputs)?;
        if self.feed.has_classes {
            let answers = outputs.chunks_exact(width).zip(&self.feed.labels);
            let right = answers.filter(|(answer, label)| is_right(answer, **label));
            tally.right += right.count();
            tally.judged += count;
        }
        tally.seen += count;
        tally.loss.add(f64::from(loss[0]), count);
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

/// Whether an answer is its label: the greatest score, the first of several, or where there is a
/// single number, the nearest label.
fn is_right(answer: &[f32], label: u32) -> bool {
    if let [number] = answer {
        return (number - label as f32).abs() < 0.5;
    }
    let mut best = 0;
    for (index, score) in answer.iter().enumerate() {
        if *score > answer[best] {
            best = index;
        }
    }
    best == label as usize && !answer[best].is_nan()
}

/// Sums over some samples.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    loss: WeightedMean,
    right: usize,
    /// Samples whose answer is a class.
    judged: usize,
    pub(super) seen: usize,
}

impl Tally {
    pub(super) fn score(&self) -> Score {
        Score {
            loss: self.loss.value().unwrap_or(f64::NAN),
            accuracy: self.right as f64 / self.judged as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert!(is_right(&[0.1, 0.9, 0.9], 1));
        assert!(!is_right(&[0.1, 0.9, 0.9], 2));
        assert!(!is_right(&[f32::NAN, 0.1], 0));
        assert!(is_right(&[0.6], 1) && is_right(&[0.4], 0));
        assert!(!is_right(&[f32::NAN], 0));
    }
}
