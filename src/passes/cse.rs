//! Computes equal things once: nodes of one operator with the same attributes and inputs. Dropout
//! counts as equal only on the same stream, whose mask is the same anyway.

use std::hash::Hasher as _;

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, Operands};
use crate::ops::{Op, OpRules as _};

/// What nodes of one operator make of the same values: the operator with its attributes, and the results.
type Made<'g> = SmallVec<[(&'g Op, Operands); 1]>;

/// Runs the pass. It makes no graph where it changes nothing.
pub fn run(graph: &Graph) -> (Option<Graph>, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut known: FxHashMap<(&str, Operands), Made<'_>> = FxHashMap::default();
    let mut rewriter = Rewriter::new(graph);
    for (id, node) in graph.nodes.iter() {
        let mut inputs = Operands::from_slice(&node.inputs);
        for input in &mut inputs {
            *input = rewriter.get(*input);
        }
        let made = known.entry((node.op.name(), inputs)).or_default();
        let mut alike = made.iter().filter(|(op, _)| is_same(op, &node.op));
        if let Some((_, results)) = alike.next() {
            for (&old, &new) in node.outputs.iter().zip(results) {
                rewriter.replace(old, new);
            }
            remarks.push(Remark::new("cse", graph, id, true, "computed before"));
            continue;
        }
        if !node.inputs.is_empty() && !made.is_empty() {
            let text = "kept: the same operator reads the same, but with other attributes";
            remarks.push(Remark::new("cse", graph, id, false, text));
        }
        made.push((&node.op, Operands::from_slice(rewriter.copy(id))));
    }
    (rewriter.finish(), remarks)
}

/// Whether two operators have the same attributes. Floats count by their bits: 0 and -0 are equal, but not the same.
fn is_same(a: &Op, b: &Op) -> bool {
    let bits = |op: &Op| {
        let mut hasher = FxHasher::default();
        op.fingerprint(&mut hasher);
        hasher.finish()
    };
    a == b && bits(a) == bits(b)
}
