//! Limits on gradients.
//!
//! ```text
//! norm(c):   g ← g · min(1, c / (‖all g‖ + 1e-6))      one norm over the gradients of all parameters
//! value(c):  g ← min(max(g, -c), c), element by element
//! ```
//!
//! Both are PyTorch's (`clip_grad_norm_`, `clip_grad_value_`). Source: Pascanu, Mikolov and Bengio 2013, algorithm 1.

use super::optimizer::narrow;
use crate::ir::{Builder, ValueId};
use crate::ops::{Op, Pointwise};
pub use crate::sema::Clip;

/// What PyTorch adds to the norm, so that gradients of 0 divide nothing by 0.
const EPS: f32 = 1e-6;

/// The gradients of all parameters, limited.
#[must_use]
pub fn clipped(builder: &mut Builder, clip: Option<Clip>, grads: Vec<ValueId>) -> Vec<ValueId> {
    match clip {
        None => grads,
        Some(Clip::Value(limit)) => {
            let (least, greatest) = (
                builder.constant(narrow(-limit)),
                builder.constant(narrow(limit)),
            );
            let limited = grads.into_iter().map(|grad| {
                let above = builder.pointwise(Pointwise::Max, &[grad, least]);
                builder.pointwise(Pointwise::Min, &[above, greatest])
            });
            limited.collect()
        }
        Some(Clip::Norm(limit)) => {
            let squares: Vec<ValueId> = grads
                .iter()
                .map(|&grad| builder.op(Op::SumSquares, &[grad]))
                .collect();
            let total = squares
                .into_iter()
                .reduce(|sum, square| builder.pointwise(Pointwise::Add, &[sum, square]));
            let Some(total) = total else { return grads };
            let norm = builder.pointwise(Pointwise::Sqrt, &[total]);
            let eps = builder.constant(EPS);
            let divisor = builder.pointwise(Pointwise::Add, &[norm, eps]);
            let limit = builder.constant(narrow(limit));
            let factor = builder.pointwise(Pointwise::Div, &[limit, divisor]);
            let one = builder.constant(1.0);
            let factor = builder.pointwise(Pointwise::Min, &[factor, one]);
            let limited = grads
                .into_iter()
                .map(|grad| builder.pointwise(Pointwise::Mul, &[grad, factor]));
            limited.collect()
        }
    }
}
