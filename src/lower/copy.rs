//! Strided copies: concatenation, slices, and every change of layout.

use super::access::add;
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, split};
use crate::kernel::{Address, Count, Index, Lanes, Ptr};
use crate::kernel::{BodyBuilder, NestBuilder};

/// One axis of a copy: how many, and the byte distances on both sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    /// How many.
    pub count: usize,
    /// Distance in the source.
    pub from: i64,
    /// Distance in the destination.
    pub to: i64,
}

/// A copy of elements of four bytes, whatever they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copy {
    /// The source and its first byte.
    pub from: (Buffer, i64),
    /// The destination and its first byte.
    pub to: (Buffer, i64),
    /// The distance of images on both sides, if there is one map an image.
    pub images: Option<(i64, i64)>,
    /// The axes, the innermost last; its destination distance is one element.
    pub axes: [Axis; 3],
}

/// Appends the copy as a step.
pub fn lower(cx: &mut Cx<'_>, name: &str, copy: &Copy) {
    let lanes = cx.lanes();
    let [outer, middle, inner] = merge(copy.axes);
    assert_eq!(inner.to, ELEMENT, "{name}: a copy writes whole vectors");
    let mut b = BodyBuilder::new(format!("{name}_run"), lanes);
    let (from, to) = (b.ptr_arg(), b.ptr_arg());
    let whole = inner.count / lanes;
    let rest = inner.count % lanes;
    let step = lanes as i64;
    let move_ = |b: &mut BodyBuilder, lanes: Lanes| {
        let reg = if inner.from == ELEMENT {
            b.load(from, 0, lanes)
        } else {
            b.gather(from, 0, inner.from as i32, lanes)
        };
        b.store(to, 0, reg, lanes);
    };
    let count = |count: usize| Count::Imm(u32::try_from(count).expect("an axis fits 32 bits"));
    b.repeat(count(middle.count), |b| {
        if whole > 0 {
            b.repeat(count(whole), |b| {
                move_(b, Lanes::All);
                b.advance(from, inner.from * step);
                b.advance(to, ELEMENT * step);
            });
        }
        if rest > 0 {
            move_(b, Lanes::First(rest as u8));
        }
        let walked = (whole * lanes) as i64;
        let back = |b: &mut BodyBuilder, ptr: Ptr, row: i64, lane: i64| {
            b.advance(ptr, row - lane * walked);
        };
        back(b, from, middle.from, inner.from);
        back(b, to, middle.to, ELEMENT);
    });
    let body = b.finish();
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let body = nest.add_body(body);
    nest.for_domain(|nest, unit| {
        let (image, turn) = split(unit, outer.count);
        let mut side = |buffer: (Buffer, i64), image_step: i64, axis_step: i64| {
            let mut offset = Index::Const(buffer.1);
            if copy.images.is_some() {
                offset = add(offset, image.clone() * image_step);
            }
            Address {
                arg: args.of(buffer.0),
                offset: offset + turn.clone() * axis_step,
            }
        };
        let (image_from, image_to) = copy.images.unwrap_or_default();
        let from = side(copy.from, image_from, outer.from);
        let to = side(copy.to, image_to, outer.to);
        nest.call(body, vec![from, to], Vec::new());
    });
    let units = match copy.images {
        Some(_) => Units::Images {
            units: outer.count,
            images: 1,
        },
        None => Units::Fixed(outer.count),
    };
    let work = middle.count * inner.count / if inner.from == ELEMENT { lanes } else { 1 };
    let total = units.count(cx.batch);
    let kernel = nest.finish(name, args.len());
    cx.step(
        kernel,
        args,
        Domain {
            units,
            chunk: chunk(total, work),
        },
    );
}

/// Joins the inner axes where they form one run.
fn merge([outer, middle, inner]: [Axis; 3]) -> [Axis; 3] {
    let count = inner.count as i64;
    let one = Axis {
        count: 1,
        from: 0,
        to: 0,
    };
    if middle.from == inner.from * count && middle.to == inner.to * count {
        let joined = Axis {
            count: middle.count * inner.count,
            ..inner
        };
        return [one, outer, joined];
    }
    [outer, middle, inner]
}
