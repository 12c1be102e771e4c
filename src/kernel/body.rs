//! Bodies: vector code over `W` lanes.
//!
//! # Semantics
//!
//! A body is a function. Its arguments are `ptr_args` pointers, then `int_args` 64-bit integers.
//! Pointers are variables: [`Item::Advance`] and [`Item::SetPtr`] change them, and a change made in
//! a loop stays. Integers never change.
//!
//! A register holds `W` lanes of one [`LaneType`] and may be written many times; that is how
//! accumulators live through loops. It must be written on every path before it is read; a write
//! inside a loop whose count may be zero does not count for reads after the loop.
//!
//! [`Item::Loop`] runs its items `count` times, in order. [`Item::Tail`] runs its items once with
//! the first `lanes` lanes active (`0 ≤ lanes < W`; zero skips it): loads read only active lanes
//! and give zero in the others, stores write only active lanes, everything else acts on all lanes.
//! An emitter may run a tail lane by lane; hence a tail may read registers written outside it only
//! if they hold the same value in every lane (constants, broadcasts, splats), registers written in
//! it are not readable after it, and neither [`Op::Reduce`] nor a pointer change, a loop nor another
//! tail may stand in it. A load or store that is itself partial ([`Lanes::First`]) may not either.
//! For the same reason no lane of a tail may read or write an element that another lane writes.
//!
//! Floating-point arithmetic is IEEE single precision, round to nearest even, denormals flushed or
//! not as the thread's mode says. No instruction is reassociated or contracted: [`Op::Fma`] rounds
//! once, [`Op::Mul`] then [`Op::Add`] twice. Offsets, steps and strides are in bytes. Memory need
//! not be aligned beyond four bytes. Pointers may alias as the maker likes: accesses happen in order.

/// A virtual vector register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reg(pub u32);

/// A pointer variable; the first `ptr_args` are arguments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ptr(pub u16);

/// An integer argument.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Int(pub u16);

/// What a lane holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LaneType {
    /// An IEEE single.
    F32,
    /// Thirty-two bits, two's complement; arithmetic wraps.
    I32,
}

/// Which lanes a memory access touches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lanes {
    /// All of them (the active ones in a tail).
    All,
    /// The first so many, at least one and fewer than `W`. A load gives zero in the rest.
    First(u8),
}

/// How often a loop runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Count {
    /// So often, at least once.
    Imm(u32),
    /// As often as the argument says, perhaps never.
    Arg(Int),
}

/// Lane-wise comparisons. Ordered ones are false where either side is NaN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cmp {
    /// a = b
    Eq,
    /// not a = b: true where either side is NaN.
    Ne,
    /// a < b
    Lt,
    /// a ≤ b
    Le,
    /// a > b
    Gt,
    /// a ≥ b
    Ge,
    /// Either side is NaN; floats only.
    Unordered,
}

/// Horizontal reductions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reduce {
    /// The sum, by halves: lane `i` and lane `i + W/2` first, then quarters, and so on.
    Sum,
    /// The maximum by [`Op::Max`], in the same order.
    Max,
}

/// A float constant, equal to another if all bits are: code for 0 is not code for -0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Float(u32);

impl Float {
    /// The number.
    pub fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl From<f32> for Float {
    fn from(value: f32) -> Float {
        Float(value.to_bits())
    }
}

impl std::fmt::Debug for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// What a register is set to.
#[allow(missing_docs, reason = "each variant's sentence names its fields")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// The same float in every lane.
    ConstF(Float),
    /// The same integer in every lane.
    ConstI(i32),
    /// 0, 1, 2, … in I32 lanes.
    Iota,
    /// The low 32 bits of an integer argument in every I32 lane.
    Splat(Int),
    /// Consecutive lanes from memory.
    Load { ptr: Ptr, off: i32, lanes: Lanes },
    /// Lane `i` from `ptr + off + i * stride`.
    Gather {
        ptr: Ptr,
        off: i32,
        stride: i32,
        lanes: Lanes,
    },
    /// One element from memory in every lane.
    Broadcast { ptr: Ptr, off: i32 },
    /// The same value.
    Copy(Reg),
    /// a + b, floats.
    Add(Reg, Reg),
    /// a - b, floats.
    Sub(Reg, Reg),
    /// a · b, floats.
    Mul(Reg, Reg),
    /// a / b, floats.
    Div(Reg, Reg),
    /// a < b ? a : b, so b where either is NaN; floats.
    Min(Reg, Reg),
    /// a > b ? a : b, so b where either is NaN; floats.
    Max(Reg, Reg),
    /// a · b + c with one rounding.
    Fma(Reg, Reg, Reg),
    /// c - a · b with one rounding.
    FmaNeg(Reg, Reg, Reg),
    /// The square root, rounded correctly.
    Sqrt(Reg),
    /// The sign flipped, NaN included.
    Neg(Reg),
    /// The sign cleared.
    Abs(Reg),
    /// To the nearest whole float, ties to even.
    Round(Reg),
    /// Float to integer, rounded to nearest even; the result of values beyond 31 bits is unspecified.
    ToInt(Reg),
    /// Integer to float, rounded to nearest even.
    ToFloat(Reg),
    /// The bits of a float as an integer.
    AsInt(Reg),
    /// The bits of an integer as a float.
    AsFloat(Reg),
    /// a + b, integers.
    IAdd(Reg, Reg),
    /// a - b, integers.
    ISub(Reg, Reg),
    /// a · b, low 32 bits.
    IMul(Reg, Reg),
    /// Bitwise and, integers.
    And(Reg, Reg),
    /// Bitwise or, integers.
    Or(Reg, Reg),
    /// Bitwise exclusive or, integers.
    Xor(Reg, Reg),
    /// Left shift by a constant below 32.
    Shl(Reg, u8),
    /// Logical right shift by a constant below 32.
    Shr(Reg, u8),
    /// cmp(a, b) ? t : f; a and b of one lane type, t and f of another or the same.
    Select {
        cmp: Cmp,
        a: Reg,
        b: Reg,
        t: Reg,
        f: Reg,
    },
    /// A reduction over all lanes, its result in every lane; floats.
    Reduce(Reduce, Reg),
}

impl Op {
    /// The same float in every lane.
    pub fn float(value: f32) -> Op {
        Op::ConstF(value.into())
    }
}

/// One step of a body.
#[allow(missing_docs, reason = "each variant's sentence names its fields")]
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Item {
    /// Sets a register.
    Set { dst: Reg, op: Op },
    /// Writes lanes to memory; if it streams, past the caches where the tier can. Then it takes all lanes, and the address
    /// is a multiple of a vector's bytes.
    Store {
        ptr: Ptr,
        off: i32,
        src: Reg,
        lanes: Lanes,
        streams: bool,
    },
    /// Brings the line of an address near, which need not be one that may be read.
    Prefetch { ptr: Ptr, off: i32 },
    /// Adds bytes to a pointer.
    Advance { ptr: Ptr, bytes: i64 },
    /// Sets a pointer that is no argument to another pointer plus an offset.
    SetPtr { dst: Ptr, src: Ptr, off: i64 },
    /// A counted loop.
    Loop { count: Count, items: Vec<Item> },
    /// What is left of a run.
    Tail { lanes: Int, items: Vec<Item> },
}

/// A function of vector code.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Body {
    /// For dumps and profiles.
    pub name: String,
    /// The number of lanes it was built for.
    pub lanes: usize,
    /// How many of the pointers are arguments.
    pub ptr_args: u16,
    /// All pointer variables, arguments first.
    pub ptrs: u16,
    /// The integer arguments.
    pub int_args: u16,
    /// The lane type of each register.
    pub regs: Vec<LaneType>,
    /// The code.
    pub items: Vec<Item>,
}

impl Body {
    /// Whether it writes past the caches.
    #[must_use]
    pub fn streams(&self) -> bool {
        fn any(items: &[Item]) -> bool {
            items.iter().any(|item| match item {
                Item::Store { streams, .. } => *streams,
                Item::Loop { items, .. } | Item::Tail { items, .. } => any(items),
                Item::Set { .. }
                | Item::Prefetch { .. }
                | Item::Advance { .. }
                | Item::SetPtr { .. } => false,
            })
        }
        any(&self.items)
    }
}
