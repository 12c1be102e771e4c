//! Copies a graph node by node, so that a pass states only what it changes.
//!
//! Many passes find nothing to change in a graph, or only late. So the copy is not begun before it differs from the graph:
//! until then the graph stands for it.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::ir::arena::Id;
use crate::ir::{
    Graph, IdVec, Layout, Node, NodeId, Operands, Output, Type, Update, Value, ValueId, ValueKind,
    Within,
};
use crate::ops::{Op, OpRules};

/// A copy has room for a share more of values and nodes than the graph had, one in so many. Room that is not used is never
/// touched, so it costs next to nothing; a copy that outgrows its room is moved.
const MORE: usize = 2;

/// A graph being copied.
#[derive(Debug)]
pub struct Rewriter<'g> {
    from: &'g Graph,
    /// The copy, once it differs from the graph.
    to: Option<Graph>,
    /// How many of the first nodes have been copied as they are, as long as there is nothing else.
    same: usize,
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

/// Whether a copy would number the graph's values as the graph does: those that no node makes first, the others in the
/// order of their nodes. All copies are so.
fn is_in_order(graph: &Graph, map: &IdVec<ValueId, Option<ValueId>>) -> bool {
    let values = graph.values.iter();
    let mut results = values.skip_while(|(id, _)| map[*id] == Some(*id));
    let mut next = |output: ValueId| {
        let next = results.next();
        next.is_some_and(|(id, value)| id == output && value.within.is_none())
    };
    let mut made = graph.nodes.iter().flat_map(|(_, node)| &node.outputs);
    made.all(|&output| next(output)) && results.next().is_none()
}

impl<'g> Rewriter<'g> {
    /// Starts with everything that no node makes.
    pub fn new(from: &'g Graph) -> Rewriter<'g> {
        let map = given(from);
        let mut rewriter = Rewriter {
            from,
            to: None,
            same: 0,
            map,
        };
        if !is_in_order(from, &rewriter.map) {
            rewriter.to();
        }
        rewriter
    }

    /// The graph so far; it may have more nodes than have been copied.
    pub fn graph(&self) -> &Graph {
        self.to.as_ref().unwrap_or(self.from)
    }

    /// The copy, which from now on differs from the graph.
    fn to(&mut self) -> &mut Graph {
        let (from, same) = (self.from, self.same);
        self.to.get_or_insert_with(|| {
            let mut to = Graph {
                name: from.name.clone(),
                events: from.events.clone(),
                ..Graph::default()
            };
            // A pass makes about as much as it was given.
            to.values
                .reserve(from.values.len() + from.values.len() / MORE);
            to.nodes.reserve(from.nodes.len() + from.nodes.len() / MORE);
            let is_there = |value: &Value| match value.kind {
                ValueKind::Result { node, .. } => node.index() < same,
                ValueKind::Input(_)
                | ValueKind::Param(_)
                | ValueKind::State(_)
                | ValueKind::Step(_) => true,
            };
            for (_, value) in from.values.iter().filter(|(_, value)| is_there(value)) {
                to.values.push(value.clone());
            }
            for (_, node) in from.nodes.iter().take(same) {
                to.nodes.push(node.clone());
            }
            to
        })
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
        self.to();
        self.map[old] = Some(new);
    }

    /// Appends a node with inputs of the new graph.
    pub fn push(&mut self, op: Op, inputs: &[ValueId], origin: &Arc<str>) -> Operands {
        let to = self.to();
        let types = inputs.iter().map(|&input| to.ty(input).clone());
        let types: SmallVec<[Type; 4]> = types.collect();
        let made = op
            .infer(&types)
            .unwrap_or_else(|error| panic!("a rewrite made a wrong `{}`: {error}", op.name()));
        let node = NodeId::new(to.nodes.len());
        let values = made.into_iter().enumerate().map(|(index, ty)| {
            to.values.push(Value {
                layout: Layout::plain(&ty.shape),
                ty,
                kind: ValueKind::Result { node, index },
                within: None,
            })
        });
        let outputs: Operands = values.collect();
        to.nodes.push(Node {
            op,
            inputs: inputs.into(),
            outputs: outputs.clone(),
            origin: Arc::clone(origin),
        });
        outputs
    }

    /// Copies a node with its layouts. It tells what the node makes in the copy.
    pub fn copy(&mut self, id: NodeId) -> &[ValueId] {
        let from = self.from;
        if self.to.is_none() && id.index() == self.same {
            self.same += 1;
            let outputs = &from.nodes[id].outputs;
            for &output in outputs {
                self.map[output] = Some(output);
            }
            return outputs;
        }
        let mut node = from.nodes[id].clone();
        for input in &mut node.inputs {
            let old = std::mem::replace(input, self.get(*input));
            debug_assert!(
                from.ty(old) == self.graph().ty(*input),
                "what stands for a value has its type, so the copy makes values of the old ones' types"
            );
        }
        let layouts = from.nodes[id].outputs.iter();
        let layouts = layouts.map(|&output| from.values[output].layout.clone());
        self.append(node, layouts)
    }

    /// Copies a node, but it reads other values of the new graph, of which it makes values of the old types, and these lie
    /// as they are told.
    pub fn copy_with(
        &mut self,
        id: NodeId,
        inputs: Operands,
        layouts: impl Iterator<Item = Layout>,
    ) -> &[ValueId] {
        let node = &self.from.nodes[id];
        let node = Node {
            op: node.op.clone(),
            inputs,
            outputs: Operands::from_slice(&node.outputs),
            origin: Arc::clone(&node.origin),
        };
        self.append(node, layouts)
    }

    /// Appends a node that reads values of the new graph, and whose outputs so far are the old ones.
    fn append(&mut self, mut node: Node, layouts: impl Iterator<Item = Layout>) -> &[ValueId] {
        let from = self.from;
        self.to();
        let (Some(to), map) = (&mut self.to, &mut self.map) else {
            unreachable!("the copy has been begun")
        };
        let number = NodeId::new(to.nodes.len());
        for ((index, output), layout) in node.outputs.iter_mut().enumerate().zip(layouts) {
            let new = to.values.push(Value {
                ty: from.ty(*output).clone(),
                kind: ValueKind::Result {
                    node: number,
                    index,
                },
                layout,
                within: None,
            });
            map[std::mem::replace(output, new)] = Some(new);
        }
        to.nodes.push(node);
        &to.nodes[number].outputs
    }

    /// Sets the layout of a value of the new graph.
    pub fn set_layout(&mut self, value: ValueId, layout: Layout) {
        self.to().values[value].layout = layout;
    }

    /// Has a value of the new graph lie in another's memory.
    pub fn set_within(&mut self, value: ValueId, within: Within) {
        self.to().values[value].within = Some(within);
    }

    /// Ends the copy: outputs and updates follow. There is none if it would be what the graph is.
    pub fn finish(mut self) -> Option<Graph> {
        if self.same < self.from.nodes.len() {
            // The last nodes have been left out, if the copy has not been begun before.
            self.to();
        }
        let mut to = self.to.take()?;
        for output in &self.from.outputs {
            to.outputs.push(Output {
                name: output.name.clone(),
                value: self.get(output.value),
            });
        }
        for update in &self.from.updates {
            let (target, value) = (self.get(update.target), self.get(update.value));
            to.updates.push(Update { target, value });
        }
        Some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Builder, Shape};
    use crate::ops::Pointwise;

    /// x, -x, √(-x), (-x)².
    fn net() -> Graph {
        let mut b = Builder::new("net");
        let x = b.input("x", Type::f32(Shape::batched([8])));
        let negative = b.pointwise(Pointwise::Neg, &[x]);
        for (name, op) in [("root", Pointwise::Sqrt), ("sign", Pointwise::Neg)] {
            let y = b.pointwise(op, &[negative]);
            b.output(name, y);
        }
        b.finish()
    }

    #[test]
    fn what_stays_as_it_is_is_not_copied() {
        let graph = net();
        let mut rewriter = Rewriter::new(&graph);
        for id in graph.nodes.ids() {
            assert_eq!(rewriter.copy(id), &*graph.nodes[id].outputs);
        }
        assert_eq!(rewriter.finish(), None);
    }

    #[test]
    fn a_late_change_copies_what_came_before() {
        let graph = net();
        let mut rewriter = Rewriter::new(&graph);
        let mut ids = graph.nodes.ids();
        let (first, second) = (ids.next().unwrap(), ids.next().unwrap());
        rewriter.copy(first);
        // The second output is what the first one was to be taken of.
        let read = graph.nodes[second].inputs[0];
        rewriter.replace(graph.nodes[second].outputs[0], rewriter.get(read));
        rewriter.copy(ids.next().unwrap());
        let made = rewriter.finish().expect("a node was left out");
        assert_eq!(made.nodes.len(), 2);
        assert_eq!(made.outputs[0].value, read);
        assert_eq!(made.outputs[1].value, made.nodes[second].outputs[0]);
        assert_eq!(made.values.len(), graph.values.len() - 1);
    }

    #[test]
    fn nodes_left_out_at_the_end_are_missed() {
        let mut graph = net();
        graph.outputs.pop();
        let mut rewriter = Rewriter::new(&graph);
        for id in graph.nodes.ids().take(2) {
            rewriter.copy(id);
        }
        let made = rewriter.finish().expect("a node was left out");
        assert_eq!((made.nodes.len(), made.values.len()), (2, 3));
    }

    #[test]
    fn values_out_of_order_are_numbered_anew() {
        let mut b = Builder::new("net");
        let x = b.input("x", Type::f32(Shape::batched([8])));
        let y = b.pointwise(Pointwise::Neg, &[x]);
        let late = b.input("late", Type::f32(Shape::batched([8])));
        let sum = b.pointwise(Pointwise::Add, &[y, late]);
        b.output("sum", sum);
        let graph = b.finish();
        let mut rewriter = Rewriter::new(&graph);
        for id in graph.nodes.ids() {
            rewriter.copy(id);
        }
        let made = rewriter.finish().expect("its values have other numbers");
        let given = made.values.ids().take(2).map(|id| made.producer(id));
        assert!(given.into_iter().all(|producer| producer.is_none()));
    }
}
