//! Update rules as graph nodes.
//!
//! With g the gradient plus `weight_decay · w`:
//!
//! ```text
//! sgd:       v ← momentum · v + g,     w ← w - lr · v           (PyTorch's rule: lr outside v)
//! nesterov:                            w ← w - lr · (g + momentum · v)
//! adam:      m ← β1 · m + (1 - β1) · g,   v ← β2 · v + (1 - β2) · g²
//!            w ← w - lr · m c1 / (√(v c2) + eps),   c = 1 / (1 - β^t)
//! ```
//!
//! Sources: Sutskever et al. 2013, section 2, for momentum; Kingma and Ba 2015, algorithm 1, for
//! Adam. Weight decay is the L2 penalty of PyTorch: it passes through momentum and moments.

use crate::ir::{Builder, ParamRole, StepScalar, ValueId, ValueKind};
use crate::ops::Pointwise;
use crate::ops::pointwise::scaled;

/// How parameters learn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Optimizer {
    /// The rule.
    pub rule: Rule,
    /// The factor of a parameter in its gradient.
    pub weight_decay: f32,
    /// Which parameters decay.
    pub decays: Decays,
}

/// An update rule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// Stochastic gradient descent.
    Sgd {
        /// What is left of the last step's velocity.
        momentum: f32,
        /// Whether the step looks ahead along the velocity.
        nesterov: bool,
    },
    /// Adam.
    Adam {
        /// What is left of the mean of gradients.
        beta1: f32,
        /// What is left of the mean of squared gradients.
        beta2: f32,
        /// Keeps the divisor from zero.
        eps: f32,
    },
}

/// Which parameters weight decay touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decays {
    /// All that are trained, biases and batch norms too: what PyTorch does.
    All,
    /// Filters and matrices only.
    Weights,
}

impl Optimizer {
    /// Whether a parameter decays.
    pub fn decays(&self, role: ParamRole) -> bool {
        let touched = match (self.decays, role) {
            (_, ParamRole::Weight) => true,
            (decays, ParamRole::Bias | ParamRole::Scale | ParamRole::Shift) => {
                decays == Decays::All
            }
            (_, ParamRole::Statistic) => false,
        };
        touched && self.weight_decay != 0.0
    }
}

/// Appends the update of a parameter by its gradient, and the states that the rule needs.
///
/// # Panics
///
/// `param` is no parameter.
pub fn append(builder: &mut Builder, optimizer: &Optimizer, param: ValueId, grad: ValueId) {
    let ValueKind::Param(about) = &builder.graph().values[param].kind else {
        panic!("{param} is no parameter");
    };
    let (name, role) = (about.name.clone(), about.role);
    builder.set_origin(name.clone());
    let grad = if optimizer.decays(role) {
        let decay = scaled(builder, param, optimizer.weight_decay);
        builder.pointwise(Pointwise::Add, &[grad, decay])
    } else {
        grad
    };
    let direction = match optimizer.rule {
        Rule::Sgd { momentum: 0.0, .. } => grad,
        Rule::Sgd { momentum, nesterov } => sgd(builder, param, &name, grad, momentum, nesterov),
        Rule::Adam { beta1, beta2, eps } => {
            let m = average(builder, param, format!("{name}.first_moment"), grad, beta1);
            let squared = builder.pointwise(Pointwise::Square, &[grad]);
            let v = average(
                builder,
                param,
                format!("{name}.second_moment"),
                squared,
                beta2,
            );
            let correct = builder.step_scalar(StepScalar::FirstMomentCorrection);
            let m = builder.pointwise(Pointwise::Mul, &[m, correct]);
            let correct = builder.step_scalar(StepScalar::SecondMomentCorrection);
            let v = builder.pointwise(Pointwise::Mul, &[v, correct]);
            let root = builder.pointwise(Pointwise::Sqrt, &[v]);
            let eps = builder.constant(eps);
            let divisor = builder.pointwise(Pointwise::Add, &[root, eps]);
            builder.pointwise(Pointwise::Div, &[m, divisor])
        }
    };
    let rate = builder.step_scalar(StepScalar::LearningRate);
    let change = builder.pointwise(Pointwise::Mul, &[direction, rate]);
    let next = builder.pointwise(Pointwise::Sub, &[param, change]);
    builder.update(param, next);
    builder.set_origin("");
}

fn sgd(
    builder: &mut Builder,
    param: ValueId,
    name: &str,
    grad: ValueId,
    momentum: f32,
    nesterov: bool,
) -> ValueId {
    let ty = builder.graph().ty(param).clone();
    let velocity = builder.state(format!("{name}.momentum"), ty);
    let kept = scaled(builder, velocity, momentum);
    let next = builder.pointwise(Pointwise::Add, &[kept, grad]);
    builder.update(velocity, next);
    if nesterov {
        let ahead = scaled(builder, next, momentum);
        builder.pointwise(Pointwise::Add, &[grad, ahead])
    } else {
        next
    }
}

/// An exponential average that is kept in a state: `share` is what is left of the old.
fn average(
    builder: &mut Builder,
    like: ValueId,
    name: String,
    value: ValueId,
    share: f32,
) -> ValueId {
    let ty = builder.graph().ty(like).clone();
    let state = builder.state(name, ty);
    let kept = scaled(builder, state, share);
    let new = scaled(builder, value, 1.0 - share);
    let next = builder.pointwise(Pointwise::Add, &[kept, new]);
    builder.update(state, next);
    next
}
