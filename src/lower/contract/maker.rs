//! Bodies and calls of a contraction's tiles.

use super::cut::Part;
use super::shape::{ColumnRun, Shape};
use super::{Contract, Extent, Finish, GroupStep, SumAxis};
use crate::kernel::tile::{self, Axis, Tile};
use crate::kernel::{Address, Body, BodyId, Cmp, Cond, Count, Index, Lanes, Op, Ptr, Reg};
use crate::kernel::{BodyBuilder, NestBuilder};
use crate::lower::access::{self, Access};
use crate::lower::epilogue::{Held, Place};
use crate::lower::{Args, ELEMENT};

/// Steps of the K loop written out in one turn.
const UNROLL: usize = 4;

/// Where in groups, columns and sums a tile stands.
pub(super) struct At<'i> {
    /// The part of the sums; none for all of them.
    pub(super) part: Option<&'i Part>,
    pub(super) groups: &'i [Index],
    pub(super) column: Index,
    pub(super) run: &'i ColumnRun,
}

/// Steps that are ahead: what memory takes to answer, at some ten cycles a step.
const STEPS_AHEAD: i64 = 16;

/// What tiles bring near of what comes from beyond the second-level cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ahead {
    /// All is near.
    Nothing,
    /// The next panel of B, which has room beside this one; and the next rows of A, if they are its neighbours.
    Panels,
    /// The rows of B that come some steps later: no tile comes back to them.
    Steps,
}

/// What tiles bring near of what epilogues read and write beyond the second-level cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Brings {
    /// All is near.
    Nothing,
    /// What its own epilogue touches, while it sums.
    Own,
    /// What the epilogue of the next tile along n reads: the sums are too short.
    Next,
}

/// Makes bodies and calls for tiles.
pub(super) struct Maker<'c, 'a> {
    pub(super) contract: &'c Contract<'a>,
    pub(super) sums: &'c [SumAxis],
    pub(super) name: &'c str,
    pub(super) lanes: usize,
    /// Images of a full batch.
    pub(super) images: usize,
    pub(super) ahead: Ahead,
    pub(super) brings: Brings,
}

impl Maker<'_, '_> {
    /// Goes through the axes of m for the tile that starts at `starts`, choosing the size along
    /// each: whole, or what is left.
    pub(super) fn axis(
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
            self.call(nest, args, at, done);
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
                let one_by_one = |nest: &mut NestBuilder| {
                    nest.for_(start.clone(), Index::Batch, 1, |nest, image| {
                        (with.borrow_mut())(self, nest, image, 1);
                    });
                };
                // What a full batch leaves is a tile; what another leaves goes image by image, whatever its number.
                let rest = self.images % size;
                let left = Cond::Eq(start.clone() + rest as i64, Index::Batch);
                nest.if_else(
                    beyond,
                    |nest| match rest {
                        0 | 1 => one_by_one(nest),
                        _ => nest.if_else(
                            left,
                            |nest| (with.borrow_mut())(self, nest, start.clone(), rest),
                            one_by_one,
                        ),
                    },
                    |nest| (with.borrow_mut())(self, nest, start.clone(), size),
                );
            }
            Extent::Batch => with(self, nest, start.clone(), 1),
            Extent::Part => panic!("{}: only sums are cut into parts", self.name),
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
    pub(super) fn all_tiles(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        at: &At<'_>,
        shape: Shape,
        done: &mut Vec<(Index, usize)>,
    ) {
        let axis = done.len();
        if axis == 3 {
            self.call(nest, args, at, done);
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
            self.all_tiles(nest, args, at, shape, done);
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

    fn call(&self, nest: &mut NestBuilder, args: &mut Args, at: &At<'_>, tile: &[(Index, usize)]) {
        let contract = self.contract;
        let sizes = [tile[0].1, tile[1].1, tile[2].1];
        let adds = at.part.is_some_and(|part| part.number.is_some());
        let body: BodyId = nest.add_body(self.body(sizes, at.run, adds));
        let mut a = Index::Const(contract.a.1);
        for ((start, _), axis) in tile.iter().zip(&contract.rows) {
            a = a + start.clone() * axis.a;
        }
        // Tiles start where panels do, and a panel has its columns as often as it has rows.
        let panel_rows = match contract.panels.count {
            1 => 1,
            _ => contract.panels.rows as i64,
        };
        let mut b = Index::Const(contract.b.1) + at.column.clone() * (panel_rows * ELEMENT);
        for (group, axis) in at.groups.iter().zip(&contract.groups) {
            a = a + group.clone() * axis.a;
            b = b + group.clone() * axis.b;
        }
        if let Some(part) = at.part {
            let [of_a, of_b] = part.offset.clone();
            (a, b) = (a + of_a, b + of_b);
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
        if self.has_count() {
            ints.push(at.part.map_or(Index::Batch, |part| part.count.clone()));
        }
        if let Some(number) = at.part.and_then(|part| part.number.as_ref()) {
            // As often as there is something to add to.
            ints.push(nest.let_(number.clone().min(1)));
        }
        match &contract.finish {
            Finish::Store {
                to,
                start,
                steps,
                slot,
            } => {
                let mut c = at.column.clone() * ELEMENT + *start;
                for ((start, _), step) in tile.iter().zip(steps) {
                    c = c + start.clone() * *step;
                }
                for (group, axis) in at.groups.iter().zip(&contract.groups) {
                    let GroupStep::Bytes(bytes) = axis.c else {
                        panic!("{}: a plain store steps by bytes", self.name);
                    };
                    c = c + group.clone() * bytes;
                }
                if let Some(unit) = at.part.and_then(|part| part.unit.as_ref()) {
                    c = c + unit.clone() * *slot;
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
                            *place = access::add(before, group.clone() * step);
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

    /// Whether the tiles are told how far a sum goes.
    fn has_count(&self) -> bool {
        let varies = |axis: &SumAxis| matches!(axis.extent, Extent::Batch | Extent::Part);
        self.sums.iter().any(varies)
    }

    /// What each step of a tile brings near, in bytes from its places in A and in B.
    fn ahead(&self, run: &ColumnRun, inner: usize) -> [Vec<i64>; 2] {
        let line = access::LINE as i64 * ELEMENT;
        let panel = (run.vectors * self.lanes) as i64 * ELEMENT;
        let lines = |from: i64| (0..panel).step_by(line as usize).map(move |at| from + at);
        match (self.ahead, self.sums.last()) {
            (Ahead::Nothing, _) | (_, None) => [Vec::new(), Vec::new()],
            (Ahead::Steps, Some(axis)) => [Vec::new(), lines(STEPS_AHEAD * axis.b).collect()],
            (Ahead::Panels, Some(_)) => {
                let panels = self.contract.panels;
                let next = match panels.count {
                    1 => panel,
                    _ => panel * panels.rows as i64,
                };
                let beside = self.contract.rows[2].a == ELEMENT;
                let of_a = beside.then_some(inner as i64 * ELEMENT + line - ELEMENT);
                [of_a.into_iter().collect(), lines(next).collect()]
            }
        }
    }

    /// Brings near what the epilogue of this tile touches, or what that of the next tile along n reads.
    fn bring(&self, b: &mut BodyBuilder, ptrs: &[Ptr], places: &[[i64; 3]], run: &ColumnRun) {
        let Finish::Epilogue {
            epilogue,
            rows,
            columns,
        } = &self.contract.finish
        else {
            return;
        };
        let (count, vectors) = match self.brings {
            Brings::Nothing => return,
            Brings::Own => (ptrs.len(), 0..run.vectors),
            Brings::Next => (epilogue.reads().count(), run.vectors..2 * run.vectors),
        };
        let buffers = ptrs.iter().zip(epilogue.accesses()).take(count);
        for (&ptr, access) in buffers.filter(|(_, access)| access.channel != 0) {
            for place in places {
                let [image, row, pixel] = [place[0], place[1] * rows[1], place[2] * columns[1]];
                for vector in vectors.clone() {
                    let channel = (vector * self.lanes) as i64;
                    b.prefetch(ptr, access.delta(image, row, pixel, channel));
                }
            }
        }
    }

    /// The code of a tile; it may add its sums to what the result holds, as often as it is told: once or not at all.
    fn body(&self, sizes: [usize; 3], run: &ColumnRun, adds: bool) -> Body {
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
        let varying = self.has_count().then(|| b.int_arg());
        let adds = adds.then(|| b.int_arg());
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
                    Extent::Batch | Extent::Part => Count::Arg(varying.expect("declared above")),
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
        let mut tile = Tile::new(a_rows, run.vectors, reduce, unroll, self.lanes);
        tile.ahead = self.ahead(run, t2);
        let accumulators = tile::accumulators(&mut b, &tile, |_, _| Op::float(0.0));
        let lanes = |vector: usize| {
            if vector + 1 == run.vectors {
                run.last
            } else {
                Lanes::All
            }
        };
        // Where the tile's results are stored plainly, [row][vector].
        let stored: Vec<Vec<i32>> = match &contract.finish {
            Finish::Store { steps, .. } => {
                let access = Access {
                    origin: 0,
                    image: steps[0],
                    row: steps[1],
                    pixel: steps[2],
                    channel: ELEMENT,
                };
                let of_place = |place: &[i64; 3]| {
                    let channels = (0..run.vectors).map(|vector| (vector * self.lanes) as i64);
                    let delta = |channel| access.delta(place[0], place[1], place[2], channel);
                    channels.map(delta).collect()
                };
                places.iter().map(of_place).collect()
            }
            Finish::Epilogue { .. } => Vec::new(),
        };
        if let Some(adds) = adds {
            b.repeat(Count::Arg(adds), |b| {
                for (row, offsets) in accumulators.iter().zip(&stored) {
                    for (&acc, &off) in row.iter().zip(offsets) {
                        let (ptr, lanes) = (ptrs[0], Lanes::All);
                        b.set(acc, Op::Load { ptr, off, lanes });
                    }
                }
            });
        }
        self.bring(&mut b, &ptrs, &places, run);
        tile::sum_into(&mut b, &tile, a_ptr, b_ptr, &accumulators);
        match &contract.finish {
            Finish::Store { .. } => {
                for (offsets, row) in stored.iter().zip(&accumulators) {
                    for (vector, (&acc, &offset)) in row.iter().zip(offsets).enumerate() {
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
                let held = Held::default();
                let first = element.map(|element| epilogue.element_lanes(&mut b, element));
                for vector in 0..run.vectors {
                    for (place, row) in places.iter().zip(&accumulators) {
                        let (sum, lanes) = match lanes(vector) {
                            Lanes::First(width) if epilogue.pads => {
                                (keep_first(&mut b, row[vector], width), Lanes::All)
                            }
                            lanes => (row[vector], lanes),
                        };
                        let delta = [
                            place[0],
                            place[1] * rows[1],
                            place[2] * columns[1],
                            (vector * self.lanes) as i64,
                        ];
                        let number = first.map(|first| epilogue.element_at(&mut b, first, delta));
                        let place = Place {
                            delta,
                            lanes,
                            element: number,
                        };
                        epilogue.emit(&mut b, &ptrs, place, &[sum], &held);
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
