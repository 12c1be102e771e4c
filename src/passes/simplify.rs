//! Drops what does nothing: stretching, summing or reshaping to the shape that is there, adding zero,
//! multiplying by one, dropping out with rate zero; and stretching in front of an element-wise node,
//! which stretches its operands itself.
//!
//! ```text
//! %2 = expand %1 : f32[N, 6, 4, 4]        %3 = mul %0, %1 : f32[N, 6, 4, 4]
//! %3 = mul %0, %2 : f32[N, 6, 4, 4]
//! ```

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, NodeId, Operands, ValueId};
use crate::ops::{Op, OpRules, Pointwise};

/// Runs the pass. It makes no graph where it changes nothing.
pub fn run(graph: &Graph) -> (Option<Graph>, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut rewriter = Rewriter::new(graph);
    for (id, node) in graph.nodes.iter() {
        if let Some((value, why)) = identity(graph, &rewriter, id) {
            rewriter.replace(node.outputs[0], value);
            remarks.push(Remark::new("simplify", graph, id, true, why));
            continue;
        }
        let Op::Pointwise(_) = node.op else {
            rewriter.copy(id);
            continue;
        };
        unstretch(graph, &mut rewriter, id, &mut remarks);
    }
    (rewriter.finish(), remarks)
}

/// The operand that the node's result equals, and why.
fn identity(graph: &Graph, rewriter: &Rewriter<'_>, id: NodeId) -> Option<(ValueId, &'static str)> {
    let node = &graph.nodes[id];
    let same_type = |input: usize| graph.ty(node.inputs[input]) == graph.ty(node.outputs[0]);
    let is = |input: usize, number: f32| {
        let made = rewriter.get(node.inputs[input]);
        let producer = rewriter.graph().producer(made);
        producer.is_some_and(|node| rewriter.graph().nodes[node].op == Op::Constant(number))
    };
    let input = |input: usize| rewriter.get(node.inputs[input]);
    match &node.op {
        Op::Expand(_) | Op::SumTo(_) | Op::Reshape(_) if same_type(0) => {
            Some((input(0), "has that shape already"))
        }
        Op::Dropout(dropout) if dropout.rate == 0.0 => Some((input(0), "drops nothing")),
        Op::Pointwise(Pointwise::Mul) if is(1, 1.0) && same_type(0) => {
            Some((input(0), "multiplies by one"))
        }
        Op::Pointwise(Pointwise::Mul) if is(0, 1.0) && same_type(1) => {
            Some((input(1), "multiplies by one"))
        }
        Op::Pointwise(Pointwise::Add | Pointwise::Sub) if is(1, 0.0) && same_type(0) => {
            Some((input(0), "adds nothing"))
        }
        Op::Pointwise(Pointwise::Add) if is(0, 0.0) && same_type(1) => {
            Some((input(1), "adds nothing"))
        }
        _ => None,
    }
}

/// Copies an element-wise node, its operands taken from before their stretching where the shape of
/// the result still follows from the others.
fn unstretch(graph: &Graph, rewriter: &mut Rewriter<'_>, id: NodeId, remarks: &mut Vec<Remark>) {
    let node = &graph.nodes[id];
    let mut inputs = Operands::from_slice(&node.inputs);
    for input in &mut inputs {
        *input = rewriter.get(*input);
    }
    let wanted = graph.ty(node.outputs[0]);
    for position in 0..inputs.len() {
        let made = rewriter.graph();
        let Some(producer) = made.producer(inputs[position]) else {
            continue;
        };
        let Op::Expand(_) = made.nodes[producer].op else {
            continue;
        };
        let mut shorter = inputs.clone();
        shorter[position] = made.nodes[producer].inputs[0];
        let types: Vec<_> = shorter
            .iter()
            .map(|&input| made.ty(input).clone())
            .collect();
        let fits = node.op.infer(&types).is_ok_and(|made| made[0] == *wanted);
        let text = if fits {
            inputs = shorter;
            "takes an operand from before its stretching"
        } else {
            "keeps a stretched operand: no other has the result's shape"
        };
        remarks.push(Remark::new("simplify", graph, id, fits, text));
    }
    let layout = graph.values[node.outputs[0]].layout.clone();
    rewriter.copy_with(id, inputs, std::iter::once(layout));
}
