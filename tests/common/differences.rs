//! Central differences in f64, which gradients are held against.

use std::collections::HashMap;

use netc::ir::{Graph, ValueId};
use netc::ops::{Array, OpRules};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How near differences must come to a gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Pairs of steps, tried in turn until both of a pair give the same slope. A pair that does not has a kink between
    /// its places: a maximum that changes hands, a rectifier that switches. Of smaller steps fewer reach one.
    pub(crate) steps: &'static [[f64; 2]],
    /// How far the slopes of a pair may be from each other and from the gradient, as a part of the gradient's largest
    /// element.
    pub(crate) tolerance: f64,
    /// What stands for the largest element where all are smaller: what is 0 in truth is noise in floating point.
    pub(crate) floor: f64,
    /// Elements of each tensor that are tried by themselves, before a random direction.
    pub(crate) entries: usize,
}

/// A graph that has run once, so that changing a value costs only what depends on it.
#[derive(Debug)]
pub(crate) struct Forward<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) loss: ValueId,
    pub(crate) batch: usize,
    pub(crate) values: HashMap<ValueId, Array<f64>>,
}

impl Forward<'_> {
    fn loss_with(&self, value: ValueId, moved: Array<f64>) -> f64 {
        let mut changed = HashMap::from([(value, moved)]);
        for (_, node) in self.graph.nodes.iter() {
            if !node.inputs.iter().any(|input| changed.contains_key(input)) {
                continue;
            }
            let given: Vec<&Array<f64>> = node
                .inputs
                .iter()
                .map(|input| changed.get(input).unwrap_or_else(|| &self.values[input]))
                .collect();
            let made = node.op.eval(self.batch, &given);
            changed.extend(node.outputs.iter().copied().zip(made));
        }
        let loss = changed.get(&self.loss);
        loss.unwrap_or_else(|| &self.values[&self.loss]).data()[0]
    }

    /// The slope of the loss along a direction of one value.
    fn slope(&self, value: ValueId, direction: &[f64], step: f64) -> f64 {
        let at = |step: f64| {
            let mut moved = self.values[&value].clone();
            for (x, d) in moved.data_mut().iter_mut().zip(direction) {
                *x += step * d;
            }
            self.loss_with(value, moved)
        };
        (at(step) - at(-step)) / (2.0 * step)
    }

    /// Holds the gradient of the loss by one value against differences, at some entries and along a random direction.
    pub(crate) fn hold(
        &self,
        name: &str,
        value: ValueId,
        grad: &[f64],
        rule: &Rule,
        rng: &mut ChaCha8Rng,
    ) {
        let largest = grad.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let hold = |direction: &[f64], what: &str| {
            let expected: f64 = grad.iter().zip(direction).map(|(g, d)| g * d).sum();
            let bound = rule.tolerance * largest.max(expected.abs()).max(rule.floor);
            let mut tried = Vec::new();
            for steps in rule.steps {
                let [coarse, fine] = steps.map(|step| self.slope(value, direction, step));
                if (coarse - fine).abs() <= bound {
                    tried = vec![[coarse, fine]];
                    break;
                }
                tried.push([coarse, fine]);
            }
            let held = matches!(
                tried.as_slice(),
                [[coarse, fine]] if (coarse - fine).abs() <= bound && (fine - expected).abs() <= bound
            );
            assert!(
                held,
                "{name}: the gradient of {value} {what} is {expected}, differences are {tried:?}, allowed {bound:.3e}\n{}",
                self.graph
            );
        };
        for _ in 0..rule.entries.min(grad.len()) {
            let entry = rng.random_range(0..grad.len());
            let mut direction = vec![0.0; grad.len()];
            direction[entry] = 1.0;
            hold(&direction, &format!("at {entry}"));
        }
        let direction: Vec<f64> = grad.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        hold(&direction, "along a random direction");
    }
}
