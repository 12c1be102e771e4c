//! Puts the method of Winograd in the place of convolutions of 3 x 3 and 5 x 5 where it takes less time: see `ops/winograd`.
//!
//! ```text
//! %3 = conv %0, %1 pad 1,1,1,1        %2 = winograd_filter %1 tile 4,4 kernel 3,3
//!                                     %3 = winograd_conv %0, %2 tile 4,4 kernel 3,3 pad 1,1,1,1
//! ```
//!
//! The gradient by the input is such a convolution too, of the outputs' gradient by the filter turned round; that by the
//! filter has an operator of its own. A filter that
//! follows from parameters alone is transformed once a session, any other for every batch. Which way takes less is decided
//! by counting: multiply-adds, the transforms of tiles and of filters, and the bytes of filters that the nearer caches cannot
//! hold, of which the method has more.

use super::Remark;
use super::rewrite::Rewriter;
use crate::codegen::Target;
use crate::ir::{Graph, Node};
use crate::lower::contract::PANEL_SHARE;
use crate::lower::winograd::{Blocks, grad};
use crate::ops::winograd::{Form, WinogradConv, WinogradFilter, WinogradFilterGrad};
use crate::ops::{Conv2d, Op, Pads};

/// The share of the limit of multiply-adds that direct convolutions reach, measured on layers of 14 to 56 pixels, and an
/// estimate of that of the smaller products of the method.
const DIRECT_SHARE: f64 = 0.88;
const PRODUCT_SHARE: f64 = 0.8;

/// Bytes a cycle that a core reads and writes beyond its second-level cache while it does something else: dense layers of
/// one image read their matrices from memory at some 14 GB/s at 3.5 GHz, and transformed filters of 10 to 40 MB are written
/// at 9 to 13 GB/s.
const FAR_BYTES: f64 = 4.0;

/// What the method must save to be worth its less even memory traffic.
const LEAST_GAIN: f64 = 1.15;

/// Runs the pass. It makes no graph where it changes nothing.
pub fn run(graph: &Graph, target: &Target, batch: usize) -> (Option<Graph>, Vec<Remark>) {
    let fixed = graph.fixed();
    let mut remarks = Vec::new();
    let mut rewriter = Rewriter::new(graph);
    for (id, node) in graph.nodes.iter() {
        let Some(asked) = Asked::of(node) else {
            rewriter.copy(id);
            continue;
        };
        match asked.form(graph, fixed[node.inputs[1]], target, batch) {
            Err(text) => {
                remarks.push(Remark::new("winograd", graph, id, false, text));
                rewriter.copy(id);
            }
            Ok(Choice { form, pads, gain }) => {
                let groups = asked.conv.groups;
                let [x, with] = [0, 1].map(|input| rewriter.get(node.inputs[input]));
                let made: Op = match asked.makes {
                    Makes::FilterGrad => WinogradFilterGrad { form, pads, groups }.into(),
                    Makes::Outputs | Makes::InputGrad => WinogradConv { form, pads, groups }.into(),
                };
                let with = match asked.transform(form) {
                    None => with,
                    Some(op) => rewriter.push(op.into(), &[with], &node.origin)[0],
                };
                let made = rewriter.push(made, &[x, with], &node.origin)[0];
                rewriter.replace(node.outputs[0], made);
                let m = form.outputs();
                let text = format!("by tiles of {m} x {m}: {gain:.1} times fewer cycles by count");
                remarks.push(Remark::new("winograd", graph, id, true, text));
            }
        }
    }
    (rewriter.finish(), remarks)
}

/// A convolution, or one of its gradients; that by the input is a convolution of the outputs' gradient.
struct Asked<'g> {
    node: &'g Node,
    conv: &'g Conv2d,
    makes: Makes,
}

/// What a node makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Makes {
    Outputs,
    InputGrad,
    FilterGrad,
}

/// How it is done.
struct Choice {
    form: Form,
    pads: Pads,
    gain: f64,
}

impl Asked<'_> {
    fn of(node: &Node) -> Option<Asked<'_>> {
        let (conv, makes) = match &node.op {
            Op::Conv2d(conv) => (conv, Makes::Outputs),
            Op::Conv2dInputGrad(grad) => (&grad.conv, Makes::InputGrad),
            Op::Conv2dFilterGrad(grad) => (&grad.conv, Makes::FilterGrad),
            _ => return None,
        };
        Some(Asked { node, conv, makes })
    }

    /// What becomes of the filter first, if there is one.
    fn transform(&self, form: Form) -> Option<WinogradFilter> {
        let turned = match self.makes {
            Makes::Outputs => false,
            Makes::InputGrad => true,
            Makes::FilterGrad => return None,
        };
        let groups = self.conv.groups;
        Some(WinogradFilter {
            form,
            groups,
            turned,
        })
    }

    /// The better form and what it gains, or why there is none.
    fn form(
        &self,
        graph: &Graph,
        is_fixed: bool,
        target: &Target,
        batch: usize,
    ) -> Result<Choice, String> {
        let window = &self.conv.window;
        let forms = Form::ALL.into_iter();
        let forms: Vec<Form> = forms
            .filter(|form| window.kernel == [form.kernel(); 2])
            .collect();
        let fits = !forms.is_empty() && window.stride == [1, 1] && window.dilation == [1, 1];
        if !fits {
            return Err("not a 3 x 3 or 5 x 5 of stride 1".to_owned());
        }
        let pads = match self.makes {
            Makes::InputGrad => WinogradConv::turned_pads(window.kernel, window.pads),
            Makes::Outputs | Makes::FilterGrad => Some(window.pads),
        };
        let Some(pads) = pads else {
            return Err("its padding is wider than its filter reaches".to_owned());
        };
        let &[channels, ..] = graph.dims(self.node.inputs[0]) else {
            unreachable!("a map")
        };
        let made = match self.makes {
            Makes::Outputs | Makes::InputGrad => self.node.outputs[0],
            Makes::FilterGrad => self.node.inputs[1],
        };
        let &[outputs, height, width] = graph.dims(made) else {
            unreachable!("a map")
        };
        let [channels, outputs] = [channels, outputs].map(|size| size / self.conv.groups);
        // A group starts at a whole vector.
        let is_whole = |size: usize| size.is_multiple_of(target.lanes);
        if self.conv.groups > 1 && !(is_whole(channels) && is_whole(outputs)) {
            return Err("its groups are no whole vectors".to_owned());
        }
        // Of one group: all take the same.
        let sizes = Sizes {
            channels,
            outputs,
            map: [height, width],
            taps: window.kernel.iter().product(),
            batch,
            is_fixed,
        };
        let gain = |form| match self.makes {
            Makes::Outputs | Makes::InputGrad => sizes.direct(target) / sizes.cycles(target, form),
            Makes::FilterGrad => sizes.direct_sums(target) / sizes.filter_grad(target, form),
        };
        let gains = forms.into_iter().map(|form| (form, gain(form)));
        let (form, gain) = gains
            .max_by(|one, other| one.1.total_cmp(&other.1))
            .expect("a form fits");
        if gain >= LEAST_GAIN {
            return Ok(Choice { form, pads, gain });
        }
        let (m, cycles) = (form.outputs(), 1.0 / gain);
        let text = "times the cycles of the direct sum by count";
        Err(format!("tiles of {m} x {m} would take {cycles:.2} {text}"))
    }
}

/// What the time of a convolution depends on.
struct Sizes {
    channels: usize,
    outputs: usize,
    map: [usize; 2],
    /// Of the filter, for a channel and an output.
    taps: usize,
    batch: usize,
    /// Whether its filter is transformed once for all batches.
    is_fixed: bool,
}

impl Sizes {
    /// Cycles to bring so many bytes of filters near; so many times, unless they stay. They are asked for ahead of time, so
    /// that sums go on meanwhile.
    fn traffic(target: &Target, bytes: f64, times: usize) -> f64 {
        let stays = bytes <= PANEL_SHARE * target.caches[1] as f64;
        let times = if stays { 1 } else { times };
        bytes * times as f64 / FAR_BYTES
    }

    fn filter_bytes(&self, taps: usize) -> f64 {
        (taps * self.channels * self.outputs * size_of::<f32>()) as f64
    }

    fn products(&self, target: &Target) -> f64 {
        (self.channels * self.outputs) as f64 / (target.multiply_adds * target.lanes) as f64
    }

    fn direct(&self, target: &Target) -> f64 {
        let traffic = Self::traffic(target, self.filter_bytes(self.taps), 1);
        self.direct_sums(target).max(traffic)
    }

    /// Cycles of the direct sums alone: the gradient by the filter reads none.
    fn direct_sums(&self, target: &Target) -> f64 {
        let pixels = (self.batch * self.map[0] * self.map[1]) as f64;
        self.taps as f64 * pixels * self.products(target) / DIRECT_SHARE
    }

    fn filter_grad(&self, target: &Target, form: Form) -> f64 {
        let sizes = grad::Sizes {
            filter: [self.channels, self.outputs],
            map: self.map,
            batch: self.batch,
        };
        grad::Plan::new(target, form, &sizes).1
    }

    /// Cycles to transform the filter.
    fn transform(&self, target: &Target, form: Form) -> f64 {
        // Loads, sums and stores of a vector of filters, an estimate as those of tiles.
        let one = match form {
            Form::Two => 40.0,
            Form::Four => 100.0,
            Form::TwoOfFive => 180.0,
        };
        let vectors = self.channels * self.outputs.div_ceil(target.lanes);
        let bytes = self.filter_bytes(self.taps) + self.filter_bytes(form.inputs() * form.inputs());
        vectors as f64 * one + Self::traffic(target, bytes, 1)
    }

    fn cycles(&self, target: &Target, form: Form) -> f64 {
        let blocks = Blocks::new(target, form, self.outputs, self.map, self.batch);
        let places = form.inputs() * form.inputs();
        let tiles = (self.batch * blocks.tiles[0] * blocks.tiles[1]) as f64;
        // Loads, stores and sums of the two passes over a tile of one vector, at two a cycle: an estimate.
        let transform = match form {
            Form::Two => 50.0,
            Form::Four | Form::TwoOfFive => 160.0,
        };
        let vectors = (self.channels + self.outputs).div_ceil(target.lanes) as f64;
        let arithmetic = tiles * places as f64 * self.products(target) / PRODUCT_SHARE;
        let times = blocks.of_batch(self.batch);
        let traffic = Self::traffic(target, self.filter_bytes(places), times);
        let filter = match self.is_fixed {
            true => 0.0,
            false => self.transform(target, form),
        };
        arithmetic.max(traffic) + tiles * vectors * transform + filter
    }
}
