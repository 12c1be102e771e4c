//! What a classifier's outputs say: probabilities, and the likeliest classes.

use crate::ir::{Graph, ValueId};
use crate::model;
use crate::ops::Op;
use crate::sema::Model;
use crate::train::loss::{LossKind, OutputLoss};

/// How the numbers of an output are to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// They are probabilities already: the net ends in softmax.
    Probabilities,
    /// Softmax makes probabilities of them.
    Logits,
    /// They are scores of their own kind: the net is trained by another loss than cross-entropy.
    Scores,
}

impl Reading {
    /// How the first output of a model is to be read.
    #[must_use]
    pub fn of(model: &Model) -> Reading {
        let output = model.graph.outputs.first().map(|output| output.value);
        if output.is_some_and(|value| is_softmax(&model.graph, value)) {
            return Reading::Probabilities;
        }
        // A file need not say how its net is trained; most classifiers end in logits.
        let loss = model::loss(model).ok();
        let first = model.graph.outputs.first().map(|output| &output.name);
        let kind = loss.as_ref().and_then(|loss| {
            let of_first =
                |loss: &&OutputLoss| loss.output.is_none() || loss.output.as_ref() == first;
            loss.outputs.iter().find(of_first).map(|loss| &loss.kind)
        });
        match kind {
            Some(LossKind::CrossEntropy { .. }) | None => Reading::Logits,
            Some(_) => Reading::Scores,
        }
    }

    /// The name of what [`Reading::apply`] gives.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reading::Probabilities | Reading::Logits => "probability",
            Reading::Scores => "score",
        }
    }

    /// The outputs of one sample as probabilities, or as they are where they are scores.
    #[must_use]
    pub fn apply(self, outputs: &[f32]) -> Vec<f64> {
        let numbers = outputs.iter().map(|&x| f64::from(x));
        if self != Reading::Logits {
            return numbers.collect();
        }
        let most = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = numbers.map(|x| (x - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }
}

fn is_softmax(graph: &Graph, value: ValueId) -> bool {
    let node = graph.producer(value);
    node.is_some_and(|node| matches!(graph.nodes[node].op, Op::Softmax))
}

/// The numbers of the `count` greatest scores, greatest first; among equals the first. What is no number comes last.
#[must_use]
pub fn top(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let key = |&class: &usize| (!scores[class].is_nan()).then_some(scores[class]);
    order.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal)
    });
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Net;
    use crate::sema::Mode;

    #[test]
    fn the_greatest_come_first() {
        assert_eq!(top(&[0.1, 0.7, 0.7, 0.3], 3), [1, 2, 3]);
        assert_eq!(top(&[f64::NAN, -1.0, f64::NEG_INFINITY], 3), [1, 2, 0]);
        assert_eq!(top(&[0.5], 5), [0]);
    }

    #[test]
    fn logits_become_probabilities() {
        let close = |found: &[f64], wanted: &[f64]| {
            assert!(
                found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12),
                "{found:?}"
            );
        };
        close(&Reading::Logits.apply(&[1000.0, 1000.0]), &[0.5, 0.5]);
        close(&Reading::Logits.apply(&[1000.0, 0.0]), &[1.0, 0.0]);
        close(&Reading::Scores.apply(&[3.0, -1.0]), &[3.0, -1.0]);
    }

    #[test]
    fn the_net_says_how_it_is_read() {
        let reading = |end: &str, train: &str| {
            let text = format!("net A {{ input [4]\n dense(3){end}\n }}\n{train}");
            let net = Net::parse("a.net".as_ref(), text.as_bytes(), None, &[]).unwrap();
            Reading::of(&net.model(Mode::Infer).unwrap())
        };
        assert_eq!(reading("", ""), Reading::Logits);
        assert_eq!(reading(" -> softmax", ""), Reading::Probabilities);
        let mse = "train A { loss mse }";
        assert_eq!(reading(" -> sigmoid", mse), Reading::Scores);
        let entropy = "train A { loss cross_entropy }";
        assert_eq!(reading("", entropy), Reading::Logits);
    }
}
