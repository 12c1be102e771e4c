//! Sums over the batch whose result is small against the work: each chunk of images makes a partial
//! result, and a second kernel adds the partial results in order.
//!
//! The chunks follow from the shapes, so the result is the same on any number of threads.

use super::contract::{self, Contract, Finish, GroupAxis, Panels, RowAxis, Split, SumAxis};
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk};
use crate::ir::ValueId;
use crate::kernel::BodyBuilder;
use crate::kernel::{Address, Count, Index, Lanes};

/// A filter gradient: the contraction, and where its result goes.
#[derive(Debug)]
pub struct Partial {
    /// A, and its first byte.
    pub a: (Buffer, i64),
    /// B, and its first byte.
    pub b: (Buffer, i64),
    /// The axes of m.
    pub rows: [RowAxis; 3],
    /// The distances of neighbours along m in the result, in bytes.
    pub steps: [i64; 3],
    /// The extent of n.
    pub columns: usize,
    /// The axes of k, the images outermost.
    pub sums: Vec<SumAxis>,
    /// The groups.
    pub groups: Vec<GroupAxis>,
    /// The result.
    pub result: ValueId,
    /// Pixels that an image contributes.
    pub pixels: usize,
}

/// Partial results are made if the result takes at most so many bytes. Measured on 3x3 filters:
/// one partial an image costs nothing at 9 KB, 0.2 % at 147 KB, 5 % at 2.4 MB, 28 % at 9.4 MB, while
/// a split of a small result by rows leaves too few units to share.
const MAX_PARTIAL_BYTES: usize = 256 << 10;

/// Partial results at most.
pub const MAX_PARTIALS: usize = 16;

/// Appends the contraction, in one step or in two.
pub fn lower(cx: &mut Cx<'_>, partial: Partial) {
    let size = cx.layout(partial.result).image_stride();
    let images = cx.batch.div_ceil(MAX_PARTIALS);
    let slots = cx.batch.div_ceil(images);
    let splits = partial.pixels > 1 && slots > 1 && size * ELEMENT as usize <= MAX_PARTIAL_BYTES;
    let result = Buffer::Value(partial.result);
    let (to, slot, split) = if splits {
        (
            cx.scratch(slots * size),
            size as i64 * ELEMENT,
            Split::Images(images),
        )
    } else {
        (result, 0, Split::Tiles)
    };
    let contract = Contract {
        a: partial.a,
        b: partial.b,
        rows: partial.rows,
        columns: partial.columns,
        panels: Panels::ONE,
        sums: partial.sums,
        groups: partial.groups,
        finish: Finish::Store {
            to,
            start: 0,
            steps: partial.steps,
            slot,
        },
        split,
    };
    contract::lower(cx, &contract);
    if splits {
        let name = format!("{}_sum", cx.name);
        add_slots(cx, &name, to, result, size, images);
    }
}

/// Vectors that one unit adds up.
const BLOCK: usize = 16;

/// Appends a step that adds, element by element, the slots that a batch filled: one for each started
/// chunk of `images` images. `size` elements make a slot.
pub fn add_slots(
    cx: &mut Cx<'_>,
    name: &str,
    from: Buffer,
    to: Buffer,
    size: usize,
    images: usize,
) {
    let lanes = cx.lanes();
    let n_vectors = size / lanes;
    assert_eq!(size % lanes, 0, "{name}: slots are padded to whole vectors");
    let mut args = Args::touching([from, to]);
    let kernel = cx.emit(name, &mut args, |nest, args| {
        let mut b = BodyBuilder::new(format!("{name}_run"), lanes);
        let (src, dst) = (b.ptr_arg(), b.ptr_arg());
        let (vectors, more_slots) = (b.int_arg(), b.int_arg());
        let slot_bytes = size as i64 * ELEMENT;
        let add = |b: &mut BodyBuilder| {
            let sum = b.load(src, 0, Lanes::All);
            let slot = b.ptr_copy(src, 0);
            b.repeat(Count::Arg(more_slots), |b| {
                b.advance(slot, slot_bytes);
                let next = b.load(slot, 0, Lanes::All);
                b.add_into(sum, sum, next);
            });
            b.store(dst, 0, sum, Lanes::All);
        };
        b.repeat(Count::Arg(vectors), |b| {
            add(b);
            b.advance(src, lanes as i64 * ELEMENT);
            b.advance(dst, lanes as i64 * ELEMENT);
        });
        let whole = b.finish();
        let whole = nest.add_body(whole);
        let first = nest.let_(Index::Lo * BLOCK as i64);
        let end = (Index::Hi * BLOCK as i64).min(n_vectors as i64);
        let count = nest.let_(end - first.clone());
        let offset = nest.let_(first * (lanes as i64 * ELEMENT));
        let slots = (Index::Batch + (images as i64 - 1)) / images as i64;
        let ptrs = vec![
            Address {
                arg: args.of(from),
                offset: offset.clone(),
            },
            Address {
                arg: args.of(to),
                offset,
            },
        ];
        nest.call(whole, ptrs, vec![count, slots - 1]);
    });
    let units = Units::Fixed(n_vectors.div_ceil(BLOCK));
    let slots = cx.batch.div_ceil(images);
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), BLOCK * slots),
    };
    cx.step(kernel, args, domain);
}
