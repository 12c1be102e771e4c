//! Loops over the channels of each pixel, for operators that look at all of them: softmax and the
//! cross-entropy.

use super::access::{Access, Space, vectors};
use super::{Args, Cx, Domain, ELEMENT, Units, chunk, split};
use crate::ir::ValueId;
use crate::kernel::BodyBuilder;
use crate::kernel::{Count, Lanes, NestBuilder, Op, Ptr, Reg};

/// What is done at each pixel.
pub struct Rows<'r> {
    /// The map whose pixels are visited.
    pub over: ValueId,
    /// What is read and written, the map included.
    pub values: Vec<ValueId>,
    /// Elementary operations an element.
    pub work: usize,
    /// The code of a pixel; the pointers are those of `values`, at the pixel.
    pub pixel: &'r dyn Fn(&mut BodyBuilder, &Row, &[Ptr]),
}

/// The channels of a pixel.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    channels: usize,
    lanes: usize,
}

/// Vectors that are written out; more become a loop.
const MAX_VECTORS: usize = 4;

impl Row {
    /// Visits the channels vector by vector. The closure gets the offset of the vector from the
    /// pointers, its lanes, and the number of each lane's channel.
    pub fn each(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        mut visit: impl FnMut(&mut BodyBuilder, i32, Lanes, Reg),
    ) {
        let (n_vectors, last) = vectors(self.channels, self.lanes);
        let bytes = self.lanes as i64 * ELEMENT;
        let first = b.iota();
        if n_vectors <= MAX_VECTORS {
            for vector in 0..n_vectors {
                let lanes = if vector + 1 == n_vectors {
                    last
                } else {
                    Lanes::All
                };
                let number = if vector == 0 {
                    first
                } else {
                    let ahead = b.const_i((vector * self.lanes) as i32);
                    b.iadd(first, ahead)
                };
                visit(b, (vector as i64 * bytes) as i32, lanes, number);
            }
            return;
        }
        let whole = self.channels / self.lanes;
        let number = b.copy(first);
        b.repeat(Count::Imm(whole as u32), |b| {
            visit(b, 0, Lanes::All, number);
            let step = b.const_i(self.lanes as i32);
            b.set(number, Op::IAdd(number, step));
            for &ptr in ptrs {
                b.advance(ptr, bytes);
            }
        });
        if last != Lanes::All {
            visit(b, 0, last, number);
        }
        for &ptr in ptrs {
            b.advance(ptr, -(whole as i64) * bytes);
        }
    }

    /// The vector with another value in the lanes beyond the last channel.
    pub fn fill(&self, b: &mut BodyBuilder, x: Reg, lanes: Lanes, fill: f32) -> Reg {
        let Lanes::First(width) = lanes else { return x };
        let iota = b.iota();
        let width = b.const_i(i32::from(width));
        let fill = b.const_f(fill);
        b.select(crate::kernel::Cmp::Lt, iota, width, x, fill)
    }
}

/// Appends the step.
pub fn lower(cx: &mut Cx<'_>, rows: &Rows<'_>) {
    let space = Space::of(cx.graph, rows.over);
    let [c, h, w] = space.map;
    let accesses: Vec<Access> = rows
        .values
        .iter()
        .map(|&value| Access::new(cx.graph, value, &space))
        .collect();
    let row = Row {
        channels: c,
        lanes: cx.lanes(),
    };
    let mut b = BodyBuilder::new(format!("{}_row", cx.name), cx.lanes());
    let ptrs: Vec<Ptr> = accesses.iter().map(|_| b.ptr_arg()).collect();
    b.repeat(Count::Imm(w as u32), |b| {
        (rows.pixel)(b, &row, &ptrs);
        for (&ptr, access) in ptrs.iter().zip(&accesses) {
            b.advance(ptr, access.pixel);
        }
    });
    let body = b.finish();
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let body = nest.add_body(body);
    nest.for_domain(|nest, unit| {
        let (image, row) = split(unit, h);
        let zero = crate::kernel::Index::Const(0);
        let addresses: Vec<crate::kernel::Address> = rows
            .values
            .iter()
            .zip(&accesses)
            .map(|(&value, access)| crate::kernel::Address {
                arg: args.value(value),
                offset: access.at(image.clone(), row.clone(), zero.clone(), zero.clone()),
            })
            .collect();
        nest.call(body, addresses, Vec::new());
    });
    let units = Units::Images {
        units: h,
        images: 1,
    };
    let work = w * vectors(c, cx.lanes()).0 * rows.work;
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    let kernel = nest.finish(cx.name.clone(), args.len());
    cx.step(kernel, args, domain);
}
