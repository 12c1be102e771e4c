//! Every operator's compiled code against its reference, on every tier of this machine, over odd
//! sizes, strides, pads, dilations and groups.

mod common;

use common::{check_linear, param};
use netc::ir::{Builder, Graph, Shape, Type};
use netc::ops::{
    AvgPool, AvgPoolGrad, Conv2d, Conv2dFilterGrad, Conv2dInputGrad, Op, Pads, Window,
};

#[derive(Clone, Copy, Debug)]
struct Conv {
    c: usize,
    k: usize,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pads: [usize; 4],
    groups: usize,
}

impl Conv {
    fn op(&self) -> Conv2d {
        let [top, left, bottom, right] = self.pads;
        Conv2d {
            window: Window {
                kernel: self.kernel,
                stride: self.stride,
                dilation: self.dilation,
                pads: Pads {
                    top,
                    left,
                    bottom,
                    right,
                },
                ceil: false,
            },
            groups: self.groups,
        }
    }

    fn graphs(&self) -> [Graph; 3] {
        let Conv {
            c,
            k,
            size: [h, w],
            groups,
            kernel: [r, s],
            ..
        } = *self;
        let filter = [k, c / groups, r, s];
        let image = Type::f32(Shape::batched([c, h, w]));
        let op = self.op();
        let [oh, ow] = op.window.output([h, w]).unwrap();
        let grad = Type::f32(Shape::batched([k, oh, ow]));
        let mut forward = Builder::new(format!("forward of {self:?}"));
        let x = forward.input("x", image.clone());
        let filters = forward.param(filter, param("w"));
        let y = forward.op(Op::Conv2d(op), &[x, filters]);
        forward.output("y", y);
        let mut input = Builder::new(format!("input gradient of {self:?}"));
        let dy = input.input("dy", grad.clone());
        let filters = input.param(filter, param("w"));
        let dx = input.op(
            Op::Conv2dInputGrad(Conv2dInputGrad {
                conv: op,
                input: [h, w],
            }),
            &[dy, filters],
        );
        input.output("dx", dx);
        let mut weights = Builder::new(format!("filter gradient of {self:?}"));
        let x = weights.input("x", image);
        let dy = weights.input("dy", grad);
        let dw = weights.op(
            Op::Conv2dFilterGrad(Conv2dFilterGrad { conv: op }),
            &[x, dy],
        );
        weights.output("dw", dw);
        [forward.finish(), input.finish(), weights.finish()]
    }
}

const PLAIN: Conv = Conv {
    c: 3,
    k: 5,
    size: [9, 7],
    kernel: [3, 3],
    stride: [1, 1],
    dilation: [1, 1],
    pads: [0, 0, 0, 0],
    groups: 1,
};

#[test]
fn convolutions() {
    let cases = [
        PLAIN,
        Conv {
            pads: [1, 1, 1, 1],
            ..PLAIN
        },
        Conv {
            pads: [0, 1, 2, 3],
            ..PLAIN
        },
        Conv {
            stride: [2, 2],
            pads: [1, 1, 1, 1],
            ..PLAIN
        },
        Conv {
            stride: [3, 2],
            pads: [2, 0, 1, 1],
            size: [11, 8],
            ..PLAIN
        },
        Conv {
            dilation: [2, 2],
            pads: [2, 2, 2, 2],
            ..PLAIN
        },
        Conv {
            dilation: [2, 3],
            stride: [2, 2],
            pads: [1, 3, 2, 3],
            size: [10, 13],
            ..PLAIN
        },
        Conv {
            c: 4,
            k: 8,
            groups: 2,
            pads: [1, 1, 1, 1],
            ..PLAIN
        },
        Conv {
            c: 6,
            k: 6,
            groups: 6,
            pads: [1, 1, 1, 1],
            ..PLAIN
        },
        Conv {
            kernel: [1, 1],
            c: 20,
            k: 33,
            ..PLAIN
        },
        Conv {
            kernel: [1, 1],
            stride: [2, 2],
            c: 17,
            k: 50,
            ..PLAIN
        },
        Conv {
            kernel: [5, 5],
            c: 1,
            k: 6,
            size: [14, 14],
            pads: [2, 2, 2, 2],
            ..PLAIN
        },
        Conv {
            kernel: [5, 5],
            c: 6,
            k: 16,
            size: [14, 14],
            ..PLAIN
        },
        Conv {
            kernel: [1, 1],
            stride: [3, 3],
            size: [7, 8],
            ..PLAIN
        },
        Conv {
            kernel: [2, 4],
            pads: [0, 1, 1, 2],
            ..PLAIN
        },
        Conv {
            c: 256,
            k: 64,
            size: [3, 4],
            pads: [1, 1, 1, 1],
            ..PLAIN
        },
        Conv {
            size: [3, 3],
            c: 16,
            k: 70,
            ..PLAIN
        },
    ];
    for case in cases {
        let Conv {
            c,
            k,
            groups,
            kernel: [r, s],
            size: [h, w],
            ..
        } = case;
        let [forward, input, weights] = case.graphs();
        check_linear(&forward, 3, 3, c / groups * r * s + 4);
        check_linear(&input, 2, 5, k / groups * r * s + 4);
        check_linear(&weights, 3, 4, 3 * h * w + 20);
    }
}

#[test]
fn dense_layers() {
    for (features, outputs, batch, most) in [
        (1, 1, 1, 1),
        (7, 3, 5, 5),
        (400, 120, 13, 64),
        (84, 10, 64, 64),
        (33, 130, 1, 7),
    ] {
        let shape = |size| Type::f32(Shape::batched([size]));
        let mut forward = Builder::new(format!("dense {features} to {outputs}"));
        let x = forward.input("x", shape(features));
        let w = forward.param([outputs, features], param("w"));
        let y = forward.op(Op::Dense, &[x, w]);
        forward.output("y", y);
        check_linear(&forward.finish(), batch, most, features + 4);
        let mut input = Builder::new(format!("input gradient of dense {features} to {outputs}"));
        let dy = input.input("dy", shape(outputs));
        let w = input.param([outputs, features], param("w"));
        let dx = input.op(Op::DenseInputGrad, &[dy, w]);
        input.output("dx", dx);
        check_linear(&input.finish(), batch, most, outputs + 4);
        let mut weights = Builder::new(format!("filter gradient of dense {features} to {outputs}"));
        let x = weights.input("x", shape(features));
        let dy = weights.input("dy", shape(outputs));
        let dw = weights.op(Op::DenseFilterGrad, &[x, dy]);
        weights.output("dw", dw);
        check_linear(&weights.finish(), batch, most, batch + 4);
    }
}

#[test]
fn a_dense_layer_reads_a_map_as_it_lies() {
    for pads in [[0; 4], [1; 4]] {
        let mut b = Builder::new(format!("flatten, dense and back with {pads:?}"));
        let x = b.input("x", Type::f32(Shape::batched([5, 4, 3])));
        let flat = b.op(Op::Reshape(vec![60]), &[x]);
        let w = b.param([7, 60], param("w"));
        let y = b.op(Op::Dense, &[flat, w]);
        b.output("y", y);
        let dx = b.op(Op::DenseInputGrad, &[y, w]);
        b.output("dx", dx);
        let map = b.op(Op::Reshape(vec![5, 4, 3]), &[dx]);
        b.output("map", map);
        let dw = b.op(Op::DenseFilterGrad, &[flat, y]);
        b.output("dw", dw);
        if pads != [0; 4] {
            // A padded reader gives the maps a halo.
            let conv = Conv {
                c: 5,
                k: 4,
                size: [4, 3],
                pads,
                ..PLAIN
            };
            let filter = b.param([4, 5, 3, 3], param("f"));
            let z = b.op(Op::Conv2d(conv.op()), &[x, filter]);
            b.output("z", z);
            let z2 = b.op(Op::Conv2d(conv.op()), &[map, filter]);
            b.output("z2", z2);
        }
        check_linear(&b.finish(), 4, 6, 60 * 7 * 45 + 20);
    }
}

#[test]
fn average_pools() {
    for (kernel, stride, pad, ceil, include_pad) in [
        (2, 2, 0, false, false),
        (3, 2, 1, false, false),
        (3, 2, 1, true, true),
        (3, 1, 1, false, true),
        (2, 3, 0, true, false),
        (5, 5, 2, false, false),
    ] {
        let mut window = Window::new([kernel; 2]);
        window.stride = [stride; 2];
        window.pads = Pads::all(pad);
        window.ceil = ceil;
        let input = [9, 11];
        let [oh, ow] = window.output(input).unwrap();
        for channels in [1, 6, 37] {
            let mut b = Builder::new(format!("average {window:?} of {channels} channels"));
            let x = b.input(
                "x",
                Type::f32(Shape::batched([channels, input[0], input[1]])),
            );
            let y = b.op(
                Op::AvgPool(AvgPool {
                    window,
                    include_pad,
                }),
                &[x],
            );
            b.output("y", y);
            let dy = b.input("dy", Type::f32(Shape::batched([channels, oh, ow])));
            let dx = b.op(
                Op::AvgPoolGrad(AvgPoolGrad {
                    window,
                    include_pad,
                    input,
                }),
                &[dy],
            );
            b.output("dx", dx);
            check_linear(&b.finish(), 2, 3, kernel * kernel + 4);
        }
    }
}
