//! Bodies of four lanes in CLIF, for any machine: nothing here is peculiar to one.
//!
//! Two choices are due to the code that Cranelift makes of them. `Min` and `Max` are a comparison
//! and a `bitselect`, which x86-64 turns into one `minps` or `maxps`; its own `fmin` and `fmax`
//! treat NaN differently and take many instructions. A tail runs lane by lane on scalars.

mod memory;

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::Ieee32;
use cranelift_codegen::ir::{
    Block, BlockArg, Endianness, InstBuilder, MemFlagsData, Type, Value, types,
};
use cranelift_frontend::{FuncInstBuilder, FunctionBuilder, Variable};

use super::factors;
use crate::kernel::{Body, Cmp, Count, Int, Item, LaneType, Lanes, Op, Ptr, Reduce, Reg};

/// Lanes of a vector in this lowering.
const LANES: u8 = 4;

/// Memory need not be aligned; that it exists is the kernel's promise.
const MEMORY: MemFlagsData = MemFlagsData::new().with_notrap();

/// Reinterpreting a vector needs an order of lanes to be named.
const BITS: MemFlagsData = MemFlagsData::new().with_endianness(Endianness::Little);

/// Lowers the items of a body into the entry block and those after it, up to the return.
pub(super) fn lower(builder: &mut FunctionBuilder<'_>, body: &Body) {
    assert_eq!(body.lanes, usize::from(LANES), "body of another tier");
    let entry = builder.current_block().expect("the entry block is open");
    let params = builder.block_params(entry).to_vec();
    let (pointers, ints) = params.split_at(usize::from(body.ptr_args));
    let ptrs: Vec<Variable> = (0..body.ptrs)
        .map(|_| builder.declare_var(types::I64))
        .collect();
    for (var, value) in ptrs.iter().zip(pointers) {
        builder.def_var(*var, *value);
    }
    let regs = body
        .regs
        .iter()
        .map(|lane| builder.declare_var(vector_type(*lane)))
        .collect();
    let mut lowering = Lowering {
        builder,
        body,
        ptrs,
        ints: ints.to_vec(),
        regs,
        tail: None,
    };
    lowering.items(&body.items);
}

struct Lowering<'a, 'b> {
    builder: &'a mut FunctionBuilder<'b>,
    body: &'a Body,
    ptrs: Vec<Variable>,
    ints: Vec<Value>,
    regs: Vec<Variable>,
    tail: Option<Tail>,
}

/// The lane that a tail works on.
struct Tail {
    lane: Value,
    /// Four times the lane.
    offset: Value,
    /// What registers hold in this lane, as far as the tail has set them.
    regs: Vec<Option<Value>>,
}

impl Lowering<'_, '_> {
    fn items(&mut self, items: &[Item]) {
        let outlived = factors::outlived(items, self.body.regs.len());
        for (item, outlived) in items.iter().zip(outlived) {
            // x86-64 overwrites the first factor, which costs a move if it is needed again.
            if outlived
                && let Item::Set { dst, op } = item
                && let Op::Fma(a, b, c) = *op
            {
                let value = self.op(*dst, &Op::Fma(b, a, c));
                self.set(*dst, value);
            } else {
                self.item(item);
            }
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Set { dst, op } => {
                let value = self.op(*dst, op);
                self.set(*dst, value);
            }
            Item::Store {
                ptr,
                off,
                src,
                lanes,
                streams: _,
            } => self.store(*ptr, *off, *src, *lanes),
            // Cranelift has no such instruction.
            Item::Prefetch { .. } => {}
            Item::Advance { ptr, bytes } => {
                let var = self.ptrs[usize::from(ptr.0)];
                let value = self.builder.use_var(var);
                let value = self.builder.ins().iadd_imm_s(value, *bytes);
                self.builder.def_var(var, value);
            }
            Item::SetPtr { dst, src, off } => {
                let value = self.ptr(*src);
                let value = self.builder.ins().iadd_imm_s(value, *off);
                self.builder.def_var(self.ptrs[usize::from(dst.0)], value);
            }
            Item::Loop { count, items } => self.counted(*count, items),
            Item::Tail { lanes, items } => self.tail(*lanes, items),
        }
    }

    fn counted(&mut self, count: Count, items: &[Item]) {
        let head = self.builder.create_block();
        let exit = self.builder.create_block();
        let left = self.builder.declare_var(types::I64);
        let total = match count {
            Count::Imm(count) => {
                let total = self.builder.ins().iconst(types::I64, i64::from(count));
                self.builder.ins().jump(head, &[] as &[BlockArg]);
                total
            }
            Count::Arg(int) => {
                let total = self.int(int);
                let any = self
                    .builder
                    .ins()
                    .icmp_imm_s(IntCC::SignedGreaterThan, total, 0);
                self.brif(any, head, exit);
                total
            }
        };
        self.builder.def_var(left, total);
        self.builder.switch_to_block(head);
        self.items(items);
        let value = self.builder.use_var(left);
        let value = self.builder.ins().iadd_imm_s(value, -1);
        self.builder.def_var(left, value);
        self.brif(value, head, exit);
        self.close_loop(head, exit);
    }

    /// Runs the items once for each of the lanes, on scalars.
    fn tail(&mut self, lanes: Int, items: &[Item]) {
        let head = self.builder.create_block();
        let exit = self.builder.create_block();
        let lane = self.builder.declare_var(types::I64);
        let count = self.int(lanes);
        let zero = self.builder.ins().iconst(types::I64, 0);
        self.builder.def_var(lane, zero);
        let any = self
            .builder
            .ins()
            .icmp_imm_s(IntCC::SignedGreaterThan, count, 0);
        self.brif(any, head, exit);
        self.builder.switch_to_block(head);
        let value = self.builder.use_var(lane);
        self.tail = Some(Tail {
            lane: value,
            offset: self.builder.ins().ishl_imm_u(value, 2),
            regs: vec![None; self.body.regs.len()],
        });
        self.items(items);
        self.tail = None;
        let next = self.builder.ins().iadd_imm_s(value, 1);
        self.builder.def_var(lane, next);
        let again = self.builder.ins().icmp(IntCC::SignedLessThan, next, count);
        self.brif(again, head, exit);
        self.close_loop(head, exit);
    }

    fn brif(&mut self, cond: Value, then: Block, otherwise: Block) {
        self.builder
            .ins()
            .brif(cond, then, &[] as &[BlockArg], otherwise, &[]);
    }

    fn close_loop(&mut self, head: Block, exit: Block) {
        self.builder.seal_block(head);
        self.builder.seal_block(exit);
        self.builder.switch_to_block(exit);
    }

    fn op(&mut self, dst: Reg, op: &Op) -> Value {
        let ty = self.ty(dst);
        match *op {
            Op::ConstF(value) => self.constant_f(value.get()),
            Op::ConstI(value) => self.constant_i(value),
            Op::Iota => match &self.tail {
                Some(tail) => {
                    let lane = tail.lane;
                    self.builder.ins().ireduce(types::I32, lane)
                }
                None => self.vector([0, 1, 2, 3], types::I32X4),
            },
            Op::Splat(int) => {
                let value = self.int(int);
                let value = self.builder.ins().ireduce(types::I32, value);
                self.spread(ty, value)
            }
            Op::Load { ptr, off, lanes } => match lanes {
                Lanes::All => {
                    let address = self.element(ptr);
                    self.builder.ins().load(ty, MEMORY, address, off)
                }
                Lanes::First(count) => self.collect(ty, ptr, off, 4, count),
            },
            Op::Gather {
                ptr,
                off,
                stride,
                lanes,
            } => self.gather(ty, ptr, off, stride, lanes),
            Op::Broadcast { ptr, off } => {
                let address = self.ptr(ptr);
                let value = self
                    .builder
                    .ins()
                    .load(ty.lane_type(), MEMORY, address, off);
                self.spread(ty, value)
            }
            Op::Select { cmp, a, b, t, f } => self.select(cmp, a, b, t, f),
            Op::Reduce(reduce, a) => self.reduce(reduce, a),
            Op::Copy(a) => self.get(a),
            Op::Sqrt(a) => self.unary(a, |ins, a| ins.sqrt(a)),
            Op::Neg(a) => self.unary(a, |ins, a| ins.fneg(a)),
            Op::Abs(a) => self.unary(a, |ins, a| ins.fabs(a)),
            Op::Round(a) => self.unary(a, |ins, a| ins.nearest(a)),
            // Rounding first makes the conversion's truncation exact.
            Op::ToInt(a) => {
                let rounded = self.unary(a, |ins, a| ins.nearest(a));
                self.builder.ins().fcvt_to_sint_sat(ty, rounded)
            }
            Op::ToFloat(a) => self.unary(a, |ins, a| ins.fcvt_from_sint(ty, a)),
            Op::AsInt(a) | Op::AsFloat(a) => {
                let a = self.get(a);
                self.bits(ty, a)
            }
            Op::Shl(a, by) => self.unary(a, |ins, a| ins.ishl_imm_u(a, i64::from(by))),
            Op::Shr(a, by) => self.unary(a, |ins, a| ins.ushr_imm_u(a, i64::from(by))),
            Op::Add(a, b) => self.binary(a, b, |ins, a, b| ins.fadd(a, b)),
            Op::Sub(a, b) => self.binary(a, b, |ins, a, b| ins.fsub(a, b)),
            Op::Mul(a, b) => self.binary(a, b, |ins, a, b| ins.fmul(a, b)),
            Op::Div(a, b) => self.binary(a, b, |ins, a, b| ins.fdiv(a, b)),
            Op::IAdd(a, b) => self.binary(a, b, |ins, a, b| ins.iadd(a, b)),
            Op::ISub(a, b) => self.binary(a, b, |ins, a, b| ins.isub(a, b)),
            Op::IMul(a, b) => self.binary(a, b, |ins, a, b| ins.imul(a, b)),
            Op::And(a, b) => self.binary(a, b, |ins, a, b| ins.band(a, b)),
            Op::Or(a, b) => self.binary(a, b, |ins, a, b| ins.bor(a, b)),
            Op::Xor(a, b) => self.binary(a, b, |ins, a, b| ins.bxor(a, b)),
            Op::Min(a, b) => {
                let [a, b] = [a, b].map(|reg| self.get(reg));
                self.lesser(a, b, a, b)
            }
            Op::Max(a, b) => {
                let [a, b] = [a, b].map(|reg| self.get(reg));
                self.lesser(b, a, a, b)
            }
            Op::Fma(a, b, c) => {
                let [a, b, c] = [a, b, c].map(|reg| self.get(reg));
                self.builder.ins().fma(a, b, c)
            }
            Op::FmaNeg(a, b, c) => {
                let [a, b, c] = [a, b, c].map(|reg| self.get(reg));
                let a = self.builder.ins().fneg(a);
                self.builder.ins().fma(a, b, c)
            }
        }
    }

    fn unary(
        &mut self,
        a: Reg,
        make: impl FnOnce(FuncInstBuilder<'_, '_>, Value) -> Value,
    ) -> Value {
        let a = self.get(a);
        make(self.builder.ins(), a)
    }

    fn binary(
        &mut self,
        a: Reg,
        b: Reg,
        make: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value,
    ) -> Value {
        let [a, b] = [a, b].map(|reg| self.get(reg));
        make(self.builder.ins(), a, b)
    }

    /// x < y ? t : f, floats.
    fn lesser(&mut self, x: Value, y: Value, t: Value, f: Value) -> Value {
        let mask = self.builder.ins().fcmp(FloatCC::LessThan, x, y);
        self.choose(mask, t, f)
    }

    /// By a mask that a comparison made.
    fn choose(&mut self, mask: Value, t: Value, f: Value) -> Value {
        let ty = self.builder.func.dfg.value_type(t);
        if ty.is_vector() {
            let mask = self.bits(ty, mask);
            self.builder.ins().bitselect(mask, t, f)
        } else {
            self.builder.ins().select(mask, t, f)
        }
    }

    fn select(&mut self, cmp: Cmp, a: Reg, b: Reg, t: Reg, f: Reg) -> Value {
        let lane = self.body.regs[a.0 as usize];
        let [a, b, t, f] = [a, b, t, f].map(|reg| self.get(reg));
        let mask = match lane {
            LaneType::F32 => self.builder.ins().fcmp(float_code(cmp), a, b),
            LaneType::I32 => self.builder.ins().icmp(int_code(cmp), a, b),
        };
        self.choose(mask, t, f)
    }

    /// Adds or compares lane 0 with lane 2 and lane 1 with lane 3, then the two results.
    fn reduce(&mut self, reduce: Reduce, a: Reg) -> Value {
        let a = self.get(a);
        let lanes = [0, 1, 2, 3].map(|lane| self.builder.ins().extractlane(a, lane));
        let mut join = |a, b| match reduce {
            Reduce::Sum => self.builder.ins().fadd(a, b),
            Reduce::Max => {
                let mask = self.builder.ins().fcmp(FloatCC::LessThan, b, a);
                self.builder.ins().select(mask, a, b)
            }
        };
        let low = join(lanes[0], lanes[2]);
        let high = join(lanes[1], lanes[3]);
        let all = join(low, high);
        self.builder.ins().splat(types::F32X4, all)
    }

    fn constant_f(&mut self, value: f32) -> Value {
        if self.tail.is_some() {
            let value = Ieee32::with_bits(value.to_bits());
            return self.builder.ins().f32const(value);
        }
        self.vector([value.to_bits(); 4], types::F32X4)
    }

    fn constant_i(&mut self, value: i32) -> Value {
        if self.tail.is_some() {
            return self
                .builder
                .ins()
                .iconst(types::I32, i64::from(value.cast_unsigned()));
        }
        self.vector([value.cast_unsigned(); 4], types::I32X4)
    }

    fn vector(&mut self, lanes: [u32; 4], ty: Type) -> Value {
        let bytes: Vec<u8> = lanes.into_iter().flat_map(u32::to_le_bytes).collect();
        let constant = self.builder.func.dfg.constants.insert(bytes.into());
        self.builder.ins().vconst(ty, constant)
    }

    /// A scalar in every lane, or as it is in a tail.
    fn spread(&mut self, ty: Type, value: Value) -> Value {
        match ty.is_vector() {
            true => self.builder.ins().splat(ty, value),
            false => value,
        }
    }

    fn bits(&mut self, ty: Type, value: Value) -> Value {
        match self.builder.func.dfg.value_type(value) == ty {
            true => value,
            false => self.builder.ins().bitcast(ty, BITS, value),
        }
    }

    fn ptr(&mut self, ptr: Ptr) -> Value {
        self.builder.use_var(self.ptrs[usize::from(ptr.0)])
    }

    fn int(&self, int: Int) -> Value {
        self.ints[usize::from(int.0)]
    }

    fn ty(&self, reg: Reg) -> Type {
        let lane = self.body.regs[reg.0 as usize];
        match self.tail {
            Some(_) => scalar_type(lane),
            None => vector_type(lane),
        }
    }

    fn get(&mut self, reg: Reg) -> Value {
        let var = self.regs[reg.0 as usize];
        match &self.tail {
            None => self.builder.use_var(var),
            Some(tail) => match tail.regs[reg.0 as usize] {
                Some(value) => value,
                // All lanes of what a tail reads from outside are the same.
                None => {
                    let vector = self.builder.use_var(var);
                    self.builder.ins().extractlane(vector, 0)
                }
            },
        }
    }

    fn set(&mut self, reg: Reg, value: Value) {
        match &mut self.tail {
            None => self.builder.def_var(self.regs[reg.0 as usize], value),
            Some(tail) => tail.regs[reg.0 as usize] = Some(value),
        }
    }
}

fn vector_type(lane: LaneType) -> Type {
    match lane {
        LaneType::F32 => types::F32X4,
        LaneType::I32 => types::I32X4,
    }
}

fn scalar_type(lane: LaneType) -> Type {
    match lane {
        LaneType::F32 => types::F32,
        LaneType::I32 => types::I32,
    }
}

fn float_code(cmp: Cmp) -> FloatCC {
    match cmp {
        Cmp::Eq => FloatCC::Equal,
        Cmp::Ne => FloatCC::NotEqual,
        Cmp::Lt => FloatCC::LessThan,
        Cmp::Le => FloatCC::LessThanOrEqual,
        Cmp::Gt => FloatCC::GreaterThan,
        Cmp::Ge => FloatCC::GreaterThanOrEqual,
        Cmp::Unordered => FloatCC::Unordered,
    }
}

fn int_code(cmp: Cmp) -> IntCC {
    match cmp {
        Cmp::Eq => IntCC::Equal,
        Cmp::Ne => IntCC::NotEqual,
        Cmp::Lt => IntCC::SignedLessThan,
        Cmp::Le => IntCC::SignedLessThanOrEqual,
        Cmp::Gt => IntCC::SignedGreaterThan,
        Cmp::Ge => IntCC::SignedGreaterThanOrEqual,
        Cmp::Unordered => panic!("integers are never unordered"),
    }
}
