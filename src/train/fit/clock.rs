//! Which update, rate and share of a group a step has.

use crate::engine::Runner;
use crate::ir::StepScalar;
use crate::train::accumulate::Groups;
use crate::train::rate::Rates;

/// How steps follow one another: rates by updates, groups of steps by epochs.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) rates: Rates,
    pub(super) groups: Groups,
}

impl Clock {
    /// The epoch of a step, counted from 0, and the steps before it in that epoch.
    pub(super) fn place(&self, step: usize) -> (usize, usize) {
        (step / self.groups.steps, step % self.groups.steps)
    }

    /// The updates before that of a step.
    pub(super) fn update(&self, step: usize) -> usize {
        let (epoch, in_epoch) = self.place(step);
        epoch * self.groups.updates() + in_epoch / self.groups.every
    }
}

/// The numbers of a step.
pub(super) struct StepNumbers {
    scalars: [[(StepScalar, f64); 4]; 2],
    seed: u32,
}

impl StepNumbers {
    pub(super) fn new(clock: &Clock, step: usize) -> StepNumbers {
        let (_, in_epoch) = clock.place(step);
        StepNumbers {
            scalars: [
                clock.rates.scalars(clock.update(step)),
                clock.groups.scalars(in_epoch),
            ],
            seed: clock.rates.dropout_seed(step),
        }
    }

    pub(super) fn give(&self, runner: &mut Runner) {
        for (scalar, number) in self.scalars.into_iter().flatten() {
            runner.set_scalar(scalar, number);
        }
        runner.set_seed(self.seed);
    }
}
