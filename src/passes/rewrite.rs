//! Copies a graph node by node, so that a pass states only what it changes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::ir::arena::Id;
use crate::ir::{
    Graph, IdVec, Layout, Node, NodeId, Operands, Output, Type, Update, Value, ValueId, ValueKind,
    Within,
};
use crate::ops::{Op, OpRules};

/// A copy has room for a share more of values and nodes than the graph had, one in so many.
const MORE: usize = 8;

/// A graph being copied.
#[derive(Debug)]
pub struct Rewriter<'g> {
    from: &'g Graph,
    to: Graph,
    map: IdVec<ValueId, Option<ValueId>>,
}

/// The numbers in a copy of the values that no node makes: they come first, in their order.
pub fn given(graph: &Graph) -> IdVec<ValueId, Option<ValueId>> {
    let mut map = IdVec::filled(graph.values.len(), None);
    let given = graph.values.iter();
    let given = given.filter(|(_, value)| !matches!(value.kind, ValueKind::Result { .. }));
    for (new, (id, _)) in given.enumerate() {
        map[id] = Some(ValueId::new(new));
    }
    map
}

impl<'g> Rewriter<'g> {
    /// Starts with everything that no node makes.
    pub fn new(from: &'g Graph) -> Rewriter<'g> {
        let mut to = Graph {
            name: from.name.clone(),
            events: from.events.clone(),
            ..Graph::default()
        };
        // A pass makes about as much as it was given.
        to.values
            .reserve(from.values.len() + from.values.len() / MORE);
        to.nodes.reserve(from.nodes.len() + from.nodes.len() / MORE);
        let map = given(from);
        for (id, value) in from.values.iter() {
            if map[id].is_some() {
                to.values.push(value.clone());
            }
        }
        Rewriter { from, to, map }
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        &self.to
    }

    /// What stands for a value of the old graph.
    ///
    /// # Panics
    ///
    /// Its node has been dropped: a pass drops only what nothing reads.
    pub fn get(&self, value: ValueId) -> ValueId {
        self.map[value].unwrap_or_else(|| panic!("{value} is read but was dropped"))
    }

    /// Has a value of the new graph stand for one of the old.
    pub fn replace(&mut self, old: ValueId, new: ValueId) {
        self.map[old] = Some(new);
    }

    /// Appends a node with inputs of the new graph.
    pub fn push(&mut self, op: Op, inputs: &[ValueId], origin: &Arc<str>) -> Operands {
        let types = inputs.iter().map(|&input| self.to.ty(input).clone());
        let types: SmallVec<[Type; 4]> = types.collect();
        let made = op
            .infer(&types)
            .unwrap_or_else(|error| panic!("a rewrite made a wrong `{}`: {error}", op.name()));
        let node = NodeId::new(self.to.nodes.len());
        let values = made.into_iter().enumerate().map(|(index, ty)| {
            self.to.values.push(Value {
                layout: Layout::plain(&ty.shape),
                ty,
                kind: ValueKind::Result { node, index },
                within: None,
            })
        });
        let outputs: Operands = values.collect();
        self.to.nodes.push(Node {
            op,
            inputs: inputs.into(),
            outputs: outputs.clone(),
            origin: Arc::clone(origin),
        });
        outputs
    }

    /// Copies a node with its layouts.
    pub fn copy(&mut self, id: NodeId) -> Operands {
        let from = self.from;
        let node = &from.nodes[id];
        let mut inputs = Operands::from_slice(&node.inputs);
        for input in &mut inputs {
            let old = std::mem::replace(input, self.get(*input));
            debug_assert!(
                from.ty(old) == self.to.ty(*input),
                "what stands for a value has its type, so the copy makes values of the old ones' types"
            );
        }
        let layouts = node.outputs.iter();
        let layouts = layouts.map(|&output| from.values[output].layout.clone());
        self.copy_with(id, inputs, layouts)
    }

    /// Copies a node, but it reads other values of the new graph, of which it makes values of the old types, and these lie
    /// as they are told.
    pub fn copy_with(
        &mut self,
        id: NodeId,
        inputs: Operands,
        layouts: impl Iterator<Item = Layout>,
    ) -> Operands {
        let from = self.from;
        let node = &from.nodes[id];
        let number = NodeId::new(self.to.nodes.len());
        let mut outputs = Operands::from_slice(&node.outputs);
        for ((index, output), layout) in outputs.iter_mut().enumerate().zip(layouts) {
            let new = self.to.values.push(Value {
                ty: from.ty(*output).clone(),
                kind: ValueKind::Result {
                    node: number,
                    index,
                },
                layout,
                within: None,
            });
            self.replace(std::mem::replace(output, new), new);
        }
        self.to.nodes.push(Node {
            op: node.op.clone(),
            inputs,
            outputs: Operands::from_slice(&outputs),
            origin: Arc::clone(&node.origin),
        });
        outputs
    }

    /// Sets the layout of a value of the new graph.
    pub fn set_layout(&mut self, value: ValueId, layout: Layout) {
        self.to.values[value].layout = layout;
    }

    /// Has a value of the new graph lie in another's memory.
    pub fn set_within(&mut self, value: ValueId, within: Within) {
        self.to.values[value].within = Some(within);
    }

    /// Ends the copy: outputs and updates follow.
    pub fn finish(mut self) -> Graph {
        for output in &self.from.outputs {
            let value = self.get(output.value);
            self.to.outputs.push(Output {
                name: output.name.clone(),
                value,
            });
        }
        for update in &self.from.updates {
            let (target, value) = (self.get(update.target), self.get(update.value));
            self.to.updates.push(Update { target, value });
        }
        self.to
    }
}
