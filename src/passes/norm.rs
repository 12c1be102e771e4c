//! Takes the arithmetic of batch norms that is the same for all pixels of a channel out of the loops over pixels: the
//! square root, the division and all sums of statistics are made once a channel, as nodes of their own.
//!
//! Where mean and variance are parameters, a batch norm is a factor and an offset for each channel, which follow from
//! parameters alone; so a session makes them once and not for every batch:
//!
//! ```text
//! %5 = batch_norm %0, %1, %2, %3, %4        %6 = mul %3, (rsqrt (add %2, eps))      the factor
//!                                           %8 = sub %4, (mul %1, %6)               the offset
//!                                           %9 = mul_add %0, %6, %8
//! ```

use super::Remark;
use super::rewrite::Rewriter;
use crate::ir::{Graph, IdVec, NodeId, ValueId};
use crate::ops::{Op, Pointwise};

/// Runs the pass. It makes no graph where it changes nothing.
pub fn run(graph: &Graph) -> (Option<Graph>, Vec<Remark>) {
    let mut pass = Pass {
        graph,
        fixed: graph.fixed(),
        rewriter: Rewriter::new(graph),
        remarks: Vec::new(),
    };
    for (id, node) in graph.nodes.iter() {
        match node.op {
            Op::Pointwise(Pointwise::BatchNorm { eps, .. }) => pass.norm(id, eps),
            Op::Pointwise(Pointwise::BatchNormGrad { eps }) => pass.gradient(id, eps),
            _ => {
                pass.rewriter.copy(id);
            }
        }
    }
    (pass.rewriter.finish(), pass.remarks)
}

struct Pass<'g> {
    graph: &'g Graph,
    /// Whether a value follows from parameters alone.
    fixed: IdVec<ValueId, bool>,
    rewriter: Rewriter<'g>,
    remarks: Vec<Remark>,
}

impl Pass<'_> {
    fn op(&mut self, id: NodeId, op: Pointwise, operands: &[ValueId]) -> ValueId {
        let origin = &self.graph.nodes[id].origin;
        self.rewriter.push(Op::Pointwise(op), operands, origin)[0]
    }

    /// Whether all but the map follows from parameters.
    fn is_fixed(&self, norm: NodeId) -> bool {
        let rest = &self.graph.nodes[norm].inputs[1..];
        rest.iter().all(|&value| self.fixed[value])
    }

    /// 1 / √(var + eps).
    fn inverse_deviation(&mut self, id: NodeId, variance: ValueId, eps: f32) -> ValueId {
        let origin = &self.graph.nodes[id].origin;
        let eps = self.rewriter.push(Op::Constant(eps), &[], origin)[0];
        let shifted = self.op(id, Pointwise::Add, &[variance, eps]);
        self.op(id, Pointwise::Rsqrt, &[shifted])
    }

    fn norm(&mut self, id: NodeId, eps: f32) {
        let node = &self.graph.nodes[id];
        let &[x, mean, variance, gamma, beta] = node.inputs.as_slice() else {
            unreachable!("a batch norm has five operands")
        };
        let [mean, variance, gamma, beta] =
            [mean, variance, gamma, beta].map(|value| self.rewriter.get(value));
        let inverse = self.inverse_deviation(id, variance, eps);
        let factor = self.op(id, Pointwise::Mul, &[gamma, inverse]);
        let x = self.rewriter.get(x);
        let made = if self.is_fixed(id) {
            let moved = self.op(id, Pointwise::Mul, &[mean, factor]);
            let offset = self.op(id, Pointwise::Sub, &[beta, moved]);
            let text = "is a factor and an offset";
            self.remarks
                .push(Remark::new("norm", self.graph, id, true, text));
            self.op(id, Pointwise::MulAdd, &[x, factor, offset])
        } else {
            let text = "divides once a channel";
            self.remarks
                .push(Remark::new("norm", self.graph, id, true, text));
            // Centred first: a constant channel gives exactly beta.
            let centred = self.op(id, Pointwise::Sub, &[x, mean]);
            self.op(id, Pointwise::MulAdd, &[centred, factor, beta])
        };
        self.rewriter.replace(node.outputs[0], made);
    }

    fn gradient(&mut self, id: NodeId, eps: f32) {
        let node = &self.graph.nodes[id];
        let operands: Vec<ValueId> = node
            .inputs
            .iter()
            .map(|&input| self.rewriter.get(input))
            .collect();
        let &[dy, x, mean, variance, gamma, sum, moment, inverse_count] = operands.as_slice()
        else {
            unreachable!("the gradient of a batch norm has eight operands")
        };
        let inverse = self.inverse_deviation(id, variance, eps);
        let factor = self.op(id, Pointwise::Mul, &[gamma, inverse]);
        let mean_dy = self.op(id, Pointwise::Mul, &[sum, inverse_count]);
        let mean_moment = self.op(id, Pointwise::Mul, &[moment, inverse_count]);
        let square = self.op(id, Pointwise::Mul, &[inverse, inverse]);
        let slope = self.op(id, Pointwise::Mul, &[mean_moment, square]);
        let down = self.op(id, Pointwise::Neg, &[slope]);
        let centred = self.op(id, Pointwise::Sub, &[x, mean]);
        let less = self.op(id, Pointwise::Sub, &[dy, mean_dy]);
        let less = self.op(id, Pointwise::MulAdd, &[centred, down, less]);
        let made = self.op(id, Pointwise::Mul, &[less, factor]);
        let text = "divides once a channel";
        self.remarks
            .push(Remark::new("norm", self.graph, id, true, text));
        self.rewriter.replace(node.outputs[0], made);
    }
}
