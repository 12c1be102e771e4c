//! Sums down to a shape, and stretching to one where no reader can do that itself.

use crate::ir::{Layout, Node, ValueId};
use crate::kernel::{Address, BodyBuilder, Index, Lanes, NestBuilder};
use crate::lower::fold::{self, Batch, Fold, Rule};
use crate::lower::strided::{self, Axis, Operand, map_steps, steps};
use crate::lower::{Args, Cx, Domain, ELEMENT, Units};

/// The axes along which a value lies: those of its map if it is a flattened one.
fn axes(cx: &Cx<'_>, value: ValueId) -> (Vec<usize>, Vec<i64>) {
    match cx.layout(value) {
        layout @ Layout::Nhwc { map, .. } if cx.graph.dims(value).len() <= 1 => {
            (map.to_vec(), map_steps(layout).to_vec())
        }
        _ => (cx.graph.dims(value).to_vec(), steps(cx, value)),
    }
}

/// Stores numbers that stand in the code: a few are cheaper to write again in each step than to keep.
pub fn numbers(cx: &mut Cx<'_>, numbers: &[f32], node: &Node) {
    let lanes = cx.lanes();
    let mut b = BodyBuilder::new(format!("{}_store", cx.name), lanes);
    let to = b.ptr_arg();
    let bytes =
        |position: usize| i32::try_from(position as i64 * ELEMENT).expect("a vector is short");
    for (vector, chunk) in numbers.chunks(lanes).enumerate() {
        let first = vector * lanes;
        let same = chunk
            .iter()
            .all(|number| number.to_bits() == chunk[0].to_bits());
        if same && chunk.len() == lanes {
            let number = b.const_f(chunk[0]);
            b.store(to, bytes(first), number, Lanes::All);
            continue;
        }
        for (lane, &number) in chunk.iter().enumerate() {
            let number = b.const_f(number);
            b.store(to, bytes(first + lane), number, Lanes::First(1));
        }
    }
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let body = nest.add_body(b.finish());
    let address = Address {
        arg: args.value(node.outputs[0]),
        offset: Index::Const(0),
    };
    nest.call(body, vec![address], Vec::new());
    let kernel = nest.finish(cx.name.clone(), args.len());
    let units = Units::Fixed(1);
    cx.step(kernel, args, Domain { units, chunk: 1 });
}

/// Sums over the axes that the result lacks.
pub fn sum_to(cx: &mut Cx<'_>, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let batched = [from, to].map(|value| cx.graph.ty(value).shape.batched);
    let ((sizes, from_steps), (narrow, to_steps)) = (axes(cx, from), axes(cx, to));
    let (mut kept, mut reduced) = (Vec::new(), Vec::new());
    for (axis, (&count, &step)) in sizes.iter().zip(&from_steps).enumerate() {
        if narrow.get(axis) == Some(&count) {
            kept.push(Axis::new(count, [step, to_steps[axis]]));
        } else {
            reduced.push(Axis::new(count, [step]));
        }
    }
    let fold = Fold {
        sources: vec![Operand::value(cx, from)],
        results: vec![to],
        kept,
        reduced,
        batch: match batched {
            [true, true] => Batch::Kept,
            [true, false] => Batch::Summed,
            [false, _] => Batch::None,
        },
        rule: Rule::Sum(&|_, _, loads| loads.to_vec()),
    };
    fold::lower(cx, &fold);
}

/// Writes each element to everywhere that it is stretched to.
pub fn expand(cx: &mut Cx<'_>, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let (from_steps, to_steps) = (steps(cx, from), steps(cx, to));
    let narrow = cx.graph.dims(from);
    let axes = cx.graph.dims(to).iter().enumerate().map(|(axis, &count)| {
        let stretched = narrow.get(axis) != Some(&count);
        let step = if stretched { 0 } else { from_steps[axis] };
        Axis::new(count, [step, to_steps[axis]])
    });
    let axes = axes.collect();
    let name = cx.name.clone();
    let [from, to] = [from, to].map(|value| Operand::value(cx, value));
    strided::copy(cx, &name, from, to, axes);
}
