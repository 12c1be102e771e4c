//! Local response normalisation, pixel by pixel, with the numbers whose windows are summed in a row of
//! scratch that has zeros at both ends.

use super::{Lrn, LrnForward, LrnGrad};
use crate::ir::Node;
use crate::kernel::{BodyBuilder, Lanes, Ptr, Reg, math};
use crate::lower::rows::{self, Row, Rows};
use crate::lower::{Cx, ELEMENT};

/// The elements of a row of scratch: the channels in whole vectors, and a window's ends. A last vector
/// writes zeros beyond the channels, and the end after it is zeroed once more.
fn scratch_row(cx: &Cx<'_>, lrn: &Lrn, channels: usize) -> usize {
    channels.next_multiple_of(cx.lanes()) + lrn.size - 1 + 2 * cx.lanes()
}

/// Zeroes `count` elements, whole vectors of them and perhaps some more, from an offset on.
fn zero(b: &mut BodyBuilder, ptr: Ptr, from: usize, count: usize) {
    let zero = b.const_f(0.0);
    for start in (0..count).step_by(b.lanes()) {
        let off = ((from + start) as i64 * ELEMENT) as i32;
        b.store(ptr, off, zero, Lanes::All);
    }
}

/// The sum of `count` adjacent numbers of scratch for each lane, from an offset on.
fn window(b: &mut BodyBuilder, ptr: Ptr, off: i32, count: usize) -> Reg {
    let mut sum = b.load(ptr, off, Lanes::All);
    for place in 1..count {
        let next = b.load(ptr, off + (place as i64 * ELEMENT) as i32, Lanes::All);
        sum = b.add(sum, next);
    }
    sum
}

/// Writes a number for each channel into scratch, with zeros before and after.
fn fill(
    b: &mut BodyBuilder,
    row: &Row,
    [before, after]: [usize; 2],
    ptrs: &[Ptr],
    scratch: Ptr,
    mut number: impl FnMut(&mut BodyBuilder, i32, Lanes) -> Reg,
) {
    zero(b, scratch, 0, before);
    let start = (before as i64 * ELEMENT) as i32;
    let walking: Vec<Ptr> = ptrs.iter().copied().chain([scratch]).collect();
    row.each(b, &walking, |b, off, lanes, _| {
        let number = number(b, off, lanes);
        let number = row.fill(b, number, lanes, 0.0);
        b.store(scratch, start + off, number, Lanes::All);
    });
    let end = before + row.channels().next_multiple_of(b.lanes());
    zero(b, scratch, end, after);
}

/// k + alpha · the sum of squares, its logarithm being taken.
fn log_base(b: &mut BodyBuilder, lrn: &Lrn, sum: Reg) -> [Reg; 2] {
    let (alpha, k) = (b.const_f(lrn.factor()), b.const_f(lrn.k));
    let base = b.fma(sum, alpha, k);
    [base, math::log(b, base)]
}

/// base^-beta.
fn power(b: &mut BodyBuilder, lrn: &Lrn, log: Reg) -> Reg {
    let beta = b.const_f(-lrn.beta);
    let exponent = b.mul(log, beta);
    math::exp(b, exponent)
}

/// y = x · base^-beta.
pub fn forward(cx: &mut Cx<'_>, LrnForward(lrn): &LrnForward, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, y, squares) = (ptrs[0], ptrs[1], ptrs[2]);
        let ends = [lrn.before(), lrn.after()];
        fill(b, row, ends, &[x], squares, |b, off, lanes| {
            let x = b.load(x, off, lanes);
            b.mul(x, x)
        });
        row.each(b, &[x, y, squares], |b, off, lanes, _| {
            let sum = window(b, squares, off, lrn.size);
            let [_, log] = log_base(b, lrn, sum);
            let factor = power(b, lrn, log);
            let x = b.load(x, off, lanes);
            let result = b.mul(x, factor);
            b.store(y, off, result, lanes);
        });
    };
    let channels = cx.graph.dims(node.inputs[0])[0];
    let name = cx.name.clone();
    let row = scratch_row(cx, lrn, channels);
    rows::lower_as(
        cx,
        &name,
        &Rows {
            over: node.inputs[0],
            values: vec![node.inputs[0], node.outputs[0]],
            work: 30 + lrn.size,
            pixel: &pixel,
        },
        &[row],
    );
}

/// dx = dy · base^-beta - 2 · alpha · beta · x · the sum of dy · x · base^(-beta - 1).
pub fn grad(cx: &mut Cx<'_>, LrnGrad(lrn): &LrnGrad, node: &Node) {
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, dy, dx, squares, through) = (ptrs[0], ptrs[1], ptrs[2], ptrs[3], ptrs[4]);
        let ends = [lrn.before(), lrn.after()];
        fill(b, row, ends, &[x], squares, |b, off, lanes| {
            let x = b.load(x, off, lanes);
            b.mul(x, x)
        });
        // The windows that hold a channel lie the other way round.
        let [before, after] = ends;
        let walking = [x, dy, dx, squares];
        fill(
            b,
            row,
            [after, before],
            &walking,
            through,
            |b, off, lanes| {
                let sum = window(b, squares, off, lrn.size);
                let [base, log] = log_base(b, lrn, sum);
                let factor = power(b, lrn, log);
                let (x, dy) = (b.load(x, off, lanes), b.load(dy, off, lanes));
                let direct = b.mul(dy, factor);
                b.store(dx, off, direct, lanes);
                let product = b.mul(direct, x);
                b.div(product, base)
            },
        );
        let slope = -2.0 * lrn.factor() * lrn.beta;
        row.each(b, &[x, dx, through], |b, off, lanes, _| {
            let sum = window(b, through, off, lrn.size);
            let slope = b.const_f(slope);
            let weighted = b.mul(sum, slope);
            let (x, direct) = (b.load(x, off, lanes), b.load(dx, off, lanes));
            let result = b.fma(weighted, x, direct);
            b.store(dx, off, result, lanes);
        });
    };
    let channels = cx.graph.dims(node.inputs[0])[0];
    let name = cx.name.clone();
    let row = scratch_row(cx, lrn, channels);
    rows::lower_as(
        cx,
        &name,
        &Rows {
            over: node.inputs[0],
            values: vec![node.inputs[0], node.inputs[1], node.outputs[0]],
            work: 50 + 2 * lrn.size,
            pixel: &pixel,
        },
        &[row, row],
    );
}
