//! Every operator's compiled code against its reference, on every tier of this machine, over odd
//! sizes, strides, pads, dilations and groups.

mod common;

use common::{Bindings, How, check_linear, check_norm, compiled, param, random, targets};
use netc::codegen::{Isa, Target};
use netc::driver::{self, Options};
use netc::ir::{Builder, Graph, Layout, Shape, Type};
use netc::kernel::Body;
use netc::ops::activation;
use netc::ops::loss::{CrossEntropy, CrossEntropyGrad};
use netc::ops::{
    AvgPool, AvgPoolGrad, Concat, Conv2d, Conv2dFilterGrad, Conv2dInputGrad, MaxPool, MaxPoolGrad,
    Op, Pads, Pointwise, Slice, Window, dropout,
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
        let [oh, ow] = op.window.output([h, w]).expect("fits");
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
        // Groups of few outputs: one block of rows and several, whole vectors of pixels and not, taps apart and pads uneven.
        Conv {
            c: 32,
            k: 8,
            groups: 4,
            size: [11, 13],
            pads: [1, 1, 1, 1],
            ..PLAIN
        },
        Conv {
            c: 64,
            k: 20,
            groups: 4,
            size: [24, 45],
            pads: [1, 1, 1, 1],
            ..PLAIN
        },
        Conv {
            c: 36,
            k: 12,
            groups: 6,
            kernel: [3, 2],
            size: [10, 17],
            dilation: [2, 3],
            pads: [0, 1, 3, 2],
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

/// With small caches, filter gradients go over their sums in parts, some images at once or some rows of one, and tiles come
/// in other orders.
#[test]
fn caches_of_any_size_give_the_same_bits() {
    let same = [1, 1, 1, 1];
    let cases = [
        // A small result, made of partial ones: parts are rows of an image, evenly or not.
        Conv {
            c: 16,
            k: 40,
            size: [12, 9],
            pads: same,
            ..PLAIN
        },
        Conv {
            c: 6,
            k: 8,
            groups: 2,
            size: [11, 8],
            stride: [2, 1],
            ..PLAIN
        },
        // Groups of few outputs, in blocks of rows.
        Conv {
            c: 32,
            k: 8,
            groups: 4,
            size: [12, 9],
            pads: same,
            ..PLAIN
        },
        // A large one, split by its own rows: of some images, and of rows.
        Conv {
            c: 100,
            k: 90,
            size: [3, 4],
            pads: same,
            ..PLAIN
        },
        Conv {
            kernel: [1, 1],
            c: 300,
            k: 250,
            size: [9, 5],
            ..PLAIN
        },
        // A filter for each channel: rows of all channels in turn where maps lie far away, and lines that go past the caches.
        Conv {
            c: 32,
            k: 32,
            groups: 32,
            size: [23, 70],
            pads: same,
            ..PLAIN
        },
        Conv {
            c: 40,
            k: 40,
            groups: 40,
            size: [13, 19],
            stride: [2, 2],
            ..PLAIN
        },
    ];
    for case in cases {
        for (graph, target) in case.graphs().into_iter().flat_map(|graph| {
            targets()
                .into_iter()
                .map(move |target| (graph.clone(), target))
        }) {
            let bindings = random(&graph, 7, 11, 3);
            let with = |caches, threads| {
                let how = How {
                    target: Target::of(target.isa, caches),
                    most: 8,
                    threads,
                    fuse: true,
                };
                compiled(&graph, &bindings, &how)
            };
            let whole = with([64 << 20; 3], 1);
            for second in [8 << 10, 40 << 10, 150 << 10, 600 << 10] {
                for (threads, third) in [(1, 1 << 20), (2, 1 << 20), (2, 16 << 10)] {
                    let parts = with([4 << 10, second, third], threads);
                    let (isa, name) = (target.isa, &graph.name);
                    assert_eq!(parts, whole, "{name} on {isa} with a cache of {second}");
                }
            }
        }
    }
}

/// A map of one block is shared out by channels, the last share being short and its last vector too.
#[test]
fn depthwise_shares_of_any_number_of_threads_are_the_convolution() {
    let case = Conv {
        c: 2003,
        k: 2003,
        groups: 2003,
        size: [7, 7],
        kernel: [5, 5],
        pads: [2, 2, 2, 2],
        ..PLAIN
    };
    for graph in case.graphs() {
        check_linear(&graph, 1, 1, 5 * 5 + 7 * 7);
        let bindings = random(&graph, 1, 11, 3);
        for target in targets() {
            let with = |threads| {
                let how = How {
                    target: target.clone(),
                    most: 1,
                    threads,
                    fuse: true,
                };
                compiled(&graph, &bindings, &how)
            };
            let one = with(1);
            for threads in [2, 3, 5] {
                let (isa, name) = (target.isa, &graph.name);
                assert_eq!(with(threads), one, "{name} on {isa}, {threads} threads");
            }
        }
    }
}

/// Whether a value is put into another order.
fn turns(graph: &Graph, most: usize) -> bool {
    let prepared = driver::prepare(graph, &Options::new(most));
    let mut nodes = prepared.graph.nodes.iter();
    nodes.any(|(_, node)| matches!(node.op, Op::Relayout))
}

#[test]
fn dense_layers() {
    for (features, outputs, batch, most) in [
        (1, 1, 1, 1),
        (7, 3, 5, 5),
        (400, 120, 13, 64),
        (84, 10, 64, 64),
        (33, 130, 1, 7),
        // What is left of tiles of images: by a full batch, by fewer, and nothing.
        (20, 64, 64, 64),
        (20, 64, 61, 64),
        (20, 64, 52, 64),
        (20, 64, 29, 29),
        // Outputs so many that the gradient by the input reads the matrix as it lies.
        (45, 300, 3, 3),
        (5, 70, 1, 8),
        (90, 130, 7, 9),
        (33, 1000, 11, 11),
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
        let input = input.finish();
        // Else it is turned for every batch.
        let is_turned = outputs <= 8 * most;
        assert_eq!(turns(&input, most), is_turned, "{outputs} by {most}");
        check_linear(&input, batch, most, outputs + 4);
        let mut weights = Builder::new(format!("filter gradient of dense {features} to {outputs}"));
        let x = weights.input("x", shape(features));
        let dy = weights.input("dy", shape(outputs));
        let dw = weights.op(Op::DenseFilterGrad, &[x, dy]);
        weights.output("dw", dw);
        check_linear(&weights.finish(), batch, most, batch + 4);
    }
}

/// An update of a matrix follows in the registers that hold its gradient, whatever is left of rows and columns; and the
/// gradient itself can be asked for too.
#[test]
fn updates_of_matrices() {
    for (features, outputs, batch, most) in [
        (1, 1, 1, 1),
        (7, 3, 5, 5),
        (33, 130, 8, 8),
        (600, 500, 3, 4),
    ] {
        let mut b = Builder::new(format!("update of dense {features} to {outputs}"));
        let x = b.input("x", Type::f32(Shape::batched([features])));
        let dy = b.input("dy", Type::f32(Shape::batched([outputs])));
        let w = b.param([outputs, features], param("w"));
        let rate = b.param([], param("rate"));
        let dw = b.op(Op::DenseFilterGrad, &[x, dy]);
        let step = b.pointwise(Pointwise::Mul, &[dw, rate]);
        let next = b.pointwise(Pointwise::Add, &[w, step]);
        b.output("dw", dw);
        b.output("next", next);
        check_linear(&b.finish(), batch, most, batch + 8);
    }
}

#[test]
fn a_dense_layer_reads_a_map_as_it_lies() {
    for (pads, outputs) in [([0; 4], 7), ([1; 4], 7), ([0; 4], 70), ([1; 4], 70)] {
        let mut b = Builder::new(format!("flatten, dense {outputs} and back with {pads:?}"));
        let x = b.input("x", Type::f32(Shape::batched([5, 4, 3])));
        let flat = b.op(Op::Reshape(vec![60]), &[x]);
        let w = b.param([outputs, 60], param("w"));
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
        check_linear(&b.finish(), 4, 6, 60 * outputs * 45 + 20);
    }
}

/// Vectors of neighbouring pixels cross no cache lines where that takes little memory.
#[test]
fn pixels_start_at_whole_vectors() {
    for (channels, pixel) in [(8, 8), (24, 24), (44, 48), (48, 48), (728, 736), (256, 272)] {
        let mut b = Builder::new("map");
        let x = b.input("x", Type::f32(Shape::batched([channels, 5, 5])));
        let y = b.pointwise(Pointwise::Relu, &[x]);
        b.output("y", y);
        let options = Options {
            target: Target::of(Isa::Avx512, Target::SMALL_CACHES),
            ..Options::new(2)
        };
        let prepared = driver::prepare(&b.finish(), &options);
        let y = prepared.graph.output("y").expect("there is one");
        let Layout::Nhwc { pixel: found, .. } = prepared.graph.values[y].layout else {
            panic!("a map")
        };
        // Those whose distance is a multiple of 1 KB are a cache line further apart.
        assert_eq!(found, pixel, "{channels} channels");
    }
}

#[test]
fn average_pools() {
    for (kernel, stride, pad, ceil, include_pad) in [
        (2, 2, 0, false, false),
        (3, 2, 1, false, false),
        (3, 2, 1, true, true),
        (3, 2, 1, true, false),
        (3, 1, 1, false, true),
        (2, 2, 0, true, false),
        (2, 2, 0, true, true),
        (2, 3, 0, true, false),
        (4, 2, 1, true, true),
        (5, 5, 2, false, false),
    ] {
        let mut window = Window::new([kernel; 2]);
        window.stride = [stride; 2];
        window.pads = Pads::all(pad);
        window.ceil = ceil;
        // With `ceil` the last windows overhang odd sizes or even ones.
        let sizes = [[9, 11], [10, 12]];
        for (input, channels) in sizes
            .into_iter()
            .flat_map(|input| [1, 6, 37].map(|channels| (input, channels)))
        {
            let [oh, ow] = window.output(input).unwrap();
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

/// What `ceil` adds beyond the input and its padding counts in no average, whether padding does or not.
#[test]
fn an_overhang_counts_in_no_average() {
    let row = |kernel, pad| Window {
        stride: [1, 2],
        pads: Pads {
            left: pad,
            right: pad,
            ..Pads::default()
        },
        ceil: true,
        ..Window::new([1, kernel])
    };
    let five: [f32; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];
    let cases: [(Window, bool, &[f32], &[f32]); 3] = [
        (row(2, 0), false, &five, &[1.5, 3.5, 5.0]),
        (row(2, 0), true, &five, &[1.5, 3.5, 5.0]),
        // Of the second window's cells one is padding, which counts, and one lies beyond, which does not.
        (row(4, 1), true, &five[..3], &[1.5, 5.0 / 3.0]),
    ];
    for (window, include_pad, cells, means) in cases {
        for channels in [1, 5, 16] {
            let mut b = Builder::new(format!("{window:?} over {channels} channels"));
            let x = b.input("x", images(channels, 1, cells.len()));
            let pool = AvgPool {
                window,
                include_pad,
            };
            let y = b.op(pool, &[x]);
            b.output("y", y);
            let graph = b.finish();
            let bindings = Bindings {
                batch: 2,
                data: [(x, cells.repeat(2 * channels))].into(),
            };
            let wanted = means.repeat(2 * channels);
            for (isa, results) in common::on_every_tier(&graph, &bindings) {
                let found = &results["y"];
                assert_eq!(found.len(), wanted.len());
                let close = |(found, wanted): (&f32, &f32)| (found - wanted).abs() <= 1e-6;
                assert!(
                    found.iter().zip(&wanted).all(close),
                    "{} on {isa}, padding counted {include_pad}: {found:?}, not {wanted:?}",
                    graph.name
                );
            }
        }
    }
}

/// Sums in f32 of up to a few thousand terms near one, and functions good to a few units in the last
/// place: a tensor's norm is off by less than this.
const SMOOTH: f64 = 2e-6;

fn images(channels: usize, h: usize, w: usize) -> Type {
    Type::f32(Shape::batched([channels, h, w]))
}

#[test]
fn max_pools() {
    for (kernel, stride, pad, dilation, ceil) in [
        (2, 2, 0, 1, false),
        (3, 2, 1, 1, false),
        (3, 2, 0, 1, true),
        (3, 1, 1, 1, false),
        (3, 1, 2, 2, false),
        (2, 3, 0, 1, false),
        (1, 2, 0, 1, true),
    ] {
        let mut window = Window::new([kernel; 2]);
        window.stride = [stride; 2];
        window.pads = Pads::all(pad);
        window.dilation = [dilation; 2];
        window.ceil = ceil;
        let input = [9, 8];
        for channels in [1, 6, 21] {
            let mut b = Builder::new(format!("maximum {window:?} of {channels} channels"));
            let x = b.input("x", images(channels, input[0], input[1]));
            let pooled = b.node(Op::MaxPool(MaxPool { window }), &[x]);
            b.output("y", pooled[0]);
            let doubled = b.pointwise(Pointwise::Add, &[pooled[0], pooled[0]]);
            let op = Op::MaxPoolGrad(MaxPoolGrad { window, input });
            let dx = b.op(op, &[doubled, pooled[1]]);
            b.output("dx", dx);
            let graph = b.finish();
            let mut bindings = random(&graph, 2, 3, 2);
            // Few distinct numbers make many ties, which go to the first.
            for value in bindings.data.values_mut().flatten() {
                *value = (*value * 3.0).round();
            }
            check_norm(&graph, &bindings, 3, SMOOTH);
        }
    }
}

#[test]
fn nothing_hides_a_nan() {
    // One cell of the window, or several: the first of them is the one that is told.
    for places in [
        &[0][..],
        &[1],
        &[2],
        &[3],
        &[1, 3],
        &[0, 2],
        &[2, 3],
        &[0, 1, 2, 3],
    ] {
        for channels in [1, 4, 5, 16, 19] {
            let mut b = Builder::new(format!("NaN at {places:?} of {channels} channels"));
            let x = b.input("x", images(channels, 2, 2));
            let relu = b.pointwise(Pointwise::Relu, &[x]);
            b.output("relu", relu);
            let op = Op::MaxPool(MaxPool {
                window: Window::new([2; 2]),
            });
            let outputs = b.node(op, &[x]);
            b.output("pooled", outputs[0]);
            // The index is told by where the gradient goes.
            let upstream = b.input("upstream", images(channels, 1, 1));
            let op = Op::MaxPoolGrad(MaxPoolGrad {
                window: Window::new([2; 2]),
                input: [2; 2],
            });
            let slope = b.node(op, &[upstream, outputs[1]])[0];
            b.output("slope", slope);
            let graph = b.finish();
            let mut bindings = random(&graph, 2, 5, 2);
            for pixels in bindings.data.get_mut(&x).unwrap().chunks_exact_mut(4) {
                for &place in places {
                    pixels[place] = f32::NAN;
                }
            }
            check_norm(&graph, &bindings, 2, SMOOTH);
        }
    }
}

#[test]
fn element_wise_nodes() {
    let unary = [
        Pointwise::Neg,
        Pointwise::Square,
        Pointwise::Exp,
        Pointwise::Relu,
        Pointwise::Tanh,
        Pointwise::Sigmoid,
        Pointwise::Clip { lo: -0.5, hi: 0.25 },
        Pointwise::Elu { alpha: 0.75 },
        Pointwise::Softplus,
        Pointwise::Gelu,
    ];
    let of_positive = [Pointwise::Sqrt, Pointwise::Rsqrt, Pointwise::Log];
    let binary = [
        Pointwise::Add,
        Pointwise::Sub,
        Pointwise::Mul,
        Pointwise::Div,
        Pointwise::Max,
        Pointwise::Min,
        Pointwise::ReluGrad,
        Pointwise::TanhGrad,
        Pointwise::SigmoidGrad,
        Pointwise::Prelu,
        Pointwise::ClipGrad { lo: -0.5, hi: 0.25 },
        Pointwise::EluGrad { alpha: 0.75 },
        Pointwise::SoftplusGrad,
        Pointwise::GeluGrad,
        Pointwise::BinaryCrossEntropy,
    ];
    for (channels, h, w) in [(1, 1, 1), (3, 5, 7), (16, 4, 4), (37, 3, 2), (300, 2, 1)] {
        let mut b = Builder::new(format!("element-wise over {channels}, {h}, {w}"));
        let x = b.input("x", images(channels, h, w));
        let per_channel = b.param([channels], param("c"));
        let per_image = b.input("g", Type::f32(Shape::batched([channels])));
        let number = b.param(Vec::new(), param("n"));
        for op in unary {
            let y = b.pointwise(op, &[x]);
            b.output(format!("{op:?}"), y);
        }
        let one = b.constant(1.5);
        let positive = b.pointwise(Pointwise::Add, &[x, one]);
        for op in of_positive {
            let y = b.pointwise(op, &[positive]);
            b.output(format!("{op:?}"), y);
        }
        for (name, other) in [("c", per_channel), ("g", per_image), ("n", number)] {
            let shifted = b.pointwise(Pointwise::Add, &[other, one]);
            for op in binary {
                let y = b.pointwise(op, &[x, shifted]);
                b.output(format!("{op:?} with {name}"), y);
            }
            let y = b.pointwise(Pointwise::PreluGrad, &[x, other, shifted]);
            b.output(format!("PreluGrad with {name}"), y);
        }
        let graph = b.finish();
        check_norm(&graph, &random(&graph, 3, 11, 2), 4, SMOOTH);
    }
}

/// Errors of elements where everything saturates: a few units in the last place of their results.
const ELEMENT: f64 = 1e-6;

/// Every activation with its gradient, far out, at its kinks, and where there is no number.
#[test]
fn saturated_activations_stay_finite() {
    type Append = fn(&mut Builder, netc::ir::ValueId) -> netc::ir::ValueId;
    let activations: [(&str, Append); 14] = [
        ("relu", |b, x| b.pointwise(Pointwise::Relu, &[x])),
        ("tanh", |b, x| b.pointwise(Pointwise::Tanh, &[x])),
        ("sigmoid", |b, x| b.pointwise(Pointwise::Sigmoid, &[x])),
        ("silu", activation::silu),
        ("relu6", activation::relu6),
        ("leaky_relu", |b, x| activation::leaky_relu(b, x, 0.1)),
        ("elu", |b, x| activation::elu(b, x, 1.5)),
        ("gelu", activation::gelu),
        ("gelu by tanh", activation::gelu_tanh),
        ("hard_sigmoid", activation::hard_sigmoid),
        ("hard_swish", activation::hard_swish),
        ("softplus", |b, x| activation::softplus(b, x, 1.0)),
        ("clip", |b, x| activation::clip(b, x, [-0.5, 2.0])),
        ("prelu", |b, x| {
            let slope = b.constant(-2.0);
            activation::prelu(b, x, slope)
        }),
    ];
    let data = vec![
        -1e30, -1000.0, -100.0, -88.8, -20.0, -3.0, -0.5, -1e-3, -0.0, 0.0, 1e-3, 2.0, 3.0, 6.0,
        20.0, 88.8, 100.0, 1000.0, 1e30,
    ];
    let mut b = Builder::new("saturated activations");
    let x = b.input("x", Type::f32(Shape::batched([data.len()])));
    let nan = b.input("nan", Type::f32(Shape::batched([data.len()])));
    for (name, append) in activations {
        let y = append(&mut b, x);
        b.output(name, y);
        let sum = b.op(Op::SumTo(Shape::single([])), &[y]);
        let dx = netc::autodiff::gradients(&mut b, sum, &[x])[0];
        b.output(format!("gradient of {name}"), dx);
        let y = append(&mut b, nan);
        b.output(format!("{name} of nothing"), y);
    }
    let graph = b.finish();
    let nothing = vec![f32::NAN; data.len()];
    let bindings = Bindings {
        batch: 1,
        data: [(x, data.clone()), (nan, nothing)].into(),
    };
    let exact = common::reference::<f64>(&graph, &bindings);
    for (isa, found) in common::on_every_tier(&graph, &bindings) {
        for output in &graph.outputs {
            let name = &output.name;
            let exact = exact[&output.value].data();
            for ((&found, &exact), x) in found[name].iter().zip(exact).zip(&data) {
                if name.ends_with("of nothing") {
                    assert!(found.is_nan() && exact.is_nan(), "{name} is {found}");
                    continue;
                }
                let error = (f64::from(found) - exact).abs();
                assert!(
                    error <= ELEMENT * exact.abs().max(1.0) && exact.is_finite(),
                    "{isa}: {name} at {x:?} is {found}, not {exact}"
                );
            }
        }
    }
}

#[test]
fn numbers_of_the_graph() {
    for count in [1, 3, 4, 16, 37, 100] {
        let numbers: Vec<f32> = (0..count).map(|i| (i / 20) as f32 - 0.5).collect();
        let mut b = Builder::new(format!("{count} numbers"));
        let x = b.input("x", images(count, 2, 3));
        let made = b.op(Op::Numbers(numbers), &[]);
        b.output("numbers", made);
        let y = b.pointwise(Pointwise::Mul, &[x, made]);
        b.output("product", y);
        let graph = b.finish();
        check_norm(&graph, &random(&graph, 2, 17, 2), 3, SMOOTH);
    }
}

#[test]
fn softmax_and_its_loss() {
    for (classes, pixels) in [(1, 1), (2, 1), (10, 1), (16, 1), (70, 1), (1000, 1), (5, 3)] {
        let mut b = Builder::new(format!("softmax of {classes} by {pixels}"));
        let dims = if pixels == 1 {
            vec![classes]
        } else {
            vec![classes, pixels, 2]
        };
        let x = b.input("x", Type::f32(Shape::batched(dims.clone())));
        let y = b.op(Op::Softmax, &[x]);
        b.output("softmax", y);
        let dy = b.input("dy", Type::f32(Shape::batched(dims)));
        let dx = b.op(Op::SoftmaxGrad, &[y, dy]);
        b.output("dx", dx);
        if pixels == 1 {
            let labels = b.input("labels", Type::i32(Shape::batched([])));
            let loss = b.op(CrossEntropy::default(), &[x, labels]);
            b.output("loss", loss);
            let dloss = b.input("dloss", Type::f32(Shape::batched([])));
            let dlogits = b.op(CrossEntropyGrad::default(), &[x, labels, dloss]);
            b.output("dlogits", dlogits);
            let weights = b.param([classes], param("w"));
            let one = b.constant(1.5);
            let weights = b.pointwise(Pointwise::Add, &[weights, one]);
            for label_smoothing in [0.0, 0.25, 1.0] {
                for weights in [None, Some(weights)] {
                    let name = format!("{label_smoothing} {}", weights.is_some());
                    let op = CrossEntropy { label_smoothing };
                    let inputs = [x, labels].into_iter().chain(weights);
                    let made = b.node(op.into(), &inputs.collect::<Vec<_>>());
                    b.output(format!("loss {name}"), made[0]);
                    if let Some(&counted) = made.get(1) {
                        b.output(format!("counted {name}"), counted);
                    }
                    let op = CrossEntropyGrad { label_smoothing };
                    let inputs = [x, labels, dloss].into_iter().chain(weights);
                    let dlogits = b.op(op, &inputs.collect::<Vec<_>>());
                    b.output(format!("dlogits {name}"), dlogits);
                }
            }
        }
        let graph = b.finish();
        let mut bindings = random(&graph, 5, 13, classes as u32);
        for value in bindings.data.get_mut(&x).unwrap() {
            *value *= 5.0;
        }
        check_norm(&graph, &bindings, 6, SMOOTH);
    }
}

/// Rows of extreme logits: their softmax, and the loss of each label with its gradient.
#[test]
fn extreme_logits() {
    const INF: f32 = f32::INFINITY;
    let rows = [
        ([1000.0, 1000.0, -1000.0], [0.5, 0.5, 0.0]),
        ([-10000.0, -10000.0, -20000.0], [0.5, 0.5, 0.0]),
        ([1000.0, 0.0, -88.8], [1.0, 0.0, 0.0]),
        ([-1000.0, -1000.0, -100.0], [0.0, 0.0, 1.0]),
        ([-INF, 0.0, 0.0], [0.0, 0.5, 0.5]),
        ([f32::MAX, -f32::MAX, -INF], [1.0, 0.0, 0.0]),
    ];
    let mut b = Builder::new("extreme logits");
    let x = b.input("x", Type::f32(Shape::batched([3])));
    let labels = b.input("labels", Type::i32(Shape::batched([])));
    let softmax = b.op(Op::Softmax, &[x]);
    b.output("softmax", softmax);
    let loss = b.op(CrossEntropy::default(), &[x, labels]);
    b.output("loss", loss);
    let ones = b.input("dloss", Type::f32(Shape::batched([])));
    let grad = b.op(CrossEntropyGrad::default(), &[x, labels, ones]);
    b.output("grad", grad);
    let graph = b.finish();
    let logits: Vec<f32> = rows.iter().flat_map(|row| row.0).collect();
    for label in 0..3 {
        let data = [
            (x, logits.clone()),
            (labels, vec![label as f32; rows.len()]),
            (ones, vec![1.0; rows.len()]),
        ];
        let bindings = Bindings {
            batch: rows.len(),
            data: data.into(),
        };
        for (_, results) in common::on_every_tier(&graph, &bindings) {
            for (place, (row, softmax)) in rows.iter().enumerate() {
                let of = |name: &str| &results[name][3 * place..3 * place + 3];
                assert_eq!(of("softmax"), softmax, "{row:?}");
                let mut wanted = *softmax;
                wanted[label] -= 1.0;
                assert_eq!(of("grad"), wanted, "{row:?}");
                // The largest logit lies above the label's by so much; equal ones cost ln 2 besides.
                let most = row.iter().copied().fold(-INF, f32::max);
                let ties = softmax.iter().filter(|&&p| p > 0.0).count() as f32;
                let expected = (most - row[label]) + ties.ln();
                let found = results["loss"][place];
                let close = (found - expected).abs() <= expected * f32::EPSILON;
                assert!(
                    found == expected || close,
                    "{row:?}: {found}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn nothing_hides_a_nan_among_logits() {
    for place in [0, 3, 16] {
        let mut b = Builder::new("a logit that is no number");
        let x = b.input("x", Type::f32(Shape::batched([17])));
        let labels = b.input("labels", Type::i32(Shape::batched([])));
        let loss = b.op(CrossEntropy::default(), &[x, labels]);
        b.output("loss", loss);
        let op = CrossEntropy {
            label_smoothing: 0.5,
        };
        let smoothed = b.op(op, &[x, labels]);
        b.output("smoothed", smoothed);
        let graph = b.finish();
        let mut bindings = random(&graph, 1, 3, 17);
        bindings.data.get_mut(&x).unwrap()[place] = f32::NAN;
        for (_, results) in common::on_every_tier(&graph, &bindings) {
            for (name, loss) in &results {
                assert!(loss[0].is_nan(), "{name} with NaN at {place} is {loss:?}");
            }
        }
    }
}

#[test]
fn a_hopeless_logit_costs_what_it_should() {
    let mut b = Builder::new("large logits");
    let x = b.input("x", Type::f32(Shape::batched([2])));
    let labels = b.input("labels", Type::i32(Shape::batched([])));
    let loss = b.op(CrossEntropy::default(), &[x, labels]);
    b.output("loss", loss);
    let ones = b.input("dloss", Type::f32(Shape::batched([])));
    let grad = b.op(CrossEntropyGrad::default(), &[x, labels, ones]);
    b.output("grad", grad);
    let graph = b.finish();
    let data = [
        (x, vec![1000.0, 0.0, 1000.0, 0.0]),
        (labels, vec![1.0, 0.0]),
        (ones, vec![1.0, 1.0]),
    ];
    let bindings = Bindings {
        batch: 2,
        data: data.into(),
    };
    for (_, results) in common::on_every_tier(&graph, &bindings) {
        assert_eq!(results["loss"], [1000.0, 0.0]);
        assert_eq!(results["grad"], [1.0, -1.0, 0.0, 0.0]);
    }
}

#[test]
fn sums() {
    for (channels, h, w, batch, most) in [
        (1, 1, 1, 1, 1),
        (6, 5, 7, 3, 3),
        (16, 9, 4, 40, 64),
        (37, 3, 11, 2, 5),
        (65, 1, 2, 17, 17),
    ] {
        let mut b = Builder::new(format!("sums of {channels}, {h}, {w}"));
        let x = b.input("x", images(channels, h, w));
        for (name, shape) in [
            ("channels", Shape::single([channels])),
            ("images", Shape::batched([channels])),
            ("image", Shape::batched([])),
            ("all", Shape::single([])),
        ] {
            let y = b.op(Op::SumTo(shape), &[x]);
            b.output(name, y);
        }
        let wide = b.op(
            Op::Expand(Shape::single([channels, h, w])),
            &[b.graph().outputs[0].value],
        );
        b.output("expanded", wide);
        let graph = b.finish();
        let mut bindings = random(&graph, batch, 17, 2);
        // Positive terms, so that no sum cancels and the norm says something of each.
        for value in bindings.data.values_mut().flatten() {
            *value = value.abs();
        }
        check_norm(&graph, &bindings, most, SMOOTH);
    }
}

#[test]
fn batch_statistics() {
    for (channels, h, w, batch, most) in [
        (1, 2, 1, 2, 2),
        (6, 5, 7, 3, 3),
        (16, 4, 4, 40, 64),
        (37, 3, 11, 2, 50),
        (20, 1, 1, 17, 17),
        // Many channels go place by place: a tail, several images a chunk, and more places than one sum takes.
        (70, 3, 5, 3, 3),
        (65, 2, 3, 35, 35),
        (80, 33, 35, 2, 2),
        // Maps that are gone through in blocks of rows, evenly or not, and several images a chunk.
        (20, 51, 41, 2, 2),
        (24, 40, 30, 33, 40),
    ] {
        let mut b = Builder::new(format!("statistics of {channels}, {h}, {w}"));
        let x = b.input("x", images(channels, h, w));
        let stats = b.node(Op::BatchStats, &[x]);
        b.output("mean", stats[0]);
        b.output("variance", stats[1]);
        let dy = b.input("dy", images(channels, h, w));
        let sums = b.node(Op::ChannelSums, &[dy, x, stats[0]]);
        b.output("sum", sums[0]);
        b.output("centred", sums[1]);
        let gamma = b.param([channels], param("gamma"));
        let beta = b.param([channels], param("beta"));
        let norm = Pointwise::BatchNorm {
            eps: 1e-5,
            batch_stats: true,
        };
        let y = b.pointwise(norm, &[x, stats[0], stats[1], gamma, beta]);
        b.output("y", y);
        let count = b.constant(1.0 / (batch * h * w) as f32);
        let grad = Pointwise::BatchNormGrad { eps: 1e-5 };
        let dx = b.pointwise(
            grad,
            &[dy, x, stats[0], stats[1], gamma, sums[0], sums[1], count],
        );
        b.output("dx", dx);
        let graph = b.finish();
        let mut bindings = random(&graph, batch, 19, 2);
        // A mean far from zero, as a one-pass variance in f32 would not survive.
        for value in bindings.data.get_mut(&x).unwrap() {
            *value += 50.0;
        }
        // The mean is good to a unit in the last place of 50, the spread is about one half.
        check_norm(&graph, &bindings, most, 5e-5);
    }
}

#[test]
fn a_constant_channel_normalises_to_nothing() {
    let mut b = Builder::new("constant channel");
    let x = b.input("x", images(3, 7, 7));
    let stats = b.node(Op::BatchStats, &[x]);
    let gamma = b.param([3], param("gamma"));
    let beta = b.param([3], param("beta"));
    let norm = Pointwise::BatchNorm {
        eps: 1e-5,
        batch_stats: true,
    };
    let y = b.pointwise(norm, &[x, stats[0], stats[1], gamma, beta]);
    b.output("y", y);
    let graph = b.finish();
    let data = [
        (x, vec![100.0; 5 * 147]),
        (gamma, vec![1.0; 3]),
        (beta, vec![0.0; 3]),
    ];
    let bindings = Bindings {
        batch: 5,
        data: data.into(),
    };
    for (_, results) in common::on_every_tier(&graph, &bindings) {
        assert!(
            results["y"].iter().all(|&y| y == 0.0),
            "{:?}",
            &results["y"][..5]
        );
    }
}

fn cut(axis: usize, from: usize, to: usize) -> Slice {
    Slice { axis, from, to }
}

#[test]
fn joins_and_cuts() {
    let mut b = Builder::new("joins");
    let x = b.input("x", images(3, 4, 5));
    let y = b.input("y", images(18, 4, 5));
    let joined = b.op(Concat { axis: 0 }, &[x, y, x]);
    b.output("joined", joined);
    let middle = b.op(cut(0, 2, 20), &[joined]);
    b.output("cut", middle);
    let flat = b.op(Op::Reshape(vec![24 * 20]), &[joined]);
    b.output("flat", flat);
    let half = b.op(cut(0, 7, 100), &[flat]);
    b.output("half", half);
    let relu = b.pointwise(Pointwise::Relu, &[flat]);
    let soft = b.op(Op::Softmax, &[relu]);
    b.output("soft", soft);
    let graph = b.finish();
    check_norm(&graph, &random(&graph, 3, 23, 2), 3, SMOOTH);
}

#[test]
fn dropout_draws_the_mask_of_its_reference() {
    for (dims, rate) in [
        (vec![50], 0.5),
        (vec![3, 5, 7], 0.25),
        (vec![20, 3, 3], 0.9),
        (vec![6, 2, 2], 1.0),
    ] {
        let mut b = Builder::new(format!("dropout of {rate} over {dims:?}"));
        let x = b.input("x", Type::f32(Shape::batched(dims.clone())));
        let seed = b.step_scalar(netc::ir::StepScalar::Seed);
        let y = b.op(
            Op::Dropout(dropout::Dropout { rate, stream: 3 }),
            &[x, seed],
        );
        b.output("y", y);
        if dims.len() == 3 {
            let size = dims.iter().product();
            let flat = b.op(Op::Reshape(vec![size]), &[x]);
            let z = b.op(
                Op::Dropout(dropout::Dropout { rate, stream: 4 }),
                &[flat, seed],
            );
            b.output("z", z);
            // In a convolution's epilogue the elements are counted tile by tile.
            let filter = b.param([5, dims[0], 1, 1], param("f"));
            let conv = Conv2d {
                window: Window::new([1; 2]),
                groups: 1,
            };
            let map = b.op(Op::Conv2d(conv), &[x, filter]);
            let dropped = b.op(
                Op::Dropout(dropout::Dropout { rate, stream: 5 }),
                &[map, seed],
            );
            b.output("dropped", dropped);
        }
        let graph = b.finish();
        check_norm(&graph, &random(&graph, 9, 29, 2), 11, SMOOTH);
    }
}

/// What is written past the caches, and what is called for ahead of time, changes no result.
#[test]
fn maps_beyond_the_caches_are_those_within() {
    let mut b = Builder::new("maps");
    let x = b.input("x", images(32, 21, 18));
    let shift = b.param([32], param("shift"));
    let moved = b.pointwise(Pointwise::Add, &[x, shift]);
    let relu = b.pointwise(Pointwise::Relu, &[moved]);
    b.output("relu", relu);
    let window = Window {
        stride: [2, 2],
        pads: Pads::all(1),
        ..Window::new([3, 3])
    };
    let pooled = b.node(MaxPool { window }.into(), &[relu]);
    b.output("pooled", pooled[0]);
    let dy = b.input("dy", images(32, 11, 9));
    let input = [21, 18];
    let grad = MaxPoolGrad { window, input };
    let dx = b.op(grad, &[dy, pooled[1]]);
    b.output("dx", dx);
    let graph = b.finish();
    let bindings = random(&graph, 3, 5, 2);
    for target in targets() {
        let with = |caches, threads| {
            let how = How {
                target: Target::of(target.isa, caches),
                most: 3,
                threads,
                fuse: false,
            };
            compiled(&graph, &bindings, &how)
        };
        let options = Options {
            target: Target::of(target.isa, [1 << 10, 4 << 10, 8 << 10]),
            ..Options::new(3)
        };
        let plan = driver::compile(&graph, &options).expect("compiles").plan;
        let mut bodies = plan.kernels.iter().flat_map(|kernel| &kernel.bodies);
        assert!(bodies.any(Body::streams), "on {}", target.isa);
        let within = with([64 << 20; 3], 1);
        for threads in [1, 2] {
            let beyond = with([1 << 10, 4 << 10, 8 << 10], threads);
            assert_eq!(beyond, within, "on {}", target.isa);
        }
    }
}
