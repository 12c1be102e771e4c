//! Convolutions in groups of few outputs.
//!
//! With outputs in lanes, a group of two outputs fills two of sixteen. Here pixels are in lanes: of a block of rows, a group's
//! channels are turned into planes, each a channel's pixels side by side; the sums of the group's outputs go over those planes,
//! a tap of the filter being one number for all lanes, and make planes too; and these are turned back on their way into the
//! epilogue. In a plane rows follow one another with what lies between them in memory, the padding at least, so that few lanes
//! are idle on narrow maps; sums that fall there are dropped.

use super::access::{Access, vectors};
use super::epilogue::{Epilogue, Held, Place};
use super::{Args, Buffer, Cx, Domain, ELEMENT, LEAST_TASKS, Units};
use super::{chunk_with_scratch, over_channels, split};
use crate::codegen::Target;
use crate::ir::ValueId;
use crate::kernel::{Address, Body, BodyBuilder, Count, Index, LaneType, Lanes, NestBuilder};
use crate::kernel::{Op, Reg};

/// The share of the second-level cache that a task's planes may take.
const SCRATCH_SHARE: f64 = 0.4;

/// Cycles for each lane of a vector that is gathered and stored, an estimate for processors whose gathers load lane by lane.
const GATHERED_LANE: f64 = 1.5;

/// What this way must save by count to be taken: pixels between rows and the ends of planes are not counted.
const LEAST_GAIN: f64 = 1.2;

/// A convolution of stride 1 in groups.
#[derive(Debug)]
pub struct Planes<'a> {
    /// The input, and how it is reached.
    pub x: (ValueId, Access),
    /// The filter: for each group a row of outputs for each tap and channel.
    pub w: ValueId,
    /// The sizes.
    pub sizes: Sizes,
    /// Bytes from the image's start to what the first output's first tap reads.
    pub start: i64,
    /// What is done with the sums.
    pub epilogue: Epilogue<'a>,
}

/// The sizes of a convolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Groups.
    pub groups: usize,
    /// Outputs and channels of a group.
    pub kc: [usize; 2],
    /// Rows and columns of the filter.
    pub taps: [usize; 2],
    /// Their distances in the input.
    pub dilation: [usize; 2],
    /// Elements of a row of the filter.
    pub row: usize,
    /// Rows and columns of the output.
    pub map: [usize; 2],
}

impl Sizes {
    /// Whether planes take less, by cycles for a pixel.
    pub fn pay(&self, target: &Target) -> bool {
        let [k, c] = self.kc.map(|size| size as f64);
        let (lanes, groups) = (target.lanes as f64, self.groups as f64);
        let taps = (self.taps[0] * self.taps[1]) as f64;
        let sums = groups * c * taps / target.multiply_adds as f64;
        let direct = sums * (k / lanes).ceil();
        let turned = groups * c + (groups * k / lanes).ceil() * lanes;
        let planes = sums * k / lanes + turned * GATHERED_LANE;
        self.groups > 1 && direct >= LEAST_GAIN * planes
    }

    /// Rows and columns that the taps reach beyond the first.
    fn reach(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.taps[axis] - 1) * self.dilation[axis])
    }
}

/// Scratch memory of a task.
#[derive(Clone, Copy, Debug)]
struct Scratch {
    /// Rows of the output in a block.
    rows: usize,
    /// Pixels from one row to the next.
    pitch: usize,
    /// Vectors of a plane of sums.
    vectors: usize,
    /// Pixels of a plane of the input that are there.
    pixels: usize,
    /// Elements of a plane of the input.
    input: usize,
    /// Elements of all of a task's planes.
    elements: usize,
}

impl Scratch {
    fn new(sizes: &Sizes, pitch: usize, rows: usize, lanes: usize) -> Scratch {
        let [down, across] = sizes.reach();
        let [k, c] = sizes.kc;
        let made = (rows - 1) * pitch + sizes.map[1];
        let (vectors, _) = vectors(made, lanes);
        let pixels = made + down * pitch + across;
        // The last lanes of sums read beyond what is there.
        let input = (vectors * lanes + down * pitch + across).next_multiple_of(lanes);
        let elements = c * input + sizes.groups * k * vectors * lanes;
        Scratch {
            rows,
            pitch,
            vectors,
            pixels,
            input,
            elements,
        }
    }

    /// With as many rows as stay near and leave enough tasks.
    fn fitting(sizes: &Sizes, pitch: usize, target: &Target, batch: usize) -> Scratch {
        let height = sizes.map[0];
        let near = (SCRATCH_SHARE * target.caches[1] as f64) as usize / size_of::<f32>();
        let of = |rows| Scratch::new(sizes, pitch, rows, target.lanes);
        let fits = |scratch: &Scratch| {
            let tasks = height / scratch.rows * batch;
            scratch.elements <= near && (tasks >= LEAST_TASKS || scratch.rows == 1)
        };
        let rows = (1..=height).rev();
        let rows = rows.filter(|&rows| height.is_multiple_of(rows));
        rows.map(of).find(fits).unwrap_or_else(|| of(1))
    }

    /// The first byte of the planes of sums, and bytes from one to the next.
    fn sums(&self, sizes: &Sizes, lanes: usize) -> [i64; 2] {
        [sizes.kc[1] * self.input, self.vectors * lanes].map(|size| size as i64 * ELEMENT)
    }
}

/// Appends the step.
pub fn lower(cx: &mut Cx<'_>, conv: &Planes<'_>) {
    let Planes {
        x: (x, access),
        w,
        sizes,
        start,
        epilogue,
    } = conv;
    let [height, _] = sizes.map;
    let [k, c] = sizes.kc;
    let pitch = usize::try_from(access.row / access.pixel).expect("rows follow one another");
    let scratch = Scratch::fitting(sizes, pitch, cx.target, cx.batch);
    let parts = height / scratch.rows;
    let units = Units::Images {
        units: parts,
        images: 1,
    };
    let total = units.count(cx.batch);
    let work = scratch.vectors * sizes.groups * k * c * sizes.taps[0] * sizes.taps[1];
    let chunk = chunk_with_scratch(total, work);
    let memory = cx.scratch(total.div_ceil(chunk) * scratch.elements);
    let maker = Maker {
        cx,
        conv,
        scratch,
        memory,
    };
    let read = [Buffer::Value(*x), Buffer::Value(*w), memory];
    let mut args = Args::touching(read.into_iter().chain(epilogue.buffers()));
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        let slot = nest.let_(Index::Lo / chunk as i64);
        let base = nest.let_(slot * (scratch.elements as i64 * ELEMENT));
        nest.for_domain(|nest, unit| {
            let (image, part) = split(unit, parts);
            let (image, top) = (nest.let_(image), nest.let_(part * scratch.rows as i64));
            let from = image.clone() * access.image + top.clone() * access.row + *start;
            let from = nest.let_(from);
            nest.for_(0, sizes.groups as i64, 1, |nest, group| {
                let body = nest.add_body(maker.turn());
                let channel = group.clone() * (c as i64 * ELEMENT);
                let ptrs = vec![
                    args.value(*x).at(from.clone() + channel),
                    args.of(memory).at(base.clone()),
                ];
                nest.call(body, ptrs, []);
                let body = nest.add_body(maker.sum());
                let [first, plane] = scratch.sums(sizes, cx.lanes());
                let taps = (sizes.taps[0] * sizes.taps[1] * c * sizes.row) as i64 * ELEMENT;
                let to = group.clone() * (k as i64 * plane) + base.clone() + first;
                let ptrs = vec![
                    args.of(memory).at(base.clone()),
                    args.value(*w).at(group * taps),
                    args.of(memory).at(to),
                ];
                nest.call(body, ptrs, []);
            });
            maker.finish(nest, args, [&image, &top, &base]);
        });
    });
    cx.step(kernel, args, Domain { units, chunk });
}

/// Makes the three parts.
struct Maker<'m, 'a> {
    cx: &'m Cx<'a>,
    conv: &'m Planes<'a>,
    scratch: Scratch,
    memory: Buffer,
}

fn count(of: usize) -> Count {
    Count::Imm(u32::try_from(of).expect("a block is small"))
}

fn offset(bytes: i64) -> i32 {
    i32::try_from(bytes).expect("a block stays within two gigabytes")
}

impl Maker<'_, '_> {
    /// Turns a group's channels into planes.
    fn turn(&self) -> Body {
        let lanes = self.cx.lanes();
        let access = &self.conv.x.1;
        let [_, channels] = self.conv.sizes.kc;
        let plane = self.scratch.input as i64 * ELEMENT;
        let mut b = BodyBuilder::new(format!("{}_turn", self.cx.name), lanes);
        let (from, to) = (b.ptr_arg(), b.ptr_arg());
        let vector = |b: &mut BodyBuilder, lanes: Lanes| {
            let (from, to) = (b.ptr_copy(from, 0), b.ptr_copy(to, 0));
            b.repeat(count(channels), |b| {
                let pixels = b.gather(from, 0, offset(access.pixel), lanes);
                b.store(to, 0, pixels, Lanes::All);
                b.advance(from, access.channel);
                b.advance(to, plane);
            });
        };
        let (all, last) = vectors(self.scratch.pixels, lanes);
        let whole = all - usize::from(last != Lanes::All);
        if whole > 0 {
            b.repeat(count(whole), |b| {
                vector(b, Lanes::All);
                b.advance(from, access.pixel * lanes as i64);
                b.advance(to, lanes as i64 * ELEMENT);
            });
        }
        if last != Lanes::All {
            vector(&mut b, last);
        }
        b.finish()
    }

    /// The planes of a group's sums.
    fn sum(&self) -> Body {
        let lanes = self.cx.lanes();
        let sizes = &self.conv.sizes;
        let [outputs, _] = sizes.kc;
        let most = (self.cx.target.registers - 2) / (outputs + 1);
        let tiles = self.scratch.vectors.div_ceil(most.max(1));
        let wide = self.scratch.vectors.div_ceil(tiles);
        let mut b = BodyBuilder::new(format!("{}_sum_{wide}", self.cx.name), lanes);
        let (from, filter, to) = (b.ptr_arg(), b.ptr_arg(), b.ptr_arg());
        let step = lanes as i64 * ELEMENT;
        let (whole, rest) = (self.scratch.vectors / wide, self.scratch.vectors % wide);
        b.repeat(count(whole), |b| {
            self.tile(b, [from, filter, to], wide);
            b.advance(from, wide as i64 * step);
            b.advance(to, wide as i64 * step);
        });
        if rest > 0 {
            self.tile(&mut b, [from, filter, to], rest);
        }
        b.finish()
    }

    /// So many vectors of each output of a group.
    fn tile(&self, b: &mut BodyBuilder, [from, filter, to]: [crate::kernel::Ptr; 3], wide: usize) {
        let lanes = self.cx.lanes();
        let sizes = &self.conv.sizes;
        let [outputs, channels] = sizes.kc;
        let step = lanes as i64 * ELEMENT;
        let sums: Vec<Vec<Reg>> = (0..outputs)
            .map(|_| {
                let sum = |_| {
                    let sum = b.reg(LaneType::F32);
                    b.set(sum, Op::float(0.0));
                    sum
                };
                (0..wide).map(sum).collect()
            })
            .collect();
        let (plane, line) = (b.ptr_copy(from, 0), b.ptr_copy(filter, 0));
        let row = sizes.row as i64 * ELEMENT;
        b.repeat(count(channels), |b| {
            for tap in 0..sizes.taps[0] * sizes.taps[1] {
                let [down, across] = [tap / sizes.taps[1], tap % sizes.taps[1]];
                let pixel =
                    down * sizes.dilation[0] * self.scratch.pitch + across * sizes.dilation[1];
                let pixels: Vec<Reg> = (0..wide)
                    .map(|vector| {
                        let at = pixel as i64 * ELEMENT + vector as i64 * step;
                        b.load(plane, offset(at), Lanes::All)
                    })
                    .collect();
                for (output, sums) in sums.iter().enumerate() {
                    let at = (tap * channels) as i64 * row + output as i64 * ELEMENT;
                    let factor = b.broadcast(line, offset(at));
                    for (&sum, &pixels) in sums.iter().zip(&pixels) {
                        b.fma_into(sum, pixels, factor, sum);
                    }
                }
            }
            b.advance(plane, self.scratch.input as i64 * ELEMENT);
            b.advance(line, row);
        });
        let [_, of_output] = self.scratch.sums(sizes, lanes);
        for (output, sums) in sums.iter().enumerate() {
            for (vector, &sum) in sums.iter().enumerate() {
                let at = output as i64 * of_output + vector as i64 * step;
                b.store(to, offset(at), sum, Lanes::All);
            }
        }
    }

    /// Turns the planes of sums back, a row of pixels at a time, into the epilogue.
    fn finish(&self, nest: &mut NestBuilder, args: &mut Args, at: [&Index; 3]) {
        let [image, top, base] = at;
        let lanes = self.cx.lanes();
        let epilogue = &self.conv.epilogue;
        let [channels, ..] = epilogue.space.map;
        let [first, plane] = self.scratch.sums(&self.conv.sizes, lanes);
        nest.for_(0, self.scratch.rows as i64, 1, |nest, row| {
            let line = row.clone() * (self.scratch.pitch as i64 * ELEMENT) + base.clone() + first;
            let line = nest.let_(line);
            let row = nest.let_(top.clone() + row);
            over_channels(nest, channels, lanes, |nest, channel, lanes| {
                let body = nest.add_body(self.back(lanes));
                let from = line.clone() + channel.clone() * plane;
                let mut ptrs: Vec<Address> = vec![args.of(self.memory).at(from)];
                let position = [image, &row, &Index::Const(0), &channel];
                ptrs.extend(epilogue.addresses(args, position));
                nest.call(body, ptrs, epilogue.ints(position));
            });
        });
    }

    /// A row of pixels of one vector of outputs.
    fn back(&self, lanes: Lanes) -> Body {
        let epilogue = &self.conv.epilogue;
        let [_, plane] = self.scratch.sums(&self.conv.sizes, self.cx.lanes());
        let mut b = BodyBuilder::new(format!("{}_back", self.cx.name), self.cx.lanes());
        let from = b.ptr_arg();
        let ptrs = epilogue.declare(&mut b);
        let element = epilogue.counts_elements.then(|| b.int_arg());
        let number = element.map(|element| epilogue.element_lanes(&mut b, element));
        b.repeat(count(self.conv.sizes.map[1]), |b| {
            let sums = b.gather(from, 0, offset(plane), lanes);
            let place = Place {
                delta: [0; 4],
                lanes,
                element: number,
            };
            epilogue.emit(b, &ptrs, place, &[sums], &Held::default());
            b.advance(from, ELEMENT);
            for (&ptr, access) in ptrs.iter().zip(epilogue.accesses()) {
                b.advance(ptr, access.pixel);
            }
            if let Some(number) = number {
                let next = epilogue.element_at(b, number, [0, 0, 1, 0]);
                b.copy_into(number, next);
            }
        });
        b.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::Isa;

    fn sizes(groups: usize, kc: [usize; 2]) -> Sizes {
        Sizes {
            groups,
            kc,
            taps: [3, 3],
            dilation: [1, 1],
            row: 16,
            map: [14, 14],
        }
    }

    #[test]
    fn groups_of_few_outputs_pay() {
        let target = Target::of(Isa::Avx512, Target::SMALL_CACHES);
        assert!(sizes(4, [2, 8]).pay(&target));
        assert!(!sizes(2, [16, 64]).pay(&target));
        assert!(!sizes(1, [2, 64]).pay(&target));
    }

    #[test]
    fn planes_stay_near_and_leave_tasks() {
        let target = Target::of(Isa::Avx512, Target::SMALL_CACHES);
        let sizes = Sizes {
            map: [56, 56],
            ..sizes(4, [2, 8])
        };
        let one = Scratch::fitting(&sizes, 58, &target, 1);
        assert!(56 / one.rows >= LEAST_TASKS, "{one:?}");
        let many = Scratch::fitting(&sizes, 58, &target, 8);
        assert!(many.rows >= one.rows, "{many:?}");
        assert!(
            many.elements * size_of::<f32>() < target.caches[1] / 2,
            "{many:?}"
        );
    }
}
