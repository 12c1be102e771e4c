//! Dense layers as contractions, the input a map in whatever order it lies.
//!
//! A flattened map stays where it is: the filter's rows lie in the map's H, W, C order instead, so
//! that a dense layer after a convolution moves no activation.

use crate::ir::{FilterOrder, Layout, Node, ValueId};
use crate::lower::contract::{
    self, Contract, Extent, Finish, GroupAxis, GroupStep, Panels, RowAxis, Split, SumAxis,
};
use crate::lower::dots::{self, Dots};
use crate::lower::{Access, Buffer, Cx, ELEMENT, Epilogue, Space};
use crate::ops::conv::lower::join_rows;

/// A dense layer's matrix in memory.
struct Matrix {
    k: usize,
    map: [usize; 3],
    row: usize,
    panels: usize,
}

impl Matrix {
    fn of(layout: &Layout, wanted: FilterOrder) -> Matrix {
        match *layout {
            Layout::Filter {
                order,
                groups: 1,
                kcrs: [k, c, r, s],
                row,
                panels,
            } if order == wanted => Matrix {
                k,
                map: [c, r, s],
                row,
                panels,
            },
            Layout::Filter { .. } | Layout::Nhwc { .. } | Layout::Blocked { .. } => {
                panic!("a dense layer wants its matrix as {wanted:?}, not in {layout}")
            }
        }
    }
}

fn access(cx: &Cx<'_>, value: ValueId) -> Access {
    Access::new(cx.graph, value, &Space::of(cx.graph, value))
}

/// m: images; n: outputs; k: the input's elements.
pub fn forward(cx: &mut Cx<'_>, node: &Node) {
    let (x, w, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let from = access(cx, x);
    let Matrix {
        k,
        map: [c, h, width],
        row,
        panels,
    } = Matrix::of(cx.layout(w), FilterOrder::Forward);
    let panels = Panels {
        count: panels,
        columns: row,
        rows: c * h * width,
    };
    let row = row as i64 * ELEMENT;
    let fixed = |count, a, b| SumAxis {
        extent: Extent::Static(count),
        a,
        b,
    };
    let space = Space::of(cx.graph, y);
    let contract = Contract {
        a: (Buffer::Value(x), from.origin),
        b: (Buffer::Value(w), 0),
        rows: [
            RowAxis {
                extent: Extent::Batch,
                a: from.image,
            },
            RowAxis::ONE,
            RowAxis::ONE,
        ],
        columns: k,
        panels,
        sums: vec![
            fixed(h, from.row, row * (width * c) as i64),
            fixed(width, from.pixel, row * c as i64),
            fixed(c, ELEMENT, row),
        ],
        groups: Vec::new(),
        finish: Finish::Epilogue {
            epilogue: Epilogue::new(cx, &[y], space),
            rows: [0, 1],
            columns: [0, 1],
        },
        split: Split::Tiles,
    };
    contract::lower(cx, &contract);
}

/// Cycles of adding up the lanes of a sum, where a vector's worth of a matrix takes one to be brought: about.
const DOT_END: usize = 8;

/// Whether the gradient by the input had better read a matrix of so many outputs as it lies, than have it turned for each
/// batch.
pub fn reads_forward(outputs: usize, batch: usize) -> bool {
    outputs > DOT_END * batch
}

/// m: images; n: the input's channels, pixel by pixel; k: outputs.
pub fn input_grad(cx: &mut Cx<'_>, node: &Node) {
    let (dy, w, dx) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let from = access(cx, dy);
    if let Layout::Filter {
        order: FilterOrder::Forward,
        ..
    } = cx.layout(w)
    {
        let matrix = Matrix::of(cx.layout(w), FilterOrder::Forward);
        assert_eq!(matrix.panels, 1, "{}: rows are whole", cx.name);
        let dots = Dots {
            a: (dy, from),
            b: w,
            row: matrix.row as i64 * ELEMENT,
            terms: matrix.k,
            epilogue: Epilogue::new(cx, &[dx], Space::of(cx.graph, dx)),
        };
        return dots::lower(cx, &dots);
    }
    let Matrix {
        k,
        map: [c, h, width],
        row,
        ..
    } = Matrix::of(cx.layout(w), FilterOrder::Backward);
    let tap = (k * row) as i64 * ELEMENT;
    let space = Space::of(cx.graph, dx);
    let contract = Contract {
        a: (Buffer::Value(dy), from.origin),
        b: (Buffer::Value(w), 0),
        rows: [
            RowAxis {
                extent: Extent::Batch,
                a: from.image,
            },
            RowAxis::ONE,
            RowAxis::ONE,
        ],
        columns: c,
        panels: Panels::ONE,
        sums: vec![SumAxis {
            extent: Extent::Static(k),
            a: ELEMENT,
            b: row as i64 * ELEMENT,
        }],
        groups: vec![
            GroupAxis {
                count: h,
                a: 0,
                b: tap * width as i64,
                c: GroupStep::Position([1, 0, 0]),
            },
            GroupAxis {
                count: width,
                a: 0,
                b: tap,
                c: GroupStep::Position([0, 1, 0]),
            },
        ],
        finish: Finish::Epilogue {
            epilogue: Epilogue::new(cx, &[dx], space),
            rows: [0, 1],
            columns: [0, 1],
        },
        split: Split::Tiles,
    };
    contract::lower(cx, &contract);
}

/// m: the input's elements; n: outputs; k: images. What follows from the gradient alone, an update of the matrix, is done while
/// it is in registers: large matrices then go through memory once.
pub fn filter_grad(cx: &mut Cx<'_>, node: &Node) {
    let (x, dy, dw) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let (from, grad) = (access(cx, x), access(cx, dy));
    let Matrix {
        k,
        map: [c, h, width],
        row,
        ..
    } = Matrix::of(cx.layout(dw), FilterOrder::Forward);
    let row = row as i64 * ELEMENT;
    let rows = [
        RowAxis {
            extent: Extent::Static(h),
            a: from.row,
        },
        RowAxis {
            extent: Extent::Static(width),
            a: from.pixel,
        },
        RowAxis {
            extent: Extent::Static(c),
            a: ELEMENT,
        },
    ];
    let steps = [row * (width * c) as i64, row * c as i64, row];
    let (rows, steps) = join_rows(rows, steps);
    let finish = match cx.group.nodes.as_slice() {
        [] => Finish::Store {
            to: Buffer::Value(dw),
            start: 0,
            steps,
            slot: 0,
        },
        _ => Finish::Epilogue {
            epilogue: Epilogue::of_matrix(cx, dw, steps),
            rows: [0, 1],
            columns: [0, 1],
        },
    };
    let contract = Contract {
        a: (Buffer::Value(x), from.origin),
        b: (Buffer::Value(dy), grad.origin),
        rows,
        columns: k,
        panels: Panels::ONE,
        sums: vec![SumAxis {
            extent: Extent::Batch,
            a: from.image,
            b: grad.image,
        }],
        groups: Vec::new(),
        finish,
        split: Split::Tiles,
    };
    contract::lower(cx, &contract);
}
