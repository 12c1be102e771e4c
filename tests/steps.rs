//! Whole training steps: compiled code against the interpreter in f64, for the nets of the golden
//! files, on every tier, fused and not, on one thread and two.

mod common;

use common::{check_norm, random};
use netc::diag::Files;
use netc::ir::{DType, Graph, ValueKind};
use netc::program::Program;
use netc::sema::{self, Mode};
use netc::syntax;
use netc::train::optimizer::{Decays, Optimizer, Rule};
use netc::train::step::{LossKind, training_step};

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

const SGD: Optimizer = Optimizer {
    rule: Rule::Sgd {
        momentum: 0.9,
        nesterov: false,
    },
    weight_decay: 1e-3,
    decays: Decays::All,
};
const ADAM: Optimizer = Optimizer {
    rule: Rule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
    },
    weight_decay: 0.0,
    decays: Decays::All,
};

fn check(name: &str, loss: LossKind, optimizer: &Optimizer, batch: usize, most: usize) {
    let path = format!("{}/tests/golden/{name}.net", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("is there");
    let graph = training_step(forward(&path, &text), loss, optimizer).expect("fits");
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
    check("lenet5_modern", LossKind::CrossEntropy, &SGD, 5, 8);
    check("lenet5_modern", LossKind::CrossEntropy, &ADAM, 64, 64);
}

#[test]
fn lenet5_classic() {
    check("lenet5_classic", LossKind::CrossEntropy, &SGD, 33, 64);
}

#[test]
fn xor() {
    check("xor", LossKind::MeanSquared, &SGD, 4, 4);
    check("xor", LossKind::MeanSquared, &ADAM, 3, 4);
}

#[test]
fn mixed() {
    check("mixed", LossKind::CrossEntropy, &SGD, 5, 5);
    check("mixed", LossKind::CrossEntropy, &ADAM, 7, 16);
}
