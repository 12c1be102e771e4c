//! Loops of convolutions by the method of Winograd: see `ops/winograd`.
//!
//! A unit takes a block of tiles through all three steps, so that what lies between them stays in the nearer caches: the
//! tiles of the input are transformed into a scratch buffer, a matrix for each place of a tile; each is multiplied with the
//! filter's matrix of that place; and the products are transformed into the output, which goes through the epilogue.
//! Units of one task share their scratch memory.

mod blocks;
pub mod grad;

pub use blocks::Blocks;

use super::access::{self, Access, Space, vectors};
use super::contract::{self, Contract, Extent, Finish, GroupAxis, GroupStep, Panels, RowAxis};
use super::contract::{Split, SumAxis};
use super::epilogue::{Epilogue, Held, LINE_BYTES, Place};
use super::shares::{Shares, Within, over_channels_within};
use super::{Args, Buffer, Cx, Domain, ELEMENT, LEAST_TASKS, Units};
use super::{chunk, chunk_with_scratch, over_channels, sized, split};
use crate::ir::{FilterOrder, Layout, ValueId};
use crate::kernel::{Address, Body, BodyBuilder, Count, Index, Lanes, NestBuilder, Reg};
use crate::ops::winograd::lower as transforms;
use crate::ops::winograd::{Form, WinogradConv, WinogradFilter};

/// Channels of a filter that a unit transforms.
const FILTER_BLOCK: usize = 16;

/// The filter in memory: for each group, a matrix of C rows for each tap.
struct Filter {
    groups: usize,
    /// Of a group.
    k: usize,
    c: usize,
    taps: usize,
    row: usize,
    panels: usize,
}

impl Filter {
    fn of(layout: &Layout) -> Filter {
        match *layout {
            Layout::Filter {
                order: FilterOrder::Forward,
                groups,
                kcrs: [k, c, r, s],
                row,
                panels,
            } => Filter {
                groups,
                k,
                c,
                taps: r * s,
                row,
                panels,
            },
            ref other => panic!("{other} is no filter in forward order"),
        }
    }

    /// A filter to be transformed; turned, its outputs and channels change places.
    fn source(layout: &Layout, turned: bool) -> Filter {
        match *layout {
            Layout::Filter {
                order: FilterOrder::Backward,
                groups,
                kcrs: [k, c, r, s],
                row,
                panels: 1,
            } if turned => Filter {
                groups,
                k: c,
                c: k,
                taps: r * s,
                row,
                panels: 1,
            },
            Layout::Filter { panels: 1, .. } if !turned => Filter::of(layout),
            ref other => panic!("{other} is no filter to be transformed"),
        }
    }

    /// Bytes from one tap to the next within a panel.
    fn tap(&self) -> i64 {
        (self.c * self.row) as i64 * ELEMENT
    }

    /// Bytes from one group to the next.
    fn group(&self) -> i64 {
        self.tap() * (self.taps * self.panels) as i64
    }
}

/// Appends the step that transforms a filter.
pub fn filter(cx: &mut Cx<'_>, op: &WinogradFilter, from: ValueId, to: ValueId) {
    let source = Filter::source(cx.layout(from), op.turned);
    let made = Filter::of(cx.layout(to));
    let lanes = cx.lanes();
    let (n_vectors, _) = vectors(made.k, lanes);
    let width = match made.panels {
        1 => n_vectors,
        _ => made.row / lanes,
    };
    let step = (lanes as i64) * ELEMENT;
    let blocks = source.c.div_ceil(FILTER_BLOCK);
    let mut args = Args::touching([Buffer::Value(from), Buffer::Value(to)]);
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        let body = nest.add_body(filter_body(cx, op, [&source, &made], to));
        // Channels inside panels: each of the many places that are written then is one run.
        nest.for_domain(|nest, unit| {
            let (group, block) = split(unit, blocks);
            let (a, b) = (args.value(from), args.value(to));
            let [of_a, of_b] =
                [&source, &made].map(|filter| nest.let_(group.clone() * filter.group()));
            let first = nest.let_(block * FILTER_BLOCK as i64);
            let end = nest.let_((first.clone() + FILTER_BLOCK as i64).min(source.c as i64));
            let panel = |nest: &mut NestBuilder, number: Index, count: usize| {
                let column = number.clone() * (width as i64 * step) + of_a.clone();
                let column = nest.let_(column);
                let place = number * (made.taps as i64 * made.tap()) + of_b.clone();
                let place = nest.let_(place);
                nest.for_(first.clone(), end.clone(), 1, |nest, channel| {
                    let line = channel.clone() * (source.row as i64 * ELEMENT) + column.clone();
                    let line = nest.let_(line);
                    let to = nest.let_(channel * (made.row as i64 * ELEMENT) + place.clone());
                    nest.for_(0, count as i64, 1, |nest, vector| {
                        let along = vector * step;
                        let ptrs =
                            vec![a.at(line.clone() + along.clone()), b.at(to.clone() + along)];
                        nest.call(body, ptrs, []);
                    });
                });
            };
            let (whole, rest) = (n_vectors / width, n_vectors % width);
            if whole > 0 {
                nest.for_(0, whole as i64, 1, |nest, number| {
                    panel(nest, number, width)
                });
            }
            if rest > 0 {
                panel(nest, Index::Const(whole as i64), rest);
            }
        });
    });
    let units = made.groups * blocks;
    let domain = Domain {
        units: Units::Fixed(units),
        chunk: chunk(units, FILTER_BLOCK * n_vectors * made.taps * 4),
    };
    cx.step(kernel, args, domain);
}

fn filter_body(
    cx: &Cx<'_>,
    op: &WinogradFilter,
    [source, made]: [&Filter; 2],
    result: ValueId,
) -> Body {
    let form = op.form;
    let mut b = BodyBuilder::new(format!("{}_taps", cx.name), cx.lanes());
    let (from, to) = (b.ptr_arg(), b.ptr_arg());
    let (size, kernel) = (form.inputs(), form.kernel());
    // Each place that is written is a stream of its own, more of them than processors foresee, and often all in one set of
    // the caches. Whole lines need not be fetched.
    let streams = i64::from(b.vector_bytes()) == LINE_BYTES && cx.exceeds_caches(result);
    // Rows of taps by columns: first down each column, then along each row.
    let mut columns: Vec<Vec<Reg>> = Vec::new();
    for column in 0..kernel {
        let taps: Vec<Reg> = (0..kernel)
            .map(|row| {
                let tap = row * kernel + column;
                let tap = match op.turned {
                    true => kernel * kernel - 1 - tap,
                    false => tap,
                };
                b.load(from, offset(tap as i64 * source.tap()), Lanes::All)
            })
            .collect();
        columns.push(transforms::filter(form, &mut b, &taps));
    }
    for row in 0..size {
        let taps: Vec<Reg> = columns.iter().map(|column| column[row]).collect();
        for (column, tap) in transforms::filter(form, &mut b, &taps)
            .into_iter()
            .enumerate()
        {
            let place = (row * size + column) as i64 * made.tap();
            match streams {
                true => b.stream(to, offset(place), tap),
                false => b.store(to, offset(place), tap, Lanes::All),
            }
        }
    }
    b.finish()
}

fn offset(bytes: i64) -> i32 {
    i32::try_from(bytes).expect("a filter stays within two gigabytes")
}

/// Matrices in the scratch memory of a task, one for each place of a tile.
struct Matrices {
    /// The first element.
    start: usize,
    /// Rows of each.
    rows: usize,
    /// Elements of a row.
    row: usize,
}

impl Matrices {
    /// Elements from one place to the next: a transform goes over all places, which must not fall into few cache sets.
    fn stride(&self) -> usize {
        access::apart(self.rows * self.row, access::CONFLICT_BYTES)
    }

    /// The end of so many of them.
    fn end(&self, places: usize) -> usize {
        self.start + places * self.stride()
    }

    /// The first byte of a row of the first matrix.
    fn at(&self, row: usize) -> i64 {
        (self.start + row * self.row) as i64 * ELEMENT
    }

    /// Bytes from one place to the next.
    fn place(&self) -> i64 {
        self.stride() as i64 * ELEMENT
    }

    /// Bytes from one row to the next.
    fn row_bytes(&self) -> i64 {
        self.row as i64 * ELEMENT
    }
}

/// Scratch memory of a task: for each place of a tile, a row of channels for each tile of a block, and a row of sums.
struct Scratch {
    places: usize,
    inputs: Matrices,
    sums: Matrices,
}

impl Scratch {
    fn elements(&self) -> usize {
        self.sums.end(self.places)
    }
}

/// Elements of a row of a scratch matrix: whole vectors, rows of which do not fall into few cache sets.
fn row(elements: usize, lanes: usize) -> usize {
    access::apart(elements.next_multiple_of(lanes), access::CONFLICT_BYTES)
}

/// Appends the step of the convolution.
pub fn conv(cx: &mut Cx<'_>, op: &WinogradConv, [x, filter]: [ValueId; 2], y: ValueId) {
    let form = op.form;
    let lanes = cx.lanes();
    let source = Access::new(cx.graph, x, &Space::of(cx.graph, x));
    let taps = Filter::of(cx.layout(filter));
    let space = Space::of(cx.graph, y);
    let [_, height, width] = space.map;
    let epilogue = Epilogue::new(cx, &[y], space).stream(cx, false);
    let blocks = Blocks::new(cx.target, form, taps.k, [height, width], cx.batch);
    let matrices = |start, row| Matrices {
        start,
        rows: blocks.count(),
        row,
    };
    let inputs = matrices(0, row(taps.c, lanes));
    let scratch = Scratch {
        places: taps.taps,
        sums: matrices(inputs.end(taps.taps), row(taps.k, lanes)),
        inputs,
    };
    let parts = blocks.parts();
    let whole = Units::Images {
        units: parts * taps.groups,
        images: blocks.images,
    };
    let shares = shares(&taps, whole.count(cx.batch));
    let units = whole.times(shares.count);
    let total = units.count(cx.batch);
    let work = blocks.count() * scratch.places * taps.c * shares.size.div_ceil(lanes);
    let chunk = chunk_with_scratch(total, work);
    let memory = cx.scratch(total.div_ceil(chunk) * scratch.elements());
    let maker = Maker {
        cx,
        form,
        source: (x, source),
        sizes: [taps.c, taps.k],
        epilogue: &epilogue,
        scratch: &scratch,
        memory,
        blocks,
        start: source.origin - op.pads.top as i64 * source.row - op.pads.left as i64 * source.pixel,
    };
    let product = product(&taps, &scratch, (memory, filter));
    let read = [Buffer::Value(x), Buffer::Value(filter), memory];
    let mut args = Args::touching(read.into_iter().chain(epilogue.buffers()));
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        let slot = nest.let_(Index::Lo / chunk as i64);
        let base = nest.let_(slot.clone() * (scratch.elements() as i64 * ELEMENT));
        over_blocks(nest, &shares, |nest, unit, within| {
            let (block, part) = split(unit, parts * taps.groups);
            let (group, part) = split(part, parts);
            let group = nest.let_(group);
            let first = nest.let_(block * blocks.images as i64);
            let count = (Index::Batch - first.clone()).min(blocks.images as i64);
            let count = nest.let_(count);
            let top = nest.let_(part * blocks.rows as i64);
            let at = At {
                first: &first,
                count: &count,
                top: &top,
                base: &base,
                group: &group,
            };
            maker.inputs(nest, args, &at);
            nest.for_(0, scratch.places as i64, 1, |nest, place| {
                let inside = contract::Inside {
                    groups: &[place, slot.clone(), group.clone()],
                    columns: within,
                    after: None,
                };
                contract::tiles(nest, args, cx, &product, &inside);
            });
            maker.outputs(nest, args, &at, within);
        });
    });
    cx.step(kernel, args, Domain { units, chunk });
}

/// How the filters are shared out where there are few blocks. Who makes some of a block's outputs transforms all of its
/// inputs, which is a small part of the work; and reads just those outputs' filters, which is most of what comes from afar.
fn shares(taps: &Filter, blocks: usize) -> Shares {
    match taps.panels {
        1 => Shares::new(taps.k, taps.k.max(1), 1),
        _ => Shares::new(taps.k, taps.row, LEAST_TASKS.div_ceil(blocks.max(1))),
    }
}

/// Visits each block that has shares in the call's domain, with its number and those shares. So a call that makes several
/// shares of a block transforms its inputs once.
fn over_blocks(
    nest: &mut NestBuilder,
    shares: &Shares,
    mut visit: impl FnMut(&mut NestBuilder, Index, Option<&Within>),
) {
    if shares.count == 1 {
        return nest.for_domain(|nest, block| visit(nest, block, None));
    }
    let count = shares.count as i64;
    let first = nest.let_(Index::Lo / count);
    let end = nest.let_((Index::Hi + (count - 1)) / count);
    nest.for_(first, end, 1, |nest, block| {
        let before = nest.let_(block.clone() * count);
        let first = nest.let_((Index::Lo - before.clone()).max(0));
        let end = nest.let_((Index::Hi - before).min(count));
        let within = shares.within(nest, first, end);
        visit(nest, block, Some(&within));
    });
}

/// The products of a block: tiles by channels times channels by filters, for each place and task.
fn product(
    taps: &Filter,
    scratch: &Scratch,
    (memory, filter): (Buffer, ValueId),
) -> Contract<'static> {
    let bytes = |elements: usize| elements as i64 * ELEMENT;
    Contract {
        a: (memory, 0),
        b: (Buffer::Value(filter), 0),
        rows: [
            RowAxis::ONE,
            RowAxis::ONE,
            RowAxis {
                extent: Extent::Static(scratch.inputs.rows),
                a: scratch.inputs.row_bytes(),
            },
        ],
        columns: taps.k,
        panels: Panels {
            count: taps.panels,
            columns: taps.row,
            rows: taps.taps * taps.c,
        },
        sums: vec![SumAxis {
            extent: Extent::Static(taps.c),
            a: ELEMENT,
            b: bytes(taps.row),
        }],
        groups: vec![
            GroupAxis {
                count: scratch.places,
                a: scratch.inputs.place(),
                b: taps.tap(),
                c: GroupStep::Bytes(scratch.sums.place()),
            },
            // The task; how many there are, the loop around knows.
            GroupAxis {
                count: usize::MAX,
                a: bytes(scratch.elements()),
                b: 0,
                c: GroupStep::Bytes(bytes(scratch.elements())),
            },
            GroupAxis {
                count: taps.groups,
                a: 0,
                b: taps.group(),
                c: GroupStep::Bytes(0),
            },
        ],
        finish: Finish::Store {
            to: memory,
            start: scratch.sums.at(0),
            steps: [0, 0, scratch.sums.row_bytes()],
            slot: 0,
        },
        split: Split::Tiles,
    }
}

/// Where a block stands.
struct At<'i> {
    /// Its first image, and how many it has.
    first: &'i Index,
    count: &'i Index,
    /// Its first row of tiles.
    top: &'i Index,
    /// The first byte of the task's scratch memory.
    base: &'i Index,
    group: &'i Index,
}

/// Makes the transforms.
struct Maker<'m, 'a> {
    cx: &'m Cx<'a>,
    form: Form,
    source: (ValueId, Access),
    /// Channels and outputs of a group.
    sizes: [usize; 2],
    epilogue: &'m Epilogue<'a>,
    scratch: &'m Scratch,
    memory: Buffer,
    blocks: Blocks,
    /// The byte of an image where the first tile starts, in the halo.
    start: i64,
}

impl Maker<'_, '_> {
    /// Visits each row of tiles of a block: the image, the row of tiles within the image, and the row's first tile within
    /// the block.
    fn rows(
        &self,
        nest: &mut NestBuilder,
        at: &At<'_>,
        mut visit: impl FnMut(&mut NestBuilder, [Index; 3]),
    ) {
        nest.for_(0, at.count.clone(), 1, |nest, number| {
            self.blocks
                .over_rows(nest, &number, [at.first, at.top], &mut visit);
        });
    }

    fn inputs(&self, nest: &mut NestBuilder, args: &mut Args, at: &At<'_>) {
        let m = self.form.outputs() as i64;
        let (x, access) = &self.source;
        self.rows(nest, at, |nest, [image, row, tile]| {
            let from = image * access.image + row * (m * access.row) + self.start;
            let from = nest.let_(from + at.group.clone() * (self.sizes[0] as i64 * ELEMENT));
            let to = tile * self.scratch.inputs.row_bytes() + at.base.clone();
            let to = nest.let_(to);
            over_channels(
                nest,
                self.sizes[0],
                self.cx.lanes(),
                |nest, channel, lanes| {
                    let matrices = &self.scratch.inputs;
                    let count = self.blocks.tiles[1];
                    let body = input_body(self.cx, self.form, access, matrices, count, lanes);
                    let body = nest.add_body(body);
                    let bytes = channel * ELEMENT;
                    let ptrs = vec![
                        args.value(*x).at(from.clone() + bytes.clone()),
                        args.of(self.memory).at(to.clone() + bytes),
                    ];
                    nest.call(body, ptrs, []);
                },
            );
        });
    }

    fn outputs(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        at: &At<'_>,
        within: Option<&Within>,
    ) {
        let m = self.form.outputs();
        let [_, height, _] = self.epilogue.space.map;
        let channels = self.sizes[1];
        let of_group = nest.let_(at.group.clone() * channels as i64);
        self.rows(nest, at, |nest, [image, row, tile]| {
            let sums = &self.scratch.sums;
            let from = tile * sums.row_bytes() + at.base.clone() + sums.at(0);
            let from = nest.let_(from);
            let first = nest.let_(row.clone() * m as i64);
            let args = std::cell::RefCell::new(&mut *args);
            let call = |nest: &mut NestBuilder, rows: usize| {
                let each = |nest: &mut NestBuilder, channel: Index, lanes: Lanes| {
                    let body = nest.add_body(self.output_body(rows, lanes));
                    let mut args = args.borrow_mut();
                    let memory = args.of(self.memory);
                    let mut ptrs: Vec<Address> =
                        vec![memory.at(from.clone() + channel.clone() * ELEMENT)];
                    let zero = Index::Const(0);
                    let channel = nest.let_(channel + of_group.clone());
                    let position = [&image, &first, &zero, &channel];
                    ptrs.extend(self.epilogue.addresses(&mut args, position));
                    nest.call(body, ptrs, self.epilogue.ints(position));
                };
                let lanes = self.cx.lanes();
                over_channels_within(nest, channels, lanes, within, each);
            };
            sized(nest, &first, height, m, call);
        });
    }

    /// A row of tiles in one vector of filters, so many rows of the output of it.
    fn output_body(&self, rows: usize, lanes: Lanes) -> Body {
        let form = self.form;
        let (m, size) = (form.outputs(), form.inputs());
        let epilogue = self.epilogue;
        let [_, _, width] = epilogue.space.map;
        let name = format!("{}_out_{rows}", self.cx.name);
        let mut b = BodyBuilder::new(name, self.cx.lanes());
        let from = b.ptr_arg();
        let ptrs = epilogue.declare(&mut b);
        let element = epilogue.counts_elements.then(|| b.int_arg());
        let number = element.map(|element| epilogue.element_lanes(&mut b, element));
        let sums = &self.scratch.sums;
        let place = |row: usize, column: usize| offset((row * size + column) as i64 * sums.place());
        let tile = |b: &mut BodyBuilder, columns: usize| {
            // The sums of a column make room for what comes of it.
            for column in 0..size {
                let sums: Vec<Reg> = (0..size)
                    .map(|row| b.load(from, place(row, column), Lanes::All))
                    .collect();
                let made = transforms::output(form, b, &sums);
                for (row, made) in made.into_iter().take(rows).enumerate() {
                    b.store(from, place(row, column), made, Lanes::All);
                }
            }
            for row in 0..rows {
                let sums: Vec<Reg> = (0..size)
                    .map(|column| b.load(from, place(row, column), Lanes::All))
                    .collect();
                let made = transforms::output(form, b, &sums);
                for (column, made) in made.into_iter().take(columns).enumerate() {
                    let delta = [0, row as i64, column as i64, 0];
                    let place = Place {
                        delta,
                        lanes,
                        element: number.map(|number| epilogue.element_at(b, number, delta)),
                    };
                    epilogue.emit(b, &ptrs, place, &[made], &Held::default());
                }
            }
        };
        let (whole, rest) = (width / m, width % m);
        if whole > 0 {
            b.repeat(Count::Imm(whole as u32), |b| {
                tile(b, m);
                b.advance(from, self.scratch.sums.row_bytes());
                for (&ptr, access) in ptrs.iter().zip(epilogue.accesses()) {
                    b.advance(ptr, m as i64 * access.pixel);
                }
                if let Some(number) = number {
                    let next = epilogue.element_at(b, number, [0, 0, m as i64, 0]);
                    b.copy_into(number, next);
                }
            });
        }
        if rest > 0 {
            tile(&mut b, rest);
        }
        b.finish()
    }
}

/// The transforms of a row of so many tiles in one vector of channels.
fn input_body(
    cx: &Cx<'_>,
    form: Form,
    access: &Access,
    to_matrices: &Matrices,
    tiles: usize,
    lanes: Lanes,
) -> Body {
    let size = form.inputs();
    let mut b = BodyBuilder::new(format!("{}_in", cx.name), cx.lanes());
    let (from, to) = (b.ptr_arg(), b.ptr_arg());
    let place =
        |row: usize, column: usize| offset((row * size + column) as i64 * to_matrices.place());
    b.repeat(Count::Imm(tiles as u32), |b| {
        // There are more values than registers: what comes of the columns waits where the results will be.
        for column in 0..size {
            let cells: Vec<Reg> = (0..size)
                .map(|row| b.load(from, access.delta(0, row as i64, column as i64, 0), lanes))
                .collect();
            for (row, made) in transforms::input(form, b, &cells).into_iter().enumerate() {
                b.store(to, place(row, column), made, Lanes::All);
            }
        }
        for row in 0..size {
            let cells: Vec<Reg> = (0..size)
                .map(|column| b.load(to, place(row, column), Lanes::All))
                .collect();
            for (column, made) in transforms::input(form, b, &cells).into_iter().enumerate() {
                b.store(to, place(row, column), made, Lanes::All);
            }
        }
        b.advance(from, form.outputs() as i64 * access.pixel);
        b.advance(to, to_matrices.row_bytes());
    });
    b.finish()
}
