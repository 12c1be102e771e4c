//! Learned group convolution: groups of filters that find out in training which input channels they read.
//!
//! ```text
//! y = conv(x, w · m)        w [K, C, R, S], m [K, C, 1, 1] of ones and zeros, the same for all filters of a group
//! importance(g, c) = Σ k in g, r, s  |w[k, c, r, s] · m[k, c]|
//! group lasso = Σ g, c  √(Σ k in g, r, s  (w[k, c, r, s] · m[k, c])²)
//! ```
//!
//! The K filters fall into G groups of consecutive ones. With a condensing factor F, the first half of training has
//! F - 1 stages of equal length; at the end of each, every group loses the C / F channels of least importance. In the
//! second half each group reads C / F channels, so `index`, a convolution in G groups and no mask compute the same.
//!
//! Source: Huang, Liu, van der Maaten and Weinberger 2018, "CondenseNet: an efficient DenseNet using learned group
//! convolutions", sections 3.2 and 3.3. Of the authors' code: a channel's norm is held away from 0 in the slope of the
//! lasso, and the lasso ends with the last stage.

use super::error::ShapeError;
use super::pointwise::scaled;
use super::{Conv2d, Op, Pointwise};
use crate::ir::{Action, Builder, Event, Graph, Prune, Shape, Share, ValueId};

/// How a learned group convolution is condensed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condensing {
    /// Into how many groups the filters fall.
    pub groups: usize,
    /// Each group keeps one of so many input channels.
    pub condense: usize,
}

/// The least norm that the slope of the lasso is divided by.
const LEAST_NORM: f32 = 1e-6;

impl Condensing {
    /// The input channels that a group keeps.
    ///
    /// # Errors
    ///
    /// The groups do not divide the filters, or the condensing factor does not divide the channels.
    pub fn keep(self, channels: usize, outputs: usize) -> Result<usize, ShapeError> {
        let Condensing { groups, condense } = self;
        if groups == 0 {
            return Err(ShapeError::NoGroups);
        }
        if !outputs.is_multiple_of(groups) {
            return Err(ShapeError::FilterGroups { outputs, groups });
        }
        if condense == 0 || !channels.is_multiple_of(condense) {
            let condense = condense.max(1);
            return Err(ShapeError::Condense { channels, condense });
        }
        Ok(channels / condense)
    }

    /// The events of a layer: at the end of stage i of F - 1, each group keeps 1 - i / F of its channels.
    pub fn events<'e>(
        self,
        layer: &'e str,
        [weight, mask]: [&'e str; 2],
        keep: usize,
    ) -> impl Iterator<Item = Event> + use<'e> {
        let Condensing { groups, condense } = self;
        (1..condense).map(move |stage| Event {
            layer: layer.to_owned(),
            after: Share {
                done: stage,
                of: 2 * (condense - 1),
            },
            action: Action::Prune(Prune {
                weight: weight.to_owned(),
                mask: mask.to_owned(),
                groups,
                keep: keep * (condense - stage),
            }),
        })
    }
}

/// [N, C, H, W] → [N, K, H', W']: a convolution with a masked filter.
///
/// # Errors
///
/// The input is no map, or window or channels do not fit it.
pub fn learned_group_conv2d(
    builder: &mut Builder,
    x: ValueId,
    [weight, mask]: [ValueId; 2],
    conv: Conv2d,
) -> Result<ValueId, ShapeError> {
    let masked = builder.try_node(Op::Pointwise(Pointwise::Mul), &[weight, mask])?[0];
    Ok(builder.try_node(Op::Conv2d(conv), &[x, masked])?[0])
}

/// The last pruning of a filter: that after which it is condensed.
#[must_use]
pub fn last_pruning<'g>(graph: &'g Graph, weight: &str) -> Option<&'g Prune> {
    let prunings = graph.events.iter().map(|event| match &event.action {
        Action::Prune(prune) => prune,
    });
    prunings
        .filter(|prune| prune.weight == weight)
        .min_by_key(|prune| prune.keep)
}

/// The sizes [K, C, R, S] of the filter that a rule is about.
///
/// # Panics
///
/// The graph has no such filter: it breaks a rule of [`crate::ir::verify`].
#[must_use]
pub fn filter_sizes(graph: &Graph, rule: &Prune) -> [usize; 4] {
    let filter = graph.params().find(|(_, param)| param.name == rule.weight);
    let dims = filter.map_or(&[][..], |(value, _)| graph.dims(value));
    dims.try_into()
        .unwrap_or_else(|_| panic!("`{}` is no filter of the graph", rule.weight))
}

/// The channels that each group reads, by the first filter's row of its mask [K, C].
#[must_use]
pub fn channels_read(
    mask: &[f32],
    [outputs, channels]: [usize; 2],
    groups: usize,
) -> Vec<Vec<usize>> {
    let first_rows = (0..groups).map(|group| group * (outputs / groups) * channels);
    let read = |start: usize| {
        let row = mask[start..start + channels].iter().enumerate();
        row.filter(|&(_, &on)| on != 0.0)
            .map(|(channel, _)| channel)
    };
    first_rows.map(|start| read(start).collect()).collect()
}

/// Whether a mask [K, C] is of ones and zeros, and the same for all filters of each group.
#[must_use]
pub fn is_even(mask: &[f32], [outputs, channels]: [usize; 2], groups: usize) -> bool {
    let group = (outputs / groups * channels).max(1);
    mask.iter().all(|&on| on == 0.0 || on == 1.0)
        && mask.chunks(group).all(|rows| {
            let mut others = rows.chunks(channels.max(1));
            let first = others.next();
            others.all(|row| Some(row) == first)
        })
}

/// Masks in each group all channels but the `keep` of greatest importance, of a filter [K, C, R, S] and its mask
/// [K, C]. Of equal channels the first go. A group that has no more than `keep` stays; whether anything has changed.
#[must_use]
pub fn prune(weight: &[f32], mask: &mut [f32], sizes: [usize; 4], rule: &Prune) -> bool {
    let [outputs, channels, height, width] = sizes;
    let area = height * width;
    let filters = outputs / rule.groups;
    let mut changed = false;
    let read = channels_read(mask, [outputs, channels], rule.groups);
    for (group, read) in read.into_iter().enumerate() {
        let rows = group * filters..(group + 1) * filters;
        let importance = |channel: usize| -> f64 {
            let starts = rows.clone().map(|row| (row * channels + channel) * area);
            let weights = starts.flat_map(|start| &weight[start..start + area]);
            weights.map(|weight| f64::from(weight.abs())).sum()
        };
        let mut ranked: Vec<(f64, usize)> = read
            .into_iter()
            .map(|channel| (importance(channel), channel))
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let surplus = ranked.len().saturating_sub(rule.keep);
        for &(_, channel) in &ranked[..surplus] {
            changed = true;
            for row in rows.clone() {
                mask[row * channels + channel] = 0.0;
            }
        }
    }
    changed
}

/// Appends the slope of `strength` times the group lasso with regard to a filter; 0 once the filter is condensed.
///
/// # Panics
///
/// The mask is not [K, C, 1, 1] for a filter [K, C, R, S].
#[must_use]
pub fn lasso_slope(
    builder: &mut Builder,
    [weight, mask]: [ValueId; 2],
    rule: &Prune,
    strength: f32,
) -> ValueId {
    let &[outputs, channels, ..] = builder.graph().dims(weight) else {
        panic!("a filter has four axes");
    };
    let groups = rule.groups;
    let masked = builder.pointwise(Pointwise::Mul, &[weight, mask]);
    let squares = builder.pointwise(Pointwise::Square, &[masked]);
    let rows = Shape::single([outputs, channels, 1, 1]);
    let by_filter = builder.op(Op::SumTo(rows), &[squares]);
    let grouped = vec![groups, outputs / groups, channels];
    let by_group = builder.op(Op::Reshape(grouped.clone()), &[by_filter]);
    let sums = builder.op(Op::SumTo(Shape::single([groups, 1, channels])), &[by_group]);
    let least = builder.constant(LEAST_NORM * LEAST_NORM);
    let held = builder.pointwise(Pointwise::Max, &[sums, least]);
    let inverse = builder.pointwise(Pointwise::Rsqrt, &[held]);
    let factor = scaled(builder, inverse, strength);
    let spread = builder.op(Op::Expand(Shape::single(grouped)), &[factor]);
    let factors = builder.op(Op::Reshape(vec![outputs, channels, 1, 1]), &[spread]);
    let slope = builder.pointwise(Pointwise::Mul, &[masked, factors]);
    // Above 0 until the last stage has ended: the mask has ones beyond those that are kept.
    let ones = builder.op(Op::SumTo(Shape::single([])), &[mask]);
    #[allow(
        clippy::cast_precision_loss,
        reason = "half a one is all that must be told apart"
    )]
    let kept = builder.constant((outputs * rule.keep) as f32 + 0.5);
    let open = builder.pointwise(Pointwise::Sub, &[ones, kept]);
    builder.pointwise(Pointwise::ReluGrad, &[open, slope])
}

#[cfg(test)]
mod tests;
