use super::{Decay, OptimizerConfig, UpdateRule, WeightDecay, append};
use crate::interp::{Bindings, StepValues, run_step};
use crate::ir::{Builder, Init, Param, ParamRole, Shape, Type};
use crate::ops::Array;
use crate::sema::Schedule;
use crate::train::accumulate::Cadence;
use crate::train::rate::Rates;

const SGD: OptimizerConfig = OptimizerConfig {
    lr: 0.1,
    rule: UpdateRule::Sgd {
        momentum: 0.0,
        dampening: 0.0,
        nesterov: false,
    },
    weight_decay: WeightDecay::NONE,
};

fn with(rule: UpdateRule) -> OptimizerConfig {
    OptimizerConfig { rule, ..SGD }
}

fn momentum(momentum: f64, dampening: f64, nesterov: bool) -> OptimizerConfig {
    with(UpdateRule::Sgd {
        momentum,
        dampening,
        nesterov,
    })
}

fn decayed(optimizer: OptimizerConfig, decoupled: bool, decay: Decay) -> OptimizerConfig {
    let weight_decay = WeightDecay {
        factor: 0.1,
        decoupled,
        decay,
    };
    OptimizerConfig {
        weight_decay,
        ..optimizer
    }
}

/// A parameter that starts at 1, after each of several steps with these gradients and lr 0.1.
fn steps(optimizer: &OptimizerConfig, role: ParamRole, gradients: &[f64]) -> Vec<f64> {
    let mut builder = Builder::new("step");
    let param = Param {
        name: "w".to_owned(),
        role,
        init: Init::Constant(1.0),
    };
    let param = builder.param([1], param);
    let grad = builder.input("g", Type::f32(Shape::single([1])));
    let next = append(&mut builder, optimizer, param, grad, Cadence::EachStep);
    builder.update(param, next);
    let graph = builder.finish();
    let mut bindings = Bindings::<f64>::new(&graph);
    let rates = Rates {
        optimizer: *optimizer,
        schedule: Schedule::CONSTANT,
        per_epoch: 1,
        epochs: 1,
        seed: 0,
        plateau: optimizer.lr,
    };
    let after = gradients.iter().enumerate().map(|(step, &gradient)| {
        bindings.set(grad, Array::new(Shape::single([1]), vec![gradient]));
        let [rate, first, second, share] = rates.scalars(step).map(|(_, number)| number);
        let values = StepValues {
            learning_rate: rate,
            first_moment_correction: first,
            second_moment_correction: second,
            velocity_share: share,
            ..StepValues::REST
        };
        run_step(&graph, 1, &values, &mut bindings);
        bindings.get(param).data()[0]
    });
    after.collect()
}

/// Attributes are single-precision numbers.
const TOLERANCE: f64 = 1e-6;

#[track_caller]
fn check(optimizer: &OptimizerConfig, gradients: &[f64], expected: &[f64]) {
    let found = steps(optimizer, ParamRole::Weight, gradients);
    assert_eq!(found.len(), expected.len());
    for (one, other) in found.iter().zip(expected) {
        assert!(
            (one - other).abs() < TOLERANCE,
            "{found:?} is not {expected:?}"
        );
    }
}

#[test]
fn momentum_is_pytorchs() {
    check(&SGD, &[1.0; 2], &[0.9, 0.8]);
    check(&momentum(0.9, 0.0, false), &[1.0; 3], &[0.9, 0.71, 0.439]);
    check(&momentum(0.9, 0.0, true), &[1.0; 2], &[0.81, 0.539]);
    // The first gradient enters whole: velocities 1, 0.9 + 0.5.
    check(&momentum(0.9, 0.5, false), &[1.0; 2], &[0.9, 0.76]);
}

#[test]
fn coupled_decay_is_a_part_of_the_gradient() {
    check(&decayed(SGD, false, Decay::All), &[0.0], &[0.99]);
    let with_momentum = decayed(momentum(0.9, 0.0, false), false, Decay::All);
    check(&with_momentum, &[1.0; 2], &[0.89, 0.6821]);
}

#[test]
fn decoupled_decay_passes_no_momentum() {
    check(&decayed(SGD, true, Decay::All), &[0.0; 2], &[0.99, 0.9801]);
    // The weight shrinks by a hundredth, then moves by velocities 1 and 1.9.
    let with_momentum = decayed(momentum(0.9, 0.0, false), true, Decay::All);
    check(&with_momentum, &[1.0; 2], &[0.99 - 0.1, 0.99 * 0.89 - 0.19]);
}

#[test]
fn what_decays() {
    let trained = [
        ParamRole::Weight,
        ParamRole::Bias,
        ParamRole::Scale,
        ParamRole::Shift,
    ];
    let all = decayed(SGD, false, Decay::All);
    let weights = decayed(SGD, false, Decay::Weights);
    for role in trained {
        let is_weight = role == ParamRole::Weight;
        assert!((steps(&all, role, &[0.0])[0] - 0.99).abs() < TOLERANCE);
        let kept = if is_weight { 0.99 } else { 1.0 };
        assert!((steps(&weights, role, &[0.0])[0] - kept).abs() < TOLERANCE);
    }
    assert!(!all.weight_decay.touches(ParamRole::Statistic));
}

fn adam(eps: f64, amsgrad: bool) -> OptimizerConfig {
    with(UpdateRule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        eps,
        amsgrad,
    })
}

/// With a constant gradient both corrected moments are exact, so each step is the learning rate.
#[test]
fn adam_corrects_its_start() {
    check(&adam(0.0, false), &[0.25; 3], &[0.9, 0.8, 0.7]);
    check(&adam(0.25, false), &[0.25], &[0.95]);
}

#[test]
fn amsgrad_remembers_the_largest_moment() {
    let found = |amsgrad| {
        let beta2 = 0.5;
        let rule = UpdateRule::Adam {
            beta1: 0.0,
            beta2,
            eps: 0.0,
            amsgrad,
        };
        steps(&with(rule), ParamRole::Weight, &[2.0, 1.0])[1]
    };
    // Second moments 2 and 1.5, corrected in the second step by 1 / 0.75.
    assert!((found(false) - (0.9 - 0.1 / 2.0_f64.sqrt())).abs() < TOLERANCE);
    assert!((found(true) - (0.9 - 0.1 / (2.0 / 0.75_f64).sqrt())).abs() < TOLERANCE);
}

#[test]
fn rmsprop_divides_by_the_root_of_its_mean() {
    let rmsprop = |momentum, centered| {
        with(UpdateRule::RmsProp {
            alpha: 0.75,
            eps: 0.0,
            momentum,
            centered,
        })
    };
    // The mean square after one step is a quarter of the square.
    check(&rmsprop(0.0, false), &[3.0], &[0.8]);
    check(&rmsprop(0.5, false), &[3.0, 0.0], &[0.8, 0.7]);
    // The variance is 1/4 - 1/16 of the square.
    check(
        &rmsprop(0.0, true),
        &[3.0],
        &[1.0 - 0.1 / 0.1875_f64.sqrt()],
    );
}

/// With all of the mean kept from the last gradient, the variance is 0: it must not become NaN by rounding.
#[test]
fn a_variance_of_zero_divides_by_eps() {
    let rule = UpdateRule::RmsProp {
        alpha: 0.0,
        eps: 1.0,
        momentum: 0.0,
        centered: true,
    };
    check(&with(rule), &[0.3, 0.3], &[0.97, 0.94]);
}

#[test]
fn adagrad_sums_squares() {
    let adagrad = |lr_decay, initial_accumulator_value| {
        with(UpdateRule::Adagrad {
            lr_decay,
            initial_accumulator_value,
            eps: 0.0,
        })
    };
    check(&adagrad(0.0, 0.0), &[3.0, 4.0], &[0.9, 0.82]);
    check(&adagrad(1.0, 0.0), &[3.0, 4.0], &[0.9, 0.86]);
    check(&adagrad(0.0, 16.0), &[3.0], &[0.94]);
}
