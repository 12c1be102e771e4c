//! Where the first number came from that is not finite.
//!
//! The step that made it is run again on a graph in which every value is an output, so that the
//! first one can be found in the order of execution.

use super::FitError;
use super::clock::StepNumbers;
use super::worker::Feed;
use crate::engine::{Engine, Runner};
use crate::ir::arena::Id;
use crate::ir::{DType, Graph, NodeId, Output, ValueId};
use crate::ops::OpRules;
use crate::passes::dce;
use crate::train::step::LOSS;

/// The first value that is not finite.
pub(super) struct Finder<'t> {
    pub(super) engine: &'t Engine,
    /// The graph of the training step.
    pub(super) graph: &'t Graph,
    /// The nodes that are the net itself, which stand first.
    pub(super) forward_nodes: usize,
}

impl Finder<'_> {
    /// Runs the step on the batch in `feed`, from the parameters and states of `at`; says in words what
    /// it found, or `None` if all numbers of this run are finite.
    pub(super) fn find(
        &self,
        at: &Runner,
        feed: &Feed,
        count: usize,
        numbers: &StepNumbers,
    ) -> Result<Option<String>, FitError> {
        let (live, _) = dce::needed(self.graph);
        let mut watched: Vec<(NodeId, ValueId, String)> = Vec::new();
        for (id, node) in self.graph.nodes.iter().filter(|(id, _)| live[*id]) {
            for &value in &node.outputs {
                if self.graph.ty(value).dtype == DType::F32 {
                    watched.push((id, value, format!("value {value}")));
                }
            }
        }
        let mut graph = self.graph.clone();
        graph.updates.clear();
        graph.outputs = watched
            .iter()
            .map(|(_, value, name)| Output {
                name: name.clone(),
                value: *value,
            })
            .collect();
        let mut runner = Runner::new(&graph, count, self.engine, &[])?;
        for (kind, name, dims) in runner.kept() {
            let mut data = vec![0.0; dims.iter().product()];
            at.read_kept(kind, &name, &mut data)?;
            runner.set_kept(kind, &name, &data)?;
        }
        numbers.give(&mut runner);
        feed.give(&mut runner, count)?;
        runner.run(count)?;
        for (node, value, name) in &watched {
            let data = runner.output(name, count)?;
            if let Some(place) = data.iter().position(|number| !number.is_finite()) {
                return Ok(Some(self.describe(*node, *value, data[place], place)));
            }
        }
        Ok(None)
    }

    fn describe(&self, id: NodeId, value: ValueId, number: f32, place: usize) -> String {
        let node = &self.graph.nodes[id];
        let (origin, op) = (&node.origin, node.op.name());
        let is_param = |name: &str| self.graph.params().any(|(_, param)| param.name == name);
        let what = if id.index() < self.forward_nodes {
            format!("the output of `{origin}` ({op})")
        } else if **origin == *LOSS {
            format!("the loss or its gradient ({op})")
        } else if is_param(origin) {
            format!("the update of `{origin}` ({op})")
        } else {
            format!("the gradient of `{origin}` ({op})")
        };
        let shape = &self.graph.ty(value).shape;
        let sample = if shape.batched {
            format!(
                ", sample {} of the batch",
                place / shape.elements().max(1) + 1
            )
        } else {
            String::new()
        };
        format!("{what} is {number}{sample}")
    }
}

/// The first parameter, as it is given to a training, with a number that is not finite.
pub(super) fn not_finite(params: &[crate::model::NamedParam]) -> Option<&str> {
    let bad = |(_, _, data): &&crate::model::NamedParam| !data.iter().all(|x| x.is_finite());
    params.iter().find(bad).map(|(name, _, _)| name.as_str())
}
