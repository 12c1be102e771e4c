//! Bodies.

use super::{EvalError, EvalFault, Pointer};
use crate::kernel::body::{Body, Cmp, Count, Int, Item, LaneType, Lanes, Op, Ptr, Reduce, Reg};
use crate::kernel::print;
use crate::kernel::verify::{self, Place};

/// What [`Op::ToInt`] gives where its result is unspecified: neither what a saturating conversion
/// gives nor what x86 gives, so that code which relies on either fails here.
const UNSPECIFIED_INT: i32 = 0x5a5a_5a5a;

/// Runs a body.
pub fn body(
    body: &Body,
    buffers: &mut [Vec<u8>],
    ptrs: &[Pointer],
    ints: &[i64],
) -> Result<(), EvalError> {
    verify::body(body)?;
    run_verified(body, buffers, ptrs, ints)
}

/// Runs a body that has been verified, as that of a kernel is before the kernel runs.
pub(super) fn run_verified(
    body: &Body,
    buffers: &mut [Vec<u8>],
    ptrs: &[Pointer],
    ints: &[i64],
) -> Result<(), EvalError> {
    let head = |fault| EvalError::Fault {
        name: body.name.clone(),
        place: Place::head(),
        fault,
    };
    let counts = [
        ("pointers", usize::from(body.ptr_args), ptrs.len()),
        ("integers", usize::from(body.int_args), ints.len()),
    ];
    for (what, expected, found) in counts {
        if expected != found {
            return Err(head(EvalFault::Arguments {
                what,
                expected,
                found,
            }));
        }
    }
    let nowhere = Pointer {
        buffer: usize::MAX,
        offset: 0,
    };
    let mut ptrs = ptrs.to_vec();
    ptrs.resize(body.ptrs.into(), nowhere);
    let mut run = Run {
        body,
        buffers,
        ptrs,
        ints,
        regs: vec![vec![0; body.lanes]; body.regs.len()],
        active: body.lanes,
        path: Vec::new(),
    };
    run.list(&body.items)
}

struct Run<'a> {
    body: &'a Body,
    buffers: &'a mut [Vec<u8>],
    ptrs: Vec<Pointer>,
    ints: &'a [i64],
    /// The bits of each lane of each register.
    regs: Vec<Vec<u32>>,
    /// How many lanes loads and stores act on: all, or those of the tail.
    active: usize,
    path: Vec<usize>,
}

impl Run<'_> {
    fn list(&mut self, items: &[Item]) -> Result<(), EvalError> {
        for (position, item) in items.iter().enumerate() {
            self.path.push(position);
            match item {
                Item::Loop { count, items } => {
                    let turns = self.turns(*count).map_err(|f| self.error(item, f))?;
                    for _ in 0..turns {
                        self.list(items)?;
                    }
                }
                Item::Tail { lanes, items } => {
                    self.active = self.tail_lanes(*lanes).map_err(|f| self.error(item, f))?;
                    if self.active > 0 {
                        self.list(items)?;
                    }
                    self.active = self.body.lanes;
                }
                Item::Set { dst, op } => {
                    let lanes = 0..self.body.lanes;
                    let value: Result<Vec<u32>, EvalFault> =
                        lanes.map(|lane| self.lane(op, lane)).collect();
                    self.regs[dst.0 as usize] = value.map_err(|f| self.error(item, f))?;
                }
                Item::Store {
                    ptr,
                    off,
                    src,
                    lanes,
                    streams: _,
                } => {
                    for lane in 0..self.touched(*lanes) {
                        let value = self.regs[src.0 as usize][lane];
                        self.write(*ptr, i64::from(*off) + 4 * lane as i64, value)
                            .map_err(|f| self.error(item, f))?;
                    }
                }
                Item::Prefetch { .. } => {}
                Item::Advance { ptr, bytes } => {
                    let place = self.address(*ptr, *bytes);
                    self.ptrs[ptr.0 as usize] = place.map_err(|f| self.error(item, f))?;
                }
                Item::SetPtr { dst, src, off } => {
                    let place = self.address(*src, *off);
                    self.ptrs[dst.0 as usize] = place.map_err(|f| self.error(item, f))?;
                }
            }
            self.path.pop();
        }
        Ok(())
    }

    fn turns(&self, count: Count) -> Result<i64, EvalFault> {
        match count {
            Count::Imm(turns) => Ok(turns.into()),
            Count::Arg(int) => match self.ints[usize::from(int.0)] {
                turns if turns < 0 => Err(EvalFault::Turns(turns)),
                turns => Ok(turns),
            },
        }
    }

    fn tail_lanes(&self, int: Int) -> Result<usize, EvalFault> {
        let (lanes, all) = (self.ints[usize::from(int.0)], self.body.lanes);
        usize::try_from(lanes)
            .ok()
            .filter(|&lanes| lanes < all)
            .ok_or(EvalFault::Tail { lanes, all })
    }

    /// How many lanes an access touches.
    fn touched(&self, lanes: Lanes) -> usize {
        match lanes {
            Lanes::All => self.active,
            Lanes::First(lanes) => lanes.into(),
        }
    }

    /// One lane of an operation's result.
    fn lane(&self, op: &Op, lane: usize) -> Result<u32, EvalFault> {
        let bits = |reg: Reg| self.regs[reg.0 as usize][lane];
        let f = |reg: Reg| f32::from_bits(bits(reg));
        let i = |reg: Reg| bits(reg) as i32;
        let value = match *op {
            Op::ConstF(value) => value.get().to_bits(),
            Op::ConstI(value) => value as u32,
            Op::Iota => lane as u32,
            Op::Splat(int) => self.ints[usize::from(int.0)] as u32,
            Op::Load { lanes, .. } | Op::Gather { lanes, .. } if lane >= self.touched(lanes) => 0,
            Op::Load { ptr, off, .. } => self.read(ptr, i64::from(off) + 4 * lane as i64)?,
            Op::Gather {
                ptr, off, stride, ..
            } => self.read(ptr, i64::from(off) + lane as i64 * i64::from(stride))?,
            Op::Broadcast { ptr, off } => self.read(ptr, off.into())?,
            Op::Copy(a) => bits(a),
            Op::Add(a, b) => (f(a) + f(b)).to_bits(),
            Op::Sub(a, b) => (f(a) - f(b)).to_bits(),
            Op::Mul(a, b) => (f(a) * f(b)).to_bits(),
            Op::Div(a, b) => (f(a) / f(b)).to_bits(),
            Op::Min(a, b) => bits(if f(a) < f(b) { a } else { b }),
            Op::Max(a, b) => bits(if f(a) > f(b) { a } else { b }),
            Op::Fma(a, b, c) => f(a).mul_add(f(b), f(c)).to_bits(),
            Op::FmaNeg(a, b, c) => (-f(a)).mul_add(f(b), f(c)).to_bits(),
            Op::Sqrt(a) => f(a).sqrt().to_bits(),
            Op::Neg(a) => bits(a) ^ 0x8000_0000,
            Op::Abs(a) => bits(a) & 0x7fff_ffff,
            Op::Round(a) => f(a).round_ties_even().to_bits(),
            Op::ToInt(a) => to_int(f(a)) as u32,
            Op::ToFloat(a) => (i(a) as f32).to_bits(),
            Op::AsInt(a) | Op::AsFloat(a) => bits(a),
            Op::IAdd(a, b) => bits(a).wrapping_add(bits(b)),
            Op::ISub(a, b) => bits(a).wrapping_sub(bits(b)),
            Op::IMul(a, b) => bits(a).wrapping_mul(bits(b)),
            Op::And(a, b) => bits(a) & bits(b),
            Op::Or(a, b) => bits(a) | bits(b),
            Op::Xor(a, b) => bits(a) ^ bits(b),
            Op::Shl(a, count) => bits(a) << count,
            Op::Shr(a, count) => bits(a) >> count,
            Op::Select { cmp, a, b, t, f: e } => {
                let holds = match self.body.regs[a.0 as usize] {
                    LaneType::F32 => compare(cmp, &f(a), &f(b)),
                    LaneType::I32 => compare(cmp, &i(a), &i(b)),
                };
                bits(if holds { t } else { e })
            }
            Op::Reduce(kind, a) => reduce(kind, &self.regs[a.0 as usize]),
        };
        Ok(value)
    }

    fn address(&self, ptr: Ptr, off: i64) -> Result<Pointer, EvalFault> {
        let Pointer { buffer, offset } = self.ptrs[usize::from(ptr.0)];
        let offset = offset.checked_add(off).ok_or(EvalFault::Overflow)?;
        Ok(Pointer { buffer, offset })
    }

    fn read(&self, ptr: Ptr, off: i64) -> Result<u32, EvalFault> {
        let place = self.address(ptr, off)?;
        let buffer = self.buffers.get(place.buffer);
        let buffer = buffer.ok_or(EvalFault::NoBuffer(place.buffer))?;
        let start = start(place, buffer.len())?;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&buffer[start..start + 4]);
        Ok(u32::from_le_bytes(bytes))
    }

    fn write(&mut self, ptr: Ptr, off: i64, value: u32) -> Result<(), EvalFault> {
        let place = self.address(ptr, off)?;
        let buffer = self.buffers.get_mut(place.buffer);
        let buffer = buffer.ok_or(EvalFault::NoBuffer(place.buffer))?;
        let start = start(place, buffer.len())?;
        buffer[start..start + 4].copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn error(&self, item: &Item, fault: EvalFault) -> EvalError {
        EvalError::Fault {
            name: self.body.name.clone(),
            place: Place {
                path: self.path.clone(),
                text: print::head(item, &self.body.regs).to_string(),
            },
            fault,
        }
    }
}

/// Where four bytes start, if all of them lie in a buffer of `len` bytes.
fn start(place: Pointer, len: usize) -> Result<usize, EvalFault> {
    let Pointer { buffer, offset } = place;
    if offset % 4 != 0 {
        return Err(EvalFault::Unaligned { buffer, offset });
    }
    usize::try_from(offset)
        .ok()
        .filter(|start| start.checked_add(4).is_some_and(|end| end <= len))
        .ok_or(EvalFault::OutOfBounds {
            buffer,
            offset,
            len,
        })
}

fn to_int(value: f32) -> i32 {
    let rounded = f64::from(value.round_ties_even());
    if rounded >= f64::from(i32::MIN) && rounded <= f64::from(i32::MAX) {
        rounded as i32
    } else {
        UNSPECIFIED_INT
    }
}

fn compare<T: PartialOrd>(cmp: Cmp, a: &T, b: &T) -> bool {
    match cmp {
        Cmp::Eq => a == b,
        Cmp::Ne => a != b,
        Cmp::Lt => a < b,
        Cmp::Le => a <= b,
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
        Cmp::Unordered => a.partial_cmp(b).is_none(),
    }
}

/// Folds the upper half onto the lower one until a single lane is left.
fn reduce(kind: Reduce, lanes: &[u32]) -> u32 {
    let mut lanes: Vec<f32> = lanes.iter().map(|&bits| f32::from_bits(bits)).collect();
    while lanes.len() > 1 {
        let upper = lanes.split_off(lanes.len() / 2);
        for (a, b) in lanes.iter_mut().zip(upper) {
            *a = match kind {
                Reduce::Sum => *a + b,
                Reduce::Max if *a > b => *a,
                Reduce::Max => b,
            };
        }
    }
    lanes[0].to_bits()
}
