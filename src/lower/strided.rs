//! Loops over any axes of values that lie as maps: each operand has a distance of its own along each
//! axis, so moving, stretching, cutting, joining and turning values are one loop.

use super::access::add;
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, split};
use crate::ir::{DType, Layout, ValueId};
use crate::kernel::{Address, BodyBuilder, Count, Index, LaneType, Lanes, Ptr, Reg};

/// An axis of a loop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Axis {
    /// How many.
    pub count: usize,
    /// The distance of neighbours, in bytes, for each operand.
    pub steps: Vec<i64>,
    /// How far the number that a loop may count moves.
    pub number: i64,
}

impl Axis {
    /// An axis that counts nothing.
    pub fn new(count: usize, steps: impl Into<Vec<i64>>) -> Axis {
        Axis {
            count,
            steps: steps.into(),
            number: 0,
        }
    }

    /// Whether this axis goes on where `inner` ends, for every operand and for the number.
    fn follows(&self, inner: &Axis) -> bool {
        let count = inner.count as i64;
        self.number == inner.number * count
            && self
                .steps
                .iter()
                .zip(&inner.steps)
                .all(|(&outer, &inner)| outer == inner * count)
    }
}

/// Drops axes of one, and joins neighbours that are one run. Axes go from the outermost on.
pub fn merged(axes: impl IntoIterator<Item = Axis>) -> Vec<Axis> {
    let mut merged: Vec<Axis> = Vec::new();
    for axis in axes.into_iter().filter(|axis| axis.count != 1) {
        match merged.last_mut() {
            Some(outer) if outer.follows(&axis) => {
                let count = outer.count * axis.count;
                *outer = Axis { count, ..axis };
            }
            _ => merged.push(axis),
        }
    }
    merged
}

/// A buffer that a loop reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operand {
    /// The buffer.
    pub buffer: Buffer,
    /// The first byte.
    pub origin: i64,
    /// The distance of images in bytes; zero if there is one for all.
    pub image: i64,
    /// What an element is.
    pub lane_type: LaneType,
}

impl Operand {
    /// A value of the graph.
    pub fn value(cx: &Cx<'_>, value: ValueId) -> Operand {
        let (layout, ty) = (cx.layout(value), cx.graph.ty(value));
        let image = layout.image_stride() as i64 * ELEMENT;
        Operand {
            buffer: Buffer::Value(value),
            origin: layout.origin() as i64 * ELEMENT,
            image: if ty.shape.batched { image } else { 0 },
            lane_type: match ty.dtype {
                DType::F32 => LaneType::F32,
                DType::I32 => LaneType::I32,
            },
        }
    }

    /// The same, some bytes further on.
    pub fn at(self, bytes: i64) -> Operand {
        Operand {
            origin: self.origin + bytes,
            ..self
        }
    }

    /// The place of an image.
    pub fn address(&self, args: &mut Args, image: &Index) -> Address {
        let mut offset = Index::Const(self.origin);
        if self.image != 0 {
            offset = add(offset, image.clone() * self.image);
        }
        Address {
            arg: args.of(self.buffer),
            offset,
        }
    }
}

/// The distances of neighbours along each logical axis of a value, in bytes.
///
/// # Panics
///
/// The value does not lie as its own shape says: it is a filter or a flattened map.
pub fn steps(cx: &Cx<'_>, value: ValueId) -> Vec<i64> {
    let dims = cx.graph.dims(value);
    let layout = cx.layout(value);
    let plain = matches!(layout, Layout::Nhwc { map, .. } if cx.graph.ty(value).shape.chw() == (*map).into());
    assert!(plain, "{value} of {dims:?} lies in {layout}");
    let [channel, row, pixel] = map_steps(layout);
    (0..dims.len())
        .map(|axis| match axis {
            0 => channel,
            1 => row,
            _ => pixel * dims[axis + 1..].iter().product::<usize>() as i64,
        })
        .collect()
}

/// The distances of channels, rows and pixels of a map, in bytes.
pub fn map_steps(layout: &Layout) -> [i64; 3] {
    let Layout::Nhwc { pixel, .. } = *layout else {
        panic!("{layout} is no map");
    };
    [1, layout.row_stride(), pixel].map(|elements| elements as i64 * ELEMENT)
}

/// Computes an element of the destination from the sources' elements and, if an axis counts, the
/// number that the axes count, all in registers.
pub type Visit<'m> = dyn Fn(&mut BodyBuilder, &[Reg], Option<Reg>) -> Reg + 'm;

/// A loop that writes each element of a destination once.
pub struct Moves<'m> {
    /// What is read.
    pub sources: Vec<Operand>,
    /// What is written.
    pub destination: Operand,
    /// Whether there is a map an image.
    pub batched: bool,
    /// The axes, in any order; steps are those of the sources, then the destination's.
    pub axes: Vec<Axis>,
    /// What is written.
    pub visit: &'m Visit<'m>,
}

/// Appends a copy of elements of four bytes, whatever they are; the axes' steps are those of the
/// source and of the destination.
pub fn copy(cx: &mut Cx<'_>, name: &str, from: Operand, to: Operand, axes: Vec<Axis>) {
    let moves = Moves {
        sources: vec![from],
        destination: to,
        batched: to.image != 0,
        axes,
        visit: &|_, loads, _| loads[0],
    };
    lower(cx, name, &moves);
}

/// Appends the loop as a step.
pub fn lower(cx: &mut Cx<'_>, name: &str, moves: &Moves<'_>) {
    let lanes = cx.lanes();
    let operands: Vec<Operand> = moves
        .sources
        .iter()
        .copied()
        .chain([moves.destination])
        .collect();
    let last = operands.len() - 1;
    let mut axes = moves.axes.clone();
    // Writing in order of memory; of axes that do not move the destination there are none but those
    // of one.
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.steps[last]));
    let mut axes = merged(axes);
    let mut inner = match axes.pop_if(|axis| axis.steps[last] == ELEMENT) {
        Some(inner) => inner,
        // One element at a time.
        None => Axis::new(1, vec![ELEMENT; operands.len()]),
    };
    turn(&mut axes, &mut inner, lanes);
    // The longest of those around the innermost loop is shared out.
    let around = axes.len().saturating_sub(1).max(1).min(axes.len());
    let longest = (0..around).rev().max_by_key(|&at| axes[at].count);
    let outer = match longest {
        Some(at) => axes.remove(at),
        None => Axis::new(1, vec![0; operands.len()]),
    };
    let mut args = Args::touching(operands.iter().map(|operand| operand.buffer));
    let kernel = cx.emit(name, &mut args, |nest, args| {
        let body = {
            let mut b = BodyBuilder::new(format!("{name}_run"), lanes);
            let ptrs: Vec<Ptr> = operands.iter().map(|_| b.ptr_arg()).collect();
            let counts = axes
                .iter()
                .chain([&inner, &outer])
                .any(|axis| axis.number != 0);
            let number = counts.then(|| {
                let first = b.int_arg();
                let base = b.splat(first);
                let iota = b.iota();
                let step = b.const_i(inner.number as i32);
                let lanes = b.imul(iota, step);
                b.iadd(base, lanes)
            });
            nested(&mut b, &ptrs, number, &axes, &mut |b| {
                run(b, moves, &ptrs, number, &inner);
            });
            b.finish()
        };
        let counts = body.int_args > 0;
        let body = nest.add_body(body);
        nest.for_domain(|nest, unit| {
            let (image, turn) = split(unit, outer.count);
            let addresses: Vec<Address> = operands
                .iter()
                .zip(&outer.steps)
                .map(|(operand, &step)| {
                    let address = operand.address(args, &image);
                    let offset = if step == 0 {
                        address.offset
                    } else {
                        add(address.offset, turn.clone() * step)
                    };
                    Address { offset, ..address }
                })
                .collect();
            let ints = if counts {
                vec![turn * outer.number]
            } else {
                Vec::new()
            };
            nest.call(body, addresses, ints);
        });
    });
    let units = if moves.batched {
        Units::Images {
            units: outer.count,
            images: 1,
        }
    } else {
        Units::Fixed(outer.count)
    };
    let turns: usize = axes.iter().map(|axis| axis.count).product();
    let gathers = inner.steps[..last].iter().any(|&step| step > ELEMENT);
    let work = turns * inner.count.div_ceil(if gathers { 1 } else { lanes });
    let total = units.count(cx.batch);
    let domain = Domain {
        units,
        chunk: chunk(total, work),
    };
    cx.step(kernel, args, domain);
}

/// Vectors of a row that are written before the next row, where lanes are read from lines of their own.
const TURNED: usize = 4;

/// Where what is written in a row is read from places apart, the lines that it is read from hold the next rows' elements too:
/// rows are written in short pieces, so that the lines are still near when the next row comes.
fn turn(axes: &mut Vec<Axis>, inner: &mut Axis, lanes: usize) {
    let sources = inner.steps.len() - 1;
    let apart = |source: usize| inner.steps[source].abs() > ELEMENT;
    let near = axes
        .iter()
        .position(|axis| (0..sources).any(|source| apart(source) && axis.steps[source] == ELEMENT));
    let Some(near) = near else { return };
    let near = axes.remove(near);
    let vectors = inner.count / lanes;
    if inner.count.is_multiple_of(lanes) && vectors > TURNED {
        let divides = |&piece: &usize| vectors.is_multiple_of(piece);
        let piece = (1..=TURNED).rev().find(divides).unwrap_or(1) * lanes;
        axes.push(Axis {
            count: inner.count / piece,
            steps: inner.steps.iter().map(|step| step * piece as i64).collect(),
            number: inner.number * piece as i64,
        });
        inner.count = piece;
    }
    axes.push(near);
}

/// Repeats what `fill` adds along axes, the outermost first; pointers and number end where they were.
pub fn nested(
    b: &mut BodyBuilder,
    ptrs: &[Ptr],
    number: Option<Reg>,
    axes: &[Axis],
    fill: &mut dyn FnMut(&mut BodyBuilder),
) {
    let Some((axis, inner)) = axes.split_first() else {
        fill(b);
        return;
    };
    b.repeat(imm(axis.count), |b| {
        nested(b, ptrs, number, inner, fill);
        go(b, ptrs, number, axis, 1);
    });
    go(b, ptrs, number, axis, -(axis.count as i64));
}

/// Moves pointers and number so many elements along an axis.
pub fn go(b: &mut BodyBuilder, ptrs: &[Ptr], number: Option<Reg>, axis: &Axis, elements: i64) {
    for (&ptr, &step) in ptrs.iter().zip(&axis.steps) {
        b.advance(ptr, step * elements);
    }
    if let Some(number) = number
        && axis.number * elements != 0
    {
        let step = b.const_i((axis.number * elements) as i32);
        let next = b.iadd(number, step);
        b.copy_into(number, next);
    }
}

/// A static count of turns.
pub fn imm(count: usize) -> Count {
    Count::Imm(u32::try_from(count).expect("an axis fits 32 bits"))
}

/// Lanes along an axis, some bytes from where a pointer stands: adjacent, the same for all, or apart.
pub fn load(
    b: &mut BodyBuilder,
    ptr: Ptr,
    off: i32,
    step: i64,
    lanes: Lanes,
    lane_type: LaneType,
) -> Reg {
    match step {
        0 => b.broadcast_as(ptr, off, lane_type),
        ELEMENT => b.load_as(ptr, off, lanes, lane_type),
        step => {
            let stride = i32::try_from(step).expect("neighbours are less than two gigabytes apart");
            let loaded = b.gather(ptr, off, stride, lanes);
            match lane_type {
                LaneType::F32 => loaded,
                LaneType::I32 => b.as_int(loaded),
            }
        }
    }
}

/// The innermost axis, vector by vector.
fn run(b: &mut BodyBuilder, moves: &Moves<'_>, ptrs: &[Ptr], number: Option<Reg>, inner: &Axis) {
    let lanes = b.lanes();
    let (whole, rest) = (inner.count / lanes, inner.count % lanes);
    let visit = |b: &mut BodyBuilder, lanes: Lanes| {
        let loads: Vec<Reg> = moves
            .sources
            .iter()
            .zip(ptrs)
            .zip(&inner.steps)
            .map(|((source, &ptr), &step)| load(b, ptr, 0, step, lanes, source.lane_type))
            .collect();
        let result = (moves.visit)(b, &loads, number);
        b.store(ptrs[ptrs.len() - 1], 0, result, lanes);
    };
    if whole > 0 {
        b.repeat(imm(whole), |b| {
            visit(b, Lanes::All);
            go(b, ptrs, number, inner, lanes as i64);
        });
    }
    if rest > 0 {
        visit(b, Lanes::First(rest as u8));
    }
    go(b, ptrs, number, inner, -((whole * lanes) as i64));
}
