use crate::ir::Shape;
use crate::ops::Op;
use crate::ops::testing::{assert_close, batched, eval, ramp, single};

#[test]
fn stretching_adds_axes() {
    let y = eval(Op::Constant(0.5), &[]);
    assert_close(y[0].data(), &[0.5]);
    let channels = single(&[2], &[1., 2.]);
    let y = eval(Op::Expand(Shape::single([2, 1, 3])), &[&channels]);
    assert_close(y[0].data(), &[1., 1., 1., 2., 2., 2.]);
    let y = eval(
        Op::Expand(Shape::single([2, 3])),
        &[&single(&[1, 3], &ramp(3))],
    );
    assert_close(y[0].data(), &[1., 2., 3., 1., 2., 3.]);
}

#[test]
fn summing_takes_them_away() {
    let x = batched(&[2, 1, 2], &ramp(8));
    let sums = |shape: Shape| eval(Op::SumTo(shape), &[&x])[0].data().to_vec();
    assert_close(&sums(Shape::single([])), &[36.]);
    assert_close(&sums(Shape::single([2])), &[14., 22.]);
    assert_close(&sums(Shape::batched([2])), &[3., 7., 11., 15.]);
    assert_close(&sums(Shape::batched([])), &[10., 26.]);
    assert_close(&sums(Shape::batched([1, 1, 2])), &[4., 6., 12., 14.]);
    assert_close(&sums(Shape::single([2, 1, 2])), &[6., 8., 10., 12.]);
}
