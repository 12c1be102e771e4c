//! Makes cheap values again in place of keeping them.
//!
//! A training step needs most memory where the forward pass ends, and most of that is kept for the backward pass. What
//! is computed element by element from values that are kept anyway (the output of a batch norm with its activation,
//! next to the input that its gradient needs) is dropped and made again before its late readers: one more pass over
//! memory for a buffer less. The idea is that of Chen et al. 2016, "Training deep nets with sublinear memory cost",
//! section 4, restricted to what costs next to nothing; in dense blocks it is what Pleiss et al. 2017 do.
//!
//! Which values are worth it follows from the graph alone: those alive at the moment of greatest need, which then is
//! another moment, and so on until that has none.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::Remark;
use super::layout::shared_memory;
use super::rewrite::Rewriter;
use crate::ir::arena::Id as _;
use crate::ir::{Graph, IdVec, NodeId, Users, ValueId, ValueKind};
use crate::ops::Op;

/// Moments that are looked at. Each takes all that can be taken there, so few are ever needed.
const ROUNDS: usize = 16;

/// Element-wise operations that are made again for one value at most.
const LONGEST: usize = 6;

/// A value smaller than this share of the need is not worth a kernel.
const SHARE: usize = 500;

/// Runs the pass. It makes no graph where nothing is worth making again.
pub fn run(graph: &Graph) -> (Option<Graph>, Vec<Remark>) {
    let mut made: Option<Graph> = None;
    let mut remarks = Vec::new();
    for _ in 0..ROUNDS {
        let graph = made.as_ref().unwrap_or(graph);
        let again = Lives::new(graph).again();
        if again.is_empty() {
            break;
        }
        made = Some(remake(graph, &again, &mut remarks));
    }
    (made, remarks)
}

/// A value that is made again.
#[derive(Debug)]
struct Again {
    value: ValueId,
    /// The nodes that make it of what is kept, in their order.
    nodes: Vec<NodeId>,
    /// The first reader that gets the new one.
    reader: NodeId,
}

/// When values are needed.
struct Lives<'g> {
    graph: &'g Graph,
    /// The nodes that read each value.
    users: Users,
    /// The value whose memory each value lies in.
    root: IdVec<ValueId, ValueId>,
    /// How many values lie in the memory of each root, itself counted.
    tenants: IdVec<ValueId, usize>,
    /// The last node that reads something in the memory of each root.
    last: IdVec<ValueId, usize>,
    /// The first node that writes something there.
    first: IdVec<ValueId, usize>,
}

impl<'g> Lives<'g> {
    fn new(graph: &'g Graph) -> Lives<'g> {
        let root = shared_memory(graph);
        let users = graph.users();
        let mut tenants = IdVec::filled(graph.values.len(), 0);
        let mut last = IdVec::filled(graph.values.len(), 0);
        let mut first = IdVec::filled(graph.values.len(), usize::MAX);
        for (id, value) in graph.values.iter() {
            let made = match value.kind {
                ValueKind::Result { node, .. } => node.index(),
                _ => 0,
            };
            let place: ValueId = root[id];
            tenants[place] += 1;
            first[place] = made.min(first[place]);
            let read = users[id].last().map_or(made, |node| node.index());
            last[place] = read.max(last[place]);
        }
        for value in graph.leaves() {
            last[root[value]] = graph.nodes.len();
        }
        Lives {
            graph,
            users,
            root,
            tenants,
            last,
            first,
        }
    }

    /// Elements that an image's share of a value takes; what is not of images is small or kept anyway.
    fn size(&self, value: ValueId) -> usize {
        let shape = &self.graph.ty(value).shape;
        if shape.batched { shape.elements() } else { 0 }
    }

    /// The node at which most memory is needed, and how much.
    fn peak(&self) -> (usize, usize) {
        let mut change = vec![0_isize; self.graph.nodes.len() + 2];
        for value in self.graph.values.ids() {
            if self.root[value] == value {
                let size = self.size(value) as isize;
                change[self.first[value].min(self.graph.nodes.len())] += size;
                change[self.last[value] + 1] -= size;
            }
        }
        let mut now = 0;
        let needs = change.into_iter().enumerate().map(|(node, change)| {
            now += change;
            (now, node)
        });
        // Of equal moments the first.
        let (need, node) = needs.fold(
            (0, 0),
            |most, need| if need.0 > most.0 { need } else { most },
        );
        (node, need.max(0) as usize)
    }

    /// The values that are to be made again after the moment of greatest need.
    fn again(&self) -> Vec<Again> {
        let (peak, need) = self.peak();
        let mut again = Vec::new();
        let mut dropped = BTreeSet::new();
        for (id, node) in self.graph.nodes.iter() {
            if id.index() >= peak {
                break;
            }
            let value = node.outputs[0];
            // Memory that is shared stays for the others in it.
            let alone = self.root[value] == value && self.tenants[value] == 1;
            let late = self.users[value].iter().find(|user| user.index() > peak);
            let (Some(&reader), true) = (late, alone) else {
                continue;
            };
            let at_peak = self.users[value].iter().any(|user| user.index() == peak);
            let is_asked = self.last[value] == self.graph.nodes.len();
            if at_peak || is_asked || self.size(value) * SHARE < need {
                continue;
            }
            let mut nodes = BTreeSet::new();
            if self.recipe(value, reader, &dropped, &mut nodes) {
                dropped.insert(value);
                again.push(Again {
                    value,
                    nodes: nodes.into_iter().collect(),
                    reader,
                });
            }
        }
        again
    }

    /// Collects the nodes that make a value of what is there at a reader anyway; `false` if it cannot be made so.
    fn recipe(
        &self,
        value: ValueId,
        reader: NodeId,
        dropped: &BTreeSet<ValueId>,
        nodes: &mut BTreeSet<NodeId>,
    ) -> bool {
        let Some(maker) = self.graph.producer(value) else {
            return true;
        };
        let node = &self.graph.nodes[maker];
        let is_cheap = matches!(node.op, Op::Pointwise(_) | Op::Constant(_) | Op::Dropout(_));
        if !is_cheap {
            return false;
        }
        nodes.insert(maker);
        nodes.len() <= LONGEST
            && node.inputs.iter().all(|&input| {
                let is_there = match self.graph.producer(input) {
                    None => true,
                    // Its memory is small, however long it lives.
                    Some(_) if self.size(input) == 0 => true,
                    Some(_) => {
                        !dropped.contains(&input) && self.last[self.root[input]] >= reader.index()
                    }
                };
                is_there || self.recipe(input, reader, dropped, nodes)
            })
    }
}

/// The graph with some values made again. Of a value that has late readers alone, nothing is left at its old place.
fn remake(graph: &Graph, again: &[Again], remarks: &mut Vec<Remark>) -> Graph {
    let mut due: FxHashMap<NodeId, Vec<&Again>> = FxHashMap::default();
    for again in again {
        due.entry(again.reader).or_default().push(again);
    }
    let needed = needed(graph, &due);
    let mut rewriter = Rewriter::new(graph);
    for id in graph.nodes.ids() {
        for again in due.get(&id).into_iter().flatten() {
            let mut made: BTreeMap<ValueId, ValueId> = BTreeMap::new();
            for &node in &again.nodes {
                let node = &graph.nodes[node];
                let inputs = node.inputs.iter();
                let inputs = inputs.map(|input| {
                    made.get(input)
                        .copied()
                        .unwrap_or_else(|| rewriter.get(*input))
                });
                let inputs: Vec<ValueId> = inputs.collect();
                let outputs = rewriter.push(node.op.clone(), &inputs, &node.origin);
                made.insert(node.outputs[0], outputs[0]);
            }
            rewriter.replace(again.value, made[&again.value]);
            let maker = graph.producer(again.value).unwrap_or(id);
            let text = format!(
                "made again for n{}: what it is made of is kept anyway",
                id.index()
            );
            remarks.push(Remark::new("recompute", graph, maker, true, text));
        }
        if needed[id] {
            rewriter.copy(id);
        }
    }
    rewriter.finish().expect("something is made again")
}

/// The nodes whose results are still read at their old place. What is made again is read by the reader that it is due for,
/// so all of it is needed.
fn needed(graph: &Graph, due: &FxHashMap<NodeId, Vec<&Again>>) -> IdVec<NodeId, bool> {
    let mut read = IdVec::filled(graph.values.len(), false);
    for value in graph.leaves() {
        read[value] = true;
    }
    let mut needed = IdVec::filled(graph.nodes.len(), false);
    for (id, node) in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|&output| read[output]) {
            needed[id] = true;
            for &input in &node.inputs {
                read[input] = true;
            }
        }
        for again in due.get(&id).into_iter().flatten().rev() {
            // Those from here on read the new one; nobody before has been looked at yet.
            read[again.value] = false;
            let made = |input: &ValueId| {
                let maker = graph.producer(*input);
                maker.is_some_and(|maker| again.nodes.contains(&maker))
            };
            for &node in &again.nodes {
                let inputs = graph.nodes[node].inputs.iter();
                for &input in inputs.filter(|&input| !made(input)) {
                    read[input] = true;
                }
            }
        }
    }
    needed
}
