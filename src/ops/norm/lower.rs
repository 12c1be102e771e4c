//! Batch statistics.

use crate::ir::Node;
use crate::lower::Cx;
use crate::lower::fold::{self, Batch, Fold, Rule};
use crate::lower::moments;
use crate::lower::strided::{Axis, Operand, map_steps};

/// Mean and biased variance over batch and pixels.
pub fn batch_stats(cx: &mut Cx<'_>, node: &Node) {
    moments::lower(cx, node.inputs[0], [node.outputs[0], node.outputs[1]]);
}

/// The two sums that a batch norm's gradient needs.
pub fn channel_sums(cx: &mut Cx<'_>, node: &Node) {
    let &[dy, x, mean] = node.inputs.as_slice() else {
        unreachable!("arity")
    };
    let (_, h, w) = cx.graph.ty(x).shape.chw();
    let [from_dy, from_x] = [dy, x].map(|value| map_steps(cx.layout(value)));
    let channels = cx.graph.dims(mean)[0];
    let of_channel = map_steps(cx.layout(mean))[0];
    let kept = [from_dy[0], from_x[0], of_channel, of_channel, of_channel];
    let reduced =
        [(h, 1), (w, 2)].map(|(count, axis)| Axis::new(count, [from_dy[axis], from_x[axis], 0]));
    let fold = Fold {
        sources: [dy, x, mean]
            .map(|value| Operand::value(cx, value))
            .to_vec(),
        results: node.outputs.to_vec(),
        kept: vec![Axis::new(channels, kept)],
        reduced: reduced.to_vec(),
        batch: Batch::Summed,
        rule: Rule::Sum(&|b, _, loads| {
            let centred = b.sub(loads[1], loads[2]);
            vec![loads[0], b.mul(loads[0], centred)]
        }),
    };
    fold::lower(cx, &fold);
}
