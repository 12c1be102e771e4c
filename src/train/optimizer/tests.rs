use super::{Decays, Optimizer, Rule, append};
use crate::interp::{Bindings, StepValues, run_step};
use crate::ir::{Builder, Init, Param, ParamRole, Shape, Type};
use crate::ops::Array;

const SGD: Optimizer = Optimizer {
    rule: Rule::Sgd {
        momentum: 0.0,
        nesterov: false,
    },
    weight_decay: 0.0,
    decays: Decays::All,
};

fn momentum(momentum: f32, nesterov: bool) -> Optimizer {
    Optimizer {
        rule: Rule::Sgd { momentum, nesterov },
        ..SGD
    }
}

/// A weight that starts at 1, after each of several steps with a constant gradient and lr 0.1.
fn steps(optimizer: &Optimizer, role: ParamRole, gradient: f64, count: i32) -> Vec<f64> {
    let mut builder = Builder::new("step");
    let param = Param {
        name: "w".to_owned(),
        role,
        init: Init::Constant(1.0),
    };
    let param = builder.param([1], param);
    let grad = builder.input("g", Type::f32(Shape::single([1])));
    append(&mut builder, optimizer, param, grad);
    let graph = builder.finish();
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set(grad, Array::new(Shape::single([1]), vec![gradient]));
    let step = |t: i32| StepValues {
        learning_rate: 0.1,
        first_moment_correction: 1.0 / (1.0 - 0.9_f64.powi(t)),
        second_moment_correction: 1.0 / (1.0 - 0.999_f64.powi(t)),
        seed: 0,
    };
    let after = (1..=count).map(|t| {
        run_step(&graph, 1, &step(t), &mut bindings);
        bindings.get(param).data()[0]
    });
    after.collect()
}

/// Attributes are single-precision numbers.
const TOLERANCE: f64 = 1e-6;

#[track_caller]
fn assert_steps(found: &[f64], expected: &[f64]) {
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
    let weight = ParamRole::Weight;
    assert_steps(&steps(&SGD, weight, 1.0, 2), &[0.9, 0.8]);
    assert_steps(
        &steps(&momentum(0.9, false), weight, 1.0, 3),
        &[0.9, 0.71, 0.439],
    );
    assert_steps(&steps(&momentum(0.9, true), weight, 1.0, 2), &[0.81, 0.539]);
}

#[test]
fn decay_is_a_part_of_the_gradient() {
    let decay = |optimizer: Optimizer| Optimizer {
        weight_decay: 0.1,
        ..optimizer
    };
    let weight = ParamRole::Weight;
    assert_steps(&steps(&decay(SGD), weight, 0.0, 1), &[0.99]);
    let with_momentum = decay(momentum(0.9, false));
    assert_steps(&steps(&with_momentum, weight, 1.0, 2), &[0.89, 0.6821]);
}

#[test]
fn what_decays() {
    let trained = [
        ParamRole::Weight,
        ParamRole::Bias,
        ParamRole::Scale,
        ParamRole::Shift,
    ];
    let all = Optimizer {
        weight_decay: 0.1,
        ..SGD
    };
    let weights = Optimizer {
        decays: Decays::Weights,
        ..all
    };
    for role in trained {
        assert_steps(&steps(&all, role, 0.0, 1), &[0.99]);
        let kept = if role == ParamRole::Weight { 0.99 } else { 1.0 };
        assert_steps(&steps(&weights, role, 0.0, 1), &[kept]);
    }
    assert!(!all.decays(ParamRole::Statistic));
}

/// With a constant gradient both corrected moments are exact, so each step is the learning rate.
#[test]
fn adam_corrects_its_start() {
    let adam = Optimizer {
        rule: Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 0.0,
        },
        ..SGD
    };
    let found = steps(&adam, ParamRole::Weight, 0.25, 3);
    // The shares of new values are rounded once each; 1 - 0.999 keeps four digits fewer.
    for (found, expected) in found.iter().zip([0.9, 0.8, 0.7]) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
    let blunt = Optimizer {
        rule: Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 0.25,
        },
        ..SGD
    };
    let found = steps(&blunt, ParamRole::Weight, 0.25, 1)[0];
    assert!((found - 0.95).abs() < 1e-5, "{found}");
}
