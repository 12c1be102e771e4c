//! The stack, and how arguments come to their homes.

use iced_x86::{Code, OpKind, Register};

use super::{Encoding, MASKS};
use crate::codegen::Target;
use crate::codegen::wide::alloc::Allocation;
use crate::codegen::wide::buffer::{Memory, Operand};
use crate::codegen::wide::scalars::{ARGUMENTS, Home, SAVED, SCRATCH, Scalars};

/// The stack below the return address and the saved registers.
pub(super) struct Frame {
    /// In bytes; vectors come first, then scalars, then the old stack pointer if there are vectors.
    size: i32,
    vector: i32,
    vectors: i32,
    scalars: i32,
    saved: Vec<Register>,
}

impl Frame {
    pub(super) fn new(target: &Target, allocation: &Allocation, scalars: &Scalars) -> Frame {
        let vector = target.vector_bytes() as i32;
        let vectors = allocation.slots as i32;
        let scalar_slots = scalars.slots as i32;
        let saved = SAVED.into_iter().filter(|reg| scalars.uses(*reg)).collect();
        let mut size = vectors * vector + 8 * scalar_slots;
        if vectors > 0 {
            size += 8;
        }
        Frame {
            size,
            vector,
            vectors,
            scalars: scalar_slots,
            saved,
        }
    }

    pub(super) fn vector_slot(&self, slot: u32) -> Memory {
        Memory::new(Register::RSP, slot as i32 * self.vector)
    }

    pub(super) fn scalar_slot(&self, slot: u32) -> Memory {
        Memory::new(Register::RSP, self.vectors * self.vector + 8 * slot as i32)
    }

    pub(super) fn old_pointer(&self) -> Memory {
        self.scalar_slot(self.scalars as u32)
    }
}

impl Encoding<'_> {
    /// Saves registers, makes the frame, and brings arguments to their homes.
    pub(super) fn enter(&mut self) {
        for register in self.frame.saved.clone() {
            self.buffer.emit(Code::Push_r64, &[Operand::Reg(register)]);
        }
        // Past what was pushed and the return address.
        let mut incoming = Memory::new(Register::RSP, 8 * (self.frame.saved.len() as i32 + 1));
        if self.frame.vectors > 0 {
            self.mov(SCRATCH, Operand::Reg(Register::RSP));
            self.grow_stack();
            let mask = Operand::Imm(OpKind::Immediate8to64, -i64::from(self.frame.vector));
            self.buffer
                .emit(Code::And_rm64_imm8, &[Operand::Reg(Register::RSP), mask]);
            let old = self.frame.old_pointer();
            self.mov_to(old, SCRATCH);
            incoming.base = SCRATCH;
        } else if self.frame.size > 0 {
            self.grow_stack();
            incoming.disp += self.frame.size;
        }
        let arguments: Vec<Option<Home>> = self.scalars.arguments().collect();
        for (home, register) in arguments.iter().zip(ARGUMENTS) {
            if let Some(Home::Slot(slot)) = home {
                let place = self.frame.scalar_slot(*slot);
                self.mov_to(place, register);
            }
        }
        for home in arguments.iter().skip(ARGUMENTS.len()) {
            let from = Operand::Mem(incoming);
            match home {
                Some(Home::Reg(register)) => self.mov(*register, from),
                // The scratch register may hold the address of the arguments.
                Some(Home::Slot(slot)) => {
                    let place = self.frame.scalar_slot(*slot);
                    if incoming.base == SCRATCH {
                        self.buffer.emit(Code::Push_rm64, &[from]);
                        self.buffer.emit(Code::Pop_rm64, &[Operand::Mem(place)]);
                    } else {
                        self.mov(SCRATCH, from);
                        self.mov_to(place, SCRATCH);
                    }
                }
                None => {}
            }
            incoming.disp += 8;
        }
        for (count, register) in self.masks.clone().into_iter().zip(MASKS) {
            self.static_mask(count, register);
        }
    }

    fn grow_stack(&mut self) {
        let size = Operand::Imm(OpKind::Immediate32to64, i64::from(self.frame.size));
        self.buffer
            .emit(Code::Sub_rm64_imm32, &[Operand::Reg(Register::RSP), size]);
    }

    pub(super) fn leave(&mut self) {
        self.buffer.emit(Code::VEX_Vzeroupper, &[]);
        if self.frame.vectors > 0 {
            let old = self.frame.old_pointer();
            self.mov(Register::RSP, Operand::Mem(old));
        } else if self.frame.size > 0 {
            let size = Operand::Imm(OpKind::Immediate32to64, i64::from(self.frame.size));
            self.buffer
                .emit(Code::Add_rm64_imm32, &[Operand::Reg(Register::RSP), size]);
        }
        for register in self.frame.saved.clone().into_iter().rev() {
            self.buffer.emit(Code::Pop_r64, &[Operand::Reg(register)]);
        }
        self.buffer.emit(Code::Retnq, &[]);
    }
}
