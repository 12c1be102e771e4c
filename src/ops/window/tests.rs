use super::{Axis, Pads, Window, WindowError};

fn square(kernel: usize, stride: usize, pad: usize) -> Window {
    Window {
        stride: [stride; 2],
        pads: Pads::all(pad),
        ..Window::new([kernel; 2])
    }
}

fn ceil(window: Window) -> Window {
    Window {
        ceil: true,
        ..window
    }
}

fn dilated(window: Window, dilation: usize) -> Window {
    Window {
        dilation: [dilation; 2],
        ..window
    }
}

#[test]
fn places() {
    let cases = [
        (square(3, 2, 0), 112, 55),
        (ceil(square(3, 2, 0)), 112, 56),
        (square(3, 2, 1), 28, 14),
        (ceil(square(3, 2, 1)), 28, 15),
        (ceil(square(3, 2, 0)), 28, 14),
        (square(7, 2, 3), 31, 16),
        (square(7, 2, 3), 32, 16),
        (square(7, 2, 3), 33, 17),
        (square(4, 4, 0), 19, 4),
        (square(1, 2, 0), 5, 3),
        (dilated(square(3, 1, 0), 3), 7, 1),
        (dilated(square(3, 1, 2), 2), 9, 9),
    ];
    for (window, input, output) in cases {
        assert_eq!(
            window.output([input; 2]),
            Ok([output; 2]),
            "{window:?} over {input}"
        );
    }
}

#[test]
fn a_last_window_beyond_the_input_is_dropped() {
    let window = ceil(square(1, 2, 0));
    assert_eq!(window.output([6, 7]), Ok([3, 4]));
    let padded = ceil(square(2, 3, 1));
    assert_eq!(padded.pool_output([2, 3]), Ok([1, 2]));
}

#[test]
fn same_puts_the_odd_cell_at_the_end() {
    let cases = [
        (224, 7, 2, [2, 3]),
        (6, 3, 2, [0, 1]),
        (8, 4, 2, [1, 1]),
        (5, 2, 1, [0, 1]),
        (10, 1, 2, [0, 0]),
        (9, 5, 1, [2, 2]),
    ];
    for (input, kernel, stride, [before, after]) in cases {
        let window = square(kernel, stride, 0).same([input; 2]);
        assert_eq!(window.pads.along(Axis::Height), (before, after));
        assert_eq!(window.pads.along(Axis::Width), (before, after));
        assert_eq!(
            window.output([input; 2]),
            Ok([input.div_ceil(stride); 2]),
            "{window:?}"
        );
    }
    let each_axis = Window {
        stride: [2, 1],
        ..Window::new([3, 4])
    };
    let pads = Pads {
        top: 0,
        left: 1,
        bottom: 1,
        right: 2,
    };
    assert_eq!(each_axis.same([6, 9]).pads, pads);
}

#[test]
fn brief_tells_what_is_not_a_default() {
    let cases = [
        (square(1, 1, 0), "1x1"),
        (square(7, 2, 3), "7x7, stride 2, pad 3"),
        (square(3, 2, 0).same([6; 2]), "3x3, stride 2, pad 0,0,1,1"),
        (dilated(ceil(square(3, 1, 0)), 2), "3x3, dilation 2, ceil"),
        (
            Window {
                stride: [2, 1],
                ..Window::new([1, 7])
            },
            "1x7, stride 2,1",
        ),
    ];
    for (window, text) in cases {
        assert_eq!(window.brief(), text);
    }
}

#[test]
fn arithmetic() {
    let cases = [
        (square(3, 2, 1), 15, "(15 + 2 - 3) / 2 + 1 = 8"),
        (square(2, 2, 0), 15, "(15 - 2) / 2 + 1 = 7, rounded down"),
        (
            ceil(square(2, 2, 0)),
            15,
            "(15 - 2) / 2 + 1 = 8, rounded up",
        ),
        (
            ceil(square(1, 2, 0)),
            6,
            "(6 - 1) / 2 + 1 = 3, rounded down: one more window would start beyond the input",
        ),
        (square(5, 1, 2), 28, "28 + 4 - 5 + 1 = 28"),
        (dilated(square(3, 1, 0), 2), 9, "9 - 5 + 1 = 5"),
        (square(5, 2, 0), 3, "3 - 5 is less than 0"),
    ];
    for (window, input, text) in cases {
        assert_eq!(window.arithmetic(Axis::Height, input), text);
    }
}

#[test]
fn windows_that_do_not_fit() {
    let told = |result: Result<[usize; 2], WindowError>| result.unwrap_err().to_string();
    let zeros = [
        Window::new([3, 0]),
        Window {
            stride: [0, 1],
            ..Window::new([3, 3])
        },
        Window {
            dilation: [1, 0],
            ..Window::new([3, 3])
        },
    ];
    let messages = zeros.map(|window| told(window.output([9, 9])));
    insta::assert_snapshot!(messages.join("\n"), @r"
    the kernel must be at least 1, but is 0 along the width
    the stride must be at least 1, but is 0 along the height
    the dilation must be at least 1, but is 0 along the width
    ");
    let convolutions = [
        dilated(square(3, 1, 0), 3).output([6, 6]),
        square(6, 1, 0).output([4, 4]),
        square(6, 1, 0).output([6, 4]),
        dilated(square(3, 1, 1), 4).output([6, 6]),
    ];
    insta::assert_snapshot!(convolutions.map(told).join("\n"), @r"
    the window spans 7 along the height (3 taps, 3 apart), but the padded input only 6
    the window spans 6 along the height, but the padded input only 4
    the window spans 6 along the width, but the padded input only 4
    the window spans 9 along the height (3 taps, 4 apart), but the padded input only 8 (6 + 1 + 1)
    ");
    let pools = [
        square(2, 1, 2).pool_output([9, 9]),
        square(7, 1, 0).pool_output([4, 4]),
        dilated(square(2, 1, 2), 3).pool_output([1, 9]),
    ];
    insta::assert_snapshot!(pools.map(told).join("\n"), @r"
    padding of 2 along the height is more than half the window, which spans 2
    the window spans 7 along the height, but the padded input only 4
    window 1 along the height holds no cell of the input: its 2 taps, 3 apart, fall on padding
    ");
    assert_eq!(
        dilated(square(3, 1, 2), 2).pool_output([9, 9]),
        Ok([9, 9]),
        "half of the five cells that it spans"
    );
}

/// Every pool that is accepted has as many windows as the formula says, none of them empty, and what
/// is refused does not fit.
#[test]
fn no_window_of_a_pool_is_empty() {
    for input in 1..=12 {
        for kernel in 1..=5 {
            for stride in 1..=5 {
                for pad in 0..=kernel / 2 {
                    for round_up in [false, true] {
                        let window = Window {
                            ceil: round_up,
                            ..square(kernel, stride, pad)
                        };
                        check_pool(window, input);
                    }
                }
            }
        }
    }
}

fn check_pool(window: Window, input: usize) {
    let ([kernel, _], [stride, _], pad) = (window.kernel, window.stride, window.pads.top);
    let Ok([output, _]) = window.pool_output([input; 2]) else {
        assert!(kernel > input + 2 * pad, "{window:?} over {input}");
        return;
    };
    let room = input + 2 * pad - kernel;
    let mut expected = if window.ceil {
        room.div_ceil(stride)
    } else {
        room / stride
    } + 1;
    if window.ceil && (expected - 1) * stride >= input + pad {
        expected -= 1;
    }
    assert_eq!(output, expected, "{window:?} over {input}");
    for place in 0..output {
        let mut cells = window.cells(Axis::Height, place, input);
        assert!(cells.next().is_some(), "{window:?} over {input} at {place}");
    }
}
