//! What a net should have said of the samples of a batch, and whether it did.
//!
//! Where samples have a label each, it is a class for the cross-entropy; for the other losses it is the
//! number itself where the output is a single number, and else 1 at its place and 0 elsewhere. Where
//! samples have numbers as answers, every loss but the cross-entropy takes them, for outputs of their
//! shape. Every output that has a loss is held against the same answers; the first of them is judged, if
//! these are classes.

use super::FitError;
use crate::engine::{RunError, Runner};
use crate::ir::Graph;
use crate::train::data::{Answers, Part, check_labels};
use crate::train::loss::{Loss, LossKind, Target};

/// The targets of a graph, with buffers for a batch.
#[derive(Debug)]
pub(super) struct Targets {
    targets: Vec<Wanted>,
    /// The main output's numbers.
    answers: Vec<f32>,
}

/// The target of one output.
#[derive(Debug)]
struct Wanted {
    target: Target,
    /// The output's sizes.
    dims: Vec<usize>,
    /// Numbers of the output for a sample.
    width: usize,
    /// What the output should be; nothing for the cross-entropy.
    numbers: Vec<f32>,
}

impl Wanted {
    fn new(graph: &Graph, target: Target, batch: usize) -> Wanted {
        let dims = graph.dims(target.value).to_vec();
        let width = dims.iter().product();
        let numbers = if target.kind.takes_labels() {
            Vec::new()
        } else {
            vec![0.0; batch * width]
        };
        Wanted {
            target,
            dims,
            width,
            numbers,
        }
    }

    /// The labels that there may be; any, where a number is compared with the label itself.
    fn classes(&self) -> Option<usize> {
        match (&self.target.kind, self.width) {
            (LossKind::BinaryCrossEntropy, 1) => Some(2),
            (LossKind::CrossEntropy { .. }, classes) => Some(classes),
            (_, 1) => None,
            (_, classes) => Some(classes),
        }
    }

    fn take_labels(&mut self, labels: &[u32]) {
        for (target, &label) in self.numbers.chunks_exact_mut(self.width).zip(labels) {
            if let [number] = target {
                *number = label as f32;
            } else {
                target.fill(0.0);
                target[label as usize] = 1.0;
            }
        }
    }

    fn give(&self, runner: &mut Runner, labels: &[u32]) -> Result<(), RunError> {
        if self.target.kind.takes_labels() {
            return runner.set_labels(&self.target.input, labels);
        }
        let numbers = &self.numbers[..labels.len() * self.width];
        runner.set_input(&self.target.input, numbers)
    }
}

impl Targets {
    /// Prepares the targets of a graph.
    pub(super) fn new(graph: &Graph, loss: &Loss, batch: usize) -> Targets {
        let targets: Vec<Wanted> = loss
            .targets(graph)
            .into_iter()
            .map(|target| Wanted::new(graph, target, batch))
            .collect();
        let width = targets.first().map_or(0, |main| main.width);
        Targets {
            targets,
            answers: vec![0.0; batch * width],
        }
    }

    /// Whether an input of the graph is a target.
    pub(super) fn takes(&self, input: &str) -> bool {
        self.targets.iter().any(|own| own.target.input == input)
    }

    /// Holds answers against the outputs, so that what does not fit is told before the first step.
    pub(super) fn check(&self, part: &Part, name: &'static str) -> Result<(), FitError> {
        match part.answers() {
            Answers::Labels(labels) => {
                for wanted in &self.targets {
                    if wanted.dims.len() != 1 {
                        return Err(FitError::Target {
                            output: wanted.target.output.clone(),
                            found: wanted.dims.clone(),
                        });
                    }
                    if let Some(classes) = wanted.classes() {
                        let check = check_labels(labels, classes);
                        check.map_err(|source| FitError::Label { part: name, source })?;
                    }
                }
            }
            Answers::Targets { shape, .. } => {
                let misfits =
                    |wanted: &&Wanted| wanted.target.kind.takes_labels() || wanted.dims != *shape;
                if let Some(wanted) = self.targets.iter().find(misfits) {
                    return Err(FitError::Targets {
                        part: name,
                        found: shape.clone(),
                        output: wanted.dims.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Takes in what labels say of each output.
    pub(super) fn take_labels(&mut self, labels: &[u32]) {
        for wanted in &mut self.targets {
            wanted.take_labels(labels);
        }
    }

    /// Takes in the numbers of the chosen samples.
    pub(super) fn take_numbers(&mut self, values: &[f32], chosen: &[u32]) {
        for wanted in &mut self.targets {
            let width = wanted.width;
            for (target, &sample) in wanted.numbers.chunks_exact_mut(width).zip(chosen) {
                target.copy_from_slice(&values[sample as usize * width..][..width]);
            }
        }
    }

    /// Gives a graph what was taken in, for as many samples as there are labels.
    pub(super) fn give(&self, runner: &mut Runner, labels: &[u32]) -> Result<(), FitError> {
        for target in &self.targets {
            target.give(runner, labels)?;
        }
        Ok(())
    }

    /// What the mean loss of a batch counts for in the mean over all: its number of samples, or with
    /// class weights and no other loss, the sum of its samples' weights.
    pub(super) fn weight(&self, labels: &[u32]) -> f64 {
        if let [only] = self.targets.as_slice()
            && let LossKind::CrossEntropy {
                class_weights: Some(weights),
                ..
            } = &only.target.kind
        {
            let weights = labels.iter().map(|&label| weights[label as usize]);
            return weights.map(f64::from).sum();
        }
        labels.len() as f64
    }

    /// The share of right answers of the batch that ran: a sum over its samples.
    pub(super) fn right(&mut self, runner: &Runner, labels: &[u32]) -> Result<f64, FitError> {
        let Some(main) = self.targets.first() else {
            return Ok(0.0);
        };
        let (count, width) = (labels.len(), main.width);
        let answers = &mut self.answers[..count * width];
        runner.read_output(&main.target.output, count, answers)?;
        let answers = answers.chunks_exact(width).zip(labels);
        Ok(answers
            .map(|(answer, &label)| rightness(&main.target.kind, answer, label))
            .sum())
    }
}

/// How right an answer is, from 0 to 1. For the binary cross-entropy, the share of elements that are
/// on the right side of 0. For the others 1 or 0: whether the greatest score, the first of several, is
/// the label's, or, where there is a single number, the label is nearest to it.
fn rightness(kind: &LossKind, answer: &[f32], label: u32) -> f64 {
    let one = |right: bool| f64::from(u8::from(right));
    match (kind, answer) {
        (LossKind::BinaryCrossEntropy, [logit]) => one(is_side(*logit, label == 1)),
        (LossKind::BinaryCrossEntropy, logits) => {
            let right = (0..).zip(logits);
            let right = right.filter(|&(index, &logit)| is_side(logit, index == label));
            right.count() as f64 / logits.len() as f64
        }
        (LossKind::CrossEntropy { .. }, scores) => one(is_greatest(scores, label)),
        (_, [number]) => one((number - label as f32).abs() < 0.5),
        (_, scores) => one(is_greatest(scores, label)),
    }
}

/// Whether a logit says yes or no as it should; one that is no number says neither.
fn is_side(logit: f32, wanted: bool) -> bool {
    !logit.is_nan() && (logit > 0.0) == wanted
}

fn is_greatest(scores: &[f32], label: u32) -> bool {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best == label as usize && !scores[best].is_nan()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let classes = LossKind::CROSS_ENTROPY;
        assert_eq!(rightness(&classes, &[0.1, 0.9, 0.9], 1), 1.0);
        assert_eq!(rightness(&classes, &[0.1, 0.9, 0.9], 2), 0.0);
        assert_eq!(rightness(&classes, &[f32::NAN, 0.1], 0), 0.0);
        assert_eq!(rightness(&classes, &[-3.0], 0), 1.0);
        let number = LossKind::MeanSquared;
        assert_eq!(rightness(&number, &[0.6], 1), 1.0);
        assert_eq!(rightness(&number, &[0.4], 0), 1.0);
        assert_eq!(rightness(&number, &[f32::NAN], 0), 0.0);
        assert_eq!(rightness(&number, &[0.1, 0.3], 1), 1.0);
    }

    #[test]
    fn binary_answers_are_counted_element_by_element() {
        let binary = LossKind::BinaryCrossEntropy;
        assert_eq!(rightness(&binary, &[0.1], 1), 1.0);
        assert_eq!(rightness(&binary, &[0.0], 1), 0.0);
        assert_eq!(rightness(&binary, &[-2.0], 0), 1.0);
        assert_eq!(rightness(&binary, &[f32::NAN], 0), 0.0);
        assert_eq!(rightness(&binary, &[-1.0, 2.0, 3.0, -4.0], 1), 0.75);
    }
}
