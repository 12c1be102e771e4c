//! Norms of filters, matrices and vectors as they lie in memory: compiled against the reference on every tier, with
//! groups, tails of lanes, and rows longer than a block.

mod common;

use common::{check_norm, param, random};
use netc::ir::{Builder, Graph, Shape, Type};
use netc::ops::magnitude::MaxNorm;
use netc::ops::{Conv2d, Op, Window};

/// A graph whose parameter lies as `used` makes it lie, with the sum of its squares and its rows held to a norm.
fn graph(name: &str, dims: &[usize], used: impl FnOnce(&mut Builder, netc::ir::ValueId)) -> Graph {
    let mut builder = Builder::new(name);
    let w = builder.param(dims, param("w"));
    used(&mut builder, w);
    let squares = builder.op(Op::SumSquares, &[w]);
    builder.output("squares", squares);
    // About half of all rows of numbers from -1 to 1 have a larger norm.
    let row: usize = dims[1..].iter().product();
    let limit = (row as f32 / 3.0).sqrt();
    let held = builder.op(MaxNorm { limit }, &[w]);
    builder.update(w, held);
    builder.finish()
}

fn check(graph: &Graph) {
    let bindings = random(graph, 2, 5, 2);
    // Sums of thousands of squares, made in blocks.
    check_norm(graph, &bindings, 2, 1e-6);
}

#[test]
fn filters() {
    let cases = [
        ([5, 3, 3, 3], 1),
        ([17, 40, 3, 3], 1),
        ([33, 1, 1, 1], 1),
        ([6, 2, 3, 3], 2),
        ([64, 1, 3, 3], 64),
        ([35, 3, 1, 3], 5),
    ];
    for ([k, c, r, s], groups) in cases {
        let conv = Conv2d {
            window: Window::new([r, s]),
            groups,
        };
        check(&graph("filter", &[k, c, r, s], |builder, w| {
            let x = builder.input("x", Type::f32(Shape::batched([c * groups, 4, 5])));
            let y = builder.op(conv, &[x, w]);
            builder.output("y", y);
        }));
    }
}

#[test]
fn matrices_and_vectors() {
    for (k, features) in [(1, 7), (10, 300), (16, 16), (40, 1)] {
        check(&graph("matrix", &[k, features], |builder, w| {
            let x = builder.input("x", Type::f32(Shape::batched([features])));
            let y = builder.op(Op::Dense, &[x, w]);
            builder.output("y", y);
        }));
    }
    for elements in [1, 3, 64, 67] {
        check(&graph("vector", &[elements], |_, _| {}));
    }
}
