//! Sums down to a shape.

use crate::ir::Node;
use crate::kernel::{Address, BodyBuilder, Index, Lanes, NestBuilder};
use crate::lower::sweep::{self, Sweep};
use crate::lower::{Args, Cx, Domain, ELEMENT, Units};

/// Chooses the loop by what is left: channels, channels of each image, or numbers.
pub fn sum_to(cx: &mut Cx<'_>, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let (source, target) = (&cx.graph.ty(from).shape, &cx.graph.ty(to).shape);
    let sweep = Sweep {
        sources: vec![from],
        per_channel: Vec::new(),
        sums: 1,
        addends: &|_, loads, _| loads.to_vec(),
    };
    let keeps_channels = target.dims.first() == source.dims.first() && !target.dims.is_empty();
    let drops_pixels = target.elements() == target.chw().0;
    match (keeps_channels && drops_pixels, target.batched) {
        (true, true) => sweep::to_images(cx, &sweep, &[to]),
        (true, false) => sweep::to_channels(cx, &sweep, &[to]),
        (false, batched) => {
            assert_eq!(
                target.elements(),
                1,
                "{}: no loop sums {source} to {target}",
                cx.name
            );
            sweep::to_numbers(cx, from, to, !batched);
        }
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
