//! Contractions: every convolution, dense layer and their gradients as loop nests around the
//! batch-reduce matrix tile (Georganas et al., "High-Performance Deep Learning via a Single Building
//! Block", 2019).
//!
//! A contraction is C[m, n] = sum over k of A[m, k] · B[k, n], where m runs over three axes with
//! free strides (images, rows and columns of a map; or rows, columns and channels of a filter), k
//! over up to four, and n is adjacent in B and C. A tile covers a small box of m and a few vectors
//! of n; its shape is chosen by counting cycles.

mod maker;
mod shape;

use super::epilogue::Epilogue;
use super::{Args, Buffer, Cx, Domain, Units, chunk};
use crate::codegen::Target;
use crate::kernel::{Index, NestBuilder};
use maker::{At, Chunk, Maker};
use shape::{ColumnRun, Shape, choose, column_runs, panel_runs};
pub use shape::{FAR_BYTES, PANEL_SHARE};

/// How many positions an axis of m has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// So many.
    Static(usize),
    /// One for each image of the batch.
    Batch,
}

/// An axis of m.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowAxis {
    /// Its positions.
    pub extent: Extent,
    /// The distance of neighbours in A, in bytes.
    pub a: i64,
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
    /// Positions along the axes of m.
    extents: [usize; 3],
    /// Terms of each sum.
    depth: usize,
    shape: Shape,
    runs: Vec<ColumnRun>,
}

impl Chosen {
    /// Chooses, `images` being those that a sum over images goes over.
    fn new(cx: &Cx<'_>, contract: &Contract<'_>, images: usize) -> Chosen {
        let sums = simplify(&contract.sums);
        let static_extent = |extent: Extent, images: usize| match extent {
            Extent::Static(count) => count,
            Extent::Batch => images,
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
            extents,
            depth,
            shape,
            runs,
        }
    }

    /// Visits the first columns of all tiles along n.
    fn over_columns(
        &self,
        nest: &mut NestBuilder,
        lanes: usize,
        mut visit: impl FnMut(&mut NestBuilder, Index, &ColumnRun),
    ) {
        for run in &self.runs {
            let first = (run.first * lanes) as i64;
            let step = (run.vectors * lanes) as i64;
            if run.tiles == 1 {
                visit(nest, Index::Const(first), run);
            } else {
                let end = first + run.tiles as i64 * step;
                nest.for_(first, end, step, |nest, column| visit(nest, column, run));
            }
        }
    }
}

/// All tiles of a contraction as part of a larger loop nest, in the groups that are given.
pub fn tiles(
    nest: &mut NestBuilder,
    args: &mut Args,
    cx: &Cx<'_>,
    contract: &Contract<'_>,
    groups: &[Index],
) {
    let chosen = Chosen::new(cx, contract, cx.batch);
    let maker = Maker {
        contract,
        sums: &chosen.sums,
        name: &cx.name,
        lanes: cx.lanes(),
    };
    chosen.over_columns(nest, cx.lanes(), |nest, column, run| {
        let at = At {
            groups,
            column,
            run,
        };
        maker.all_tiles(nest, args, &at, chosen.shape, None, &mut Vec::new());
    });
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
    let maker = Maker {
        contract,
        sums: &chosen.sums,
        name: &cx.name,
        lanes: cx.lanes(),
    };
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let blocks = [0, 1, 2].map(|axis| extents[axis].div_ceil(shape.rows[axis]));
    let mut emit = |nest: &mut NestBuilder, groups: &[Index]| {
        chosen.over_columns(nest, cx.target.lanes, |nest, column, run| {
            let at = At {
                groups,
                column,
                run,
            };
            match contract.split {
                Split::Tiles => nest.for_domain(|nest, unit| {
                    let rest = nest.let_(super::split(unit, 1).0);
                    let (rest, inner) = super::split(rest, blocks[2]);
                    let rest = nest.let_(rest);
                    let (outer, middle) = super::split(rest, blocks[1]);
                    let starts = [outer, middle, inner]
                        .into_iter()
                        .zip(shape.rows)
                        .map(|(block, size)| nest.let_(block * size as i64))
                        .collect::<Vec<_>>();
                    maker.axis(nest, &mut args, &at, shape, &starts, &mut Vec::new());
                }),
                Split::Images(images) => nest.for_domain(|nest, unit| {
                    let image = nest.let_(unit.clone() * images as i64);
                    let count = (Index::Batch - image.clone()).min(images as i64);
                    let count = nest.let_(count);
                    let chunk = Chunk { unit, image, count };
                    maker.all_tiles(nest, &mut args, &at, shape, Some(&chunk), &mut Vec::new());
                }),
            }
        });
    };
    over_groups(&mut nest, &contract.groups, &mut Vec::new(), &mut emit);
    let kernel = nest.finish(cx.name.clone(), args.len());
    let n_groups: usize = contract.groups.iter().map(|axis| axis.count).product();
    let per_row = depth * contract.columns.div_ceil(cx.lanes()) * n_groups;
    let units = match contract.split {
        Split::Tiles => {
            let inner = blocks[1] * blocks[2];
            match contract.rows[0].extent {
                Extent::Batch => Units::Images {
                    units: inner,
                    images: shape.rows[0],
                },
                Extent::Static(_) => Units::Fixed(blocks[0] * inner),
            }
        }
        Split::Images(images) => Units::Images { units: 1, images },
    };
    let work = match contract.split {
        Split::Tiles => shape.rows.iter().product::<usize>() * per_row,
        Split::Images(_) => extents.iter().product::<usize>() * per_row,
    };
    let chunk = chunk(units.count(cx.batch), work);
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
