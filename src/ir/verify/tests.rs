use std::error::Error;

use super::verify;
use crate::ir::arena::Id;
use crate::ir::{
    Builder, Graph, Halo, Init, Layout, NodeId, Output, Param, ParamRole, Shape, Type, Update,
    ValueId,
};
use crate::ops::{Op, Pointwise};

/// `y = relu(x · w)`, w becoming `w - y`'s sum over the batch.
fn dense() -> Graph {
    let mut builder = Builder::new("dense");
    let x = builder.input("x", Type::f32(Shape::batched([3])));
    let weight = Param {
        name: "fc.weight".to_owned(),
        role: ParamRole::Weight,
        init: Init::Constant(0.0),
    };
    let w = builder.param([3, 3], weight);
    builder.set_origin("fc");
    let product = builder.op(Op::Dense, &[x, w]);
    let y = builder.pointwise(Pointwise::Relu, &[product]);
    let sum = builder.op(Op::SumTo(Shape::single([3])), &[y]);
    let next = builder.pointwise(Pointwise::Sub, &[w, sum]);
    builder.output("y", y);
    builder.update(w, next);
    builder.finish()
}

fn value(index: usize) -> ValueId {
    ValueId::new(index)
}

/// What is wrong with the graph after a change.
fn wrong(change: impl FnOnce(&mut Graph)) -> String {
    let mut graph = dense();
    change(&mut graph);
    let error = verify(&graph).expect_err("a rule is broken");
    let reason = error.source().map(|source| format!(": {source}"));
    format!("{error}{}", reason.unwrap_or_default())
}

#[test]
fn a_sound_graph() {
    assert_eq!(verify(&dense()), Ok(()));
    assert_eq!(verify(&Graph::default()), Ok(()));
}

#[test]
fn nodes() {
    let node = NodeId::new(1);
    let messages = [
        wrong(|graph| graph.nodes[node].inputs[0] = value(99)),
        wrong(|graph| graph.nodes[node].inputs[0] = value(3)),
        wrong(|graph| graph.nodes[node].outputs[0] = value(2)),
        wrong(|graph| graph.nodes[node].inputs.clear()),
        wrong(|graph| graph.values[value(3)].ty = Type::f32(Shape::batched([4]))),
        wrong(|graph| graph.nodes[node].outputs.push(value(3))),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
    node n1, `relu` of `fc`: reads %99, which is no value
    node n1, `relu` of `fc`: reads %3 before it is made
    node n1, `relu` of `fc`: makes %2, which is not its own
    node n1, `relu` of `fc`: its inputs do not fit: takes 1 inputs, not 0
    node n1, `relu` of `fc`: makes ["f32[N, 4]"] where its rule says ["f32[N, 3]"]
    node n1, `relu` of `fc`: makes %3, which is not its own
    "#);
}

#[test]
fn values() {
    let orphan = wrong(|graph| {
        let copy = graph.values[value(3)].clone();
        graph.values.push(copy);
    });
    let narrow = wrong(|graph| {
        graph.values[value(3)].layout = Layout::Nhwc {
            map: [3, 1, 1],
            pixel: 2,
            halo: Halo::default(),
        };
    });
    let small = wrong(|graph| {
        graph.values[value(3)].layout = Layout::Blocked {
            map: [2, 1, 1],
            block: 4,
        };
    });
    insta::assert_snapshot!([orphan, narrow, small].join("\n"), @r"
    value %6 says that it is output 0 of node n1, which it is not
    value %3 of shape [N, 3] lies in nhwc(1x1x3, pixel 2), which does not hold it
    value %3 of shape [N, 3] lies in blocked(2/4x1x1), which does not hold it
    ");
}

#[test]
fn outputs_and_updates() {
    let update = |target: usize, by: usize| Update {
        target: value(target),
        value: value(by),
    };
    let output = |name: &str, index: usize| Output {
        name: name.to_owned(),
        value: value(index),
    };
    let messages = [
        wrong(|graph| graph.outputs.push(output("z", 99))),
        wrong(|graph| graph.outputs.push(output("y", 2))),
        wrong(|graph| graph.updates.push(update(99, 5))),
        wrong(|graph| graph.updates.push(update(0, 2))),
        wrong(|graph| graph.updates.push(update(1, 5))),
        wrong(|graph| graph.updates = vec![update(1, 4)]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    output `z` is %99, which is no value
    two outputs are called `y`
    update of %99 by %5: there is no such value
    update of %0 by %2: only parameters and states are kept
    update of %1 by %5: it is the second one
    update of %1 by %4: the types differ
    ");
}
