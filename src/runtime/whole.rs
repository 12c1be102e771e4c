//! A batch that goes through a program in parts: what is given and asked for of all of it.

use crate::driver::Program;
use crate::ir::ValueId;

/// The inputs and outputs of as many images as a batch may have, each image in C, H, W order.
pub(super) struct WholeBatch {
    inputs: Vec<(ValueId, Vec<f32>)>,
    outputs: Vec<(ValueId, Vec<f32>)>,
}

impl WholeBatch {
    /// Takes memory for the batches of a program, if they go through in parts.
    pub(super) fn of(program: &Program) -> Option<WholeBatch> {
        if program.images == program.plan.batch {
            return None;
        }
        let graph = &program.graph;
        let held = |value: ValueId| {
            let elements = graph.ty(value).shape.elements();
            (value, vec![0.0; elements * program.images])
        };
        Some(WholeBatch {
            inputs: graph.inputs().map(|(value, _)| held(value)).collect(),
            outputs: graph
                .outputs
                .iter()
                .map(|output| held(output.value))
                .collect(),
        })
    }

    /// An input, to be written.
    pub(super) fn input(&mut self, wanted: ValueId) -> Option<&mut [f32]> {
        let found = self.inputs.iter_mut().find(|(value, _)| *value == wanted);
        found.map(|(_, data)| data.as_mut_slice())
    }

    /// An output of the last run.
    pub(super) fn output(&self, wanted: ValueId) -> Option<&[f32]> {
        let found = self.outputs.iter().find(|(value, _)| *value == wanted);
        found.map(|(_, data)| data.as_slice())
    }

    /// All inputs.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (ValueId, &[f32])> {
        self.inputs
            .iter()
            .map(|(value, data)| (*value, data.as_slice()))
    }

    /// All outputs, to be written.
    pub(super) fn outputs_mut(&mut self) -> impl Iterator<Item = (ValueId, &mut [f32])> {
        let outputs = self.outputs.iter_mut();
        outputs.map(|(value, data)| (*value, data.as_mut_slice()))
    }
}
