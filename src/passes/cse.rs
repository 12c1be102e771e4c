//! Computes equal things once: nodes of one operator with the same attributes and inputs. Dropout
//! counts as equal only on the same stream, whose mask is the same anyway.

use std::collections::{HashMap, HashSet};

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, ValueId};
use crate::ops::OpRules as _;

/// Runs the pass.
pub fn run(graph: &Graph) -> (Graph, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut known: HashMap<(String, Vec<ValueId>), Vec<ValueId>> = HashMap::new();
    // Which operators read which values, attributes aside.
    let mut kinds: HashSet<(&str, Vec<ValueId>)> = HashSet::new();
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
            let alike = !key.1.is_empty() && !kinds.insert((node.op.name(), key.1.clone()));
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
