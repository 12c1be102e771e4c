//! Pointers, loops and the beginnings of tails.

use iced_x86::{Code, OpKind, Register};

use super::{Encoding, LOOP_ALIGNMENT, MASK_TAIL, low_half};
use crate::codegen::Isa;
use crate::codegen::wide::buffer::{Label, Memory, Operand};
use crate::codegen::wide::inst::{Addr, Const, RegionId};
use crate::codegen::wide::scalars::{Home, SCRATCH};
use crate::kernel::{Count, Int, Ptr};

impl Encoding<'_> {
    pub(super) fn advance(&mut self, ptr: Ptr, bytes: i64) {
        let place = match self.scalars.ptr(ptr) {
            Home::Reg(register) => Operand::Reg(register),
            Home::Slot(slot) => Operand::Mem(self.frame.scalar_slot(slot)),
        };
        match i32::try_from(bytes) {
            Ok(small) => self.add_small(place, small),
            Err(_) => {
                self.mov_imm(SCRATCH, bytes);
                let scratch = Operand::Reg(SCRATCH);
                self.buffer.emit(Code::Add_rm64_r64, &[place, scratch]);
            }
        }
    }

    fn add_small(&mut self, place: Operand, value: i32) {
        let (code, kind) = match i8::try_from(value) {
            Ok(_) => (Code::Add_rm64_imm8, OpKind::Immediate8to64),
            Err(_) => (Code::Add_rm64_imm32, OpKind::Immediate32to64),
        };
        let value = Operand::Imm(kind, i64::from(value));
        self.buffer.emit(code, &[place, value]);
    }

    pub(super) fn set_ptr(&mut self, dst: Ptr, src: Ptr, off: i64) {
        let address = self.address(Addr { ptr: src, off });
        let to_slot = |home| match home {
            Home::Reg(register) => (register, None),
            Home::Slot(slot) => (SCRATCH, Some(slot)),
        };
        let (register, slot) = to_slot(self.scalars.ptr(dst));
        if let Operand::Mem(memory) = address
            && memory.disp == 0
        {
            self.mov(register, Operand::Reg(memory.base));
        } else {
            self.buffer
                .emit(Code::Lea_r64_m, &[Operand::Reg(register), address]);
        }
        if let Some(slot) = slot {
            let place = self.frame.scalar_slot(slot);
            self.mov_to(place, SCRATCH);
        }
    }

    pub(super) fn loop_begin(&mut self, id: RegionId) {
        let region = &self.program.regions[usize::from(id.0)];
        let (head, exit) = self.labels[usize::from(id.0)];
        let home = self.scalars.counter(id);
        let counter = match home {
            Home::Reg(register) => register,
            Home::Slot(_) => SCRATCH,
        };
        match region.count {
            Some(Count::Imm(1)) => {}
            Some(Count::Imm(count)) => self.mov_imm(counter, i64::from(count)),
            Some(Count::Arg(int)) => {
                let total = self.scalar_operand(self.scalars.int(int));
                self.mov(counter, total);
                self.skip_unless_positive(counter, exit);
            }
            None => unreachable!("a loop has a count"),
        }
        if let Home::Slot(slot) = home {
            let place = self.frame.scalar_slot(slot);
            self.mov_to(place, SCRATCH);
        }
        if self.is_innermost(id) {
            self.buffer.align(LOOP_ALIGNMENT);
        }
        self.buffer.place(head);
    }

    fn is_innermost(&self, id: RegionId) -> bool {
        let loops = self.program.regions.iter();
        !loops
            .filter(|region| region.count.is_some())
            .any(|region| region.parent == Some(id))
    }

    pub(super) fn loop_end(&mut self, id: RegionId) {
        let (head, exit) = self.labels[usize::from(id.0)];
        if self.program.regions[usize::from(id.0)].count != Some(Count::Imm(1)) {
            let counter = self.scalar_operand(self.scalars.counter(id));
            self.buffer.emit(Code::Dec_rm64, &[counter]);
            self.buffer
                .jump(Code::Jne_rel8_64, Code::Jne_rel32_64, head);
        }
        self.buffer.place(exit);
    }

    pub(super) fn tail_begin(&mut self, id: RegionId, lanes: Int) {
        let (_, exit) = self.labels[usize::from(id.0)];
        let count = match self.scalars.int(lanes) {
            Home::Reg(register) => register,
            Home::Slot(slot) => {
                let place = self.frame.scalar_slot(slot);
                self.mov(SCRATCH, Operand::Mem(place));
                SCRATCH
            }
        };
        self.skip_unless_positive(count, exit);
        if self.target.isa == Isa::Avx512 {
            // All bits below the lane count: ones shortened to that length. The ones come from the
            // pool, since the count may be in the scratch register already.
            let ones = self.buffer.constant(&Const::Splat(u32::MAX), 1, false);
            let scratch = Operand::Reg(low_half(SCRATCH));
            let count = Operand::Reg(low_half(count));
            let operands = [scratch, Operand::Pool(ones), count];
            self.buffer.emit(Code::VEX_Bzhi_r32_rm32_r32, &operands);
            let operands = [Operand::Reg(MASK_TAIL), scratch];
            self.buffer.emit(Code::VEX_Kmovw_kr_r32, &operands);
        }
    }

    fn skip_unless_positive(&mut self, value: Register, exit: Label) {
        let value = Operand::Reg(value);
        self.buffer.emit(Code::Test_rm64_r64, &[value, value]);
        self.buffer
            .jump(Code::Jle_rel8_64, Code::Jle_rel32_64, exit);
    }

    /// A memory operand for an address; it may need the scratch register.
    pub(super) fn address(&mut self, addr: Addr) -> Operand {
        let base = match self.scalars.ptr(addr.ptr) {
            Home::Reg(register) => Operand::Reg(register),
            Home::Slot(slot) => Operand::Mem(self.frame.scalar_slot(slot)),
        };
        let memory = match (i32::try_from(addr.off), base) {
            (Ok(off), Operand::Reg(register)) => Memory::new(register, off),
            (Ok(off), slot) => {
                self.mov(SCRATCH, slot);
                Memory::new(SCRATCH, off)
            }
            (Err(_), base) => {
                self.mov_imm(SCRATCH, addr.off);
                let scratch = Operand::Reg(SCRATCH);
                self.buffer.emit(Code::Add_r64_rm64, &[scratch, base]);
                Memory::new(SCRATCH, 0)
            }
        };
        Operand::Mem(memory)
    }

    fn scalar_operand(&self, home: Home) -> Operand {
        match home {
            Home::Reg(register) => Operand::Reg(register),
            Home::Slot(slot) => Operand::Mem(self.frame.scalar_slot(slot)),
        }
    }

    pub(super) fn mov(&mut self, dst: Register, src: Operand) {
        self.buffer
            .emit(Code::Mov_r64_rm64, &[Operand::Reg(dst), src]);
    }

    pub(super) fn mov_to(&mut self, place: Memory, src: Register) {
        let operands = [Operand::Mem(place), Operand::Reg(src)];
        self.buffer.emit(Code::Mov_rm64_r64, &operands);
    }

    pub(super) fn mov_imm(&mut self, dst: Register, value: i64) {
        let (code, register, kind) = if u32::try_from(value).is_ok() {
            (Code::Mov_r32_imm32, low_half(dst), OpKind::Immediate32)
        } else {
            (Code::Mov_r64_imm64, dst, OpKind::Immediate64)
        };
        self.buffer
            .emit(code, &[Operand::Reg(register), Operand::Imm(kind, value)]);
    }
}
