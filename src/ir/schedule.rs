//! What training does to kept tensors between two of its steps.
//!
//! A graph says which tensors, when, and by which rule; the training loop keeps the appointments and knows no layer. An
//! event names parameters, not values, so it outlives every pass. To act again where an event has acted changes
//! nothing, so a training that is resumed or repeated comes to the same numbers.

use std::fmt;

/// Something that is done between two steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The layer that it belongs to, for messages.
    pub layer: String,
    /// How much of the training comes before it.
    pub after: Share,
    /// What is done.
    pub action: Action,
}

/// A share of all steps of a training, from 0 to 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// The numerator.
    pub done: usize,
    /// The denominator; not 0.
    pub of: usize,
}

/// What is done to kept tensors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Channels of least weight are masked; see [`crate::ops::condense`].
    Prune(Prune),
}

/// Masks the least input channels of each group of filters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prune {
    /// The filter, [K, C, R, S].
    pub weight: String,
    /// Its mask, [K, C, 1, 1].
    pub mask: String,
    /// Into how many groups the filters fall, consecutive ones together.
    pub groups: usize,
    /// The input channels that each group has left afterwards.
    pub keep: usize,
}

impl Share {
    /// The first step, counted from 0, before which that share of so many steps is done.
    #[must_use]
    pub fn step(self, steps: usize) -> usize {
        (self.done * steps).div_ceil(self.of)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Share { done, of } = self.after;
        write!(f, "after {done}/{of} ")?;
        match &self.action {
            Action::Prune(Prune {
                weight,
                mask,
                groups,
                keep,
            }) => write!(
                f,
                "prune {mask} by {weight} {{groups {groups}, keep {keep}}}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_ends_with_a_whole_step() {
        let step = |done, steps| Share { done, of: 6 }.step(steps);
        assert_eq!([1, 2, 3].map(|done| step(done, 12)), [2, 4, 6]);
        assert_eq!([1, 2, 3].map(|done| step(done, 7)), [2, 3, 4]);
    }
}
