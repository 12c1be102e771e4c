use crate::ir::{Shape, Type};
use crate::ops::loss::CrossEntropy;
use crate::ops::testing::refusal;
use crate::ops::{AvgPool, Concat, Conv2d, MaxPool, Op, Pads, Pointwise, Slice, Window};

fn maps(dims: &[usize]) -> Type {
    Type::f32(Shape::batched(dims))
}

fn weights(dims: &[usize]) -> Type {
    Type::f32(Shape::single(dims))
}

fn conv(kernel: usize, groups: usize) -> Conv2d {
    Conv2d {
        window: Window::new([kernel; 2]),
        groups,
    }
}

#[test]
fn convolutions() {
    let messages = [
        refusal(conv(3, 1), &[maps(&[8]), weights(&[4, 8, 3, 3])]),
        refusal(conv(3, 1), &[maps(&[8, 9, 9]), weights(&[4, 3, 3, 3])]),
        refusal(conv(1, 2), &[maps(&[3, 9, 9]), weights(&[8, 1, 1, 1])]),
        refusal(conv(7, 1), &[maps(&[3, 4, 4]), weights(&[8, 3, 7, 7])]),
        refusal(conv(3, 1), &[weights(&[8, 9, 9]), weights(&[4, 8, 3, 3])]),
        refusal(conv(3, 1), &[maps(&[8, 9, 9])]),
    ];
    insta::assert_snapshot!(messages.join("\n\n"), @r"
    the input must have a shape like [C, H, W], not [8]
    help: `reshape([8, 1, 1])` before it makes it a map of one pixel

    the filter must be [4, 8, 3, 3], not [4, 3, 3, 3]

    3 input channels leave 1 over when split into 2 groups
    help: `groups = 1` divides both

    the window spans 7 along the height, but the padded input only 4
    help: `pad = 2` makes it fit
    help: `pad = same` keeps the size

    the input must be one for each image, not the same for all images

    takes 2 inputs, not 1
    ");
}

#[test]
fn dense() {
    let messages = [
        refusal(Op::Dense, &[maps(&[16, 5, 5]), weights(&[10, 400])]),
        refusal(Op::Dense, &[maps(&[3]), weights(&[3, 5])]),
    ];
    insta::assert_snapshot!(messages.join("\n\n"), @r"
    the input must have a shape like [F], not [16, 5, 5]
    help: `flatten` before it gives [400]
    help: `global_avgpool` before it gives [16]

    the weights must be [3, 3], not [3, 5]
    ");
}

#[test]
fn pools() {
    let pool = |kernel, pad| Window {
        pads: Pads::all(pad),
        ..Window::new([kernel; 2])
    };
    let average = AvgPool {
        window: pool(7, 0),
        include_pad: false,
    };
    let messages = [
        refusal(average, &[maps(&[8, 4, 4])]),
        refusal(MaxPool { window: pool(2, 2) }, &[maps(&[8, 4, 4])]),
        refusal(
            MaxPool {
                window: Window {
                    dilation: [3, 1],
                    pads: Pads {
                        top: 2,
                        bottom: 2,
                        ..Pads::default()
                    },
                    ..Window::new([2, 1])
                },
            },
            &[maps(&[8, 1, 4])],
        ),
        refusal(MaxPool { window: pool(0, 0) }, &[maps(&[8, 4, 4])]),
    ];
    insta::assert_snapshot!(messages.join("\n\n"), @r"
    the window spans 7 along the height, but the padded input only 4
    help: `global_avgpool` averages over the whole map, whatever its size

    padding of 2 along the height is more than half the window, which spans 2
    help: `pad = 1` is the most for this window

    window 1 along the height holds no cell of the input: its 2 taps, 3 apart, fall on padding
    help: less padding at the top and bottom, or less dilation

    the kernel must be at least 1, but is 0 along the height
    help: `kernel = 1` is the least
    ");
}

#[test]
fn joins() {
    let messages = [
        refusal(Pointwise::Add, &[maps(&[64, 8, 8]), maps(&[64, 7, 7])]),
        refusal(Pointwise::Mul, &[maps(&[64, 8, 8]), maps(&[32])]),
        refusal(
            Concat { axis: 0 },
            &[maps(&[64, 14, 14]), maps(&[32, 15, 15])],
        ),
        refusal(Concat { axis: 0 }, &[maps(&[64, 14, 14]), maps(&[32])]),
    ];
    insta::assert_snapshot!(messages.join("\n\n"), @r"
    operand 2 has shape [64, 7, 7], which does not stretch to [64, 8, 8]
    help: a pool in the smaller one rounds up with `ceil = true`
    help: an input of even size makes rounding unnecessary

    operand 2 has shape [32], which does not stretch to [64, 8, 8]

    branch 2 has shape [32, 15, 15], which does not stack on [64, 14, 14]: all but the channels must agree
    help: a pool in the smaller one rounds up with `ceil = true`
    help: an input of even size makes rounding unnecessary

    branch 2 has shape [32], which does not stack on [64, 14, 14]: all but the channels must agree
    ");
}

#[test]
fn shapes() {
    let labels = Type::i32(Shape::batched([]));
    let messages = [
        refusal(Op::Reshape(vec![5, 3]), &[maps(&[4, 2, 2])]),
        refusal(
            Slice {
                axis: 0,
                from: 2,
                to: 9,
            },
            &[maps(&[8, 2, 2])],
        ),
        refusal(Op::Expand(Shape::batched([8, 2, 2])), &[maps(&[4])]),
        refusal(Op::SumTo(Shape::batched([8])), &[maps(&[4, 2, 2])]),
        refusal(CrossEntropy::default(), &[maps(&[10]), maps(&[])]),
        refusal(CrossEntropy::default(), &[maps(&[10, 1, 1]), labels]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    [4, 2, 2] has 16 elements, [5, 3] has 15
    channels 2 to 9 is not a part of 0 to 8
    help: `to = 8` takes channels to the end
    [4] does not stretch to [8, 2, 2]
    [8] does not stretch to [4, 2, 2]
    the labels must be integers, not numbers
    the logits must have a shape like [F], not [10, 1, 1]
    help: `flatten` before it gives [10]
    help: `global_avgpool` before it gives [10]
    ");
}
