use crate::ir::{Shape, Type};
use crate::ops::testing::{assert_close, batched, eval, ramp, refusal};
use crate::ops::{Op, OpRules};

#[test]
fn flattening_goes_channel_by_channel() {
    let x = batched(&[2, 1, 2], &ramp(8));
    let y = eval(Op::Reshape(vec![4]), &[&x]);
    assert_eq!(y[0].dims(), [4]);
    assert_close(y[0].data(), &ramp(8));
}

#[test]
fn another_layout_is_the_same_value() {
    let x = batched(&[2, 1, 2], &ramp(8));
    assert_eq!(eval(Op::Relayout, &[&x])[0], x);
}

#[test]
fn axes_change_places() {
    let x = batched(&[2, 1, 3], &ramp(12));
    let y = eval(Op::Transpose(vec![2, 0, 1]), &[&x]);
    assert_eq!(y[0].dims(), [3, 2, 1]);
    assert_close(
        y[0].data(),
        &[1., 4., 2., 5., 3., 6., 7., 10., 8., 11., 9., 12.],
    );
    let map = Type::f32(Shape::batched([2, 1, 3]));
    for axes in [vec![0, 1], vec![0, 1, 1], vec![0, 1, 3]] {
        assert!(
            Op::Transpose(axes)
                .infer(std::slice::from_ref(&map))
                .is_err()
        );
    }
    insta::assert_snapshot!(refusal(Op::Transpose(vec![0, 2, 2]), &[map]), @"axes [0, 2, 2] do not name each axis of [2, 1, 3] once, from 0 to 2");
}
