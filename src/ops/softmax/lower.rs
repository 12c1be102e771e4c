//! Softmax over the channels of each pixel, the greatest subtracted first so that nothing overflows.

use crate::ir::Node;
use crate::kernel::BodyBuilder;
use crate::kernel::{Lanes, Op, Ptr, Reduce, Reg, math};
use crate::lower::Cx;
use crate::lower::rows::{self, Row, Rows};

/// The greatest element of the row at a pointer, in every lane.
pub fn greatest(b: &mut BodyBuilder, row: &Row, x: Ptr) -> Reg {
    let most = b.reg(crate::kernel::LaneType::F32);
    b.set(most, Op::float(f32::NEG_INFINITY));
    row.each(b, &[x], |b, off, lanes, _| {
        let x = b.load(x, off, lanes);
        let x = row.fill(b, x, lanes, f32::NEG_INFINITY);
        b.max_into(most, most, x);
    });
    b.reduce(Reduce::Max, most)
}

/// exp(x - most) of a vector of the row, zero beyond its end.
pub fn shifted_exp(
    b: &mut BodyBuilder,
    row: &Row,
    x: Ptr,
    off: i32,
    lanes: Lanes,
    most: Reg,
) -> Reg {
    let x = b.load(x, off, lanes);
    let shifted = b.sub(x, most);
    let exp = math::exp(b, shifted);
    row.fill(b, exp, lanes, 0.0)
}

/// A sum of one vector an element, folded to every lane.
pub fn row_sum(
    b: &mut BodyBuilder,
    row: &Row,
    ptrs: &[Ptr],
    mut addend: impl FnMut(&mut BodyBuilder, i32, Lanes, Reg) -> Reg,
) -> Reg {
    let sum = b.reg(crate::kernel::LaneType::F32);
    b.set(sum, Op::float(0.0));
    row.each(b, ptrs, |b, off, lanes, number| {
        let addend = addend(b, off, lanes, number);
        b.add_into(sum, sum, addend);
    });
    b.reduce(Reduce::Sum, sum)
}

/// y = exp(x - max x) / sum of those.
pub fn softmax(cx: &mut Cx<'_>, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, y) = (ptrs[0], ptrs[1]);
        let most = greatest(b, row, x);
        let sum = row_sum(b, row, &[x, y], |b, off, lanes, _| {
            let exp = shifted_exp(b, row, x, off, lanes, most);
            b.store(y, off, exp, lanes);
            exp
        });
        let one = b.const_f(1.0);
        let share = b.div(one, sum);
        row.each(b, &[y], |b, off, lanes, _| {
            let exp = b.load(y, off, lanes);
            let result = b.mul(exp, share);
            b.store(y, off, result, lanes);
        });
    };
    let values = vec![node.inputs[0], node.outputs[0]];
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 30,
            pixel: &pixel,
        },
    );
}

/// dx = y · (dy - sum of y · dy).
pub fn softmax_grad(cx: &mut Cx<'_>, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (y, dy, dx) = (ptrs[0], ptrs[1], ptrs[2]);
        let dot = row_sum(b, row, &[y, dy], |b, off, lanes, _| {
            let (y, dy) = (b.load(y, off, lanes), b.load(dy, off, lanes));
            b.mul(y, dy)
        });
        row.each(b, &[y, dy, dx], |b, off, lanes, _| {
            let (y, dy) = (b.load(y, off, lanes), b.load(dy, off, lanes));
            let centred = b.sub(dy, dot);
            let result = b.mul(y, centred);
            b.store(dx, off, result, lanes);
        });
    };
    let values = vec![node.inputs[0], node.inputs[1], node.outputs[0]];
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 8,
            pixel: &pixel,
        },
    );
}

/// y = x - max x - log of the sum of exp(x - max x).
pub fn log_softmax(cx: &mut Cx<'_>, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, y) = (ptrs[0], ptrs[1]);
        let most = greatest(b, row, x);
        let sum = row_sum(b, row, &[x], |b, off, lanes, _| {
            shifted_exp(b, row, x, off, lanes, most)
        });
        let log = math::log(b, sum);
        row.each(b, &[x, y], |b, off, lanes, _| {
            let x = b.load(x, off, lanes);
            let shifted = b.sub(x, most);
            let result = b.sub(shifted, log);
            b.store(y, off, result, lanes);
        });
    };
    let values = vec![node.inputs[0], node.outputs[0]];
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 30,
            pixel: &pixel,
        },
    );
}

/// dx = dy - exp(y) · sum of dy.
pub fn log_softmax_grad(cx: &mut Cx<'_>, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (y, dy, dx) = (ptrs[0], ptrs[1], ptrs[2]);
        let sum = row_sum(b, row, &[dy], |b, off, lanes, _| b.load(dy, off, lanes));
        row.each(b, &[y, dy, dx], |b, off, lanes, _| {
            let (y, dy) = (b.load(y, off, lanes), b.load(dy, off, lanes));
            let softmax = math::exp(b, y);
            let result = b.fma_neg(softmax, sum, dy);
            b.store(dx, off, result, lanes);
        });
    };
    let values = vec![node.inputs[0], node.inputs[1], node.outputs[0]];
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 30,
            pixel: &pixel,
        },
    );
}
