//! Seeded random bodies.

use super::*;
use crate::kernel::{Cmp, Count, Int, LaneType, Lanes, Op, Ptr, Reduce, Reg};

/// Floats of each buffer; pointers start in the middle and do not stray as far as an end.
const FLOATS: usize = 4096;
const START: i64 = 4 * FLOATS as i64 / 2;

/// Seeds beyond the first that have found something: that spilling a value can cost a register at an
/// instruction that reads it twice.
const REGRESSIONS: [u64; 1] = [5918];

/// Tails read one buffer and write another, in distances that let no two lanes meet: they may run
/// lane by lane, and what one lane reads or writes must then not be what another has written.
const TAIL_LOADS: usize = 0;
const TAIL_STORES: usize = 1;

/// The generator of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A register that may be read.
#[derive(Clone, Copy)]
struct Known {
    reg: Reg,
    lane: LaneType,
    /// Whether all lanes hold the same, now and later.
    uniform: bool,
    /// Whether it may be set again.
    variable: bool,
}

struct Maker {
    random: Random,
    known: Vec<Known>,
    ptrs: Vec<Ptr>,
    /// Pointers that `SetPtr` may set.
    copies: Vec<Ptr>,
    counts: [Int; 2],
    tail: Int,
    depth: usize,
    in_tail: bool,
    /// Values that are to be alive at once, roughly.
    width: usize,
}

impl Maker {
    fn items(&mut self, b: &mut BodyBuilder, count: usize) {
        for _ in 0..count {
            match self.random.below(20) {
                0 if !self.in_tail && self.depth < 3 => self.repeat(b),
                1 if !self.in_tail => self.tail(b),
                2 if !self.in_tail => {
                    let ptr = self.random.pick(&self.ptrs);
                    let bytes = 4 * self.random.below(9) as i64 - 16;
                    b.advance(ptr, bytes);
                }
                3 if !self.in_tail => {
                    let dst = self.random.pick(&self.copies);
                    let src = self.random.pick(&self.ptrs[..3]);
                    b.set_ptr(dst, src, 4 * self.random.below(20) as i64 - 40);
                }
                4 | 5 => self.store(b),
                _ => self.set(b),
            }
        }
    }

    fn repeat(&mut self, b: &mut BodyBuilder) {
        let count = match self.random.below(3) {
            0 => Count::Imm(1 + self.random.below(3) as u32),
            _ => Count::Arg(self.random.pick(&self.counts)),
        };
        let known = self.known.len();
        self.depth += 1;
        let items = 2 + self.random.below(12);
        b.repeat(count, |b| self.items(b, items));
        self.depth -= 1;
        self.known.truncate(known);
    }

    fn tail(&mut self, b: &mut BodyBuilder) {
        let known = self.known.clone();
        self.known.retain(|known| known.uniform);
        for known in &mut self.known {
            known.variable = false;
        }
        self.in_tail = true;
        let items = 2 + self.random.below(8);
        b.tail(self.tail, |b| self.items(b, items));
        self.in_tail = false;
        self.known = known;
    }

    fn store(&mut self, b: &mut BodyBuilder) {
        let lane = self.random.pick(&[LaneType::F32, LaneType::I32]);
        let src = self.read(b, lane);
        let (mut ptr, mut off, lanes) = self.place(b);
        if self.in_tail {
            ptr = self.ptrs[TAIL_STORES];
            off &= -64;
        }
        b.store(ptr, off, src, lanes);
    }

    fn place(&mut self, b: &BodyBuilder) -> (Ptr, i32, Lanes) {
        let ptr = self.random.pick(&self.ptrs);
        let off = 4 * self.random.below(200) as i32 - 400;
        let lanes = if self.in_tail || self.random.chance(80) {
            Lanes::All
        } else {
            Lanes::First(1 + self.random.below(b.lanes() - 1) as u8)
        };
        (ptr, off, lanes)
    }

    /// Any register of a type, or a new constant.
    fn read(&mut self, b: &mut BodyBuilder, lane: LaneType) -> Reg {
        let candidates: Vec<Reg> = self
            .known
            .iter()
            .filter(|known| known.lane == lane)
            .map(|known| known.reg)
            .collect();
        if candidates.is_empty() || self.random.chance(8) {
            return match lane {
                LaneType::F32 => {
                    let value = self.random.below(9) as f32 * 0.25 - 1.0;
                    b.const_f(value)
                }
                LaneType::I32 => {
                    let value = self.random.next() as i32 >> self.random.below(32);
                    b.const_i(value)
                }
            };
        }
        let recent = candidates.len().min(self.width);
        candidates[candidates.len() - 1 - self.random.below(recent)]
    }

    fn set(&mut self, b: &mut BodyBuilder) {
        let lane = self
            .random
            .pick(&[LaneType::F32, LaneType::F32, LaneType::I32]);
        let op = match lane {
            LaneType::F32 => self.float(b),
            LaneType::I32 => self.int(b),
        };
        let again: Vec<Reg> = self
            .known
            .iter()
            .filter(|known| known.lane == lane && known.variable)
            .map(|known| known.reg)
            .collect();
        if !again.is_empty() && self.random.chance(30) {
            let dst = self.random.pick(&again);
            b.set(dst, op);
            return;
        }
        let reg = b.reg(lane);
        b.set(reg, op);
        let uniform = matches!(
            op,
            Op::ConstF(_) | Op::ConstI(_) | Op::Splat(_) | Op::Broadcast { .. }
        );
        self.known.push(Known {
            reg,
            lane,
            uniform,
            variable: !uniform,
        });
    }

    fn float(&mut self, b: &mut BodyBuilder) -> Op {
        let [x, y, z] = [(); 3].map(|()| self.read(b, LaneType::F32));
        match self.random.below(19) {
            0 | 1 => self.load(b),
            2 => Op::float(self.random.below(5) as f32 - 2.0),
            3 => Op::Add(x, y),
            4 => Op::Sub(x, y),
            5 => Op::Mul(x, y),
            6 => Op::Div(x, y),
            7 => Op::Min(x, y),
            8 => Op::Max(x, y),
            9 | 10 => Op::Fma(x, y, z),
            11 => Op::FmaNeg(x, y, z),
            12 => self.random.pick(&[Op::Sqrt(x), Op::Round(x), Op::Copy(x)]),
            13 => self.random.pick(&[Op::Neg(x), Op::Abs(x)]),
            14 => Op::ToFloat(self.read(b, LaneType::I32)),
            15 if !self.in_tail => Op::Reduce(self.random.pick(&[Reduce::Sum, Reduce::Max]), x),
            16 => {
                let [m, n] = [(); 2].map(|()| self.read(b, LaneType::I32));
                let cmp = self.comparison();
                Op::Select {
                    cmp,
                    a: m,
                    b: n,
                    t: x,
                    f: y,
                }
            }
            _ => {
                let f = self.read(b, LaneType::F32);
                let cmp = self.random.pick(&[self.comparison_of(0), Cmp::Unordered]);
                Op::Select {
                    cmp,
                    a: x,
                    b: y,
                    t: z,
                    f,
                }
            }
        }
    }

    fn int(&mut self, b: &mut BodyBuilder) -> Op {
        let [m, n] = [(); 2].map(|()| self.read(b, LaneType::I32));
        match self.random.below(14) {
            0 => self.load(b),
            1 => Op::ConstI(self.random.next() as i32),
            2 => Op::Iota,
            3 => Op::Splat(self.random.pick(&self.counts)),
            4 => Op::IAdd(m, n),
            5 => Op::ISub(m, n),
            6 => Op::IMul(m, n),
            7 => self
                .random
                .pick(&[Op::And(m, n), Op::Or(m, n), Op::Xor(m, n)]),
            8 => Op::Shl(m, self.random.below(32) as u8),
            9 => Op::Shr(m, self.random.below(32) as u8),
            // Neither NaN, whose bits may differ, nor anything beyond 31 bits.
            10 | 11 => {
                let x = self.read(b, LaneType::F32);
                let [low, high] = [-1.0e6, 1.0e6].map(|value| b.const_f(value));
                let x = b.max(x, low);
                let x = b.min(x, high);
                self.random.pick(&[Op::AsInt(x), Op::ToInt(x)])
            }
            12 => {
                let [x, y] = [(); 2].map(|()| self.read(b, LaneType::F32));
                let cmp = self.comparison();
                Op::Select {
                    cmp,
                    a: x,
                    b: y,
                    t: m,
                    f: n,
                }
            }
            _ => {
                let [t, f] = [(); 2].map(|()| self.read(b, LaneType::I32));
                let cmp = self.comparison();
                Op::Select {
                    cmp,
                    a: m,
                    b: n,
                    t,
                    f,
                }
            }
        }
    }

    fn load(&mut self, b: &mut BodyBuilder) -> Op {
        let (mut ptr, off, lanes) = self.place(b);
        if self.in_tail {
            ptr = self.ptrs[TAIL_LOADS];
        }
        match self.random.below(5) {
            0 => Op::Broadcast { ptr, off },
            1 => {
                let stride = 4 * self.random.below(20) as i32 - 40;
                Op::Gather {
                    ptr,
                    off,
                    stride,
                    lanes,
                }
            }
            _ => Op::Load { ptr, off, lanes },
        }
    }

    fn comparison(&mut self) -> Cmp {
        let which = self.random.below(6);
        self.comparison_of(which)
    }

    fn comparison_of(&self, which: usize) -> Cmp {
        [Cmp::Lt, Cmp::Le, Cmp::Gt, Cmp::Ge, Cmp::Eq, Cmp::Ne][which]
    }
}

/// A kernel whose only body is random, over three buffers.
pub(super) fn random_kernel(seed: u64, target: &Target) -> Kernel {
    let mut random = Random(seed);
    let mut b = BodyBuilder::new(format!("seed{seed}"), target.lanes);
    let args = [(); 3].map(|()| b.ptr_arg());
    let counts = [(); 2].map(|()| b.int_arg());
    let tail = b.int_arg();
    let copies = [0, 1].map(|k| b.ptr_copy(args[k], 16));
    let items = 10 + random.below(60);
    let values = [random.below(4), random.below(4), random.below(target.lanes)];
    let mut maker = Maker {
        width: 1 + random.pick(&[3, 10, 40, 80]),
        random,
        known: Vec::new(),
        ptrs: args.into_iter().chain(copies).collect(),
        copies: copies.to_vec(),
        counts,
        tail,
        depth: 0,
        in_tail: false,
    };
    maker.items(&mut b, items);
    // Whatever is still known becomes visible.
    for known in maker.known.clone() {
        b.store(args[2], 0, known.reg, Lanes::All);
        b.advance(args[2], 4);
    }
    let mut nest = NestBuilder::new();
    let body = nest.add_body(b.finish());
    let ptrs: Vec<_> = (0..3).map(|arg| Arg(arg).at(START)).collect();
    nest.call(body, ptrs, values.map(|value| Index::Const(value as i64)));
    nest.finish("random", 3)
}

#[test]
fn random_bodies() {
    let targets = targets();
    for seed in (0..600).chain(REGRESSIONS) {
        for target in &targets {
            let kernel = random_kernel(seed, target);
            let mut random = Random(seed ^ 0xABCD);
            let buffers = [(); 3]
                .map(|()| floats((0..FLOATS).map(|_| random.below(2000) as f32 * 0.001 - 1.0)));
            check(&kernel, target, &buffers, [0, 1, 1], Nan::Any);
        }
    }
}
