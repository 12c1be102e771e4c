//! The cross-entropy of softmax, computed from logits so that nothing overflows and no logarithm of
//! zero is taken.

use crate::ir::Node;
use crate::kernel::BodyBuilder;
use crate::kernel::{Cmp, Lanes, Ptr, math};
use crate::lower::Cx;
use crate::lower::rows::{self, Row, Rows};
use crate::ops::softmax::lower::{greatest, row_sum, shifted_exp};

/// `log(sum of exp(x - most)) + (most - x[label])`.
pub fn cross_entropy(cx: &mut Cx<'_>, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, label, loss) = (ptrs[0], ptrs[1], ptrs[2]);
        let most = greatest(b, row, x);
        let sum = row_sum(b, row, &[x], |b, off, lanes, _| {
            shifted_exp(b, row, x, off, lanes, most)
        });
        let label = b.broadcast_i(label, 0);
        let zero = b.const_f(0.0);
        let chosen = row_sum(b, row, &[x], |b, off, lanes, number| {
            let x = b.load(x, off, lanes);
            b.select(Cmp::Eq, number, label, x, zero)
        });
        let log = math::log(b, sum);
        let below = b.sub(most, chosen);
        let result = b.add(log, below);
        b.store(loss, 0, result, Lanes::First(1));
    };
    let values = vec![node.inputs[0], node.inputs[1], node.outputs[0]];
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 40,
            pixel: &pixel,
        },
    );
}

/// (softmax(x) - one at the label) · the gradient of the loss.
pub fn cross_entropy_grad(cx: &mut Cx<'_>, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, label, dloss, dx) = (ptrs[0], ptrs[1], ptrs[2], ptrs[3]);
        let most = greatest(b, row, x);
        let sum = row_sum(b, row, &[x], |b, off, lanes, _| {
            shifted_exp(b, row, x, off, lanes, most)
        });
        let (zero, one) = (b.const_f(0.0), b.const_f(1.0));
        let share = b.div(one, sum);
        let label = b.broadcast_i(label, 0);
        let dloss = b.broadcast(dloss, 0);
        row.each(b, &[x, dx], |b, off, lanes, number| {
            let exp = shifted_exp(b, row, x, off, lanes, most);
            let softmax = b.mul(exp, share);
            let wanted = b.select(Cmp::Eq, number, label, one, zero);
            let error = b.sub(softmax, wanted);
            let result = b.mul(error, dloss);
            b.store(dx, off, result, lanes);
        });
    };
    let values = vec![
        node.inputs[0],
        node.inputs[1],
        node.inputs[2],
        node.outputs[0],
    ];
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 50,
            pixel: &pixel,
        },
    );
}
