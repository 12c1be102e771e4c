//! Sums of many channels, place by place.
//!
//! Where each few vectors of channels go over all places by themselves, they read some cache lines of a place, and then of the
//! next one, and memory gives half of what it gives where it is read in order (measured: 10 against 20 GB/s to a core, with
//! anything between one place at a time and all of them). So each place is gone through with all its channels before the
//! next one, and the sums lie in the first-level cache meanwhile.

use super::super::access::{add, vectors};
use super::super::strided::{Axis, Operand, go, imm, load};
use super::super::{Args, Buffer, Cx, over_channels};
use super::{Along, Batch, Fold, Loops, MANY_CHANNELS, RUN, Rule};
use crate::kernel::{Address, Body, BodyBuilder, Index, LaneType, Lanes, NestBuilder, Op, Ptr};

/// Vectors of channels that are written out.
const UNROLL: usize = 4;

/// A sum that is made so.
pub(super) struct Places<'p> {
    fold: &'p Fold<'p>,
    loops: &'p Loops,
    /// The sources, then where the sums go.
    operands: &'p [Operand],
    /// Where the sums of some places go, if there are too many for one sum.
    parts: Vec<Operand>,
}

/// Where a chunk of images is.
pub(super) struct Chunk<'c> {
    /// Its number.
    pub(super) number: &'c Index,
    /// Its first image.
    pub(super) first: &'c Index,
    /// How many it has.
    pub(super) count: &'c Index,
}

/// The positions along the axes that are added up, outermost first.
struct At<'c> {
    chunk: &'c Chunk<'c>,
    image: Index,
    positions: Vec<Index>,
}

impl<'p> Places<'p> {
    /// The way to make a sum so; none if there are few channels, or there is more to it than a sum for each channel.
    /// A chunk has so many images.
    pub(super) fn of(
        cx: &mut Cx<'_>,
        fold: &'p Fold<'p>,
        loops: &'p Loops,
        operands: &'p [Operand],
        images: usize,
    ) -> Option<Places<'p>> {
        let suits = matches!(fold.rule, Rule::Sum(_))
            && loops.along == Along::Kept
            && loops.outer.count == 1
            && loops.kept.is_empty()
            && !loops.reduced.is_empty()
            && loops.lanes.count > MANY_CHANNELS;
        if !suits {
            return None;
        }
        let targets = &operands[fold.sources.len()..];
        let parts = match loops.terms() * images > RUN {
            false => Vec::new(),
            true => {
                let size = loops.lanes.count.next_multiple_of(cx.lanes());
                let units = cx.batch.div_ceil(images);
                let part = |target: &Operand| Operand {
                    buffer: cx.scratch(units * size),
                    origin: 0,
                    image: size as i64 * super::ELEMENT,
                    ..*target
                };
                targets.iter().map(part).collect()
            }
        };
        Some(Places {
            fold,
            loops,
            operands,
            parts,
        })
    }

    /// The buffers of its own.
    pub(super) fn buffers(&self) -> impl Iterator<Item = Buffer> {
        self.parts.iter().map(|part| part.buffer)
    }

    fn targets(&self) -> &[Operand] {
        &self.operands[self.fold.sources.len()..]
    }

    /// Emits the loops over a chunk.
    pub(super) fn emit(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        cx: &Cx<'_>,
        chunk: &Chunk<'_>,
    ) {
        self.zero(nest, args, cx, chunk, self.targets());
        let mut image = |nest: &mut NestBuilder, image: Index| {
            let mut at = At {
                chunk,
                image,
                positions: Vec::new(),
            };
            self.axes(nest, args, cx, &mut at);
        };
        match self.fold.batch {
            Batch::Summed => nest.for_(0, chunk.count.clone(), 1, image),
            Batch::None | Batch::Kept => image(nest, Index::Const(0)),
        }
    }

    /// Loops over the axes that are left.
    fn axes(&self, nest: &mut NestBuilder, args: &mut Args, cx: &Cx<'_>, at: &mut At<'_>) {
        let reduced = &self.loops.reduced;
        let depth = at.positions.len();
        let axis = &reduced[depth];
        let mut inside = |nest: &mut NestBuilder, position: Index, places: Option<usize>| {
            at.positions.push(position);
            match places {
                None => self.axes(nest, args, cx, at),
                Some(places) => self.run(nest, args, cx, at, places),
            }
            at.positions.pop();
        };
        if reduced.len() > depth + 1 {
            nest.for_(0, axis.count as i64, 1, |nest, at| inside(nest, at, None));
            return;
        }
        let run = axis.count.min(RUN);
        let (whole, rest) = (axis.count / run, axis.count % run);
        let end = (whole * run) as i64;
        match whole {
            1 => inside(nest, Index::Const(0), Some(run)),
            _ => nest.for_(0, end, run as i64, |nest, at| inside(nest, at, Some(run))),
        }
        if rest > 0 {
            inside(nest, Index::Const(end), Some(rest));
        }
    }

    /// Adds up a run of places.
    fn run(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        cx: &Cx<'_>,
        at: &At<'_>,
        places: usize,
    ) {
        let to = match self.parts.as_slice() {
            [] => self.targets(),
            parts => {
                self.zero(nest, args, cx, at.chunk, parts);
                parts
            }
        };
        let body = nest.add_body(self.body(cx, places));
        let image = at.chunk.first.clone() + at.image.clone();
        let sources = self
            .fold
            .sources
            .iter()
            .enumerate()
            .map(|(number, source)| {
                let mut address = source.address(args, &image);
                for (axis, position) in self.loops.reduced.iter().zip(&at.positions) {
                    if axis.steps[number] != 0 {
                        let along = position.clone() * axis.steps[number];
                        address.offset = add(address.offset, along);
                    }
                }
                address
            });
        let mut ptrs: Vec<Address> = sources.collect();
        ptrs.extend(to.iter().map(|to| to.address(args, at.chunk.number)));
        nest.call(body, ptrs, Vec::new());
        if !self.parts.is_empty() {
            self.add_parts(nest, args, cx, at.chunk);
        }
    }

    /// Calls a body for each vector of channels of some operands.
    fn over(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        cx: &Cx<'_>,
        (chunk, operands): (&Chunk<'_>, &[&Operand]),
        body: impl Fn(&mut BodyBuilder, &[Ptr], Lanes),
    ) {
        let channels = self.loops.lanes.count;
        over_channels(nest, channels, cx.lanes(), |nest, channel, width| {
            let mut b = BodyBuilder::new(format!("{}_channels", cx.name), cx.lanes());
            let ptrs: Vec<Ptr> = operands.iter().map(|_| b.ptr_arg()).collect();
            body(&mut b, &ptrs, width);
            let body = nest.add_body(b.finish());
            let addresses = operands.iter().map(|operand| {
                let mut address = operand.address(args, chunk.number);
                let along = channel.clone() * super::ELEMENT;
                address.offset = add(address.offset, along);
                address
            });
            let addresses: Vec<Address> = addresses.collect();
            nest.call(body, addresses, Vec::new());
        });
    }

    fn zero(
        &self,
        nest: &mut NestBuilder,
        args: &mut Args,
        cx: &Cx<'_>,
        chunk: &Chunk<'_>,
        operands: &[Operand],
    ) {
        let operands: Vec<&Operand> = operands.iter().collect();
        self.over(nest, args, cx, (chunk, &operands), |b, ptrs, width| {
            let zero = b.reg(LaneType::F32);
            b.set(zero, Op::float(0.0));
            for &ptr in ptrs {
                b.store(ptr, 0, zero, width);
            }
        });
    }

    fn add_parts(&self, nest: &mut NestBuilder, args: &mut Args, cx: &Cx<'_>, chunk: &Chunk<'_>) {
        let operands: Vec<&Operand> = self.targets().iter().chain(&self.parts).collect();
        self.over(nest, args, cx, (chunk, &operands), |b, ptrs, width| {
            let (targets, parts) = ptrs.split_at(ptrs.len() / 2);
            for (&target, &part) in targets.iter().zip(parts) {
                let before = b.load(target, 0, width);
                let part = b.load(part, 0, width);
                let after = b.add(before, part);
                b.store(target, 0, after, width);
            }
        });
    }

    /// So many places, added to the sums.
    fn body(&self, cx: &Cx<'_>, places: usize) -> Body {
        let Rule::Sum(terms) = self.fold.rule else {
            panic!("{}: places are added up", cx.name)
        };
        let lanes = cx.lanes();
        let mut b = BodyBuilder::new(format!("{}_places", cx.name), lanes);
        let ptrs: Vec<Ptr> = self.operands.iter().map(|_| b.ptr_arg()).collect();
        let (sources, targets) = ptrs.split_at(self.fold.sources.len());
        let along = &self.loops.lanes;
        let add = |b: &mut BodyBuilder, vector: usize, width: Lanes| {
            let off = |step: i64| {
                let off = (vector * lanes) as i64 * step;
                i32::try_from(off).expect("some vectors are within two gigabytes")
            };
            let sources = sources.iter().zip(&self.fold.sources).enumerate();
            let loads = sources.map(|(at, (&ptr, source))| {
                let step = along.steps[at];
                load(b, ptr, off(step), step, width, source.lane_type)
            });
            let loads: Vec<_> = loads.collect();
            for (&target, term) in targets.iter().zip(terms(b, vector, &loads)) {
                let off = off(super::ELEMENT);
                let before = b.load(target, off, width);
                let after = b.add(before, term);
                b.store(target, off, after, width);
            }
        };
        // Sums have no distance along places.
        let place = self.loops.reduced.last().expect("there is one");
        let mut steps = place.steps[..sources.len()].to_vec();
        steps.resize(ptrs.len(), 0);
        let place = Axis::new(places, steps);
        b.repeat(imm(places), |b| {
            over_vectors(b, &ptrs, along, add);
            go(b, &ptrs, None, &place, 1);
        });
        b.finish()
    }
}

/// Visits the vectors of an axis in order. A visit is told how many vectors from where the pointers stand its own is, and the
/// lanes in use. The pointers come back.
pub fn over_vectors(
    b: &mut BodyBuilder,
    ptrs: &[Ptr],
    axis: &Axis,
    visit: impl Fn(&mut BodyBuilder, usize, Lanes),
) {
    let lanes = b.lanes();
    let (count, last) = vectors(axis.count, lanes);
    let whole = count - usize::from(last != Lanes::All);
    let (groups, rest) = (whole / UNROLL, whole % UNROLL);
    let group = (UNROLL * lanes) as i64;
    if groups > 0 {
        b.repeat(imm(groups), |b| {
            (0..UNROLL).for_each(|vector| visit(b, vector, Lanes::All));
            go(b, ptrs, None, axis, group);
        });
    }
    (0..rest).for_each(|vector| visit(b, vector, Lanes::All));
    if last != Lanes::All {
        visit(b, rest, last);
    }
    go(b, ptrs, None, axis, -(groups as i64 * group));
}
