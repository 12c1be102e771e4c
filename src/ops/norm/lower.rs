//! Batch statistics.

use crate::ir::Node;
use crate::lower::fed::Fed;
use crate::lower::fold::{self, Batch, Fold, Rule};
use crate::lower::strided::{Axis, map_steps};
use crate::lower::{Cx, Space, moments};

/// Mean and biased variance over batch and pixels.
pub fn batch_stats(cx: &mut Cx<'_>, node: &Node) {
    moments::lower(cx, node.inputs[0], [node.outputs[0], node.outputs[1]]);
}

/// The two sums that a batch norm's gradient needs.
pub fn channel_sums(cx: &mut Cx<'_>, node: &Node) {
    let &[dy, x, mean] = node.inputs.as_slice() else {
        unreachable!("arity")
    };
    let space = Space::of(cx.graph, x);
    let (channels, h, w) = cx.graph.ty(x).shape.chw();
    let fed = Fed::new(cx, &[dy, x, mean], &space);
    let [mut kept, rows, pixels] = fed.steps();
    // The sums lie as the mean does.
    let of_channel = map_steps(cx.layout(mean))[0];
    kept.extend([of_channel; 2]);
    let fold = Fold {
        sources: fed.operands(cx),
        results: node.outputs.to_vec(),
        kept: vec![Axis::new(channels, kept)],
        reduced: vec![Axis::new(h, rows), Axis::new(w, pixels)],
        batch: Batch::Summed,
        rule: Rule::Sum(&|b, _, loads| {
            let values = fed.emit(b, loads);
            let centred = b.sub(values[1], values[2]);
            vec![values[0], b.mul(values[0], centred)]
        }),
    };
    fold::lower(cx, &fold);
}
