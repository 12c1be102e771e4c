//! Contractions: every convolution, dense layer and their gradients as loop nests around the
//! batch-reduce matrix tile (Georganas et al., "High-Performance Deep Learning via a Single Building
//! Block", 2019).
//!
//! A contraction is C[m, n] = sum over k of A[m, k] · B[k, n], where m runs over three axes with
//! free strides (images, rows and columns of a map; or rows, columns and channels of a filter), k
//! over up to four, and n is adjacent in B and C. A tile covers a small box of m and a few vectors
//! of n; its shape is chosen by counting cycles.

mod cut;
mod maker;
mod order;
mod shape;

use super::epilogue::Epilogue;
use super::shares;
use super::{Args, Buffer, Cx, Domain, Units, chunk, even};
use crate::codegen::Target;
use crate::kernel::{Index, NestBuilder};
use cut::{Cut, Over, Part, TASK_ROWS};
use maker::{Ahead, At, Brings, Maker};
use order::{Order, Reads};
pub use shape::PANEL_SHARE;
use shape::{ColumnRun, Shape, choose, column_runs, panel_runs};

/// A vector of B that comes from afar, in multiply-adds.
const FAR_LOAD: usize = 8;

/// Tiles of m for which the first reading of B, which other layers have driven out of the second-level cache, is worth
/// bringing near: where every layer has 512 channels of 14 x 14 pixels it takes a tenth less time, in whole nets a few
/// hundredths or nothing that can be told from noise.
const FEW_TILES: usize = 16;

/// How many positions an axis of m has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// So many.
    Static(usize),
    /// One for each image of the batch.
    Batch,
    /// As many as the part has that a long sum is cut into.
    Part,
}

/// An axis of m.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowAxis {
    /// Its positions.
    pub extent: Extent,
    /// The distance of neighbours in A, in bytes.
    pub a: i64,
}

impl RowAxis {
    /// An axis of one position.
    pub const ONE: RowAxis = RowAxis {
        extent: Extent::Static(1),
        a: 0,
    };
}

/// An axis of k.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SumAxis {
    /// Its positions.
    pub extent: Extent,
    /// The distance of neighbours in A, in bytes.
    pub a: i64,
    /// The distance of neighbours in B, in bytes.
    pub b: i64,
}

/// An axis along which the same contraction is repeated with other parts of A, B and C.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupAxis {
    /// How often.
    pub count: usize,
    /// The distance in A, in bytes.
    pub a: i64,
    /// The distance in B, in bytes.
    pub b: i64,
    /// The distance in C: in bytes for a plain store; for an epilogue, rows, pixels and channels.
    pub c: GroupStep,
}

/// How far a group's results are from the last one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupStep {
    /// For a plain store.
    Bytes(i64),
    /// For an epilogue: rows, pixels, channels.
    Position([i64; 3]),
}

/// What is done with a tile's results.
#[derive(Debug)]
pub enum Finish<'a> {
    /// They are stored in rows that are padded to whole vectors, the padding zeroed; the results of
    /// each unit of the images' split `slot` bytes from the last one's.
    Store {
        /// Where.
        to: Buffer,
        /// The first byte.
        start: i64,
        /// Distances of neighbours along the axes of m, in bytes.
        steps: [i64; 3],
        /// Distance of the partial results of one chunk of images and the next, in bytes.
        slot: i64,
    },
    /// They go through an epilogue, m being images, rows and columns of a map.
    Epilogue {
        /// The epilogue.
        epilogue: Epilogue<'a>,
        /// The first row and the distance of rows, in rows of the map.
        rows: [i64; 2],
        /// The same for columns.
        columns: [i64; 2],
    },
}

/// How the work is split into units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split {
    /// By tiles of m; each unit sums over all of k.
    Tiles,
    /// By chunks of so many images, over which k runs; each unit makes its own partial results.
    Images(usize),
}

/// How B's columns are cut into panels, each with all of B's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panels {
    /// How many there are. With one, B's rows are whole and the rest says nothing.
    pub count: usize,
    /// Columns of a panel, whole vectors.
    pub columns: usize,
    /// Rows of a panel.
    pub rows: usize,
}

impl Panels {
    /// Rows that are not cut.
    pub const ONE: Panels = Panels {
        count: 1,
        columns: 0,
        rows: 0,
    };
}

/// A contraction.
#[derive(Debug)]
pub struct Contract<'a> {
    /// A, and its first byte.
    pub a: (Buffer, i64),
    /// B, and its first byte.
    pub b: (Buffer, i64),
    /// The axes of m, outermost first.
    pub rows: [RowAxis; 3],
    /// The extent of n.
    pub columns: usize,
    /// How B's columns lie.
    pub panels: Panels,
    /// The axes of k, outermost first.
    pub sums: Vec<SumAxis>,
    /// The axes along which it is repeated.
    pub groups: Vec<GroupAxis>,
    /// What is done with the results.
    pub finish: Finish<'a>,
    /// How it is split.
    pub split: Split,
}

/// Drops sum axes of one position and joins neighbours that form one run. A sum over nothing has no
/// axis at all.
fn simplify(sums: &[SumAxis]) -> Vec<SumAxis> {
    let mut joined: Vec<SumAxis> = Vec::new();
    if sums.iter().any(|axis| axis.extent == Extent::Static(0)) {
        return joined;
    }
    for &axis in sums {
        if axis.extent == Extent::Static(1) {
            continue;
        }
        if let Some(outer) = joined.last_mut()
            && let Extent::Static(count) = axis.extent
            && outer.a == axis.a * count as i64
            && outer.b == axis.b * count as i64
            && let Extent::Static(turns) = outer.extent
        {
            *outer = SumAxis {
                extent: Extent::Static(turns * count),
                ..axis
            };
            continue;
        }
        joined.push(axis);
    }
    if joined.is_empty() {
        joined.extend(sums.last());
    }
    joined
}

/// The columns of a panel that suits a contraction of these rows, columns and depth; all of them if it goes through them
/// at once.
pub fn panel(target: &Target, rows: [usize; 3], columns: usize, depth: usize) -> usize {
    choose(target, rows, columns, depth, None).vectors * target.lanes
}

/// A contraction whose tiles are chosen.
struct Chosen {
    sums: Vec<SumAxis>,
    /// How its sums are cut into parts.
    cut: Option<Cut>,
    /// Positions along the axes of m.
    extents: [usize; 3],
    /// Terms of each sum.
    depth: usize,
    shape: Shape,
    runs: Vec<ColumnRun>,
    lanes: usize,
    /// Bytes of the result that stay near while parts are added to it.
    near: usize,
}

impl Chosen {
    /// Chooses, `images` being those that a sum over images goes over.
    fn new(cx: &Cx<'_>, contract: &Contract<'_>, images: usize) -> Chosen {
        let cut = Cut::of(contract, cx.target, images);
        let sums = match cut {
            Some(Cut::Rows(_)) => {
                let rows = SumAxis {
                    extent: Extent::Part,
                    ..contract.sums[1]
                };
                let mut sums = vec![rows];
                sums.extend(simplify(&contract.sums[2..]));
                sums
            }
            Some(Cut::Images(_)) | None => simplify(&contract.sums),
        };
        let (images, rows) = match cut {
            Some(Cut::Images(part)) => (part, 0),
            Some(Cut::Rows(rows)) => (1, rows),
            None => (images, 0),
        };
        let static_extent = |extent: Extent, images: usize| match extent {
            Extent::Static(count) => count,
            Extent::Batch => images,
            Extent::Part => rows,
        };
        let depth = match sums.as_slice() {
            [] => 0,
            sums => sums
                .iter()
                .map(|axis| static_extent(axis.extent, images))
                .product(),
        };
        let extents = contract
            .rows
            .map(|axis| static_extent(axis.extent, cx.batch));
        let panels = contract.panels;
        let only = (panels.count > 1).then(|| panels.columns / cx.lanes());
        let shape = choose(cx.target, extents, contract.columns, depth, only);
        let runs = match only {
            None => column_runs(contract.columns, cx.lanes(), shape.vectors),
            Some(vectors) => panel_runs(contract.columns, cx.lanes(), vectors),
        };
        Chosen {
            sums,
            cut,
            extents,
            depth,
            shape,
            runs,
            lanes: cx.lanes(),
            near: cut::near(cx.target),
        }
    }

    /// What is brought near before it is read.
    fn ahead(&self, contract: &Contract<'_>, target: &Target) -> Ahead {
        if let Finish::Store { .. } = contract.finish
            && self.cut.is_some()
        {
            return Ahead::Panels;
        }
        let groups = contract.groups.iter().filter(|axis| axis.b != 0);
        let groups: usize = groups.map(|axis| axis.count).product();
        let b = groups * self.depth * contract.columns * size_of::<f32>();
        let panel = self.depth * self.shape.vectors * self.lanes * size_of::<f32>();
        let tiles = self.extents.iter().zip(self.shape.rows);
        let tiles: usize = tiles.map(|(&extent, rows)| extent.div_ceil(rows)).product();
        let near = match tiles <= FEW_TILES {
            true => target.caches[0],
            false => self.near,
        };
        if b <= near {
            Ahead::Nothing
        } else if tiles == 1 {
            Ahead::Steps
        } else if panel < self.near * 2 / 3 {
            Ahead::Panels
        } else {
            Ahead::Nothing
        }
    }

    /// What is brought near for epilogues. Where that takes longer than the sums, it had better be asked for a tile ahead: an
    /// update of a matrix of 38 million elements after sums of eight terms takes 20 to 25 % less time.
    fn brings(&self, contract: &Contract<'_>) -> Brings {
        let Finish::Epilogue { epilogue, .. } = &contract.finish else {
            return Brings::Nothing;
        };
        let results = self.extents.iter().product::<usize>() * contract.columns;
        if results * size_of::<f32>() <= self.near {
            return Brings::Nothing;
        }
        let moved = epilogue.accesses().filter(|access| access.channel != 0);
        let bytes = moved.count() * self.lanes * size_of::<f32>();
        match (self.depth as f64) / 2.0 < bytes as f64 / shape::FAR_BYTES {
            true => Brings::Next,
            false => Brings::Own,
        }
    }

    fn maker<'c, 'a>(&'c self, cx: &'c Cx<'_>, contract: &'c Contract<'a>) -> Maker<'c, 'a> {
        Maker {
            contract,
            sums: &self.sums,
            name: &cx.name,
            lanes: self.lanes,
            images: cx.batch,
            ahead: self.ahead(contract, cx.target),
            brings: self.brings(contract),
        }
    }

    /// What tiles read, so many along m and along n.
    fn reads(&self, contract: &Contract<'_>, tiles: [usize; 2]) -> Reads {
        let [outer, middle, _] = contract.rows;
        let apart = if self.extents[0] > 1 {
            outer.a
        } else {
            middle.a
        };
        let count = if self.extents[0] > 1 {
            self.extents[0]
        } else {
            self.extents[1]
        };
        let a = count * usize::try_from(apart).unwrap_or(0);
        let b = self.depth * contract.columns * size_of::<f32>();
        Reads {
            tiles,
            bytes: [a, b],
        }
    }

    /// Visits all parts of the sums, for all columns. What has to stay near meanwhile is the result: all of it, if it can;
    /// else so many columns as can are gone through at once.
    fn over_parts(
        &self,
        nest: &mut NestBuilder,
        contract: &Contract<'_>,
        groups: &[Index],
        over: &Over,
        mut visit: impl FnMut(&mut NestBuilder, &At<'_>),
    ) {
        let mut visit =
            |nest: &mut NestBuilder, column: Index, run: &ColumnRun, part: Option<&Part>| {
                let at = At {
                    groups,
                    column,
                    run,
                    part,
                };
                visit(nest, &at);
            };
        let Some(cut) = self.cut else {
            let part = over.whole(nest, contract);
            return self.over_columns(nest, |nest, column, run| {
                visit(nest, column, run, part.as_ref());
            });
        };
        let column_bytes = self.extents.iter().product::<usize>() * size_of::<f32>();
        if column_bytes * contract.columns <= self.near {
            return over.parts(nest, contract, cut, |nest, part| {
                self.over_columns(nest, |nest, column, run| {
                    visit(nest, column, run, Some(part));
                });
            });
        }
        for run in &self.runs {
            let columns = run.vectors * self.lanes;
            let tiles = (self.near / (column_bytes * columns)).clamp(1, run.tiles);
            let tiles = run.tiles.div_ceil(run.tiles.div_ceil(tiles));
            let first = (run.first * self.lanes) as i64;
            let end = first + (run.tiles * columns) as i64;
            let step = (tiles * columns) as i64;
            nest.for_(first, end, step, |nest, block| {
                let end = match run.tiles % tiles {
                    0 => block.clone() + step,
                    _ => (block.clone() + step).min(end),
                };
                let end = nest.let_(end);
                over.parts(nest, contract, cut, |nest, part| {
                    let (first, end) = (block.clone(), end.clone());
                    nest.for_(first, end, columns as i64, |nest, column| {
                        visit(nest, column, run, Some(part));
                    });
                });
            });
        }
    }

    /// Visits the first columns of all tiles along n.
    fn over_columns(
        &self,
        nest: &mut NestBuilder,
        visit: impl FnMut(&mut NestBuilder, Index, &ColumnRun),
    ) {
        self.over_runs(nest, &self.runs, visit);
    }

    fn over_runs(
        &self,
        nest: &mut NestBuilder,
        runs: &[ColumnRun],
        mut visit: impl FnMut(&mut NestBuilder, Index, &ColumnRun),
    ) {
        for run in runs {
            let first = (run.first * self.lanes) as i64;
            let step = (run.vectors * self.lanes) as i64;
            if run.tiles == 1 {
                visit(nest, Index::Const(first), run);
            } else {
                let end = first + run.tiles as i64 * step;
                nest.for_(first, end, step, |nest, column| visit(nest, column, run));
            }
        }
    }
}

/// Where in a contraction that is part of a larger loop nest some tiles are.
#[derive(Debug)]
pub struct Inside<'i> {
    /// The groups.
    pub groups: &'i [Index],
    /// The columns; none for all.
    pub columns: Option<&'i shares::Within>,
    /// How often the result has been added to. The tiles add to what it holds, but for the first time; always they set it if
    /// there is none.
    pub after: Option<&'i Index>,
}

/// The tiles of a contraction as part of a larger loop nest.
pub fn tiles(
    nest: &mut NestBuilder,
    args: &mut Args,
    cx: &Cx<'_>,
    contract: &Contract<'_>,
    inside: &Inside<'_>,
) {
    let chosen = Chosen::new(cx, contract, cx.batch);
    let maker = chosen.maker(cx, contract);
    let part = inside.after.map(|number| Part {
        offset: [Index::Const(0), Index::Const(0)],
        count: Index::Const(1),
        number: Some(number.clone()),
        unit: None,
    });
    let mut visit = |nest: &mut NestBuilder, column: Index, run: &ColumnRun| {
        let at = At {
            groups: inside.groups,
            column,
            run,
            part: part.as_ref(),
        };
        maker.all_tiles(nest, args, &at, chosen.shape, &mut Vec::new());
    };
    match inside.columns {
        None => chosen.over_columns(nest, visit),
        // Shares are of whole panels, and tiles start where panels do.
        Some(within) => {
            let (most, rest) = (&chosen.runs[0], &chosen.runs[1..]);
            let width = (most.vectors * chosen.lanes) as i64;
            let end = within.end.clone().min(most.tiles as i64 * width);
            nest.for_(within.first.clone(), end, width, |nest, column| {
                visit(nest, column, most);
            });
            if !rest.is_empty() {
                nest.if_(within.has_last.clone(), |nest| {
                    chosen.over_runs(nest, rest, visit);
                });
            }
        }
    }
}

/// Appends the contraction as a step.
pub fn lower(cx: &mut Cx<'_>, contract: &Contract<'_>) {
    let images = match contract.split {
        Split::Tiles => cx.batch,
        Split::Images(images) => images.min(cx.batch),
    };
    let chosen = Chosen::new(cx, contract, images);
    let Chosen {
        extents,
        depth,
        shape,
        ..
    } = chosen;
    let blocks = [0, 1, 2].map(|axis| extents[axis].div_ceil(shape.rows[axis]));
    let row_units = match contract.rows[0].extent {
        Extent::Batch => Units::Images {
            units: blocks[1] * blocks[2],
            images: shape.rows[0],
        },
        Extent::Static(_) | Extent::Part => Units::Fixed(blocks.iter().product()),
    };
    let n_rows = row_units.count(cx.batch);
    let n_columns = chosen.runs.iter().map(|run| run.tiles).sum();
    let order = match &contract.finish {
        Finish::Epilogue { .. } => chosen.reads(contract, [n_rows, n_columns]).order(cx.target),
        Finish::Store { .. } => Order::Rows(n_rows),
    };
    let mut maker = chosen.maker(cx, contract);
    if (maker.brings, order) == (Brings::Next, Order::Columns) {
        // The next tile is not the next one along n.
        maker.brings = Brings::Own;
    }
    let mut args = Args::touching([contract.a.0, contract.b.0]);
    match &contract.finish {
        Finish::Store { to, .. } => args.touch([*to]),
        Finish::Epilogue { epilogue, .. } => args.touch(epilogue.buffers()),
    }
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        let mut emit = |nest: &mut NestBuilder, groups: &[Index]| match contract.split {
            Split::Tiles => {
                let mut rows = |nest: &mut NestBuilder, at: &At<'_>, [first, end]: [Index; 2]| {
                    nest.for_(first, end, 1, |nest, unit| {
                        let (rest, inner) = super::split(unit, blocks[2]);
                        let rest = nest.let_(rest);
                        let (outer, middle) = super::split(rest, blocks[1]);
                        let starts = [outer, middle, inner]
                            .into_iter()
                            .zip(shape.rows)
                            .map(|(block, size)| nest.let_(block * size as i64))
                            .collect::<Vec<_>>();
                        maker.axis(nest, args, at, shape, &starts, &mut Vec::new());
                    });
                };
                match order {
                    Order::Rows(size) => order::blocks(nest, size, n_rows, |nest, block| {
                        let over = Over {
                            images: [Index::Const(0), Index::Batch],
                            unit: None,
                        };
                        chosen.over_parts(nest, contract, groups, &over, |nest, at| {
                            rows(nest, at, block.clone());
                        });
                    }),
                    Order::Columns => {
                        let n_rows = match row_units {
                            Units::Images { units, images } => {
                                (Index::Batch + (images as i64 - 1)) / images as i64 * units as i64
                            }
                            Units::Fixed(_) | Units::Elements { .. } => Index::Const(n_rows as i64),
                        };
                        let n_rows = nest.let_(n_rows);
                        let (runs, lanes) = (&chosen.runs, chosen.lanes);
                        order::panels(nest, runs, lanes, &n_rows, |nest, column, run, range| {
                            let at = At {
                                groups,
                                column,
                                run,
                                part: None,
                            };
                            rows(nest, &at, range);
                        });
                    }
                }
            }
            Split::Images(images) => nest.for_domain(|nest, unit| {
                let image = nest.let_(unit.clone() * images as i64);
                let end = (image.clone() + images as i64).min(Index::Batch);
                let over = Over {
                    images: [image, nest.let_(end)],
                    unit: Some(unit),
                };
                chosen.over_parts(nest, contract, groups, &over, |nest, at| {
                    maker.all_tiles(nest, args, at, shape, &mut Vec::new());
                });
            }),
        };
        over_groups(nest, &contract.groups, &mut Vec::new(), &mut emit);
    });
    let n_groups: usize = contract.groups.iter().map(|axis| axis.count).product();
    let per_row = depth * contract.columns.div_ceil(cx.lanes()) * n_groups;
    let units = match (contract.split, order) {
        (Split::Images(images), _) => Units::Images { units: 1, images },
        (Split::Tiles, Order::Rows(_)) => row_units,
        (Split::Tiles, Order::Columns) => row_units.times(n_columns),
    };
    let tile_rows = shape.rows.iter().product::<usize>();
    let work = match (contract.split, order) {
        (Split::Images(_), _) => extents.iter().product::<usize>() * per_row,
        (Split::Tiles, Order::Rows(_)) => tile_rows * per_row,
        (Split::Tiles, Order::Columns) => {
            tile_rows * per_row / n_columns + FAR_LOAD * depth * shape.vectors / n_rows.max(1)
        }
    };
    let mut chunk = chunk(units.count(cx.batch), work);
    if contract.split == Split::Tiles {
        // Fewer rows would be read from afar by too many tasks.
        if chosen.cut.is_some() {
            let most = chunk.max(TASK_ROWS.div_ceil(tile_rows));
            chunk = even(units.count(cx.batch), most);
        }
        if order == Order::Columns {
            let parts = order::LEAST_TASKS.div_ceil(n_columns).min(n_rows);
            chunk = chunk.next_multiple_of(n_rows.div_ceil(parts));
        }
    }
    cx.step(kernel, args, Domain { units, chunk });
}

fn over_groups(
    nest: &mut NestBuilder,
    axes: &[GroupAxis],
    at: &mut Vec<Index>,
    emit: &mut impl FnMut(&mut NestBuilder, &[Index]),
) {
    let Some((axis, rest)) = axes.split_first() else {
        emit(nest, at);
        return;
    };
    if axis.count == 1 {
        at.push(Index::Const(0));
        over_groups(nest, rest, at, emit);
        at.pop();
        return;
    }
    nest.for_(0, axis.count as i64, 1, |nest, group| {
        at.push(group);
        over_groups(nest, rest, at, emit);
        at.pop();
    });
}
