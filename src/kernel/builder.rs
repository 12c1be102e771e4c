//! Builds bodies and nests, so that makers of kernels name values instead of numbering them.
//!
//! # Constants
//!
//! [`BodyBuilder::const_f`] and [`BodyBuilder::const_i`] give one register a value, however often
//! they are asked for. The register is set where it is first asked for; if a loop or tail is open
//! there, just before the outermost one. So it is set on every path to any later use, never again
//! in each turn of a loop, and not before it is needed: a constant that only an epilogue reads takes
//! no register during the reduction before it. A constant's register must not be written again.

use super::body::{Body, Cmp, Count, Int, Item, LaneType, Lanes, Op, Ptr, Reduce, Reg};
use super::verify;

/// Builds one [`Body`].
#[derive(Debug)]
pub struct BodyBuilder {
    body: Body,
    /// The lists being filled, the body's own first, then those of open loops and tails.
    open: Vec<Vec<Item>>,
    constants: Vec<(LaneType, u32, Reg)>,
}

/// Methods that set a fresh register by an operation of registers alone.
macro_rules! lane_wise {
    ($($(#[$doc:meta])* $name:ident($($operand:ident),+) => $variant:ident;)+) => {
        $(
            $(#[$doc])*
            pub fn $name(&mut self, $($operand: Reg),+) -> Reg {
                self.fresh(Op::$variant($($operand),+))
            }
        )+
    };
}

impl BodyBuilder {
    /// Starts a body of `lanes` lanes.
    pub fn new(name: impl Into<String>, lanes: usize) -> BodyBuilder {
        BodyBuilder {
            body: Body {
                name: name.into(),
                lanes,
                ptr_args: 0,
                ptrs: 0,
                int_args: 0,
                regs: Vec::new(),
                items: Vec::new(),
            },
            open: vec![Vec::new()],
            constants: Vec::new(),
        }
    }

    /// The number of lanes.
    pub fn lanes(&self) -> usize {
        self.body.lanes
    }

    /// The bytes of one vector.
    pub fn vector_bytes(&self) -> i32 {
        self.body.lanes as i32 * 4
    }

    /// Declares the next pointer argument.
    ///
    /// Arguments are numbered before other pointers, so all of them are declared before the first
    /// [`BodyBuilder::ptr_copy`]; anything else is a mistake of the caller and panics.
    pub fn ptr_arg(&mut self) -> Ptr {
        assert_eq!(
            self.body.ptrs, self.body.ptr_args,
            "body {}: a pointer argument is declared after a pointer copy",
            self.body.name
        );
        self.body.ptr_args += 1;
        self.fresh_ptr()
    }

    /// Declares the next integer argument.
    pub fn int_arg(&mut self) -> Int {
        self.body.int_args += 1;
        Int(self.body.int_args - 1)
    }

    /// A fresh pointer variable, set to another plus an offset.
    pub fn ptr_copy(&mut self, src: Ptr, off: i64) -> Ptr {
        let dst = self.fresh_ptr();
        self.set_ptr(dst, src, off);
        dst
    }

    /// Sets a pointer that is no argument.
    pub fn set_ptr(&mut self, dst: Ptr, src: Ptr, off: i64) {
        self.push(Item::SetPtr { dst, src, off });
    }

    /// Adds bytes to a pointer; adding none leaves no trace.
    pub fn advance(&mut self, ptr: Ptr, bytes: i64) {
        if bytes != 0 {
            self.push(Item::Advance { ptr, bytes });
        }
    }

    /// Repeats what `fill` adds.
    pub fn repeat(&mut self, count: Count, fill: impl FnOnce(&mut Self)) {
        let items = self.collect(fill);
        if !items.is_empty() {
            self.push(Item::Loop { count, items });
        }
    }

    /// Runs what `fill` adds on the first `lanes` lanes.
    pub fn tail(&mut self, lanes: Int, fill: impl FnOnce(&mut Self)) {
        let items = self.collect(fill);
        if !items.is_empty() {
            self.push(Item::Tail { lanes, items });
        }
    }

    /// Brings the line of an address near, if the tier can: it need not be one that may be read.
    pub fn prefetch(&mut self, ptr: Ptr, off: i32) {
        self.push(Item::Prefetch { ptr, off });
    }

    /// Writes lanes to memory.
    pub fn store(&mut self, ptr: Ptr, off: i32, src: Reg, lanes: Lanes) {
        self.push(Item::Store {
            ptr,
            off,
            src,
            lanes,
            streams: false,
        });
    }

    /// Writes all lanes to memory past the caches, if the tier can: what is not read again soon then pushes nothing out of
    /// them, and the old contents need not be fetched. The address must be a multiple of a vector's bytes.
    pub fn stream(&mut self, ptr: Ptr, off: i32, src: Reg) {
        self.push(Item::Store {
            ptr,
            off,
            src,
            lanes: Lanes::All,
            streams: true,
        });
    }

    /// A fresh register, not yet set.
    pub fn reg(&mut self, lane_type: LaneType) -> Reg {
        self.body.regs.push(lane_type);
        Reg(self.body.regs.len() as u32 - 1)
    }

    /// The lane type of a register.
    pub fn lane_type(&self, reg: Reg) -> LaneType {
        self.body.regs[reg.0 as usize]
    }

    /// Sets a register that was made before.
    pub fn set(&mut self, dst: Reg, op: Op) {
        debug_assert!(
            self.constants.iter().all(|&(_, _, reg)| reg != dst),
            "body {}: a constant's register is written again",
            self.body.name
        );
        self.push(Item::Set { dst, op });
    }

    /// The same float in every lane; one register for each value of a body.
    pub fn const_f(&mut self, value: f32) -> Reg {
        self.constant(LaneType::F32, value.to_bits(), Op::float(value))
    }

    /// The same integer in every lane; one register for each value of a body.
    pub fn const_i(&mut self, value: i32) -> Reg {
        self.constant(LaneType::I32, value as u32, Op::ConstI(value))
    }

    /// 0, 1, 2, … in I32 lanes.
    pub fn iota(&mut self) -> Reg {
        self.fresh(Op::Iota)
    }

    /// The low 32 bits of an integer argument in every I32 lane.
    pub fn splat(&mut self, int: Int) -> Reg {
        self.fresh(Op::Splat(int))
    }

    /// Consecutive floats from memory.
    pub fn load(&mut self, ptr: Ptr, off: i32, lanes: Lanes) -> Reg {
        self.read(LaneType::F32, Op::Load { ptr, off, lanes })
    }

    /// Consecutive integers from memory.
    pub fn load_i(&mut self, ptr: Ptr, off: i32, lanes: Lanes) -> Reg {
        self.read(LaneType::I32, Op::Load { ptr, off, lanes })
    }

    /// Floats from memory, `stride` bytes apart.
    pub fn gather(&mut self, ptr: Ptr, off: i32, stride: i32, lanes: Lanes) -> Reg {
        let op = Op::Gather {
            ptr,
            off,
            stride,
            lanes,
        };
        self.read(LaneType::F32, op)
    }

    /// One float from memory in every lane.
    pub fn broadcast(&mut self, ptr: Ptr, off: i32) -> Reg {
        self.read(LaneType::F32, Op::Broadcast { ptr, off })
    }

    /// One integer from memory in every lane.
    pub fn broadcast_i(&mut self, ptr: Ptr, off: i32) -> Reg {
        self.read(LaneType::I32, Op::Broadcast { ptr, off })
    }

    /// Consecutive lanes of a given type from memory.
    pub fn load_as(&mut self, ptr: Ptr, off: i32, lanes: Lanes, lane_type: LaneType) -> Reg {
        self.read(lane_type, Op::Load { ptr, off, lanes })
    }

    /// One element of a given type in every lane.
    pub fn broadcast_as(&mut self, ptr: Ptr, off: i32, lane_type: LaneType) -> Reg {
        self.read(lane_type, Op::Broadcast { ptr, off })
    }

    lane_wise! {
        /// The same value in a register of its own, say as the first value of an accumulator.
        copy(a) => Copy;
        /// a + b
        add(a, b) => Add;
        /// a - b
        sub(a, b) => Sub;
        /// a · b
        mul(a, b) => Mul;
        /// a / b
        div(a, b) => Div;
        /// a < b ? a : b, so b where either is NaN.
        min(a, b) => Min;
        /// a > b ? a : b, so b where either is NaN.
        max(a, b) => Max;
        /// a · b + c with one rounding.
        fma(a, b, c) => Fma;
        /// c - a · b with one rounding.
        fma_neg(a, b, c) => FmaNeg;
        /// The square root.
        sqrt(a) => Sqrt;
        /// -a
        neg(a) => Neg;
        /// |a|
        abs(a) => Abs;
        /// To the nearest whole float, ties to even.
        round(a) => Round;
        /// Float to integer, ties to even.
        to_int(a) => ToInt;
        /// Integer to float.
        to_float(a) => ToFloat;
        /// The bits of a float as an integer.
        as_int(a) => AsInt;
        /// The bits of an integer as a float.
        as_float(a) => AsFloat;
        /// a + b, integers.
        iadd(a, b) => IAdd;
        /// a - b, integers.
        isub(a, b) => ISub;
        /// a · b, integers.
        imul(a, b) => IMul;
        /// Bitwise and.
        and(a, b) => And;
        /// Bitwise or.
        or(a, b) => Or;
        /// Bitwise exclusive or.
        xor(a, b) => Xor;
    }

    /// Left shift.
    pub fn shl(&mut self, a: Reg, bits: u8) -> Reg {
        self.fresh(Op::Shl(a, bits))
    }

    /// Logical right shift.
    pub fn shr(&mut self, a: Reg, bits: u8) -> Reg {
        self.fresh(Op::Shr(a, bits))
    }

    /// cmp(a, b) ? t : f
    pub fn select(&mut self, cmp: Cmp, a: Reg, b: Reg, t: Reg, f: Reg) -> Reg {
        self.fresh(Op::Select { cmp, a, b, t, f })
    }

    /// A reduction over all lanes, its result in every lane.
    pub fn reduce(&mut self, kind: Reduce, a: Reg) -> Reg {
        self.fresh(Op::Reduce(kind, a))
    }

    /// dst = a
    pub fn copy_into(&mut self, dst: Reg, a: Reg) {
        self.set(dst, Op::Copy(a));
    }

    /// dst = a + b
    pub fn add_into(&mut self, dst: Reg, a: Reg, b: Reg) {
        self.set(dst, Op::Add(a, b));
    }

    /// dst = a · b
    pub fn mul_into(&mut self, dst: Reg, a: Reg, b: Reg) {
        self.set(dst, Op::Mul(a, b));
    }

    /// dst = min(a, b)
    pub fn min_into(&mut self, dst: Reg, a: Reg, b: Reg) {
        self.set(dst, Op::Min(a, b));
    }

    /// dst = max(a, b)
    pub fn max_into(&mut self, dst: Reg, a: Reg, b: Reg) {
        self.set(dst, Op::Max(a, b));
    }

    /// dst = a · b + c
    pub fn fma_into(&mut self, dst: Reg, a: Reg, b: Reg, c: Reg) {
        self.set(dst, Op::Fma(a, b, c));
    }

    /// dst = c - a · b
    pub fn fma_neg_into(&mut self, dst: Reg, a: Reg, b: Reg, c: Reg) {
        self.set(dst, Op::FmaNeg(a, b, c));
    }

    /// The finished body, checked in debug builds.
    pub fn finish(self) -> Body {
        let body = self.finish_unchecked();
        if cfg!(debug_assertions)
            && let Err(error) = verify::body(&body)
        {
            panic!("{error}, in\n{body}");
        }
        body
    }

    /// The finished body, sound or not; the verifier's own tests need the latter.
    pub(crate) fn finish_unchecked(mut self) -> Body {
        assert_eq!(self.open.len(), 1, "closures close every list they open");
        self.body.items = self.open.remove(0);
        self.body
    }

    fn fresh_ptr(&mut self) -> Ptr {
        self.body.ptrs += 1;
        Ptr(self.body.ptrs - 1)
    }

    fn fresh(&mut self, op: Op) -> Reg {
        let lane_type = op
            .result(&self.body.regs)
            .expect("only memory reads, which go through `read`, leave the type open");
        self.read(lane_type, op)
    }

    fn read(&mut self, lane_type: LaneType, op: Op) -> Reg {
        let dst = self.reg(lane_type);
        self.push(Item::Set { dst, op });
        dst
    }

    fn constant(&mut self, lane_type: LaneType, bits: u32, op: Op) -> Reg {
        let known = self
            .constants
            .iter()
            .find(|&&(known_type, known_bits, _)| (known_type, known_bits) == (lane_type, bits));
        if let Some(&(_, _, reg)) = known {
            return reg;
        }
        let dst = self.reg(lane_type);
        // While a loop or tail is open it is not yet part of the body's own list, whose end is
        // therefore just before it.
        self.open[0].push(Item::Set { dst, op });
        self.constants.push((lane_type, bits, dst));
        dst
    }

    fn collect(&mut self, fill: impl FnOnce(&mut Self)) -> Vec<Item> {
        self.open.push(Vec::new());
        fill(self);
        self.open.pop().expect("the list pushed above")
    }

    fn push(&mut self, item: Item) {
        self.open
            .last_mut()
            .expect("the body's own list is always open")
            .push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_stand_before_the_outermost_open_loop_and_once() {
        let mut b = BodyBuilder::new("constants", 4);
        let (p, n) = (b.ptr_arg(), b.int_arg());
        let first = b.load(p, 0, Lanes::All);
        b.repeat(Count::Imm(2), |b| {
            b.repeat(Count::Arg(n), |b| {
                let two = b.const_f(2.0);
                let scaled = b.mul(first, two);
                b.store(p, 0, scaled, Lanes::All);
            });
        });
        let again = b.const_f(2.0);
        let body = b.finish();
        assert!(
            matches!(
                body.items[..],
                [
                    Item::Set { op: Op::Load { .. }, .. },
                    Item::Set { dst, op },
                    Item::Loop { count: Count::Imm(2), .. },
                ] if dst == again && op == Op::float(2.0)
            ),
            "{body:?}"
        );
    }

    #[test]
    fn zeros_of_different_sign_are_different_constants() {
        let mut b = BodyBuilder::new("zeros", 4);
        assert_ne!(b.const_f(0.0), b.const_f(-0.0));
    }

    #[test]
    fn select_has_the_type_of_what_it_selects() {
        let mut b = BodyBuilder::new("select", 4);
        let (x, y) = (b.const_f(0.0), b.const_f(1.0));
        let (i, j) = (b.const_i(0), b.const_i(1));
        let r = b.select(Cmp::Lt, x, y, i, j);
        assert_eq!(b.lane_type(r), LaneType::I32);
    }
}
