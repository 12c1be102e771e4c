//! Loops over the channels of each pixel, for operators that look at all of them: softmax, the
//! cross-entropy, windows across channels, lists of channels.

use super::access::{Access, Space, vectors};
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, split};
use crate::ir::ValueId;
use crate::kernel::BodyBuilder;
use crate::kernel::{Address, Count, Index, Lanes, Op, Ptr, Reg};

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
    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.channels
    }

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
    let name = cx.name.clone();
    lower_as(cx, &name, rows, &[]);
}

/// Appends the step under a name, its code being given a pointer to a buffer of its own for each of
/// some sizes, in elements, after the pointers of the values.
pub fn lower_as(cx: &mut Cx<'_>, name: &str, rows: &Rows<'_>, scratch: &[usize]) {
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
    let units = Units::Images {
        units: h,
        images: 1,
    };
    // One buffer for each unit of work, as units run side by side.
    let scratch: Vec<(Buffer, i64)> = scratch
        .iter()
        .map(|&size| {
            let all = cx.scratch(units.count(cx.batch) * size);
            (all, size as i64 * ELEMENT)
        })
        .collect();
    let mut args = Args::touching(
        rows.values
            .iter()
            .map(|&value| Buffer::Value(value))
            .chain(scratch.iter().map(|&(buffer, _)| buffer)),
    );
    let kernel = cx.emit(name, &mut args, |nest, args| {
        let mut b = BodyBuilder::new(format!("{name}_row"), cx.lanes());
        let pointers = accesses.len() + scratch.len();
        let ptrs: Vec<Ptr> = (0..pointers).map(|_| b.ptr_arg()).collect();
        b.repeat(Count::Imm(w as u32), |b| {
            (rows.pixel)(b, &row, &ptrs);
            for (&ptr, access) in ptrs.iter().zip(&accesses) {
                b.advance(ptr, access.pixel);
            }
        });
        let body = b.finish();
        let body = nest.add_body(body);
        nest.for_domain(|nest, unit| {
            let own = scratch
                .iter()
                .map(|&(buffer, size)| (buffer, unit.clone() * size));
            let own: Vec<(Buffer, Index)> = own.collect();
            let (image, row) = split(unit, h);
            let zero = Index::Const(0);
            let of_values = rows.values.iter().zip(&accesses).map(|(&value, access)| {
                let offset = access.at(image.clone(), row.clone(), zero.clone(), zero.clone());
                (Buffer::Value(value), offset)
            });
            let addresses: Vec<Address> = of_values
                .chain(own)
                .map(|(buffer, offset)| Address {
                    arg: args.of(buffer),
                    offset,
                })
                .collect();
            nest.call(body, addresses, Vec::new());
        });
    });
    let work = w * vectors(c, cx.lanes()).0 * rows.work;
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    cx.step(kernel, args, domain);
}
