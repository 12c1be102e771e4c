use crate::ops::Op;
use crate::ops::testing::{assert_close, batched, eval, ramp};

#[test]
fn channels_stack_image_by_image() {
    let a = batched(&[1, 1, 2], &[1., 2., 3., 4.]);
    let b = batched(&[2, 1, 2], &[10., 20., 30., 40., 50., 60., 70., 80.]);
    let y = eval(Op::Concat, &[&a, &b]);
    assert_eq!(y[0].dims(), [3, 1, 2]);
    assert_close(
        y[0].data(),
        &[1., 2., 10., 20., 30., 40., 3., 4., 50., 60., 70., 80.],
    );
}

#[test]
fn slices_take_them_back() {
    let x = batched(&[3, 1, 2], &ramp(12));
    let y = eval(Op::Slice { from: 1, to: 3 }, &[&x]);
    assert_eq!(y[0].dims(), [2, 1, 2]);
    assert_close(y[0].data(), &[3., 4., 5., 6., 9., 10., 11., 12.]);
}
