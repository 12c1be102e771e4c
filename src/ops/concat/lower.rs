//! Joining and cutting as copies.

use super::{Concat, Pad, Slice};
use crate::ir::{Node, ValueId, Within};
use crate::lower::Cx;
use crate::lower::strided::{self, Axis, Moves, Operand, steps};

/// Copies each input behind the last, unless it lies there.
pub fn concat(cx: &mut Cx<'_>, op: &Concat, node: &Node) {
    let name = cx.name.clone();
    let to = node.outputs[0];
    let step = steps(cx, to)[op.axis];
    let mut place = 0;
    for (index, &from) in node.inputs.iter().enumerate() {
        let Within { whole, channel } = cx.graph.place(to);
        let there = Within {
            whole,
            channel: channel + place as usize,
        };
        if op.axis != 0 || cx.graph.place(from) != there {
            let name = format!("{name}_{index}");
            part(cx, &name, [from, to], [0, place * step], from);
        }
        place += cx.graph.dims(from)[op.axis] as i64;
    }
}

/// Copies a part.
pub fn slice(cx: &mut Cx<'_>, op: &Slice, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let start = steps(cx, from)[op.axis] * op.from as i64;
    let name = cx.name.clone();
    part(cx, &name, [from, to], [start, 0], to);
}

/// Copies the value into the middle and writes the number around it.
pub fn pad(cx: &mut Cx<'_>, op: &Pad, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let steps = steps(cx, to);
    let name = cx.name.clone();
    let inside = cx.graph.dims(from).to_vec();
    let outside = cx.graph.dims(to).to_vec();
    let batched = cx.graph.ty(to).shape.batched;
    let destination = Operand::value(cx, to);
    // For each axis what lies before and after, along the axes before it only within their middle, so
    // that nothing is written twice.
    for axis in 0..inside.len() {
        let [before, after] = [op.before[axis], op.after[axis]];
        for (side, count, start) in [
            ("before", before, 0),
            ("after", after, before + inside[axis]),
        ] {
            if count == 0 {
                continue;
            }
            let mut origin = start as i64 * steps[axis];
            let mut axes = Vec::with_capacity(inside.len());
            for (other, &step) in steps.iter().enumerate() {
                let count = if other < axis {
                    origin += op.before[other] as i64 * step;
                    inside[other]
                } else if other == axis {
                    count
                } else {
                    outside[other]
                };
                axes.push(Axis::new(count, [step]));
            }
            let moves = Moves {
                sources: Vec::new(),
                destination: destination.at(origin),
                batched,
                axes,
                visit: &|b, _, _| b.const_f(op.value),
            };
            strided::lower(cx, &format!("{name}_{side}{axis}"), &moves);
        }
    }
    let middle = op.before.iter().zip(&steps);
    let origin = middle.map(|(&before, step)| before as i64 * step).sum();
    part(cx, &name, [from, to], [0, origin], from);
}

/// Copies all of `extent`'s places between two values, so many bytes from their first elements.
fn part(
    cx: &mut Cx<'_>,
    name: &str,
    [from, to]: [ValueId; 2],
    [from_start, to_start]: [i64; 2],
    extent: ValueId,
) {
    let (from_steps, to_steps) = (steps(cx, from), steps(cx, to));
    let axes = cx.graph.dims(extent).iter().enumerate();
    let axes = axes.map(|(axis, &count)| Axis::new(count, [from_steps[axis], to_steps[axis]]));
    let axes = axes.collect();
    let from = Operand::value(cx, from).at(from_start);
    let to = Operand::value(cx, to).at(to_start);
    strided::copy(cx, name, from, to, axes);
}
