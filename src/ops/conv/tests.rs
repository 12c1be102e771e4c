use super::{Conv2d, Conv2dFilterGrad, Conv2dInputGrad};
use crate::ops::testing::{assert_close, batched, eval, ramp, single, told};
use crate::ops::{Pads, Window};

fn square(kernel: usize, stride: usize, pad: usize) -> Conv2d {
    Conv2d {
        window: Window {
            stride: [stride; 2],
            pads: Pads::all(pad),
            ..Window::new([kernel; 2])
        },
        groups: 1,
    }
}

#[test]
fn an_odd_cell_of_padding_goes_to_the_end() {
    let x = batched(&[1, 6, 6], &ramp(36));
    let mut corner = [0.0; 9];
    corner[0] = 1.0;
    let filter = single(&[1, 1, 3, 3], &corner);
    let padded = square(3, 2, 1);
    let same = Conv2d {
        window: padded.window.same([6, 6]),
        ..padded
    };
    assert_eq!(same.window.pads.to_string(), "0,0,1,1");
    let y = eval(same, &[&x, &filter]);
    assert_close(y[0].data(), &[1., 3., 5., 13., 15., 17., 25., 27., 29.]);
    let y = eval(padded, &[&x, &filter]);
    assert_close(y[0].data(), &[0., 0., 0., 0., 8., 10., 0., 20., 22.]);
}

/// The sample of the operator `Conv` in ONNX.
#[test]
fn sums_with_a_stride() {
    let data: Vec<f64> = ramp(35).iter().map(|x| x - 1.0).collect();
    let x = batched(&[1, 7, 5], &data);
    let ones = single(&[1, 1, 3, 3], &[1.0; 9]);
    let y = eval(square(3, 2, 1), &[&x, &ones]);
    assert_close(
        y[0].data(),
        &[
            12., 27., 24., 63., 108., 81., 123., 198., 141., 112., 177., 124.,
        ],
    );
    let y = eval(square(3, 2, 0), &[&x, &ones]);
    assert_close(y[0].data(), &[54., 72., 144., 162., 234., 252.]);
}

#[test]
fn four_different_pads() {
    let conv = Conv2d {
        window: Window {
            pads: Pads {
                top: 1,
                left: 0,
                bottom: 0,
                right: 2,
            },
            ..Window::new([2, 2])
        },
        groups: 1,
    };
    let x = batched(&[1, 2, 2], &ramp(4));
    let filter = single(&[1, 1, 2, 2], &[1., 10., 100., 1000.]);
    let y = eval(conv, &[&x, &filter]);
    assert_eq!(y[0].dims(), [1, 2, 3]);
    assert_close(y[0].data(), &[2100., 200., 0., 4321., 402., 0.]);
}

#[test]
fn dilated_taps() {
    let conv = Conv2d {
        window: Window {
            dilation: [1, 2],
            ..Window::new([1, 2])
        },
        groups: 1,
    };
    let x = batched(&[1, 1, 4], &ramp(4));
    let y = eval(conv, &[&x, &single(&[1, 1, 1, 2], &[1., 10.])]);
    assert_close(y[0].data(), &[31., 42.]);
}

#[test]
fn groups_read_their_own_channels() {
    let conv = Conv2d {
        groups: 2,
        ..square(1, 1, 0)
    };
    let x = batched(&[4, 1, 1], &[0., 0., 0., 1.]);
    let y = eval(conv, &[&x, &single(&[16, 2, 1, 1], &[1.0; 32])]);
    let expected: Vec<f64> = [0.0; 8].into_iter().chain([1.0; 8]).collect();
    assert_close(y[0].data(), &expected);
}

/// All outputs of a channel stand together.
#[test]
fn a_depthwise_multiplier_counts_inside_its_channel() {
    let conv = Conv2d {
        groups: 2,
        ..square(1, 1, 0)
    };
    let x = batched(&[2, 1, 1], &[1., 2.]);
    let y = eval(conv, &[&x, &single(&[4, 1, 1, 1], &[1., 10., 100., 1000.])]);
    assert_close(y[0].data(), &[1., 10., 200., 2000.]);
}

#[test]
fn channels_and_images_are_summed_right() {
    let x = batched(&[2, 1, 1], &[1., 2., 3., 4.]);
    let filter = single(&[2, 2, 1, 1], &[1., 10., 100., 1000.]);
    let y = eval(square(1, 1, 0), &[&x, &filter]);
    assert_close(y[0].data(), &[21., 2100., 43., 4300.]);
}

#[test]
fn columns_that_no_window_reads_have_no_gradient() {
    let conv = Conv2d {
        window: Window {
            stride: [1, 4],
            ..Window::new([1, 4])
        },
        groups: 1,
    };
    let op = Conv2dInputGrad {
        conv,
        input: [1, 19],
    };
    let ones = single(&[1, 1, 1, 4], &[1.0; 4]);
    let dx = eval(op, &[&batched(&[1, 1, 4], &[1.0; 4]), &ones]);
    let expected: Vec<f64> = [1.0; 16].into_iter().chain([0.0; 3]).collect();
    assert_close(dx[0].data(), &expected);
}

#[test]
fn a_stride_beyond_the_kernel_skips_cells() {
    let op = Conv2dInputGrad {
        conv: square(1, 2, 0),
        input: [5, 5],
    };
    let dx = eval(
        op,
        &[
            &batched(&[1, 3, 3], &[1.0; 9]),
            &single(&[1, 1, 1, 1], &[2.0]),
        ],
    );
    let expected: Vec<f64> = (0..25)
        .map(|cell| {
            if cell / 5 % 2 == 0 && cell % 5 % 2 == 0 {
                2.0
            } else {
                0.0
            }
        })
        .collect();
    assert_close(dx[0].data(), &expected);
}

#[test]
fn gradients_have_the_sizes_of_what_they_are_of() {
    for (input, output) in [(31, 16), (32, 16), (33, 17)] {
        let conv = square(7, 2, 3);
        let dy = batched(&[1, output, output], &vec![1.0; output * output]);
        let filter = single(&[1, 1, 7, 7], &[1.0; 49]);
        let op = Conv2dInputGrad {
            conv,
            input: [input; 2],
        };
        let dx = eval(op, &[&dy, &filter]);
        assert_eq!(dx[0].dims(), [1, input, input]);
    }
}

#[test]
fn the_filter_gradient_sums_over_the_batch() {
    let op = Conv2dFilterGrad {
        conv: square(2, 1, 0),
    };
    let x = batched(&[1, 2, 3], &ramp(12));
    let dy = batched(&[1, 1, 2], &[1., 10., 100., 1000.]);
    let dw = eval(op, &[&x, &dy]);
    assert_eq!(dw[0].dims(), [1, 1, 2, 2]);
    // For each tap, the cells that it falls on, weighted: x1 + 10 x2 + 100 x7 + 1000 x8 and so on.
    assert_close(dw[0].data(), &[8721., 9832., 12054., 13165.]);
}

#[test]
fn groups_that_do_not_divide() {
    let refused = |groups, channels, outputs| {
        let conv = Conv2d {
            groups,
            ..square(1, 1, 0)
        };
        told(&conv.filter(channels, outputs).unwrap_err())
    };
    let messages = [
        refused(0, 4, 4),
        refused(2, 3, 8),
        refused(8, 8, 12),
        refused(3, 12, 8),
    ];
    insta::assert_snapshot!(messages.join("\n\n"), @r"
    groups must be at least 1
    help: `groups = 1` is a convolution over all channels

    3 input channels leave 1 over when split into 2 groups
    help: `groups = 1` divides both

    12 outputs leave 4 over when split into 8 groups
    help: `groups = 4` divides both

    8 outputs leave 2 over when split into 3 groups
    help: `groups = 2` divides both
    help: `groups = 4` divides both
    ");
}
