//! Convolutions as contractions.
//!
//! Padding costs nothing here: a padded operand carries its zeros as a halo, so every tap of every
//! output reads memory that exists.

use super::depthwise;
use crate::ir::{FilterOrder, Layout, Node};
use crate::lower::contract::{
    self, Contract, Extent, Finish, GroupAxis, GroupStep, Panels, RowAxis, Split, SumAxis,
};
use crate::lower::planes::{self, Planes};
use crate::lower::{Access, Buffer, Cx, ELEMENT, Epilogue, Space, partial};
use crate::ops::window::Axis;
use crate::ops::{Conv2d, Conv2dFilterGrad, Conv2dInputGrad, Window};

/// The sizes of a filter in memory.
struct Filter {
    groups: usize,
    k: usize,
    c: usize,
    taps: [usize; 2],
    row: usize,
    panels: usize,
}

impl Filter {
    fn of(layout: &Layout, wanted: FilterOrder) -> Filter {
        match *layout {
            Layout::Filter {
                order,
                groups,
                kcrs: [k, c, r, s],
                row,
                panels,
            } if order == wanted => Filter {
                groups,
                k,
                c,
                taps: [r, s],
                row,
                panels,
            },
            Layout::Filter { .. } | Layout::Nhwc { .. } | Layout::Blocked { .. } => {
                panic!("a convolution wants its filter as {wanted:?}, not in {layout}")
            }
        }
    }

    /// Bytes from one tap to the next and from one group to the next, `middle` rows a tap.
    fn strides(&self, middle: usize) -> [i64; 2] {
        let tap = (middle * self.row) as i64 * ELEMENT;
        [
            tap,
            tap * (self.taps[0] * self.taps[1] * self.panels) as i64,
        ]
    }

    /// The panels of its columns, `middle` rows a tap.
    fn panels(&self, middle: usize) -> Panels {
        Panels {
            count: self.panels,
            columns: self.row,
            rows: middle * self.taps[0] * self.taps[1],
        }
    }
}

/// How a value is reached from its own space.
pub fn access(cx: &Cx<'_>, value: crate::ir::ValueId) -> Access {
    Access::new(cx.graph, value, &Space::of(cx.graph, value))
}

fn fixed(count: usize, a: i64, b: i64) -> SumAxis {
    SumAxis {
        extent: Extent::Static(count),
        a,
        b,
    }
}

/// m: output pixels; n: output channels; k: taps and input channels.
pub fn forward(cx: &mut Cx<'_>, op: &Conv2d, node: &Node) {
    let (x, w, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    if let Some(filter) = depthwise::filter(cx.layout(w)) {
        return depthwise::forward(cx, op, node, filter);
    }
    let from = access(cx, x);
    let filter = Filter::of(cx.layout(w), FilterOrder::Forward);
    let [tap, group] = filter.strides(filter.c);
    let Window {
        stride,
        dilation,
        pads,
        ..
    } = &op.window;
    let space = Space::of(cx.graph, y);
    let [_, height, width] = space.map;
    let epilogue = Epilogue::new(cx, &[y], space).stream(cx, false);
    let start = from.origin - pads.top as i64 * from.row - pads.left as i64 * from.pixel;
    let sizes = planes::Sizes {
        groups: filter.groups,
        kc: [filter.k, filter.c],
        taps: filter.taps,
        dilation: *dilation,
        row: filter.row,
        map: [height, width],
    };
    if *stride == [1, 1] && filter.panels == 1 && sizes.pay(cx.target) {
        let conv = Planes {
            x: (x, from),
            w,
            sizes,
            start,
            epilogue,
        };
        return planes::lower(cx, &conv);
    }
    let contract = Contract {
        a: (Buffer::Value(x), start),
        b: (Buffer::Value(w), 0),
        rows: [
            RowAxis {
                extent: Extent::Batch,
                a: from.image,
            },
            RowAxis {
                extent: Extent::Static(height),
                a: stride[0] as i64 * from.row,
            },
            RowAxis {
                extent: Extent::Static(width),
                a: stride[1] as i64 * from.pixel,
            },
        ],
        columns: filter.k,
        panels: filter.panels(filter.c),
        sums: vec![
            fixed(
                filter.taps[0],
                dilation[0] as i64 * from.row,
                tap * filter.taps[1] as i64,
            ),
            fixed(filter.taps[1], dilation[1] as i64 * from.pixel, tap),
            fixed(filter.c, ELEMENT, filter.row as i64 * ELEMENT),
        ],
        groups: vec![GroupAxis {
            count: filter.groups,
            a: filter.c as i64 * ELEMENT,
            b: group,
            c: GroupStep::Position([0, 0, filter.k as i64]),
        }],
        finish: Finish::Epilogue {
            epilogue,
            rows: [0, 1],
            columns: [0, 1],
        },
        split: Split::Tiles,
    };
    contract::lower(cx, &contract);
}

/// Which taps reach the input positions of one residue modulo the stride, and from which outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Phase {
    /// The first input position.
    pub start: usize,
    /// How many there are, `stride` apart.
    pub count: usize,
    /// The first tap.
    pub tap: usize,
    /// How many taps there are.
    pub taps: usize,
    /// Distance of those taps.
    pub tap_step: usize,
    /// The output that the first position reads through the first tap.
    pub output: i64,
    /// How far the output moves from one tap to the next.
    pub output_step: i64,
}

/// The phases along one axis: input i gets output o through tap t where i + pad = o · stride + t ·
/// dilation, so for each residue of i the taps are an arithmetic progression.
pub fn phases(window: &Window, axis: Axis, input: usize) -> Vec<Phase> {
    let (stride, dilation) = (window.stride[axis.index()], window.dilation[axis.index()]);
    let pad = window.pads.along(axis).0;
    (0..stride.min(input))
        .map(|start| {
            let reaches = |tap: usize| (start + pad) as i64 - (tap * dilation) as i64;
            let taps: Vec<usize> = (0..window.kernel[axis.index()])
                .filter(|&tap| reaches(tap).rem_euclid(stride as i64) == 0)
                .collect();
            let output = |tap: usize| reaches(tap).div_euclid(stride as i64);
            let tap_step = taps.get(1).map_or(1, |second| second - taps[0]);
            Phase {
                start,
                count: (input - start).div_ceil(stride),
                tap: taps.first().copied().unwrap_or(0),
                taps: taps.len(),
                tap_step,
                output: taps.first().map_or(0, |&tap| output(tap)),
                output_step: taps.get(1).map_or(0, |&tap| output(tap) - output(taps[0])),
            }
        })
        .collect()
}

/// The least halo of the output's gradient that the input gradient's loops stay within, as
/// (before, after) of one axis.
pub fn input_grad_halo(window: &Window, axis: Axis, input: usize, output: usize) -> (usize, usize) {
    let mut least = 0;
    let mut most = output as i64 - 1;
    for phase in phases(window, axis, input) {
        if phase.taps == 0 {
            continue;
        }
        let moved = (phase.taps as i64 - 1) * phase.output_step;
        let last = phase.count as i64 - 1;
        least = least.min(phase.output).min(phase.output + moved);
        most = most
            .max(phase.output + last)
            .max(phase.output + moved + last);
    }
    ((-least) as usize, (most - (output as i64 - 1)) as usize)
}

/// m: input pixels of one residue modulo the stride; n: input channels; k: the taps that reach them
/// and output channels. No scatter, and no multiplication by the zeros that a stride leaves.
pub fn input_grad(cx: &mut Cx<'_>, op: &Conv2dInputGrad, node: &Node) {
    let (dy, w, dx) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    if let Some(filter) = depthwise::filter(cx.layout(w)) {
        return depthwise::input_grad(cx, op, node, filter);
    }
    let from = access(cx, dy);
    let filter = Filter::of(cx.layout(w), FilterOrder::Backward);
    let [tap, group] = filter.strides(filter.k);
    let window = &op.conv.window;
    let stride = [window.stride[0] as i64, window.stride[1] as i64];
    let space = Space::of(cx.graph, dx);
    let [_, height, width] = space.map;
    let name = cx.name.clone();
    let (row_phases, column_phases) = (
        phases(window, Axis::Height, height),
        phases(window, Axis::Width, width),
    );
    for rows in &row_phases {
        for columns in &column_phases {
            if row_phases.len() * column_phases.len() > 1 {
                cx.name = format!("{name}_{}{}", rows.start, columns.start);
            }
            let epilogue = Epilogue::new(cx, &[dx], space.clone()).stream(cx, false);
            let taps_b = [tap * filter.taps[1] as i64, tap];
            let contract = Contract {
                a: (
                    Buffer::Value(dy),
                    from.origin + rows.output * from.row + columns.output * from.pixel,
                ),
                b: (
                    Buffer::Value(w),
                    rows.tap as i64 * taps_b[0] + columns.tap as i64 * taps_b[1],
                ),
                rows: [
                    RowAxis {
                        extent: Extent::Batch,
                        a: from.image,
                    },
                    RowAxis {
                        extent: Extent::Static(rows.count),
                        a: from.row,
                    },
                    RowAxis {
                        extent: Extent::Static(columns.count),
                        a: from.pixel,
                    },
                ],
                columns: filter.c,
                panels: filter.panels(filter.k),
                sums: vec![
                    fixed(
                        rows.taps,
                        rows.output_step * from.row,
                        rows.tap_step as i64 * taps_b[0],
                    ),
                    fixed(
                        columns.taps,
                        columns.output_step * from.pixel,
                        columns.tap_step as i64 * taps_b[1],
                    ),
                    fixed(filter.k, ELEMENT, filter.row as i64 * ELEMENT),
                ],
                groups: vec![GroupAxis {
                    count: filter.groups,
                    a: filter.k as i64 * ELEMENT,
                    b: group,
                    c: GroupStep::Position([0, 0, filter.c as i64]),
                }],
                finish: Finish::Epilogue {
                    epilogue,
                    rows: [rows.start as i64, stride[0]],
                    columns: [columns.start as i64, stride[1]],
                },
                split: Split::Tiles,
            };
            contract::lower(cx, &contract);
        }
    }
    cx.name = name;
}

/// m: taps and input channels; n: output channels; k: images and output pixels.
pub fn filter_grad(cx: &mut Cx<'_>, op: &Conv2dFilterGrad, node: &Node) {
    let (x, dy, dw) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    if let Some(filter) = depthwise::filter(cx.layout(dw)) {
        return depthwise::filter_grad(cx, op, node, filter);
    }
    let (from, grad) = (access(cx, x), access(cx, dy));
    let filter = Filter::of(cx.layout(dw), FilterOrder::Forward);
    let [tap, group] = filter.strides(filter.c);
    let Window {
        stride,
        dilation,
        pads,
        ..
    } = &op.conv.window;
    let [_, height, width] = Space::of(cx.graph, dy).map;
    let start = from.origin - pads.top as i64 * from.row - pads.left as i64 * from.pixel;
    let rows = [
        RowAxis {
            extent: Extent::Static(filter.taps[0]),
            a: dilation[0] as i64 * from.row,
        },
        RowAxis {
            extent: Extent::Static(filter.taps[1]),
            a: dilation[1] as i64 * from.pixel,
        },
        RowAxis {
            extent: Extent::Static(filter.c),
            a: ELEMENT,
        },
    ];
    let steps = [
        tap * filter.taps[1] as i64,
        tap,
        filter.row as i64 * ELEMENT,
    ];
    let sums = vec![
        SumAxis {
            extent: Extent::Batch,
            a: from.image,
            b: grad.image,
        },
        fixed(height, stride[0] as i64 * from.row, grad.row),
        fixed(width, stride[1] as i64 * from.pixel, grad.pixel),
    ];
    let groups = vec![GroupAxis {
        count: filter.groups,
        a: filter.c as i64 * ELEMENT,
        b: filter.k as i64 * ELEMENT,
        c: GroupStep::Bytes(group),
    }];
    let (rows, steps) = join_rows(rows, steps);
    partial::lower(
        cx,
        partial::Partial {
            a: (Buffer::Value(x), start),
            b: (Buffer::Value(dy), grad.origin),
            rows,
            steps,
            columns: filter.k,
            sums,
            groups,
            result: dw,
            pixels: height * width,
        },
    );
}

/// Joins the innermost axes of m where they are one run in A and in C, so that a tile may span them;
/// what was outside moves inwards.
pub fn join_rows(mut rows: [RowAxis; 3], mut steps: [i64; 3]) -> ([RowAxis; 3], [i64; 3]) {
    for _ in 0..2 {
        let (Extent::Static(outer), Extent::Static(inner)) = (rows[1].extent, rows[2].extent)
        else {
            break;
        };
        let run = inner as i64;
        let joins = rows[1].a == rows[2].a * run && steps[1] == steps[2] * run;
        if outer > 1 && !joins {
            break;
        }
        rows[2].extent = Extent::Static(outer * inner);
        (rows[1], steps[1]) = (rows[0], steps[0]);
        rows[0] = RowAxis::ONE;
        steps[0] = 0;
    }
    (rows, steps)
}
