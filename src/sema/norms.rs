//! Layers that behave differently in training: dropout and batch normalisation.

use super::apply::Site;
use super::attrs::Attrs;
use super::report::Fact;
use super::{Elab, Mode, MovingNorm};
use crate::ir::{ParamRole, StepScalar, ValueId, ValueKind};
use crate::ops::dropout::Dropout;
use crate::ops::{Op, Pointwise, norm};

impl<'a> Elab<'a> {
    pub(super) fn dropout(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let rate = self.float(attrs, "rate", 0.0, 1.0)?;
        let input = site.input?;
        // Streams are counted whatever the mode, so that a net's masks do not depend on what is built beside them.
        self.dropouts += 1;
        match self.mode {
            Mode::Infer => Some(input),
            Mode::Train => {
                let seed = self.builder.step_scalar(StepScalar::Seed);
                self.keep(
                    Dropout {
                        rate,
                        stream: self.dropouts,
                    }
                    .into(),
                    &[input, seed],
                    site,
                )
            }
        }
    }

    pub(super) fn batch_norm(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let (eps, momentum) = (
            self.float(attrs, "eps", 0.0, f64::INFINITY),
            self.float(attrs, "momentum", 0.0, 1.0),
        );
        let affine = self.bool(attrs, "affine");
        let (eps, momentum, affine) = (eps?, momentum?, affine?);
        let input = site.input?;
        self.check_map(&Op::BatchStats, &[], site, input)?;
        let channels = self.builder.graph().dims(input)[0];
        let init = self.init.clone();
        let mut vector = |suffix, role, start| {
            self.param(
                site.segment,
                suffix,
                &[channels],
                (role, init.fixed(start)),
                site.span,
            )
        };
        let scale_shift = if affine {
            [
                vector("weight", ParamRole::Scale, 1.0)?,
                vector("bias", ParamRole::Shift, 0.0)?,
            ]
            .into()
        } else {
            None
        };
        let running = [
            vector("running_mean", ParamRole::Statistic, 0.0)?,
            vector("running_var", ParamRole::Statistic, 1.0)?,
        ];
        let [scale, shift] =
            scale_shift.unwrap_or_else(|| [1.0, 0.0].map(|value| self.builder.constant(value)));
        // Statistics that are frozen normalise as in use, and stay.
        let frozen = running.iter().any(|&statistic| self.is_frozen(statistic));
        let batch_stats = self.mode == Mode::Train && !frozen;
        if batch_stats {
            self.moving_norm(running[0], site, momentum);
        }
        let [mean, var] = if batch_stats {
            self.batch_stats(input, running, momentum, site)?
        } else {
            running
        };
        let op = Pointwise::BatchNorm { eps, batch_stats };
        self.keep(Op::Pointwise(op), &[input, mean, var, scale, shift], site)
    }

    /// Notes once, however often a shared body is used, how the running statistics of a layer move.
    fn moving_norm(&mut self, statistic: ValueId, site: Site<'_>, momentum: f32) {
        // What a later use moves has been moved by the first one.
        if !self.updates.contains_key(&statistic) {
            let path = self.names.path(site.segment.text());
            self.norms.push(MovingNorm { path, momentum });
        }
    }

    fn is_frozen(&self, param: ValueId) -> bool {
        let kind = &self.builder.graph().values[param].kind;
        matches!(kind, ValueKind::Param(known) if self.freeze.covers(&known.name))
    }

    /// The statistics of the batch, which also move the running ones.
    fn batch_stats(
        &mut self,
        input: ValueId,
        running: [ValueId; 2],
        momentum: f32,
        site: Site<'_>,
    ) -> Option<[ValueId; 2]> {
        let outputs = self.node(Op::BatchStats, &[input], site, Fact::at(site.span))?;
        let batch = [outputs[0], outputs[1]];
        // In a shared body the statistics move once for each use, one after the other.
        let current = running.map(|target| self.updates.get(&target).copied().unwrap_or(target));
        let moved = norm::running_stats(&mut self.builder, input, batch, current, momentum);
        self.updates.extend(running.into_iter().zip(moved));
        Some(batch)
    }
}
