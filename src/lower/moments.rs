//! Mean and variance of each channel over batch and pixels.
//!
//! A block of rows takes its own mean first and its squared distances from that second, so nothing
//! cancels. A block is small enough that its second reading finds it in the second cache. The
//! blocks of a chunk of images, and then the chunks, are combined in order by the pairwise rule of
//! Chan, Golub and LeVeque ("Updating Formulae and a Pairwise Algorithm for Computing Sample
//! Variances", 1979).

use std::cell::RefCell;

use super::access::{Access, Space, vectors};
use super::fold::places::over_vectors;
use super::fold::{self, Sum, Terms};
use super::strided::{Axis, Operand, map_steps, merged, nested};
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, over_channels_abreast, sized};
use crate::ir::ValueId;
use crate::kernel::BodyBuilder;
use crate::kernel::{Address, Body, Count, Index, Lanes, NestBuilder, Ptr, Reg};

/// Chunks of a batch at most.
const MAX_CHUNKS: usize = 16;

/// Bytes of a block of rows at most, unless a row is longer: half of a small second cache.
const BLOCK_BYTES: usize = 128 << 10;

/// Appends the steps.
pub fn lower(cx: &mut Cx<'_>, x: ValueId, [mean, variance]: [ValueId; 2]) {
    let images = cx.batch.div_ceil(MAX_CHUNKS);
    let slots = cx.batch.div_ceil(images);
    let space = Space::of(cx.graph, x);
    let access = Access::new(cx.graph, x, &space);
    let [c, h, w] = space.map;
    let size = c.next_multiple_of(cx.lanes());
    let means = cx.scratch(slots * size);
    let squares = cx.scratch(slots * size);
    let abreast = fold::abreast(cx.target, 1, 1);
    let by_places = c > fold::MANY_CHANNELS;
    let block = block_rows(h, images * w * c * ELEMENT as usize);
    // Sums that are made in memory must not be made where the blocks before have left theirs.
    let made = match by_places && block < h {
        true => Some([(); 2].map(|()| cx.scratch(slots * size))),
        false => None,
    };
    let buffers: Vec<Buffer> = [means, squares]
        .into_iter()
        .chain(made.into_iter().flatten())
        .collect();
    let mut args = Args::touching([Buffer::Value(x)].into_iter().chain(buffers.clone()));
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        nest.for_domain(|nest, unit| {
            let image = nest.let_(unit.clone() * images as i64);
            let count = nest.let_((Index::Batch - image.clone()).min(images as i64));
            let args = RefCell::new(args);
            let call =
                |nest: &mut NestBuilder, row: &Index, body: Body, channel: Index, rows: usize| {
                    let body = nest.add_body(body);
                    let mut args = args.borrow_mut();
                    let slot = unit.clone() * (size as i64 * ELEMENT) + channel.clone() * ELEMENT;
                    let mut ptrs = vec![Address {
                        arg: args.value(x),
                        offset: access.at(image.clone(), row.clone(), Index::Const(0), channel),
                    }];
                    ptrs.extend(buffers.iter().map(|&to| Address {
                        arg: args.of(to),
                        offset: slot.clone(),
                    }));
                    let pixels = count.clone() * (rows * w) as i64;
                    let before = count.clone() * row.clone() * w as i64;
                    let adds = row.clone().min(1);
                    nest.call(body, ptrs, vec![count.clone(), pixels, before, adds]);
                };
            let rows = |nest: &mut NestBuilder, row: &Index, rows: usize| {
                let map = [c, rows, w];
                if by_places {
                    let body = places_body(cx, x, map, made.is_some());
                    return call(nest, row, body, Index::Const(0), rows);
                }
                over_channels_abreast(
                    nest,
                    c,
                    cx.lanes(),
                    abreast,
                    |nest, channel, abreast, lanes| {
                        let body = chunk_body(cx, x, map, (abreast, lanes));
                        call(nest, row, body, channel, rows);
                    },
                );
            };
            match block == h {
                true => rows(nest, &Index::Const(0), h),
                false => nest.for_(0, h as i64, block as i64, |nest, row| {
                    sized(nest, &row, h, block, |nest, count| rows(nest, &row, count));
                }),
            }
        });
    });
    let units = Units::Images { units: 1, images };
    let work = images * h * w * vectors(c, cx.lanes()).0 * 4;
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    cx.step(kernel, args, domain);
    combine(cx, [means, squares], [mean, variance], [c, h * w, images]);
}

/// Rows of a block, of so many bytes each: shared out evenly, as many as a block may have. What the caches of a machine are
/// must not change the result.
fn block_rows(rows: usize, row_bytes: usize) -> usize {
    let most = (BLOCK_BYTES / row_bytes.max(1)).clamp(1, rows.max(1));
    rows.div_ceil(rows.div_ceil(most).max(1)).max(1)
}

/// A mean and the sum of squared distances from it.
#[derive(Clone, Copy)]
struct Moments {
    mean: Reg,
    square: Reg,
}

/// Adds the moments of `other_count` numbers to those of `count` by the pairwise rule.
fn add_moments(b: &mut BodyBuilder, [to, other]: [Moments; 2], [count, other_count]: [Reg; 2]) {
    let both = b.add(count, other_count);
    let share = b.div(other_count, both);
    let distance = b.sub(other.mean, to.mean);
    let moved = b.mul(distance, share);
    b.add_into(to.mean, to.mean, moved);
    b.add_into(to.square, to.square, other.square);
    // distance² · count · other / both
    let weighted = b.mul(count, distance);
    let between = b.mul(weighted, moved);
    b.add_into(to.square, to.square, between);
}

/// Mean, then the sum of squared distances, of the pixels of some rows of some images, added to those of the rows before.
fn chunk_body(
    cx: &Cx<'_>,
    x: ValueId,
    [c, h, w]: [usize; 3],
    (abreast, lanes): (usize, Lanes),
) -> Body {
    let mut b = BodyBuilder::new(format!("{}_chunk", cx.name), cx.lanes());
    let (from, mean_to, square_to) = (b.ptr_arg(), b.ptr_arg(), b.ptr_arg());
    let [images, pixels, before, adds] = [(); 4].map(|()| b.int_arg());
    let operands = [Operand::value(cx, x)];
    let [channel, row, pixel] = map_steps(cx.layout(x));
    let channels = Axis::new(c, [channel]);
    let rows_and_columns = merged([Axis::new(h, [row]), Axis::new(w, [pixel])]);
    let sum = |b: &mut BodyBuilder, terms: &Terms<'_>| {
        let vectors = (abreast, lanes);
        let sum = Sum::of_channels(&operands, &channels, &rows_and_columns, terms, vectors);
        sum.emit(b, &[from], Some(images))
    };
    let totals = sum(&mut b, &|_, _, loads| loads.to_vec());
    let pixels = b.splat(pixels);
    let pixels = b.to_float(pixels);
    let means: Vec<Reg> = totals.iter().map(|&sum| b.div(sum, pixels)).collect();
    let squares = sum(&mut b, &|b, vector, loads| {
        let distance = b.sub(loads[0], means[vector]);
        vec![b.mul(distance, distance)]
    });
    let made: Vec<Moments> = means
        .iter()
        .zip(&squares)
        .map(|(&mean, &square)| Moments { mean, square })
        .collect();
    b.repeat(Count::Arg(adds), |b| {
        let before = b.splat(before);
        let before = b.to_float(before);
        for (vector, made) in made.iter().enumerate() {
            let off = vector as i32 * b.vector_bytes();
            let [mean, square] = [mean_to, square_to].map(|from| b.load(from, off, lanes));
            add_moments(b, [Moments { mean, square }, *made], [before, pixels]);
            b.copy_into(made.mean, mean);
            b.copy_into(made.square, square);
        }
    });
    for (vector, made) in made.into_iter().enumerate() {
        let off = vector as i32 * b.vector_bytes();
        b.store(mean_to, off, made.mean, lanes);
        b.store(square_to, off, made.square, lanes);
    }
    b.finish()
}

/// The same for all channels, place by place as sums of many channels are made: see
/// [`fold::places`]. If they are made apart, those of the rows before lie where the result goes.
fn places_body(cx: &Cx<'_>, x: ValueId, [c, h, w]: [usize; 3], apart: bool) -> Body {
    let mut b = BodyBuilder::new(format!("{}_chunk", cx.name), cx.lanes());
    let from = b.ptr_arg();
    let result = [b.ptr_arg(), b.ptr_arg()];
    let [mean_to, square_to] = match apart {
        true => [b.ptr_arg(), b.ptr_arg()],
        false => result,
    };
    let [images, pixels, before, adds] = [(); 4].map(|()| b.int_arg());
    let [channel, row, pixel] = map_steps(cx.layout(x));
    let image = Operand::value(cx, x).image;
    let places = merged([Axis::new(h, [row]), Axis::new(w, [pixel])]);
    let ptrs = [from, mean_to, square_to];
    let channels = Axis::new(c, [channel, ELEMENT, ELEMENT, channel]);
    let off = |b: &BodyBuilder, vector: usize| vector as i32 * b.vector_bytes();
    let zero = b.const_f(0.0);
    over_vectors(&mut b, &ptrs, &channels, |b, vector, lanes| {
        let off = off(b, vector);
        b.store(mean_to, off, zero, lanes);
        b.store(square_to, off, zero, lanes);
    });
    let over_places =
        |b: &mut BodyBuilder, to: Ptr, term: &dyn Fn(&mut BodyBuilder, Reg, i32, Lanes) -> Reg| {
            let walking = b.ptr_copy(from, 0);
            let ptrs = [walking, mean_to, square_to, from];
            b.repeat(Count::Arg(images), |b| {
                nested(b, &[walking], None, &places, &mut |b| {
                    over_vectors(b, &ptrs, &channels, |b, vector, lanes| {
                        let off = off(b, vector);
                        let x = b.load(walking, off, lanes);
                        let term = term(b, x, off, lanes);
                        let sum = b.load(to, off, lanes);
                        let sum = b.add(sum, term);
                        b.store(to, off, sum, lanes);
                    });
                });
                b.advance(walking, image);
            });
        };
    // Of what each place is above the first: a long sum of values far from zero would lose what they differ by.
    over_places(&mut b, mean_to, &|b, x, off, lanes| {
        let first = b.load(from, off, lanes);
        b.sub(x, first)
    });
    let pixels = b.splat(pixels);
    let pixels = b.to_float(pixels);
    over_vectors(&mut b, &ptrs, &channels, |b, vector, lanes| {
        let off = off(b, vector);
        let sum = b.load(mean_to, off, lanes);
        let above = b.div(sum, pixels);
        let first = b.load(from, off, lanes);
        let mean = b.add(first, above);
        b.store(mean_to, off, mean, lanes);
    });
    over_places(&mut b, square_to, &|b, x, off, lanes| {
        let mean = b.load(mean_to, off, lanes);
        let distance = b.sub(x, mean);
        b.mul(distance, distance)
    });
    if apart {
        let results = Axis::new(c, [ELEMENT; 4]);
        let ptrs = [mean_to, square_to, result[0], result[1]];
        let moments = |b: &mut BodyBuilder, from: [Ptr; 2], off: i32, lanes: Lanes| {
            let [mean, square] = from.map(|from| b.load(from, off, lanes));
            Moments { mean, square }
        };
        b.repeat(Count::Arg(adds), |b| {
            let before = b.splat(before);
            let before = b.to_float(before);
            over_vectors(b, &ptrs, &results, |b, vector, lanes| {
                let off = off(b, vector);
                let made = moments(b, [mean_to, square_to], off, lanes);
                let old = moments(b, result, off, lanes);
                add_moments(b, [old, made], [before, pixels]);
                b.store(mean_to, off, old.mean, lanes);
                b.store(square_to, off, old.square, lanes);
            });
        });
        over_vectors(&mut b, &ptrs, &results, |b, vector, lanes| {
            let off = off(b, vector);
            let made = moments(b, [mean_to, square_to], off, lanes);
            b.store(result[0], off, made.mean, lanes);
            b.store(result[1], off, made.square, lanes);
        });
    }
    b.finish()
}

/// Combines the chunks' moments in order.
fn combine(
    cx: &mut Cx<'_>,
    from: [Buffer; 2],
    to: [ValueId; 2],
    [channels, pixels, images]: [usize; 3],
) {
    let name = format!("{}_combine", cx.name);
    let lanes = cx.lanes();
    let size = channels.next_multiple_of(lanes) as i64;
    let (n_vectors, last) = vectors(channels, lanes);
    let mut args = Args::touching(from.into_iter().chain(to.map(Buffer::Value)));
    let kernel = cx.emit(&name, &mut args, |nest, args| {
        let per_chunk = (images * pixels) as i64;
        nest.for_domain(|nest, unit| {
            let channel = nest.let_(unit.clone() * lanes as i64);
            let total = Index::Batch * pixels as i64;
            // The first chunk starts the sums; whole chunks follow, then perhaps a short one.
            let first = nest.let_(total.clone().min(per_chunk));
            let more = nest.let_(total.clone() / per_chunk - first.clone() / per_chunk);
            let rest = nest.let_((total.clone() - first.clone()) % per_chunk);
            let has_rest = nest.let_(rest.clone().min(1));
            let mut call = |nest: &mut NestBuilder, lanes: Lanes| {
                let body = nest.add_body(combine_body(cx, &name, size, per_chunk, lanes));
                let offset = channel.clone() * ELEMENT;
                let ptrs =
                    [from[0], from[1], Buffer::Value(to[0]), Buffer::Value(to[1])].map(|buffer| {
                        Address {
                            arg: args.of(buffer),
                            offset: offset.clone(),
                        }
                    });
                let ints = [&first, &more, &has_rest, &rest, &total].map(Index::clone);
                nest.call(body, ptrs.to_vec(), ints.to_vec());
            };
            if last == Lanes::All {
                call(nest, Lanes::All);
            } else {
                let is_last = crate::kernel::Cond::Eq(unit, Index::Const(n_vectors as i64 - 1));
                let call = std::cell::RefCell::new(call);
                nest.if_else(
                    is_last,
                    |nest| (call.borrow_mut())(nest, last),
                    |nest| {
                        if n_vectors > 1 {
                            (call.borrow_mut())(nest, Lanes::All);
                        }
                    },
                );
            }
        });
    });
    let units = Units::Fixed(n_vectors);
    let domain = Domain {
        units,
        chunk: chunk(n_vectors, MAX_CHUNKS * 20),
    };
    cx.step(kernel, args, domain);
}

fn combine_body(cx: &Cx<'_>, name: &str, size: i64, per_chunk: i64, lanes: Lanes) -> Body {
    let mut b = BodyBuilder::new(format!("{name}_run"), cx.lanes());
    let (means, squares) = (b.ptr_arg(), b.ptr_arg());
    let (mean_to, variance_to) = (b.ptr_arg(), b.ptr_arg());
    let [first, more, has_rest, rest, total] = [(); 5].map(|()| b.int_arg());
    let float = |b: &mut BodyBuilder, int| {
        let splat = b.splat(int);
        b.to_float(splat)
    };
    let mean = b.load(means, 0, lanes);
    let square = b.load(squares, 0, lanes);
    let count = float(&mut b, first);
    let add_chunk = |b: &mut BodyBuilder, other: Reg| {
        b.advance(means, size * ELEMENT);
        b.advance(squares, size * ELEMENT);
        let chunk = Moments {
            mean: b.load(means, 0, lanes),
            square: b.load(squares, 0, lanes),
        };
        add_moments(b, [Moments { mean, square }, chunk], [count, other]);
        b.add_into(count, count, other);
    };
    b.repeat(Count::Arg(more), |b| {
        let other = b.const_f(per_chunk as f32);
        add_chunk(b, other);
    });
    b.repeat(Count::Arg(has_rest), |b| {
        let other = float(b, rest);
        add_chunk(b, other);
    });
    let total = float(&mut b, total);
    let variance = b.div(square, total);
    b.store(mean_to, 0, mean, lanes);
    b.store(variance_to, 0, variance, lanes);
    b.finish()
}
