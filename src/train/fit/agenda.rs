//! What the graph of a step has done to kept tensors between steps.

use super::FitError;
use crate::engine::{Kept, Runner};
use crate::ir::{Action, Event, Graph, Prune};
use crate::ops::condense;

/// The events of a graph, by the steps before which they are due.
#[derive(Debug)]
pub(super) struct Agenda {
    events: Vec<Event>,
    /// The due step of each, in ascending order; none before the number of steps is known.
    due: Vec<(usize, usize)>,
}

impl Agenda {
    pub(super) fn new(graph: &Graph) -> Agenda {
        Agenda {
            events: graph.events.clone(),
            due: Vec::new(),
        }
    }

    /// Whether the steps of the whole training are enough.
    ///
    /// # Errors
    ///
    /// There are fewer steps than stages of a layer.
    pub(super) fn check(&self, steps: usize) -> Result<(), FitError> {
        match self.events.iter().find(|event| event.after.of > steps) {
            Some(event) => Err(FitError::Stages {
                layer: event.layer.clone(),
                stages: event.after.of / 2,
                steps,
            }),
            None => Ok(()),
        }
    }

    /// Sets the steps of the whole training.
    ///
    /// # Errors
    ///
    /// As [`Agenda::check`].
    pub(super) fn set_steps(&mut self, steps: usize) -> Result<(), FitError> {
        self.check(steps)?;
        let due = self.events.iter().map(|event| event.after.step(steps));
        self.due = due.enumerate().map(|(at, step)| (step, at)).collect();
        self.due.sort_unstable();
        Ok(())
    }

    /// Does what was due before a step: where a training begins, goes on, or has another number of epochs now.
    pub(super) fn catch_up(&self, runner: &mut Runner, step: usize) -> Result<(), FitError> {
        self.act(runner, 0, step)
    }

    /// Does what is due right before a step.
    pub(super) fn before(&self, runner: &mut Runner, step: usize) -> Result<(), FitError> {
        self.act(runner, step, step)
    }

    fn act(&self, runner: &mut Runner, first: usize, last: usize) -> Result<(), FitError> {
        let start = self.due.partition_point(|&(step, _)| step < first);
        let due = self.due[start..].iter();
        for &(_, at) in due.take_while(|&&(step, _)| step <= last) {
            match &self.events[at].action {
                Action::Prune(rule) => prune(runner, rule)?,
            }
        }
        Ok(())
    }
}

fn prune(runner: &mut Runner, rule: &Prune) -> Result<(), FitError> {
    let sizes = condense::filter_sizes(runner.graph(), rule);
    let (weight, mut mask) = (runner.param(&rule.weight)?, runner.param(&rule.mask)?);
    if condense::prune(&weight, &mut mask, sizes, rule) {
        runner.set_kept(Kept::Param, &rule.mask, &mask)?;
    }
    Ok(())
}
