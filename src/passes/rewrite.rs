//! Copies a graph node by node, so that a pass states only what it changes.

use std::sync::Arc;

use crate::ir::arena::Id;
use crate::ir::{
    Graph, IdVec, Layout, Node, NodeId, Operands, Output, Type, Update, Value, ValueId, ValueKind,
    Within,
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
    pub fn push(&mut self, op: Op, inputs: &[ValueId], origin: &Arc<str>) -> Operands {
        let types: Vec<Type> = inputs
            .iter()
            .map(|&input| self.to.ty(input).clone())
            .collect();
        let made = op
            .infer(&types)
            .unwrap_or_else(|error| panic!("a rewrite made a wrong `{}`: {error}", op.name()));
        let made = made.into_iter().map(|ty| (Layout::plain(&ty.shape), ty));
        self.append(op, inputs.into(), made, origin)
    }

    /// Appends a node that makes values of these layouts and types.
    fn append(
        &mut self,
        op: Op,
        inputs: Operands,
        made: impl Iterator<Item = (Layout, Type)>,
        origin: &Arc<str>,
    ) -> Operands {
        let node = NodeId::new(self.to.nodes.len());
        let values = made.enumerate().map(|(index, (layout, ty))| {
            self.to.values.push(Value {
                ty,
                kind: ValueKind::Result { node, index },
                layout,
                within: None,
            })
        });
        let outputs: Operands = values.collect();
        self.to.nodes.push(Node {
            op,
            inputs,
            outputs: outputs.clone(),
            origin: Arc::clone(origin),
        });
        outputs
    }

    /// Copies a node with its layouts.
    pub fn copy(&mut self, id: NodeId) -> Operands {
        let from = self.from;
        let node = &from.nodes[id];
        let inputs: Operands = node.inputs.iter().map(|&input| self.get(input)).collect();
        let mut pairs = node.inputs.iter().zip(&inputs);
        debug_assert!(
            pairs.all(|(&old, &new)| from.ty(old) == self.to.ty(new)),
            "what stands for a value has its type, so the copy makes values of the old ones' types"
        );
        let made = node.outputs.iter().map(|&output| {
            let value = &from.values[output];
            (value.layout.clone(), value.ty.clone())
        });
        let outputs = self.append(node.op.clone(), inputs, made, &node.origin);
        for (&old, &new) in node.outputs.iter().zip(&outputs) {
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
