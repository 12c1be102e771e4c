//! Contractions: every convolution, dense layer and their gradients as loop nests around the
//! batch-reduce matrix tile (Georganas et al., "High-Performance Deep Learning via a Single Building
//! Block", 2019).
//!
//! A contraction is C[m, n] = sum over k of A[m, k] · B[k, n], where m runs over three axes with
//! free strides (images, rows and columns of a map; or rows, columns and channels of a filter), k
//! over up to four, and n is adjacent in B and C. A tile covers a small box of m and a few vectors
//! of n; its shape is chosen here by counting cycles.

use super::access::{Access, vectors};
use super::epilogue::{Epilogue, Held, Place};
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk};
use crate::codegen::Target;
use crate::kernel::tile::{self, Axis, Tile};
use crate::kernel::{Address, Body, BodyId, Cmp, Cond, Count, Index, Lanes, Reg};
use crate::kernel::{BodyBuilder, NestBuilder};

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
    /// The axes of k, outermost first.
    pub sums: Vec<SumAxis>,
    /// The axes along which it is repeated.
    pub groups: Vec<GroupAxis>,
    /// What is done with the results.
    pub finish: Finish<'a>,
    /// How it is split.
    pub split: Split,
}

/// Steps of the K loop written out in one turn.
const UNROLL: usize = 4;

/// Cycles that a fused multiply-add takes until its result can be added to again; a tile with fewer
/// accumulators than twice this waits.
const FMA_LATENCY: f64 = 4.0;

/// Cycles of entering and leaving a tile, measured as about 12 ns.
const TILE_OVERHEAD: f64 = 40.0;

/// Cycles of storing one accumulator through a short epilogue.
const STORE_COST: f64 = 2.0;

/// A tile's shape: positions along the axes of m, vectors along n.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Shape {
    /// Positions along the axes of m.
    pub rows: [usize; 3],
    /// Vectors along n.
    pub vectors: usize,
}

/// The estimated cycles of one tile. Two multiply-adds and two loads a cycle; a broadcast is a load.
fn tile_cycles(rows: usize, vectors: usize, depth: usize) -> f64 {
    let arithmetic = (rows * vectors) as f64 / 2.0;
    let loads = (rows + vectors) as f64 / 2.0;
    let step = arithmetic.max(loads).max(FMA_LATENCY);
    depth as f64 * step + (rows * vectors) as f64 * STORE_COST + TILE_OVERHEAD
}

/// The shape with the least estimated time for all of m and n, k being `depth` long.
pub fn choose(target: &Target, extents: [usize; 3], columns: usize, depth: usize) -> Shape {
    let n_vectors = columns.div_ceil(target.lanes);
    let mut best: Option<(f64, Shape)> = None;
    for vectors in 1..=n_vectors.min(4) {
        // Groups of vectors are as even as can be, so only some widths occur.
        if n_vectors.div_ceil(n_vectors.div_ceil(vectors)) != vectors {
            continue;
        }
        let most = (target.registers - 1).saturating_sub(vectors) / vectors;
        for inner in 1..=extents[2].min(most) {
            for middle in 1..=extents[1].min(most / inner) {
                for outer in 1..=extents[0].min(most / (inner * middle)) {
                    let rows = [outer, middle, inner];
                    let mut cycles = 0.0;
                    for_variants(extents, rows, |count, sizes| {
                        let size = sizes.iter().product();
                        cycles += count as f64 * tile_cycles(size, vectors, depth);
                    });
                    cycles *= n_vectors.div_ceil(vectors) as f64;
                    if best.is_none_or(|(least, _)| cycles < least) {
                        best = Some((cycles, Shape { rows, vectors }));
                    }
                }
            }
        }
    }
    best.expect("one row of one vector always fits").1
}

/// The sizes of tiles that cover the extents, and how often each occurs.
fn for_variants(extents: [usize; 3], tile: [usize; 3], mut visit: impl FnMut(usize, [usize; 3])) {
    let parts = |axis: usize| {
        let (whole, rest) = (extents[axis] / tile[axis], extents[axis] % tile[axis]);
        [(whole, tile[axis]), (usize::from(rest > 0), rest)]
    };
    for (n0, t0) in parts(0) {
        for (n1, t1) in parts(1) {
            for (n2, t2) in parts(2) {
                if n0 * n1 * n2 > 0 {
                    visit(n0 * n1 * n2, [t0, t1, t2]);
                }
            }
        }
    }
}

/// Vectors of n that one tile takes: from which vector, how many tiles of that width follow one
/// another, how wide, and the lanes of the last vector.
#[derive(Clone, Copy, Debug)]
struct ColumnRun {
    first: usize,
    tiles: usize,
    vectors: usize,
    last: Lanes,
}

fn column_runs(columns: usize, lanes: usize, widest: usize) -> Vec<ColumnRun> {
    let (n_vectors, last) = vectors(columns, lanes);
    let groups = n_vectors.div_ceil(widest);
    let (base, wider) = (n_vectors / groups, n_vectors % groups);
    let mut runs = Vec::new();
    let mut first = 0;
    for (tiles, vectors) in [(wider, base + 1), (groups - wider, base)] {
        let is_end = first + tiles * vectors == n_vectors;
        let partial = usize::from(is_end && last != Lanes::All && tiles > 0);
        if tiles > partial {
            runs.push(ColumnRun {
                first,
                tiles: tiles - partial,
                vectors,
                last: Lanes::All,
            });
        }
        first += (tiles - partial) * vectors;
        if partial > 0 {
            runs.push(ColumnRun {
                first,
                tiles: 1,
                vectors,
                last,
            });
            first += vectors;
        }
    }
    runs
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

/// Appends the contraction as a step.
pub fn lower(cx: &mut Cx<'_>, contract: &Contract<'_>) {
    let sums = simplify(&contract.sums);
    let images = match contract.split {
        Split::Tiles => cx.batch,
        Split::Images(images) => images.min(cx.batch),
    };
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
    let shape = choose(cx.target, extents, contract.columns, depth);
    let maker = Maker {
        contract,
        sums: &sums,
        name: &cx.name,
        lanes: cx.lanes(),
    };
    let runs = column_runs(contract.columns, cx.lanes(), shape.vectors);
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let blocks = [0, 1, 2].map(|axis| extents[axis].div_ceil(shape.rows[axis]));
    let mut emit = |nest: &mut NestBuilder, groups: &[Index]| {
        for run in &runs {
            let mut at_columns = |nest: &mut NestBuilder, column: Index| {
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
                        maker.all_tiles(nest, &mut args, &at, shape, &chunk, &mut Vec::new());
                    }),
                }
            };
            let first = (run.first * cx.target.lanes) as i64;
            let step = (run.vectors * cx.target.lanes) as i64;
            if run.tiles == 1 {
                at_columns(nest, Index::Const(first));
            } else {
                let end = first + run.tiles as i64 * step;
                nest.for_(first, end, step, at_columns);
            }
        }
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

/// Where in groups and columns a tile stands.
struct At<'i> {
    groups: &'i [Index],
    column: Index,
    run: &'i ColumnRun,
}

/// The images that a unit sums over.
struct Chunk {
    unit: Index,
    image: Index,
    count: Index,
}

/// Makes bodies and calls for tiles.
struct Maker<'c, 'a> {
    contract: &'c Contract<'a>,
    sums: &'c [SumAxis],
    name: &'c str,
    lanes: usize,
}

impl Maker<'_, '_> {
    /// Goes through the axes of m for the tile that starts at `starts`, choosing the size along
    /// each: whole, or what is left.
    fn axis(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        at: &At<'_>,
        shape: Shape,
        starts: &[Index],
        done: &mut Vec<(Index, usize)>,
    ) {
        let axis = done.len();
        if axis == 3 {
            self.call(nest, args, at, done, None);
            return;
        }
        let size = shape.rows[axis];
        let start = &starts[axis];
        let mut with = |maker: &Self, nest: &mut NestBuilder, start: Index, size: usize| {
            done.push((start, size));
            maker.axis(nest, args, at, shape, starts, done);
            done.pop();
        };
        match self.contract.rows[axis].extent {
            Extent::Batch if size > 1 => {
                let end = start.clone() + size as i64;
                let beyond = Cond::Lt(Index::Batch, end);
                let with = std::cell::RefCell::new(with);
                nest.if_else(
                    beyond,
                    // What is left of the batch goes image by image, whatever its number.
                    |nest| {
                        nest.for_(start.clone(), Index::Batch, 1, |nest, image| {
                            (with.borrow_mut())(self, nest, image, 1);
                        });
                    },
                    |nest| (with.borrow_mut())(self, nest, start.clone(), size),
                );
            }
            Extent::Batch => with(self, nest, start.clone(), 1),
            Extent::Static(extent) => {
                let rest = extent % size;
                let whole_end = (extent - rest) as i64;
                if rest == 0 {
                    with(self, nest, start.clone(), size);
                } else if whole_end == 0 {
                    with(self, nest, start.clone(), rest);
                } else {
                    let with = std::cell::RefCell::new(with);
                    nest.if_else(
                        Cond::Lt(start.clone(), Index::Const(whole_end)),
                        |nest| (with.borrow_mut())(self, nest, start.clone(), size),
                        |nest| (with.borrow_mut())(self, nest, start.clone(), rest),
                    );
                }
            }
        }
    }

    /// Loops over all tiles of m within a unit.
    fn all_tiles(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        at: &At<'_>,
        shape: Shape,
        chunk: &Chunk,
        done: &mut Vec<(Index, usize)>,
    ) {
        let axis = done.len();
        if axis == 3 {
            self.call(nest, args, at, done, Some(chunk));
            return;
        }
        let Extent::Static(extent) = self.contract.rows[axis].extent else {
            panic!(
                "{}: a sum over images has no image axis in its result",
                self.name
            );
        };
        let size = shape.rows[axis];
        let whole = extent / size;
        let mut with = |nest: &mut NestBuilder, start: Index, size: usize| {
            done.push((start, size));
            self.all_tiles(nest, args, at, shape, chunk, done);
            done.pop();
        };
        match whole {
            0 => {}
            1 => with(nest, Index::Const(0), size),
            _ => nest.for_(0, (whole * size) as i64, size as i64, |nest, start| {
                with(nest, start, size);
            }),
        }
        if extent % size > 0 {
            with(nest, Index::Const((whole * size) as i64), extent % size);
        }
    }

    fn call(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        at: &At<'_>,
        tile: &[(Index, usize)],
        chunk: Option<&Chunk>,
    ) {
        let contract = self.contract;
        let sizes = [tile[0].1, tile[1].1, tile[2].1];
        let body: BodyId = nest.add_body(self.body(sizes, at.run));
        let mut a = Index::Const(contract.a.1);
        for ((start, _), axis) in tile.iter().zip(&contract.rows) {
            a = a + start.clone() * axis.a;
        }
        let mut b = Index::Const(contract.b.1) + at.column.clone() * ELEMENT;
        for (group, axis) in at.groups.iter().zip(&contract.groups) {
            a = a + group.clone() * axis.a;
            b = b + group.clone() * axis.b;
        }
        if let Some(chunk) = chunk {
            for axis in self.sums.iter().filter(|axis| axis.extent == Extent::Batch) {
                a = a + chunk.image.clone() * axis.a;
                b = b + chunk.image.clone() * axis.b;
            }
        }
        let mut ptrs = vec![
            Address {
                arg: args.of(contract.a.0),
                offset: a,
            },
            Address {
                arg: args.of(contract.b.0),
                offset: b,
            },
        ];
        let mut ints = Vec::new();
        if self.sums.iter().any(|axis| axis.extent == Extent::Batch) {
            ints.push(chunk.map_or(Index::Batch, |chunk| chunk.count.clone()));
        }
        match &contract.finish {
            Finish::Store { to, steps, slot } => {
                let mut c = at.column.clone() * ELEMENT;
                for ((start, _), step) in tile.iter().zip(steps) {
                    c = c + start.clone() * *step;
                }
                for (group, axis) in at.groups.iter().zip(&contract.groups) {
                    let GroupStep::Bytes(bytes) = axis.c else {
                        panic!("{}: a plain store steps by bytes", self.name);
                    };
                    c = c + group.clone() * bytes;
                }
                if let Some(chunk) = chunk {
                    c = c + chunk.unit.clone() * *slot;
                }
                ptrs.push(Address {
                    arg: args.of(*to),
                    offset: c,
                });
            }
            Finish::Epilogue {
                epilogue,
                rows,
                columns,
            } => {
                let mut position = [
                    tile[1].0.clone() * rows[1] + rows[0],
                    tile[2].0.clone() * columns[1] + columns[0],
                    at.column.clone(),
                ];
                for (group, axis) in at.groups.iter().zip(&contract.groups) {
                    let GroupStep::Position(steps) = axis.c else {
                        panic!("{}: an epilogue steps by positions", self.name);
                    };
                    for (place, step) in position.iter_mut().zip(steps) {
                        if step != 0 {
                            let before = std::mem::replace(place, Index::Const(0));
                            *place = super::access::add(before, group.clone() * step);
                        }
                    }
                }
                let [row, column, channel] = position.map(|index| nest.let_(index));
                let position = [&tile[0].0, &row, &column, &channel];
                ptrs.extend(epilogue.addresses(args, position));
                if epilogue.counts_elements {
                    ints.push(epilogue.element(position));
                }
            }
        }
        nest.call(body, ptrs, ints);
    }

    fn body(&self, sizes: [usize; 3], run: &ColumnRun) -> Body {
        let contract = self.contract;
        let [t0, t1, t2] = sizes;
        let places: Vec<[i64; 3]> = (0..t0 as i64)
            .flat_map(|i0| (0..t1 as i64).map(move |i1| (i0, i1)))
            .flat_map(|(i0, i1)| (0..t2 as i64).map(move |i2| [i0, i1, i2]))
            .collect();
        let a_rows = places
            .iter()
            .map(|place| {
                let bytes: i64 = place
                    .iter()
                    .zip(&contract.rows)
                    .map(|(&i, axis)| i * axis.a)
                    .sum();
                i32::try_from(bytes).expect("a tile stays within two gigabytes")
            })
            .collect();
        let suffix = match run.last {
            Lanes::All => String::new(),
            Lanes::First(lanes) => format!("_{lanes}"),
        };
        let name = format!("{}_{t0}x{t1}x{t2}_{}{suffix}", self.name, run.vectors);
        let mut b = BodyBuilder::new(name, self.lanes);
        let (a_ptr, b_ptr) = (b.ptr_arg(), b.ptr_arg());
        let ptrs = match &contract.finish {
            Finish::Store { .. } => vec![b.ptr_arg()],
            Finish::Epilogue { epilogue, .. } => epilogue.declare(&mut b),
        };
        let images = self
            .sums
            .iter()
            .any(|axis| axis.extent == Extent::Batch)
            .then(|| b.int_arg());
        let element = match &contract.finish {
            Finish::Epilogue { epilogue, .. } if epilogue.counts_elements => Some(b.int_arg()),
            Finish::Epilogue { .. } | Finish::Store { .. } => None,
        };
        let reduce: Vec<Axis> = self
            .sums
            .iter()
            .map(|axis| Axis {
                count: match axis.extent {
                    Extent::Static(count) => {
                        Count::Imm(u32::try_from(count).expect("an axis fits 32 bits"))
                    }
                    Extent::Batch => Count::Arg(images.expect("declared above")),
                },
                a_step: axis.a,
                b_step: axis.b,
            })
            .collect();
        // A count known only when called is walked step by step: each is a whole image.
        let unroll = match reduce.last() {
            Some(Axis {
                count: Count::Arg(_),
                ..
            }) => 1,
            Some(_) | None => UNROLL,
        };
        let tile = Tile::new(a_rows, run.vectors, reduce, unroll, self.lanes);
        let accumulators = tile::sum(&mut b, &tile, a_ptr, b_ptr);
        let lanes = |vector: usize| {
            if vector + 1 == run.vectors {
                run.last
            } else {
                Lanes::All
            }
        };
        match &contract.finish {
            Finish::Store { steps, .. } => {
                let access = Access {
                    origin: 0,
                    image: steps[0],
                    row: steps[1],
                    pixel: steps[2],
                    channel: ELEMENT,
                };
                for (place, row) in places.iter().zip(&accumulators) {
                    for (vector, &acc) in row.iter().enumerate() {
                        let channel = (vector * self.lanes) as i64;
                        let offset = access.delta(place[0], place[1], place[2], channel);
                        // Rows of a filter are padded to whole vectors of zeros.
                        let acc = match lanes(vector) {
                            Lanes::All => acc,
                            Lanes::First(width) => keep_first(&mut b, acc, width),
                        };
                        b.store(ptrs[0], offset, acc, Lanes::All);
                    }
                }
            }
            Finish::Epilogue {
                epilogue,
                rows,
                columns,
            } => {
                let held = Held::new();
                let first = element.map(|element| epilogue.element_lanes(&mut b, element));
                for vector in 0..run.vectors {
                    for (place, row) in places.iter().zip(&accumulators) {
                        let delta = [
                            place[0],
                            place[1] * rows[1],
                            place[2] * columns[1],
                            (vector * self.lanes) as i64,
                        ];
                        let number = first.map(|first| element_at(&mut b, epilogue, first, delta));
                        let place = Place {
                            delta,
                            lanes: lanes(vector),
                            element: number,
                        };
                        epilogue.emit(&mut b, &ptrs, place, &[row[vector]], &held);
                    }
                }
            }
        }
        b.finish()
    }
}

/// The first lanes of a vector, the rest zero.
fn keep_first(b: &mut BodyBuilder, x: Reg, width: u8) -> Reg {
    let iota = b.iota();
    let width = b.const_i(i32::from(width));
    let zero = b.const_f(0.0);
    b.select(Cmp::Lt, iota, width, x, zero)
}

/// The logical numbers of the elements at a place, given those where the tile starts.
fn element_at(b: &mut BodyBuilder, epilogue: &Epilogue<'_>, first: Reg, delta: [i64; 4]) -> Reg {
    let [image, row, pixel, channel] = delta;
    let [lane_step, pixel_step, row_step] = epilogue.element_steps();
    let ahead = image * epilogue.space.elements() as i64
        + row * row_step
        + pixel * pixel_step
        + channel * lane_step;
    if ahead == 0 {
        return first;
    }
    let step = b.const_i(ahead as i32);
    b.iadd(first, step)
}
