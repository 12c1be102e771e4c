//! Machine instructions whose vector registers are still virtual.

use std::ops::{Deref, DerefMut};

use iced_x86::{Code, Register};

use crate::kernel::{Count, Int, Ptr};

/// A virtual vector register: those of the body first, then temporaries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Virt(pub(super) u32);

/// A constant of the pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ConstId(pub(super) u32);

/// What a constant holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Const {
    /// The same bits in every lane.
    Splat(u32),
    /// Bits for each lane.
    Lanes(Vec<u32>),
}

/// A place in memory.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Addr {
    pub(super) ptr: Ptr,
    pub(super) off: i64,
}

/// A source of an instruction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Src {
    Virt(Virt),
    Const(ConstId),
    Mem(Addr),
}

/// How wide the register operands of an instruction are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Width {
    X,
    Y,
    Z,
}

impl Width {
    /// The register of a number.
    pub(super) fn register(self, number: u8) -> Register {
        let first = match self {
            Width::X => Register::XMM0,
            Width::Y => Register::YMM0,
            Width::Z => Register::ZMM0,
        };
        first + u32::from(number)
    }
}

/// Which lanes an access touches, on the tier with mask registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mask {
    /// All.
    None,
    /// The first so many.
    First(u8),
    /// Those of the tail.
    Tail,
}

/// A loop or a tail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RegionId(pub(super) u16);

/// A part of the code that may run several times or not at all.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) parent: Option<RegionId>,
    /// None for a tail.
    pub(super) count: Option<Count>,
    /// The instruction that opens it.
    pub(super) begin: u32,
    /// The instruction that closes it.
    pub(super) end: u32,
    /// How many loops enclose its contents.
    pub(super) depth: u32,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One instruction: destination, sources, immediate.
    Op {
        code: Code,
        imm: Option<u8>,
        mask: Mask,
    },
    /// A multiply-add, whose form depends on which source the destination overwrites: the codes are
    /// those of 132, 213 and 231.
    Fma([Code; 3]),
    /// A comparison of the first two sources into a mask register, then a choice between the third
    /// where false and the fourth where true.
    Select {
        cmp: Code,
        predicate: u8,
        blend: Code,
    },
    /// A store of the last source, whose mask vector, if any, comes before it.
    Store { code: Code, addr: Addr, mask: Mask },
    /// The line of an address is brought near.
    Prefetch(Addr),
    /// A constant is put into the destination.
    Const(ConstId),
    /// The low half of an integer is put into the destination: its first lane, or all lanes.
    Int { int: Int, code: Code },
    /// Lanes of the tail are loaded from `addr` plus the first source scaled. The second source is a
    /// mask vector that the instruction destroys.
    Gather { code: Code, addr: Addr, scale: u8 },
    /// Bytes are added to a pointer.
    Advance { ptr: Ptr, bytes: i64 },
    /// A pointer is set to another plus an offset.
    SetPtr { dst: Ptr, src: Ptr, off: i64 },
    /// A loop is entered.
    LoopBegin(RegionId),
    /// A loop is repeated or left.
    LoopEnd(RegionId),
    /// A tail is entered if it has lanes.
    TailBegin(RegionId, Int),
    /// A tail ends.
    TailEnd(RegionId),
}

/// Up to four sources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Srcs {
    list: [Src; 4],
    len: usize,
}

impl Srcs {
    pub(super) fn new(srcs: &[Src]) -> Srcs {
        let mut list = [Src::Const(ConstId(0)); 4];
        list[..srcs.len()].copy_from_slice(srcs);
        Srcs {
            list,
            len: srcs.len(),
        }
    }
}

impl Deref for Srcs {
    type Target = [Src];
    fn deref(&self) -> &[Src] {
        &self.list[..self.len]
    }
}

impl DerefMut for Srcs {
    fn deref_mut(&mut self) -> &mut [Src] {
        &mut self.list[..self.len]
    }
}

/// An instruction.
#[derive(Clone, Debug)]
pub(super) struct Inst {
    pub(super) kind: Kind,
    pub(super) dst: Option<Virt>,
    pub(super) srcs: Srcs,
    /// Of the registers.
    pub(super) width: Width,
    /// Of the last register among the sources.
    pub(super) last_width: Width,
    /// Which sources may lie in memory, one bit each; one at a time except in `Select`.
    pub(super) mems: u8,
    /// Whether the two sources may change places.
    pub(super) commutes: bool,
    /// Whether the destination is written before all sources have been read.
    pub(super) early: bool,
    /// The innermost region around it.
    pub(super) region: Option<RegionId>,
}

/// A body as machine instructions.
pub(super) struct Program {
    pub(super) insts: Vec<Inst>,
    pub(super) regions: Vec<Region>,
    pub(super) consts: Vec<Const>,
    /// How many virtual registers there are.
    pub(super) virts: u32,
}
