//! Lowers equal groups once: deep nets repeat a few shapes many times over.
//!
//! A group is cut out of its graph, with ids of its own that count from the group's first value. Lowering sees nothing
//! but that, so what two equal cut-outs give differs in names and ids alone.

use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

use rustc_hash::{FxHashMap, FxHasher};

use super::{Footprint, Group, Lowered, group};
use crate::codegen::Target;
use crate::ir::arena::Id as _;
use crate::ir::{Graph, Node, NodeId, Operands, Value, ValueId, ValueKind, Within};

/// Lowers the groups of one graph.
#[derive(Debug)]
pub struct Once<'a> {
    cutter: Cutter<'a>,
    target: &'a Target,
    batch: usize,
    /// Positions in `cuts`, by what they hash to.
    known: FxHashMap<u64, Vec<usize>>,
    cuts: Vec<(Cut, Lowering)>,
}

/// What a group that has been cut out was lowered to.
#[derive(Debug)]
struct Lowering {
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
            cutter: Cutter::new(graph),
            target,
            batch,
            known: FxHashMap::default(),
            cuts: Vec::new(),
        }
    }

    /// Lowers a group, unless one like it has been. `name` starts the names of its kernels.
    pub fn lower(&mut self, group: &Group, name: &str) -> Alike {
        let cut = self.cutter.cut(group);
        let known = self.known.entry(cut.key()).or_default();
        let cuts = &mut self.cuts;
        let first = match known.iter().find(|&&at| cuts[at].0 == *cut) {
            Some(&first) => first,
            None => {
                let lowering = Lowering {
                    name: name.to_owned(),
                    lowered: cut.lower(self.target, self.batch, name),
                };
                known.push(cuts.len());
                cuts.push((cut.clone(), lowering));
                cuts.len() - 1
            }
        };
        Alike {
            first,
            values: self.cutter.values.clone(),
        }
    }

    /// The kernels of the first group of its kind, whose values have numbers of their own.
    pub fn lowered(&self, first: usize) -> &Lowered {
        &self.cuts[first].1.lowered
    }

    /// What a kernel of the first group would be called in a group of that name.
    pub fn renamed(&self, first: usize, kernel: &str, name: &str) -> String {
        let rest = kernel.strip_prefix(&self.cuts[first].1.name);
        rest.map_or_else(|| kernel.to_owned(), |rest| format!("{name}{rest}"))
    }
}

/// The footprints of groups, for all graphs of a machine: nets of one family have most of their groups in common. May be
/// shared by threads.
#[derive(Debug)]
pub struct Footprints {
    target: Target,
    known: Mutex<FxHashMap<(usize, u64), Footprinted>>,
}

/// The cut-outs of one hash with their footprints.
type Footprinted = Vec<(Cut, Arc<Footprint>)>;

impl Footprints {
    /// None so far.
    pub fn new(target: &Target) -> Footprints {
        Footprints {
            target: target.clone(),
            known: Mutex::default(),
        }
    }

    /// The machine.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The footprint of a group as it is lowered for a batch, its values with numbers of their own.
    fn of(&self, cut: &Cut, batch: usize) -> Arc<Footprint> {
        let key = (batch, cut.key());
        let find = |known: &FxHashMap<(usize, u64), Footprinted>| {
            let mut alike = known.get(&key)?.iter().filter(|(other, _)| other == cut);
            alike.next().map(|(_, footprint)| Arc::clone(footprint))
        };
        if let Some(known) = find(&self.known()) {
            return known;
        }
        // Other threads go on meanwhile; one that comes to the same group finds the same.
        let footprint = Arc::new(group::footprint(
            &cut.graph,
            &self.target,
            batch,
            &cut.group,
        ));
        let mut known = self.known();
        if find(&known).is_none() {
            let alike = known.entry(key).or_default();
            alike.push((cut.clone(), Arc::clone(&footprint)));
        }
        footprint
    }

    fn known(&self) -> std::sync::MutexGuard<'_, FxHashMap<(usize, u64), Footprinted>> {
        self.known
            .lock()
            .expect("no thread panics while it holds it")
    }
}

/// Looks up the footprints of the groups of one graph.
#[derive(Debug)]
pub struct Measure<'a> {
    cutter: Cutter<'a>,
    footprints: &'a Footprints,
    batch: usize,
}

impl<'a> Measure<'a> {
    /// Starts on a graph whose layouts are decided.
    pub fn new(graph: &'a Graph, footprints: &'a Footprints, batch: usize) -> Measure<'a> {
        Measure {
            cutter: Cutter::new(graph),
            footprints,
            batch,
        }
    }

    /// A group's footprint, and the values of the graph that stand for those in it, by their number there.
    pub fn of(&mut self, group: &Group) -> (Arc<Footprint>, &[ValueId]) {
        let footprint = self.footprints.of(self.cutter.cut(group), self.batch);
        (footprint, &self.cutter.values)
    }
}

/// A group that has been cut out of its graph, as a graph of its own.
#[derive(Clone, PartialEq, Debug)]
struct Cut {
    graph: Graph,
    group: Group,
}

impl Cut {
    fn lower(&self, target: &Target, batch: usize, name: &str) -> Lowered {
        let Cut { graph, group } = self;
        let lowered = group::lower(graph, target, batch, group, name);
        debug_assert_eq!(
            lowered.footprint(),
            group::footprint(graph, target, batch, group),
            "{name}: memory is planned for what kernels touch"
        );
        lowered
    }

    /// A hash.
    fn key(&self) -> u64 {
        let mut hasher = FxHasher::default();
        for (_, node) in self.graph.nodes.iter() {
            node.op.fingerprint(&mut hasher);
            node.inputs.hash(&mut hasher);
        }
        for (_, value) in self.graph.values.iter() {
            value.ty.hash(&mut hasher);
            value.layout.hash(&mut hasher);
            value.within.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Cuts groups out of a graph.
#[derive(Debug)]
struct Cutter<'a> {
    graph: &'a Graph,
    /// The last group that was cut out. Its memory serves the next one.
    cut: Cut,
    /// Its nodes in the graph.
    nodes: Vec<NodeId>,
    /// Its values in the graph, by their number in the cut-out.
    values: Vec<ValueId>,
    /// The number of each of these.
    numbers: FxHashMap<ValueId, ValueId>,
    /// What the values from outside and the nodes are called: nothing.
    nameless: Arc<str>,
}

impl<'a> Cutter<'a> {
    fn new(graph: &'a Graph) -> Cutter<'a> {
        Cutter {
            graph,
            cut: Cut {
                graph: Graph::default(),
                group: Group {
                    anchor: None,
                    nodes: Vec::new(),
                    stores: Vec::new(),
                },
            },
            nodes: Vec::new(),
            values: Vec::new(),
            numbers: FxHashMap::default(),
            nameless: Arc::default(),
        }
    }

    /// The group with what it reads, as a graph of its own.
    fn cut(&mut self, group: &Group) -> &Cut {
        self.numbers.clear();
        self.values.clear();
        self.cut.graph.values.clear();
        self.cut.graph.nodes.clear();
        self.nodes.clear();
        self.nodes.extend(group.anchor);
        self.nodes.extend_from_slice(&group.nodes);
        self.nodes.sort_unstable();
        let graph = self.graph;
        for at in 0..self.nodes.len() {
            let node = &graph.nodes[self.nodes[at]];
            let mut inputs = Operands::from_slice(&node.inputs);
            let mut outputs = Operands::from_slice(&node.outputs);
            for value in inputs.iter_mut().chain(&mut outputs) {
                *value = self.local(*value);
            }
            let cut = &mut self.cut.graph;
            for (index, &output) in outputs.iter().enumerate() {
                let node = NodeId::new(at);
                cut.values[output].kind = ValueKind::Result { node, index };
            }
            cut.nodes.push(Node {
                op: node.op.clone(),
                inputs,
                outputs,
                origin: Arc::clone(&self.nameless),
            });
        }
        let mut stores = std::mem::take(&mut self.cut.group.stores);
        stores.clear();
        stores.extend(group.stores.iter().map(|&value| self.local(value)));
        let nodes = &self.nodes;
        let place = |id: NodeId| {
            let position = nodes.binary_search(&id);
            NodeId::new(position.expect("the node is one of the group's"))
        };
        let cut = &mut self.cut.group;
        cut.stores = stores;
        cut.anchor = group.anchor.map(place);
        cut.nodes.clear();
        cut.nodes.extend(group.nodes.iter().map(|&id| place(id)));
        &self.cut
    }

    /// The value's number in the cut-out; from outside it comes as an input without a name.
    fn local(&mut self, value: ValueId) -> ValueId {
        if let Some(&known) = self.numbers.get(&value) {
            return known;
        }
        self.numbers.insert(value, ValueId::new(self.values.len()));
        self.values.push(value);
        let Value {
            ty, layout, within, ..
        } = &self.graph.values[value];
        let local = self.cut.graph.values.push(Value {
            ty: ty.clone(),
            layout: layout.clone(),
            kind: ValueKind::Input(Arc::clone(&self.nameless)),
            within: None,
        });
        if let Some(Within { whole, channel }) = *within {
            let whole = self.local(whole);
            self.cut.graph.values[local].within = Some(Within { whole, channel });
        }
        local
    }
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
