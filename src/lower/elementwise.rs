//! Groups without an anchor: chains of element-wise nodes over a space.
//!
//! If every operand lies in one gapless run, the chain is one loop over elements that knows nothing
//! of pixels. Otherwise a body takes a run of pixels, its inner loop over the channels.

use super::access::{Access, Space, vectors};
use super::epilogue::{Epilogue, Held, Place};
use super::{Args, Cx, Domain, ELEMENT, Units, chunk, split};
use crate::kernel::BodyBuilder;
use crate::kernel::{Body, Count, Index, Lanes, Ptr};

/// Elements of a unit of a flat run: a few kilobytes an operand, so that a unit is long against the
/// call and a layer still has many.
const FLAT_BLOCK: usize = 2048;

/// Vectors handled in one turn of a flat loop; hides latency of short chains.
const UNROLL: usize = 4;

/// Channel vectors that are written out; more become a loop.
const MAX_VECTORS: usize = 8;

/// Per-channel operands that are held in registers over a run of pixels.
const MAX_HELD: usize = 6;

/// Lowers the group.
pub fn lower(cx: &mut Cx<'_>) {
    let space = Space::of(cx.graph, cx.group.stores[0]);
    let epilogue = Epilogue::new(cx, &[], space).stream(cx, true);
    if is_flat(&epilogue) {
        flat(cx, &epilogue);
    } else {
        rows(cx, &epilogue);
    }
}

/// Whether every operand is one run in the same order, or one number.
fn is_flat(epilogue: &Epilogue<'_>) -> bool {
    let [c, h, w] = epilogue.space.map.map(|size| size as i64);
    let dense = |access: &Access| {
        access.origin == 0
            && access.channel == ELEMENT
            && (w == 1 || access.pixel == c * ELEMENT)
            && (h == 1 || access.row == w * c * ELEMENT)
            && (!epilogue.space.batched || access.image == h * w * c * ELEMENT)
    };
    let number =
        |access: &Access| (access.image, access.row, access.pixel, access.channel) == (0, 0, 0, 0);
    let in_logical_order = c == 1 || h * w == 1;
    epilogue
        .accesses()
        .all(|access| number(access) || dense(access))
        && (!epilogue.counts_elements || in_logical_order)
}

fn flat(cx: &mut Cx<'_>, epilogue: &Epilogue<'_>) {
    let lanes = cx.lanes();
    let unroll = if epilogue.work() > 12 { 1 } else { UNROLL };
    let elements = epilogue.space.elements();
    let mut args = Args::touching(epilogue.buffers());
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        let mut b = BodyBuilder::new(format!("{}_run", cx.name), lanes);
        let ptrs = epilogue.declare(&mut b);
        let counts = [b.int_arg(), b.int_arg(), b.int_arg()];
        let element = epilogue.counts_elements.then(|| b.int_arg());
        let held = epilogue.hold(&mut b, &ptrs, &[], 0);
        let moving: Vec<(Ptr, bool)> = ptrs
            .iter()
            .zip(epilogue.accesses())
            .map(|(&ptr, access)| (ptr, access.channel != 0))
            .collect();
        let number = element.map(|first| {
            let splat = b.splat(first);
            let iota = b.iota();
            b.iadd(splat, iota)
        });
        let turn = |b: &mut BodyBuilder, vectors: usize| {
            for vector in 0..vectors {
                let place = Place {
                    delta: [0, 0, 0, (vector * lanes) as i64],
                    lanes: Lanes::All,
                    element: number,
                };
                epilogue.emit(b, &ptrs, place, &[], &held);
                if let Some(number) = number {
                    let step = b.const_i(lanes as i32);
                    let next = b.iadd(number, step);
                    b.copy_into(number, next);
                }
            }
            for &(ptr, moves) in &moving {
                if moves {
                    b.advance(ptr, vectors as i64 * lanes as i64 * ELEMENT);
                }
            }
        };
        if unroll > 1 {
            b.repeat(Count::Arg(counts[0]), |b| turn(b, unroll));
        }
        b.repeat(Count::Arg(counts[1]), |b| turn(b, 1));
        let tail_number = element.is_some();
        b.tail(counts[2], |b| {
            // A tail may not read a register that differs from lane to lane, so it counts for itself.
            let element = tail_number.then(|| {
                let first = b.splat(element.expect("counted"));
                let iota = b.iota();
                let here = b.iadd(first, iota);
                // The tail starts after all whole vectors of the run.
                let done = b.splat(counts[0]);
                let each = b.const_i((unroll * lanes) as i32);
                let skipped = b.imul(done, each);
                let singles = b.splat(counts[1]);
                let width = b.const_i(lanes as i32);
                let skipped_singles = b.imul(singles, width);
                let skipped = b.iadd(skipped, skipped_singles);
                b.iadd(here, skipped)
            });
            let place = Place {
                delta: [0; 4],
                lanes: Lanes::All,
                element,
            };
            epilogue.emit(b, &ptrs, place, &[], &held);
        });
        let body = b.finish();

        let total = if epilogue.space.batched {
            Index::Batch * elements as i64
        } else {
            Index::Const(elements as i64)
        };
        let body = nest.add_body(body);
        // Neighbouring units are one run: a call covers all of them.
        let first = nest.let_(Index::Lo * FLAT_BLOCK as i64);
        let end = nest.let_((Index::Hi * FLAT_BLOCK as i64).min(total));
        let count = nest.let_(end - first.clone());
        let turns = (unroll * lanes) as i64;
        let (blocks, singles) = if unroll > 1 {
            (count.clone() / turns, count.clone() % turns / lanes as i64)
        } else {
            (Index::Const(0), count.clone() / lanes as i64)
        };
        let tail = count % lanes as i64;
        let zero = Index::Const(0);
        let addresses = epilogue.addresses(args, [&zero, &zero, &zero, &first]);
        let mut ints = vec![blocks, singles, tail];
        if element.is_some() {
            ints.push(first);
        }
        nest.call(body, addresses, ints);
    });
    let units = if epilogue.space.batched {
        Units::Elements {
            elements,
            block: FLAT_BLOCK,
        }
    } else {
        Units::Fixed(elements.div_ceil(FLAT_BLOCK))
    };
    let total = units.count(cx.batch);
    let work = FLAT_BLOCK / lanes * epilogue.work();
    cx.step(
        kernel,
        args,
        Domain {
            units,
            chunk: chunk(total, work),
        },
    );
}

/// A body over a run of pixels.
fn pixels(cx: &Cx<'_>, epilogue: &Epilogue<'_>, count: usize) -> Body {
    let lanes = cx.lanes();
    let [c, ..] = epilogue.space.map;
    let (n_vectors, last) = vectors(c, lanes);
    let written_out = n_vectors <= MAX_VECTORS;
    let mut b = BodyBuilder::new(format!("{}_pixels", cx.name), lanes);
    let ptrs = epilogue.declare(&mut b);
    let element = epilogue.counts_elements.then(|| b.int_arg());
    let places: Vec<(i64, Lanes)> = (0..n_vectors)
        .map(|vector| {
            (
                (vector * lanes) as i64,
                if vector + 1 == n_vectors {
                    last
                } else {
                    Lanes::All
                },
            )
        })
        .collect();
    let held = if written_out {
        epilogue.hold(&mut b, &ptrs, &places, MAX_HELD)
    } else {
        epilogue.hold(&mut b, &ptrs, &[], 0)
    };
    let [lane_step, pixel_step, _] = epilogue.element_steps();
    let number = element.map(|first| epilogue.element_lanes(&mut b, first));
    let bump = |b: &mut BodyBuilder, steps: i64| {
        if let Some(number) = number {
            let step = b.const_i(steps as i32);
            let next = b.iadd(number, step);
            b.copy_into(number, next);
        }
    };
    let accesses: Vec<Access> = epilogue.accesses().copied().collect();
    let count = u32::try_from(count).expect("a run of pixels is short");
    b.repeat(Count::Imm(count), |b| {
        let emit = |b: &mut BodyBuilder, channel: i64, lanes: Lanes, held: &Held| {
            let place = Place {
                delta: [0, 0, 0, channel],
                lanes,
                element: number,
            };
            epilogue.emit(b, &ptrs, place, &[], held);
        };
        let advance = |b: &mut BodyBuilder, bytes: &dyn Fn(&Access) -> i64| {
            for (&ptr, access) in ptrs.iter().zip(&accesses) {
                if bytes(access) != 0 {
                    b.advance(ptr, bytes(access));
                }
            }
        };
        if written_out {
            for &(channel, width) in &places {
                emit(b, channel, width, &held);
                bump(b, lane_step * lanes as i64);
            }
            bump(b, pixel_step - lane_step * (n_vectors * lanes) as i64);
            advance(b, &|access| access.pixel);
        } else {
            let whole = c / lanes;
            b.repeat(Count::Imm(whole as u32), |b| {
                emit(b, 0, Lanes::All, &held);
                bump(b, lane_step * lanes as i64);
                advance(b, &|access| access.channel * lanes as i64);
            });
            if last != Lanes::All {
                emit(b, 0, last, &held);
            }
            let walked = (whole * lanes) as i64;
            bump(b, pixel_step - lane_step * walked);
            advance(b, &|access| access.pixel - access.channel * walked);
        }
    });
    b.finish()
}

/// Pixels of one call at most, in elements: short enough that a batch of one still splits.
const RUN_ELEMENTS: usize = 16 << 10;

fn rows(cx: &mut Cx<'_>, epilogue: &Epilogue<'_>) {
    let [c, h, w] = epilogue.space.map;
    let whole_image =
        epilogue.accesses().all(|access| access.rows_merge(w)) && c * h * w <= RUN_ELEMENTS;
    let (runs, run) = if whole_image { (1, h * w) } else { (h, w) };
    let mut args = Args::touching(epilogue.buffers());
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        let body = pixels(cx, epilogue, run);
        let body = nest.add_body(body);
        nest.for_(Index::Lo, Index::Hi, 1, |nest, unit| {
            let (image, row) = split(unit, runs);
            let zero = Index::Const(0);
            let position = [&image, &row, &zero, &zero];
            let addresses = epilogue.addresses(args, position);
            let ints = if epilogue.counts_elements {
                vec![epilogue.element(position)]
            } else {
                Vec::new()
            };
            nest.call(body, addresses, ints);
        });
    });
    let units = if epilogue.space.batched {
        Units::Images {
            units: runs,
            images: 1,
        }
    } else {
        Units::Fixed(runs)
    };
    let total = units.count(cx.batch);
    let work = run * vectors(c, cx.lanes()).0 * epilogue.work();
    cx.step(
        kernel,
        args,
        Domain {
            units,
            chunk: chunk(total, work),
        },
    );
}
