//! Sums over pixels and images, lanes being channels.
//!
//! Rows are summed on their own before they are added to the total, so that the error of a large map
//! grows with its side and not with its area. Sums over the batch are made chunk by chunk of images
//! and the chunks added in order, whatever the number of threads.

use super::access::{Access, Space, vectors};
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, partial};
use crate::ir::ValueId;
use crate::kernel::BodyBuilder;
use crate::kernel::{Address, Body, Count, Index, Int, Lanes, NestBuilder, Ptr, Reduce, Reg};

/// Makes the addends of one pixel from the sources' and the per-channel values.
pub type Addends<'s> = dyn Fn(&mut BodyBuilder, &[Reg], &[Reg]) -> Vec<Reg> + 's;

/// What is added up at each pixel.
pub struct Sweep<'s> {
    /// The maps that are read, all of one size.
    pub sources: Vec<ValueId>,
    /// Vectors of one number a channel that are read.
    pub per_channel: Vec<ValueId>,
    /// How many sums are made.
    pub sums: usize,
    /// The addends of one pixel, given the sources' and the per-channel values.
    pub addends: &'s Addends<'s>,
}

/// Pixels whose addends are added up side by side; hides the latency of additions.
const INTERLEAVE: usize = 4;

/// Images of a chunk, so that a batch makes at most this many partial results.
const MAX_CHUNKS: usize = 16;

/// Sums over images and pixels, channel by channel; one result `[C]` a sum.
pub fn to_channels(cx: &mut Cx<'_>, sweep: &Sweep<'_>, results: &[ValueId]) {
    let images = cx.batch.div_ceil(MAX_CHUNKS);
    let slots = cx.batch.div_ceil(images);
    let [c, ..] = Space::of(cx.graph, sweep.sources[0]).map;
    let size = c.next_multiple_of(cx.lanes());
    let to: Vec<Buffer> = results
        .iter()
        .map(|&result| {
            if slots > 1 {
                cx.scratch(slots * size)
            } else {
                Buffer::Value(result)
            }
        })
        .collect();
    sum_chunks(cx, sweep, &to, images, size as i64 * ELEMENT);
    if slots > 1 {
        for (index, (&from, &result)) in to.iter().zip(results).enumerate() {
            let name = format!("{}_sum{index}", cx.name);
            partial::add_slots(cx, &name, from, Buffer::Value(result), size, images);
        }
    }
}

/// Sums over pixels, channel by channel and image by image; one result `[N, C]` a sum.
pub fn to_images(cx: &mut Cx<'_>, sweep: &Sweep<'_>, results: &[ValueId]) {
    let stride = cx.layout(results[0]).image_stride() as i64 * ELEMENT;
    let to: Vec<Buffer> = results
        .iter()
        .map(|&result| Buffer::Value(result))
        .collect();
    sum_chunks(cx, sweep, &to, 1, stride);
}

fn sum_chunks(cx: &mut Cx<'_>, sweep: &Sweep<'_>, to: &[Buffer], images: usize, slot: i64) {
    let space = Space::of(cx.graph, sweep.sources[0]);
    let accesses = accesses(cx, &sweep.sources);
    let [c, h, w] = space.map;
    let (n_vectors, last) = vectors(c, cx.lanes());
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    nest.for_domain(|nest, unit| {
        let image = nest.let_(unit.clone() * images as i64);
        let count = nest.let_((Index::Batch - image.clone()).min(images as i64));
        let mut call = |nest: &mut NestBuilder, channel: Index, lanes: Lanes| {
            let body = nest.add_body(channel_body(cx, sweep, &accesses, [h, w], to.len(), lanes));
            let zero = Index::Const(0);
            let mut ptrs = Vec::new();
            for (&source, access) in sweep.sources.iter().zip(&accesses) {
                let offset = access.at(image.clone(), zero.clone(), zero.clone(), channel.clone());
                ptrs.push(Address {
                    arg: args.value(source),
                    offset,
                });
            }
            for &value in &sweep.per_channel {
                let offset = channel.clone() * ELEMENT;
                ptrs.push(Address {
                    arg: args.value(value),
                    offset,
                });
            }
            for &buffer in to {
                let offset = unit.clone() * slot + channel.clone() * ELEMENT;
                ptrs.push(Address {
                    arg: args.of(buffer),
                    offset,
                });
            }
            nest.call(body, ptrs, vec![count.clone()]);
        };
        let lanes = cx.lanes() as i64;
        let whole = if last == Lanes::All {
            n_vectors
        } else {
            n_vectors - 1
        } as i64;
        if whole > 0 {
            nest.for_(0, whole * lanes, lanes, |nest, channel| {
                call(nest, channel, Lanes::All)
            });
        }
        if last != Lanes::All {
            call(nest, Index::Const(whole * lanes), last);
        }
    });
    let units = Units::Images { units: 1, images };
    let work = images * h * w * n_vectors * (sweep.sources.len() + sweep.sums);
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    let kernel = nest.finish(cx.name.clone(), args.len());
    cx.step(kernel, args, domain);
}

fn accesses(cx: &Cx<'_>, sources: &[ValueId]) -> Vec<Access> {
    sources
        .iter()
        .map(|&source| Access::new(cx.graph, source, &Space::of(cx.graph, source)))
        .collect()
}

fn channel_body(
    cx: &Cx<'_>,
    sweep: &Sweep<'_>,
    accesses: &[Access],
    size: [usize; 2],
    results: usize,
    lanes: Lanes,
) -> Body {
    let mut b = BodyBuilder::new(format!("{}_pixels", cx.name), cx.lanes());
    let sources: Vec<Ptr> = accesses.iter().map(|_| b.ptr_arg()).collect();
    let fixed: Vec<Ptr> = sweep.per_channel.iter().map(|_| b.ptr_arg()).collect();
    let to: Vec<Ptr> = (0..results).map(|_| b.ptr_arg()).collect();
    let images = b.int_arg();
    let fixed: Vec<Reg> = fixed.iter().map(|&ptr| b.load(ptr, 0, lanes)).collect();
    let totals = sum_images(
        &mut b, sweep, &sources, accesses, &fixed, size, images, lanes,
    );
    for (&ptr, &total) in to.iter().zip(&totals) {
        b.store(ptr, 0, total, lanes);
    }
    b.finish()
}

/// Adds up all pixels of `images` images in one vector of channels.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one loop nest, used in two places"
)]
pub fn sum_images(
    b: &mut BodyBuilder,
    sweep: &Sweep<'_>,
    sources: &[Ptr],
    accesses: &[Access],
    fixed: &[Reg],
    [h, w]: [usize; 2],
    images: Int,
    lanes: Lanes,
) -> Vec<Reg> {
    let totals = zeros(b, sweep.sums);
    let rows: Vec<Ptr> = sources
        .iter()
        .map(|&source| b.ptr_copy(source, 0))
        .collect();
    let pixels: Vec<Ptr> = sources
        .iter()
        .map(|&source| b.ptr_copy(source, 0))
        .collect();
    let pixel = |b: &mut BodyBuilder, ahead: usize, sums: &[Reg]| {
        let loads: Vec<Reg> = pixels
            .iter()
            .zip(accesses)
            .map(|(&ptr, access)| b.load(ptr, access.delta(0, 0, ahead as i64, 0), lanes))
            .collect();
        let addends = (sweep.addends)(b, &loads, fixed);
        for (&sum, &addend) in sums.iter().zip(&addends) {
            b.add_into(sum, sum, addend);
        }
    };
    let (turns, rest) = (w / INTERLEAVE, w % INTERLEAVE);
    b.repeat(Count::Arg(images), |b| {
        for (&row, &source) in rows.iter().zip(sources) {
            b.set_ptr(row, source, 0);
        }
        b.repeat(Count::Imm(h as u32), |b| {
            for (&pixel, &row) in pixels.iter().zip(&rows) {
                b.set_ptr(pixel, row, 0);
            }
            let lanes_of_sums: Vec<Vec<Reg>> = (0..INTERLEAVE.min(w))
                .map(|_| zeros(b, sweep.sums))
                .collect();
            if turns > 0 {
                b.repeat(Count::Imm(turns as u32), |b| {
                    for (ahead, sums) in lanes_of_sums.iter().enumerate() {
                        pixel(b, ahead, sums);
                    }
                    for (&ptr, access) in pixels.iter().zip(accesses) {
                        b.advance(ptr, access.pixel * INTERLEAVE as i64);
                    }
                });
            }
            for (ahead, sums) in lanes_of_sums.iter().take(rest).enumerate() {
                pixel(b, ahead, sums);
            }
            let (first, others) = lanes_of_sums.split_first().expect("a row has pixels");
            for sums in others {
                for (&sum, &other) in first.iter().zip(sums) {
                    b.add_into(sum, sum, other);
                }
            }
            for (&total, &sum) in totals.iter().zip(first) {
                b.add_into(total, total, sum);
            }
            for (&row, access) in rows.iter().zip(accesses) {
                b.advance(row, access.row);
            }
        });
        for (&source, access) in sources.iter().zip(accesses) {
            b.advance(source, access.image);
        }
    });
    totals
}

fn zeros(b: &mut BodyBuilder, count: usize) -> Vec<Reg> {
    (0..count)
        .map(|_| {
            let sum = b.reg(crate::kernel::LaneType::F32);
            b.set(sum, crate::kernel::Op::ConstF(0.0));
            sum
        })
        .collect()
}

/// Sums everything of each image; `batch` adds the images up too. The result is `[N]` or `[]`.
pub fn to_numbers(cx: &mut Cx<'_>, source: ValueId, result: ValueId, batch: bool) {
    let of_batch = cx.graph.ty(source).shape.batched;
    let images = if batch && of_batch {
        cx.batch.div_ceil(MAX_CHUNKS)
    } else {
        1
    };
    let slots = if of_batch {
        cx.batch.div_ceil(images)
    } else {
        1
    };
    let lanes = cx.lanes();
    let chunked = batch && slots > 1;
    let to = if chunked {
        cx.scratch(slots * lanes)
    } else {
        Buffer::Value(result)
    };
    let space = Space::of(cx.graph, source);
    let access = Access::new(cx.graph, source, &space);
    let [c, h, w] = space.map;
    let (n_vectors, last) = vectors(c, lanes);
    let sweep = Sweep {
        sources: vec![source],
        per_channel: Vec::new(),
        sums: 1,
        addends: &|_, loads, _| loads.to_vec(),
    };
    let mut b = BodyBuilder::new(format!("{}_image", cx.name), lanes);
    let (from, into) = (b.ptr_arg(), b.ptr_arg());
    let count = b.int_arg();
    let total = zeros(&mut b, 1)[0];
    let add = |b: &mut BodyBuilder, width: Lanes| {
        let start = b.ptr_copy(from, 0);
        let sums = sum_images(b, &sweep, &[start], &[access], &[], [h, w], count, width);
        b.add_into(total, total, sums[0]);
        b.advance(from, lanes as i64 * ELEMENT);
    };
    let whole = if last == Lanes::All {
        n_vectors
    } else {
        n_vectors - 1
    };
    if whole > 0 {
        b.repeat(Count::Imm(whole as u32), |b| add(b, Lanes::All));
    }
    if last != Lanes::All {
        add(&mut b, last);
    }
    let sum = b.reduce(Reduce::Sum, total);
    // A slot is one vector, so that slots can be added as filters are.
    b.store(
        into,
        0,
        sum,
        if chunked { Lanes::All } else { Lanes::First(1) },
    );
    let body = b.finish();
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let body = nest.add_body(body);
    let slot = if chunked {
        lanes as i64 * ELEMENT
    } else {
        cx.layout(result).image_stride() as i64 * ELEMENT
    };
    nest.for_domain(|nest, unit| {
        let image = nest.let_(unit.clone() * images as i64);
        let count = if of_batch {
            (Index::Batch - image.clone()).min(images as i64)
        } else {
            Index::Const(1)
        };
        let zero = Index::Const(0);
        let ptrs = vec![
            Address {
                arg: args.value(source),
                offset: access.at(image, zero.clone(), zero.clone(), zero),
            },
            Address {
                arg: args.of(to),
                offset: unit * slot,
            },
        ];
        nest.call(body, ptrs, vec![count]);
    });
    let units = if of_batch {
        Units::Images { units: 1, images }
    } else {
        Units::Fixed(1)
    };
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), images * h * w * n_vectors * 2),
    };
    let name = cx.name.clone();
    let kernel = nest.finish(name.clone(), args.len());
    cx.step(kernel, args, domain);
    if chunked {
        partial::add_slots(
            cx,
            &format!("{name}_sum"),
            to,
            Buffer::Value(result),
            lanes,
            images,
        );
    }
}
