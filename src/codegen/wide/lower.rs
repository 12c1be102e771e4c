//! From the items of a body to machine instructions on virtual registers.

mod constants;
mod memory;

use std::collections::HashMap;

use iced_x86::Code;

use super::inst::{
    Addr, Const, ConstId, Inst, Kind, Mask, Program, Region, RegionId, Src, Srcs, Virt, Width,
};
use super::table::{self, Fused, Pair, Simple};
use crate::codegen::{CodegenError, Isa, Target};
use crate::kernel::{Body, Cmp, Count, Int, Item, LaneType, Op, Ptr, Reduce, Reg};

/// Lowers a body.
pub(super) fn lower(name: &str, body: &Body, target: &Target) -> Result<Program, CodegenError> {
    let registers = u32::try_from(body.regs.len()).expect("a body has fewer registers");
    let mut lowering = Lowering {
        name,
        body,
        isa: target.isa,
        lanes: u8::try_from(target.lanes).expect("vectors have few lanes"),
        width: if target.isa == Isa::Avx512 {
            Width::Z
        } else {
            Width::Y
        },
        constants: constants::find(body),
        const_ids: HashMap::new(),
        region: None,
        tail_mask: None,
        program: Program {
            insts: Vec::with_capacity(body.items.len() * 2),
            regions: Vec::new(),
            consts: Vec::new(),
            virts: registers,
        },
    };
    lowering.items(&body.items)?;
    Ok(lowering.program)
}

struct Lowering<'a> {
    name: &'a str,
    body: &'a Body,
    isa: Isa,
    lanes: u8,
    width: Width,
    constants: Vec<Option<Op>>,
    const_ids: HashMap<Vec<u32>, ConstId>,
    region: Option<RegionId>,
    /// The mask vector of the tail around, on the tier without mask registers.
    tail_mask: Option<Virt>,
    program: Program,
}

impl Lowering<'_> {
    fn items(&mut self, items: &[Item]) -> Result<(), CodegenError> {
        for item in items {
            self.item(item)?;
        }
        Ok(())
    }

    fn item(&mut self, item: &Item) -> Result<(), CodegenError> {
        match item {
            Item::Set { dst, op } => return self.set(*dst, op),
            Item::Store {
                ptr,
                off,
                src,
                lanes,
                streams,
            } => self.store(*ptr, *off, *src, *lanes, *streams),
            Item::Prefetch { ptr, off } => self.bare(Kind::Prefetch(Addr {
                ptr: *ptr,
                off: (*off).into(),
            })),
            Item::Advance { ptr, bytes } => self.bare(Kind::Advance {
                ptr: *ptr,
                bytes: *bytes,
            }),
            Item::SetPtr { dst, src, off } => self.bare(Kind::SetPtr {
                dst: *dst,
                src: *src,
                off: *off,
            }),
            Item::Loop { count, items } => {
                let id = self.open(Some(*count));
                self.bare(Kind::LoopBegin(id));
                self.region = Some(id);
                self.items(items)?;
                self.close(id, Kind::LoopEnd(id));
            }
            Item::Tail { lanes, items } => self.tail(*lanes, items)?,
        }
        Ok(())
    }

    fn open(&mut self, count: Option<Count>) -> RegionId {
        let regions = &mut self.program.regions;
        let id = RegionId(u16::try_from(regions.len()).expect("a body has fewer loops"));
        let around = self.region.map_or(0, |id| regions[usize::from(id.0)].depth);
        regions.push(Region {
            parent: self.region,
            count,
            begin: index(self.program.insts.len()),
            end: 0,
            depth: around + u32::from(count.is_some()),
        });
        id
    }

    fn close(&mut self, id: RegionId, kind: Kind) {
        let end = index(self.program.insts.len());
        let region = &mut self.program.regions[usize::from(id.0)];
        region.end = end;
        self.region = region.parent;
        self.bare(kind);
    }

    /// Without mask registers, the mask is a vector: lane `i` is active if `i` is below the count.
    fn tail(&mut self, lanes: Int, items: &[Item]) -> Result<(), CodegenError> {
        let id = self.open(None);
        self.bare(Kind::TailBegin(id, lanes));
        self.region = Some(id);
        if self.isa != Isa::Avx512 {
            let count = self.temp();
            self.splat(count, lanes);
            let iota = Src::Const(self.iota());
            let mask = self.temp();
            let code = Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256;
            self.op(code, None, mask, &[Src::Virt(count), iota], 0b10);
            self.tail_mask = Some(mask);
        }
        self.items(items)?;
        self.tail_mask = None;
        self.close(id, Kind::TailEnd(id));
        Ok(())
    }

    fn set(&mut self, dst: Reg, op: &Op) -> Result<(), CodegenError> {
        if self.constants[dst.0 as usize].is_some() {
            return Ok(());
        }
        let dst = Virt(dst.0);
        match *op {
            Op::ConstF(value) => self.constant(dst, Const::Splat(value.get().to_bits())),
            Op::ConstI(value) => self.constant(dst, Const::Splat(value.cast_unsigned())),
            Op::Iota => {
                let id = self.iota();
                self.push(Kind::Const(id), Some(dst), &[], 0);
            }
            Op::Splat(int) => self.splat(dst, int),
            Op::Load { ptr, off, lanes } => self.load(dst, addr(ptr, off), lanes),
            Op::Gather {
                ptr,
                off,
                stride,
                lanes,
            } => return self.gather(dst, addr(ptr, off), stride, lanes),
            Op::Broadcast { ptr, off } => {
                let code = table::BROADCAST.of(self.isa);
                self.op(code, None, dst, &[Src::Mem(addr(ptr, off))], 0);
                self.last().last_width = Width::X;
            }
            Op::Copy(a) | Op::AsInt(a) | Op::AsFloat(a) => {
                let src = self.src(a);
                if let Src::Const(id) = src {
                    self.push(Kind::Const(id), Some(dst), &[], 0);
                } else {
                    self.op(table::MOVE.of(self.isa), None, dst, &[src], 1);
                }
            }
            Op::Add(a, b) => self.binary(table::ADD, dst, a, b),
            Op::Sub(a, b) => self.binary(table::SUB, dst, a, b),
            Op::Mul(a, b) => self.binary(table::MUL, dst, a, b),
            Op::Div(a, b) => self.binary(table::DIV, dst, a, b),
            Op::Min(a, b) => self.binary(table::MIN, dst, a, b),
            Op::Max(a, b) => self.binary(table::MAX, dst, a, b),
            Op::IAdd(a, b) => self.binary(table::IADD, dst, a, b),
            Op::ISub(a, b) => self.binary(table::ISUB, dst, a, b),
            Op::IMul(a, b) => self.binary(table::IMUL, dst, a, b),
            Op::And(a, b) => self.binary(table::AND, dst, a, b),
            Op::Or(a, b) => self.binary(table::OR, dst, a, b),
            Op::Xor(a, b) => self.binary(table::XOR, dst, a, b),
            Op::Neg(a) => {
                let sign = self.splat_const(0x8000_0000);
                let a = self.src(a);
                self.simple(table::XOR, None, dst, &[a, sign]);
            }
            Op::Abs(a) => {
                let rest = self.splat_const(0x7FFF_FFFF);
                let a = self.src(a);
                self.simple(table::AND, None, dst, &[a, rest]);
            }
            Op::Sqrt(a) => self.unary(table::SQRT, None, dst, a),
            Op::Round(a) => self.unary(table::ROUND, Some(table::TO_NEAREST_EVEN), dst, a),
            Op::ToInt(a) => self.unary(table::TO_INT, None, dst, a),
            Op::ToFloat(a) => self.unary(table::TO_FLOAT, None, dst, a),
            Op::Shl(a, by) => self.shift(table::SHL, dst, a, by),
            Op::Shr(a, by) => self.shift(table::SHR, dst, a, by),
            Op::Fma(a, b, c) => self.fused(&table::FMA, dst, [a, b, c]),
            Op::FmaNeg(a, b, c) => self.fused(&table::FMA_NEG, dst, [a, b, c]),
            Op::Select { cmp, a, b, t, f } => self.select(dst, cmp, [a, b, t, f]),
            Op::Reduce(reduce, a) => self.reduce(dst, reduce, a),
        }
        Ok(())
    }

    fn binary(&mut self, simple: Simple, dst: Virt, a: Reg, b: Reg) {
        let srcs = [self.src(a), self.src(b)];
        self.simple(simple, None, dst, &srcs);
    }

    fn unary(&mut self, simple: Simple, imm: Option<u8>, dst: Virt, a: Reg) {
        let a = self.src(a);
        self.simple(simple, imm, dst, &[a]);
    }

    /// The last source may lie in memory.
    fn simple(&mut self, simple: Simple, imm: Option<u8>, dst: Virt, srcs: &[Src]) {
        let code = simple.code.of(self.isa);
        self.op(code, imm, dst, srcs, 1 << (srcs.len() - 1));
        self.last().commutes = simple.commutes;
    }

    fn shift(&mut self, pair: Pair, dst: Virt, a: Reg, by: u8) {
        let a = self.src(a);
        let mems = u8::from(self.isa == Isa::Avx512);
        self.op(pair.of(self.isa), Some(by), dst, &[a], mems);
    }

    fn fused(&mut self, fused: &Fused, dst: Virt, srcs: [Reg; 3]) {
        let srcs = srcs.map(|reg| self.src(reg));
        let codes = [&fused.f132, &fused.f213, &fused.f231].map(|pair| pair.of(self.isa));
        self.push(Kind::Fma(codes), Some(dst), &srcs, 0b111);
    }

    fn select(&mut self, dst: Virt, cmp: Cmp, [a, b, t, f]: [Reg; 4]) {
        let lane = self.body.regs[a.0 as usize];
        let [a, b, t, f] = [a, b, t, f].map(|reg| self.src(reg));
        if self.isa == Isa::Avx512 {
            let (cmp, predicate) = match lane {
                LaneType::F32 => (
                    Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
                    table::float_predicate(cmp),
                ),
                LaneType::I32 => (
                    Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8,
                    table::int_predicate(cmp),
                ),
            };
            let kind = Kind::Select {
                cmp,
                predicate,
                blend: Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
            };
            return self.push(kind, Some(dst), &[a, b, f, t], 0b1010);
        }
        let mask = self.temp();
        let negated = match lane {
            LaneType::F32 => {
                let predicate = Some(table::float_predicate(cmp));
                let code = Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8;
                self.op(code, predicate, mask, &[a, b], 0b10);
                false
            }
            LaneType::I32 => self.int_compare(mask, cmp, a, b),
        };
        let (t, f) = if negated { (f, t) } else { (t, f) };
        let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
        self.op(code, None, dst, &[f, t, Src::Virt(mask)], 0b10);
    }

    /// AVX2 compares integers for equal and greater only; returns whether the mask is the opposite
    /// of what was asked.
    fn int_compare(&mut self, mask: Virt, cmp: Cmp, a: Src, b: Src) -> bool {
        let equal = Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256;
        let greater = Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256;
        let (code, srcs, negated) = match cmp {
            Cmp::Eq => (equal, [a, b], false),
            Cmp::Ne => (equal, [a, b], true),
            Cmp::Gt => (greater, [a, b], false),
            Cmp::Le => (greater, [a, b], true),
            Cmp::Lt => (greater, [b, a], false),
            Cmp::Ge => (greater, [b, a], true),
            Cmp::Unordered => panic!("integers are never unordered"),
        };
        self.op(code, None, mask, &srcs, 0b10);
        self.last().commutes = code == equal;
        negated
    }

    /// Adds to each lane the one half a vector away, then a quarter, and so on, so that for sums all
    /// lanes end up with the same. `Max` is not symmetric: there the first lane alone counts.
    fn reduce(&mut self, dst: Virt, reduce: Reduce, a: Reg) {
        let swap_halves = match self.isa {
            Isa::Avx512 => &[
                (Code::EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8, 0x4E, 2),
                (Code::EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8, 0xB1, 2),
                (Code::EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8, 0x4E, 1),
                (Code::EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8, 0xB1, 1),
            ][..],
            Isa::Avx2 | Isa::Baseline => &[
                (Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, 0x01, 2),
                (Code::VEX_Vpermilps_ymm_ymmm256_imm8, 0x4E, 1),
                (Code::VEX_Vpermilps_ymm_ymmm256_imm8, 0xB1, 1),
            ],
        };
        let join = match reduce {
            Reduce::Sum => table::ADD,
            Reduce::Max => table::MAX,
        };
        let mut partial = self.src(a);
        for (code, imm, sources) in swap_halves {
            let swapped = self.temp();
            self.op(*code, Some(*imm), swapped, &[partial; 2][..*sources], 0);
            let joined = self.temp();
            self.simple(join, None, joined, &[partial, Src::Virt(swapped)]);
            self.last().commutes = false;
            partial = Src::Virt(joined);
        }
        match reduce {
            Reduce::Sum => self.last().dst = Some(dst),
            Reduce::Max => {
                self.op(table::SPREAD.of(self.isa), None, dst, &[partial], 0);
                self.last().last_width = Width::X;
            }
        }
    }

    fn splat(&mut self, dst: Virt, int: Int) {
        if self.isa == Isa::Avx512 {
            let code = Code::EVEX_Vpbroadcastd_zmm_k1z_r32;
            return self.push(Kind::Int { int, code }, Some(dst), &[], 0);
        }
        let first = self.temp();
        let code = Code::VEX_Vmovd_xmm_rm32;
        self.push(Kind::Int { int, code }, Some(first), &[], 0);
        self.narrow(Width::X);
        let code = Code::VEX_Vpbroadcastd_ymm_xmmm32;
        self.op(code, None, dst, &[Src::Virt(first)], 0);
        self.last().last_width = Width::X;
    }

    fn constant(&mut self, dst: Virt, constant: Const) {
        let id = self.const_id(constant);
        self.push(Kind::Const(id), Some(dst), &[], 0);
    }

    fn op(&mut self, code: Code, imm: Option<u8>, dst: Virt, srcs: &[Src], mems: u8) {
        let mask = Mask::None;
        self.push(Kind::Op { code, imm, mask }, Some(dst), srcs, mems);
    }

    fn masked(&mut self, code: Code, mask: Mask, dst: Virt, srcs: &[Src]) {
        let imm = None;
        self.push(Kind::Op { code, imm, mask }, Some(dst), srcs, 0);
    }

    /// An instruction without vector registers.
    fn bare(&mut self, kind: Kind) {
        self.push(kind, None, &[], 0);
    }

    fn push(&mut self, kind: Kind, dst: Option<Virt>, srcs: &[Src], mems: u8) {
        self.program.insts.push(Inst {
            kind,
            dst,
            srcs: Srcs::new(srcs),
            width: self.width,
            last_width: self.width,
            mems,
            commutes: false,
            early: false,
            region: self.region,
        });
    }

    fn last(&mut self) -> &mut Inst {
        self.program
            .insts
            .last_mut()
            .expect("an instruction was pushed just before")
    }

    fn narrow(&mut self, width: Width) {
        let inst = self.last();
        inst.width = width;
        inst.last_width = width;
    }

    fn temp(&mut self) -> Virt {
        let virt = Virt(self.program.virts);
        self.program.virts += 1;
        virt
    }

    fn src(&mut self, reg: Reg) -> Src {
        match self.constants[reg.0 as usize] {
            Some(Op::ConstF(value)) => self.splat_const(value.get().to_bits()),
            Some(Op::ConstI(value)) => self.splat_const(value.cast_unsigned()),
            Some(Op::Iota) => Src::Const(self.iota()),
            _ => Src::Virt(Virt(reg.0)),
        }
    }

    fn splat_const(&mut self, bits: u32) -> Src {
        Src::Const(self.const_id(Const::Splat(bits)))
    }

    fn iota(&mut self) -> ConstId {
        let lanes = (0..u32::from(self.lanes)).collect();
        self.const_id(Const::Lanes(lanes))
    }

    /// A mask vector for the first lanes.
    fn first_lanes(&mut self, count: u8) -> Src {
        let lanes = (0..self.lanes)
            .map(|lane| if lane < count { u32::MAX } else { 0 })
            .collect();
        Src::Const(self.const_id(Const::Lanes(lanes)))
    }

    fn const_id(&mut self, constant: Const) -> ConstId {
        let key = match &constant {
            Const::Splat(bits) => vec![*bits],
            Const::Lanes(lanes) => lanes.clone(),
        };
        let consts = &mut self.program.consts;
        *self.const_ids.entry(key).or_insert_with(|| {
            consts.push(constant);
            ConstId(index(consts.len() - 1))
        })
    }

    /// The mask of whole accesses on the tier with mask registers.
    fn mask(&self) -> Mask {
        if self.in_tail() {
            Mask::Tail
        } else {
            Mask::None
        }
    }

    fn in_tail(&self) -> bool {
        self.region
            .is_some_and(|id| self.program.regions[usize::from(id.0)].count.is_none())
    }
}

fn addr(ptr: Ptr, off: i32) -> Addr {
    Addr {
        ptr,
        off: i64::from(off),
    }
}

fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a body has fewer instructions")
}
