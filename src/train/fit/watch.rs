//! Gradient norms by layer: they show where a deep net stops learning.

use super::FitError;
use super::clock::StepNumbers;
use super::worker::Feed;
use crate::engine::{Engine, Kept, Runner};
use crate::ir::Graph;
use crate::model::NamedParam;

/// Computes the gradients of a batch beside the training, which it does not change.
///
/// A layer's norm is the Euclidean one over the gradients of all its parameters, of the mean loss of
/// the first batch of an epoch, before that batch's step.
#[derive(Debug)]
pub(super) struct Watch {
    runner: Runner,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    name: String,
    /// Its parameters, with room for the gradient of each.
    params: Vec<(String, Vec<f32>)>,
}

impl Watch {
    /// Prepares the graph that gives the gradients of parameters under their names.
    pub(super) fn new(
        graph: &Graph,
        batch: usize,
        engine: &Engine,
        params: &[NamedParam],
    ) -> Result<Watch, FitError> {
        let mut layers: Vec<Layer> = Vec::new();
        for (id, param) in graph.params() {
            if graph.output(&param.name).is_none() {
                continue;
            }
            let name = param.name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let room = vec![0.0; graph.ty(id).shape.elements()];
            let entry = (param.name.clone(), room);
            match layers.iter_mut().find(|layer| layer.name == name) {
                Some(layer) => layer.params.push(entry),
                None => layers.push(Layer {
                    name: name.to_owned(),
                    params: vec![entry],
                }),
            }
        }
        let known = |(name, _, _): &&NamedParam| {
            let mut params = graph.params();
            params.any(|(_, param)| param.name == *name)
        };
        let kept: Vec<NamedParam> = params.iter().filter(known).cloned().collect();
        Ok(Watch {
            runner: Runner::new(graph, batch, engine, &kept)?,
            layers,
        })
    }

    /// The layers with parameters that are trained, from the input to the output.
    pub(super) fn layers(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.name.as_str())
    }

    /// The norm of each layer for the batch in `feed`, with the parameters of `at`.
    pub(super) fn measure(
        &mut self,
        at: &Runner,
        feed: &Feed,
        count: usize,
        numbers: &StepNumbers,
    ) -> Result<Vec<f64>, FitError> {
        for (kind, name, dims) in self.runner.kept() {
            let mut data = vec![0.0; dims.iter().product()];
            at.read_kept(kind, &name, &mut data)?;
            self.runner.set_kept(Kept::Param, &name, &data)?;
        }
        numbers.give(&mut self.runner);
        feed.give(&mut self.runner, count)?;
        self.runner.run(count)?;
        let mut norms = Vec::with_capacity(self.layers.len());
        for layer in &mut self.layers {
            let mut sum = 0.0;
            for (name, gradient) in &mut layer.params {
                self.runner.read_output(name, count, gradient)?;
                sum += gradient.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            }
            norms.push(sum.sqrt());
        }
        Ok(norms)
    }
}
