//! What an operation reads and what it gives: the facts that the builder, the verifier and the
//! emitters all need.

use super::body::{LaneType, Op, Reg};

/// What a register operand of an operation must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// Lanes of this type.
    Of(LaneType),
    /// Lanes of any type, but the same as every other operand of this group.
    Group(u8),
}

/// The group of the two sides that [`Op::Select`] compares.
const COMPARED: u8 = 0;
/// The group of the values that an operation passes on unchanged.
const PASSED: u8 = 1;

impl Op {
    /// Visits the registers that the operation reads, in order, with what each must hold.
    pub fn visit_reads(&self, mut visit: impl FnMut(Reg, Operand)) {
        let float = Operand::Of(LaneType::F32);
        let int = Operand::Of(LaneType::I32);
        match *self {
            Op::ConstF(_)
            | Op::ConstI(_)
            | Op::Iota
            | Op::Splat(_)
            | Op::Load { .. }
            | Op::Gather { .. }
            | Op::Broadcast { .. } => {}
            Op::Copy(a) => visit(a, Operand::Group(PASSED)),
            Op::Add(a, b)
            | Op::Sub(a, b)
            | Op::Mul(a, b)
            | Op::Div(a, b)
            | Op::Min(a, b)
            | Op::Max(a, b) => {
                visit(a, float);
                visit(b, float);
            }
            Op::Fma(a, b, c) | Op::FmaNeg(a, b, c) => {
                visit(a, float);
                visit(b, float);
                visit(c, float);
            }
            Op::Sqrt(a)
            | Op::Neg(a)
            | Op::Abs(a)
            | Op::Round(a)
            | Op::ToInt(a)
            | Op::AsInt(a)
            | Op::Reduce(_, a) => visit(a, float),
            Op::ToFloat(a) | Op::AsFloat(a) | Op::Shl(a, _) | Op::Shr(a, _) => visit(a, int),
            Op::IAdd(a, b)
            | Op::ISub(a, b)
            | Op::IMul(a, b)
            | Op::And(a, b)
            | Op::Or(a, b)
            | Op::Xor(a, b) => {
                visit(a, int);
                visit(b, int);
            }
            Op::Select { a, b, t, f, .. } => {
                visit(a, Operand::Group(COMPARED));
                visit(b, Operand::Group(COMPARED));
                visit(t, Operand::Group(PASSED));
                visit(f, Operand::Group(PASSED));
            }
        }
    }

    /// The lane type of the result; `None` where it is that of the register into which a load or
    /// gather goes, since memory holds bits and both types may be read from it.
    pub fn result(&self, regs: &[LaneType]) -> Option<LaneType> {
        match *self {
            Op::Load { .. } | Op::Gather { .. } | Op::Broadcast { .. } => None,
            Op::Copy(a) | Op::Select { t: a, .. } => regs.get(a.0 as usize).copied(),
            Op::ConstI(_)
            | Op::Iota
            | Op::Splat(_)
            | Op::ToInt(_)
            | Op::AsInt(_)
            | Op::IAdd(..)
            | Op::ISub(..)
            | Op::IMul(..)
            | Op::And(..)
            | Op::Or(..)
            | Op::Xor(..)
            | Op::Shl(..)
            | Op::Shr(..) => Some(LaneType::I32),
            Op::ConstF(_)
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
            | Op::ToFloat(_)
            | Op::AsFloat(_)
            | Op::Reduce(..) => Some(LaneType::F32),
        }
    }
}
