//! Values that lie within others, so that nothing is copied to join or to cut.
//!
//! What is joined along the channels is written straight to its place in the whole: a pixel of the part is a stretch of
//! a pixel of the whole, and both have one distance between pixels. A chain of joins, each with what the last one gave
//! as its first part, is one buffer: a dense block needs as much memory as its last layer's features (Pleiss et al.
//! 2017, "Memory-efficient implementation of DenseNets", section 3). A range of channels is read where it lies.

use rustc_hash::FxHashSet;

use super::Pass;
use crate::ir::{Graph, Halo, IdVec, Layout, Node, NodeId, ValueId, Within};
use crate::ops::{Concat, Op, Slice};

/// Where the parts of joined values lie: the whole that is no part itself, and the first channel there.
pub(super) fn find(
    graph: &Graph,
    halos: &IdVec<ValueId, Halo>,
) -> IdVec<ValueId, Option<(ValueId, usize)>> {
    let mut parts = IdVec::filled(graph.values.len(), None);
    let leaves: FxHashSet<ValueId> = graph.leaves().collect();
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
        let mut seen = FxHashSet::default();
        let inputs = node.inputs.iter();
        let twice: FxHashSet<ValueId> = inputs
            .filter(|&&part| !seen.insert(part))
            .copied()
            .collect();
        for &part in &node.inputs {
            let once = !twice.contains(&part);
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

impl Pass<'_> {
    /// Whether the node is a range of channels that is read where it lies, which decides its layout.
    pub(super) fn range(&self, node: &Node, inputs: &[ValueId], layouts: &mut [Layout]) -> bool {
        let result = node.outputs[0];
        let is_output = self
            .graph
            .outputs
            .iter()
            .any(|output| output.value == result);
        let (Op::Slice(Slice { axis: 0, .. }), false) = (&node.op, is_output) else {
            return false;
        };
        let shape = &self.graph.ty(result).shape;
        let Layout::Nhwc { pixel, halo, .. } = *self.layout(inputs[0]) else {
            return false;
        };
        if !shape.batched || shape.dims.len() > 3 {
            return false;
        }
        let (c, h, w) = shape.chw();
        layouts[0] = Layout::Nhwc {
            map: [c, h, w],
            pixel,
            halo,
        };
        true
    }

    /// Gives the result of a node the distance of pixels that the whole has which it is to be a part of.
    pub(super) fn part(&self, node: &Node, layouts: &mut [Layout]) {
        let result = node.outputs[0];
        let Some((whole, _)) = self.parts[result] else {
            return;
        };
        let (c, h, w) = self.graph.ty(result).shape.chw();
        if let Layout::Nhwc {
            map,
            pixel: own,
            halo,
        } = &mut layouts[0]
            && *map == [c, h, w]
            && halo.is_empty()
        {
            *own = self.pixel(self.graph.dims(whole)[0], h * w);
        }
    }

    /// Puts parts into their wholes, once all of these have been made.
    pub(super) fn join(&mut self) {
        let parts: Vec<_> = self
            .parts
            .iter()
            .filter_map(|(part, &place)| place.map(|(whole, channel)| (part, whole, channel)))
            .collect();
        for (part, whole, channel) in parts {
            let (part, whole) = (self.rewriter.get(part), self.rewriter.get(whole));
            let [own, all] = [part, whole].map(|value| self.layout(value));
            let (
                Layout::Nhwc { map, pixel, halo },
                Layout::Nhwc {
                    map: all,
                    pixel: wide,
                    halo: around,
                },
            ) = (own, all)
            else {
                continue;
            };
            let (c, h, w) = self.rewriter.graph().ty(part).shape.chw();
            let alike = *map == [c, h, w]
                && map[1..] == all[1..]
                && pixel == wide
                && halo.is_empty()
                && around.is_empty();
            if alike {
                self.rewriter.set_within(part, Within { whole, channel });
            }
        }
        // What is seen of a part, or of a part under another shape, is seen of the whole.
        let nodes: Vec<_> = self
            .rewriter
            .graph()
            .nodes
            .iter()
            .filter(|(_, node)| matches!(node.op, Op::Slice(_) | Op::Reshape(_)))
            .map(|(_, node)| (node.op.clone(), node.inputs[0], node.outputs[0]))
            .collect();
        for (op, input, result) in nodes {
            let graph = self.rewriter.graph();
            let Within { whole, channel } = graph.place(input);
            let offset = match op {
                Op::Slice(slice) if self.seen.contains(&result) => slice.from,
                Op::Reshape(_)
                    if whole != input && self.layout(input).same_places(self.layout(result)) =>
                {
                    0
                }
                _ => continue,
            };
            let channel = channel + offset;
            self.rewriter.set_within(result, Within { whole, channel });
        }
    }
}
