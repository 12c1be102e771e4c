use super::{Lrn, LrnGrad};
use crate::ops::Op;
use crate::ops::testing::{assert_close, batched, eval};

#[test]
fn an_even_window_has_its_larger_half_before() {
    let lrn = Lrn {
        size: 2,
        alpha: 1.0,
        beta: 1.0,
        k: 0.0,
    };
    let x = batched(&[3, 1, 2], &[1., 1., 2., 1., 3., 1.]);
    let y = eval(lrn, &[&x]);
    assert_close(y[0].data(), &[1., 1., 0.4, 0.5, 3. / 13., 0.5]);
}

#[test]
fn the_gradient_of_one_channel() {
    let lrn = Lrn {
        size: 1,
        alpha: 1.0,
        beta: 1.0,
        k: 1.0,
    };
    let (x, dy) = (batched(&[1], &[2.]), batched(&[1], &[1.]));
    // y = x / (1 + x²), so y' = (1 - x²) / (1 + x²)².
    let dx = eval(Op::LrnGrad(LrnGrad(lrn)), &[&x, &dy]);
    assert_close(dx[0].data(), &[-3. / 25.]);
}
