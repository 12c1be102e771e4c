//! Operators that move, join and reduce data: compiled code against their references, on every tier of
//! this machine, fused and not, over sizes with and without tails, and with operands that lie plainly,
//! with a halo, with pixels set apart, or as a flattened map.

mod common;

use common::{Bindings, check_norm, param, random};
use netc::ir::{Builder, Graph, Shape, Type, ValueId};
use netc::ops::{
    Concat, Conv2d, Index, IndexGrad, Lrn, Op, Over, Pad, Pads, Pointwise, ReduceMax,
    ReduceMaxGrad, Slice, Window,
};

/// Sums in f32 of up to a few thousand terms near one, and functions good to a few units in the last
/// place: a tensor's norm is off by less than this.
const SMOOTH: f64 = 2e-6;

/// Copies and maxima change nothing.
const EXACT: f64 = 0.0;

fn images(dims: &[usize]) -> Type {
    Type::f32(Shape::batched(dims))
}

/// Sizes of maps: less than a vector, whole vectors, tails of every tier, pixels that would conflict in
/// the cache, one channel, one pixel.
const MAPS: [[usize; 3]; 8] = [
    [3, 5, 7],
    [16, 4, 3],
    [37, 3, 2],
    [256, 2, 3],
    [1, 6, 9],
    [1, 3, 70],
    [20, 1, 1],
    [6, 1, 5],
];

/// An input, and something that gives it a halo if it is a map: a padded convolution that reads it.
fn input(b: &mut Builder, name: &str, dims: &[usize]) -> ValueId {
    let x = b.input(name, images(dims));
    with_halo(b, name, x);
    x
}

fn with_halo(b: &mut Builder, name: &str, x: ValueId) {
    if let &[c, _, _] = b.graph().dims(x) {
        let filter = b.param([2, c, 3, 3], param(&format!("{name}.filter")));
        let conv = Conv2d {
            window: Window {
                pads: Pads::all(1),
                ..Window::new([3, 3])
            },
            groups: 1,
        };
        let y = b.op(conv, &[x, filter]);
        b.output(format!("{name}.read"), y);
    }
}

fn output(b: &mut Builder, name: &str, y: ValueId) {
    b.output(name, y);
    with_halo(b, name, y);
}

fn check(graph: &Graph, bound: f64) {
    for (batch, most) in [(1, 1), (3, 4)] {
        check_norm(graph, &random(graph, batch, 41, 3), most, bound);
    }
}

/// Convolutions stand beside what is looked at; sums of up to 13,500 terms of either sign round.
const READERS: f64 = 5e-6;

#[test]
fn sums_to_every_shape() {
    for dims in MAPS {
        let mut b = Builder::new(format!("sums of {dims:?}"));
        let x = input(&mut b, "x", &dims);
        let [c, h, w] = dims;
        for batched in [true, false] {
            for kept in 0..8 {
                let size = |axis: usize, size: usize| if kept >> axis & 1 == 1 { size } else { 1 };
                let to = [size(0, c), size(1, h), size(2, w)];
                for axes in 0..=3 {
                    if to[axes..].iter().all(|&size| size == 1) {
                        let dims = to[..axes].to_vec();
                        let y = b.op(
                            Op::SumTo(Shape {
                                batched,
                                dims: dims.into(),
                            }),
                            &[x],
                        );
                        b.output(format!("{batched} {kept} {axes}"), y);
                    }
                }
            }
        }
        let graph = b.finish();
        for (batch, most) in [(1, 1), (3, 3), (40, 64)] {
            let mut bindings = random(&graph, batch, 43, 2);
            // Positive terms, so that no sum cancels and the norm says something of each.
            for value in bindings.data.values_mut().flatten() {
                *value = value.abs();
            }
            check_norm(&graph, &bindings, most, SMOOTH);
        }
    }
}

#[test]
fn sums_of_flattened_maps_and_of_four_axes() {
    let mut b = Builder::new("flattened");
    let x = input(&mut b, "x", &[5, 3, 2]);
    let flat = b.op(Op::Reshape(vec![30]), &[x]);
    let relu = b.pointwise(Pointwise::Sigmoid, &[flat]);
    for (name, shape) in [
        ("image", Shape::batched([])),
        ("one", Shape::batched([1])),
        ("all", Shape::single([])),
        ("features", Shape::single([30])),
    ] {
        let y = b.op(Op::SumTo(shape), &[relu]);
        b.output(name, y);
    }
    let bias = b.param([30], param("bias"));
    let shifted = b.pointwise(Pointwise::Mul, &[relu, bias]);
    b.output("shifted", shifted);
    let four = b.op(Op::Reshape(vec![5, 3, 2, 1]), &[x]);
    let four = b.op(Op::Reshape(vec![2, 3, 1, 5]), &[four]);
    let four = b.pointwise(Pointwise::Square, &[four]);
    for dims in [
        vec![2, 1, 1, 5],
        vec![1, 3],
        vec![2, 3, 1, 1],
        vec![1, 1, 1, 5],
    ] {
        for batched in [true, false] {
            let dims = dims.clone();
            let name = format!("{dims:?} {batched}");
            let y = b.op(
                Op::SumTo(Shape {
                    batched,
                    dims: dims.into(),
                }),
                &[four],
            );
            b.output(name, y);
        }
    }
    check(&b.finish(), SMOOTH);
}

/// A running sum in f32 would stop at 2^24 ones, and of tenths, which have no exact form, lose a part long before that.
#[test]
fn a_mean_of_a_large_map_is_exact() {
    for (channels, size) in [(1, 5000), (3, 2000), (16, 1000)] {
        let mut b = Builder::new(format!("large map of {channels} channels"));
        let x = b.input("x", images(&[channels, size, size]));
        let sum = b.op(Op::SumTo(Shape::batched([channels])), &[x]);
        b.output("sum", sum);
        let graph = b.finish();
        let cells = size * size;
        for (value, allowed) in [(1.0_f32, 0.0), (0.1, 1e-5)] {
            let bindings = Bindings {
                batch: 1,
                data: [(x, vec![value; channels * cells])].into(),
            };
            let exact = f64::from(value) * cells as f64;
            for (isa, results) in common::on_every_tier(&graph, &bindings) {
                assert_eq!(results["sum"].len(), channels);
                for &sum in &results["sum"] {
                    let error = (f64::from(sum) / exact - 1.0).abs();
                    assert!(
                        error <= allowed,
                        "{} on {isa}: {cells} times {value} are {sum}, off by {error:.3e}",
                        graph.name
                    );
                }
            }
        }
    }
}

#[test]
fn stretching_along_every_axis() {
    for dims in MAPS {
        let mut b = Builder::new(format!("stretched to {dims:?}"));
        let [c, h, w] = dims;
        let x = input(&mut b, "x", &dims);
        for kept in 0..8 {
            let size = |axis: usize, size: usize| if kept >> axis & 1 == 1 { size } else { 1 };
            let narrow = [size(0, c), size(1, h), size(2, w)];
            let a = b.input(format!("a{kept}"), images(&narrow));
            let p = b.param(narrow, param(&format!("p{kept}")));
            for (name, operand) in [("a", a), ("p", p)] {
                let y = b.pointwise(Pointwise::Mul, &[x, operand]);
                output(&mut b, &format!("{name}{kept} on the right"), y);
                let y = b.pointwise(Pointwise::Sub, &[operand, x]);
                b.output(format!("{name}{kept} on the left"), y);
                let wide = b.op(Op::Expand(Shape::batched(dims)), &[operand]);
                b.output(format!("{name}{kept} alone"), wide);
            }
        }
        // Each has an axis that the other lacks.
        let column = b.input("column", images(&[c, h, 1]));
        let row = b.param([1, 1, w], param("row"));
        let y = b.pointwise(Pointwise::Mul, &[column, row]);
        output(&mut b, "both", y);
        check(&b.finish(), READERS);
    }
}

#[test]
fn stretching_of_more_than_three_axes() {
    let mut b = Builder::new("four axes");
    let flat = b.input("x", images(&[2 * 3 * 4 * 5]));
    let x = b.op(Op::Reshape(vec![2, 3, 4, 5]), &[flat]);
    for (index, dims) in [
        vec![2, 1, 4, 1],
        vec![1, 3, 1, 5],
        vec![2, 3, 4],
        vec![2, 3, 1, 1],
        vec![1, 1, 4, 5],
    ]
    .into_iter()
    .enumerate()
    {
        let p = b.param(dims.clone(), param(&format!("p{index}")));
        let y = b.pointwise(Pointwise::Mul, &[x, p]);
        let back = flat_back(&mut b, x);
        let y = b.pointwise(Pointwise::Add, &[y, back]);
        b.output(format!("{dims:?}"), y);
        let wide = b.op(Op::Expand(Shape::single([2, 3, 4, 5])), &[p]);
        b.output(format!("{dims:?} alone"), wide);
    }
    check(&b.finish(), SMOOTH);
}

fn flat_back(b: &mut Builder, x: ValueId) -> ValueId {
    let flat = b.op(Op::Reshape(vec![120]), &[x]);
    b.op(Op::Reshape(vec![2, 3, 4, 5]), &[flat])
}

#[test]
fn joins_along_every_axis() {
    for dims in MAPS {
        for axis in 0..3 {
            let mut b = Builder::new(format!("joins of {dims:?} along {axis}"));
            let mut other = dims;
            other[axis] += 2;
            let x = input(&mut b, "x", &dims);
            let y = input(&mut b, "y", &other);
            let joined = b.op(Concat { axis }, &[x, y, x]);
            output(&mut b, "joined", joined);
            let size = b.graph().dims(joined)[axis];
            for (from, to) in [(0, 1), (1, size), (size / 2, size / 2 + 2)] {
                let cut = b.op(Slice { axis, from, to }, &[joined]);
                output(&mut b, &format!("{from} to {to}"), cut);
                let mut pad = Pad {
                    before: vec![0; 3],
                    after: vec![0; 3],
                    value: 0.0,
                };
                pad.before[axis] = from;
                pad.after[axis] = size - to;
                let back = b.op(pad, &[cut]);
                output(&mut b, &format!("{from} to {to} and back"), back);
            }
            check(&b.finish(), READERS);
        }
    }
}

#[test]
fn a_number_on_all_sides() {
    for dims in MAPS {
        let mut b = Builder::new(format!("{dims:?} in a frame"));
        let x = input(&mut b, "x", &dims);
        let pad = Pad {
            before: vec![1, 2, 0],
            after: vec![0, 1, 3],
            value: -1.5,
        };
        let y = b.op(pad, &[x]);
        output(&mut b, "y", y);
        check(&b.finish(), READERS);
    }
}

#[test]
fn axes_in_every_order() {
    for dims in MAPS {
        let mut b = Builder::new(format!("orders of {dims:?}"));
        let x = input(&mut b, "x", &dims);
        for axes in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let y = b.op(Op::Transpose(axes.to_vec()), &[x]);
            output(&mut b, &format!("{axes:?}"), y);
        }
        check(&b.finish(), READERS);
    }
}

#[test]
fn every_size_with_as_many_elements() {
    let sizes = [
        vec![12, 5, 6],
        vec![360],
        vec![6, 60],
        vec![5, 8, 9],
        vec![1, 18, 20],
        vec![12, 30, 1],
        vec![24, 15],
        vec![3, 4, 5, 6],
        vec![360, 1, 1],
        vec![12, 5, 6],
    ];
    for from in &sizes {
        let mut b = Builder::new(format!("{from:?} reshaped"));
        let x = b.input("x", images(&[360]));
        let x = b.op(Op::Reshape(from.clone()), &[x]);
        let x = b.pointwise(Pointwise::Neg, &[x]);
        with_halo(&mut b, "x", x);
        for (index, to) in sizes.iter().enumerate() {
            let y = b.op(Op::Reshape(to.clone()), &[x]);
            output(&mut b, &format!("{index} {to:?}"), y);
            let z = b.pointwise(Pointwise::Neg, &[y]);
            let z = b.op(Op::Reshape(vec![360]), &[z]);
            b.output(format!("{index} {to:?} and back"), z);
        }
        check(&b.finish(), READERS);
    }
}

#[test]
fn maxima_and_their_places() {
    for dims in MAPS {
        let [c, ..] = dims;
        let pieces = (1..=c).filter(|pieces| c.is_multiple_of(*pieces));
        let overs = pieces.map(|pieces| Over::Channels { pieces }).chain([
            Over::Height,
            Over::Width,
            Over::Space,
        ]);
        for over in overs {
            let mut b = Builder::new(format!("maximum of {dims:?} {over:?}"));
            let x = input(&mut b, "x", &dims);
            let made = b.node(ReduceMax { over }.into(), &[x]);
            output(&mut b, "y", made[0]);
            let grad = ReduceMaxGrad {
                over,
                input: dims.to_vec(),
            };
            let doubled = b.pointwise(Pointwise::Add, &[made[0], made[0]]);
            let dx = b.op(grad, &[doubled, made[1]]);
            output(&mut b, "dx", dx);
            let graph = b.finish();
            for (batch, most) in [(1, 1), (3, 4)] {
                let mut bindings = random(&graph, batch, 47, 2);
                // Few distinct numbers make many ties, which go to the first.
                for value in bindings.data.get_mut(&x).unwrap() {
                    *value = (*value * 3.0).round();
                }
                check_norm(&graph, &bindings, most, READERS);
            }
        }
    }
}

#[test]
fn no_maximum_hides_a_nan() {
    for dims in [[5, 3, 4], [16, 1, 2], [1, 2, 35], [33, 2, 2]] {
        let elements: usize = dims.iter().product();
        for over in [
            Over::Channels { pieces: dims[0] },
            Over::Height,
            Over::Width,
            Over::Space,
        ] {
            let mut b = Builder::new(format!("NaN in {dims:?} {over:?}"));
            let x = b.input("x", images(&dims));
            let made = b.node(ReduceMax { over }.into(), &[x]);
            b.output("y", made[0]);
            let grad = ReduceMaxGrad {
                over,
                input: dims.to_vec(),
            };
            let ones = b.constant(1.0);
            let shape = b.graph().ty(made[0]).shape.clone();
            let dy = b.op(Op::Expand(shape), &[ones]);
            let dx = b.op(grad, &[dy, made[1]]);
            b.output("dx", dx);
            let graph = b.finish();
            for nans in [
                vec![0],
                vec![elements - 1],
                vec![elements / 2, elements / 2 + 1],
            ] {
                let mut bindings = random(&graph, 2, 53, 2);
                let data = bindings.data.get_mut(&x).unwrap();
                for nan in nans {
                    data[elements + nan] = f32::NAN;
                }
                check_norm(&graph, &bindings, 2, EXACT);
            }
        }
    }
}

/// All elements of some places are minus infinity: the first of them is the maximum.
#[test]
fn a_maximum_of_minus_infinity_has_a_place() {
    for dims in [[5, 2, 2], [1, 1, 20]] {
        for over in [Over::Channels { pieces: dims[0] }, Over::Space] {
            let mut b = Builder::new(format!("minus infinity in {dims:?} {over:?}"));
            let x = b.input("x", images(&dims));
            let made = b.node(ReduceMax { over }.into(), &[x]);
            let grad = ReduceMaxGrad {
                over,
                input: dims.to_vec(),
            };
            let dy = b.input("dy", b.graph().ty(made[0]).clone());
            let dx = b.op(grad, &[dy, made[1]]);
            b.output("dx", dx);
            let graph = b.finish();
            let mut bindings = random(&graph, 1, 59, 2);
            bindings.data.get_mut(&x).unwrap().fill(f32::NEG_INFINITY);
            check_norm(&graph, &bindings, 1, EXACT);
        }
    }
}

#[test]
fn channels_by_lists() {
    for (c, items) in [
        (6, vec![0, 3, 1, 4, 2, 5]),
        (5, vec![4, 4, 0, 2, 4]),
        (40, (0..40).rev().collect()),
        (37, (0..37).map(|c| c * 11 % 37).collect()),
        (64, (0..64).map(|c| c % 4 * 16 + c / 4).collect()),
        (3, vec![1]),
        // More than one body writes out.
        (700, (0..1500).map(|c| c * c % 700).collect::<Vec<usize>>()),
    ] {
        for [h, w] in [[1, 1], [3, 4]] {
            let mut b = Builder::new(format!("{} of {c} channels, {h} x {w}", items.len()));
            let items: std::sync::Arc<[usize]> = items.clone().into();
            let x = input(&mut b, "x", &[c, h, w]);
            let index = Index {
                items: items.clone(),
            };
            let y = b.op(index, &[x]);
            output(&mut b, "y", y);
            let grad = IndexGrad { items, channels: c };
            let dx = b.op(grad, &[y]);
            output(&mut b, "dx", dx);
            check(&b.finish(), READERS);
        }
    }
}

#[test]
fn normalising_across_channels() {
    for dims in MAPS {
        for (size, beta, by_window) in [
            (1, 1.0, false),
            (2, 0.5, true),
            (5, 0.75, false),
            (9, 0.75, true),
            (40, 2.0, false),
        ] {
            let mut b = Builder::new(format!("lrn of {dims:?} over {size}"));
            let lrn = Lrn {
                size,
                alpha: 0.3,
                beta,
                k: 1.5,
                by_window,
            };
            let x = input(&mut b, "x", &dims);
            let y = b.op(lrn, &[x]);
            output(&mut b, "y", y);
            let dy = input(&mut b, "dy", &dims);
            let Op::Lrn(forward) = Op::from(lrn) else {
                unreachable!()
            };
            let dx = b.op(Op::LrnGrad(netc::ops::lrn::LrnGrad(forward.0)), &[x, dy]);
            output(&mut b, "dx", dx);
            check(&b.finish(), SMOOTH);
        }
    }
}

#[test]
fn softmaxes_of_maps() {
    for dims in MAPS {
        let mut b = Builder::new(format!("softmaxes of {dims:?}"));
        let x = input(&mut b, "x", &dims);
        let dy = input(&mut b, "dy", &dims);
        let y = b.op(Op::LogSoftmax, &[x]);
        output(&mut b, "log", y);
        let dx = b.op(Op::LogSoftmaxGrad, &[y, dy]);
        output(&mut b, "dlog", dx);
        let y = b.op(Op::Softmax, &[x]);
        output(&mut b, "softmax", y);
        let dx = b.op(Op::SoftmaxGrad, &[y, dy]);
        output(&mut b, "dsoftmax", dx);
        // Of all features of a map that is flattened.
        let flat = b.op(Op::Reshape(vec![dims.iter().product()]), &[x]);
        let y = b.op(Op::LogSoftmax, &[flat]);
        b.output("flat", y);
        check(&b.finish(), SMOOTH);
    }
}
