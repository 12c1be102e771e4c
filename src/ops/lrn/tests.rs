use super::{Lrn, LrnGrad};
use crate::ops::testing::{assert_close, batched, eval};
use crate::ops::{Op, OpRules};

#[test]
fn an_even_window_has_its_larger_half_before() {
    let lrn = Lrn {
        size: 2,
        alpha: 1.0,
        beta: 1.0,
        k: 0.0,
        by_window: false,
    };
    let x = batched(&[3, 1, 2], &[1., 1., 2., 1., 3., 1.]);
    let y = eval(lrn, &[&x]);
    assert_close(y[0].data(), &[1., 1., 0.4, 0.5, 3. / 13., 0.5]);
}

#[test]
fn alpha_of_a_window_is_divided_by_its_size() {
    let lrn = |alpha, by_window| Lrn {
        size: 3,
        alpha,
        beta: 0.5,
        k: 2.0,
        by_window,
    };
    let (x, dy) = (
        batched(&[3], &[1., -2., 3.]),
        batched(&[3], &[0.5, 1., -1.]),
    );
    let (by_window, plain) = (lrn(1.5, true), lrn(0.5, false));
    let results = |lrn: Lrn| {
        let y = eval(lrn, &[&x]);
        let dx = eval(Op::LrnGrad(LrnGrad(lrn)), &[&x, &dy]);
        [y[0].data().to_vec(), dx[0].data().to_vec()]
    };
    assert_eq!(results(by_window), results(plain));
    assert_ne!(results(by_window), results(lrn(1.5, false)));
    let shown = Op::from(by_window).attributes();
    assert_eq!(shown, "size 3 alpha 1.5 beta 0.5 k 2.0 by_window true");
}

#[test]
fn the_gradient_of_one_channel() {
    let lrn = Lrn {
        size: 1,
        alpha: 1.0,
        beta: 1.0,
        k: 1.0,
        by_window: false,
    };
    let (x, dy) = (batched(&[1], &[2.]), batched(&[1], &[1.]));
    // y = x / (1 + x²), so y' = (1 - x²) / (1 + x²)².
    let dx = eval(Op::LrnGrad(LrnGrad(lrn)), &[&x, &dy]);
    assert_close(dx[0].data(), &[-3. / 25.]);
}
