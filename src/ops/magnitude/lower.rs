//! Sums of squares of a filter or vector, and rows held to a norm. Lanes are output units.

use super::MaxNorm;
use crate::ir::{FilterOrder, Layout, Node};
use crate::kernel::{
    Address, BodyBuilder, BodyId, Cond, Count, Index, Int, LaneType, Lanes, NestBuilder, Op, Ptr,
    Reduce, Reg,
};
use crate::lower::access::vectors;
use crate::lower::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, split};

/// A tensor as rows that lie side by side: element e of all rows of a group is one run.
struct Rows {
    groups: usize,
    /// Rows of a group.
    count: usize,
    /// Elements of a row.
    elements: usize,
    /// Bytes between neighbouring elements of a row.
    stride: i64,
    /// The lanes of a group's last vector that may be read and written.
    last: Lanes,
}

impl Rows {
    fn of(cx: &Cx<'_>, layout: &Layout) -> Rows {
        match *layout {
            Layout::Filter {
                order: FilterOrder::Forward,
                groups,
                kcrs: [k, c, r, s],
                row,
                panels: 1,
            } => Rows {
                groups,
                count: k,
                elements: c * r * s,
                stride: row as i64 * ELEMENT,
                last: vectors(k, cx.lanes()).1,
            },
            Layout::Filter {
                order: FilterOrder::Depthwise,
                groups,
                kcrs: [_, _, r, s],
                row,
                panels: 1,
            } => Rows {
                groups: 1,
                count: groups,
                elements: r * s,
                stride: row as i64 * ELEMENT,
                last: vectors(groups, cx.lanes()).1,
            },
            Layout::Nhwc {
                map: [c, h, w],
                pixel,
                halo,
            } if halo.is_empty() => Rows {
                groups: 1,
                count: c,
                elements: h * w,
                stride: pixel as i64 * ELEMENT,
                last: vectors(c, cx.lanes()).1,
            },
            ref other => panic!("{}: {other} has no rows side by side", cx.name),
        }
    }

    /// Bytes of a group.
    fn group(&self) -> i64 {
        self.elements as i64 * self.stride
    }
}

/// A body for whole vectors of rows, where there are several vectors, and one for the last.
struct Bodies {
    whole: Option<BodyId>,
    last: BodyId,
    vectors: usize,
}

fn bodies(
    nest: &mut NestBuilder,
    vectors: usize,
    last: Lanes,
    make: &mut dyn FnMut(&mut NestBuilder, Lanes) -> BodyId,
) -> Bodies {
    Bodies {
        whole: (vectors > 1).then(|| make(nest, Lanes::All)),
        last: make(nest, last),
        vectors,
    }
}

impl Bodies {
    /// Calls the one that a vector takes.
    fn call(&self, nest: &mut NestBuilder, vector: Index, ptrs: &[Address], ints: &[Index]) {
        let call = |nest: &mut NestBuilder, body| nest.call(body, ptrs, ints);
        match self.whole {
            None => call(nest, self.last),
            Some(whole) => nest.if_else(
                Cond::Lt(vector, Index::Const(self.vectors as i64 - 1)),
                |nest| call(nest, whole),
                |nest| call(nest, self.last),
            ),
        }
    }
}

/// Elements of a row that one unit adds up: short enough that their sum keeps its digits and a large
/// filter makes many units.
const BLOCK: usize = 256;

/// Sums that are made side by side, to hide the latency of additions.
const INTERLEAVE: usize = 4;

/// Sums of each unit, then the sum of those in order.
pub fn sum_squares(cx: &mut Cx<'_>, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let rows = Rows::of(cx, cx.layout(from));
    let lanes = cx.lanes();
    let (n_vectors, last) = (rows.count.div_ceil(lanes), rows.last);
    let blocks = rows.elements.div_ceil(BLOCK);
    let slots = rows.groups * blocks * n_vectors;
    let sums = cx.scratch(slots * lanes);
    let vector_bytes = lanes as i64 * ELEMENT;
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let mut body = |nest: &mut NestBuilder, lanes: Lanes| {
        let mut b = BodyBuilder::new(format!("{}_rows", cx.name), cx.lanes());
        let (from, to) = (b.ptr_arg(), b.ptr_arg());
        let counts = [b.int_arg(), b.int_arg()];
        let sum = squares(&mut b, from, counts, rows.stride, lanes);
        b.store(to, 0, sum, Lanes::All);
        nest.add_body(b.finish())
    };
    let bodies = bodies(&mut nest, n_vectors, last, &mut body);
    nest.for_domain(|nest, unit| {
        let (rest, vector) = split(unit.clone(), n_vectors);
        let vector = nest.let_(vector);
        let (group, block) = split(rest, blocks);
        let first = nest.let_(block * BLOCK as i64);
        let count =
            nest.let_((Index::Const(rows.elements as i64) - first.clone()).min(BLOCK as i64));
        let offset = group * rows.group() + first * rows.stride + vector.clone() * vector_bytes;
        let offset = nest.let_(offset);
        let ptrs = vec![
            Address {
                arg: args.value(from),
                offset,
            },
            Address {
                arg: args.of(sums),
                offset: unit * vector_bytes,
            },
        ];
        let counts = vec![count.clone() / INTERLEAVE as i64, count % INTERLEAVE as i64];
        bodies.call(nest, vector, &ptrs, &counts);
    });
    let kernel = nest.finish(cx.name.clone(), args.len());
    let domain = Domain {
        units: Units::Fixed(slots),
        chunk: chunk(slots, BLOCK.min(rows.elements) * 2),
    };
    cx.step(kernel, args, domain);

    let mut b = BodyBuilder::new(format!("{}_slots", cx.name), lanes);
    let (from, into) = (b.ptr_arg(), b.ptr_arg());
    let total = zero(&mut b);
    let count = u32::try_from(slots).expect("a filter has fewer vectors than bytes");
    b.repeat(Count::Imm(count), |b| {
        let slot = b.load(from, 0, Lanes::All);
        b.add_into(total, total, slot);
        b.advance(from, vector_bytes);
    });
    let sum = b.reduce(Reduce::Sum, total);
    b.store(into, 0, sum, Lanes::First(1));
    let body = b.finish();
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let body = nest.add_body(body);
    nest.for_domain(|nest, _| {
        let ptrs = [sums, Buffer::Value(to)].map(|buffer| Address {
            arg: args.of(buffer),
            offset: Index::Const(0),
        });
        nest.call(body, ptrs.to_vec(), Vec::new());
    });
    let kernel = nest.finish(format!("{}_sum", cx.name), args.len());
    let domain = Domain {
        units: Units::Fixed(1),
        chunk: 1,
    };
    cx.step(kernel, args, domain);
}

/// Each vector of rows by itself: its squares are summed, then it is scaled.
pub fn max_norm(cx: &mut Cx<'_>, op: MaxNorm, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    assert_eq!(
        cx.layout(from),
        cx.layout(to),
        "{}: rows stay where they lie",
        cx.name
    );
    let rows = Rows::of(cx, cx.layout(from));
    let n_vectors = rows.count.div_ceil(cx.lanes());
    let mut args = Args::default();
    let mut nest = NestBuilder::new();
    let mut body = |nest: &mut NestBuilder, lanes: Lanes| {
        let mut b = BodyBuilder::new(format!("{}_rows", cx.name), cx.lanes());
        let (from, to) = (b.ptr_arg(), b.ptr_arg());
        let (turns, rest) = (
            Count::Imm((rows.elements / INTERLEAVE) as u32),
            Count::Imm((rows.elements % INTERLEAVE) as u32),
        );
        let start = b.ptr_copy(from, 0);
        let sum = squares_by(&mut b, start, [turns, rest], rows.stride, lanes);
        let norm = b.sqrt(sum);
        let limit = b.const_f(op.limit);
        let factor = b.div(limit, norm);
        let one = b.const_f(1.0);
        // Where the factor is NaN, it is the result.
        let factor = b.min(one, factor);
        let count = u32::try_from(rows.elements).expect("a row has fewer elements than bytes");
        b.repeat(Count::Imm(count), |b| {
            let x = b.load(from, 0, lanes);
            let y = b.mul(x, factor);
            b.store(to, 0, y, lanes);
            b.advance(from, rows.stride);
            b.advance(to, rows.stride);
        });
        nest.add_body(b.finish())
    };
    let bodies = bodies(&mut nest, n_vectors, rows.last, &mut body);
    nest.for_domain(|nest, unit| {
        let (group, vector) = split(unit, n_vectors);
        let vector = nest.let_(vector);
        let offset = group * rows.group() + vector.clone() * (cx.lanes() as i64 * ELEMENT);
        let offset = nest.let_(offset);
        let ptrs = [from, to].map(|value| Address {
            arg: args.value(value),
            offset: offset.clone(),
        });
        bodies.call(nest, vector, &ptrs, &[]);
    });
    let units = rows.groups * n_vectors;
    let kernel = nest.finish(cx.name.clone(), args.len());
    let domain = Domain {
        units: Units::Fixed(units),
        chunk: chunk(units, rows.elements * 3),
    };
    cx.step(kernel, args, domain);
}

fn squares(b: &mut BodyBuilder, from: Ptr, counts: [Int; 2], stride: i64, lanes: Lanes) -> Reg {
    squares_by(b, from, counts.map(Count::Arg), stride, lanes)
}

/// Σ x² over elements of a vector of rows: so many turns of several, then so many more.
fn squares_by(
    b: &mut BodyBuilder,
    from: Ptr,
    [turns, rest]: [Count; 2],
    stride: i64,
    lanes: Lanes,
) -> Reg {
    let sums: Vec<Reg> = (0..INTERLEAVE).map(|_| zero(b)).collect();
    let add = |b: &mut BodyBuilder, sum: Reg| {
        let x = b.load(from, 0, lanes);
        b.fma_into(sum, x, x, sum);
        b.advance(from, stride);
    };
    // A loop that never runs is none.
    if turns != Count::Imm(0) {
        b.repeat(turns, |b| {
            for &sum in &sums {
                add(b, sum);
            }
        });
    }
    if rest != Count::Imm(0) {
        b.repeat(rest, |b| add(b, sums[0]));
    }
    for &sum in &sums[1..] {
        b.add_into(sums[0], sums[0], sum);
    }
    sums[0]
}

fn zero(b: &mut BodyBuilder) -> Reg {
    let sum = b.reg(LaneType::F32);
    b.set(sum, Op::float(0.0));
    sum
}
