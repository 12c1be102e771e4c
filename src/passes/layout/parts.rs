//! Values that lie within others, so that nothing is copied to join or to cut.
//!
//! What is joined along the channels is written straight to its place in the whole: a pixel of the part is a stretch of
//! a pixel of the whole, and both have one distance between pixels. A chain of joins, each with what the last one gave
//! as its first part, is one buffer: a dense block needs as much memory as its last layer's features (Pleiss et al.
//! 2017, "Memory-efficient implementation of DenseNets", section 3). A range of channels is read where it lies.

use std::collections::HashSet;

use crate::ir::{Graph, Halo, IdVec, NodeId, ValueId};
use crate::ops::{Concat, Op};

/// Where the parts of joined values lie: the whole that is no part itself, and the first channel there.
pub(super) fn find(
    graph: &Graph,
    halos: &IdVec<ValueId, Halo>,
) -> IdVec<ValueId, Option<(ValueId, usize)>> {
    let mut parts = IdVec::filled(graph.values.len(), None);
    let asked = graph.outputs.iter().map(|output| output.value);
    let kept = graph.updates.iter().map(|update| update.value);
    let leaves: HashSet<ValueId> = asked.chain(kept).collect();
    // From the outermost join inwards, so that the whole of a whole is known.
    for (_, node) in graph.nodes.iter().rev() {
        let Op::Concat(Concat { axis: 0, .. }) = node.op else {
            continue;
        };
        let joined = node.outputs[0];
        let (whole, mut channel) = parts[joined].unwrap_or((joined, 0));
        let is_map = |value: ValueId| {
            let shape = &graph.ty(value).shape;
            shape.batched && shape.dims.len() <= 3 && halos[value].is_empty()
        };
        for &part in &node.inputs {
            let once = node.inputs.iter().filter(|&&other| other == part).count() == 1;
            let made_here = graph
                .producer(part)
                .is_some_and(|maker| writes(graph, maker, part));
            let fits = is_map(whole) && is_map(joined) && is_map(part);
            if once && made_here && fits && parts[part].is_none() && !leaves.contains(&part) {
                parts[part] = Some((whole, channel));
            }
            channel += graph.dims(part)[0];
        }
    }
    parts
}

/// Whether the node has a kernel that writes the value wherever it is told to: views have none.
fn writes(graph: &Graph, maker: NodeId, value: ValueId) -> bool {
    let node = &graph.nodes[maker];
    let is_view = matches!(node.op, Op::Reshape(_) | Op::Slice(_) | Op::Constant(_));
    !is_view && node.outputs[0] == value
}
