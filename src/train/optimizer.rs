//! Update rules as graph nodes; each is PyTorch's of the same name.
//!
//! With w the parameter, g its gradient, λ the weight decay, t the step counted from 1, and g ← g + λ w first
//! unless the decay is decoupled:
//!
//! ```text
//! sgd:       v ← momentum · v + share · g      share: 1 in the first step, 1 - dampening then
//!            d = v;  nesterov: d = g + momentum · v;  no momentum: d = g
//! adam:      m ← β1 · m + (1 - β1) · g,   v ← β2 · v + (1 - β2) · g²,   amsgrad: u ← max(u, v), else u = v
//!            d = m c1 / (√(u c2) + eps),   c = 1 / (1 - β^t)
//! rmsprop:   v ← alpha · v + (1 - alpha) · g²
//!            centered: a ← alpha · a + (1 - alpha) · g,   s = v - a²;   else s = v
//!            d = g / (√s + eps);  momentum: b ← momentum · b + d, d = b
//! adagrad:   v ← v + g²,   d = g / (√(initial + v) + eps),   lr ← lr / (1 + (t - 1) · lr_decay)
//! all:       w ← w - lr · d;   decoupled: w ← w - lr · (d + λ w)
//! ```
//!
//! The learning rate stands outside v. In centered RMSProp a variance that rounding makes negative counts as 0,
//! where PyTorch gets NaN. Adagrad's state is the sum without its initial value.
//!
//! Sources: Sutskever et al. 2013, section 2, for momentum and Nesterov's; Kingma and Ba 2015, algorithm 1, for
//! Adam; Reddi, Kale and Kumar 2018, algorithm 2, for AMSGrad; Loshchilov and Hutter 2019, algorithms 1 and 2, for
//! decoupled decay; Tieleman and Hinton 2012, lecture 6.5, for RMSProp; Graves 2013, equations 38 to 45, for its
//! centered form; Duchi, Hazan and Singer 2011, figure 1, for Adagrad.

use super::accumulate::Cadence;
use crate::ir::{Builder, StepScalar, ValueId, ValueKind};
use crate::ops::Pointwise;
use crate::ops::pointwise::scaled;
pub use crate::sema::{Decay, OptimizerConfig, UpdateRule, WeightDecay};

/// Appends the states that the rule needs for a parameter, their updates, and what the parameter is to become,
/// given its gradient. The parameter's own update is the caller's.
///
/// # Panics
///
/// `param` is no parameter.
#[must_use]
pub fn append(
    builder: &mut Builder,
    optimizer: &OptimizerConfig,
    param: ValueId,
    grad: ValueId,
    cadence: Cadence,
) -> ValueId {
    let ValueKind::Param(about) = &builder.graph().values[param].kind else {
        panic!("{param} is no parameter");
    };
    let decay = optimizer.weight_decay;
    let decays = decay.touches(about.role);
    let mut states = States {
        like: param,
        name: about.name.clone(),
        cadence,
        builder,
    };
    let decayed = |builder: &mut Builder, value: ValueId| {
        let pull = scaled(builder, param, narrow(decay.factor));
        builder.pointwise(Pointwise::Add, &[value, pull])
    };
    let grad = if decays && !decay.decoupled {
        decayed(states.builder, grad)
    } else {
        grad
    };
    let direction = match optimizer.rule {
        UpdateRule::Sgd { momentum: 0.0, .. } => grad,
        UpdateRule::Sgd {
            momentum,
            dampening,
            nesterov,
        } => sgd(&mut states, grad, [momentum, dampening], nesterov),
        UpdateRule::Adam {
            beta1,
            beta2,
            eps,
            amsgrad,
        } => adam(&mut states, grad, [beta1, beta2, eps], amsgrad),
        UpdateRule::RmsProp {
            alpha,
            eps,
            momentum,
            centered,
        } => rmsprop(&mut states, grad, [alpha, eps, momentum], centered),
        UpdateRule::Adagrad {
            initial_accumulator_value,
            eps,
            ..
        } => adagrad(&mut states, grad, initial_accumulator_value, eps),
    };
    let direction = if decays && decay.decoupled {
        decayed(builder, direction)
    } else {
        direction
    };
    let rate = builder.step_scalar(StepScalar::LearningRate);
    let change = builder.pointwise(Pointwise::Mul, &[direction, rate]);
    builder.pointwise(Pointwise::Sub, &[param, change])
}

/// The states of a parameter.
struct States<'b> {
    builder: &'b mut Builder,
    /// The parameter.
    like: ValueId,
    name: String,
    cadence: Cadence,
}

impl States<'_> {
    fn op(&mut self, op: Pointwise, operands: &[ValueId]) -> ValueId {
        self.builder.pointwise(op, operands)
    }

    fn scaled(&mut self, value: ValueId, factor: f64) -> ValueId {
        scaled(self.builder, value, narrow(factor))
    }

    fn state(&mut self, suffix: &str) -> ValueId {
        let ty = self.builder.graph().ty(self.like).clone();
        self.builder.state(format!("{}.{suffix}", self.name), ty)
    }

    fn update(&mut self, state: ValueId, next: ValueId) {
        self.cadence.update(self.builder, state, next);
    }

    /// A state that keeps a share of itself and takes an addend in; what it becomes.
    fn moving(&mut self, suffix: &str, keeps: f64, addend: ValueId) -> ValueId {
        let state = self.state(suffix);
        let kept = self.scaled(state, keeps);
        let next = self.op(Pointwise::Add, &[kept, addend]);
        self.update(state, next);
        next
    }

    /// An exponential average: `share` is what is left of the old.
    fn average(&mut self, suffix: &str, share: f64, value: ValueId) -> ValueId {
        let new = self.scaled(value, 1.0 - share);
        self.moving(suffix, share, new)
    }

    /// `top / (√square + eps)`.
    fn over_root(&mut self, top: ValueId, square: ValueId, eps: f64) -> ValueId {
        let root = self.op(Pointwise::Sqrt, &[square]);
        let eps = self.builder.constant(narrow(eps));
        let divisor = self.op(Pointwise::Add, &[root, eps]);
        self.op(Pointwise::Div, &[top, divisor])
    }
}

fn sgd(
    states: &mut States<'_>,
    grad: ValueId,
    [momentum, dampening]: [f64; 2],
    nesterov: bool,
) -> ValueId {
    let entering = if dampening == 0.0 {
        grad
    } else {
        let share = states.builder.step_scalar(StepScalar::VelocityShare);
        states.op(Pointwise::Mul, &[grad, share])
    };
    let velocity = states.moving("momentum", momentum, entering);
    if nesterov {
        let ahead = states.scaled(velocity, momentum);
        states.op(Pointwise::Add, &[grad, ahead])
    } else {
        velocity
    }
}

fn adam(
    states: &mut States<'_>,
    grad: ValueId,
    [beta1, beta2, eps]: [f64; 3],
    amsgrad: bool,
) -> ValueId {
    let m = states.average("first_moment", beta1, grad);
    let squared = states.op(Pointwise::Square, &[grad]);
    let mut v = states.average("second_moment", beta2, squared);
    if amsgrad {
        let largest = states.state("largest_second_moment");
        v = states.op(Pointwise::Max, &[largest, v]);
        states.update(largest, v);
    }
    let correct = states
        .builder
        .step_scalar(StepScalar::FirstMomentCorrection);
    let m = states.op(Pointwise::Mul, &[m, correct]);
    let correct = states
        .builder
        .step_scalar(StepScalar::SecondMomentCorrection);
    let v = states.op(Pointwise::Mul, &[v, correct]);
    states.over_root(m, v, eps)
}

fn rmsprop(
    states: &mut States<'_>,
    grad: ValueId,
    [alpha, eps, momentum]: [f64; 3],
    centered: bool,
) -> ValueId {
    let squared = states.op(Pointwise::Square, &[grad]);
    let mut spread = states.average("square_average", alpha, squared);
    if centered {
        let mean = states.average("gradient_average", alpha, grad);
        let square = states.op(Pointwise::Square, &[mean]);
        let variance = states.op(Pointwise::Sub, &[spread, square]);
        spread = states.op(Pointwise::Relu, &[variance]);
    }
    let step = states.over_root(grad, spread, eps);
    if momentum == 0.0 {
        step
    } else {
        states.moving("momentum", momentum, step)
    }
}

fn adagrad(states: &mut States<'_>, grad: ValueId, initial: f64, eps: f64) -> ValueId {
    let squared = states.op(Pointwise::Square, &[grad]);
    let mut sum = states.moving("square_sum", 1.0, squared);
    if initial != 0.0 {
        let initial = states.builder.constant(narrow(initial));
        sum = states.op(Pointwise::Add, &[sum, initial]);
    }
    states.over_root(grad, sum, eps)
}

/// The nearest single-precision number.
#[allow(
    clippy::cast_possible_truncation,
    reason = "parameters are single precision"
)]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
