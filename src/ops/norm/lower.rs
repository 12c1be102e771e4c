//! Batch statistics.

use crate::ir::Node;
use crate::kernel::BodyBuilder;
use crate::kernel::Reg;
use crate::lower::Cx;
use crate::lower::moments;
use crate::lower::sweep::{self, Sweep};

/// Mean and biased variance over batch and pixels.
pub fn batch_stats(cx: &mut Cx<'_>, node: &Node) {
    moments::lower(cx, node.inputs[0], [node.outputs[0], node.outputs[1]]);
}

/// The two sums that a batch norm's gradient needs.
pub fn channel_sums(cx: &mut Cx<'_>, node: &Node) {
    let addends = |b: &mut BodyBuilder, loads: &[Reg], mean: &[Reg]| {
        let centred = b.sub(loads[1], mean[0]);
        vec![loads[0], b.mul(loads[0], centred)]
    };
    let sweep = Sweep {
        sources: vec![node.inputs[0], node.inputs[1]],
        per_channel: vec![node.inputs[2]],
        sums: 2,
        addends: &addends,
    };
    sweep::to_channels(cx, &sweep, &node.outputs);
}
