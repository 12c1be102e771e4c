//! Lowers equal groups once: deep nets repeat a few shapes many times over.
//!
//! A group is cut out of its graph, with ids of its own that count from the group's first value. Lowering sees nothing
//! but that, so what two equal cut-outs give differs in names and ids alone.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use super::{Group, Lowered, group};
use crate::codegen::Target;
use crate::ir::arena::Id as _;
use crate::ir::{Graph, Node, NodeId, Operands, Value, ValueId, ValueKind, Within};

/// Lowers the groups of one graph.
#[derive(Debug)]
pub struct Once<'a> {
    graph: &'a Graph,
    target: &'a Target,
    batch: usize,
    /// Positions in `cuts`, by what they hash to.
    known: HashMap<u64, Vec<usize>>,
    cuts: Vec<Cut>,
    /// The values of the graph that the group at hand touches, by their number in the cut-out.
    values: Vec<ValueId>,
    /// The number of each of these.
    numbers: FxHashMap<ValueId, ValueId>,
}

/// A group that has been cut out and lowered.
#[derive(Debug)]
struct Cut {
    graph: Graph,
    group: Group,
    name: String,
    lowered: Lowered,
}

/// What a group is lowered to: the kernels of the first that was like it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alike {
    /// The first group's number among those that differ.
    pub first: usize,
    /// The values that stand for those of the first, by their number there.
    pub values: Vec<ValueId>,
}

impl<'a> Once<'a> {
    /// Starts on a graph whose layouts are decided.
    pub fn new(graph: &'a Graph, target: &'a Target, batch: usize) -> Once<'a> {
        Once {
            graph,
            target,
            batch,
            known: HashMap::new(),
            cuts: Vec::new(),
            values: Vec::new(),
            numbers: FxHashMap::default(),
        }
    }

    /// Lowers a group, unless one like it has been. `name` starts the names of its kernels.
    pub fn lower(&mut self, group: &Group, name: &str) -> Alike {
        let (graph, group) = self.cut(group);
        let known = self.known.entry(key(&graph)).or_default();
        let cuts = &mut self.cuts;
        let is_alike = |&&at: &&usize| cuts[at].group == group && cuts[at].graph == graph;
        let first = match known.iter().find(is_alike) {
            Some(&first) => first,
            None => {
                let lowered = group::lower(&graph, self.target, self.batch, &group, name);
                known.push(cuts.len());
                cuts.push(Cut {
                    graph,
                    group,
                    name: name.to_owned(),
                    lowered,
                });
                cuts.len() - 1
            }
        };
        Alike {
            first,
            values: std::mem::take(&mut self.values),
        }
    }

    /// The kernels of the first group of its kind, whose values have numbers of their own.
    pub fn lowered(&self, first: usize) -> &Lowered {
        &self.cuts[first].lowered
    }

    /// What a kernel of the first group would be called in a group of that name.
    pub fn renamed(&self, first: usize, kernel: &str, name: &str) -> String {
        let rest = kernel.strip_prefix(&self.cuts[first].name);
        rest.map_or_else(|| kernel.to_owned(), |rest| format!("{name}{rest}"))
    }

    /// The group with what it reads, as a graph of its own.
    fn cut(&mut self, group: &Group) -> (Graph, Group) {
        self.numbers.clear();
        let mut part = Graph::default();
        let mut nodes: Vec<NodeId> = group
            .anchor
            .into_iter()
            .chain(group.nodes.clone())
            .collect();
        nodes.sort_unstable();
        for &id in &nodes {
            let node = &self.graph.nodes[id];
            let inputs = node
                .inputs
                .iter()
                .map(|&value| self.local(value, &mut part));
            let inputs: Operands = inputs.collect();
            let outputs = node
                .outputs
                .iter()
                .map(|&value| self.local(value, &mut part));
            let outputs: Operands = outputs.collect();
            let node = part.nodes.push(Node {
                op: node.op.clone(),
                inputs,
                outputs: outputs.clone(),
                origin: Default::default(),
            });
            for (index, output) in outputs.into_iter().enumerate() {
                part.values[output].kind = ValueKind::Result { node, index };
            }
        }
        let place = |id: NodeId| {
            let position = nodes.binary_search(&id);
            NodeId::new(position.expect("the node is one of the group's"))
        };
        let stores = group
            .stores
            .iter()
            .map(|&value| self.local(value, &mut part));
        let group = Group {
            stores: stores.collect(),
            anchor: group.anchor.map(place),
            nodes: group.nodes.iter().map(|&id| place(id)).collect(),
        };
        (part, group)
    }

    /// The value's number in the cut-out; from outside it comes as an input without a name.
    fn local(&mut self, value: ValueId, part: &mut Graph) -> ValueId {
        if let Some(&known) = self.numbers.get(&value) {
            return known;
        }
        self.numbers.insert(value, ValueId::new(self.values.len()));
        self.values.push(value);
        let Value {
            ty, layout, within, ..
        } = &self.graph.values[value];
        let local = part.values.push(Value {
            ty: ty.clone(),
            layout: layout.clone(),
            kind: ValueKind::Input(String::new()),
            within: None,
        });
        if let Some(Within { whole, channel }) = *within {
            let whole = self.local(whole, part);
            part.values[local].within = Some(Within { whole, channel });
        }
        local
    }
}

/// A hash of a cut-out. Attributes count in their debug form, in which 0 and -0 differ: comparing floats would call
/// them equal.
fn key(graph: &Graph) -> u64 {
    let mut hasher = FxHasher::default();
    for (_, node) in graph.nodes.iter() {
        format!("{:?}", node.op).hash(&mut hasher);
        node.inputs.hash(&mut hasher);
    }
    for (_, value) in graph.values.iter() {
        value.ty.hash(&mut hasher);
        value.layout.hash(&mut hasher);
        value.within.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Builder, Shape, Type};
    use crate::ops::Pointwise;

    #[test]
    fn equal_groups_are_lowered_once_and_zeros_of_different_sign_are_not_equal() {
        let mut b = Builder::new("net");
        let x = b.input("x", Type::f32(Shape::batched([8])));
        for (name, number) in [("a", 0.0), ("b", 0.0), ("c", -0.0)] {
            let number = b.constant(number);
            let sum = b.pointwise(Pointwise::Add, &[x, number]);
            b.output(name, sum);
        }
        let graph = b.finish();
        // Each sum with its number, which is the node before it.
        let group = |at: usize| Group {
            anchor: None,
            nodes: vec![NodeId::new(2 * at), NodeId::new(2 * at + 1)],
            stores: vec![graph.outputs[at].value],
        };
        let target = Target::host();
        let mut once = Once::new(&graph, &target, 4);
        let alike: Vec<Alike> = (0..3)
            .map(|at| once.lower(&group(at), &format!("k{at}")))
            .collect();
        assert_eq!(
            alike.iter().map(|alike| alike.first).collect::<Vec<_>>(),
            [0, 0, 1]
        );
        assert_ne!(alike[0].values, alike[1].values);
        let kernel = &once.lowered(0).steps[0].kernel.name;
        assert_eq!(kernel, "k0");
        assert_eq!(once.renamed(0, kernel, "k1"), "k1");
    }
}
