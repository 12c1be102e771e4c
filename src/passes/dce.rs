//! Drops nodes whose results nothing needs. Inputs and parameters stay, read or not: they are part of
//! the net's face.

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, IdVec, NodeId, ValueId};

/// The nodes that outputs and updates need, and the values that these or the graph's user read.
pub fn needed(graph: &Graph) -> (IdVec<NodeId, bool>, IdVec<ValueId, bool>) {
    let mut values: IdVec<ValueId, bool> = IdVec::filled(graph.values.len(), false);
    for value in graph.leaves() {
        values[value] = true;
    }
    let mut nodes = IdVec::filled(graph.nodes.len(), false);
    for (id, node) in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|&output| values[output]) {
            nodes[id] = true;
            for &input in &node.inputs {
                values[input] = true;
            }
        }
    }
    (nodes, values)
}

/// Runs the pass. It makes no graph where it changes nothing.
pub fn run(graph: &Graph) -> (Option<Graph>, Vec<Remark>) {
    let (needed, read) = needed(graph);
    let mut remarks = Vec::new();
    let mut rewriter = Rewriter::new(graph);
    for id in graph.nodes.ids() {
        if needed[id] {
            rewriter.copy(id);
            let outputs = &graph.nodes[id].outputs;
            if let Some(unread) = outputs.iter().find(|&&output| !read[output]) {
                let text = format!("kept for its other results, though nothing reads {unread}");
                remarks.push(Remark::new("dce", graph, id, false, text));
            }
        } else {
            remarks.push(Remark::new(
                "dce",
                graph,
                id,
                true,
                "dropped: nothing reads its result",
            ));
        }
    }
    (rewriter.finish(), remarks)
}
