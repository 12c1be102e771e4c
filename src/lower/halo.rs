//! Zeroes the halo of a value before its producer fills the map inside.

use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk};
use crate::ir::{Layout, ValueId};
use crate::kernel::{Address, BodyId, Count, Index, Lanes};
use crate::kernel::{BodyBuilder, NestBuilder};

/// Appends a step that zeroes the value's halo, if it has one.
pub fn zero(cx: &mut Cx<'_>, value: ValueId) {
    let Layout::Nhwc {
        map: [_, h, w],
        pixel,
        halo,
    } = *cx.layout(value)
    else {
        return;
    };
    if halo.is_empty() {
        return;
    }
    let layout = cx.layout(value);
    let (row, image) = (layout.row_stride(), layout.image_stride());
    // The right end of one row and the left end of the next are one run.
    let side = (halo.left + halo.right) * pixel;
    let first = halo.top * row + halo.left * pixel;
    let last = halo.bottom * row + halo.right * pixel;
    let name = format!("{}_halo", cx.name);
    let mut args = Args::touching([Buffer::Value(value)]);
    let kernel = cx.emit(&name, &mut args, |nest, args| {
        let arg = args.value(value);
        let fill = |nest: &mut NestBuilder, elements: usize| -> Option<BodyId> {
            (elements > 0)
                .then(|| nest.add_body(run(format!("{name}_{elements}"), cx.lanes(), elements)))
        };
        let top = fill(nest, first);
        let between = fill(nest, side);
        let bottom = fill(nest, last);
        nest.for_domain(|nest, unit| {
            let base = nest.let_(unit * (image as i64 * ELEMENT));
            let at = |offset: Index| vec![Address { arg, offset }];
            if let Some(body) = top {
                nest.call(body, at(base.clone()), Vec::new());
            }
            if let Some(body) = between {
                let start = ((halo.top * row + (halo.left + w) * pixel) as i64) * ELEMENT;
                nest.for_(0, h as i64 - 1, 1, |nest, y| {
                    let offset = base.clone() + y * (row as i64 * ELEMENT) + start;
                    nest.call(body, at(offset), Vec::new());
                });
            }
            if let Some(body) = bottom {
                let start = (image - last) as i64 * ELEMENT;
                nest.call(body, at(base + start), Vec::new());
            }
        });
    });
    let batched = cx.graph.ty(value).shape.batched;
    let units = if batched {
        Units::Images {
            units: 1,
            images: 1,
        }
    } else {
        Units::Fixed(1)
    };
    let work = (first + last + side * h) / cx.lanes() + h;
    let total = units.count(cx.batch);
    cx.step(
        kernel,
        args,
        Domain {
            units,
            chunk: chunk(total, work),
        },
    );
}

fn run(name: String, lanes: usize, elements: usize) -> crate::kernel::Body {
    let mut b = BodyBuilder::new(name, lanes);
    let ptr = b.ptr_arg();
    let zero = b.const_f(0.0);
    let (whole, rest) = (elements / lanes, elements % lanes);
    if whole > 0 {
        b.repeat(Count::Imm(whole as u32), |b| {
            b.store(ptr, 0, zero, Lanes::All);
            b.advance(ptr, lanes as i64 * ELEMENT);
        });
    }
    if rest > 0 {
        b.store(ptr, 0, zero, Lanes::First(rest as u8));
    }
    b.finish()
}
