use super::{Loss, LossKind, OutputLoss};
use crate::interp::{Bindings, StepValues, run};
use crate::ir::verify::verify;
use crate::ir::{Builder, Shape, Type};
use crate::ops::Pointwise;
use crate::ops::testing::{assert_close, batched};
use crate::sema::Freeze;
use crate::train::step::gradient_graph;

/// The loss of outputs against targets, both of some sizes, and its gradient.
fn loss(kind: LossKind, dims: &[usize], output: &[f64], target: &[f64]) -> (f64, Vec<f64>) {
    let mut builder = Builder::new("loss");
    let y = builder.input("y", Type::f32(Shape::batched(dims)));
    builder.output("y", y);
    let labels = kind.takes_labels();
    let graph = gradient_graph(builder.finish(), kind, &Freeze::default()).unwrap();
    assert_eq!(verify(&graph), Ok(()));
    let batch = output.len() / dims.iter().product::<usize>();
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "y", batched(dims, output));
    let target_dims = if labels { &[][..] } else { dims };
    bindings.set_named(&graph, "target", batched(target_dims, target));
    let values = run(&graph, batch, &StepValues::REST, &bindings);
    let read = |name: &str| values[graph.output(name).unwrap()].data().to_vec();
    (read("loss")[0], read("input"))
}

#[test]
fn means_over_batch_and_elements() {
    let (output, target) = ([3., 5., 0., -2.], [1., 5., 0.5, 2.]);
    let (value, grad) = loss(LossKind::MeanSquared, &[2], &output, &target);
    assert_close(&[value], &[(4. + 0. + 0.25 + 16.) / 4.]);
    assert_close(&grad, &[1., 0., -0.25, -2.]);
    let (value, grad) = loss(LossKind::MeanAbsolute, &[2], &output, &target);
    assert_close(&[value], &[(2. + 0. + 0.5 + 4.) / 4.]);
    // At no difference the slope is 0.
    assert_close(&grad, &[0.25, 0., -0.25, -0.25]);
    let (value, grad) = loss(LossKind::Huber { delta: 2. }, &[2], &output, &target);
    assert_close(&[value], &[(2. + 0. + 0.125 + 6.) / 4.]);
    assert_close(&grad, &[0.5, 0., -0.125, -0.5]);
    // The same elements as one map an image.
    let map = [2, 1, 1];
    assert_eq!(
        loss(LossKind::MeanSquared, &map, &output, &target).0,
        loss(LossKind::MeanSquared, &[2], &output, &target).0
    );
}

/// N outputs of one number against N targets are N terms, not N x N.
#[test]
fn one_number_an_image() {
    let (value, grad) = loss(LossKind::MeanSquared, &[1], &[1., 2., 3.], &[0., 0., 0.]);
    assert_close(&[value], &[14. / 3.]);
    assert_close(&grad, &[2. / 3., 4. / 3., 2.]);
}

#[test]
fn binary_cross_entropy_of_large_logits() {
    let logits = [1000., -1000., 1000., -1000., 0., 2.];
    let target = [1., 0., 0., 1., 0.25, 0.25];
    let (value, grad) = loss(LossKind::BinaryCrossEntropy, &[6], &logits, &target);
    assert_close(
        &[value],
        &[(2000. + std::f64::consts::LN_2 + 1.626_928) / 6.],
    );
    let expected = [0., 0., 1., -1., 0.25, 0.630_797].map(|slope: f64| slope / 6.);
    assert_close(&grad, &expected);
}

/// PyTorch's mean with class weights: by the weights of the labels.
#[test]
fn weighted_means() {
    let kind = |weights: &[f32]| LossKind::CrossEntropy {
        label_smoothing: 0.0,
        class_weights: Some(weights.to_vec()),
    };
    let logits = [1., 2., 3., 1., 2., 3.];
    let (value, grad) = loss(kind(&[0.5, 7., 2.]), &[3], &logits, &[2., 0.]);
    assert_close(&[value], &[(2. * 0.407_606 + 0.5 * 2.407_606) / 2.5]);
    assert_close(&grad[..3], &[0.072_024, 0.195_783, -0.267_807]);
    // Labels that do not count leave nothing to learn.
    let (value, grad) = loss(kind(&[0., 1., 1.]), &[3], &logits, &[0., 0.]);
    assert_close(&[value], &[0.]);
    assert_close(&grad, &[0.; 6]);
}

/// A net with two outputs of two numbers each, a third without a loss, and a head.
fn outputs() -> Builder {
    let mut builder = Builder::new("outputs");
    let x = builder.input("x", Type::f32(Shape::batched([2])));
    let twice = builder.pointwise(Pointwise::Add, &[x, x]);
    let head = builder.pointwise(Pointwise::Neg, &[x]);
    for (name, value) in [
        ("ignored", x),
        ("same", x),
        ("twice", twice),
        ("head", head),
    ] {
        builder.output(name, value);
    }
    builder
}

#[test]
fn outputs_have_targets_of_their_own() {
    let of = |name: &str, kind, weight| OutputLoss {
        output: Some(name.to_owned()),
        kind,
        weight,
    };
    let both = Loss {
        outputs: vec![
            of("twice", LossKind::MeanSquared, 1.0),
            of("same", LossKind::CROSS_ENTROPY, 0.5),
        ],
        auxiliary: vec![("head".to_owned(), 0.25)],
    };
    let graph = gradient_graph(outputs().finish(), both.clone(), &Freeze::default()).unwrap();
    assert_eq!(verify(&graph), Ok(()));
    let targets = both.targets(&outputs().finish());
    let names: Vec<&str> = targets.iter().map(|target| &*target.input).collect();
    assert_eq!(names, ["target.twice", "target.same"]);
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "x", batched(&[2], &[1., 1.]));
    bindings.set_named(&graph, "target.twice", batched(&[2], &[1., 4.]));
    bindings.set_named(&graph, "target.same", batched(&[], &[0.]));
    let values = run(&graph, 1, &StepValues::REST, &bindings);
    let read = |name: &str| values[graph.output(name).unwrap()].data().to_vec();
    // (1 + 4) / 2, half of ln 2, and a quarter of the head's (4 + 25) / 2.
    let ln_2 = std::f64::consts::LN_2;
    assert_close(&read("loss"), &[2.5 + 0.5 * ln_2 + 0.25 * 14.5]);
    assert_close(
        &read("input"),
        &[2. - 0.25 + 0.25 * 2., -4. + 0.25 + 0.25 * 5.],
    );
}

#[test]
fn a_head_of_another_size_is_not_stretched() {
    let mut builder = outputs();
    let number = builder.input("number", Type::f32(Shape::batched([1])));
    builder.output("number", number);
    let loss = Loss {
        outputs: vec![LossKind::MeanSquared.into()],
        auxiliary: vec![("number".to_owned(), 1.0)],
    };
    let error = gradient_graph(builder.finish(), loss, &Freeze::default()).unwrap_err();
    insta::assert_snapshot!(error, @"the target must be [1], not [2]");
}
