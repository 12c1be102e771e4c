//! Puts nodes into groups that become kernels together.
//!
//! Element-wise nodes join the node that makes one of their operands, if that node hands over its
//! results in registers, if both go over the same space, and if no other operand needs the group's
//! results first. A node that reads no node's result (the decay of a weight, what is kept of a momentum) goes where its
//! only reader goes. A value that is read outside its group is stored as well as passed on.
//!
//! ```text
//! %4 = conv2d %0, %1        g0: conv2d %4 -> add %5 -> relu %6   stores %6
//! %5 = add %4, %2
//! %6 = relu %5
//! ```

mod again;
mod needs;

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Remark, Text};
use crate::ir::arena::Id;
use crate::ir::{Graph, IdVec, Layout, Node, NodeId, Users, ValueId};
use crate::lower::{Group, GroupId, Space, access};
use crate::ops::{Op, OpRules};

use again::Contents;
use needs::Needs;

/// The groups of a graph, and the values that are another's memory under another shape.
#[derive(Clone, PartialEq, Debug)]
pub struct Groups {
    /// The groups, in an order in which they can run.
    pub groups: IdVec<GroupId, Group>,
    /// For each value whether it is a view of another.
    pub views: IdVec<ValueId, Option<ValueId>>,
    /// What was done and what was not.
    pub remarks: Vec<Remark>,
}

/// How much is put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether element-wise nodes join other nodes; off, every node is its own group.
    pub fuse: bool,
}

/// Buffers that an element-wise part reads and writes at most: each takes a general-purpose register,
/// and the tile needs some of its own.
const MAX_BUFFERS: usize = 10;

/// The same where all nodes are element-wise. A pointer that finds no register lies on the stack, which costs less than
/// another pass over the operands: Adam with clipping, decay and averaging over steps touches fourteen.
const MAX_BUFFERS_ALONE: usize = 16;

/// Nodes of a group, far above what nets need: whoever writes a chain of thousands of activations gets several kernels,
/// each made in a time that does not grow with the square of the chain.
const MAX_NODES: usize = 256;

/// Whether the node's results can be handed on in registers.
fn passes_on(op: &Op) -> bool {
    match op {
        Op::Conv2d(_)
        | Op::Conv2dInputGrad(_)
        | Op::WinogradConv(_)
        | Op::Dense
        | Op::DenseInputGrad
        | Op::DenseFilterGrad
        | Op::MaxPool(_)
        | Op::MaxPoolGrad(_)
        | Op::AvgPool(_)
        | Op::AvgPoolGrad(_)
        | Op::Pointwise(_)
        | Op::Expand(_)
        | Op::Dropout(_) => true,
        Op::Constant(_)
        | Op::Numbers(_)
        | Op::Conv2dFilterGrad(_)
        | Op::WinogradFilter(_)
        | Op::WinogradFilterGrad(_)
        | Op::SumTo(_)
        | Op::ReduceMax(_)
        | Op::ReduceMaxGrad(_)
        | Op::SumSquares
        | Op::MaxNorm(_)
        | Op::BatchStats
        | Op::ChannelSums
        | Op::Softmax
        | Op::SoftmaxGrad
        | Op::CrossEntropy(_)
        | Op::CrossEntropyGrad(_)
        | Op::LogSoftmax
        | Op::LogSoftmaxGrad
        | Op::Lrn(_)
        | Op::LrnGrad(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Index(_)
        | Op::IndexGrad(_)
        | Op::Relayout => false,
    }
}

/// Whether a node is computed element by element from operands that are reached where they lie. A
/// stretch that is not is a copy.
fn is_element_wise(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        Op::Pointwise(_) | Op::Dropout(_) => true,
        Op::Expand(shape) => access::reaches(&graph.ty(node.inputs[0]).shape, shape),
        _ => false,
    }
}

/// Some groups: few, which take no memory of their own.
type Few = SmallVec<[usize; 4]>;

struct Pass<'g> {
    graph: &'g Graph,
    views: IdVec<ValueId, Option<ValueId>>,
    /// The nodes that read each value.
    users: Users,
    /// Whether a value is asked for or kept.
    leaves: IdVec<ValueId, bool>,
    group_of: IdVec<NodeId, Option<usize>>,
    groups: Vec<SmallVec<[NodeId; 4]>>,
    needs: Needs,
    remarks: Vec<Remark>,
}

/// Runs the pass.
pub fn run(graph: &Graph, options: Options) -> Groups {
    let mut leaves = IdVec::filled(graph.values.len(), false);
    for value in graph.leaves() {
        leaves[value] = true;
    }
    let mut pass = Pass {
        graph,
        users: graph.users(),
        leaves,
        views: views(graph),
        group_of: IdVec::filled(graph.nodes.len(), None),
        groups: Vec::new(),
        needs: Needs::default(),
        remarks: Vec::new(),
    };
    for (id, node) in graph.nodes.iter() {
        if pass.views[node.outputs[0]].is_some() || matches!(node.op, Op::Constant(_)) {
            continue;
        }
        if options.fuse && pass.waits(id) {
            continue;
        }
        let fusable = is_element_wise(graph, node) && options.fuse;
        let waiting = if fusable {
            pass.waiting(id)
        } else {
            Vec::new()
        };
        if fusable && pass.join(id, &waiting) {
            continue;
        }
        // Without those that wait, it may still find a place; they get one of their own.
        let makers = pass.has_makers(id);
        if !waiting.is_empty() && makers {
            for &node in &waiting {
                pass.open(&[node]);
            }
            if pass.join(id, &[]) {
                continue;
            }
            pass.open(&[id]);
        } else {
            pass.open(&[waiting, vec![id]].concat());
        }
    }
    pass.finish(options)
}

/// A reshaped value whose elements have the same places is the same memory, and so is a range that lies within.
fn views(graph: &Graph) -> IdVec<ValueId, Option<ValueId>> {
    let mut views: IdVec<ValueId, Option<ValueId>> = IdVec::filled(graph.values.len(), None);
    for (_, node) in graph.nodes.iter() {
        let (from, to) = match (&node.op, node.inputs.first()) {
            (Op::Reshape(_) | Op::Slice(_), Some(&from)) => (from, node.outputs[0]),
            _ => continue,
        };
        let (own, other) = (&graph.values[to], &graph.values[from]);
        let is_view = match node.op {
            Op::Slice(_) => own.within.is_some(),
            _ => own.layout.same_places(&other.layout),
        };
        if is_view {
            views[to] = Some(views[from].unwrap_or(from));
        }
    }
    views
}

impl Pass<'_> {
    /// The group that makes a value, views looked through.
    fn maker(&self, value: ValueId) -> Option<usize> {
        let value = self.views[value].unwrap_or(value);
        self.group_of[self.graph.producer(value)?]
    }

    /// The groups whose results some nodes of a group read, in order.
    fn reads(&self, group: usize, nodes: &[NodeId]) -> Few {
        let inputs = nodes
            .iter()
            .flat_map(|&node| &self.graph.nodes[node].inputs);
        let outside = inputs.filter(|&&input| {
            let maker = self.graph.producer(input);
            maker.is_none_or(|maker| !nodes.contains(&maker))
        });
        let makers = outside.filter_map(|&input| self.maker(input));
        let mut reads: Few = makers.filter(|&other| other != group).collect();
        reads.sort_unstable();
        reads.dedup();
        reads
    }

    /// Puts nodes into a group, with what the group and those after it need from now on.
    fn put(&mut self, group: usize, nodes: &[NodeId]) {
        for &node in nodes {
            self.group_of[node] = Some(group);
        }
        self.groups[group].extend_from_slice(nodes);
        for other in self.reads(group, nodes) {
            self.needs.link(group, other);
        }
    }

    /// How many buffers a group may touch.
    fn most_buffers(&self, group: usize) -> usize {
        let head = self.groups[group][0];
        match is_element_wise(self.graph, &self.graph.nodes[head]) {
            true => MAX_BUFFERS_ALONE,
            false => MAX_BUFFERS,
        }
    }

    /// Whether a group with these nodes in addition touches more buffers than so many: what it reads but makes not,
    /// numbers left out, and what it may have to store, which is all that has a reader outside or none so far.
    fn touches_more(&self, group: usize, more: &[&[NodeId]], most: usize) -> bool {
        let graph = self.graph;
        let is_inside = |id: &NodeId| {
            self.group_of[*id] == Some(group) || more.iter().any(|nodes| nodes.contains(id))
        };
        let is_read = |input: ValueId| match graph.producer(input) {
            Some(id) => !is_inside(&id) && !matches!(graph.nodes[id].op, Op::Constant(_)),
            None => true,
        };
        let is_stored = |value: ValueId| {
            self.leaves[value]
                || self.users[value].is_empty()
                || !self.users[value].iter().all(is_inside)
        };
        let mut read: SmallVec<[ValueId; MAX_BUFFERS_ALONE]> = SmallVec::new();
        let mut stored = 0;
        for &node in self.groups[group]
            .iter()
            .chain(more.iter().copied().flatten())
        {
            let node = &graph.nodes[node];
            for &input in &node.inputs {
                if !read.contains(&input) && is_read(input) {
                    read.push(input);
                }
            }
            stored += node
                .outputs
                .iter()
                .filter(|&&value| is_stored(value))
                .count();
            if read.len() + stored > most {
                return true;
            }
        }
        false
    }

    /// Starts a group of some nodes.
    fn open(&mut self, nodes: &[NodeId]) {
        self.groups.push(SmallVec::new());
        self.needs.push();
        self.put(self.groups.len() - 1, nodes);
    }

    fn has_makers(&self, id: NodeId) -> bool {
        let inputs = &self.graph.nodes[id].inputs;
        inputs.iter().any(|&input| self.maker(input).is_some())
    }

    /// Whether the node is put where its only reader goes: it reads no node's result but numbers, and the reader is
    /// element-wise over the same space.
    fn waits(&self, id: NodeId) -> bool {
        let graph = self.graph;
        let node = &graph.nodes[id];
        let is_given = |&input: &ValueId| {
            let root = self.views[input].unwrap_or(input);
            let producer = graph.producer(root);
            producer.is_none_or(|producer| matches!(graph.nodes[producer].op, Op::Constant(_)))
        };
        let (&[result], true) = (
            node.outputs.as_slice(),
            matches!(node.op, Op::Pointwise(_)) && node.inputs.iter().all(is_given),
        ) else {
            return false;
        };
        let &[reader] = &self.users[result] else {
            return false;
        };
        let reader = &graph.nodes[reader];
        let together = reader.outputs[0];
        matches!(reader.op, Op::Pointwise(_))
            && !self.leaves[result]
            && Space::of(graph, result) == Space::of(graph, together)
            && graph.values[result].layout == graph.values[together].layout
    }

    /// The nodes that wait for this one.
    fn waiting(&self, id: NodeId) -> Vec<NodeId> {
        let producers = self.graph.nodes[id].inputs.iter();
        let mut waiting: Vec<NodeId> = producers
            .filter_map(|&input| self.graph.producer(input))
            .filter(|&producer| self.group_of[producer].is_none() && self.waits(producer))
            .collect();
        waiting.sort_unstable();
        waiting.dedup();
        waiting
    }

    /// Puts the node into the group of one of its operands, the latest that will have it.
    fn join(&mut self, id: NodeId, waiting: &[NodeId]) -> bool {
        let node = &self.graph.nodes[id];
        let space = Space::of(self.graph, node.outputs[0]);
        let mut makers: Vec<(usize, ValueId)> = node
            .inputs
            .iter()
            .filter(|&&input| self.views[input].is_none())
            .filter_map(|&input| Some((self.maker(input)?, input)))
            .collect();
        makers.sort_unstable();
        makers.dedup();
        for &(group, operand) in makers.iter().rev() {
            let reason = self.refusal(id, waiting, group, operand, &space);
            let text = match reason {
                None => {
                    let head = self.groups[group][0];
                    Text::Joins(self.graph.nodes[head].op.name(), head)
                }
                Some(reason) => Text::NotWith(operand, reason),
            };
            self.remarks
                .push(Remark::new("fuse", self.graph, id, reason.is_none(), text));
            if reason.is_none() {
                self.put(group, &[waiting, &[id]].concat());
                return true;
            }
        }
        false
    }

    fn refusal(
        &self,
        id: NodeId,
        waiting: &[NodeId],
        group: usize,
        operand: ValueId,
        space: &Space,
    ) -> Option<&'static str> {
        let head = self.groups[group][0];
        if self.groups[group].len() + waiting.len() >= MAX_NODES {
            return Some("the group has as many nodes as a kernel may have");
        }
        if !self.groups[group].iter().all(|&node| {
            let node = &self.graph.nodes[node];
            passes_on(&node.op)
                && (!matches!(node.op, Op::Expand(_)) || is_element_wise(self.graph, node))
        }) {
            return Some("its maker does not hand over results in registers");
        }
        if self.graph.producer(operand) == Some(head)
            && self.graph.nodes[head].outputs[0] != operand
        {
            return Some("it is a side result");
        }
        let same_filter = |a: &Layout, b: &Layout| match (a, b) {
            (Layout::Filter { .. }, _) | (_, Layout::Filter { .. }) => a == b,
            _ => true,
        };
        let layout = |value: ValueId| &self.graph.values[value].layout;
        let result = self.graph.nodes[id].outputs[0];
        if Space::of(self.graph, operand) != *space || !same_filter(layout(operand), layout(result))
        {
            return Some("it goes over another space");
        }
        let inputs = &self.graph.nodes[id].inputs;
        if let Layout::Filter { .. } = layout(result)
            && !is_element_wise(self.graph, &self.graph.nodes[head])
            && !self.is_over_filter(&[waiting, &[id]].concat())
        {
            return Some("an operand is no number and lies otherwise");
        }
        let through_view =
            |&input: &ValueId| self.views[input].is_some() && self.maker(input) == Some(group);
        if inputs.iter().any(through_view) {
            return Some("it reads the group's result under another shape too");
        }
        let mut others = inputs.iter().filter_map(|&input| self.maker(input));
        if others.any(|other| other != group && self.needs.reaches(other, group)) {
            return Some("another operand needs the whole of it first");
        }
        if self.touches_more(group, &[waiting, &[id]], self.most_buffers(group)) {
            return Some("the group would touch too many buffers");
        }
        None
    }

    /// Whether all that some nodes read are numbers, and matrices or filters that lie as the result does.
    fn is_over_filter(&self, nodes: &[NodeId]) -> bool {
        let lies = |value: ValueId| &self.graph.values[value].layout;
        nodes.iter().all(|&id| {
            let node = &self.graph.nodes[id];
            let fits = |&input: &ValueId| {
                self.graph.ty(input).shape.elements() == 1 || lies(input) == lies(node.outputs[0])
            };
            matches!(node.op, Op::Pointwise(_)) && node.inputs.iter().all(fits)
        })
    }

    /// Orders the groups and says what each stores.
    fn finish(self, options: Options) -> Groups {
        let contents = Contents::of(&self, options.fuse);
        let order = self.order(&contents);
        let Contents {
            nodes,
            stored,
            remarks,
            ..
        } = contents;
        let mut groups: IdVec<GroupId, Group> = IdVec::new();
        // A number that something other than an element-wise node reads gets a kernel of its own.
        for (id, node) in self.graph.nodes.iter() {
            if matches!(node.op, Op::Constant(_)) && stored[node.outputs[0]] {
                let stores = vec![node.outputs[0]];
                groups.push(Group {
                    anchor: None,
                    nodes: vec![id],
                    stores,
                });
            }
        }
        for index in order {
            let nodes = &nodes[index];
            if nodes.is_empty() {
                continue;
            }
            let head = self.groups[index][0];
            let anchor = (!is_element_wise(self.graph, &self.graph.nodes[head])).then_some(head);
            let mut chain: Vec<NodeId> = Vec::new();
            for &node in nodes.iter().filter(|&&node| Some(node) != anchor) {
                // Numbers are made where they are used.
                for &input in &self.graph.nodes[node].inputs {
                    let producer = self.graph.producer(input);
                    let number = producer.filter(|&producer| {
                        matches!(self.graph.nodes[producer].op, Op::Constant(_))
                    });
                    chain.extend(number.filter(|number| !chain.contains(number)));
                }
                chain.push(node);
            }
            let own = nodes
                .iter()
                .filter(|&&node| self.group_of[node] == Some(index));
            let stores = own
                .flat_map(|&node| &self.graph.nodes[node].outputs)
                .copied()
                .filter(|&value| stored[value])
                .collect();
            groups.push(Group {
                anchor,
                nodes: chain,
                stores,
            });
        }
        Groups {
            groups,
            views: self.views,
            remarks: [self.remarks, remarks].concat(),
        }
    }

    /// The values that lie in memory: read by another group, or leaving the graph.
    fn stored(&self) -> IdVec<ValueId, bool> {
        let mut stored = IdVec::filled(self.graph.values.len(), false);
        let mut keep = |value: ValueId| {
            stored[value] = true;
            if let Some(root) = self.views[value] {
                stored[root] = true;
            }
        };
        for (id, node) in self.graph.nodes.iter() {
            if self.views[node.outputs[0]].is_some() {
                continue;
            }
            for &input in &node.inputs {
                let is_number = self.graph.producer(input).is_some_and(|producer| {
                    matches!(self.graph.nodes[producer].op, Op::Constant(_))
                });
                let inside = if is_number {
                    is_element_wise(self.graph, node)
                } else {
                    self.views[input].is_none() && self.maker(input) == self.group_of[id]
                };
                if !inside {
                    keep(input);
                }
            }
        }
        for value in self.graph.leaves() {
            keep(value);
        }
        stored
    }

    /// A topological order of the groups: of those that can run, the one that is due first. What reads a parameter goes before what updates it, so the update can be in place.
    fn order(&self, contents: &Contents) -> Vec<usize> {
        let contained = contents.nodes.iter().enumerate();
        let mut before: Vec<Few> = contained
            .map(|(group, nodes)| self.reads(group, nodes))
            .collect();
        let mut needs = self.needs.clone();
        let mut seen_as: FxHashMap<ValueId, Vec<ValueId>> = FxHashMap::default();
        for (value, root) in self.views.iter() {
            if let &Some(root) = root {
                seen_as.entry(root).or_default().push(value);
            }
        }
        for update in &self.graph.updates {
            let Some(writer) = self.maker(update.value) else {
                continue;
            };
            let views = seen_as.get(&update.target).into_iter().flatten();
            let names = std::iter::once(&update.target).chain(views);
            for &node in names.flat_map(|&name| &self.users[name]) {
                let copies = contents.copies.get(&node).into_iter().flatten();
                for reader in self.group_of[node].into_iter().chain(copies.copied()) {
                    if !needs.reaches(reader, writer) {
                        needs.link(writer, reader);
                        before[writer].push(reader);
                    }
                }
            }
        }
        for groups in &mut before {
            groups.sort_unstable();
            groups.dedup();
        }
        let mut after: Vec<Few> = vec![Few::new(); self.groups.len()];
        for (group, needs) in before.iter().enumerate() {
            for &need in needs {
                after[need].push(group);
            }
        }
        // A group may have nodes from early and from late: it is due when the first group is that waits for it. Else
        // whatever does not wait for it would come before it, and take memory meanwhile. One that none waits for, an update
        // that follows a gradient, is due with its first node, so that what it reads need not be kept.
        let mut due: Vec<usize> = self
            .groups
            .iter()
            .zip(&after)
            .map(|(group, after)| match after.as_slice() {
                [] => group.first(),
                _ => group.last(),
            })
            .map(|node| node.map_or(0, |node| node.index()))
            .collect();
        for &group in sorted(&before, &after, &due).iter().rev() {
            for &next in &after[group] {
                due[group] = due[group].min(due[next]);
            }
        }
        let order = sorted(&before, &after, &due);
        assert_eq!(order.len(), self.groups.len(), "groups form no cycle");
        order
    }
}

/// An order of groups that keeps those before each before it: always the one that is due first of those that can come.
fn sorted(before: &[Few], after: &[Few], due: &[usize]) -> Vec<usize> {
    let mut missing: Vec<usize> = before.iter().map(|groups| groups.len()).collect();
    let free = (0..before.len()).filter(|&group| missing[group] == 0);
    let mut ready: BTreeSet<(usize, usize)> = free.map(|group| (due[group], group)).collect();
    let mut order = Vec::with_capacity(before.len());
    while let Some((_, group)) = ready.pop_first() {
        order.push(group);
        for &next in &after[group] {
            missing[next] -= 1;
            if missing[next] == 0 {
                ready.insert((due[next], next));
            }
        }
    }
    order
}
