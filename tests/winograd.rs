//! Convolutions by the method of Winograd: compiled code against the reference on every tier, and the pass that chooses.

mod common;

use std::sync::Arc;

use common::{bind, check_norm, param, random, reference, results, targets};
use netc::driver::{self, Options};
use netc::ir::{Builder, Graph, Shape, Type};
use netc::ops::winograd::{Form, WinogradConv, WinogradFilter, WinogradFilterGrad};
use netc::ops::{Conv2d, Conv2dFilterGrad, Conv2dInputGrad, Op, Pads, Pointwise, Window};
use netc::runtime::Session;

/// Channels, filters, height and width.
type Sizes = [usize; 4];

/// A convolution by tiles, with what follows it in registers.
fn tiled(form: Form, [c, k, h, w]: Sizes, pads: Pads, groups: usize) -> Graph {
    let mut b = Builder::new(format!("{form:?} {c} {k} {h} {w} {pads:?} {groups}"));
    let x = b.input("x", Type::f32(Shape::batched([c, h, w])));
    let filter = b.param([k, c / groups, form.kernel(), form.kernel()], param("w"));
    let bias = b.param([k], param("b"));
    let filter = b.op(
        WinogradFilter {
            form,
            groups,
            turned: false,
        },
        &[filter],
    );
    let y = b.op(WinogradConv { form, pads, groups }, &[x, filter]);
    let y = b.pointwise(Pointwise::Add, &[y, bias]);
    b.output("y", y);
    b.finish()
}

/// Of layers of 64 to 512 channels, whose direct sums are off by 4e-7 to 1.1e-6 of the result's norm, tiles of 2 x 2 are off
/// by 2.5e-7 to 7e-7 and tiles of 4 x 4 by 1.7e-6 to 3.5e-6: a factor of three or more is left. Those for filters of 5 x 5
/// have the points, and so the roundings, of the latter.
fn bound(form: Form) -> f64 {
    match form {
        Form::Two => 2e-6,
        Form::Four | Form::TwoOfFive => 1e-5,
    }
}

const SAME: Pads = Pads {
    top: 1,
    left: 1,
    bottom: 1,
    right: 1,
};

const UNEVEN: Pads = Pads {
    top: 0,
    left: 2,
    bottom: 1,
    right: 0,
};

/// With groups of whole vectors on every tier: sizes, groups, padding, images and the most of them.
const GROUPED: [(Sizes, usize, Pads, usize, usize); 4] = [
    ([32, 64, 9, 7], 2, SAME, 3, 3),
    ([48, 96, 6, 5], 3, UNEVEN, 1, 2),
    // Several blocks an image.
    ([32, 32, 38, 37], 2, SAME, 2, 2),
    // One block, whose outputs are in shares and panels.
    ([64, 512, 8, 8], 2, SAME, 1, 1),
];

#[test]
fn tiles_are_the_convolution_on_every_tier() {
    let cases: [(Sizes, Pads, usize, usize); 8] = [
        ([1, 1, 5, 5], Pads::all(0), 1, 1),
        ([16, 16, 8, 8], SAME, 1, 1),
        ([3, 5, 7, 9], SAME, 2, 3),
        ([20, 33, 6, 5], UNEVEN, 3, 3),
        ([17, 24, 13, 11], SAME, 1, 2),
        // Several blocks an image, and panels of filters.
        ([24, 100, 38, 37], SAME, 2, 2),
        // Several images a block, the last one short.
        ([8, 40, 4, 4], SAME, 5, 7),
        // Rows of scratch memory that are kept apart.
        ([256, 64, 5, 6], SAME, 1, 1),
    ];
    for form in Form::ALL {
        for (sizes, pads, batch, most) in cases {
            let graph = tiled(form, sizes, pads, 1);
            check_norm(&graph, &random(&graph, batch, 5, 3), most, bound(form));
        }
        for (sizes, groups, pads, batch, most) in GROUPED {
            let graph = tiled(form, sizes, pads, groups);
            check_norm(&graph, &random(&graph, batch, 5, 3), most, bound(form));
        }
    }
}

/// Scratch memory belongs to tasks, whose number follows from the shapes; and a task may begin within a block, where one
/// block's outputs are shared out.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let cases: [(Sizes, usize, usize); 4] = [
        ([32, 48, 50, 30], 3, 4),
        // One block: outputs in shares, the last one short.
        ([256, 250, 16, 16], 1, 1),
        // Two blocks, the second of one image.
        ([256, 128, 8, 16], 9, 9),
        // Outputs too few for shares: more blocks.
        ([256, 24, 28, 28], 1, 1),
    ];
    for (sizes, batch, most) in cases {
        for form in [Form::Four, Form::TwoOfFive] {
            let graph = tiled(form, sizes, SAME, 1);
            has_the_same_bits(&graph, "y", batch, most);
        }
    }
    for (sizes, groups, pads, batch, most) in GROUPED {
        let graph = tiled(Form::Four, sizes, pads, groups);
        has_the_same_bits(&graph, "y", batch, most);
    }
}

fn has_the_same_bits(graph: &Graph, output: &str, batch: usize, most: usize) {
    let bindings = random(graph, batch, 9, 3);
    for target in targets() {
        let options = Options {
            target,
            ..Options::new(most)
        };
        let program = Arc::new(driver::compile(graph, &options).expect("compiles"));
        let run = |threads| {
            let mut session = Session::new(program.clone(), threads).expect("starts");
            bind(graph, &bindings, &mut session);
            session.run(batch).expect("runs");
            // Once more, the scratch memory not being zero now.
            session.run(batch).expect("runs");
            results(graph, &session, batch)[output]
                .iter()
                .map(|x| x.to_bits())
                .collect::<Vec<u32>>()
        };
        let one = run(1);
        for threads in [2, 3, 5] {
            assert!(run(threads) == one, "{} on {threads} threads", graph.name);
        }
    }
}

/// The gradient by a filter.
fn filter_grad(form: Form, [c, k, h, w]: Sizes, pads: Pads, groups: usize) -> Graph {
    let window = Window {
        pads,
        ..Window::new([form.kernel(); 2])
    };
    let [height, width] = window.output([h, w]).expect("fits");
    let mut b = Builder::new(format!(
        "gradient {form:?} {c} {k} {h} {w} {pads:?} {groups}"
    ));
    let x = b.input("x", Type::f32(Shape::batched([c, h, w])));
    let dy = b.input("dy", Type::f32(Shape::batched([k, height, width])));
    let dw = b.op(WinogradFilterGrad { form, pads, groups }, &[x, dy]);
    b.output("dw", dw);
    b.finish()
}

#[test]
fn gradients_by_the_filter_are_right_on_every_tier() {
    let cases: [(Sizes, Pads, usize, usize); 9] = [
        ([1, 1, 5, 5], Pads::all(0), 1, 1),
        ([16, 16, 8, 8], SAME, 1, 1),
        ([3, 5, 7, 9], SAME, 2, 3),
        ([20, 33, 6, 5], UNEVEN, 3, 3),
        ([17, 24, 13, 11], SAME, 1, 2),
        // Several blocks an image, and chunks of images.
        ([24, 40, 38, 37], SAME, 5, 5),
        // Several images a block, the last one short.
        ([8, 40, 4, 4], SAME, 5, 7),
        // Several units, of some channels and of some filters.
        ([96, 200, 5, 6], SAME, 3, 3),
        // More chunks of images for the largest batch than this one has.
        ([16, 16, 6, 6], SAME, 1, 40),
    ];
    for form in Form::ALL {
        for (sizes, pads, batch, most) in cases {
            let graph = filter_grad(form, sizes, pads, 1);
            check_norm(&graph, &random(&graph, batch, 5, 3), most, bound(form));
        }
        for (sizes, groups, pads, batch, most) in GROUPED {
            let graph = filter_grad(form, sizes, pads, groups);
            check_norm(&graph, &random(&graph, batch, 5, 3), most, bound(form));
        }
    }
}

#[test]
fn gradients_by_the_filter_have_the_same_bits_on_any_number_of_threads() {
    let cases: [(Sizes, usize, usize); 3] = [
        ([32, 48, 50, 30], 3, 4),
        ([256, 250, 8, 8], 9, 9),
        ([16, 24, 12, 12], 31, 32),
    ];
    for (sizes, batch, most) in cases {
        for form in [Form::Four, Form::TwoOfFive] {
            let graph = filter_grad(form, sizes, SAME, 1);
            has_the_same_bits(&graph, "dw", batch, most);
        }
    }
    for (sizes, groups, pads, batch, most) in GROUPED {
        let graph = filter_grad(Form::Four, sizes, pads, groups);
        has_the_same_bits(&graph, "dw", batch, most);
    }
}

fn direct(sizes: Sizes, window: Window) -> Graph {
    grouped(sizes, window, 1)
}

fn grouped([c, k, h, w]: Sizes, window: Window, groups: usize) -> Graph {
    let mut b = Builder::new("direct");
    let x = b.input("x", Type::f32(Shape::batched([c, h, w])));
    let [rows, columns] = window.kernel;
    let filter = b.param([k, c / groups, rows, columns], param("w"));
    let y = b.op(Conv2d { window, groups }, &[x, filter]);
    b.output("y", y);
    b.finish()
}

fn uses_tiles(graph: &Graph, winograd: bool) -> bool {
    let options = Options {
        winograd,
        ..Options::new(1)
    };
    let prepared = driver::prepare(graph, &options);
    let mut nodes = prepared.graph.nodes.iter();
    nodes.any(|(_, node)| matches!(node.op, Op::WinogradConv(_) | Op::WinogradFilterGrad(_)))
}

#[test]
fn the_pass_takes_what_pays_and_leaves_the_rest() {
    let window = Window {
        pads: SAME,
        ..Window::new([3, 3])
    };
    let large = direct([64, 64, 56, 56], window);
    assert!(uses_tiles(&large, true));
    assert!(!uses_tiles(&large, false));
    let strided = Window {
        stride: [2, 2],
        ..window
    };
    assert!(!uses_tiles(&direct([64, 64, 56, 56], strided), true));
    // Three channels: the transforms would cost more than they save.
    assert!(!uses_tiles(&direct([3, 8, 56, 56], window), true));
    let of_five = Window {
        pads: Pads::all(2),
        ..Window::new([5, 5])
    };
    assert!(uses_tiles(&direct([64, 96, 27, 27], of_five), true));
    assert!(!uses_tiles(&direct([1, 6, 28, 28], of_five), true));
    assert!(!uses_tiles(
        &direct([64, 64, 56, 56], Window::new([7, 7])),
        true
    ));
    // Groups of whole vectors, and of less.
    assert!(uses_tiles(&grouped([128, 128, 28, 28], window, 2), true));
    assert!(!uses_tiles(&grouped([128, 128, 28, 28], window, 32), true));
    // A filter that changes is transformed with every batch, which few pixels are not worth.
    assert!(uses_tiles(&changing([64, 64, 56, 56], window), true));
    assert!(!uses_tiles(&changing([256, 256, 7, 7], window), true));
}

/// The pass makes the gradient by the filter of a convolution by tiles where that pays.
#[test]
fn gradients_by_the_filter_are_made_by_tiles() {
    let cases = [
        ([64, 64, 28, 28], 3, [1, 1], true),
        ([64, 64, 28, 28], 5, [1, 1], true),
        ([64, 64, 28, 28], 3, [2, 2], false),
        ([3, 8, 28, 28], 3, [1, 1], false),
    ];
    for ([c, k, h, w], kernel, stride, by_tiles) in cases {
        let window = Window {
            pads: SAME,
            stride,
            ..Window::new([kernel, kernel])
        };
        let conv = Conv2d { window, groups: 1 };
        let [height, width] = window.output([h, w]).expect("fits");
        let mut b = Builder::new("gradient");
        let x = b.input("x", Type::f32(Shape::batched([c, h, w])));
        let dy = b.input("dy", Type::f32(Shape::batched([k, height, width])));
        let dw = b.op(Conv2dFilterGrad { conv }, &[x, dy]);
        b.output("dw", dw);
        let graph = b.finish();
        assert_eq!(uses_tiles(&graph, true), by_tiles, "{c} {k} {stride:?}");
        let bindings = random(&graph, 4, 21, 3);
        check_norm(&graph, &bindings, 4, bound(Form::Four));
    }
}

/// A step that changes its filter.
fn changing([c, k, h, w]: Sizes, window: Window) -> Graph {
    let mut b = Builder::new("changing");
    let x = b.input("x", Type::f32(Shape::batched([c, h, w])));
    let filter = b.param([k, c, 3, 3], param("w"));
    let y = b.op(Conv2d { window, groups: 1 }, &[x, filter]);
    b.output("y", y);
    let half = b.constant(0.5);
    let next = b.pointwise(Pointwise::Mul, &[filter, half]);
    b.update(filter, next);
    b.finish()
}

/// The gradient by the input is made by tiles too, and is that of the direct sum.
#[test]
fn gradients_by_the_input_are_turned_convolutions() {
    let cases = [
        ([40, 48, 36, 30], 3, SAME, 2, true),
        ([48, 40, 30, 37], 3, UNEVEN, 3, true),
        ([48, 40, 30, 30], 3, Pads::all(3), 1, false),
        ([48, 40, 30, 37], 5, UNEVEN, 3, true),
        ([48, 40, 30, 37], 5, Pads::all(3), 2, true),
        ([48, 40, 30, 30], 5, Pads::all(5), 1, false),
    ];
    let cases = cases
        .map(|(sizes, kernel, pads, batch, by_tiles)| (sizes, kernel, pads, batch, by_tiles, 1));
    let of_groups = [
        ([64, 96, 30, 37], 3, SAME, 2, true, 2),
        ([96, 64, 30, 30], 5, UNEVEN, 2, true, 2),
    ];
    for ([c, k, h, w], kernel, pads, batch, by_tiles, groups) in cases.into_iter().chain(of_groups)
    {
        let window = Window {
            pads,
            ..Window::new([kernel, kernel])
        };
        let conv = Conv2d { window, groups };
        let [height, width] = window.output([h, w]).expect("fits");
        let mut b = Builder::new(format!("gradient {pads:?} {groups}"));
        let dy = b.input("dy", Type::f32(Shape::batched([k, height, width])));
        let filter = b.param([k, c / groups, kernel, kernel], param("w"));
        let input = [h, w];
        let dx = b.op(Conv2dInputGrad { conv, input }, &[dy, filter]);
        b.output("dx", dx);
        let graph = b.finish();
        assert_eq!(uses_tiles(&graph, true), by_tiles, "{pads:?}");
        let bindings = random(&graph, batch, 21, 3);
        let exact = reference::<f64>(&graph, &bindings);
        for target in targets() {
            let options = Options {
                target,
                ..Options::new(batch)
            };
            let program = driver::compile(&graph, &options).expect("compiles");
            let mut session = Session::new(Arc::new(program), 2).expect("starts");
            bind(&graph, &bindings, &mut session);
            session.run(batch).expect("runs");
            let found = &results(&graph, &session, batch)["dx"];
            let error = common::distance(found, exact[&dx].data());
            assert!(error < bound(Form::Four), "{pads:?}: off by {error:.3e}");
        }
    }
}

/// What the pass makes of a net is what the net says, a new set of weights included.
#[test]
fn a_session_follows_its_weights() {
    let window = Window {
        pads: SAME,
        ..Window::new([3, 3])
    };
    let graph = direct([32, 32, 28, 28], window);
    assert!(uses_tiles(&graph, true));
    let program = driver::compile(&graph, &Options::new(1)).expect("compiles");
    let mut session = Session::new(Arc::new(program), 1).expect("starts");
    for seed in [3, 4] {
        let bindings = random(&graph, 1, seed, 3);
        bind(&graph, &bindings, &mut session);
        session.run(1).expect("runs");
        let y = graph.output("y").expect("there is one");
        let exact = reference::<f64>(&graph, &bindings);
        let error = common::distance(&results(&graph, &session, 1)["y"], exact[&y].data());
        assert!(error < bound(Form::Four), "off by {error:.3e} of its norm");
    }
}
