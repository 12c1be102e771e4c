//! Loops of convolutions in which each channel has a filter of its own: forward, input gradient and filter gradient.
//!
//! There is no sum over channels, so the matrix tile would multiply by zeros; here lanes are channels. A body takes one
//! vector of channels through some rows of the result. Along a row it makes a few pixels at a time, all in registers:
//! each element of the source is loaded once and multiplied into every pixel that it reaches, by weights that stay in
//! registers where they fit. In the filter gradient the taps are the accumulators.
//!
//! As in contractions, the halo of the source holds the padding's zeros, so no tap tests for an edge.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::access::vectors;
use super::epilogue::{Epilogue, Held, Place};
use super::partial::{MAX_PARTIALS, add_slots};
use super::shares::{Shares, over_channels_within};
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, over_channels, sized, split};
use crate::codegen::Target;
use crate::ir::ValueId;
use crate::kernel::{Address, Body, BodyBuilder, Count, Index, Lanes, NestBuilder, Op};
use crate::kernel::{LaneType, Reg};

/// A tap along one axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tap {
    /// Its place in the source, in bytes from the position's own.
    pub source: i64,
    /// Its number along the axis of the filter.
    pub cell: usize,
}

/// The results along one axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Positions {
    /// How many there are.
    pub count: usize,
    /// Bytes in the source from one to the next.
    pub source: i64,
    /// The first one's place in the map of results, and their distance there.
    pub place: [usize; 2],
    /// The taps.
    pub taps: Vec<Tap>,
}

/// A filter in memory: a row of channels for each tap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Rows and columns of taps.
    pub taps: [usize; 2],
    /// Elements of a row of channels.
    pub row: usize,
}

impl Filter {
    fn tap(&self, row: usize, column: usize) -> i64 {
        ((row * self.taps[1] + column) * self.row) as i64 * ELEMENT
    }
}

/// A source: its value, the first byte of an image that position zero stands for, and bytes between images.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
    /// The value.
    pub value: ValueId,
    /// The first byte.
    pub start: i64,
    /// Bytes between images.
    pub image: i64,
}

/// Results that are sums over taps.
#[derive(Debug)]
pub struct Depthwise<'a> {
    /// What is multiplied.
    pub source: Source,
    /// The filter's value, and how it lies.
    pub filter: (ValueId, Filter),
    /// The results along rows and columns.
    pub positions: [Positions; 2],
    /// What is done with them.
    pub epilogue: Epilogue<'a>,
}

/// Shares of the channels of a map that is one block.
const SHARES: usize = 4;

/// Results that a call should make at least, so that entering and leaving it costs little.
const CALL_RESULTS: usize = 64;

/// Results that a body makes at once, and whether its weights stay in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    pixels: usize,
    holds: bool,
}

/// The shape with the least estimated time: two multiply-adds and two loads start in a cycle.
fn choose(target: &Target, positions: &[Positions; 2]) -> Shape {
    let [rows, columns] = positions;
    let (tap_rows, tap_columns) = (rows.taps.len(), columns.taps.len());
    let taps = tap_rows * tap_columns;
    // One register for the element of the source, one for what the epilogue does.
    let room = target.registers - 2;
    let cycles = |pixels: usize, holds: bool| {
        let weights = if holds { 0 } else { taps };
        let loads = tap_rows * reached(columns, pixels).len() + weights;
        let products = taps * pixels;
        products.max(loads + pixels) as f64 / 2.0 + 2.0
    };
    let mut best: Option<(f64, Shape)> = None;
    for holds in [true, false] {
        let weights = if holds { taps } else { tap_columns };
        for pixels in 1..=room.saturating_sub(weights).min(columns.count).max(1) {
            if holds && pixels + weights > room {
                continue;
            }
            let (whole, rest) = (columns.count / pixels, columns.count % pixels);
            let rest = if rest > 0 { cycles(rest, holds) } else { 0.0 };
            let time = whole as f64 * cycles(pixels, holds) + rest;
            if best.is_none_or(|(least, _)| time < least) {
                best = Some((time, Shape { pixels, holds }));
            }
        }
    }
    best.expect("one pixel is always possible").1
}

/// For each place of the source that some neighbouring results reach, in order, the results and the taps by which.
fn reached(columns: &Positions, pixels: usize) -> BTreeMap<i64, Vec<(usize, usize)>> {
    let mut reached: BTreeMap<i64, Vec<(usize, usize)>> = BTreeMap::new();
    for pixel in 0..pixels {
        for (number, tap) in columns.taps.iter().enumerate() {
            let place = pixel as i64 * columns.source + tap.source;
            reached.entry(place).or_default().push((pixel, number));
        }
    }
    reached
}

/// The places of the source that a position reaches, and none before it.
fn fresh(axis: &Positions) -> impl Iterator<Item = i64> + Clone {
    let sources = axis.taps.iter().map(|tap| tap.source);
    let last = sources.clone().max().unwrap_or(0);
    sources.filter(move |source| source + axis.source > last)
}

/// Appends the step.
pub fn lower(cx: &mut Cx<'_>, depthwise: &Depthwise<'_>) {
    let [rows, columns] = &depthwise.positions;
    if rows.count == 0 || columns.count == 0 {
        return;
    }
    let epilogue = &depthwise.epilogue;
    let shape = choose(cx.target, &depthwise.positions);
    let block = CALL_RESULTS.div_ceil(columns.count).clamp(1, rows.count);
    let blocks = rows.count.div_ceil(block);
    let channels = epilogue.space.map[0];
    let shares = match cx.batch * blocks {
        1 => Shares::new(channels, cx.lanes(), SHARES),
        // Threads find rows nearer, for most kernels are shared out by them: with channels, maps of 14 x 14
        // took half as long again on two threads.
        _ => Shares::new(channels, channels.max(1), 1),
    };
    let mut args = Args::touching(
        [
            Buffer::Value(depthwise.source.value),
            Buffer::Value(depthwise.filter.0),
        ]
        .into_iter()
        .chain(epilogue.buffers()),
    );
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        nest.for_domain(|nest, unit| {
            let (rest, number) = split(unit, blocks);
            let rest = nest.let_(rest);
            let (image, share) = split(rest, shares.count);
            let image = nest.let_(image);
            let within = shares.one(nest, share);
            let first = nest.let_(number * block as i64);
            let args = RefCell::new(args);
            let call = |nest: &mut NestBuilder, count: usize| {
                over_channels_within(
                    nest,
                    channels,
                    cx.lanes(),
                    within.as_ref(),
                    |nest, channel, lanes| {
                        let body = nest.add_body(body(cx, depthwise, shape, count, lanes));
                        let mut args = args.borrow_mut();
                        let source = &depthwise.source;
                        let offset = image.clone() * source.image
                            + first.clone() * rows.source
                            + channel.clone() * ELEMENT
                            + source.start;
                        let mut ptrs = vec![
                            Address {
                                arg: args.value(source.value),
                                offset,
                            },
                            Address {
                                arg: args.value(depthwise.filter.0),
                                offset: channel.clone() * ELEMENT,
                            },
                        ];
                        let row = first.clone() * rows.place[1] as i64 + rows.place[0] as i64;
                        let row = nest.let_(row);
                        let column = Index::Const(columns.place[0] as i64);
                        let position = [&image, &row, &column, &channel];
                        ptrs.extend(epilogue.addresses(&mut args, position));
                        nest.call(body, ptrs, epilogue.ints(position));
                    },
                );
            };
            sized(nest, &first, rows.count, block, call);
        });
    });
    let work = block
        * columns.count
        * vectors(shares.size.min(channels), cx.lanes()).0
        * (rows.taps.len() * columns.taps.len() + epilogue.work());
    let units = Units::Images {
        units: blocks * shares.count,
        images: 1,
    };
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    cx.step(kernel, args, domain);
}

/// Some rows of results in one vector of channels.
fn body(cx: &Cx<'_>, depthwise: &Depthwise<'_>, shape: Shape, count: usize, lanes: Lanes) -> Body {
    let [rows, columns] = &depthwise.positions;
    let epilogue = &depthwise.epilogue;
    let name = format!("{}_{count}x{}", cx.name, shape.pixels);
    let mut b = BodyBuilder::new(name, cx.lanes());
    let (x, w) = (b.ptr_arg(), b.ptr_arg());
    let ptrs = epilogue.declare(&mut b);
    let element = epilogue.counts_elements.then(|| b.int_arg());
    let number = element.map(|element| epilogue.element_lanes(&mut b, element));
    let filter = &depthwise.filter.1;
    let weight = |b: &mut BodyBuilder, row: usize, column: usize| {
        let tap = filter.tap(rows.taps[row].cell, columns.taps[column].cell);
        b.load(w, displacement(tap), lanes)
    };
    let held: Vec<Vec<Reg>> = match shape.holds {
        true => (0..rows.taps.len())
            .map(|row| {
                (0..columns.taps.len())
                    .map(|column| weight(&mut b, row, column))
                    .collect()
            })
            .collect(),
        false => Vec::new(),
    };
    let ahead = cx.calls_ahead(depthwise.source.image);
    let call_ahead = |b: &mut BodyBuilder, pixel: i64| {
        for row in fresh(rows) {
            for column in fresh(columns) {
                let place = count as i64 * rows.source + row + pixel * columns.source + column;
                b.prefetch(x, displacement(place));
            }
        }
        let [down, along] = [
            count as i64 * rows.place[1] as i64,
            pixel * columns.place[1] as i64,
        ];
        let maps = ptrs
            .iter()
            .zip(epilogue.accesses())
            .take(epilogue.touched());
        for (&ptr, access) in maps.filter(|(_, access)| access.row != 0) {
            b.prefetch(ptr, access.delta(0, down, along, 0));
        }
    };
    let tile = |b: &mut BodyBuilder, pixels: usize| {
        if ahead {
            (0..pixels as i64).for_each(|pixel| call_ahead(b, pixel));
        }
        let mut sums: Vec<Option<Reg>> = vec![None; pixels];
        let reached = reached(columns, pixels);
        for (row, tap) in rows.taps.iter().enumerate() {
            let weights: Vec<Reg> = match held.get(row) {
                Some(weights) => weights.clone(),
                None => (0..columns.taps.len())
                    .map(|column| weight(b, row, column))
                    .collect(),
            };
            for (&place, uses) in &reached {
                let element = b.load(x, displacement(tap.source + place), lanes);
                for &(pixel, column) in uses {
                    let weight = weights[column];
                    match sums[pixel] {
                        Some(sum) => b.fma_into(sum, element, weight, sum),
                        None => sums[pixel] = Some(b.mul(element, weight)),
                    }
                }
            }
        }
        for (pixel, sum) in sums.into_iter().enumerate() {
            let sum = sum.unwrap_or_else(|| b.const_f(0.0));
            let delta = [0, 0, (pixel * columns.place[1]) as i64, 0];
            let place = Place {
                delta,
                lanes,
                element: number.map(|number| epilogue.element_at(b, number, delta)),
            };
            epilogue.emit(b, &ptrs, place, &[sum], &Held::default());
        }
    };
    let moved = |b: &mut BodyBuilder, [down, along]: [i64; 2]| {
        b.advance(x, down * rows.source + along * columns.source);
        let steps = [down * rows.place[1] as i64, along * columns.place[1] as i64];
        for (&ptr, access) in ptrs.iter().zip(epilogue.accesses()) {
            b.advance(ptr, steps[0] * access.row + steps[1] * access.pixel);
        }
        if let Some(number) = number {
            let next = epilogue.element_at(b, number, [0, steps[0], steps[1], 0]);
            b.copy_into(number, next);
        }
    };
    let (whole, rest) = (columns.count / shape.pixels, columns.count % shape.pixels);
    b.repeat(Count::Imm(count as u32), |b| {
        if whole > 0 {
            b.repeat(Count::Imm(whole as u32), |b| {
                tile(b, shape.pixels);
                moved(b, [0, shape.pixels as i64]);
            });
        }
        if rest > 0 {
            tile(b, rest);
        }
        moved(b, [1, -((whole * shape.pixels) as i64)]);
    });
    b.finish()
}

fn displacement(bytes: i64) -> i32 {
    i32::try_from(bytes).expect("a window stays within two gigabytes")
}

/// A filter gradient: for each tap, the sum over images and pixels of the source there times the gradient of the output.
#[derive(Debug)]
pub struct FilterGrad {
    /// The input of the convolution.
    pub source: Source,
    /// The gradient of its output.
    pub grad: Source,
    /// Bytes in the gradient from one row to the next, and from one pixel to the next.
    pub grad_steps: [i64; 2],
    /// The pixels of the output along rows and columns, and the taps.
    pub positions: [Positions; 2],
    /// Channels.
    pub channels: usize,
    /// The result, and how it lies.
    pub result: (ValueId, Filter),
}

/// Taps whose sums a body makes, by their numbers along both axes, and the pixels of a turn of its loop.
struct Part {
    taps: Vec<[usize; 2]>,
    pixels: usize,
}

impl FilterGrad {
    /// Divides the taps among bodies: as many whole rows of taps as registers allow, besides the gradients of a few
    /// pixels and one element of the source.
    fn parts(&self, target: &Target) -> Vec<Part> {
        /// The pixels of a turn at least, so that elements that several taps read are loaded once.
        const PIXELS: usize = 4;
        let [rows, columns] = &self.positions;
        let (height, width) = (rows.taps.len(), columns.taps.len());
        let room = target.registers - 1;
        let most = (room - PIXELS).max(1);
        let at_once = match most / width {
            0 => most,
            rows => rows * width,
        };
        let all: Vec<[usize; 2]> = (0..height)
            .flat_map(|row| (0..width).map(move |column| [row, column]))
            .collect();
        let parts = all.chunks(at_once).map(|taps| Part {
            taps: taps.to_vec(),
            pixels: (room - taps.len()).min(columns.count).max(1),
        });
        parts.collect()
    }
}

/// Appends the steps.
pub fn filter_grad(cx: &mut Cx<'_>, grad: &FilterGrad) {
    let filter = grad.result.1;
    let size = filter.taps[0] * filter.taps[1] * filter.row;
    let images = cx.batch.div_ceil(MAX_PARTIALS);
    let slots = cx.batch.div_ceil(images);
    let result = Buffer::Value(grad.result.0);
    let to = match slots {
        1 => result,
        _ => cx.scratch(slots * size),
    };
    let parts = grad.parts(cx.target);
    let [rows, columns] = &grad.positions;
    let ahead = cx.calls_ahead(grad.source.image);
    // All channels of a row before the next row, where the rows of an image do not stay near.
    let block = match ahead {
        true => CALL_RESULTS.div_ceil(columns.count).clamp(1, rows.count),
        false => rows.count,
    };
    let mut args = Args::touching([
        Buffer::Value(grad.source.value),
        Buffer::Value(grad.grad.value),
        to,
    ]);
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        nest.for_domain(|nest, unit| {
            let image = nest.let_(unit.clone() * images as i64);
            let count = nest.let_((Index::Batch - image.clone()).min(images as i64));
            let slot = nest.let_(unit * (size as i64 * ELEMENT));
            let args = RefCell::new(args);
            let call = |nest: &mut NestBuilder, [here, first]: [&Index; 2], rows_now: usize| {
                over_channels(nest, grad.channels, cx.lanes(), |nest, channel, lanes| {
                    for (number, part) in parts.iter().enumerate() {
                        let ahead = ahead && number == 0;
                        let body = grad_body(cx, grad, part, (rows_now, ahead), lanes);
                        let body = nest.add_body(body);
                        let at = |source: &Source, row: i64| {
                            here.clone() * source.image
                                + first.clone() * row
                                + channel.clone() * ELEMENT
                                + source.start
                        };
                        let mut args = args.borrow_mut();
                        let ptrs = vec![
                            Address {
                                arg: args.value(grad.source.value),
                                offset: at(&grad.source, rows.source),
                            },
                            Address {
                                arg: args.value(grad.grad.value),
                                offset: at(&grad.grad, grad.grad_steps[0]),
                            },
                            Address {
                                arg: args.of(to),
                                offset: slot.clone() + channel.clone() * ELEMENT,
                            },
                        ];
                        // All rows but the first go on from what those before have left.
                        let done = (here.clone() - image.clone()) * rows.count as i64;
                        let adds = (done + first.clone()).min(1);
                        let images = match block == rows.count {
                            true => count.clone(),
                            false => Index::Const(1),
                        };
                        nest.call(body, ptrs, vec![images, adds]);
                    }
                });
            };
            match block == rows.count {
                true => call(nest, [&image, &Index::Const(0)], block),
                false => {
                    let end = nest.let_(image.clone() + count.clone());
                    nest.for_(image.clone(), end, 1, |nest, here| {
                        nest.for_(0, rows.count as i64, block as i64, |nest, first| {
                            sized(nest, &first, rows.count, block, |nest, rows_now| {
                                call(nest, [&here, &first], rows_now);
                            });
                        });
                    });
                }
            }
        });
    });
    let taps = rows.taps.len() * columns.taps.len();
    let work = images * rows.count * columns.count * taps * vectors(grad.channels, cx.lanes()).0;
    let units = Units::Images { units: 1, images };
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    cx.step(kernel, args, domain);
    if slots > 1 {
        let name = format!("{}_sum", cx.name);
        add_slots(cx, &name, to, result, size, images);
    }
}

/// The sums of some taps over some images in one vector of channels.
fn grad_body(
    cx: &Cx<'_>,
    grad: &FilterGrad,
    part: &Part,
    (count, ahead): (usize, bool),
    lanes: Lanes,
) -> Body {
    let [rows, columns] = &grad.positions;
    let [first_row, first_column] = part.taps[0];
    let name = format!("{}_{count}x{first_row}{first_column}", cx.name);
    let mut b = BodyBuilder::new(name, cx.lanes());
    let (x, dy, to) = (b.ptr_arg(), b.ptr_arg(), b.ptr_arg());
    let (images, adds) = (b.int_arg(), b.int_arg());
    let sums: BTreeMap<[usize; 2], Reg> = part
        .taps
        .iter()
        .map(|&tap| {
            let sum = b.reg(LaneType::F32);
            b.set(sum, Op::float(0.0));
            (tap, sum)
        })
        .collect();
    let filter = &grad.result.1;
    let tap_of = |[row, column]: [usize; 2]| {
        let tap = filter.tap(rows.taps[row].cell, columns.taps[column].cell);
        displacement(tap)
    };
    // The sums go on from where those of the rows before ended.
    b.repeat(Count::Arg(adds), |b| {
        for (&tap, &sum) in &sums {
            let (ptr, off, lanes) = (to, tap_of(tap), Lanes::All);
            b.set(sum, Op::Load { ptr, off, lanes });
        }
    });
    let call_ahead = |b: &mut BodyBuilder, pixel: i64| {
        for row in fresh(rows) {
            for column in fresh(columns) {
                let place = count as i64 * rows.source + row + pixel * columns.source + column;
                b.prefetch(x, displacement(place));
            }
        }
        let [row, step] = grad.grad_steps;
        b.prefetch(dy, displacement(count as i64 * row + pixel * step));
    };
    let tile = |b: &mut BodyBuilder, pixels: usize| {
        if ahead {
            (0..pixels as i64).for_each(|pixel| call_ahead(b, pixel));
        }
        let grads: Vec<Reg> = (0..pixels)
            .map(|pixel| b.load(dy, displacement(pixel as i64 * grad.grad_steps[1]), lanes))
            .collect();
        let reached = reached(columns, pixels);
        for (row, tap) in rows.taps.iter().enumerate() {
            for (&place, uses) in &reached {
                let uses: Vec<(Reg, Reg)> = uses
                    .iter()
                    .filter_map(|&(pixel, column)| Some((*sums.get(&[row, column])?, grads[pixel])))
                    .collect();
                if uses.is_empty() {
                    continue;
                }
                let element = b.load(x, displacement(tap.source + place), lanes);
                for (sum, grad) in uses {
                    b.fma_into(sum, element, grad, sum);
                }
            }
        }
    };
    let moved = |b: &mut BodyBuilder, [image, down, along]: [i64; 3]| {
        let source = image * grad.source.image + down * rows.source + along * columns.source;
        let [row, pixel] = grad.grad_steps;
        b.advance(x, source);
        b.advance(dy, image * grad.grad.image + down * row + along * pixel);
    };
    let (whole, rest) = (columns.count / part.pixels, columns.count % part.pixels);
    b.repeat(Count::Arg(images), |b| {
        b.repeat(Count::Imm(count as u32), |b| {
            if whole > 0 {
                b.repeat(Count::Imm(whole as u32), |b| {
                    tile(b, part.pixels);
                    moved(b, [0, 0, part.pixels as i64]);
                });
            }
            if rest > 0 {
                tile(b, rest);
            }
            moved(b, [0, 1, -((whole * part.pixels) as i64)]);
        });
        moved(b, [1, -(count as i64), 0]);
    });
    for (tap, sum) in sums {
        // What lies behind the last channel is zero in the sum, and stays zero in the filter.
        b.store(to, tap_of(tap), sum, Lanes::All);
    }
    b.finish()
}
