use super::{AvgPool, MaxPool, MaxPoolGrad};
use crate::ir::DType;
use crate::ops::testing::{assert_close, batched, eval, eval_typed, ramp};
use crate::ops::{Array, AvgPoolGrad, Pads, Window};

const NAN: f64 = f64::NAN;

fn square(kernel: usize, stride: usize, pad: usize) -> Window {
    Window {
        stride: [stride; 2],
        pads: Pads::all(pad),
        ..Window::new([kernel; 2])
    }
}

fn max(window: Window, x: &Array<f64>) -> Vec<Array<f64>> {
    eval(MaxPool { window }, &[x])
}

fn max_grad(window: Window, input: [usize; 2], dy: &Array<f64>, taken: &Array<f64>) -> Vec<f64> {
    let op = MaxPoolGrad { window, input };
    let outputs = eval_typed(op, &[(dy, DType::F32), (taken, DType::I32)]);
    outputs[0].data().to_vec()
}

#[test]
fn ceil_opens_no_window_that_holds_nothing() {
    let x = batched(&[1, 6, 7], &ramp(42));
    let window = Window {
        ceil: true,
        ..square(1, 2, 0)
    };
    let y = max(window, &x);
    assert_eq!(y[0].dims(), [1, 3, 4]);
    assert_close(
        y[0].data(),
        &[1., 3., 5., 7., 15., 17., 19., 21., 29., 31., 33., 35.],
    );
}

#[test]
fn an_average_with_ceil_divides_by_cells_that_exist() {
    let x = batched(&[1, 1, 5], &ramp(5));
    for include_pad in [false, true] {
        let window = Window {
            stride: [1, 2],
            ceil: true,
            ..Window::new([1, 2])
        };
        let y = eval(
            AvgPool {
                window,
                include_pad,
            },
            &[&x],
        );
        assert_close(y[0].data(), &[1.5, 3.5, 5.0]);
    }
}

#[test]
fn declared_padding_counts_only_where_it_is_told_to() {
    let x = batched(&[1, 2, 2], &[1.0; 4]);
    for (include_pad, expected) in [(true, 4.0 / 9.0), (false, 1.0)] {
        let window = square(3, 1, 1);
        let op = AvgPool {
            window,
            include_pad,
        };
        let y = eval(op, &[&x]);
        assert_close(y[0].data(), &[expected; 4]);
    }
    // With `ceil` the last window of 1 2 3 between two pads reaches one cell beyond the second pad.
    let row = batched(&[1, 1, 3], &ramp(3));
    let window = Window {
        stride: [1, 2],
        pads: Pads {
            left: 1,
            right: 1,
            ..Pads::default()
        },
        ceil: true,
        ..Window::new([1, 4])
    };
    let average = |include_pad| {
        let op = AvgPool {
            window,
            include_pad,
        };
        eval(op, &[&row])[0].data().to_vec()
    };
    assert_close(&average(true), &[6.0 / 4.0, 5.0 / 3.0]);
    assert_close(&average(false), &[6.0 / 3.0, 5.0 / 2.0]);
}

#[test]
fn padding_never_wins() {
    let x = batched(&[1, 2, 2], &[-1.0; 4]);
    assert_close(max(square(3, 1, 1), &x)[0].data(), &[-1.0; 4]);
    let lowest = batched(&[1, 2, 2], &[f64::NEG_INFINITY; 4]);
    let y = max(square(2, 1, 1), &lowest);
    assert_eq!(y[0].data(), [f64::NEG_INFINITY; 9]);
}

#[test]
fn nan_wins_wherever_it_stands() {
    for position in 0..4 {
        let mut data = ramp(4);
        data[position] = NAN;
        let y = max(square(2, 2, 0), &batched(&[1, 2, 2], &data));
        assert_close(y[0].data(), &[NAN]);
        assert_close(y[1].data(), &[f64::from(u32::try_from(position).unwrap())]);
    }
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient() {
    let window = square(2, 2, 0);
    let y = max(window, &batched(&[1, 2, 2], &[1., 2., 2., 2.]));
    assert_close(y[1].data(), &[1.0]);
    let dx = max_grad(window, [2, 2], &batched(&[1, 1, 1], &[1.0]), &y[1]);
    assert_close(&dx, &[0., 1., 0., 0.]);
}

#[test]
fn the_gradient_of_a_padded_pool_stays_inside() {
    let window = square(2, 2, 1);
    let y = max(window, &batched(&[1, 3, 3], &ramp(9)));
    assert_close(y[0].data(), &[1., 3., 7., 9.]);
    assert_close(y[1].data(), &[3., 3., 3., 3.]);
    let dx = max_grad(window, [3, 3], &batched(&[1, 2, 2], &[1.0; 4]), &y[1]);
    assert_close(&dx, &[1., 0., 1., 0., 0., 0., 1., 0., 1.]);
}

#[test]
fn overlapping_windows_add_up() {
    let window = square(2, 1, 0);
    let y = max(window, &batched(&[1, 2, 3], &[0., 5., 0., 0., 0., 0.]));
    let dx = max_grad(window, [2, 3], &batched(&[1, 1, 2], &[2., 3.]), &y[1]);
    assert_close(&dx, &[0., 5., 0., 0., 0., 0.]);
    let op = AvgPoolGrad {
        window,
        include_pad: false,
        input: [2, 3],
    };
    let dx = eval(op, &[&batched(&[1, 1, 2], &[4., 8.])]);
    assert_close(dx[0].data(), &[1., 3., 2., 1., 3., 2.]);
}

#[test]
fn channels_and_images_stay_apart() {
    let x = batched(&[2, 2, 2], &ramp(16));
    let y = max(square(2, 2, 0), &x);
    assert_close(y[0].data(), &[4., 8., 12., 16.]);
    let op = AvgPool {
        window: square(2, 2, 0),
        include_pad: false,
    };
    assert_close(eval(op, &[&x])[0].data(), &[2.5, 6.5, 10.5, 14.5]);
}

#[test]
fn dilated_taps() {
    let window = Window {
        dilation: [2, 2],
        ..Window::new([2, 2])
    };
    let x = batched(&[1, 3, 4], &ramp(12));
    let y = max(window, &x);
    assert_close(y[0].data(), &[11., 12.]);
    let op = AvgPool {
        window,
        include_pad: false,
    };
    assert_close(eval(op, &[&x])[0].data(), &[6., 7.]);
}
