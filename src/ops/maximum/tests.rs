use super::{Over, ReduceMax, ReduceMaxGrad};
use crate::ir::{DType, Shape, Type};
use crate::ops::testing::{assert_close, batched, eval, eval_typed, refusal};

#[test]
fn axes() {
    let x = batched(
        &[2, 2, 3],
        &[1., 5., 2., 4., 3., 6., 9., 7., 8., 0., 9., 8.],
    );
    let cases = [
        (
            Over::Channels { pieces: 2 },
            vec![9., 7., 8., 4., 9., 8.],
            vec![1., 1., 1., 0., 1., 1.],
        ),
        (
            Over::Height,
            vec![4., 5., 6., 9., 9., 8.],
            vec![1., 0., 1., 0., 1., 0.],
        ),
        (Over::Width, vec![5., 6., 9., 9.], vec![1., 2., 0., 1.]),
        (Over::Space, vec![6., 9.], vec![5., 0.]),
    ];
    for (over, expected, places) in cases {
        let made = eval(ReduceMax { over }, &[&x]);
        assert_close(made[0].data(), &expected);
        assert_close(made[1].data(), &places);
    }
}

#[test]
fn consecutive_channels_are_a_piece() {
    let over = Over::Channels { pieces: 2 };
    let made = eval(ReduceMax { over }, &[&batched(&[4], &[1., 5., 2., 3.])]);
    assert_close(made[0].data(), &[5., 3.]);
    let five = Type::f32(Shape::batched([5]));
    insta::assert_snapshot!(refusal(ReduceMax { over }, &[five]), @r"
    5 channels leave 1 over when split into pieces of 2
    help: pieces of 1 divide 5 channels
    help: pieces of 5 divide 5 channels
    ");
}

#[test]
fn the_first_of_equals_and_any_nan_win() {
    let over = Over::Width;
    let x = batched(&[1, 2, 4], &[1., 2., 2., 2., 1., f64::NAN, 3., f64::NAN]);
    let made = eval(ReduceMax { over }, &[&x]);
    assert_close(made[0].data(), &[2., f64::NAN]);
    assert_close(made[1].data(), &[1., 1.]);
    let grad = ReduceMaxGrad {
        over,
        input: vec![1, 2, 4],
    };
    let dy = batched(&[1, 2, 1], &[5., 7.]);
    let made = eval_typed(grad, &[(&dy, DType::F32), (&made[1], DType::I32)]);
    assert_close(made[0].data(), &[0., 5., 0., 0., 0., 7., 0., 0.]);
}

#[test]
fn rows_are_those_of_maps() {
    let vector = Type::f32(Shape::batched([4]));
    insta::assert_snapshot!(refusal(ReduceMax { over: Over::Height }, &[vector]), @r"
    the input must have a shape like [C, H, W], not [4]
    help: `reshape([4, 1, 1])` before it makes it a map of one pixel
    ");
}
