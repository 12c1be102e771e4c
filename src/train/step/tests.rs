use super::{Loss, LossKind, gradient_graph, training_step};
use crate::interp::{Bindings, StepValues, run, run_step};
use crate::ir::verify::verify;
use crate::ir::{Builder, Graph, Init, Param, ParamRole, Shape, Type, ValueId};
use crate::ops::testing::{assert_close, batched, single};
use crate::ops::{Op, Pointwise};
use crate::sema::Freeze;
use crate::train::optimizer::{OptimizerConfig, UpdateRule, WeightDecay};

const SGD: OptimizerConfig = OptimizerConfig {
    lr: 0.1,
    rule: UpdateRule::Sgd {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: false,
    },
    weight_decay: WeightDecay::NONE,
};

fn param(builder: &mut Builder, name: &str, dims: &[usize], start: f32) -> ValueId {
    let param = Param {
        name: name.to_owned(),
        role: ParamRole::Weight,
        init: Init::Constant(start),
    };
    builder.param(dims, param)
}

/// `y = w · x`, with a second head `-y`.
fn line() -> Graph {
    let mut builder = Builder::new("line");
    let x = builder.input("x", Type::f32(Shape::batched([2])));
    let w = param(&mut builder, "w", &[1, 2], 1.0);
    let y = builder.op(Op::Dense, &[x, w]);
    let mirrored = builder.pointwise(Pointwise::Neg, &[y]);
    builder.output("y", y);
    builder.output("mirrored", mirrored);
    builder.finish()
}

#[test]
fn a_step_of_least_squares() {
    let graph = training_step(line(), LossKind::MeanSquared, &SGD.into()).unwrap();
    assert_eq!(verify(&graph), Ok(()));
    insta::assert_snapshot!(graph.to_string());
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "x", batched(&[2], &[1., 2., 3., 4.]));
    bindings.set_named(&graph, "target", batched(&[1], &[1., 9.]));
    let step = StepValues {
        learning_rate: 0.1,
        ..StepValues::REST
    };
    let values = run_step(&graph, 2, &step, &mut bindings);
    // Outputs 3 and 7 miss their targets by 2 and -2: the gradient is (2·1 - 2·3, 2·2 - 2·4).
    assert_close(values[graph.output("loss").unwrap()].data(), &[4.0]);
    assert_close(bindings.get_named(&graph, "w").data(), &[1.4, 1.4]);
    assert_close(bindings.get_named(&graph, "w.momentum").data(), &[-4., -4.]);
}

#[test]
fn auxiliary_losses_count_by_their_weight() {
    let loss = Loss {
        outputs: vec![LossKind::MeanSquared.into()],
        auxiliary: vec![("mirrored".to_owned(), 0.25)],
    };
    let graph = gradient_graph(line(), loss, &Freeze::default()).unwrap();
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "x", batched(&[2], &[1., 2.]));
    bindings.set_named(&graph, "target", batched(&[1], &[1.]));
    let values = run(&graph, 1, &StepValues::REST, &bindings);
    let output = |name: &str| values[graph.output(name).unwrap()].data().to_vec();
    // (3 - 1)² + (-3 - 1)² / 4; the slope of y is 2 · 2 + 2 · 4 / 4.
    assert_close(&output("loss"), &[8.0]);
    assert_close(&output("w"), &[6., 12.]);
    assert_close(&output("input"), &[6., 6.]);
}

#[test]
fn cross_entropy_averages_over_images() {
    let mut builder = Builder::new("classes");
    let x = builder.input("x", Type::f32(Shape::batched([2])));
    let w = param(&mut builder, "w", &[2, 2], 0.0);
    let y = builder.op(Op::Dense, &[x, w]);
    builder.output("y", y);
    let graph = gradient_graph(
        builder.finish(),
        LossKind::CROSS_ENTROPY,
        &Freeze::default(),
    )
    .unwrap();
    assert_eq!(verify(&graph), Ok(()));
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "x", batched(&[2], &[1., 2., 3., 4.]));
    bindings.set_named(&graph, "w", single(&[2, 2], &[0.0; 4]));
    bindings.set_named(&graph, "target", batched(&[], &[0., 1.]));
    let values = run(&graph, 2, &StepValues::REST, &bindings);
    let output = |name: &str| values[graph.output(name).unwrap()].data().to_vec();
    assert_close(&output("loss"), &[std::f64::consts::LN_2]);
    // Half of the mean of (p - 1) x for the right and p x for the wrong class, p being a half.
    assert_close(&output("w"), &[0.5, 0.5, -0.5, -0.5]);
}

#[test]
fn only_what_is_trained_has_a_gradient() {
    let mut builder = Builder::new("frozen");
    let x = builder.input("x", Type::f32(Shape::batched([1])));
    let statistic = Param {
        name: "mean".to_owned(),
        role: ParamRole::Statistic,
        init: Init::Constant(0.0),
    };
    let mean = builder.param([1], statistic);
    let y = builder.pointwise(Pointwise::Sub, &[x, mean]);
    builder.output("y", y);
    let forward = builder.finish();
    let graph = gradient_graph(forward.clone(), LossKind::MeanSquared, &Freeze::default()).unwrap();
    let names: Vec<&str> = graph.outputs.iter().map(|output| &*output.name).collect();
    assert_eq!(names, ["loss", "input"]);
    let graph = training_step(forward, LossKind::MeanSquared, &SGD.into()).unwrap();
    assert!(graph.updates.is_empty());
}

#[test]
fn what_no_loss_depends_on_stays_without_decay() {
    let mut builder = Builder::from(line());
    let x = builder.graph().inputs().next().unwrap().0;
    let free = param(&mut builder, "free", &[3, 2], 1.0);
    let other = builder.op(Op::Dense, &[x, free]);
    builder.output("other", other);
    let decaying = OptimizerConfig {
        weight_decay: WeightDecay {
            factor: 0.5,
            ..WeightDecay::NONE
        },
        ..SGD
    };
    let graph = training_step(builder.finish(), LossKind::MeanSquared, &decaying.into()).unwrap();
    assert_eq!(verify(&graph), Ok(()));
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "x", batched(&[2], &[1., 2.]));
    bindings.set_named(&graph, "w", single(&[1, 2], &[1., 1.]));
    bindings.set_named(&graph, "free", single(&[3, 2], &[1.; 6]));
    bindings.set_named(&graph, "target", batched(&[1], &[3.]));
    let step = StepValues {
        learning_rate: 0.1,
        ..StepValues::REST
    };
    run_step(&graph, 1, &step, &mut bindings);
    // The loss is 0, so all that moves a weight is its decay.
    assert_close(bindings.get_named(&graph, "w").data(), &[0.95, 0.95]);
    assert_close(bindings.get_named(&graph, "free").data(), &[1.; 6]);
}

#[test]
fn a_loss_that_does_not_fit() {
    let mut builder = Builder::new("map");
    let x = builder.input("x", Type::f32(Shape::batched([2, 3, 3])));
    builder.output("x", x);
    let error = training_step(builder.finish(), LossKind::CROSS_ENTROPY, &SGD.into()).unwrap_err();
    insta::assert_snapshot!(error, @"the logits must have a shape like [F], not [2, 3, 3]");
}
