//! Sums down to a shape.

use crate::ir::Node;
use crate::lower::Cx;
use crate::lower::sweep::{self, Sweep};

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
