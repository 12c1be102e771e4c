//! Sums and maxima along any axes of maps, and over the batch.
//!
//! Sums are made level by level: an axis of its own accumulator, and a long axis in runs of at most
//! `RUN`, each with several accumulators side by side. So a sum's error grows with the length of a
//! run and the number of levels, and not with the number of terms. Sums over the batch are made chunk
//! by chunk of images and the chunks added in order, whatever the number of threads.

mod maximum;
pub mod places;

use super::access::add;
use super::strided::{Axis, Operand, go, imm, load, merged, nested};
use super::{
    Args, Buffer, Cx, Domain, ELEMENT, Units, chunk, over_channels_abreast, partial, split,
};
use crate::codegen::Target;
use crate::ir::ValueId;
use crate::kernel::{
    Address, Body, BodyBuilder, Count, Index, Int, LaneType, Lanes, NestBuilder, Op, Ptr, Reduce,
    Reg,
};
use maximum::maximum;
use places::{Chunk, Places};

/// Accumulators of a sum, side by side; hides the latency of additions. No machine has others, so that all add in one order.
const INTERLEAVE: usize = 4;

/// Turns of a loop that one accumulator takes at most. Two levels of them hold a million vectors,
/// and the error bound of a sum in f32 stays below `RUN / INTERLEAVE` units in the last place a level.
const RUN: usize = 1024;

/// Vectors of results that are summed at once at most.
const MOST_ABREAST: usize = 4;

/// Channels of which more are gone through place by place, whatever the machine: see [`places`].
pub const MANY_CHANNELS: usize = 64;

/// Images of a chunk, so that a batch makes at most this many partial results.
const MAX_CHUNKS: usize = 16;

/// Makes the terms of one place from the sources there, in the vector of that number of those that are abreast.
pub type Terms<'s> = dyn Fn(&mut BodyBuilder, usize, &[Reg]) -> Vec<Reg> + 's;

/// What is done along the reduced axes.
#[derive(Clone, Copy)]
pub enum Rule<'s> {
    /// Terms are added up, one sum a result.
    Sum(&'s Terms<'s>),
    /// The greatest of the one source, a NaN if there is one; and, if there are two results, the
    /// number of its place, which the axes count, as an integer: the first one's of several.
    Max,
}

/// What becomes of the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Batch {
    /// There is none.
    None,
    /// A result for each image.
    Kept,
    /// One result for all images.
    Summed,
}

/// A reduction.
pub struct Fold<'s> {
    /// What is read.
    pub sources: Vec<Operand>,
    /// What is made.
    pub results: Vec<ValueId>,
    /// The axes that stay; steps are those of the sources, then of the results.
    pub kept: Vec<Axis>,
    /// The axes that are reduced, in the order of their numbers; steps are those of the sources.
    pub reduced: Vec<Axis>,
    /// What becomes of the batch.
    pub batch: Batch,
    /// What is computed.
    pub rule: Rule<'s>,
}

/// Where the lanes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Along {
    /// Along an axis that stays: each lane has a result of its own.
    Kept,
    /// Along a reduced axis: lanes are reduced at the end.
    Reduced,
    /// Nowhere: one element at a time.
    Nothing,
}

/// A reduction with its loops in order.
struct Loops {
    /// The lanes' axis.
    lanes: Axis,
    along: Along,
    /// The axis that is split over the domain.
    outer: Axis,
    /// The other axes that stay.
    kept: Vec<Axis>,
    reduced: Vec<Axis>,
}

impl Loops {
    fn new(fold: &Fold<'_>, lanes: usize) -> Loops {
        let sources = fold.sources.len();
        let mut kept = fold.kept.clone();
        kept.sort_by_key(|axis| std::cmp::Reverse(axis.steps[sources]));
        let (mut kept, mut reduced) = (merged(kept), merged(fold.reduced.clone()));
        let adjacent = |axis: &Axis| axis.steps[..sources].contains(&ELEMENT);
        let written = |axis: &Axis| axis.steps[sources..].iter().all(|&step| step == ELEMENT);
        let inner = reduced
            .iter()
            .position(|axis| adjacent(axis) && axis.steps.iter().all(|&step| step == ELEMENT));
        // Positions are counted in the order of the axes, so a maximum's lanes lie along the last.
        let inner =
            inner.filter(|&at| matches!(fold.rule, Rule::Sum(_)) || at + 1 == reduced.len());
        let stays = kept.iter().position(&written);
        // Lanes apart in memory cost a load each; lanes beyond a short axis idle.
        let reads_apart = stays.is_some_and(|at| !adjacent(&kept[at]));
        let long = inner.is_some_and(|at| reduced[at].count >= lanes / 2);
        let (lanes, along) = match (inner, stays) {
            (Some(at), None) => (reduced.remove(at), Along::Reduced),
            (Some(at), Some(_)) if reads_apart && long => (reduced.remove(at), Along::Reduced),
            (_, Some(at)) => (kept.remove(at), Along::Kept),
            (None, None) => {
                let steps = vec![ELEMENT; sources + fold.results.len()];
                (Axis::new(1, steps), Along::Nothing)
            }
        };
        let outer = if kept.is_empty() {
            Axis::new(1, vec![0; sources + fold.results.len()])
        } else {
            kept.remove(0)
        };
        Loops {
            lanes,
            along,
            outer,
            kept,
            reduced,
        }
    }

    /// Elements that one result is made of.
    fn terms(&self) -> usize {
        let lanes = match self.along {
            Along::Reduced => self.lanes.count,
            Along::Kept | Along::Nothing => 1,
        };
        lanes
            * self
                .reduced
                .iter()
                .map(|axis| axis.count)
                .product::<usize>()
    }
}

/// Appends the steps.
pub fn lower(cx: &mut Cx<'_>, fold: &Fold<'_>) {
    let images = match fold.batch {
        Batch::Summed => cx.batch.div_ceil(MAX_CHUNKS),
        Batch::None | Batch::Kept => 1,
    };
    let slots = match fold.batch {
        Batch::Summed => cx.batch.div_ceil(images),
        Batch::None | Batch::Kept => 1,
    };
    let targets: Vec<Operand> = fold
        .results
        .iter()
        .map(|&result| {
            let operand = Operand::value(cx, result);
            if slots == 1 {
                return operand;
            }
            let size = slot_size(cx, result);
            Operand {
                buffer: cx.scratch(slots * size),
                image: size as i64 * ELEMENT,
                ..operand
            }
        })
        .collect();
    reduce(cx, fold, &targets, images);
    if slots > 1 {
        for (index, (target, &result)) in targets.iter().zip(&fold.results).enumerate() {
            let name = format!("{}_sum{index}", cx.name);
            let size = slot_size(cx, result);
            let to = Buffer::Value(result);
            partial::add_slots(cx, &name, target.buffer, to, size, images);
        }
    }
}

/// Elements of a partial result: whole vectors, as they are added up.
fn slot_size(cx: &Cx<'_>, result: ValueId) -> usize {
    cx.layout(result)
        .image_stride()
        .next_multiple_of(cx.lanes())
}

fn reduce(cx: &mut Cx<'_>, fold: &Fold<'_>, targets: &[Operand], images: usize) {
    let loops = Loops::new(fold, cx.lanes());
    let operands: Vec<Operand> = fold.sources.iter().chain(targets).copied().collect();
    let n_vectors = match loops.along {
        Along::Kept => loops.lanes.count.div_ceil(cx.lanes()),
        Along::Reduced | Along::Nothing => 1,
    };
    let is_fixed = |&at: &usize| {
        let moves = loops.reduced.iter().any(|axis| axis.steps[at] != 0);
        !moves && (fold.batch != Batch::Summed || operands[at].image == 0)
    };
    let n_fixed = (0..fold.sources.len()).filter(is_fixed).count();
    let abreast = match fold.rule {
        Rule::Sum(_) => abreast(cx.target, targets.len(), n_fixed),
        Rule::Max => 1,
    };
    let places = Places::of(cx, fold, &loops, &operands, images);
    let own = places.iter().flat_map(Places::buffers);
    let buffers = operands.iter().map(|operand| operand.buffer).chain(own);
    let mut args = Args::touching(buffers);
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        nest.for_domain(|nest, unit| {
            let (chunk, turn) = split(unit, loops.outer.count);
            let first = nest.let_(chunk.clone() * images as i64);
            let count = nest.let_((Index::Batch - first.clone()).min(images as i64));
            if let Some(places) = &places {
                let chunk = Chunk {
                    number: &chunk,
                    first: &first,
                    count: &count,
                };
                return places.emit(nest, args, cx, &chunk);
            }
            let mut call = |nest: &mut NestBuilder, lane: Index, abreast: usize, width: Lanes| {
                let body = nest.add_body(body(cx, fold, &loops, &operands, (abreast, width)));
                let mut ptrs: Vec<Address> = Vec::with_capacity(operands.len());
                for (position, operand) in operands.iter().enumerate() {
                    let is_source = position < fold.sources.len();
                    let mut address =
                        operand.address(args, if is_source { &first } else { &chunk });
                    for (index, step) in [
                        (&turn, loops.outer.steps[position]),
                        (
                            &lane,
                            if loops.along == Along::Kept {
                                loops.lanes.steps[position]
                            } else {
                                0
                            },
                        ),
                    ] {
                        if step != 0 {
                            address.offset = add(address.offset, index.clone() * step);
                        }
                    }
                    ptrs.push(address);
                }
                let ints = if fold.batch == Batch::Summed {
                    vec![count.clone()]
                } else {
                    Vec::new()
                };
                nest.call(body, ptrs, ints);
            };
            match loops.along {
                Along::Kept => {
                    let channels = loops.lanes.count;
                    over_channels_abreast(nest, channels, cx.lanes(), abreast, call);
                }
                Along::Reduced | Along::Nothing => call(nest, Index::Const(0), 1, Lanes::First(1)),
            }
        });
    });
    let outer = loops.outer.count;
    let units = match fold.batch {
        Batch::None => Units::Fixed(outer),
        Batch::Kept | Batch::Summed => Units::Images {
            units: outer,
            images,
        },
    };
    let results: usize = loops.kept.iter().map(|axis| axis.count).product();
    let terms = match loops.along {
        Along::Reduced => loops.terms().div_ceil(cx.lanes()),
        Along::Kept | Along::Nothing => loops.terms(),
    };
    let work = images * n_vectors * results * terms * operands.len();
    let domain = Domain {
        units,
        chunk: chunk(units.count(cx.batch), work),
    };
    cx.step(kernel, args, domain);
}

/// How many vectors of results are summed at once at most, each having so many sums, and so many operands that are the same
/// at all places of a sum: as many as leave an eighth of the registers.
pub fn abreast(target: &Target, sums: usize, fixed: usize) -> usize {
    (target.registers * 7 / 8 / (sums * INTERLEAVE + fixed)).clamp(1, MOST_ABREAST)
}

/// All results of some vectors of the lanes' axis, and the lanes in use if it is one.
fn body(
    cx: &Cx<'_>,
    fold: &Fold<'_>,
    loops: &Loops,
    operands: &[Operand],
    (abreast, width): (usize, Lanes),
) -> Body {
    let mut b = BodyBuilder::new(format!("{}_fold", cx.name), cx.lanes());
    let ptrs: Vec<Ptr> = operands.iter().map(|_| b.ptr_arg()).collect();
    let images = (fold.batch == Batch::Summed).then(|| b.int_arg());
    nested(&mut b, &ptrs, None, &loops.kept, &mut |b| {
        let (sources, targets) = ptrs.split_at(fold.sources.len());
        let results = match fold.rule {
            Rule::Sum(terms) => {
                let sum = Sum {
                    operands: &operands[..sources.len()],
                    lanes: &loops.lanes,
                    along: loops.along,
                    reduced: &loops.reduced,
                    terms,
                    sums: targets.len(),
                    abreast,
                    width,
                };
                sum.emit(b, sources, images)
            }
            Rule::Max => {
                assert_eq!(images, None, "{}: no maximum over the batch", cx.name);
                maximum(
                    b,
                    loops,
                    operands[0].lane_type,
                    sources[0],
                    targets.len(),
                    width,
                )
            }
        };
        for (number, result) in results.into_iter().enumerate() {
            let (vector, target) = (number / targets.len(), number % targets.len());
            let off = vector as i32 * b.vector_bytes();
            b.store(targets[target], off, result, width);
        }
    });
    b.finish()
}

/// The sums of one vector, or of several that are neighbours.
pub struct Sum<'s> {
    /// What is read.
    operands: &'s [Operand],
    lanes: &'s Axis,
    along: Along,
    reduced: &'s [Axis],
    terms: &'s Terms<'s>,
    sums: usize,
    /// How many vectors; several only where lanes stay.
    abreast: usize,
    width: Lanes,
}

impl<'s> Sum<'s> {
    /// A sum over pixels of a map and perhaps images, a lane a channel, for some vectors of channels; for bodies that need
    /// more than one pass.
    pub fn of_channels(
        operands: &'s [Operand],
        lanes: &'s Axis,
        reduced: &'s [Axis],
        terms: &'s Terms<'s>,
        (abreast, width): (usize, Lanes),
    ) -> Sum<'s> {
        Sum {
            operands,
            lanes,
            along: Along::Kept,
            reduced,
            terms,
            sums: 1,
            abreast,
            width,
        }
    }

    /// Emits the loops; pointers end where they were. What comes of it are the sums of the first vector, then those of the
    /// next.
    pub fn emit(&self, b: &mut BodyBuilder, ptrs: &[Ptr], images: Option<Int>) -> Vec<Reg> {
        // What is the same at every place is read once.
        let fixed: Vec<Option<Vec<Reg>>> = (0..ptrs.len())
            .map(|at| {
                let moves = self.reduced.iter().any(|axis| axis.steps[at] != 0)
                    || (images.is_some() && self.operands[at].image != 0)
                    || (self.along == Along::Reduced && self.lanes.steps[at] != 0)
                    || ptrs.len() == 1;
                let mut read = |vector| self.read(b, ptrs, at, (0, vector), self.width);
                (!moves).then(|| (0..self.abreast).map(&mut read).collect())
            })
            .collect();
        let Some(images) = images else {
            let sums = self.level(b, ptrs, &fixed, self.reduced);
            return self.ended(b, sums);
        };
        let totals = self.zeros(b);
        // How far the images reach is not known here, so a copy walks over them.
        let walking: Vec<Ptr> = ptrs.iter().map(|&ptr| b.ptr_copy(ptr, 0)).collect();
        b.repeat(Count::Arg(images), |b| {
            let sums = self.level(b, &walking, &fixed, self.reduced);
            accumulate(b, &totals, &sums);
            for (&ptr, operand) in walking.iter().zip(self.operands) {
                b.advance(ptr, operand.image);
            }
        });
        self.ended(b, totals)
    }

    /// Folds the lanes if they are reduced.
    fn ended(&self, b: &mut BodyBuilder, sums: Vec<Reg>) -> Vec<Reg> {
        match self.along {
            Along::Reduced => {
                let folded = sums.into_iter().map(|sum| b.reduce(Reduce::Sum, sum));
                folded.collect()
            }
            Along::Kept | Along::Nothing => sums,
        }
    }

    fn zeros(&self, b: &mut BodyBuilder) -> Vec<Reg> {
        let zero = |b: &mut BodyBuilder| {
            let sum = b.reg(LaneType::F32);
            b.set(sum, Op::float(0.0));
            sum
        };
        (0..self.sums * self.abreast).map(|_| zero(b)).collect()
    }

    /// The sums along axes from where the pointers stand, which come back.
    fn level(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        fixed: &[Option<Vec<Reg>>],
        axes: &[Axis],
    ) -> Vec<Reg> {
        match axes {
            [] if self.along == Along::Reduced => self.vectors(b, ptrs, fixed),
            [] => self.place(b, ptrs, fixed, None, self.width),
            [axis] if self.along != Along::Reduced => self.line(b, ptrs, fixed, axis, self.width),
            [axis, inner @ ..] => self.runs(b, ptrs, axis, &mut |b, axis| {
                let totals = self.zeros(b);
                b.repeat(imm(axis.count), |b| {
                    let sums = self.level(b, ptrs, fixed, inner);
                    accumulate(b, &totals, &sums);
                    go(b, ptrs, None, axis, 1);
                });
                go(b, ptrs, None, axis, -(axis.count as i64));
                totals
            }),
        }
    }

    /// The sums along an axis in runs that one accumulator takes.
    fn runs(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        axis: &Axis,
        run: &mut dyn FnMut(&mut BodyBuilder, &Axis) -> Vec<Reg>,
    ) -> Vec<Reg> {
        let (whole, rest) = (axis.count / RUN, axis.count % RUN);
        if whole == 0 || axis.count == RUN {
            return run(b, axis);
        }
        let part = |count: usize| Axis {
            count,
            ..axis.clone()
        };
        let blocks = Axis {
            count: whole,
            steps: axis.steps.iter().map(|step| step * RUN as i64).collect(),
            number: 0,
        };
        let totals = self.runs(b, ptrs, &blocks, &mut |b, blocks| {
            let totals = self.zeros(b);
            b.repeat(imm(blocks.count), |b| {
                let sums = run(b, &part(RUN));
                accumulate(b, &totals, &sums);
                go(b, ptrs, None, blocks, 1);
            });
            go(b, ptrs, None, blocks, -(blocks.count as i64));
            totals
        });
        if rest > 0 {
            go(b, ptrs, None, &blocks, whole as i64);
            let sums = run(b, &part(rest));
            accumulate(b, &totals, &sums);
            go(b, ptrs, None, &blocks, -(whole as i64));
        }
        totals
    }

    /// The sums along the axis that the lanes lie along.
    fn vectors(&self, b: &mut BodyBuilder, ptrs: &[Ptr], fixed: &[Option<Vec<Reg>>]) -> Vec<Reg> {
        let lanes = b.lanes();
        let (whole, rest) = (self.lanes.count / lanes, self.lanes.count % lanes);
        let vectors = Axis {
            count: whole,
            steps: self
                .lanes
                .steps
                .iter()
                .map(|step| step * lanes as i64)
                .collect(),
            number: 0,
        };
        let totals = if whole > 0 {
            self.line(b, ptrs, fixed, &vectors, Lanes::All)
        } else {
            self.zeros(b)
        };
        if rest > 0 {
            // A load gives zero beyond the end.
            let ahead = Some((&vectors, whole));
            let sums = self.place(b, ptrs, fixed, ahead, Lanes::First(rest as u8));
            accumulate(b, &totals, &sums);
        }
        totals
    }

    /// The sums along one axis, several accumulators side by side.
    fn line(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        fixed: &[Option<Vec<Reg>>],
        axis: &Axis,
        width: Lanes,
    ) -> Vec<Reg> {
        self.runs(b, ptrs, axis, &mut |b, axis| {
            let (turns, rest) = (axis.count / INTERLEAVE, axis.count % INTERLEAVE);
            let sums: Vec<Vec<Reg>> = (0..INTERLEAVE.min(axis.count))
                .map(|_| self.zeros(b))
                .collect();
            let step = |b: &mut BodyBuilder, ahead: usize| {
                let terms = self.place(b, ptrs, fixed, Some((axis, ahead)), width);
                accumulate(b, &sums[ahead], &terms);
            };
            if turns > 0 {
                b.repeat(imm(turns), |b| {
                    (0..INTERLEAVE).for_each(|ahead| step(b, ahead));
                    go(b, ptrs, None, axis, INTERLEAVE as i64);
                });
            }
            (0..rest).for_each(|ahead| step(b, ahead));
            go(b, ptrs, None, axis, -((turns * INTERLEAVE) as i64));
            let (first, others) = sums.split_first().expect("an axis has places");
            for other in others {
                accumulate(b, first, other);
            }
            first.clone()
        })
    }

    /// The terms of one place.
    fn place(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        fixed: &[Option<Vec<Reg>>],
        ahead: Option<(&Axis, usize)>,
        width: Lanes,
    ) -> Vec<Reg> {
        let mut terms = Vec::with_capacity(self.sums * self.abreast);
        for vector in 0..self.abreast {
            let loads: Vec<Reg> = (0..ptrs.len())
                .map(|at| match &fixed[at] {
                    Some(vectors) => vectors[vector],
                    None => {
                        let off = ahead.map_or(0, |(axis, places)| axis.steps[at] * places as i64);
                        self.read(b, ptrs, at, (off, vector), width)
                    }
                })
                .collect();
            terms.extend((self.terms)(b, vector, &loads));
        }
        terms
    }

    fn read(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        at: usize,
        (off, vector): (i64, usize),
        width: Lanes,
    ) -> Reg {
        let step = self.lanes.steps[at];
        let off = off + (vector * b.lanes()) as i64 * step;
        let off = i32::try_from(off).expect("places of a turn are within two gigabytes");
        load(b, ptrs[at], off, step, width, self.operands[at].lane_type)
    }
}

fn accumulate(b: &mut BodyBuilder, totals: &[Reg], sums: &[Reg]) {
    for (&total, &sum) in totals.iter().zip(sums) {
        b.add_into(total, total, sum);
    }
}
