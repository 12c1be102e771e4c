//! Convolutions in which each channel has a filter of its own, as depthwise loops.

use super::lower::{Phase, access, phases};
use crate::ir::{FilterOrder, Layout, Node};
use crate::lower::depthwise::{self, Depthwise, Filter, FilterGrad, Positions, Source, Tap};
use crate::lower::{Access, Cx, Epilogue, Space};
use crate::ops::window::Axis;
use crate::ops::{Conv2d, Conv2dFilterGrad, Conv2dInputGrad, Window};

/// How a filter lies that the depthwise loops read; none if it lies as those of other convolutions do.
pub fn filter(layout: &Layout) -> Option<Filter> {
    match *layout {
        Layout::Filter {
            order: FilterOrder::Depthwise,
            kcrs: [_, _, r, s],
            row,
            ..
        } => Some(Filter { taps: [r, s], row }),
        Layout::Filter { .. } | Layout::Nhwc { .. } | Layout::Blocked { .. } => None,
    }
}

/// The outputs along an axis, each with all taps.
fn outputs(window: &Window, axis: Axis, step: i64, count: usize) -> Positions {
    let number = axis.index();
    let (stride, dilation) = (window.stride[number] as i64, window.dilation[number] as i64);
    let tap = |cell: usize| Tap {
        source: cell as i64 * dilation * step,
        cell,
    };
    Positions {
        count,
        source: stride * step,
        place: [0, 1],
        taps: (0..window.kernel[number]).map(tap).collect(),
    }
}

/// The source of the outputs' windows: position zero stands for the first output.
fn padded(value: crate::ir::ValueId, from: &Access, window: &Window) -> Source {
    let pads = &window.pads;
    Source {
        value,
        start: from.origin - pads.top as i64 * from.row - pads.left as i64 * from.pixel,
        image: from.image,
    }
}

/// Lanes are channels; the sum is over taps.
pub fn forward(cx: &mut Cx<'_>, op: &Conv2d, node: &Node, filter: Filter) {
    let (x, w, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let from = access(cx, x);
    let space = Space::of(cx.graph, y);
    let [_, height, width] = space.map;
    let depthwise = Depthwise {
        source: padded(x, &from, &op.window),
        filter: (w, filter),
        positions: [
            outputs(&op.window, Axis::Height, from.row, height),
            outputs(&op.window, Axis::Width, from.pixel, width),
        ],
        epilogue: Epilogue::new(cx, &[y], space).stream(cx, false),
    };
    depthwise::lower(cx, &depthwise);
}

/// The inputs of one residue modulo the stride along an axis, with the taps that reach them.
fn inputs(phase: &Phase, stride: usize, step: i64) -> Positions {
    let tap = |number: usize| Tap {
        source: (phase.output + number as i64 * phase.output_step) * step,
        cell: phase.tap + number * phase.tap_step,
    };
    Positions {
        count: phase.count,
        source: step,
        place: [phase.start, stride],
        taps: (0..phase.taps).map(tap).collect(),
    }
}

/// As in other convolutions, one loop nest for each residue of the input's position modulo the stride.
pub fn input_grad(cx: &mut Cx<'_>, op: &Conv2dInputGrad, node: &Node, filter: Filter) {
    let (dy, w, dx) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let from = access(cx, dy);
    let window = &op.conv.window;
    let space = Space::of(cx.graph, dx);
    let [_, height, width] = space.map;
    let rows = phases(window, Axis::Height, height);
    let columns = phases(window, Axis::Width, width);
    let name = cx.name.clone();
    for row in &rows {
        for column in &columns {
            if rows.len() * columns.len() > 1 {
                cx.name = format!("{name}_{}{}", row.start, column.start);
            }
            let depthwise = Depthwise {
                source: Source {
                    value: dy,
                    start: from.origin,
                    image: from.image,
                },
                filter: (w, filter),
                positions: [
                    inputs(row, window.stride[0], from.row),
                    inputs(column, window.stride[1], from.pixel),
                ],
                epilogue: Epilogue::new(cx, &[dx], space.clone()).stream(cx, false),
            };
            depthwise::lower(cx, &depthwise);
        }
    }
    cx.name = name;
}

/// Lanes are channels; the sums are over images and output pixels.
pub fn filter_grad(cx: &mut Cx<'_>, op: &Conv2dFilterGrad, node: &Node, filter: Filter) {
    let (x, dy, dw) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let (from, grad) = (access(cx, x), access(cx, dy));
    let window = &op.conv.window;
    let [channels, height, width] = Space::of(cx.graph, dy).map;
    let grad = FilterGrad {
        source: padded(x, &from, window),
        grad: Source {
            value: dy,
            start: grad.origin,
            image: grad.image,
        },
        grad_steps: [grad.row, grad.pixel],
        positions: [
            outputs(window, Axis::Height, from.row, height),
            outputs(window, Axis::Width, from.pixel, width),
        ],
        channels,
        result: (dw, filter),
    };
    depthwise::filter_grad(cx, &grad);
}
