//! A growing piece of machine code with labels and a pool of constants.

use std::collections::HashMap;

use iced_x86::{Code, Encoder, Instruction, OpKind, Register};

use super::inst::Const;
use crate::codegen::CodegenError;

/// An operand of an encoded instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Reg(Register),
    Mem(Memory),
    /// A place in the pool.
    Pool(PoolRef),
    /// A byte as it is.
    Byte(u8),
    /// A number whose size and sign the code implies.
    Imm(OpKind, i64),
}

/// A place in memory relative to registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) base: Register,
    pub(super) disp: i32,
    pub(super) index: Register,
    pub(super) scale: u8,
}

impl Memory {
    pub(super) fn new(base: Register, disp: i32) -> Memory {
        Memory {
            base,
            disp,
            index: Register::None,
            scale: 1,
        }
    }
}

/// A constant in the pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct PoolRef(u32);

/// What AVX-512 adds to an instruction.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Evex {
    pub(super) mask: Option<Register>,
    /// Whether lanes that are masked out become zero.
    pub(super) zeroing: bool,
    /// Whether the memory operand is one element for all lanes.
    pub(super) broadcast: bool,
}

/// A place in the code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(u32);

/// Machine code in the making.
pub(super) struct Buffer<'a> {
    name: &'a str,
    encoder: Encoder,
    len: usize,
    /// Where labels are, as far as they are placed.
    labels: Vec<Option<usize>>,
    /// Ends of displacements, and the labels they must lead to.
    jumps: Vec<(usize, Label)>,
    /// Displacements, ends of their instructions, and the constants they must lead to.
    pool_uses: Vec<(usize, usize, PoolRef)>,
    pool: Vec<Vec<u8>>,
    pool_ids: HashMap<Vec<u8>, PoolRef>,
    error: Option<CodegenError>,
}

impl<'a> Buffer<'a> {
    pub(super) fn new(name: &'a str) -> Buffer<'a> {
        Buffer {
            name,
            encoder: Encoder::new(64),
            len: 0,
            labels: Vec::new(),
            jumps: Vec::new(),
            pool_uses: Vec::new(),
            pool: Vec::new(),
            pool_ids: HashMap::new(),
            error: None,
        }
    }

    /// Puts a constant into the pool: one element of a splat, or all lanes.
    pub(super) fn constant(&mut self, constant: &Const, lanes: usize, whole: bool) -> PoolRef {
        let words = match constant {
            Const::Splat(bits) if whole => vec![*bits; lanes],
            Const::Splat(bits) => vec![*bits],
            Const::Lanes(bits) => bits.clone(),
        };
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let pool = &mut self.pool;
        *self.pool_ids.entry(bytes).or_insert_with_key(|bytes| {
            pool.push(bytes.clone());
            PoolRef(pool.len() as u32 - 1)
        })
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Puts a label here.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0 as usize] = Some(self.len);
    }

    /// Fills up with instructions that do nothing.
    pub(super) fn align(&mut self, alignment: usize) {
        // The recommended multi-byte forms, up to nine bytes.
        const NOPS: [&[u8]; 9] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0F, 0x1F, 0x00],
            &[0x0F, 0x1F, 0x40, 0x00],
            &[0x0F, 0x1F, 0x44, 0x00, 0x00],
            &[0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00],
            &[0x0F, 0x1F, 0x80, 0x00, 0x00, 0x00, 0x00],
            &[0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
            &[0x66, 0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        ];
        let mut missing = self.len.next_multiple_of(alignment) - self.len;
        while missing > 0 {
            let count = missing.min(NOPS.len());
            for byte in NOPS[count - 1] {
                self.encoder.write_u8(*byte);
            }
            self.len += count;
            missing -= count;
        }
    }

    /// A jump to a label; backwards by a short form where that reaches.
    pub(super) fn jump(&mut self, short: Code, long: Code, label: Label) {
        let target = self.labels[label.0 as usize];
        let near = target.is_some_and(|target| self.len + 2 - target <= 128);
        let mut instruction = Instruction::default();
        instruction.set_code(if near { short } else { long });
        instruction.set_op0_kind(OpKind::NearBranch64);
        instruction.set_near_branch64(target.unwrap_or(self.len) as u64);
        self.encode(&instruction);
        if target.is_none() {
            self.jumps.push((self.len, label));
        }
    }

    /// An instruction without anything peculiar to AVX-512.
    pub(super) fn emit(&mut self, code: Code, operands: &[Operand]) {
        self.emit_evex(code, operands, Evex::default());
    }

    pub(super) fn emit_evex(&mut self, code: Code, operands: &[Operand], evex: Evex) {
        let mut instruction = Instruction::default();
        instruction.set_code(code);
        let mut constant = None;
        for (k, operand) in (0..).zip(operands) {
            match *operand {
                Operand::Reg(register) => {
                    instruction.set_op_kind(k, OpKind::Register);
                    instruction.set_op_register(k, register);
                }
                Operand::Mem(memory) => {
                    instruction.set_op_kind(k, OpKind::Memory);
                    instruction.set_memory_base(memory.base);
                    instruction.set_memory_index(memory.index);
                    instruction.set_memory_index_scale(u32::from(memory.scale));
                    instruction.set_memory_displacement64(i64::from(memory.disp).cast_unsigned());
                    instruction.set_memory_displ_size(u32::from(memory.disp != 0));
                }
                Operand::Pool(place) => {
                    instruction.set_op_kind(k, OpKind::Memory);
                    instruction.set_memory_base(Register::RIP);
                    instruction.set_memory_displacement64(self.len as u64);
                    instruction.set_memory_displ_size(8);
                    constant = Some(place);
                }
                Operand::Byte(value) => {
                    instruction.set_op_kind(k, OpKind::Immediate8);
                    instruction.set_immediate8(value);
                }
                Operand::Imm(kind, value) => {
                    instruction.set_op_kind(k, kind);
                    instruction.set_immediate_i64(k, value);
                }
            }
        }
        if let Some(mask) = evex.mask {
            instruction.set_op_mask(mask);
        }
        instruction.set_zeroing_masking(evex.zeroing);
        instruction.set_is_broadcast(evex.broadcast);
        let start = self.len;
        self.encode(&instruction);
        if let Some(place) = constant {
            let offset = self.encoder.get_constant_offsets().displacement_offset();
            self.pool_uses.push((start + offset, self.len, place));
        }
    }

    fn encode(&mut self, instruction: &Instruction) {
        match self.encoder.encode(instruction, self.len as u64) {
            Ok(size) => self.len += size,
            Err(error) => {
                self.error.get_or_insert_with(|| CodegenError::Encode {
                    function: self.name.to_owned(),
                    instruction: format!("{:?}", instruction.code()),
                    reason: error.to_string(),
                });
            }
        }
    }

    /// Appends the pool and resolves everything that refers to labels and to it. The function must
    /// begin at a multiple of 64 bytes.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, CodegenError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut bytes = self.encoder.take_buffer();
        // The largest first, so that each is aligned to its own size.
        let mut order: Vec<usize> = (0..self.pool.len()).collect();
        order.sort_by_key(|id| std::cmp::Reverse(self.pool[*id].len()));
        let mut offsets = vec![0; self.pool.len()];
        for id in order {
            let constant = &self.pool[id];
            bytes.resize(bytes.len().next_multiple_of(constant.len()), 0xCC);
            offsets[id] = bytes.len();
            bytes.extend_from_slice(constant);
        }
        for (end, label) in self.jumps {
            let target = self.labels[label.0 as usize].expect("all labels are placed");
            patch(&mut bytes, end - 4, end, target);
        }
        for (at, end, place) in self.pool_uses {
            patch(&mut bytes, at, end, offsets[place.0 as usize]);
        }
        Ok(bytes)
    }
}

/// Writes the distance from an instruction's end to a target.
fn patch(bytes: &mut [u8], at: usize, end: usize, target: usize) {
    let distance = i32::try_from(target as i64 - end as i64).expect("functions are small");
    bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
}
