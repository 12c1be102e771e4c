//! The rules of bodies.

use thiserror::Error;

use super::Place;
use crate::kernel::body::{Body, Cmp, Count, Int, Item, LaneType, Lanes, Op, Ptr, Reg};
use crate::kernel::operands::Operand;
use crate::kernel::print;

/// A broken rule in a body.
#[derive(Clone, PartialEq, Debug, Error)]
#[error("body {body}: {place}: {fault}")]
pub struct BodyError {
    /// The body's name.
    pub body: String,
    /// Where it is broken.
    pub place: Place,
    /// Which rule.
    pub fault: Fault,
}

/// A rule of bodies that may be broken.
#[allow(missing_docs, reason = "each message names its fields")]
#[derive(Clone, PartialEq, Debug, Error)]
pub enum Fault {
    #[error("{0} lanes are no power of two")]
    LaneCount(usize),
    #[error("{arguments} pointer arguments among {all} pointers")]
    PointerCount { arguments: u16, all: u16 },
    #[error("there is no register {0}")]
    NoRegister(Reg),
    #[error("there is no pointer {0}")]
    NoPointer(Ptr),
    #[error("there is no integer argument {0}")]
    NoInt(Int),
    #[error("{reg} holds {found}, not {expected}")]
    LaneType {
        reg: Reg,
        expected: LaneType,
        found: LaneType,
    },
    #[error("unordered compares floats only")]
    UnorderedIntegers,
    #[error("a shift by {0} bits")]
    Shift(u8),
    #[error("a partial access of {0} lanes")]
    PartialLanes(u8),
    #[error("a loop that never runs")]
    NoTurns,
    #[error("{0} may be read before it is set")]
    UnsetRegister(Reg),
    #[error("{0} may be used before it is set")]
    UnsetPointer(Ptr),
    #[error("{0} is an argument and is set")]
    ArgumentSet(Ptr),
    #[error("{0} in a tail")]
    InTail(Misplaced),
    #[error("{0} is read in a tail, but may differ between lanes and is set outside it")]
    VariesOutsideTail(Reg),
}

/// What a tail must not hold.
#[allow(missing_docs, reason = "the messages are the documentation")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Misplaced {
    #[error("a loop")]
    Loop,
    #[error("a tail")]
    Tail,
    #[error("a reduction")]
    Reduction,
    #[error("a partial access")]
    PartialAccess,
    #[error("a change of a pointer")]
    PointerChange,
}

/// Checks a body.
pub fn body(body: &Body) -> Result<(), BodyError> {
    let head = |fault| BodyError {
        body: body.name.clone(),
        place: Place::head(),
        fault,
    };
    if !body.lanes.is_power_of_two() {
        return Err(head(Fault::LaneCount(body.lanes)));
    }
    if body.ptr_args > body.ptrs {
        return Err(head(Fault::PointerCount {
            arguments: body.ptr_args,
            all: body.ptrs,
        }));
    }
    let mut checker = Checker {
        body,
        uniform: uniform_registers(body),
        set: Set {
            regs: vec![false; body.regs.len()],
            ptrs: (0..body.ptrs).map(|ptr| ptr < body.ptr_args).collect(),
        },
        tail: None,
        path: Vec::new(),
    };
    checker.list(&body.items)
}

/// What has been set on every path so far.
#[derive(Clone, PartialEq)]
struct Set {
    regs: Vec<bool>,
    ptrs: Vec<bool>,
}

impl Set {
    /// What both have set.
    fn meet(&mut self, other: &Set) {
        let mine = self.regs.iter_mut().chain(&mut self.ptrs);
        let others = other.regs.iter().chain(&other.ptrs);
        for (mine, other) in mine.zip(others) {
            *mine &= other;
        }
    }
}

struct Checker<'a> {
    body: &'a Body,
    uniform: Vec<bool>,
    set: Set,
    /// In a tail, the registers set in it so far.
    tail: Option<Vec<bool>>,
    path: Vec<usize>,
}

impl Checker<'_> {
    fn list(&mut self, items: &[Item]) -> Result<(), BodyError> {
        for (position, item) in items.iter().enumerate() {
            self.path.push(position);
            match item {
                Item::Loop { count, items } => {
                    self.loop_head(*count).map_err(|f| self.error(item, f))?;
                    self.loop_items(*count, items)?;
                }
                Item::Tail { lanes, items } => {
                    self.tail_head(*lanes).map_err(|f| self.error(item, f))?;
                    self.tail = Some(vec![false; self.body.regs.len()]);
                    self.list(items)?;
                    let written = self.tail.take().expect("set above, and tails do not nest");
                    for (set, written) in self.set.regs.iter_mut().zip(written) {
                        *set &= !written;
                    }
                }
                Item::Set { .. }
                | Item::Store { .. }
                | Item::Prefetch { .. }
                | Item::Advance { .. }
                | Item::SetPtr { .. } => {
                    self.simple(item).map_err(|f| self.error(item, f))?;
                }
            }
            self.path.pop();
        }
        Ok(())
    }

    fn loop_head(&self, count: Count) -> Result<(), Fault> {
        self.not_in_tail(Misplaced::Loop)?;
        match count {
            Count::Imm(0) => Err(Fault::NoTurns),
            Count::Imm(_) => Ok(()),
            Count::Arg(int) => self.int(int),
        }
    }

    /// A tail in the loop unsets registers, so the second turn may start with fewer than the first.
    fn loop_items(&mut self, count: Count, items: &[Item]) -> Result<(), BodyError> {
        let before = self.set.clone();
        loop {
            let entry = self.set.clone();
            self.list(items)?;
            let exit = self.set.clone();
            self.set.meet(&entry);
            if self.set == entry {
                self.set = exit;
                break;
            }
        }
        if let Count::Arg(_) = count {
            self.set.meet(&before);
        }
        Ok(())
    }

    fn tail_head(&self, lanes: Int) -> Result<(), Fault> {
        self.not_in_tail(Misplaced::Tail)?;
        self.int(lanes)
    }

    fn simple(&mut self, item: &Item) -> Result<(), Fault> {
        match item {
            Item::Set { dst, op } => self.operation(*dst, op),
            Item::Store {
                ptr, src, lanes, ..
            } => {
                self.ptr(*ptr)?;
                self.read(*src)?;
                self.lanes(*lanes)
            }
            Item::Prefetch { ptr, .. } => self.ptr(*ptr),
            Item::Advance { ptr, .. } => {
                self.not_in_tail(Misplaced::PointerChange)?;
                self.ptr(*ptr)
            }
            Item::SetPtr { dst, src, .. } => {
                self.not_in_tail(Misplaced::PointerChange)?;
                self.ptr(*src)?;
                if dst.0 < self.body.ptr_args {
                    return Err(Fault::ArgumentSet(*dst));
                }
                let set = self.set.ptrs.get_mut(dst.0 as usize);
                *set.ok_or(Fault::NoPointer(*dst))? = true;
                Ok(())
            }
            Item::Loop { .. } | Item::Tail { .. } => unreachable!("handled by the list"),
        }
    }

    fn operation(&mut self, dst: Reg, op: &Op) -> Result<(), Fault> {
        let regs = &self.body.regs;
        let dst_type = *regs.get(dst.0 as usize).ok_or(Fault::NoRegister(dst))?;
        let mut groups = [None; 2];
        let mut reads = Ok(());
        op.visit_reads(|reg, operand| {
            reads = reads.clone().and_then(|()| self.read(reg)).and_then(|()| {
                let found = regs[reg.0 as usize];
                let expected = match operand {
                    Operand::Of(lane_type) => lane_type,
                    Operand::Group(group) => *groups[group as usize].get_or_insert(found),
                };
                expect_type(reg, expected, found)
            });
        });
        reads?;
        self.beyond_operands(op)?;
        if let Some(result) = op.result(regs) {
            expect_type(dst, result, dst_type)?;
        }
        self.set.regs[dst.0 as usize] = true;
        if let Some(written) = &mut self.tail {
            written[dst.0 as usize] = true;
        }
        Ok(())
    }

    /// What an operation asks for besides registers of the right type.
    fn beyond_operands(&self, op: &Op) -> Result<(), Fault> {
        match *op {
            Op::Load { ptr, lanes, .. } | Op::Gather { ptr, lanes, .. } => {
                self.ptr(ptr)?;
                self.lanes(lanes)
            }
            Op::Broadcast { ptr, .. } => self.ptr(ptr),
            Op::Splat(int) => self.int(int),
            Op::Shl(_, bits) | Op::Shr(_, bits) => {
                if bits < 32 {
                    Ok(())
                } else {
                    Err(Fault::Shift(bits))
                }
            }
            Op::Select { cmp, a, .. } => {
                if cmp == Cmp::Unordered && self.body.regs[a.0 as usize] == LaneType::I32 {
                    Err(Fault::UnorderedIntegers)
                } else {
                    Ok(())
                }
            }
            Op::Reduce(..) => self.not_in_tail(Misplaced::Reduction),
            Op::ConstF(_)
            | Op::ConstI(_)
            | Op::Iota
            | Op::Copy(_)
            | Op::Add(..)
            | Op::Sub(..)
            | Op::Mul(..)
            | Op::Div(..)
            | Op::Min(..)
            | Op::Max(..)
            | Op::Fma(..)
            | Op::FmaNeg(..)
            | Op::Sqrt(_)
            | Op::Neg(_)
            | Op::Abs(_)
            | Op::Round(_)
            | Op::ToInt(_)
            | Op::ToFloat(_)
            | Op::AsInt(_)
            | Op::AsFloat(_)
            | Op::IAdd(..)
            | Op::ISub(..)
            | Op::IMul(..)
            | Op::And(..)
            | Op::Or(..)
            | Op::Xor(..) => Ok(()),
        }
    }

    fn read(&self, reg: Reg) -> Result<(), Fault> {
        let place = reg.0 as usize;
        match self.set.regs.get(place) {
            None => Err(Fault::NoRegister(reg)),
            Some(false) => Err(Fault::UnsetRegister(reg)),
            Some(true) => match &self.tail {
                Some(written) if !written[place] && !self.uniform[place] => {
                    Err(Fault::VariesOutsideTail(reg))
                }
                _ => Ok(()),
            },
        }
    }

    fn ptr(&self, ptr: Ptr) -> Result<(), Fault> {
        match self.set.ptrs.get(ptr.0 as usize) {
            None => Err(Fault::NoPointer(ptr)),
            Some(false) => Err(Fault::UnsetPointer(ptr)),
            Some(true) => Ok(()),
        }
    }

    fn int(&self, int: Int) -> Result<(), Fault> {
        if int.0 < self.body.int_args {
            Ok(())
        } else {
            Err(Fault::NoInt(int))
        }
    }

    fn lanes(&self, lanes: Lanes) -> Result<(), Fault> {
        match lanes {
            Lanes::All => Ok(()),
            Lanes::First(lanes) if lanes == 0 || usize::from(lanes) >= self.body.lanes => {
                Err(Fault::PartialLanes(lanes))
            }
            Lanes::First(_) => self.not_in_tail(Misplaced::PartialAccess),
        }
    }

    fn not_in_tail(&self, what: Misplaced) -> Result<(), Fault> {
        match self.tail {
            Some(_) => Err(Fault::InTail(what)),
            None => Ok(()),
        }
    }

    fn error(&self, item: &Item, fault: Fault) -> BodyError {
        BodyError {
            body: self.body.name.clone(),
            place: Place {
                path: self.path.clone(),
                text: print::head(item, &self.body.regs).to_string(),
            },
            fault,
        }
    }
}

fn expect_type(reg: Reg, expected: LaneType, found: LaneType) -> Result<(), Fault> {
    if expected == found {
        Ok(())
    } else {
        Err(Fault::LaneType {
            reg,
            expected,
            found,
        })
    }
}

/// For each register, whether everything that sets it outside tails gives the same in every lane.
///
/// Starts from all and removes until nothing changes, as registers depend on each other in loops.
fn uniform_registers(body: &Body) -> Vec<bool> {
    let mut uniform = vec![true; body.regs.len()];
    while remove_varying(&body.items, &mut uniform) {}
    uniform
}

fn remove_varying(items: &[Item], uniform: &mut [bool]) -> bool {
    let mut changed = false;
    for item in items {
        match item {
            Item::Set { dst, op } => {
                let mut same = true;
                op.visit_reads(|reg, _| same &= uniform.get(reg.0 as usize) == Some(&true));
                same |= matches!(op, Op::Reduce(..));
                same &= !matches!(op, Op::Load { .. } | Op::Gather { .. } | Op::Iota);
                if let Some(known) = uniform.get_mut(dst.0 as usize)
                    && *known
                    && !same
                {
                    *known = false;
                    changed = true;
                }
            }
            Item::Loop { items, .. } => changed |= remove_varying(items, uniform),
            Item::Tail { .. }
            | Item::Store { .. }
            | Item::Prefetch { .. }
            | Item::Advance { .. }
            | Item::SetPtr { .. } => {}
        }
    }
    changed
}
