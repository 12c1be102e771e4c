//! Instructions with their registers, as bytes.

mod frame;
mod scalar;

use frame::Frame;
use iced_x86::{Code, Register};

use super::alloc::{Allocation, Operands, Place};
use super::buffer::{Buffer, Evex, Label, Memory, Operand};
use super::inst::{Addr, Const, ConstId, Inst, Kind, Mask, Program, Width};
use super::scalars::{Home, SCRATCH, Scalars};
use super::table;
use crate::codegen::{CodegenError, Isa, Target};
use crate::kernel::Int;

/// Selects lanes by comparison or gathers them, within one step.
const MASK_SCRATCH: Register = Register::K1;
/// The lanes of the tail; outside of tails, those of a static mask that has no register.
const MASK_TAIL: Register = Register::K2;
/// Registers for static masks.
const MASKS: [Register; 5] = [
    Register::K3,
    Register::K4,
    Register::K5,
    Register::K6,
    Register::K7,
];

/// Where an innermost loop begins: no loop of the size we make crosses more lines of the instruction
/// cache than it must.
const LOOP_ALIGNMENT: usize = 64;

/// Encodes a program.
pub(super) fn encode(
    name: &str,
    target: &Target,
    program: &Program,
    allocation: &Allocation,
    scalars: &Scalars,
) -> Result<Vec<u8>, CodegenError> {
    let mut buffer = Buffer::new(name);
    let labels = program
        .regions
        .iter()
        .map(|_| (buffer.label(), buffer.label()))
        .collect();
    let frame = Frame::new(target, allocation, scalars);
    let mut encoding = Encoding {
        buffer,
        target,
        program,
        scalars,
        frame,
        labels,
        masks: static_masks(program, allocation),
        width: if target.isa == Isa::Avx512 {
            Width::Z
        } else {
            Width::Y
        },
    };
    encoding.enter();
    let mut reloads = allocation.reloads.iter().peekable();
    for (index, (inst, operands)) in program.insts.iter().zip(&allocation.operands).enumerate() {
        while let Some(reload) = reloads.next_if(|reload| reload.index as usize == index) {
            encoding.load(reload.reg, reload.from);
        }
        if operands.live {
            encoding.inst(inst, operands);
        }
    }
    encoding.leave();
    encoding.buffer.finish()
}

/// The numbers of lanes that get a mask register, in order.
fn static_masks(program: &Program, allocation: &Allocation) -> Vec<u8> {
    let mut masks = Vec::new();
    for (inst, operands) in program.insts.iter().zip(&allocation.operands) {
        if let Kind::Op { mask, .. } | Kind::Store { mask, .. } = inst.kind
            && let Mask::First(count) = mask
            && operands.live
            && !masks.contains(&count)
            && masks.len() < MASKS.len()
        {
            masks.push(count);
        }
    }
    masks
}

struct Encoding<'a> {
    buffer: Buffer<'a>,
    target: &'a Target,
    program: &'a Program,
    scalars: &'a Scalars,
    frame: Frame,
    /// Where each region begins and ends.
    labels: Vec<(Label, Label)>,
    masks: Vec<u8>,
    width: Width,
}

impl Encoding<'_> {
    fn inst(&mut self, inst: &Inst, operands: &Operands) {
        match inst.kind {
            Kind::Op { code, imm, mask } => self.op(inst, operands, code, imm, mask),
            Kind::Fma(codes) => self.fma(inst, operands, codes),
            Kind::Select {
                cmp,
                predicate,
                blend,
            } => self.select(inst, operands, cmp, predicate, blend),
            Kind::Store { code, addr, mask } => self.store(inst, operands, code, addr, mask),
            Kind::Prefetch(addr) => {
                let place = self.address(addr);
                self.buffer.emit(Code::Prefetcht1_m8, &[place]);
            }
            Kind::Const(id) => self.load(operands.dst, Place::Const(id)),
            Kind::Int { int, code } => self.int(inst, operands, int, code),
            Kind::Gather { code, addr, scale } => self.gather(operands, code, addr, scale),
            Kind::Advance { ptr, bytes } => self.advance(ptr, bytes),
            Kind::SetPtr { dst, src, off } => self.set_ptr(dst, src, off),
            Kind::LoopBegin(id) => self.loop_begin(id),
            Kind::LoopEnd(id) => self.loop_end(id),
            Kind::TailBegin(id, lanes) => self.tail_begin(id, lanes),
            Kind::TailEnd(id) => self.buffer.place(self.labels[usize::from(id.0)].1),
        }
        if let Some(slot) = operands.spill {
            let place = Operand::Mem(self.frame.vector_slot(slot));
            let value = Operand::Reg(self.width.register(operands.dst));
            self.buffer
                .emit(table::STORE.of(self.target.isa), &[place, value]);
        }
    }

    fn op(&mut self, inst: &Inst, operands: &Operands, code: Code, imm: Option<u8>, mask: Mask) {
        let isa = self.target.isa;
        let sources = inst.srcs.len();
        let is_move = code == table::MOVE.of(isa);
        if is_move && operands.srcs[0] == Place::Reg(operands.dst) {
            return;
        }
        let mut places = operands.srcs;
        if inst.commutes && !matches!(places[0], Place::Reg(_)) {
            places.swap(0, 1);
        }
        let mut evex = self.masked(mask);
        evex.zeroing = evex.mask.is_some();
        let mut list = [Operand::Byte(0); 6];
        list[0] = Operand::Reg(inst.width.register(operands.dst));
        for (k, place) in places[..sources].iter().enumerate() {
            let last = k + 1 == sources && sources > 0;
            let width = if last { inst.last_width } else { inst.width };
            list[k + 1] = self.source(*place, width, &mut evex);
        }
        let mut count = sources + 1;
        if let Some(imm) = imm {
            list[count] = Operand::Byte(imm);
            count += 1;
        }
        self.buffer.emit_evex(code, &list[..count], evex);
    }

    /// Picks the form whose overwritten source is where the destination is to be, so that a move is
    /// needed only if all three sources live on elsewhere.
    fn fma(&mut self, inst: &Inst, operands: &Operands, [f132, f213, f231]: [Code; 3]) {
        let dst = Place::Reg(operands.dst);
        let [mut a, mut b, c, _] = operands.srcs;
        if !matches!(a, Place::Reg(_)) {
            std::mem::swap(&mut a, &mut b);
        }
        // `a` is in a register now, and at most one of `b` and `c` is not.
        let factor_in_register = matches!(b, Place::Reg(_));
        let sum_in_register = matches!(c, Place::Reg(_));
        let (code, second, third) = if dst == c {
            (f231, a, b)
        } else if dst == a && factor_in_register {
            (f213, b, c)
        } else if dst == a {
            (f132, c, b)
        } else if dst == b {
            (f213, a, c)
        } else if sum_in_register {
            self.copy(operands.dst, c);
            (f231, a, b)
        } else {
            self.copy(operands.dst, a);
            (f213, b, c)
        };
        let mut evex = Evex::default();
        let list = [
            Operand::Reg(inst.width.register(operands.dst)),
            self.source(second, inst.width, &mut evex),
            self.source(third, inst.width, &mut evex),
        ];
        self.buffer.emit_evex(code, &list, evex);
    }

    fn select(&mut self, inst: &Inst, operands: &Operands, cmp: Code, predicate: u8, blend: Code) {
        let [a, b, f, t] = operands.srcs;
        let mut evex = Evex::default();
        let list = [
            Operand::Reg(MASK_SCRATCH),
            self.source(a, inst.width, &mut evex),
            self.source(b, inst.width, &mut evex),
            Operand::Byte(predicate),
        ];
        self.buffer.emit_evex(cmp, &list, evex);
        let mut evex = Evex {
            mask: Some(MASK_SCRATCH),
            ..Evex::default()
        };
        let list = [
            Operand::Reg(inst.width.register(operands.dst)),
            self.source(f, inst.width, &mut evex),
            self.source(t, inst.width, &mut evex),
        ];
        self.buffer.emit_evex(blend, &list, evex);
    }

    fn store(&mut self, inst: &Inst, operands: &Operands, code: Code, addr: Addr, mask: Mask) {
        let mut evex = self.masked(mask);
        let mut list = [Operand::Byte(0); 3];
        list[0] = self.address(addr);
        for (k, place) in operands.srcs[..inst.srcs.len()].iter().enumerate() {
            list[k + 1] = self.source(*place, inst.width, &mut evex);
        }
        self.buffer.emit_evex(code, &list[..=inst.srcs.len()], evex);
    }

    fn int(&mut self, inst: &Inst, operands: &Operands, int: Int, code: Code) {
        let source = match self.scalars.int(int) {
            Home::Reg(register) => register,
            Home::Slot(slot) => {
                let place = self.frame.scalar_slot(slot);
                self.mov(SCRATCH, Operand::Mem(place));
                SCRATCH
            }
        };
        let dst = Operand::Reg(inst.width.register(operands.dst));
        self.buffer
            .emit(code, &[dst, Operand::Reg(low_half(source))]);
    }

    fn gather(&mut self, operands: &Operands, code: Code, addr: Addr, scale: u8) {
        self.zero(operands.dst);
        let [index, mask, ..] = operands.srcs.map(|place| match place {
            Place::Reg(number) => self.width.register(number),
            Place::Slot(_) | Place::Const(_) | Place::Mem(_) => Register::None,
        });
        let Operand::Mem(base) = self.address(addr) else {
            unreachable!("an address is memory");
        };
        let memory = Operand::Mem(Memory {
            index,
            scale,
            ..base
        });
        let dst = Operand::Reg(self.width.register(operands.dst));
        if self.target.isa == Isa::Avx512 {
            let masks = [Operand::Reg(MASK_SCRATCH), Operand::Reg(MASK_TAIL)];
            self.buffer.emit(Code::VEX_Kmovw_kr_km16, &masks);
            let evex = Evex {
                mask: Some(MASK_SCRATCH),
                ..Evex::default()
            };
            self.buffer.emit_evex(code, &[dst, memory], evex);
        } else {
            self.buffer.emit(code, &[dst, memory, Operand::Reg(mask)]);
        }
    }

    /// Loads a spilled value or a constant into a register.
    fn load(&mut self, reg: u8, from: Place) {
        let dst = Operand::Reg(self.width.register(reg));
        match from {
            Place::Const(id) => self.load_constant(reg, id),
            Place::Slot(slot) => {
                let place = Operand::Mem(self.frame.vector_slot(slot));
                self.buffer
                    .emit(table::LOAD.of(self.target.isa), &[dst, place]);
            }
            Place::Reg(_) => self.copy(reg, from),
            Place::Mem(_) => unreachable!("loads from memory are instructions of the body"),
        }
    }

    fn load_constant(&mut self, reg: u8, id: ConstId) {
        let dst = Operand::Reg(self.width.register(reg));
        let constant = &self.program.consts[id.0 as usize];
        let code = match constant {
            Const::Splat(0) => return self.zero(reg),
            Const::Splat(_) => table::BROADCAST,
            Const::Lanes(_) => table::LOAD,
        };
        let place = self.buffer.constant(constant, self.target.lanes, false);
        self.buffer
            .emit(code.of(self.target.isa), &[dst, Operand::Pool(place)]);
    }

    /// Clears a register by the short form that processors know to depend on nothing.
    fn zero(&mut self, reg: u8) {
        let register = Operand::Reg(Width::X.register(reg));
        let code = if reg < 16 {
            Code::VEX_Vxorps_xmm_xmm_xmmm128
        } else {
            Code::EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32
        };
        self.buffer.emit(code, &[register; 3]);
    }

    fn copy(&mut self, dst: u8, from: Place) {
        let dst = Operand::Reg(self.width.register(dst));
        let from = self.source(from, self.width, &mut Evex::default());
        self.buffer
            .emit(table::MOVE.of(self.target.isa), &[dst, from]);
    }

    fn source(&mut self, place: Place, width: Width, evex: &mut Evex) -> Operand {
        match place {
            Place::Reg(number) => Operand::Reg(width.register(number)),
            Place::Slot(slot) => Operand::Mem(self.frame.vector_slot(slot)),
            Place::Mem(addr) => self.address(addr),
            Place::Const(id) => {
                let constant = &self.program.consts[id.0 as usize];
                let splat = matches!(constant, Const::Splat(_));
                evex.broadcast = splat && self.target.isa == Isa::Avx512;
                let whole = !evex.broadcast;
                let lanes = self.target.lanes;
                Operand::Pool(self.buffer.constant(constant, lanes, whole))
            }
        }
    }

    fn masked(&mut self, mask: Mask) -> Evex {
        let register = match mask {
            Mask::None => None,
            Mask::Tail => Some(MASK_TAIL),
            Mask::First(count) => match self.masks.iter().position(|own| *own == count) {
                Some(index) => Some(MASKS[index]),
                None => {
                    self.static_mask(count, MASK_TAIL);
                    Some(MASK_TAIL)
                }
            },
        };
        Evex {
            mask: register,
            ..Evex::default()
        }
    }

    fn static_mask(&mut self, count: u8, register: Register) {
        let bits = (1i64 << count) - 1;
        self.mov_imm(SCRATCH, bits);
        let operands = [Operand::Reg(register), Operand::Reg(low_half(SCRATCH))];
        self.buffer.emit(Code::VEX_Kmovw_kr_r32, &operands);
    }
}

/// The 32-bit part of a general register.
fn low_half(register: Register) -> Register {
    Register::EAX + (register as u32 - Register::RAX as u32)
}
