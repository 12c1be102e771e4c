//! Reverse-mode differentiation, graph to graph.
//!
//! Operators know their own gradients and append them as ordinary nodes, so the backward half is
//! optimised and planned like the forward half, and what it reads of the forward half are ordinary
//! values that live longer. Here is only the walk: nodes from the last to the first, adding up what
//! the uses of a value send back (Griewank and Walther, "Evaluating Derivatives", 3.2).

use crate::ir::{Builder, IdVec, Shape, ValueId};
use crate::ops::{Grad, GradInputs, Op, OpRules, Pointwise};

/// Appends the gradients of a loss, a single number, with regard to values; each of its value's type.
///
/// Rules append the gradients of all inputs of a node; those that nothing asked for are dead.
///
/// # Panics
///
/// The loss is not a single number, or depends on a value through an operator that has no gradient.
pub fn gradients(builder: &mut Builder, loss: ValueId, wrt: &[ValueId]) -> Vec<ValueId> {
    let found = partial_gradients(builder, loss, wrt);
    let both = wrt.iter().zip(found);
    both.map(|(&value, grad)| grad.unwrap_or_else(|| zeros(builder, value)))
        .collect()
}

/// As [`gradients`], with nothing in place of the zeros of a value that the loss does not depend on.
///
/// # Panics
///
/// As [`gradients`].
pub fn partial_gradients(
    builder: &mut Builder,
    loss: ValueId,
    wrt: &[ValueId],
) -> Vec<Option<ValueId>> {
    assert_eq!(
        builder.graph().ty(loss).shape,
        Shape::single([]),
        "the loss must be one number"
    );
    let on_path = depends_on(builder, wrt);
    // Only the nodes that are there now: the gradient's own come after them.
    let forward = builder.graph().nodes.ids();
    let mut grads: IdVec<ValueId, Option<ValueId>> = IdVec::filled(on_path.len(), None);
    if on_path[loss] {
        grads[loss] = Some(builder.constant(1.0));
    }
    for node in forward.rev() {
        let node = builder.graph().nodes[node].clone();
        let output_grads: Vec<Option<ValueId>> =
            node.outputs.iter().map(|&output| grads[output]).collect();
        let wanted = node.inputs.iter().any(|&input| on_path[input]);
        if !wanted || output_grads.iter().all(Option::is_none) {
            continue;
        }
        builder.set_origin(node.origin);
        let at = GradInputs {
            inputs: &node.inputs,
            outputs: &node.outputs,
            grads: &output_grads,
        };
        let input_grads = node.op.grad(builder, at);
        let name = node.op.name();
        assert_eq!(
            input_grads.len(),
            node.inputs.len(),
            "gradients of `{name}`"
        );
        for (&input, grad) in node.inputs.iter().zip(input_grads) {
            if !on_path[input] {
                continue;
            }
            match grad {
                Grad::None => {}
                Grad::Value(grad) => {
                    assert_eq!(
                        builder.graph().ty(grad),
                        builder.graph().ty(input),
                        "type of a gradient of `{name}`"
                    );
                    grads[input] = Some(match grads[input] {
                        Some(sum) => builder.pointwise(Pointwise::Add, &[sum, grad]),
                        None => grad,
                    });
                }
                Grad::Unknown => panic!("`{name}` has no second gradient"),
            }
        }
    }
    builder.set_origin("");
    wrt.iter().map(|&value| grads[value]).collect()
}

/// For each value, whether it depends on one of some values.
fn depends_on(builder: &Builder, values: &[ValueId]) -> IdVec<ValueId, bool> {
    let graph = builder.graph();
    let mut depends = IdVec::filled(graph.values.len(), false);
    for &value in values {
        depends[value] = true;
    }
    for (_, node) in graph.nodes.iter() {
        if node.inputs.iter().any(|&input| depends[input]) {
            for &output in &node.outputs {
                depends[output] = true;
            }
        }
    }
    depends
}

fn zeros(builder: &mut Builder, like: ValueId) -> ValueId {
    let shape = builder.graph().ty(like).shape.clone();
    let zero = builder.constant(0.0);
    if shape == Shape::single([]) {
        zero
    } else {
        builder.op(Op::Expand(shape), &[zero])
    }
}
