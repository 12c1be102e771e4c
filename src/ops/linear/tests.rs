use crate::ops::Op;
use crate::ops::testing::{assert_close, batched, eval, ramp, single};

#[test]
fn weights_stand_a_row_an_output() {
    let x = batched(&[3], &[1., 2., 3., 4., 5., 6.]);
    let w = single(&[2, 3], &[1., 10., 100., 2., 0., -1.]);
    let y = eval(Op::Dense, &[&x, &w]);
    assert_close(y[0].data(), &[321., -1., 654., 2.]);
}

#[test]
fn gradients() {
    let dy = batched(&[2], &[1., 10., 100., 1000.]);
    let w = single(&[2, 3], &ramp(6));
    let dx = eval(Op::DenseInputGrad, &[&dy, &w]);
    assert_close(dx[0].data(), &[41., 52., 63., 4100., 5200., 6300.]);
    let x = batched(&[3], &ramp(6));
    let dw = eval(Op::DenseFilterGrad, &[&x, &dy]);
    assert_close(dw[0].data(), &[401., 502., 603., 4010., 5020., 6030.]);
}
