use super::MaxNorm;
use crate::ir::{Shape, Type};
use crate::ops::Op;
use crate::ops::testing::{assert_close, eval, ramp, refusal, single};

#[test]
fn squares_are_summed_over_everything() {
    let x = single(&[2, 1, 3], &ramp(6));
    assert_close(eval(Op::SumSquares, &[&x])[0].data(), &[91.]);
}

#[test]
fn only_rows_above_the_limit_shrink() {
    let x = single(&[3, 2], &[3., 4., 0.3, 0.4, 0., 0.]);
    let y = eval(MaxNorm { limit: 2.5 }, &[&x]);
    assert_close(y[0].data(), &[1.5, 2., 0.3, 0.4, 0., 0.]);
    let filters = single(&[2, 1, 1, 2], &[0., -6., 1., 1.]);
    let y = eval(MaxNorm { limit: 3.0 }, &[&filters]);
    assert_close(y[0].data(), &[0., -3., 1., 1.]);
}

#[test]
fn a_row_with_nan_is_nan() {
    let x = single(&[2, 2], &[f64::NAN, 1., 1., 1.]);
    let y = eval(MaxNorm { limit: 9.0 }, &[&x]);
    assert!(y[0].data()[..2].iter().all(|x| x.is_nan()));
    assert_close(&y[0].data()[2..], &[1., 1.]);
}

#[test]
fn refusals() {
    let maps = Type::f32(Shape::batched([2, 3]));
    insta::assert_snapshot!(
        refusal(Op::SumSquares, std::slice::from_ref(&maps)),
        @"the input must be the same for all images, not one for each image"
    );
    let number = Type::f32(Shape::single([]));
    insta::assert_snapshot!(
        refusal(MaxNorm { limit: 1.0 }, &[number]),
        @"the input must have a shape like [K, …], not []"
    );
}
