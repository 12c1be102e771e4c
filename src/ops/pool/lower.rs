//! Pooling as loop nests over windows.

use crate::ir::Node;
use crate::kernel::BodyBuilder;
use crate::kernel::{Cmp, Reg};
use crate::lower::Cx;
use crate::lower::runs::{Run, backward, forward};
use crate::lower::windows::{self, Cell, Windows};
use crate::ops::window::Axis;
use crate::ops::{AvgPool, AvgPoolGrad, MaxPool, MaxPoolGrad, Window};

type Runs = fn(&Window, Axis, usize, usize, bool) -> Vec<Run>;

/// The runs along rows and columns between an input and an output of a pooling.
fn both_axes(
    runs: Runs,
    window: &Window,
    input: &[usize],
    output: &[usize],
    include_pad: bool,
) -> [Vec<Run>; 2] {
    Axis::BOTH.map(|axis| {
        let size = axis.index() + 1;
        runs(window, axis, input[size], output[size], include_pad)
    })
}

/// Keeps the first of equal cells and any NaN; the position is computed only if something reads it.
pub fn max_pool(cx: &mut Cx<'_>, op: &MaxPool, node: &Node) {
    let (x, y, index) = (node.inputs[0], node.outputs[0], node.outputs[1]);
    let [rows, columns] = both_axes(
        forward,
        &op.window,
        cx.graph.dims(x),
        cx.graph.dims(y),
        false,
    );
    let wants_index = cx.group.stores.contains(&index);
    let width = op.window.kernel[1];
    let compute = move |b: &mut BodyBuilder,
                        cells: &[Cell],
                        load: &dyn Fn(&mut BodyBuilder, usize, &Cell) -> Reg| {
        let position = |cell: &Cell| (cell.row.cell * width + cell.column.cell) as i32;
        let mut best = load(b, 0, &cells[0]);
        let mut at = wants_index.then(|| b.const_i(position(&cells[0])));
        for cell in &cells[1..] {
            let x = load(b, 0, cell);
            if let Some(index) = at {
                let here = b.const_i(position(cell));
                let greater = b.select(Cmp::Gt, x, best, here, index);
                // A NaN wins, and the first of several is the one that stays.
                let wins = b.select(Cmp::Unordered, x, x, here, greater);
                at = Some(b.select(Cmp::Unordered, best, best, index, wins));
            }
            // The comparison is false if `best` is NaN, which so stays; a NaN in `x` needs a second look.
            let greater = b.select(Cmp::Gt, x, best, x, best);
            best = b.select(Cmp::Unordered, x, x, x, greater);
        }
        let mut results = vec![best];
        results.extend(at);
        results
    };
    let mut results = vec![y];
    if wants_index {
        results.push(index);
    }
    windows::lower(
        cx,
        &Windows {
            rows,
            columns,
            sources: vec![x],
            results,
            compute: &compute,
        },
    );
}

/// Gathers: each input cell asks the windows that cover it whether it was their maximum.
pub fn max_pool_grad(cx: &mut Cx<'_>, op: &MaxPoolGrad, node: &Node) {
    let (dy, dx) = (node.inputs[0], node.outputs[0]);
    let [rows, columns] = both_axes(
        backward,
        &op.window,
        cx.graph.dims(dx),
        cx.graph.dims(dy),
        false,
    );
    let width = op.window.kernel[1];
    let compute = move |b: &mut BodyBuilder,
                        cells: &[Cell],
                        load: &dyn Fn(&mut BodyBuilder, usize, &Cell) -> Reg| {
        let zero = b.const_f(0.0);
        let mut sum = None;
        for cell in cells {
            let position = b.const_i((cell.row.cell * width + cell.column.cell) as i32);
            let (dy, index) = (load(b, 0, cell), load(b, 1, cell));
            let share = b.select(Cmp::Eq, index, position, dy, zero);
            sum = Some(match sum {
                None => share,
                Some(sum) => b.add(sum, share),
            });
        }
        vec![sum.unwrap_or(zero)]
    };
    let sources = node.inputs.clone();
    windows::lower(
        cx,
        &Windows {
            rows,
            columns,
            sources: sources.to_vec(),
            results: vec![dx],
            compute: &compute,
        },
    );
}

/// The sum of the window's cells over their number.
pub fn avg_pool(cx: &mut Cx<'_>, op: &AvgPool, node: &Node) {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let [rows, columns] = both_axes(
        forward,
        &op.window,
        cx.graph.dims(x),
        cx.graph.dims(y),
        op.include_pad,
    );
    weighted(cx, node, rows, columns);
}

/// Each input cell gets its share of every window that covers it.
pub fn avg_pool_grad(cx: &mut Cx<'_>, op: &AvgPoolGrad, node: &Node) {
    let (dy, dx) = (node.inputs[0], node.outputs[0]);
    let [rows, columns] = both_axes(
        backward,
        &op.window,
        cx.graph.dims(dx),
        cx.graph.dims(dy),
        op.include_pad,
    );
    weighted(cx, node, rows, columns);
}

fn weighted(cx: &mut Cx<'_>, node: &Node, rows: Vec<Run>, columns: Vec<Run>) {
    let compute = |b: &mut BodyBuilder,
                   cells: &[Cell],
                   load: &dyn Fn(&mut BodyBuilder, usize, &Cell) -> Reg| {
        let count = |cell: &Cell| cell.row.count * cell.column.count;
        let alike = cells.iter().all(|cell| count(cell) == count(&cells[0]));
        let mut sum = None;
        for cell in cells {
            let x = load(b, 0, cell);
            let share = if alike {
                x
            } else {
                let weight = b.const_f(1.0 / count(cell) as f32);
                b.mul(x, weight)
            };
            sum = Some(match sum {
                None => share,
                Some(sum) => b.add(sum, share),
            });
        }
        let Some(sum) = sum else {
            return vec![b.const_f(0.0)];
        };
        if !alike {
            return vec![sum];
        }
        let weight = b.const_f(1.0 / count(&cells[0]) as f32);
        vec![b.mul(sum, weight)]
    };
    let (sources, results) = (node.inputs.clone(), node.outputs.clone());
    windows::lower(
        cx,
        &Windows {
            rows,
            columns,
            sources: sources.to_vec(),
            results: results.to_vec(),
            compute: &compute,
        },
    );
}
