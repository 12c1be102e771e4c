//! Loop nests over windows: pooling and its gradients, forward and backward alike.
//!
//! Rows and columns are cut into [runs](super::runs); each pair of a row run and a column run is
//! one body with straight-line code for the window and a loop along the columns. Lanes are channels.

use super::access::{Access, Space, vectors};
use super::epilogue::{Epilogue, Held, Place};
use super::runs::{Run, Tap};
use super::{Args, Buffer, Cx, Domain, Units, chunk, over_channels, split};
use crate::ir::ValueId;
use crate::kernel::{Address, Body, Cond, Count, Index, Lanes, Ptr, Reg};
use crate::kernel::{BodyBuilder, NestBuilder};

/// A cell of a two-dimensional window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Along rows.
    pub row: Tap,
    /// Along columns.
    pub column: Tap,
}

/// Computes the results at one position from the cells of its window. The function it is given loads
/// a source's channels at a cell.
pub type Compute<'c> = dyn Fn(&mut BodyBuilder, &[Cell], &dyn Fn(&mut BodyBuilder, usize, &Cell) -> Reg) -> Vec<Reg>
    + 'c;

/// What to loop over and what to do there.
pub struct Windows<'c> {
    /// The runs of rows.
    pub rows: Vec<Run>,
    /// The runs of columns.
    pub columns: Vec<Run>,
    /// The maps that windows read, all of one size.
    pub sources: Vec<ValueId>,
    /// What is computed.
    pub results: Vec<ValueId>,
    /// How.
    pub compute: &'c Compute<'c>,
}

struct Sources {
    accesses: Vec<Access>,
    integer: Vec<bool>,
}

/// Lowers the group whose anchor this is.
pub fn lower(cx: &mut Cx<'_>, windows: &Windows<'_>) {
    let space = Space::of(cx.graph, windows.results[0]);
    let epilogue = Epilogue::new(cx, &windows.results, space).stream(cx, false);
    let sources = Sources {
        accesses: windows
            .sources
            .iter()
            .map(|&source| Access::new(cx.graph, source, &Space::of(cx.graph, source)))
            .collect(),
        integer: windows
            .sources
            .iter()
            .map(|&source| cx.graph.ty(source).dtype == crate::ir::DType::I32)
            .collect(),
    };
    let [c, h, _] = epilogue.space.map;
    let (n_vectors, _) = vectors(c, cx.lanes());
    let mut args = Args::touching(
        windows
            .sources
            .iter()
            .map(|&source| Buffer::Value(source))
            .chain(epilogue.buffers()),
    );
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        nest.for_domain(|nest, unit| {
            let (image, row) = split(unit, h);
            let (image, row) = (nest.let_(image), nest.let_(row));
            for row_run in &windows.rows {
                let turn = (row.clone() - row_run.start as i64) / row_run.step as i64;
                in_run(nest, &row, row_run, |nest| {
                    let turn = nest.let_(turn);
                    for column_run in &windows.columns {
                        over_channels(nest, c, cx.lanes(), |nest, channel, width| {
                            let body = nest.add_body(body(
                                cx, &epilogue, &sources, windows, row_run, column_run, width,
                            ));
                            let mut ptrs = source_addresses(
                                args,
                                &sources,
                                windows,
                                [row_run, column_run],
                                [&image, &turn, &channel],
                            );
                            let start = Index::Const(column_run.start as i64);
                            let position = [&image, &row, &start, &channel];
                            ptrs.extend(epilogue.addresses(args, position));
                            nest.call(body, ptrs, epilogue.ints(position));
                        });
                    }
                });
            }
        });
    });
    let cells = windows
        .rows
        .iter()
        .map(|run| run.taps.len())
        .max()
        .unwrap_or(1)
        * windows
            .columns
            .iter()
            .map(|run| run.taps.len())
            .max()
            .unwrap_or(1);
    let columns: usize = windows.columns.iter().map(|run| run.count).sum();
    let work = columns * n_vectors * (cells * 3 + epilogue.work());
    let units = Units::Images {
        units: h,
        images: 1,
    };
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    cx.step(kernel, args, domain);
}

/// Runs the statements if the row belongs to the run.
fn in_run(nest: &mut NestBuilder, row: &Index, run: &Run, then: impl FnOnce(&mut NestBuilder)) {
    let end = (run.start + run.count * run.step) as i64;
    let in_range = |nest: &mut NestBuilder| {
        let before = Cond::Lt(row.clone(), Index::Const(run.start as i64));
        nest.if_else(
            before,
            |_| {},
            |nest| {
                nest.if_(Cond::Lt(row.clone(), Index::Const(end)), then);
            },
        );
    };
    if run.step == 1 {
        in_range(nest);
    } else {
        let phase = row.clone() % run.step as i64;
        let wanted = Index::Const((run.start % run.step) as i64);
        nest.if_(Cond::Eq(phase, wanted), in_range);
    }
}

fn source_addresses(
    args: &mut Args,
    sources: &Sources,
    windows: &Windows<'_>,
    [row_run, column_run]: [&Run; 2],
    [image, turn, channel]: [&Index; 3],
) -> Vec<Address> {
    let first = |run: &Run| run.taps.first().map_or(0, |tap| tap.source);
    let row = turn.clone() * row_run.source_step as i64 + first(row_run);
    let column = Index::Const(first(column_run));
    windows
        .sources
        .iter()
        .zip(&sources.accesses)
        .map(|(&source, access)| Address {
            arg: args.value(source),
            offset: access.at(image.clone(), row.clone(), column.clone(), channel.clone()),
        })
        .collect()
}

fn body(
    cx: &Cx<'_>,
    epilogue: &Epilogue<'_>,
    sources: &Sources,
    windows: &Windows<'_>,
    row_run: &Run,
    column_run: &Run,
    lanes: Lanes,
) -> Body {
    let mut b = BodyBuilder::new(
        format!(
            "{}_{}x{}",
            cx.name,
            row_run.taps.len(),
            column_run.taps.len()
        ),
        cx.lanes(),
    );
    let source_ptrs: Vec<Ptr> = windows.sources.iter().map(|_| b.ptr_arg()).collect();
    let ptrs = epilogue.declare(&mut b);
    let element = epilogue.counts_elements.then(|| b.int_arg());
    let number = element.map(|first| epilogue.element_lanes(&mut b, first));
    let cells: Vec<Cell> = row_run
        .taps
        .iter()
        .flat_map(|&row| {
            column_run
                .taps
                .iter()
                .map(move |&column| Cell { row, column })
        })
        .collect();
    let (first_row, first_column) = (
        row_run.taps.first().map_or(0, |tap| tap.source),
        column_run.taps.first().map_or(0, |tap| tap.source),
    );
    let held = Held::default();
    // What the next row of the run reads and this one does not, and where it writes.
    let fresh = |run: &Run| -> Vec<i64> {
        let sources = run.taps.iter().map(|tap| tap.source);
        let last = sources.clone().max().unwrap_or(0);
        let step = run.source_step as i64;
        sources.filter(|source| source + step > last).collect()
    };
    let [fresh_rows, fresh_columns] = [row_run, column_run].map(fresh);
    let mut ahead: Vec<(Ptr, i32)> = Vec::new();
    for (&ptr, access) in source_ptrs.iter().zip(&sources.accesses) {
        for row in fresh_rows.iter().filter(|_| cx.calls_ahead(access.image)) {
            let row = row - first_row + row_run.source_step as i64;
            let columns = fresh_columns.iter().map(|column| column - first_column);
            ahead.extend(columns.map(|column| (ptr, access.delta(0, row, column, 0))));
        }
    }
    let touched = ptrs
        .iter()
        .zip(epilogue.accesses())
        .take(epilogue.touched());
    for (&ptr, access) in touched {
        if cx.calls_ahead(access.image) {
            ahead.push((ptr, access.delta(0, row_run.step as i64, 0, 0)));
        }
    }
    b.repeat(Count::Imm(column_run.count as u32), |b| {
        for &(ptr, off) in &ahead {
            b.prefetch(ptr, off);
        }
        let load = |b: &mut BodyBuilder, source: usize, cell: &Cell| {
            let (rows, columns) = (
                cell.row.source - first_row,
                cell.column.source - first_column,
            );
            let delta = sources.accesses[source].delta(0, rows, columns, 0);
            if sources.integer[source] {
                b.load_i(source_ptrs[source], delta, lanes)
            } else {
                b.load(source_ptrs[source], delta, lanes)
            }
        };
        let results = (windows.compute)(b, &cells, &load);
        let place = Place {
            delta: [0; 4],
            lanes,
            element: number,
        };
        epilogue.emit(b, &ptrs, place, &results, &held);
        if let Some(number) = number {
            let step = b.const_i(column_run.step as i32);
            let next = b.iadd(number, step);
            b.copy_into(number, next);
        }
        for (&ptr, access) in source_ptrs.iter().zip(&sources.accesses) {
            b.advance(ptr, access.pixel * column_run.source_step as i64);
        }
        for (&ptr, access) in ptrs.iter().zip(epilogue.accesses()) {
            b.advance(ptr, access.pixel * column_run.step as i64);
        }
    });
    b.finish()
}
