//! Loops of the gradient by the filter: see `ops/winograd`.
//!
//! A unit makes the gradient of some channels by some filters, so few that their sums, a matrix for each place of a tile, stay
//! in the second-level cache. It takes block after block of tiles: those of the input and of the outputs' gradient are
//! transformed into scratch buffers and multiplied into the sums. At last the sums are transformed into the gradient. So
//! nothing as large as the maps is written; but tiles are transformed once for each unit that reads them, which is what
//! units are not too small for. Where units are few, each takes some of the images, and their gradients are added.

use super::{Blocks, Filter, Matrices, input_body, offset, row};
use crate::codegen::Target;
use crate::ir::ValueId;
use crate::kernel::{Body, BodyBuilder, Cond, Count, Index, Lanes, NestBuilder, Reg};
use crate::lower::access::{Access, Space};
use crate::lower::contract::{self, Contract, Extent, Finish, GroupAxis, GroupStep, Panels};
use crate::lower::contract::{Inside, RowAxis, Split, SumAxis};
use crate::lower::partial::{MAX_PARTIALS, add_slots};
use crate::lower::shares::{Within, over_channels_within};
use crate::lower::{Args, Buffer, Cx, Domain, ELEMENT, LEAST_TASKS, Units};
use crate::lower::{chunk_with_scratch, over_channels, sized, split};
use crate::ops::winograd::lower as transforms;
use crate::ops::winograd::{Form, WinogradFilterGrad};

/// Tiles of a block at most: beyond that the products gain little.
const MOST_TILES: usize = 128;

/// The share of the second-level cache that a unit's scratch memory may take. Where it does not fit, transforms take 2.5 times
/// as long.
const SCRATCH_SHARE: f64 = 0.8;

/// Steps of a product that entering and leaving a tile of it is worth, and its share of the limit otherwise.
const ENTRY: f64 = 2.0;
const PRODUCT_SHARE: f64 = 0.95;

/// Cycles to bring a vector of sums and to write it back, for each block of tiles; and at last, to transform it.
const VISIT: f64 = 1.0;
const LAST_VISIT: f64 = 3.0;

/// Cycles of the transforms of a tile in one vector, for each place.
const INPUT_PLACE: f64 = 7.5;
const GRAD_PLACE: f64 = 6.0;

/// Bytes a cycle that come from beyond the second-level cache, and cycles lost for each run of a tap's filters that is written
/// there.
const FAR_BYTES: f64 = 8.0;
const RUN: f64 = 80.0;

/// How the work is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The tiles.
    blocks: Blocks,
    /// Channels of a unit; they divide all of them.
    channels: usize,
    /// Filters of a unit, whole vectors, which divide all vectors.
    filters: usize,
    /// Units of a batch, or of a chunk of images.
    units: usize,
    /// Images of a chunk, whole blocks; all are one chunk if there is none.
    chunk: Option<usize>,
}

/// What the work of a gradient is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Channels and filters.
    pub filter: [usize; 2],
    /// Rows and columns of the outputs' gradient.
    pub map: [usize; 2],
    /// Images.
    pub batch: usize,
}

impl Plan {
    /// The plan that takes least by count among those whose scratch memory stays near, and its cycles; if there is none, the
    /// plan with the least scratch memory.
    pub fn new(target: &Target, form: Form, sizes: &Sizes) -> (Plan, f64) {
        let [channels, filters] = sizes.filter;
        let vectors = filters.div_ceil(target.lanes);
        let divisors = |of: usize| (1..=of).filter(move |&part| of.is_multiple_of(part));
        let near = (SCRATCH_SHARE * target.caches[1] as f64) as usize / size_of::<f32>();
        let mut best: Option<(usize, f64, Plan)> = None;
        for blocks in Blocks::all(form, sizes.map, sizes.batch, MOST_TILES) {
            for (own, own_vectors) in divisors(channels)
                .flat_map(|own| divisors(vectors).map(move |own_vectors| (own, own_vectors)))
            {
                let units = channels / own * (vectors / own_vectors);
                let images = sizes.batch.div_ceil(blocks.images);
                let chunks = (2 * LEAST_TASKS)
                    .div_ceil(units)
                    .min(images)
                    .clamp(1, MAX_PARTIALS);
                let chunk = images.div_ceil(chunks) * blocks.images;
                for chunk in [None, Some(chunk).filter(|_| chunks > 1)] {
                    let plan = Plan {
                        blocks,
                        channels: own,
                        filters: own_vectors * target.lanes,
                        units,
                        chunk,
                    };
                    let elements = plan.scratch(target.lanes, form).elements();
                    let beyond = elements.saturating_sub(near);
                    let cycles = plan.cycles(target, form, sizes);
                    if best.is_none_or(|(far, least, _)| (beyond, cycles) < (far, least)) {
                        best = Some((beyond, cycles, plan));
                    }
                }
            }
        }
        let (_, cycles, plan) = best.expect("one divides everything");
        (plan, cycles)
    }

    /// Chunks of a batch.
    fn chunks(&self, batch: usize) -> usize {
        self.chunk.map_or(1, |images| batch.div_ceil(images))
    }

    /// The cycles of a core, estimated, times what the most loaded of four has beyond its share. The figures are those of
    /// layers of 64 to 512 channels with maps of 56 to 7 pixels, each step of the work left out in turn, at 2.85 GHz.
    fn cycles(&self, target: &Target, form: Form, sizes: &Sizes) -> f64 {
        let lanes = target.lanes;
        let places = form.inputs() * form.inputs();
        let [channels, filters] = sizes.filter;
        let vectors = filters.div_ceil(lanes);
        let depth = self.blocks.count() as f64;
        let blocks = self.blocks.of_batch(sizes.batch) as f64;
        let sums = (places * channels * vectors) as f64;
        let products =
            blocks * sums * (depth + ENTRY) / target.multiply_adds as f64 / PRODUCT_SHARE;
        let visits = blocks * sums * VISIT;
        let own = [self.channels.div_ceil(lanes), self.filters / lanes].map(|count| count as f64);
        let of_place = own[0] * INPUT_PLACE + own[1] * GRAD_PLACE;
        let transforms = blocks * depth * places as f64 * of_place;
        let pixels = (sizes.batch * sizes.map[0] * sizes.map[1]) as f64;
        let maps = pixels * (own[0] + own[1]) * target.vector_bytes() as f64 / FAR_BYTES;
        let chunks = self.chunks(sizes.batch);
        let taps = form.kernel() * form.kernel();
        let bytes = (taps * channels * vectors * target.vector_bytes()) as f64;
        let written = if chunks == 1 { 2.0 } else { 4.0 } * bytes / FAR_BYTES;
        let runs = (self.units * self.channels * taps) as f64 * RUN;
        let ends = chunks as f64 * (sums * LAST_VISIT + runs + written);
        let units = self.units * chunks;
        let uneven = (units.next_multiple_of(LEAST_TASKS)) as f64 / units as f64;
        (products + visits + self.units as f64 * (transforms + maps) + ends) * uneven
    }

    fn scratch(&self, lanes: usize, form: Form) -> Scratch {
        let places = form.inputs() * form.inputs();
        let [channels, filters] = [self.channels, self.filters].map(|size| row(size, lanes));
        let matrices = |start: usize, rows: usize, row: usize| Matrices { start, rows, row };
        let tiles = self.blocks.count();
        let inputs = matrices(0, tiles, channels);
        let grads = matrices(inputs.end(places), tiles, filters);
        let sums = matrices(grads.end(places), self.channels, filters);
        Scratch {
            places,
            inputs,
            grads,
            sums,
        }
    }
}

/// Scratch memory of a task: for each place of a tile, the input's channels and the gradient's filters of each tile of a
/// block; and for each channel of the unit the sums of its filters.
struct Scratch {
    places: usize,
    inputs: Matrices,
    grads: Matrices,
    sums: Matrices,
}

impl Scratch {
    fn elements(&self) -> usize {
        self.sums.end(self.places)
    }

    /// The products of a block: channels by tiles times tiles by filters, for each place and task.
    fn product(&self, plan: &Plan, memory: Buffer) -> Contract<'static> {
        let channels = RowAxis {
            extent: Extent::Static(plan.channels),
            a: ELEMENT,
        };
        let task = self.elements() as i64 * ELEMENT;
        Contract {
            a: (memory, self.inputs.at(0)),
            b: (memory, self.grads.at(0)),
            rows: [RowAxis::ONE, RowAxis::ONE, channels],
            columns: plan.filters,
            panels: Panels::ONE,
            sums: vec![SumAxis {
                extent: Extent::Static(plan.blocks.count()),
                a: self.inputs.row_bytes(),
                b: self.grads.row_bytes(),
            }],
            groups: vec![
                GroupAxis {
                    count: self.places,
                    a: self.inputs.place(),
                    b: self.grads.place(),
                    c: GroupStep::Bytes(self.sums.place()),
                },
                // The task, of which a kernel sees one at a time.
                GroupAxis {
                    count: 1,
                    a: task,
                    b: task,
                    c: GroupStep::Bytes(task),
                },
            ],
            finish: Finish::Store {
                to: memory,
                start: self.sums.at(0),
                steps: [0, 0, self.sums.row_bytes()],
                slot: 0,
            },
            split: Split::Tiles,
        }
    }
}

/// Appends the steps of the gradient.
pub fn lower(cx: &mut Cx<'_>, op: &WinogradFilterGrad, [x, dy]: [ValueId; 2], dw: ValueId) {
    let form = op.form;
    let taps = Filter::of(cx.layout(dw));
    let [_, height, width] = Space::of(cx.graph, dy).map;
    let sizes = Sizes {
        filter: [taps.c, taps.k],
        map: [height, width],
        batch: cx.batch,
    };
    let (plan, _) = Plan::new(cx.target, form, &sizes);
    let scratch = plan.scratch(cx.lanes(), form);
    let of_images = plan.units * taps.groups;
    let units = match plan.chunk {
        None => Units::Fixed(of_images),
        Some(images) => Units::Images {
            units: of_images,
            images,
        },
    };
    let total = units.count(cx.batch);
    let tiles = plan.blocks.of_batch(cx.batch) * plan.blocks.count() / plan.chunks(cx.batch);
    let work = tiles * scratch.places * plan.channels * (plan.filters / cx.lanes());
    let chunk = chunk_with_scratch(total, work);
    let memory = cx.scratch(total.div_ceil(chunk) * scratch.elements());
    let size = cx.layout(dw).image_stride();
    let (to, slot) = match plan.chunk {
        None => (Buffer::Value(dw), 0),
        Some(_) => (cx.scratch(plan.chunks(cx.batch) * size), size),
    };
    let [source, grad] = [x, dy].map(|map| Access::new(cx.graph, map, &Space::of(cx.graph, map)));
    let maker = Maker {
        form,
        plan,
        source: (x, source),
        start: source.origin - op.pads.top as i64 * source.row - op.pads.left as i64 * source.pixel,
        grad: (dy, grad),
        map: [height, width],
        product: scratch.product(&plan, memory),
        scratch,
        memory,
        taps,
        to: (to, slot as i64 * ELEMENT),
        cx,
    };
    let mut args = Args::touching([Buffer::Value(x), Buffer::Value(dy), memory, to]);
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        let slot = nest.let_(Index::Lo / chunk as i64);
        let base = nest.let_(slot.clone() * (maker.scratch.elements() as i64 * ELEMENT));
        nest.for_domain(|nest, unit| maker.unit(nest, args, unit, [&slot, &base]));
    });
    cx.step(kernel, args, Domain { units, chunk });
    if let Some(images) = plan.chunk {
        let name = format!("{}_sum", cx.name);
        add_slots(cx, &name, to, Buffer::Value(dw), size, images);
    }
}

/// Makes the loops and the transforms.
struct Maker<'m, 'a> {
    cx: &'m Cx<'a>,
    form: Form,
    plan: Plan,
    source: (ValueId, Access),
    /// The byte of an image where the first tile starts, in the halo.
    start: i64,
    grad: (ValueId, Access),
    /// Rows and columns of the outputs' gradient.
    map: [usize; 2],
    scratch: Scratch,
    memory: Buffer,
    product: Contract<'static>,
    taps: Filter,
    /// Where gradients go, and bytes from those of one chunk to the next.
    to: (Buffer, i64),
}

/// Where a block stands.
struct At<'i> {
    /// Its first image, and how many it has.
    first: Index,
    count: Index,
    /// Its first row of tiles.
    top: Index,
    /// The first byte of the task's scratch memory.
    base: &'i Index,
    /// The unit's first channel, and its filters, within the group.
    channel: &'i Index,
    filters: &'i Within,
    group: &'i Index,
}

impl Maker<'_, '_> {
    fn unit(&self, nest: &mut NestBuilder, args: &mut Args, unit: Index, task: [&Index; 2]) {
        let plan = &self.plan;
        let [slot, base] = task;
        let (part, unit) = split(unit, plan.units * self.taps.groups);
        let (group, block) = split(unit, plan.units);
        let group = nest.let_(group);
        let (of_channels, of_filters) = split(block, self.filter_blocks());
        let channel = nest.let_(of_channels * plan.channels as i64);
        let filter = nest.let_(of_filters.clone() * plan.filters as i64);
        let filters = Within {
            end: nest.let_((filter.clone() + plan.filters as i64).min(self.taps.k as i64)),
            first: filter,
            has_last: Cond::Eq(of_filters, Index::Const(self.filter_blocks() as i64 - 1)),
        };
        let (first, end) = match plan.chunk {
            None => (Index::Const(0), Index::Batch),
            Some(images) => {
                let first = nest.let_(part.clone() * images as i64);
                let end = nest.let_((first.clone() + images as i64).min(Index::Batch));
                (first, end)
            }
        };
        let (images, parts) = (plan.blocks.images as i64, plan.blocks.parts() as i64);
        nest.for_(first.clone(), end.clone(), images, |nest, image| {
            let count = nest.let_((end - image.clone()).min(images));
            nest.for_(0, parts, 1, |nest, part| {
                let number = nest.let_((image.clone() - first.clone()) + part.clone());
                let at = At {
                    first: image.clone(),
                    count: count.clone(),
                    top: nest.let_(part * plan.blocks.rows as i64),
                    base,
                    channel: &channel,
                    filters: &filters,
                    group: &group,
                };
                self.inputs(nest, args, &at);
                self.grads(nest, args, &at);
                nest.for_(0, self.scratch.places as i64, 1, |nest, place| {
                    let inside = Inside {
                        groups: &[place, slot.clone()],
                        columns: None,
                        after: Some(&number),
                    };
                    contract::tiles(nest, args, self.cx, &self.product, &inside);
                });
            });
        });
        let to = part * self.to.1 + group * self.taps.group();
        self.finish(nest, args, to, &channel, &filters, base);
    }

    fn filter_blocks(&self) -> usize {
        self.taps.k.div_ceil(self.plan.filters)
    }

    /// Visits each row of tiles of a block: the image, the row of tiles within the image, and the row's first tile within
    /// the block. The tiles of images that the block lacks become zero in some matrices.
    fn rows(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        at: &At<'_>,
        matrices: &Matrices,
        mut visit: impl FnMut(&mut NestBuilder, &mut Args, [Index; 3]),
    ) {
        let blocks = &self.plan.blocks;
        let of_image = blocks.rows * blocks.tiles[1];
        nest.for_(0, blocks.images as i64, 1, |nest, number| {
            let args = std::cell::RefCell::new(&mut *args);
            let mut visit = |nest: &mut NestBuilder, row| visit(nest, &mut args.borrow_mut(), row);
            let mut visits = |nest: &mut NestBuilder| {
                blocks.over_rows(nest, &number, [&at.first, &at.top], &mut visit);
            };
            if blocks.images == 1 {
                return visits(nest);
            }
            let is_there = Cond::Lt(number.clone(), at.count.clone());
            nest.if_else(is_there, visits, |nest| {
                let body = nest.add_body(self.zero_body(matrices, of_image));
                let from = matrices.row_bytes() * of_image as i64;
                let from = number.clone() * from + at.base.clone() + matrices.at(0);
                let memory = args.borrow_mut().of(self.memory);
                nest.call(body, vec![memory.at(from)], []);
            });
        });
    }

    /// Zeros for some tiles of each place.
    fn zero_body(&self, matrices: &Matrices, tiles: usize) -> Body {
        let lanes = self.cx.lanes();
        let name = format!("{}_zero_{}", self.cx.name, matrices.row);
        let mut b = BodyBuilder::new(name, lanes);
        let to = b.ptr_arg();
        let zero = b.const_f(0.0);
        let count = |count: usize| Count::Imm(u32::try_from(count).expect("a block is small"));
        let vectors = tiles * matrices.row / lanes;
        b.repeat(count(self.scratch.places), |b| {
            let line = b.ptr_copy(to, 0);
            b.repeat(count(vectors), |b| {
                b.store(line, 0, zero, Lanes::All);
                b.advance(line, lanes as i64 * ELEMENT);
            });
            b.advance(to, matrices.place());
        });
        b.finish()
    }

    fn inputs(&self, nest: &mut NestBuilder, args: &mut Args, at: &At<'_>) {
        let m = self.form.outputs() as i64;
        let (x, access) = &self.source;
        let to_matrices = &self.scratch.inputs;
        self.rows(
            nest,
            args,
            at,
            to_matrices,
            |nest, args, [image, row, tile]| {
                let from = image * access.image
                    + row * (m * access.row)
                    + at.channel.clone() * ELEMENT
                    + at.group.clone() * (self.taps.c as i64 * ELEMENT)
                    + self.start;
                let from = nest.let_(from);
                let to = tile * to_matrices.row_bytes() + at.base.clone() + to_matrices.at(0);
                let to = nest.let_(to);
                let lanes = self.cx.lanes();
                over_channels(nest, self.plan.channels, lanes, |nest, channel, lanes| {
                    let count = self.plan.blocks.tiles[1];
                    let body = input_body(self.cx, self.form, access, to_matrices, count, lanes);
                    let body = nest.add_body(body);
                    let bytes = channel * ELEMENT;
                    let ptrs = vec![
                        args.value(*x).at(from.clone() + bytes.clone()),
                        args.of(self.memory).at(to.clone() + bytes),
                    ];
                    nest.call(body, ptrs, []);
                });
            },
        );
    }

    fn grads(&self, nest: &mut NestBuilder, args: &mut Args, at: &At<'_>) {
        let m = self.form.outputs();
        let (dy, access) = &self.grad;
        let matrices = &self.scratch.grads;
        self.rows(
            nest,
            args,
            at,
            matrices,
            |nest, args, [image, row, tile]| {
                let first = nest.let_(row * m as i64);
                let from = image * access.image + first.clone() * access.row;
                let of_group = at.group.clone() * (self.taps.k as i64 * ELEMENT);
                let from = nest.let_(from + of_group + access.origin);
                let to = tile * matrices.row_bytes() + at.base.clone() + matrices.at(0);
                let to = nest.let_(to - at.filters.first.clone() * ELEMENT);
                let args = std::cell::RefCell::new(args);
                let call = |nest: &mut NestBuilder, rows: usize| {
                    let each = |nest: &mut NestBuilder, filter: Index, lanes: Lanes| {
                        let body = nest.add_body(self.grad_body(rows, lanes));
                        let mut args = args.borrow_mut();
                        let bytes = filter * ELEMENT;
                        let ptrs = vec![
                            args.value(*dy).at(from.clone() + bytes.clone()),
                            args.of(self.memory).at(to.clone() + bytes),
                        ];
                        nest.call(body, ptrs, []);
                    };
                    let lanes = self.cx.lanes();
                    over_channels_within(nest, self.taps.k, lanes, Some(at.filters), each);
                };
                sized(nest, &first, self.map[0], m, call);
            },
        );
    }

    /// A row of tiles of the outputs' gradient in one vector of filters, so many rows of the map being left.
    fn grad_body(&self, rows: usize, lanes: Lanes) -> Body {
        let (form, access) = (self.form, &self.grad.1);
        let (m, size) = (form.outputs(), form.inputs());
        let matrices = &self.scratch.grads;
        let mut b = BodyBuilder::new(format!("{}_grad_{rows}", self.cx.name), self.cx.lanes());
        let (from, to) = (b.ptr_arg(), b.ptr_arg());
        let place =
            |row: usize, column: usize| offset((row * size + column) as i64 * matrices.place());
        let tile = |b: &mut BodyBuilder, columns: usize| {
            for column in 0..columns {
                let cell = |row| access.delta(0, row as i64, column as i64, 0);
                let cells: Vec<Reg> = (0..rows)
                    .map(|row| b.load(from, cell(row), lanes))
                    .collect();
                let made = transforms::output_grad(form, b, &cells);
                for (row, made) in made.into_iter().enumerate() {
                    b.store(to, place(row, column), made, Lanes::All);
                }
            }
            for row in 0..size {
                let cells: Vec<Reg> = (0..columns)
                    .map(|column| b.load(to, place(row, column), Lanes::All))
                    .collect();
                let made = transforms::output_grad(form, b, &cells);
                for (column, made) in made.into_iter().enumerate() {
                    b.store(to, place(row, column), made, Lanes::All);
                }
            }
        };
        let (whole, rest) = (self.map[1] / m, self.map[1] % m);
        if whole > 0 {
            b.repeat(Count::Imm(whole as u32), |b| {
                tile(b, m);
                b.advance(from, m as i64 * access.pixel);
                b.advance(to, matrices.row_bytes());
            });
        }
        if rest > 0 {
            tile(&mut b, rest);
        }
        b.finish()
    }

    /// Turns the sums into the gradient.
    fn finish(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        to: Index,
        channel: &Index,
        filters: &Within,
        base: &Index,
    ) {
        let body = nest.add_body(self.finish_body());
        let from = nest.let_(base.clone() + self.scratch.sums.at(0));
        let line = self.taps.row as i64 * ELEMENT;
        let to = channel.clone() * line + filters.first.clone() * ELEMENT + to;
        let to = nest.let_(to);
        // Filters inside channels: what is written of a tap then is one run.
        nest.for_(0, self.plan.channels as i64, 1, |nest, channel| {
            let row = channel.clone() * self.scratch.sums.row_bytes();
            let ptrs = vec![
                args.of(self.memory).at(from.clone() + row),
                args.of(self.to.0).at(to.clone() + channel * line),
            ];
            nest.call(body, ptrs, []);
        });
    }

    /// All filters of one channel. Filters that do not exist have sums of zero, as their places have to be.
    fn finish_body(&self) -> Body {
        let form = self.form;
        let (size, kernel) = (form.inputs(), form.kernel());
        let (sums, taps) = (&self.scratch.sums, &self.taps);
        let mut b = BodyBuilder::new(format!("{}_taps", self.cx.name), self.cx.lanes());
        let (from, to) = (b.ptr_arg(), b.ptr_arg());
        let place = |row: usize, column: usize| offset((row * size + column) as i64 * sums.place());
        let load = |b: &mut BodyBuilder, row, column| b.load(from, place(row, column), Lanes::All);
        let lanes = self.cx.lanes();
        let count = u32::try_from(self.plan.filters / lanes).expect("an axis fits 32 bits");
        b.repeat(Count::Imm(count), |b| {
            // The sums of a column make room for what comes of it.
            for column in 0..size {
                let cells: Vec<Reg> = (0..size).map(|row| load(b, row, column)).collect();
                let made = transforms::filter_grad(form, b, &cells);
                for (row, made) in made.into_iter().enumerate() {
                    b.store(from, place(row, column), made, Lanes::All);
                }
            }
            for row in 0..kernel {
                let cells: Vec<Reg> = (0..size).map(|column| load(b, row, column)).collect();
                let made = transforms::filter_grad(form, b, &cells);
                for (column, made) in made.into_iter().enumerate() {
                    let tap = (row * kernel + column) as i64 * taps.tap();
                    b.store(to, offset(tap), made, Lanes::All);
                }
            }
            b.advance(from, lanes as i64 * ELEMENT);
            b.advance(to, lanes as i64 * ELEMENT);
        });
        b.finish()
    }
}
