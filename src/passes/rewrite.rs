//! Copies a graph node by node, so that a pass states only what it changes.

use crate::ir::arena::Id;
use crate::ir::{
    Graph, IdVec, Layout, Node, NodeId, Output, Type, Update, Value, ValueId, ValueKind, Within,
};
use crate::ops::{Op, OpRules};

/// A graph being copied.
#[derive(Debug)]
pub struct Rewriter<'g> {
    from: &'g Graph,
    to: Graph,
    map: IdVec<ValueId, Option<ValueId>>,
}

impl<'g> Rewriter<'g> {
    /// Starts with everything that no node makes.
    pub fn new(from: &'g Graph) -> Rewriter<'g> {
        let mut to = Graph {
            name: from.name.clone(),
            events: from.events.clone(),
            ..Graph::default()
        };
        let mut map = IdVec::filled(from.values.len(), None);
        for (id, value) in from.values.iter() {
            if !matches!(value.kind, ValueKind::Result { .. }) {
                map[id] = Some(to.values.push(value.clone()));
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
    pub fn push(&mut self, op: Op, inputs: &[ValueId], origin: &str) -> Vec<ValueId> {
        let types: Vec<Type> = inputs
            .iter()
            .map(|&input| self.to.ty(input).clone())
            .collect();
        let made = op
            .infer(&types)
            .unwrap_or_else(|error| panic!("a rewrite made a wrong `{}`: {error}", op.name()));
        let node = NodeId::new(self.to.nodes.len());
        let outputs: Vec<ValueId> = made
            .into_iter()
            .enumerate()
            .map(|(index, ty)| {
                let layout = Layout::plain(&ty.shape);
                self.to.values.push(Value {
                    ty,
                    kind: ValueKind::Result { node, index },
                    layout,
                    within: None,
                })
            })
            .collect();
        self.to.nodes.push(Node {
            op,
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
            origin: origin.to_owned(),
        });
        outputs
    }

    /// Copies a node with its layouts.
    pub fn copy(&mut self, id: NodeId) -> Vec<ValueId> {
        let node = &self.from.nodes[id];
        let inputs: Vec<ValueId> = node.inputs.iter().map(|&input| self.get(input)).collect();
        let outputs = self.push(node.op.clone(), &inputs, &node.origin);
        for (&old, &new) in node.outputs.iter().zip(&outputs) {
            self.to.values[new].layout = self.from.values[old].layout.clone();
            self.replace(old, new);
        }
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
