//! Whole training steps: compiled code against the interpreter in f64, for the nets of the golden
//! files, on every tier, fused and not, on one thread and two.

mod common;

use common::{check_norm, random};
use netc::diag::Files;
use netc::ir::{DType, Graph, ValueKind};
use netc::program::Program;
use netc::sema::{self, Mode};
use netc::sema::{Clip, Decay, OptimizerConfig, Penalty, Regularize, UpdateRule, WeightDecay};
use netc::syntax;
use netc::train::step::{LossKind, StepConfig, training_step};

/// The forward net of a file for training.
fn forward(name: &str, text: &str) -> Graph {
    let mut files = Files::default();
    let file = syntax::read(&mut files, name, text.as_bytes()).expect("is text");
    let parsed = Program::alone(&mut files, file);
    let program = parsed
        .program
        .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
    sema::elaborate(&program, &files, None, &[], Mode::Train)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"))
        .graph
}

const SGD: OptimizerConfig = OptimizerConfig {
    lr: 0.05,
    rule: UpdateRule::Sgd {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: false,
    },
    weight_decay: WeightDecay {
        factor: 1e-3,
        decoupled: false,
        decay: Decay::All,
    },
};

fn with(rule: UpdateRule) -> OptimizerConfig {
    OptimizerConfig {
        rule,
        weight_decay: WeightDecay::NONE,
        ..SGD
    }
}

const ADAM: UpdateRule = UpdateRule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    amsgrad: false,
};

fn check(name: &str, loss: LossKind, config: impl Into<StepConfig>, batch: usize, most: usize) {
    let path = format!("{}/tests/golden/{name}.net", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("is there");
    let graph = training_step(forward(&path, &text), loss, &config.into()).expect("fits");
    let mut bindings = random(&graph, batch, 31, 3);
    // Weights that keep activations near one, so that no gradient drowns in rounding; momenta that
    // are squares' means are not negative.
    for (id, value) in graph.values.iter() {
        let shape = &value.ty.shape.dims;
        let Some(data) = bindings.data.get_mut(&id) else {
            continue;
        };
        match &value.kind {
            ValueKind::Param(_) if shape.len() > 1 => {
                let fan_in: usize = shape[1..].iter().product();
                data.iter_mut()
                    .for_each(|x| *x *= (6.0 / fan_in as f32).sqrt());
            }
            ValueKind::State(_) => data.iter_mut().for_each(|x| *x = x.abs() * 0.01),
            ValueKind::Input(_) if value.ty.dtype == DType::F32 => {}
            _ => {}
        }
    }
    // Errors of a hundred layers' worth of roundings, as a part of each tensor's norm.
    check_norm(&graph, &bindings, most, 2e-5);
}

#[test]
fn lenet5_modern() {
    check("lenet5_modern", LossKind::CROSS_ENTROPY, SGD, 5, 8);
    check("lenet5_modern", LossKind::CROSS_ENTROPY, with(ADAM), 64, 64);
}

#[test]
fn lenet5_classic() {
    check("lenet5_classic", LossKind::CROSS_ENTROPY, SGD, 33, 64);
}

#[test]
fn xor() {
    check("xor", LossKind::MeanSquared, SGD, 4, 4);
    check("xor", LossKind::MeanSquared, with(ADAM), 3, 4);
}

#[test]
fn mixed() {
    check("mixed", LossKind::CROSS_ENTROPY, SGD, 5, 5);
    check("mixed", LossKind::CROSS_ENTROPY, with(ADAM), 7, 16);
}

/// Filters of one, two and three groups, padded rows, a dense layer behind a map: everything that an update can lie as.
const RULES: [UpdateRule; 5] = [
    UpdateRule::Sgd {
        momentum: 0.9,
        dampening: 0.5,
        nesterov: false,
    },
    UpdateRule::Sgd {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: true,
    },
    UpdateRule::Adam {
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-3,
        amsgrad: true,
    },
    UpdateRule::RmsProp {
        alpha: 0.9,
        eps: 1e-2,
        momentum: 0.5,
        centered: false,
    },
    UpdateRule::Adagrad {
        lr_decay: 0.1,
        initial_accumulator_value: 0.1,
        eps: 1e-3,
    },
];

#[test]
fn every_rule() {
    for rule in RULES {
        check("mixed", LossKind::CROSS_ENTROPY, with(rule), 3, 4);
    }
}

#[test]
fn everything_at_once() {
    let penalty = |strength, on| Some(Penalty { strength, on });
    let config = StepConfig {
        regularize: Regularize {
            l1: penalty(1e-3, Decay::Weights),
            l2: penalty(1e-2, Decay::All),
            max_norm: Some(0.9),
            ..Regularize::default()
        },
        clip: Some(Clip::Norm(0.1)),
        accumulate: 2,
        ..StepConfig::from(SGD)
    };
    check("mixed", LossKind::CROSS_ENTROPY, config.clone(), 3, 4);
    check(
        "lenet5_classic",
        LossKind::CROSS_ENTROPY,
        config.clone(),
        2,
        2,
    );
    let decoupled = OptimizerConfig {
        weight_decay: WeightDecay {
            factor: 0.1,
            decoupled: true,
            decay: Decay::Weights,
        },
        ..with(ADAM)
    };
    let config = StepConfig {
        optimizer: decoupled,
        clip: Some(Clip::Value(0.01)),
        ..config
    };
    check("mixed", LossKind::CROSS_ENTROPY, config, 3, 4);
}
