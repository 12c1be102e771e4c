//! Computes equal things once: nodes of one operator with the same attributes and inputs. Dropout
//! counts as equal only on the same stream, whose mask is the same anyway.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, Operands};
use crate::ops::{Op, OpRules as _};

/// What nodes of one operator make of the same values.
#[derive(Debug)]
struct Made<'g> {
    /// The first node's operator, and its results.
    first: (&'g Op, Operands),
    /// The results of those with other attributes, by these. Floats have no hash; their debug form is exact.
    others: HashMap<String, Operands>,
}

/// Runs the pass.
pub fn run(graph: &Graph) -> (Graph, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut known: HashMap<(&str, Operands), Made<'_>> = HashMap::new();
    let mut rewriter = Rewriter::new(graph);
    for (id, node) in graph.nodes.iter() {
        let inputs = node.inputs.iter().map(|&input| rewriter.get(input));
        let made = match known.entry((node.op.name(), inputs.collect())) {
            Entry::Vacant(entry) => {
                let first = (&node.op, rewriter.copy(id));
                let others = HashMap::new();
                entry.insert(Made { first, others });
                continue;
            }
            Entry::Occupied(made) => made.into_mut(),
        };
        let attributes = format!("{:?}", node.op);
        let (first, results) = &made.first;
        let before = match attributes == format!("{first:?}") {
            true => Some(results),
            false => made.others.get(&attributes),
        };
        if let Some(results) = before {
            for (&old, &new) in node.outputs.iter().zip(results) {
                rewriter.replace(old, new);
            }
            remarks.push(Remark::new("cse", graph, id, true, "computed before"));
            continue;
        }
        if !node.inputs.is_empty() {
            let text = "kept: the same operator reads the same, but with other attributes";
            remarks.push(Remark::new("cse", graph, id, false, text));
        }
        made.others.insert(attributes, rewriter.copy(id));
    }
    (rewriter.finish(), remarks)
}
