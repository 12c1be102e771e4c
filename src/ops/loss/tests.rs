use super::{CrossEntropy, CrossEntropyGrad};
use crate::ir::DType;
use crate::ops::Array;
use crate::ops::testing::{assert_close, batched, eval_typed, single};

fn loss(logits: &Array<f64>, labels: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (losses, grad, _) = smoothed(logits, labels, 0.0, None);
    (losses, grad)
}

/// Losses, their gradients, and with class weights the weights of the labels.
fn smoothed(
    logits: &Array<f64>,
    labels: &[f64],
    label_smoothing: f32,
    weights: Option<&[f64]>,
) -> (Vec<f64>, Vec<f64>, Option<Vec<f64>>) {
    let labels = batched(&[], labels);
    let upstream = batched(&[], &vec![1.0; labels.data().len()]);
    let weights = weights.map(|weights| single(&[weights.len()], weights));
    let mut inputs = vec![(logits, DType::F32), (&labels, DType::I32)];
    let mut grad_inputs = inputs.clone();
    grad_inputs.push((&upstream, DType::F32));
    for inputs in [&mut inputs, &mut grad_inputs] {
        inputs.extend(weights.iter().map(|weights| (weights, DType::F32)));
    }
    let made = eval_typed(CrossEntropy { label_smoothing }, &inputs);
    let grad = eval_typed(CrossEntropyGrad { label_smoothing }, &grad_inputs);
    let counted = made.get(1).map(|counted| counted.data().to_vec());
    (made[0].data().to_vec(), grad[0].data().to_vec(), counted)
}

#[test]
fn no_logarithm_of_zero() {
    let logits = batched(&[2], &[1000., 0., 1000., 0.]);
    let (losses, grad) = loss(&logits, &[1., 0.]);
    assert_close(&losses, &[1000., 0.]);
    assert_close(&grad, &[1., -1., 0., 0.]);
}

/// Logits that are probabilities already still cost something for a perfect prediction.
#[test]
fn softmax_twice() {
    for (classes, expected) in [(10, 1.461_150), (2, 0.313_262), (1000, 5.909_472)] {
        let mut logits = vec![0.0; classes];
        logits[1] = 1.0;
        let (losses, _) = loss(&batched(&[classes], &logits), &[1.]);
        assert_close(&losses, &[expected]);
    }
}

#[test]
fn gradients_sum_to_zero() {
    let logits = batched(&[3], &[1., 2., 3.]);
    let (losses, grad) = loss(&logits, &[2.]);
    assert_close(&losses, &[0.407_606]);
    assert_close(&grad, &[0.090_031, 0.244_728, -0.334_759]);
}

/// A quarter of what is wanted goes to all four classes alike: 3/4 + 1/16 to the label's.
#[test]
fn smoothing_spreads_what_is_wanted() {
    let logits = batched(&[4], &[0., 0., 0., 1.]);
    let (losses, grad, _) = smoothed(&logits, &[1.], 0.25, None);
    let log = (3.0 + std::f64::consts::E).ln();
    assert_close(&losses, &[log - 0.0625]);
    let p = [1.0, 1.0, 1.0, std::f64::consts::E].map(|power| power / log.exp());
    let wanted = [0.0625, 0.8125, 0.0625, 0.0625];
    let expected: Vec<f64> = p.iter().zip(wanted).map(|(p, q)| p - q).collect();
    assert_close(&grad, &expected);
}

#[test]
fn class_weights_scale_losses_and_are_told() {
    let logits = batched(&[3], &[1., 2., 3., 1., 2., 3.]);
    let (losses, grad, counted) = smoothed(&logits, &[2., 0.], 0.0, Some(&[0.5, 7.0, 2.0]));
    assert_close(&losses, &[0.815_212, 1.203_803]);
    assert_close(&grad[..3], &[0.180_061, 0.489_457, -0.669_518]);
    assert_close(&counted.unwrap(), &[2.0, 0.5]);
    // With smoothing, every class counts by its own weight.
    let (losses, ..) = smoothed(&batched(&[2], &[0., 0.]), &[0.], 0.5, Some(&[1.0, 3.0]));
    assert_close(&losses, &[(0.75 + 0.25 * 3.0) * std::f64::consts::LN_2]);
}

#[test]
fn a_class_that_is_not_wanted_may_be_impossible() {
    let logits = batched(&[3], &[f64::NEG_INFINITY, 0., 0.]);
    let (losses, grad) = loss(&logits, &[1.]);
    assert_close(&losses, &[std::f64::consts::LN_2]);
    assert_close(&grad, &[0., -0.5, 0.5]);
    let (losses, ..) = smoothed(&logits, &[1.], 0.5, Some(&[0.0, 1.0, 1.0]));
    assert_close(&losses, &[std::f64::consts::LN_2 * (0.5 + 1.0 / 6.0 * 2.0)]);
    let (losses, ..) = smoothed(&logits, &[1.], 0.5, None);
    assert_close(&losses, &[f64::INFINITY]);
}
