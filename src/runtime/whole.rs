//! A batch that goes through a program in parts: what is given and asked for of all of it.

use super::buffer::Arena;
use super::exec::SessionError;
use crate::driver::Program;
use crate::ir::ValueId;

/// The inputs and outputs of as many images as a batch may have, each image in C, H, W order.
pub(super) struct WholeBatch {
    memory: Arena,
    inputs: Vec<Place>,
    outputs: Vec<Place>,
}

/// Where a value lies in the memory.
#[derive(Clone, Copy)]
struct Place {
    value: ValueId,
    /// In bytes.
    offset: usize,
    floats: usize,
}

impl WholeBatch {
    /// Takes memory for the batches of a program, if they go through in parts.
    pub(super) fn of(program: &Program) -> Result<Option<WholeBatch>, SessionError> {
        if program.images == program.plan.batch {
            return Ok(None);
        }
        let graph = &program.graph;
        let mut bytes = 0usize;
        let mut place = |value: ValueId| {
            let floats = graph
                .ty(value)
                .shape
                .elements()
                .saturating_mul(program.images);
            let offset = bytes;
            bytes = bytes.saturating_add(floats.saturating_mul(size_of::<f32>()));
            Place {
                value,
                offset,
                floats,
            }
        };
        let inputs = graph.inputs().map(|(value, _)| place(value)).collect();
        let outputs = graph
            .outputs
            .iter()
            .map(|output| place(output.value))
            .collect();
        let memory = Arena::new(bytes).ok_or(SessionError::Memory { bytes })?;
        Ok(Some(WholeBatch {
            memory,
            inputs,
            outputs,
        }))
    }

    /// An input, to be written.
    pub(super) fn input_mut(&mut self, wanted: ValueId) -> Option<&mut [f32]> {
        let place = *self.inputs.iter().find(|place| place.value == wanted)?;
        Some(self.memory.floats_mut(place.offset, place.floats))
    }

    /// An output of the last run.
    pub(super) fn output(&self, wanted: ValueId) -> Option<&[f32]> {
        let place = self.outputs.iter().find(|place| place.value == wanted)?;
        Some(self.memory.floats(place.offset, place.floats))
    }

    /// All inputs.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (ValueId, &[f32])> {
        let data = |place: &Place| self.memory.floats(place.offset, place.floats);
        self.inputs
            .iter()
            .map(move |place| (place.value, data(place)))
    }

    /// Writes each output.
    pub(super) fn write_outputs(&mut self, mut write: impl FnMut(ValueId, &mut [f32])) {
        for place in &self.outputs {
            write(
                place.value,
                self.memory.floats_mut(place.offset, place.floats),
            );
        }
    }
}
