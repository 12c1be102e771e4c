//! Computes equal things once: nodes of one operator with the same attributes and inputs. Dropout
//! counts as equal only on the same stream, whose mask is the same anyway.

use std::collections::HashMap;

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, ValueId};

/// The operator's name in its debug form, attributes cut off.
fn kind(op: &str) -> &str {
    op.split(['(', '{', ' ']).next().unwrap_or(op)
}

/// Runs the pass.
pub fn run(graph: &Graph) -> (Graph, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut known: HashMap<(String, Vec<ValueId>), Vec<ValueId>> = HashMap::new();
    let mut rewriter = Rewriter::new(graph);
    for (id, node) in graph.nodes.iter() {
        let inputs: Vec<ValueId> = node
            .inputs
            .iter()
            .map(|&input| rewriter.get(input))
            .collect();
        // Floats in attributes have no hash; their debug form is exact.
        let key = (format!("{:?}", node.op), inputs);
        if let Some(made) = known.get(&key) {
            for (&old, &new) in node.outputs.iter().zip(made) {
                rewriter.replace(old, new);
            }
            remarks.push(Remark::new("cse", graph, id, true, "computed before"));
        } else {
            let alike = known.keys().any(|(op, inputs)| {
                !inputs.is_empty() && *inputs == key.1 && kind(op) == kind(&key.0)
            });
            if alike {
                let text = "kept: the same operator reads the same, but with other attributes";
                remarks.push(Remark::new("cse", graph, id, false, text));
            }
            let made = rewriter.copy(id);
            known.insert(key, made);
        }
    }
    (rewriter.finish(), remarks)
}
