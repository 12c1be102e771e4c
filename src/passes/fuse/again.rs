//! Makes cheap values again in each group that reads them, where that moves less than writing them and reading them back.
//!
//! A batch norm's gradient needs the normalised input, the rectifier's mask and the masked gradient in three kernels that
//! cannot be one: sums over all of the batch lie between them. All three are a few operations on two values that are in
//! memory anyway.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Pass, is_element_wise};
use crate::ir::{IdVec, Layout, NodeId, ValueId};
use crate::lower::Space;
use crate::ops::{Op, Pointwise};
use crate::passes::Remark;

/// Operations that are made again for one value at most.
const LONGEST: usize = 6;

/// What each group computes once cheap values are made where they are read.
pub(super) struct Contents {
    /// The nodes of each group, in order; none of a group that nobody needs any more.
    pub(super) nodes: Vec<Vec<NodeId>>,
    /// The groups, other than its own, that make a node's result again.
    pub(super) copies: FxHashMap<NodeId, Vec<usize>>,
    /// The values that lie in memory.
    pub(super) stored: IdVec<ValueId, bool>,
    /// What was done.
    pub(super) remarks: Vec<Remark>,
}

/// Whether a few instructions make it: fewer than bringing an operand takes.
fn is_cheap(op: &Op) -> bool {
    matches!(
        op,
        Op::Pointwise(
            Pointwise::Add
                | Pointwise::Sub
                | Pointwise::Mul
                | Pointwise::MulAdd
                | Pointwise::Max
                | Pointwise::Min
                | Pointwise::Neg
                | Pointwise::Square
                | Pointwise::Relu
                | Pointwise::ReluGrad
                | Pointwise::Prelu
                | Pointwise::PreluGrad
                | Pointwise::Clip { .. }
                | Pointwise::ClipGrad { .. }
        )
    )
}

/// How a value is made of what lies in memory.
#[derive(Default)]
struct Recipe {
    nodes: BTreeSet<NodeId>,
    /// What is read that is as large as the value.
    large: BTreeSet<ValueId>,
}

impl Contents {
    /// Decides.
    pub(super) fn of(pass: &Pass<'_>, spread: bool) -> Contents {
        let mut contents = Contents {
            nodes: pass.groups.iter().map(|nodes| nodes.to_vec()).collect(),
            copies: FxHashMap::default(),
            stored: pass.stored(),
            remarks: Vec::new(),
        };
        if spread {
            contents.spread(pass);
        }
        contents
    }

    fn spread(&mut self, pass: &Pass<'_>) {
        let graph = pass.graph;
        let viewed: FxHashSet<ValueId> = pass.views.iter().filter_map(|(_, &root)| root).collect();
        for (id, node) in graph.nodes.iter() {
            let value = node.outputs[0];
            let entry = &graph.values[value];
            let is_plain = matches!(entry.layout, Layout::Nhwc { .. }) && entry.within.is_none();
            if !self.stored[value]
                || pass.leaves[value]
                || viewed.contains(&value)
                || !entry.ty.shape.batched
                || !is_plain
                || !is_cheap(&node.op)
            {
                continue;
            }
            let recipes = [true, false].map(|deep| self.recipe(pass, value, deep));
            let best = recipes.iter().flatten().filter_map(|recipe| {
                let (saved, readers) = self.saving(pass, id, value, recipe)?;
                (saved > 0).then_some((saved, readers, recipe))
            });
            if let Some((_, readers, recipe)) = best.max_by_key(|(saved, ..)| *saved) {
                for group in readers {
                    for &node in &recipe.nodes {
                        if !self.nodes[group].contains(&node) {
                            self.nodes[group].push(node);
                            self.copies.entry(node).or_default().push(group);
                        }
                    }
                }
                self.stored[value] = false;
                let text = "is made again in each kernel that reads it: that moves less than it would if stored";
                self.remarks
                    .push(Remark::new("fuse", graph, id, true, text));
            }
        }
        self.drop_unread(pass);
    }

    /// What makes a value of what lies in memory: of whatever comes first, or, going deep, of what cheap nodes are not needed
    /// for.
    fn recipe(&self, pass: &Pass<'_>, value: ValueId, deep: bool) -> Option<Recipe> {
        let space = Space::of(pass.graph, value);
        let mut recipe = Recipe::default();
        self.collect(pass, value, &space, deep, &mut recipe)
            .then_some(recipe)
    }

    /// Adds what makes a value; `false` if it cannot be made of what lies in memory.
    fn collect(
        &self,
        pass: &Pass<'_>,
        value: ValueId,
        space: &Space,
        deep: bool,
        recipe: &mut Recipe,
    ) -> bool {
        let graph = pass.graph;
        let can_make = |value: ValueId| {
            let maker = graph.producer(value);
            maker.filter(|&id| is_cheap(&graph.nodes[id].op) && Space::of(graph, value) == *space)
        };
        let Some(maker) = can_make(value) else {
            return false;
        };
        recipe.nodes.insert(maker);
        recipe.nodes.len() <= LONGEST
            && graph.nodes[maker].inputs.iter().all(|&input| {
                let producer = graph.producer(input);
                if producer.is_some_and(|id| matches!(graph.nodes[id].op, Op::Constant(_))) {
                    return true;
                }
                let is_large = graph.ty(input).shape.batched && Space::of(graph, input) == *space;
                let is_there = producer.is_none() || self.stored[input];
                if is_large && (!is_there || deep && can_make(input).is_some()) {
                    return self.collect(pass, input, space, deep, recipe);
                }
                if is_large {
                    recipe.large.insert(input);
                }
                is_there
            })
    }

    /// How many times less of a value's size is moved if the groups that read it make it again, and which those are; none if
    /// they cannot.
    fn saving(
        &self,
        pass: &Pass<'_>,
        id: NodeId,
        value: ValueId,
        recipe: &Recipe,
    ) -> Option<(isize, BTreeSet<usize>)> {
        let graph = pass.graph;
        let space = Space::of(graph, value);
        let nodes: Vec<NodeId> = recipe.nodes.iter().copied().collect();
        let mut readers = BTreeSet::new();
        for &reader in &pass.users[value] {
            let group = pass.group_of[reader]?;
            let node = &graph.nodes[reader];
            let takes = match node.op {
                Op::ChannelSums => node.inputs[2] != value,
                _ => is_element_wise(graph, node) && Space::of(graph, node.outputs[0]) == space,
            };
            if self.nodes[group].contains(&id) {
                continue;
            }
            if !takes {
                return None;
            }
            readers.insert(group);
        }
        // The value is written once, and each group reads it.
        let mut saved = 1;
        for &group in &readers {
            let read = self.read(pass, group, &[]);
            let more = recipe.large.iter().filter(|&&large| {
                let maker = graph.producer(large).and_then(|maker| pass.group_of[maker]);
                !read.contains(&large) && maker != Some(group)
            });
            saved += 1 - more.count() as isize;
            let outputs = self.nodes[group].iter();
            let outputs = outputs.flat_map(|&node| &graph.nodes[node].outputs);
            let stored = outputs.filter(|&&value| self.stored[value]).count();
            if self.read(pass, group, &nodes).len() + stored > pass.most_buffers(group) {
                return None;
            }
        }
        Some((saved, readers))
    }

    /// What a group reads from memory, with some nodes more.
    fn read(&self, pass: &Pass<'_>, group: usize, more: &[NodeId]) -> BTreeSet<ValueId> {
        let graph = pass.graph;
        let own = &self.nodes[group];
        let is_inside = |id: &NodeId| own.contains(id) || more.contains(id);
        let inputs = own
            .iter()
            .chain(more)
            .flat_map(|&id| &graph.nodes[id].inputs);
        let outside = inputs.filter(|&&input| match graph.producer(input) {
            Some(id) => !is_inside(&id) && !matches!(graph.nodes[id].op, Op::Constant(_)),
            None => true,
        });
        outside.copied().collect()
    }

    /// Drops nodes whose results nobody reads any more. What they read of memory is read by those who make them again.
    fn drop_unread(&mut self, pass: &Pass<'_>) {
        let graph = pass.graph;
        for (group, nodes) in self.nodes.iter_mut().enumerate() {
            nodes.sort_unstable();
            let mut used = FxHashSet::default();
            let mut kept = Vec::with_capacity(nodes.len());
            for &id in nodes.iter().rev() {
                let node = &graph.nodes[id];
                let is_own = pass.group_of[id] == Some(group);
                let is_needed = node.outputs.iter().any(|value| {
                    let is_read = is_own && (self.stored[*value] || pass.users[*value].is_empty());
                    is_read || used.contains(value)
                });
                if is_needed {
                    used.extend(node.inputs.iter().copied());
                    kept.push(id);
                }
            }
            kept.reverse();
            *nodes = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, run};
    use super::*;
    use crate::ir::{Builder, Shape, Type};

    #[test]
    fn a_masked_gradient_is_made_for_its_sums_and_for_what_needs_them() {
        let mut b = Builder::new("net");
        let map = Type::f32(Shape::batched([8, 4, 4]));
        let (x, dy) = (b.input("x", map.clone()), b.input("dy", map));
        let mean = b.input("mean", Type::f32(Shape::single([8])));
        let y = b.pointwise(Pointwise::Relu, &[x]);
        let masked = b.pointwise(Pointwise::ReluGrad, &[y, dy]);
        let sums = b.node(Op::ChannelSums, &[masked, x, mean]);
        let wide = b.node(Op::Reshape(vec![8, 1, 1]), &[sums[0]])[0];
        let rest = b.pointwise(Pointwise::Sub, &[masked, wide]);
        let rest = b.pointwise(Pointwise::Mul, &[rest, x]);
        b.output("sum", sums[1]);
        b.output("rest", rest);
        let graph = b.finish();

        let groups = run(&graph, Options { fuse: true }).groups;
        let stored: Vec<ValueId> = groups
            .iter()
            .flat_map(|(_, group)| group.stores.clone())
            .collect();
        assert!(
            !stored.contains(&y) && !stored.contains(&masked),
            "{stored:?}"
        );
        let maker = graph.producer(masked).expect("a node makes it");
        let made = groups
            .iter()
            .filter(|(_, group)| group.nodes.contains(&maker));
        assert_eq!(made.count(), 2);

        let alone = run(&graph, Options { fuse: false }).groups;
        let makers = alone
            .iter()
            .filter(|(_, group)| group.nodes.contains(&maker));
        assert_eq!(makers.count(), 1);
    }
}
