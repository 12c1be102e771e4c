//! How filters and matrices lie.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Pass;
use crate::codegen::Target;
use crate::ir::{FilterOrder, Graph, IdVec, Layout, NodeId, ValueId};
use crate::lower::winograd::Blocks;
use crate::lower::{access, contract};
use crate::ops::Op;
use crate::passes::rewrite::given;

/// The same for the rows of a filter. A tile walks a thousand rows and more, a line or two of each, over and over: at 512
/// bytes they fill an eighth of the sets of a second-level cache of 512 KB, which then cannot hold them; measured, a
/// tile of 1,152 rows falls from 92 to 74 % of the limit.
const FILTER_CONFLICT_BYTES: usize = 512;

/// For each value that element-wise nodes make and a convolution reads as its filter, and for what they make it of, the
/// groups of the convolution.
pub(super) fn groups(graph: &Graph) -> IdVec<ValueId, Option<usize>> {
    let mut filters = IdVec::filled(graph.values.len(), None);
    for (_, node) in graph.nodes.iter().rev() {
        match &node.op {
            Op::Conv2d(conv) => filters[node.inputs[1]] = Some(conv.groups),
            Op::WinogradFilter(filter) => filters[node.inputs[0]] = Some(filter.groups),
            Op::Conv2dInputGrad(grad) => filters[node.inputs[1]] = Some(grad.conv.groups),
            Op::Pointwise(_) => {
                let (made, groups) = (node.outputs[0], filters[node.outputs[0]]);
                let alike = |&&input: &&ValueId| graph.dims(input) == graph.dims(made);
                if groups.is_some() {
                    for &input in node.inputs.iter().filter(alike) {
                        filters[input] = groups;
                    }
                }
            }
            _ => {}
        }
    }
    filters
}

/// The parameters of the new graph that forward convolutions and dense layers alone read, in a graph that changes none:
/// they are put into memory once, in whatever order the loops like.
pub(super) fn packable(graph: &Graph) -> FxHashSet<ValueId> {
    if !graph.updates.is_empty() {
        return FxHashSet::default();
    }
    let users = graph.users();
    let given = given(graph);
    let reads_as_filter = |value: ValueId, node: NodeId| {
        let node = &graph.nodes[node];
        matches!(node.op, Op::Conv2d(_) | Op::Dense)
            && node.inputs[1] == value
            && node.inputs[0] != value
    };
    let is_asked = |value: ValueId| graph.outputs.iter().any(|output| output.value == value);
    let params = graph.params().map(|(value, _)| value);
    params
        .filter(|&value| !is_asked(value))
        .filter(|&value| {
            users[value]
                .iter()
                .all(|&node| reads_as_filter(value, node))
        })
        .filter_map(|value| given[value])
        .collect()
}

/// For each filter that a convolution by the method of Winograd reads, the blocks that the first such reader works in.
pub(super) fn tiled(graph: &Graph, target: &Target, batch: usize) -> FxHashMap<ValueId, Blocks> {
    let mut tiled = FxHashMap::default();
    for (_, node) in graph.nodes.iter() {
        if let Op::WinogradConv(conv) = node.op {
            let (outputs, height, width) = graph.ty(node.outputs[0]).shape.chw();
            let outputs = outputs / conv.groups;
            let blocks = || Blocks::new(target, conv.form, outputs, [height, width], batch);
            tiled.entry(node.inputs[1]).or_insert_with(blocks);
        }
    }
    tiled
}

impl Pass<'_> {
    /// A filter's layout: rows padded to whole vectors, and apart if they would conflict.
    pub(super) fn filter_layout(
        &self,
        order: FilterOrder,
        groups: usize,
        kcrs: [usize; 4],
    ) -> Layout {
        let [k, c, r, s] = kcrs;
        let (inner, rows) = match order {
            FilterOrder::Forward => (k, c * r * s),
            FilterOrder::Backward => (c, k * r * s),
            FilterOrder::Depthwise => (groups, 1),
        };
        let whole = inner.next_multiple_of(self.target.lanes);
        let row = match rows {
            0 | 1 => whole,
            _ => access::apart(whole, FILTER_CONFLICT_BYTES),
        };
        Layout::Filter {
            order,
            groups,
            kcrs,
            row,
            panels: 1,
        }
    }

    /// The layout of a filter in forward order for a contraction of so many rows: in panels, where it may.
    pub(super) fn packed(&self, w: ValueId, layout: Layout, rows: [usize; 3]) -> Layout {
        let Layout::Filter {
            order: FilterOrder::Forward,
            kcrs: [k, c, r, s],
            ..
        } = layout
        else {
            return layout;
        };
        if !self.packable.contains(&w) {
            return layout;
        }
        let columns = contract::panel(self.target, rows, k, c * r * s);
        in_panels(layout, columns)
    }

    /// A dense layer's matrix in forward order, placed for the map if it is not yet.
    pub(super) fn matrix(&mut self, w: ValueId, map: [usize; 3]) -> [usize; 4] {
        if !self.is_placed(w) {
            let k = self.rewriter.graph().dims(w)[0];
            let [c, h, width] = map;
            let layout = self.filter_layout(FilterOrder::Forward, 1, [k, c, h, width]);
            let layout = self.packed(w, layout, [self.batch, 1, 1]);
            self.place(w, layout);
        }
        match self.layout(w) {
            Layout::Filter { kcrs, .. } => *kcrs,
            other => panic!("{w} is a matrix but lies as {other}"),
        }
    }

    /// A convolution's filter in forward order.
    pub(super) fn filter(&mut self, w: ValueId, groups: usize, output: ValueId) {
        if !self.is_placed(w) {
            let layout = self.conv_layout(self.rewriter.graph().dims(w), groups);
            let (_, height, width) = self.graph.ty(output).shape.chw();
            let layout = self.packed(w, layout, [self.batch, height, width]);
            self.place(w, layout);
        }
    }

    pub(super) fn conv_layout(&self, dims: &[usize], groups: usize) -> Layout {
        let &[k, c, r, s] = dims else {
            panic!("a filter has four axes")
        };
        // Each channel by itself: lanes are channels, and rows are so few that none conflict.
        if groups > 1 && [k / groups, c] == [1, 1] {
            return Layout::Filter {
                order: FilterOrder::Depthwise,
                groups,
                kcrs: [1, 1, r, s],
                row: groups.next_multiple_of(self.target.lanes),
                panels: 1,
            };
        }
        self.filter_layout(FilterOrder::Forward, groups, [k / groups, c, r, s])
    }

    /// The layout of a filter as its readers, convolutions by the method of Winograd, take it.
    pub(super) fn matrices(&self, filter: ValueId, groups: usize) -> Layout {
        let &[k, c, r, s] = self.graph.dims(filter) else {
            unreachable!("a filter")
        };
        let k = k / groups;
        let whole = self.filter_layout(FilterOrder::Forward, groups, [k, c, r, s]);
        match self.tiled.get(&filter) {
            Some(blocks) => in_panels(whole, blocks.panel(self.target, k, c)),
            None => whole,
        }
    }

    /// The filter in backward order.
    pub(super) fn backward(&mut self, id: NodeId, w: ValueId) -> ValueId {
        let Layout::Filter {
            order,
            groups,
            kcrs,
            ..
        } = *self.layout(w)
        else {
            panic!("{w} is a filter");
        };
        if order == FilterOrder::Depthwise {
            return w;
        }
        let layout = self.filter_layout(FilterOrder::Backward, groups, kcrs);
        self.convert(id, w, layout)
    }
}

/// A filter in forward order with its columns in panels of so many; as it is, if that is all of them.
fn in_panels(layout: Layout, columns: usize) -> Layout {
    match layout {
        Layout::Filter {
            order: FilterOrder::Forward,
            groups,
            kcrs: [k, c, r, s],
            ..
        } if columns < k => Layout::Filter {
            order: FilterOrder::Forward,
            groups,
            kcrs: [k, c, r, s],
            row: columns,
            panels: k.div_ceil(columns),
        },
        layout => layout,
    }
}
