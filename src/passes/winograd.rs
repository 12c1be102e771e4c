//! Puts the method of Winograd in the place of convolutions of 3 x 3 where it takes less time: see `ops/winograd`.
//!
//! ```text
//! %3 = conv %0, %1 pad 1,1,1,1              %2 = winograd_filter %1 tile 4,4
//!                                           %3 = winograd_conv %0, %2 tile 4,4 pad 1,1,1,1
//! ```
//!
//! Only where the filter follows from parameters alone: it is then transformed once a session, not for every batch.
//! Which way takes less is decided by counting: multiply-adds, the transforms of tiles, and the bytes of filters that the
//! nearer caches cannot hold, of which the method has more.

use super::Remark;
use super::rewrite::Rewriter;
use crate::codegen::Target;
use crate::ir::{Graph, IdVec, Node, ValueId};
use crate::lower::contract::{FAR_BYTES, PANEL_SHARE};
use crate::lower::winograd::Blocks;
use crate::ops::winograd::{Form, WinogradConv, WinogradFilter};
use crate::ops::{Conv2d, Op};

/// The share of the limit of multiply-adds that direct convolutions reach, measured on layers of 14 to 56 pixels, and an
/// estimate of that of the smaller products of the method.
const DIRECT_SHARE: f64 = 0.88;
const PRODUCT_SHARE: f64 = 0.8;

/// Bytes a cycle that a core gets from memory: dense layers of one image read their matrices at some 14 GB/s at 3.5 GHz.
const MEMORY_BYTES: f64 = 4.0;

/// What the method must save to be worth its less even memory traffic.
const LEAST_GAIN: f64 = 1.15;

/// Runs the pass.
pub fn run(graph: &Graph, target: &Target, batch: usize) -> (Graph, Vec<Remark>) {
    let fixed = graph.fixed();
    let mut remarks = Vec::new();
    let mut rewriter = Rewriter::new(graph);
    for (id, node) in graph.nodes.iter() {
        let Op::Conv2d(conv) = &node.op else {
            rewriter.copy(id);
            continue;
        };
        match form(graph, &fixed, node, conv, target, batch) {
            Err(text) => {
                remarks.push(Remark::new("winograd", graph, id, false, text));
                rewriter.copy(id);
            }
            Ok((form, gain)) => {
                let [x, filter] = [0, 1].map(|input| rewriter.get(node.inputs[input]));
                let transform = WinogradFilter { form };
                let filter = rewriter.push(transform.into(), &[filter], &node.origin)[0];
                let pads = conv.window.pads;
                let made = WinogradConv { form, pads };
                let made = rewriter.push(made.into(), &[x, filter], &node.origin)[0];
                rewriter.replace(node.outputs[0], made);
                let m = form.outputs();
                let text = format!("by tiles of {m} x {m}: {gain:.1} times fewer cycles by count");
                remarks.push(Remark::new("winograd", graph, id, true, text));
            }
        }
    }
    (rewriter.finish(), remarks)
}

/// The better form and what it gains, or why there is none.
fn form(
    graph: &Graph,
    fixed: &IdVec<ValueId, bool>,
    node: &Node,
    conv: &Conv2d,
    target: &Target,
    batch: usize,
) -> Result<(Form, f64), String> {
    let window = &conv.window;
    let fits = window.kernel == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
    if !fits || conv.groups > 1 {
        return Err("not a dense 3 x 3 of stride 1".to_owned());
    }
    if !fixed[node.inputs[1]] {
        return Err("its filter changes from batch to batch".to_owned());
    }
    let &[channels, ..] = graph.dims(node.inputs[0]) else {
        unreachable!("a map")
    };
    let &[outputs, height, width] = graph.dims(node.outputs[0]) else {
        unreachable!("a map")
    };
    let sizes = Sizes {
        channels,
        outputs,
        map: [height, width],
        batch,
    };
    let direct = sizes.direct(target);
    let gains = [Form::Two, Form::Four].map(|form| (form, direct / sizes.cycles(target, form)));
    let best = gains.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    match best {
        Some((form, gain)) if gain >= LEAST_GAIN => Ok((form, gain)),
        Some((form, gain)) => {
            let (m, cycles) = (form.outputs(), 1.0 / gain);
            let text = "of the cycles of the direct sum by count";
            Err(format!("tiles of {m} x {m} would take {cycles:.2} {text}"))
        }
        None => Err("no form".to_owned()),
    }
}

/// What the time of a convolution depends on.
struct Sizes {
    channels: usize,
    outputs: usize,
    map: [usize; 2],
    batch: usize,
}

impl Sizes {
    /// Cycles to bring so many bytes of filters near, so many times.
    fn traffic(target: &Target, bytes: f64, times: usize) -> f64 {
        let [_, second, third] = target.caches.map(|size| size as f64);
        // The filters of a net's other layers want the last cache too.
        let rate = if bytes > third / 4.0 {
            MEMORY_BYTES
        } else {
            FAR_BYTES
        };
        let stays = bytes <= PANEL_SHARE * second;
        let times = if stays { 1 } else { times };
        bytes * times as f64 / rate
    }

    fn filter_bytes(&self, taps: usize) -> f64 {
        (taps * self.channels * self.outputs * size_of::<f32>()) as f64
    }

    fn products(&self, target: &Target) -> f64 {
        (self.channels * self.outputs) as f64 / (2 * target.lanes) as f64
    }

    fn direct(&self, target: &Target) -> f64 {
        let pixels = (self.batch * self.map[0] * self.map[1]) as f64;
        let arithmetic = 9.0 * pixels * self.products(target) / DIRECT_SHARE;
        arithmetic.max(Self::traffic(target, self.filter_bytes(9), 1))
    }

    fn cycles(&self, target: &Target, form: Form) -> f64 {
        let blocks = Blocks::new(form, self.map, self.batch);
        let places = form.inputs() * form.inputs();
        let tiles = (self.batch * blocks.tiles[0] * blocks.tiles[1]) as f64;
        // Loads, stores and sums of the two passes over a tile of one vector, at two a cycle: an estimate.
        let transform = match form {
            Form::Two => 50.0,
            Form::Four => 160.0,
        };
        let vectors = (self.channels + self.outputs).div_ceil(target.lanes) as f64;
        let arithmetic = tiles * places as f64 * self.products(target) / PRODUCT_SHARE;
        let times = blocks.of_batch(self.batch);
        let traffic = Self::traffic(target, self.filter_bytes(places), times);
        arithmetic.max(traffic) + tiles * vectors * transform
    }
}
