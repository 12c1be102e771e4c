//! Decides how every value lies in memory, and puts conversions where a reader needs another order.
//!
//! Maps are N, H, W, C. A map that a padded convolution reads gets the padding as a halo of zeros, so
//! the convolution reads memory that exists and tests for no edge. Pixels whose channels fill a
//! multiple of a kilobyte are set apart by one more cache line, or their accesses would fall into few
//! cache sets. Filters take the order of the map they read; a dense layer after a flattened map reads
//! the map as it lies, its matrix permuted instead.

mod filters;
mod parts;

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::Remark;
use super::rewrite::{Rewriter, given};
use crate::codegen::Target;
use crate::ir::{
    FilterOrder, Graph, Halo, IdVec, Layout, Node, NodeId, Operands, Shape, ValueId, ValueKind,
};
use crate::lower::access;
use crate::lower::winograd::Blocks;
use crate::ops::window::Axis;
use crate::ops::winograd::Form;
use crate::ops::{Conv2d, Op, Pads, Slice, conv, linear};

/// Pixels start at whole vectors if that takes at most this part more memory: measured on depthwise convolutions of 728
/// channels, 45.5 vectors, every other pixel's vectors cross cache lines and take two to four times as long.
const MOST_PADDING: usize = 8;

/// The value whose memory each value will lie in, as far as the graph tells: that of a map under another shape, of the
/// whole of a part, of what a range is taken from.
pub fn shared_memory(graph: &Graph) -> IdVec<ValueId, ValueId> {
    let parts = parts::find(graph, &halos(graph));
    let mut root = IdVec::new();
    for value in graph.values.ids() {
        root.push(parts[value].map_or(value, |(whole, _)| whole));
    }
    for (_, node) in graph.nodes.iter() {
        if let Op::Reshape(_) | Op::Slice(Slice { axis: 0, .. }) = node.op {
            let from = root[node.inputs[0]];
            root[node.outputs[0]] = from;
        }
    }
    root
}

/// Runs the pass. It makes no graph where it changes nothing.
pub fn run(graph: &Graph, target: &Target, batch: usize) -> (Option<Graph>, Vec<Remark>) {
    let halos = halos(graph);
    let mut placed: IdVec<ValueId, bool> = IdVec::filled(graph.values.len(), true);
    for (id, value) in graph.values.iter() {
        placed[id] = match value.kind {
            ValueKind::Param(_) | ValueKind::State(_) => false,
            ValueKind::Input(_) | ValueKind::Step(_) | ValueKind::Result { .. } => true,
        };
    }
    let mut pass = Pass {
        graph,
        target,
        parts: parts::find(graph, &halos),
        seen: FxHashSet::default(),
        halos,
        filters: filters::groups(graph),
        packable: filters::packable(graph),
        tiled: filters::tiled(graph, target, batch),
        batch,
        placed: FxHashMap::default(),
        converted: FxHashMap::default(),
        companions: companions(graph),
        rewriter: Rewriter::new(graph),
        remarks: Vec::new(),
    };
    for id in graph.values.ids() {
        if !matches!(graph.values[id].kind, ValueKind::Result { .. }) {
            let new = pass.rewriter.get(id);
            pass.placed.insert(new, placed[id]);
            if placed[id] {
                let layout = pass.map_layout(&graph.ty(id).shape, pass.halos[id]);
                pass.rewriter.set_layout(new, layout);
            }
        }
    }
    for (id, node) in graph.nodes.iter() {
        pass.node(id, node);
    }
    pass.updates();
    pass.join();
    let Pass {
        rewriter, remarks, ..
    } = pass;
    (rewriter.finish(), remarks)
}

/// Parameters and the states that updates keep for them meet in element-wise nodes, so they lie
/// alike. The ids are those of the copy, which starts with everything that no node makes.
fn companions(graph: &Graph) -> FxHashMap<ValueId, Rc<[ValueId]>> {
    let mut class: IdVec<ValueId, ValueId> = IdVec::new();
    for id in graph.values.ids() {
        class.push(id);
    }
    // Every walk halves its path, so no chain of values makes the next one long.
    fn find(class: &mut IdVec<ValueId, ValueId>, mut value: ValueId) -> ValueId {
        while class[value] != value {
            class[value] = class[class[value]];
            value = class[value];
        }
        value
    }
    let mut join = |a: ValueId, b: ValueId| {
        let (a, b) = (find(&mut class, a), find(&mut class, b));
        class[a.max(b)] = a.min(b);
    };
    for (_, node) in graph.nodes.iter() {
        if matches!(node.op, Op::Pointwise(_)) {
            let shape = &graph.ty(node.outputs[0]).shape;
            for &input in node
                .inputs
                .iter()
                .filter(|&&input| graph.ty(input).shape == *shape)
            {
                join(input, node.outputs[0]);
            }
        }
    }
    for update in &graph.updates {
        join(update.target, update.value);
    }
    let given = given(graph);
    let mut alike: BTreeMap<ValueId, Vec<ValueId>> = BTreeMap::new();
    for (id, value) in graph.values.iter() {
        if matches!(value.kind, ValueKind::Param(_) | ValueKind::State(_)) {
            let class = alike.entry(find(&mut class, id)).or_default();
            class.extend(given[id]);
        }
    }
    let mut companions = FxHashMap::default();
    for class in alike.into_values() {
        let class: Rc<[ValueId]> = class.into();
        companions.extend(class.iter().map(|&id| (id, Rc::clone(&class))));
    }
    companions
}

/// The halo that the readers of each value want.
fn halos(graph: &Graph) -> IdVec<ValueId, Halo> {
    let mut halos = IdVec::filled(graph.values.len(), Halo::default());
    let want = |halos: &mut IdVec<ValueId, Halo>, value: ValueId, halo: Halo| {
        halos[value] = halos[value].union(halo);
    };
    for (_, node) in graph.nodes.iter().rev() {
        match &node.op {
            Op::Conv2d(conv) => want(&mut halos, node.inputs[0], padding(conv)),
            Op::WinogradConv(conv) => {
                let output = graph.dims(node.outputs[0]);
                let halo = whole_tiles(conv.form, conv.pads, output);
                want(&mut halos, node.inputs[0], halo);
            }
            Op::WinogradFilterGrad(grad) => {
                let dy = graph.dims(node.inputs[1]);
                let halo = whole_tiles(grad.form, grad.pads, dy);
                want(&mut halos, node.inputs[0], halo);
            }
            Op::Conv2dFilterGrad(grad) => want(&mut halos, node.inputs[0], padding(&grad.conv)),
            Op::Conv2dInputGrad(grad) => {
                let [dy, dx] = [node.inputs[0], node.outputs[0]].map(|value| graph.dims(value));
                let [(top, bottom), (left, right)] = Axis::BOTH.map(|axis| {
                    let (window, size) = (&grad.conv.window, axis.index() + 1);
                    conv::lower::input_grad_halo(window, axis, dx[size], dy[size])
                });
                want(
                    &mut halos,
                    node.inputs[0],
                    Halo {
                        top,
                        left,
                        bottom,
                        right,
                    },
                );
            }
            // A reshaped map is the same memory, so it has the same halo; so is a range of channels.
            Op::Reshape(_) | Op::Slice(Slice { axis: 0, .. }) => {
                let halo = halos[node.outputs[0]];
                want(&mut halos, node.inputs[0], halo);
            }
            _ => {}
        }
    }
    halos
}

fn padding(conv: &Conv2d) -> Halo {
    let pads = &conv.window.pads;
    Halo {
        top: pads.top,
        left: pads.left,
        bottom: pads.bottom,
        right: pads.right,
    }
}

/// The padding, and what the last tiles read beyond it.
fn whole_tiles(form: Form, pads: Pads, output: &[usize]) -> Halo {
    let m = form.outputs();
    let beyond = |size: usize| size.next_multiple_of(m) - size;
    Halo {
        top: pads.top,
        left: pads.left,
        bottom: pads.bottom + beyond(output[1]),
        right: pads.right + beyond(output[2]),
    }
}

struct Pass<'a> {
    graph: &'a Graph,
    target: &'a Target,
    /// The groups of the convolution that reads a value as its filter, by value of the old graph.
    filters: IdVec<ValueId, Option<usize>>,
    /// The filters that may lie in panels, by value of the new graph.
    packable: FxHashSet<ValueId>,
    /// The blocks of the readers of filters that the method of Winograd takes, by value of the old graph.
    tiled: FxHashMap<ValueId, Blocks>,
    /// The largest batch.
    batch: usize,
    /// The wanted halo, by value of the old graph.
    halos: IdVec<ValueId, Halo>,
    /// The place in a joined value, by value of the old graph.
    parts: IdVec<ValueId, Option<(ValueId, usize)>>,
    /// Ranges of channels of the new graph that are read where they lie.
    seen: FxHashSet<ValueId>,
    /// Whether the layout of a value of the new graph is decided; those that are not here are.
    placed: FxHashMap<ValueId, bool>,
    /// For each parameter and state of the new graph, those that lie alike, itself among them.
    companions: FxHashMap<ValueId, Rc<[ValueId]>>,
    /// Conversions that exist.
    converted: FxHashMap<(ValueId, Layout), ValueId>,
    rewriter: Rewriter<'a>,
    remarks: Vec<Remark>,
}

impl Pass<'_> {
    fn layout(&self, value: ValueId) -> &Layout {
        &self.rewriter.graph().values[value].layout
    }

    fn is_placed(&self, value: ValueId) -> bool {
        self.placed.get(&value).copied().unwrap_or(true)
    }

    /// Decides the layout of a parameter or state, and with it that of its companions.
    fn place(&mut self, value: ValueId, layout: Layout) {
        let alike = self.companions.get(&value).cloned();
        for &value in alike.as_deref().unwrap_or(&[value]) {
            if !self.is_placed(value) {
                self.rewriter.set_layout(value, layout.clone());
                self.placed.insert(value, true);
            }
        }
    }

    /// The distance of neighbouring pixels of `inner` channels, of which there are `count`.
    fn pixel(&self, inner: usize, count: usize) -> usize {
        if count <= 1 {
            return inner;
        }
        let whole = inner.next_multiple_of(self.target.lanes);
        let fits = whole - inner <= inner / MOST_PADDING;
        access::apart(if fits { whole } else { inner }, access::CONFLICT_BYTES)
    }

    /// Whether the gradient by a dense layer's input reads its matrix of so many outputs as it lies.
    fn reads_forward(&self, matrix: ValueId, outputs: usize) -> bool {
        let is_whole = matches!(
            self.layout(matrix),
            Layout::Filter {
                order: FilterOrder::Forward,
                panels: 1,
                ..
            }
        );
        is_whole && linear::lower::reads_forward(outputs, self.batch)
    }

    fn map_layout(&self, shape: &Shape, halo: Halo) -> Layout {
        let (c, h, w) = shape.chw();
        Layout::Nhwc {
            map: [c, h, w],
            pixel: self.pixel(c, h * w),
            halo,
        }
    }

    /// The value in a given layout: itself, or a conversion.
    fn convert(&mut self, id: NodeId, value: ValueId, layout: Layout) -> ValueId {
        if *self.layout(value) == layout {
            return value;
        }
        if let Some(&known) = self.converted.get(&(value, layout.clone())) {
            return known;
        }
        let text = format!("converts {} to {layout}", self.layout(value));
        self.remarks
            .push(Remark::new("layout", self.graph, id, true, text));
        let origin = &self.graph.nodes[id].origin;
        let made = self.rewriter.push(Op::Relayout, &[value], origin)[0];
        self.rewriter.set_layout(made, layout.clone());
        self.converted.insert((value, layout), made);
        made
    }

    /// The value as a vector or map in its own order: not a flattened map.
    fn plain(&mut self, id: NodeId, value: ValueId) -> ValueId {
        let shape = self.rewriter.graph().ty(value).shape.clone();
        let (c, h, w) = shape.chw();
        match self.layout(value) {
            Layout::Nhwc { map, .. } if *map == [c, h, w] => value,
            _ => self.convert(id, value, Layout::plain(&shape)),
        }
    }

    /// The value lying as a map of that form, through the plain order if need be.
    fn with_map(&mut self, id: NodeId, value: ValueId, map: [usize; 3]) -> ValueId {
        match self.layout(value) {
            Layout::Nhwc { map: own, .. } if *own == map => value,
            _ => {
                let plain = self.plain(id, value);
                let [c, h, w] = map;
                self.convert(
                    id,
                    plain,
                    Layout::Nhwc {
                        map,
                        pixel: self.pixel(c, h * w),
                        halo: Halo::default(),
                    },
                )
            }
        }
    }

    /// The map that a value lies as.
    fn map_of(&self, value: ValueId) -> [usize; 3] {
        match self.layout(value) {
            Layout::Nhwc { map, .. } | Layout::Blocked { map, .. } => *map,
            Layout::Filter { .. } => panic!("{value} is a filter, not a map"),
        }
    }

    fn node(&mut self, id: NodeId, node: &Node) {
        let mut inputs = Operands::from_slice(&node.inputs);
        for input in &mut inputs {
            *input = self.rewriter.get(*input);
        }
        let mut layouts: SmallVec<[Layout; 2]> = node
            .outputs
            .iter()
            .map(|&output| self.map_layout(&self.graph.ty(output).shape, self.halos[output]))
            .collect();
        match &node.op {
            Op::Conv2d(conv) => {
                self.filter(inputs[1], conv.groups, node.outputs[0]);
            }
            Op::WinogradFilter(filter) => {
                if !self.is_placed(inputs[0]) {
                    let dims = self.graph.dims(node.inputs[0]);
                    let layout = self.conv_layout(dims, filter.groups);
                    self.place(inputs[0], layout);
                }
                if filter.turned {
                    inputs[0] = self.backward(id, inputs[0]);
                }
                layouts[0] = self.matrices(node.outputs[0], filter.groups);
            }
            Op::WinogradConv(_) => {}
            Op::Conv2dInputGrad(grad) => {
                self.filter(inputs[1], grad.conv.groups, node.outputs[0]);
                inputs[1] = self.backward(id, inputs[1]);
            }
            Op::Conv2dFilterGrad(grad) => {
                let dims = self.graph.dims(node.outputs[0]);
                layouts[0] = self.conv_layout(dims, grad.conv.groups);
            }
            Op::WinogradFilterGrad(grad) => {
                let dims = self.graph.dims(node.outputs[0]);
                layouts[0] = self.conv_layout(dims, grad.groups);
            }
            Op::Dense => {
                let [_, c, h, w] = self.matrix(inputs[1], self.map_of(inputs[0]));
                inputs[0] = self.with_map(id, inputs[0], [c, h, w]);
            }
            Op::DenseInputGrad => {
                inputs[0] = self.plain(id, inputs[0]);
                let features = self.rewriter.graph().dims(inputs[1])[1];
                let [k, c, h, w] = self.matrix(inputs[1], [features, 1, 1]);
                if !self.reads_forward(inputs[1], k) {
                    inputs[1] = self.backward(id, inputs[1]);
                }
                let halo = self.halos[node.outputs[0]];
                layouts[0] = Layout::Nhwc {
                    map: [c, h, w],
                    pixel: self.pixel(c, h * w),
                    halo,
                };
            }
            Op::DenseFilterGrad => {
                inputs[1] = self.plain(id, inputs[1]);
                let k = self.graph.dims(node.outputs[0])[0];
                let [c, h, w] = self.map_of(inputs[0]);
                layouts[0] = self.filter_layout(FilterOrder::Forward, 1, [k, c, h, w]);
            }
            Op::Pointwise(_) | Op::Dropout(_) | Op::Expand(_) => {
                self.stretch(id, node, &mut inputs);
                layouts[0] = self.element_wise(id, node, &mut inputs);
            }
            Op::SumTo(_) => {
                if let Some(layout) = self.sum_to(id, node, &mut inputs) {
                    layouts[0] = layout;
                }
            }
            // Their rows are read where they lie: a filter is not put into another order for them.
            Op::SumSquares | Op::MaxNorm(_) => {
                if !matches!(
                    self.layout(inputs[0]),
                    Layout::Filter {
                        order: FilterOrder::Forward | FilterOrder::Depthwise,
                        panels: 1,
                        ..
                    }
                ) {
                    inputs[0] = self.plain(id, inputs[0]);
                }
                if matches!(node.op, Op::MaxNorm(_)) {
                    layouts[0] = self.layout(inputs[0]).clone();
                }
            }
            Op::Reshape(_) => layouts[0] = self.reshape(id, node, &mut inputs),
            Op::Constant(_)
            | Op::Numbers(_)
            | Op::MaxPool(_)
            | Op::MaxPoolGrad(_)
            | Op::AvgPool(_)
            | Op::AvgPoolGrad(_)
            | Op::ReduceMax(_)
            | Op::ReduceMaxGrad(_)
            | Op::BatchStats
            | Op::ChannelSums
            | Op::Softmax
            | Op::SoftmaxGrad
            | Op::CrossEntropy(_)
            | Op::CrossEntropyGrad(_)
            | Op::LogSoftmax
            | Op::LogSoftmaxGrad
            | Op::Lrn(_)
            | Op::LrnGrad(_)
            | Op::Transpose(_)
            | Op::Concat(_)
            | Op::Slice(_)
            | Op::Pad(_)
            | Op::Index(_)
            | Op::IndexGrad(_)
            | Op::Relayout => {
                for input in &mut inputs {
                    *input = self.plain(id, *input);
                }
            }
        }
        let is_seen = self.range(node, &inputs, &mut layouts);
        self.part(node, &mut layouts);
        let made = self.rewriter.copy_with(id, inputs, layouts.into_iter());
        if is_seen {
            self.seen.insert(made[0]);
        }
    }

    /// Operands of the result's own shape lie as the first of them that is decided, which decides
    /// the others and the result; stretched ones lie plainly.
    fn element_wise(&mut self, id: NodeId, node: &Node, inputs: &mut [ValueId]) -> Layout {
        let shape = &self.graph.ty(node.outputs[0]).shape;
        let is_full =
            |pass: &Self, input: ValueId| pass.rewriter.graph().ty(input).shape.dims == shape.dims;
        let full: Vec<usize> = (0..inputs.len())
            .filter(|&position| is_full(self, inputs[position]))
            .collect();
        let leader = full
            .iter()
            .copied()
            .find(|&position| self.is_placed(inputs[position]));
        let leading = match self.filters[node.outputs[0]] {
            Some(groups) => Some(self.conv_layout(&shape.dims, groups)),
            None => leader.map(|position| self.layout(inputs[position]).clone()),
        };
        let halo = self.halos[node.outputs[0]];
        let layout = match leading {
            Some(layout @ Layout::Filter { .. }) => layout,
            Some(Layout::Nhwc { map: [c, h, w], .. } | Layout::Blocked { map: [c, h, w], .. }) => {
                Layout::Nhwc {
                    map: [c, h, w],
                    pixel: self.pixel(c, h * w),
                    halo,
                }
            }
            None => self.map_layout(shape, halo),
        };
        for (position, input) in inputs.iter_mut().enumerate() {
            if !full.contains(&position) {
                if !self.is_placed(*input) {
                    let own = self.rewriter.graph().ty(*input).shape.clone();
                    self.place(*input, Layout::plain(&own));
                }
                *input = self.plain(id, *input);
                if let Layout::Filter { .. } = layout {
                    *input = self.spread(id, *input, shape, &layout);
                }
            } else if !self.is_placed(*input) {
                let own = match &layout {
                    Layout::Nhwc { map, pixel, .. } => Layout::Nhwc {
                        map: *map,
                        pixel: *pixel,
                        halo: Halo::default(),
                    },
                    other => other.clone(),
                };
                self.place(*input, own);
            } else {
                *input = match &layout {
                    Layout::Nhwc { map, .. } => self.with_map(id, *input, *map),
                    other => self.convert(id, *input, other.clone()),
                };
            }
        }
        layout
    }

    /// An operand that stretches to a filter, written out as it lies; a single number stays.
    fn spread(&mut self, id: NodeId, value: ValueId, to: &Shape, layout: &Layout) -> ValueId {
        if self.rewriter.graph().ty(value).shape.elements() == 1 {
            return value;
        }
        let origin = &self.graph.nodes[id].origin;
        let wide = self.map_layout(to, Halo::default());
        let made = self.rewriter.push(Op::Expand(to.clone()), &[value], origin)[0];
        self.rewriter.set_layout(made, wide);
        self.convert(id, made, layout.clone())
    }

    /// Writes out operands of more than three axes that no element-wise loop can reach stretched.
    fn stretch(&mut self, id: NodeId, node: &Node, inputs: &mut [ValueId]) {
        let shape = &self.graph.ty(node.outputs[0]).shape;
        if matches!(node.op, Op::Expand(_)) {
            return;
        }
        for input in inputs {
            let own = self.rewriter.graph().ty(*input).shape.clone();
            if access::reaches(&own, shape) {
                continue;
            }
            if !self.is_placed(*input) {
                self.place(*input, Layout::plain(&own));
            }
            let plain = self.plain(id, *input);
            let to = Shape {
                batched: own.batched,
                dims: shape.dims.clone(),
            };
            let layout = self.map_layout(&to, Halo::default());
            let made = self.rewriter.push(Op::Expand(to), &[plain], &node.origin)[0];
            self.rewriter.set_layout(made, layout);
            let text = format!("writes {own} out: its axes stretch each by itself");
            self.remarks
                .push(Remark::new("layout", self.graph, id, true, text));
            *input = made;
        }
    }

    /// A sum over all of a flattened map, or over images alone, goes as the map lies; the layout of
    /// the result, if it follows from that.
    fn sum_to(&mut self, id: NodeId, node: &Node, inputs: &mut [ValueId]) -> Option<Layout> {
        let (from, to) = (
            self.graph.dims(node.inputs[0]),
            self.graph.dims(node.outputs[0]),
        );
        if from.len() == 1 && self.graph.ty(node.outputs[0]).shape.elements() == 1 {
            return None;
        }
        if from.len() == 1 && from == to {
            let [c, h, w] = self.map_of(inputs[0]);
            return Some(Layout::Nhwc {
                map: [c, h, w],
                pixel: self.pixel(c, h * w),
                halo: Halo::default(),
            });
        }
        inputs[0] = self.plain(id, inputs[0]);
        None
    }

    /// A flattened or unflattened map stays where it is, and so does whatever has its elements in the
    /// same places under the other shape.
    fn reshape(&mut self, id: NodeId, node: &Node, inputs: &mut [ValueId]) -> Layout {
        let to = &self.graph.ty(node.outputs[0]).shape;
        let from = &self.graph.ty(node.inputs[0]).shape;
        let (c, h, w) = to.chw();
        let flattens = to.dims.len() == 1 && from.dims.len() == 3;
        if let Layout::Filter { .. } = self.layout(inputs[0]) {
            inputs[0] = self.plain(id, inputs[0]);
        }
        if flattens || self.map_of(inputs[0]) == [c, h, w] {
            let text = "not converted: the map stays as it lies under its other shape";
            self.remarks
                .push(Remark::new("layout", self.graph, id, false, text));
            return self.layout(inputs[0]).clone();
        }
        inputs[0] = self.plain(id, inputs[0]);
        let halo = self.halos[node.outputs[0]];
        let layout = self.map_layout(to, halo);
        if let Layout::Nhwc { pixel, .. } = *self.layout(inputs[0])
            && pixel >= c
        {
            let map = [c, h, w];
            let seen = Layout::Nhwc { map, pixel, halo };
            if self.layout(inputs[0]).same_places(&seen) {
                let text = "not converted: its elements have the same places under its other shape";
                self.remarks
                    .push(Remark::new("layout", self.graph, id, false, text));
                return seen;
            }
        }
        let map = self.map_of(inputs[0]);
        if Layout::common_axes(map, [c, h, w]).is_none() {
            // No axes divide one another: by way of all elements in order.
            let shape = Shape {
                batched: to.batched,
                dims: [to.elements()].into(),
            };
            let flat = Op::Reshape(shape.dims.to_vec());
            let flat = self.rewriter.push(flat, &[inputs[0]], &node.origin)[0];
            self.rewriter.set_layout(flat, Layout::plain(&shape));
            inputs[0] = flat;
        }
        layout
    }

    /// What is kept for the next step is made in the layout it is kept in.
    fn updates(&mut self) {
        for update in &self.graph.updates {
            let (target, value) = (
                self.rewriter.get(update.target),
                self.rewriter.get(update.value),
            );
            if !self.is_placed(target) {
                let layout = self.layout(value).clone();
                self.place(target, layout);
            }
            if self.layout(target) != self.layout(value)
                && let Some(producer) = self.graph.producer(update.value)
            {
                let layout = self.layout(target).clone();
                let made = self.convert(producer, value, layout);
                self.rewriter.replace(update.value, made);
            }
        }
    }
}
