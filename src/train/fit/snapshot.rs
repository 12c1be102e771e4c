//! What a training kept at some step, in memory, to go back to.

use super::FitError;
use crate::engine::{Kept, Runner};

/// Parameters and states as they were before a step.
#[derive(Debug)]
pub(super) struct Snapshot {
    tensors: Vec<(Kept, String, Vec<f32>)>,
    /// For looking before copying; as large as the largest tensor.
    scratch: Vec<f32>,
    /// The step, counted from 0 over all epochs.
    pub(super) step: Option<usize>,
}

impl Snapshot {
    pub(super) fn new(runner: &Runner) -> Snapshot {
        let tensors: Vec<_> = runner
            .kept()
            .into_iter()
            .map(|(kind, name, dims)| (kind, name, vec![0.0; dims.iter().product()]))
            .collect();
        let largest = tensors.iter().map(|(_, _, data)| data.len()).max();
        Snapshot {
            scratch: vec![0.0; largest.unwrap_or(0)],
            tensors,
            step: None,
        }
    }

    /// The first parameter or state with a number that is not finite, as a graph has it now.
    pub(super) fn not_finite(&mut self, runner: &Runner) -> Result<Option<&str>, FitError> {
        let Snapshot {
            tensors, scratch, ..
        } = self;
        for (kind, name, data) in tensors.iter() {
            let now = &mut scratch[..data.len()];
            runner.read_kept(*kind, name, now)?;
            if !now.iter().all(|number| number.is_finite()) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Takes over what a graph has now, before this step. Allocates nothing.
    pub(super) fn take(&mut self, runner: &Runner, step: usize) -> Result<(), FitError> {
        for (kind, name, data) in &mut self.tensors {
            runner.read_kept(*kind, name, data)?;
        }
        self.step = Some(step);
        Ok(())
    }

    /// Gives a graph back what was taken.
    pub(super) fn put(&self, runner: &mut Runner) -> Result<(), FitError> {
        for (kind, name, data) in &self.tensors {
            runner.set_kept(*kind, name, data)?;
        }
        Ok(())
    }
}
