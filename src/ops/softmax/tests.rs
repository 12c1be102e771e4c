use std::f64::consts::LN_2;

use crate::ops::Op;
use crate::ops::testing::{assert_close, batched, eval};

#[test]
fn large_numbers_do_not_overflow() {
    let x = batched(&[2], &[1000., 1000., -10000., -10000., 1000., 0.]);
    let y = eval(Op::Softmax, &[&x]);
    assert_close(y[0].data(), &[0.5, 0.5, 0.5, 0.5, 1., 0.]);
}

#[test]
fn each_pixel_by_itself() {
    let x = batched(&[2, 1, 2], &[0., 1., 2., 1.]);
    let y = eval(Op::Softmax, &[&x]);
    assert_close(y[0].data(), &[0.119_203, 0.5, 0.880_797, 0.5]);
}

#[test]
fn a_nan_spoils_its_own_pixel() {
    let x = batched(&[2, 1, 2], &[f64::NAN, 1., 2., 1.]);
    let y = eval(Op::Softmax, &[&x]);
    assert_close(y[0].data(), &[f64::NAN, 0.5, f64::NAN, 0.5]);
}

#[test]
fn gradient() {
    let y = batched(&[2], &[0.25, 0.75]);
    let dx = eval(Op::SoftmaxGrad, &[&y, &batched(&[2], &[4., 0.])]);
    assert_close(dx[0].data(), &[0.75, -0.75]);
}

#[test]
fn a_logarithm_that_stays_finite() {
    let x = batched(&[2], &[1000., 0., 0., 0.]);
    let y = eval(Op::LogSoftmax, &[&x]);
    assert_close(y[0].data(), &[0., -1000., -LN_2, -LN_2]);
    let dx = eval(
        Op::LogSoftmaxGrad,
        &[&y[0], &batched(&[2], &[0., 1., 1., 0.])],
    );
    assert_close(dx[0].data(), &[-1., 1., 0.5, -0.5]);
}
