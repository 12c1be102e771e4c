use crate::ops::Op;
use crate::ops::testing::{assert_close, batched, eval, ramp};

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
