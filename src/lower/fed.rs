//! Operands that are computed as they are read: those of a sum, where cheap nodes make them of what lies in memory.

use rustc_hash::FxHashMap;

use super::access::{Access, Space};
use super::strided::Operand;
use super::{Buffer, Cx, epilogue};
use crate::ir::{Graph, NodeId, ValueId};
use crate::kernel::{BodyBuilder, Reg};

/// What is read from memory to have some values at each place of a space.
#[derive(Debug)]
pub struct Fed<'a> {
    graph: &'a Graph,
    nodes: &'a [NodeId],
    /// What is asked for.
    values: Vec<ValueId>,
    reads: Vec<(ValueId, Access)>,
}

impl<'a> Fed<'a> {
    /// For values that the group's nodes make, or that lie in memory.
    pub fn new(cx: &Cx<'a>, values: &[ValueId], space: &Space) -> Fed<'a> {
        let (graph, nodes) = (cx.graph, cx.group.nodes.as_slice());
        let inputs = nodes.iter().flat_map(|&node| &graph.nodes[node].inputs);
        let mut reads: Vec<(ValueId, Access)> = Vec::new();
        for &value in values.iter().chain(inputs) {
            let is_made = graph
                .producer(value)
                .is_some_and(|maker| nodes.contains(&maker));
            if !is_made && !reads.iter().any(|&(known, _)| known == value) {
                reads.push((value, Access::new(graph, value, space)));
            }
        }
        Fed {
            graph,
            nodes,
            values: values.to_vec(),
            reads,
        }
    }

    /// What is read.
    pub fn operands(&self, cx: &Cx<'_>) -> Vec<Operand> {
        let operand = |&(value, access): &(ValueId, Access)| Operand {
            buffer: Buffer::Value(value),
            origin: access.origin,
            image: access.image,
            ..Operand::value(cx, value)
        };
        self.reads.iter().map(operand).collect()
    }

    /// The distances of channels, rows and pixels, of each operand.
    pub fn steps(&self) -> [Vec<i64>; 3] {
        let steps = |of: &dyn Fn(&Access) -> i64| self.reads.iter().map(|(_, a)| of(a)).collect();
        [
            steps(&|access| access.channel),
            steps(&|access| access.row),
            steps(&|access| access.pixel),
        ]
    }

    /// The values at a place where the operands are these.
    pub fn emit(&self, b: &mut BodyBuilder, loads: &[Reg]) -> Vec<Reg> {
        let reads = self.reads.iter().map(|&(value, _)| value);
        let mut regs: FxHashMap<ValueId, Reg> = reads.zip(loads.iter().copied()).collect();
        for &node in self.nodes {
            let node = &self.graph.nodes[node];
            let operands: Vec<Reg> = node.inputs.iter().map(|input| regs[input]).collect();
            let result = epilogue::compute(b, &node.op, &operands, None);
            regs.insert(node.outputs[0], result);
        }
        self.values.iter().map(|value| regs[value]).collect()
    }
}
