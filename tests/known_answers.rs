//! Small nets whose answers follow from what they are given, without a reference that computes them: compiled code on every
//! tier of this machine.

mod common;

use std::sync::Arc;

use common::{How, bind, compiled, load, random, render, targets};
use netc::driver::{self, Options};
use netc::ir::{Graph, ParamRole, ValueKind};
use netc::runtime::Session;
use netc::sema::{self, Mode};

/// The net of a text, for use.
fn forward(text: &str) -> Graph {
    let (program, files) = load("known.net", text);
    sema::elaborate(&program, &files, None, &[], Mode::Infer)
        .unwrap_or_else(|found| panic!("{}", render(&found, &files)))
        .graph
}

/// Element-wise results may lie where their operand lay, but not where somebody reads the operand later.
#[test]
fn a_value_that_is_read_later_outlives_its_relu() {
    for text in [
        "net Conv {
            input [3, 5, 4]
            conv(5, 3, pad = 1) as y
            add { y -> relu; y }
        }",
        "net Depthwise {
            input [5, 5, 4]
            dwconv(3, pad = 1) as y
            add { y -> relu; y }
        }",
        "net Dense {
            input [6]
            dense(7) as y
            add { y -> relu; y }
        }",
        "net Before {
            input [3, 5, 4]
            conv(5, 3, pad = 1) as y
            add { y; y -> relu }
        }",
        "net Behind {
            input [3, 5, 4]
            conv(5, 3, pad = 1) as y
            relu -> conv(5, 1, bias = false)
            add { id; y -> relu; y }
        }",
    ] {
        let graph = forward(text);
        let mut bindings = random(&graph, 3, 5, 2);
        for (id, value) in graph.values.iter() {
            if let ValueKind::Param(param) = &value.kind {
                let number = match param.role {
                    ParamRole::Bias => -2.0,
                    _ => 0.0,
                };
                let numbers = vec![number; value.ty.shape.elements()];
                bindings.data.insert(id, numbers);
            }
        }
        let wanted = vec![-2.0_f32; 3 * graph.ty(graph.outputs[0].value).shape.elements()];
        for target in targets() {
            for (threads, fuse) in [(1, true), (2, true), (1, false)] {
                let how = How {
                    target: target.clone(),
                    most: 4,
                    threads,
                    fuse,
                };
                let results = compiled(&graph, &bindings, &how);
                let (isa, name) = (target.isa, &graph.name);
                assert_eq!(
                    results["output"], wanted,
                    "{name} on {isa} with {threads} threads, fuse {fuse}"
                );
            }
        }
    }
}

/// Images of a batch do not touch one another, and the code for many of them rounds as that for one.
#[test]
fn a_batch_is_as_many_images_alone() {
    const BATCH: usize = 64;
    let graph = forward("net Small { input [4]; dense(8) -> tanh -> dense(1) }");
    let (x, _) = graph.inputs().next().expect("there is one");
    let mut bindings = random(&graph, BATCH, 7, 2);
    // Answers stay near one, so that the bound is some units in their last place.
    for (id, data) in &mut bindings.data {
        if *id != x {
            data.iter_mut().for_each(|weight| *weight *= 0.5);
        }
    }
    for target in targets() {
        let isa = target.isa;
        let session = |most| {
            let options = Options {
                target: target.clone(),
                ..Options::new(most)
            };
            let program = driver::compile(&graph, &options).expect("compiles");
            Session::new(Arc::new(program), 1).expect("starts")
        };
        let mut whole = session(BATCH);
        bind(&graph, &bindings, &mut whole);
        whole.run(BATCH).expect("runs");
        let whole = whole.output("output", BATCH).expect("is there");
        assert_eq!(whole.len(), BATCH);
        let mut alone = session(1);
        for (image, wanted) in whole.iter().enumerate() {
            let mut single = bindings.clone();
            single.batch = 1;
            single
                .data
                .insert(x, bindings.data[&x][4 * image..][..4].to_vec());
            bind(&graph, &single, &mut alone);
            alone.run(1).expect("runs");
            let found = alone.output("output", 1).expect("is there");
            assert!(
                (found[0] - wanted).abs() <= 1e-6,
                "image {image} on {isa}: {} alone, {wanted} among {BATCH}",
                found[0]
            );
        }
    }
}
