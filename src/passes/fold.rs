//! Computes element-wise nodes on numbers, by the operator's own reference.

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, ValueId};
use crate::ops::{Array, Op, OpRules};

/// Runs the pass. It makes no graph where it changes nothing.
pub fn run(graph: &Graph) -> (Option<Graph>, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut rewriter = Rewriter::new(graph);
    for (id, node) in graph.nodes.iter() {
        let is_pointwise = matches!(node.op, Op::Pointwise(_));
        let numbers: Option<Vec<Array<f32>>> = node
            .inputs
            .iter()
            .map(|&input| number(rewriter.graph(), rewriter.get(input)))
            .collect();
        match numbers {
            Some(numbers) if is_pointwise => {
                let result = node.op.eval(1, &numbers.iter().collect::<Vec<_>>());
                let value = result[0].data()[0];
                let made = rewriter.push(Op::Constant(value), &[], &node.origin);
                rewriter.replace(node.outputs[0], made[0]);
                remarks.push(Remark::new("fold", graph, id, true, format!("is {value}")));
            }
            _ => {
                let numbers = node
                    .inputs
                    .iter()
                    .filter(|&&input| number(rewriter.graph(), rewriter.get(input)).is_some());
                if is_pointwise && numbers.count() > 0 {
                    let text = "not computed: another operand is no number";
                    remarks.push(Remark::new("fold", graph, id, false, text));
                }
                rewriter.copy(id);
            }
        }
    }
    (rewriter.finish(), remarks)
}

fn number(graph: &Graph, value: ValueId) -> Option<Array<f32>> {
    let node = graph.producer(value)?;
    match graph.nodes[node].op {
        Op::Constant(value) => Some(Array::scalar(value)),
        _ => None,
    }
}
