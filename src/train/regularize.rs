//! Penalties on large weights, and a limit of their norm.
//!
//! ```text
//! l1:        the penalty λ Σ |w|      adds λ sign(w) to the gradient, 0 at w = 0
//! l2:        the penalty λ/2 Σ w²     adds λ w to the gradient
//! group_lasso: the penalty λ Σ ‖w of a group‖, on what the groups of a learned group convolution read of each channel
//! max_norm:  after the step, each row of a weight is scaled down to the norm c if its norm is above
//! ```
//!
//! Penalties act through the gradient alone: the loss that is reported is that of the data, so that it compares with
//! the loss of an evaluation and of a training without penalty. They belong to the loss all the same: gradients are
//! clipped with them. (An optimizer's weight decay comes after clipping, as in PyTorch.) A row is what enters one
//! output unit: one filter of a convolution, one row of a dense layer's matrix, its bias left out.
//!
//! The groups of the lasso, and its slope, are those of [`crate::ops::condense`].
//!
//! Sources: Tibshirani 1996 for l1; Hoerl and Kennard 1970 for l2; Yuan and Lin 2006 for the group lasso; Srivastava et al. 2014, section 5.1, for the norm.

use super::optimizer::narrow;
use crate::ir::{Builder, Param, ParamRole, Prune, ValueId, ValueKind};
use crate::ops::Pointwise;
use crate::ops::condense;
use crate::ops::magnitude::MaxNorm;
use crate::ops::pointwise::scaled;
pub use crate::sema::{Penalty, Regularize};

/// The gradient of a parameter with those of its penalties.
#[must_use]
pub fn penalised(
    builder: &mut Builder,
    config: &Regularize,
    param: ValueId,
    grad: ValueId,
) -> ValueId {
    let role = about(builder, param).role;
    let strength = |penalty: Option<Penalty>| {
        penalty
            .filter(|penalty| penalty.strength != 0.0 && penalty.on.touches(role))
            .map(|penalty| narrow(penalty.strength))
    };
    let mut grad = grad;
    if let Some(strength) = strength(config.l1) {
        let strength = builder.constant(strength);
        let negative = builder.pointwise(Pointwise::Neg, &[param]);
        let up = builder.pointwise(Pointwise::ReluGrad, &[param, strength]);
        let down = builder.pointwise(Pointwise::ReluGrad, &[negative, strength]);
        let slope = builder.pointwise(Pointwise::Sub, &[up, down]);
        grad = builder.pointwise(Pointwise::Add, &[grad, slope]);
    }
    if let Some(strength) = strength(config.l2) {
        let slope = scaled(builder, param, strength);
        grad = builder.pointwise(Pointwise::Add, &[grad, slope]);
    }
    if let Some(strength) = config.group_lasso.filter(|&strength| strength != 0.0)
        && let Some((mask, rule)) = condensed(builder, param)
    {
        let slope = condense::lasso_slope(builder, [param, mask], &rule, narrow(strength));
        grad = builder.pointwise(Pointwise::Add, &[grad, slope]);
    }
    grad
}

/// The mask of a filter that training condenses, and the rule after which it is.
fn condensed(builder: &Builder, param: ValueId) -> Option<(ValueId, Prune)> {
    let graph = builder.graph();
    let rule = condense::last_pruning(graph, &about(builder, param).name)?;
    let mut params = graph.params();
    let (mask, _) = params.find(|(_, known)| known.name == rule.mask)?;
    Some((mask, rule.clone()))
}

/// What a parameter is to become, held to the greatest norm.
#[must_use]
pub fn constrained(
    builder: &mut Builder,
    config: &Regularize,
    param: ValueId,
    next: ValueId,
) -> ValueId {
    match config.max_norm {
        Some(limit) if about(builder, param).role == ParamRole::Weight => {
            let limit = narrow(limit);
            builder.op(MaxNorm { limit }, &[next])
        }
        _ => next,
    }
}

fn about(builder: &Builder, param: ValueId) -> &Param {
    match &builder.graph().values[param].kind {
        ValueKind::Param(about) => about,
        kind => panic!("{param} is no parameter but {kind:?}"),
    }
}
