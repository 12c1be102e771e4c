use crate::ir::DType;
use crate::ops::testing::{assert_close, batched, eval_typed};
use crate::ops::{Array, Op};

fn loss(logits: &Array<f64>, labels: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let labels = batched(&[], labels);
    let upstream = batched(&[], &vec![1.0; labels.data().len()]);
    let (logits, labels) = ((logits, DType::F32), (&labels, DType::I32));
    let losses = eval_typed(Op::CrossEntropy, &[logits, labels]);
    let grad = eval_typed(
        Op::CrossEntropyGrad,
        &[logits, labels, (&upstream, DType::F32)],
    );
    (losses[0].data().to_vec(), grad[0].data().to_vec())
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
