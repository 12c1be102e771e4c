//! Averaging the gradients of several steps for one update.
//!
//! A group of k steps acts as one step over all of its images: each step adds its gradient, weighted by its share of
//! the group's images, and the last one updates parameters and the optimizer's states. So k batches give the step of
//! one batch of their sizes' sum, to rounding, where no batch norm looks at a batch. The last group of an epoch may be
//! shorter; its mean is that of the images it has.
//!
//! One program does all steps of a group: where a group does not end, updates take the old values.

use crate::ir::{Builder, StepScalar, ValueId, ValueKind};
use crate::ops::Pointwise;

/// When parameters and states take their new values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cadence {
    /// In each step.
    EachStep,
    /// In the last step of each group.
    Groups,
}

impl Cadence {
    /// The cadence of groups of so many steps.
    #[must_use]
    pub fn of(steps: usize) -> Cadence {
        if steps > 1 {
            Cadence::Groups
        } else {
            Cadence::EachStep
        }
    }

    /// Has a parameter or state take its new value when it is time.
    pub fn update(self, builder: &mut Builder, target: ValueId, next: ValueId) {
        let next = match self {
            Cadence::EachStep => next,
            Cadence::Groups => {
                let applies = builder.step_scalar(StepScalar::Applies);
                let waits = builder.step_scalar(StepScalar::Waits);
                let new = gated(builder, applies, next);
                let old = gated(builder, waits, target);
                builder.pointwise(Pointwise::Add, &[new, old])
            }
        };
        builder.update(target, next);
    }

    /// The gradient of a parameter that updates go by: its own, or the mean over the group so far.
    ///
    /// # Panics
    ///
    /// `param` is no parameter.
    #[must_use]
    pub fn gradient(self, builder: &mut Builder, param: ValueId, grad: ValueId) -> ValueId {
        if self == Cadence::EachStep {
            return grad;
        }
        let ValueKind::Param(about) = &builder.graph().values[param].kind else {
            panic!("{param} is no parameter");
        };
        let name = format!("{}.accumulated_gradient", about.name);
        let ty = builder.graph().ty(param).clone();
        let state = builder.state(name, ty);
        let share = builder.step_scalar(StepScalar::GroupShare);
        let own = builder.pointwise(Pointwise::Mul, &[grad, share]);
        let continues = builder.step_scalar(StepScalar::Continues);
        let before = gated(builder, continues, state);
        let sum = builder.pointwise(Pointwise::Add, &[before, own]);
        builder.update(state, sum);
        sum
    }
}

/// The value where the gate is above 0, and exactly 0 elsewhere, whatever the value is.
fn gated(builder: &mut Builder, gate: ValueId, value: ValueId) -> ValueId {
    builder.pointwise(Pointwise::ReluGrad, &[gate, value])
}

/// The groups of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups {
    /// Steps of a group.
    pub every: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Images of a step.
    pub batch: usize,
    /// Images of an epoch.
    pub images: usize,
}

impl Groups {
    /// Updates of an epoch.
    #[must_use]
    pub fn updates(&self) -> usize {
        self.steps.div_ceil(self.every)
    }

    /// The scalars of a step, counted from 0 in its epoch.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no group has 2^53 images")]
    pub fn scalars(&self, step: usize) -> [(StepScalar, f64); 4] {
        let first = step / self.every * self.every;
        let end = (first + self.every).min(self.steps);
        // Only the last batch of an epoch may be short.
        let up_to = |step: usize| (step * self.batch).min(self.images);
        let [own, all] = [[step, step + 1], [first, end]]
            .map(|[from, to]| up_to(to).saturating_sub(up_to(from)));
        [
            (StepScalar::GroupShare, own as f64 / all.max(1) as f64),
            (StepScalar::Continues, f64::from(u8::from(step > first))),
            (StepScalar::Applies, f64::from(u8::from(step + 1 == end))),
            (StepScalar::Waits, f64::from(u8::from(step + 1 != end))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_group_has_its_true_mean() {
        let groups = Groups {
            every: 2,
            steps: 5,
            batch: 4,
            images: 17,
        };
        assert_eq!(groups.updates(), 3);
        let numbers = |step| groups.scalars(step).map(|(_, number)| number);
        assert_eq!(numbers(0), [0.5, 0.0, 0.0, 1.0]);
        assert_eq!(numbers(1), [0.5, 1.0, 1.0, 0.0]);
        assert_eq!(numbers(4), [1.0, 0.0, 1.0, 0.0]);
        let short = Groups {
            every: 3,
            steps: 3,
            batch: 4,
            images: 9,
        };
        assert_eq!(short.scalars(0)[0].1, 4.0 / 9.0);
        assert_eq!(short.scalars(2)[0].1, 1.0 / 9.0);
        let single = Groups { every: 1, ..short };
        assert_eq!(
            single.scalars(2).map(|(_, number)| number),
            [1.0, 0.0, 1.0, 0.0]
        );
    }
}
