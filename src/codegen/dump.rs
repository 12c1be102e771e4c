//! What a kernel becomes, as text. The same kernel, target and machine give the same text.

use std::collections::BTreeMap;
use std::fmt::Write;

use cranelift_module::{FuncId, ModuleReloc, ModuleRelocTarget};
use iced_x86::{
    Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind, Register,
    SymbolResolver, SymbolResult,
};

use super::cranelift::Cranelift;
use super::unit::Unit;
use super::{CodegenError, Compiler, Isa, Options, Target, body_name};
use crate::kernel::Kernel;

/// The CLIF of a kernel's nest and, on the baseline tier, of its bodies.
pub fn clif(kernel: &Kernel, target: &Target) -> Result<String, CodegenError> {
    let mut cranelift = Cranelift::host(&Options { verify: true })?;
    let mut text = String::new();
    for (index, body) in kernel.bodies.iter().enumerate() {
        let name = body_name(kernel, index);
        if target.isa == Isa::Baseline {
            text.push_str(&cranelift.body_clif(&name, body));
            text.push('\n');
        }
    }
    for index in 0..kernel.bodies.len() {
        line(
            &mut text,
            &format!("; u0:{index} is %{}", body_name(kernel, index)),
        );
    }
    text.push_str(&cranelift.nest_clif(kernel, FuncId::from_u32(0)));
    Ok(text)
}

/// The machine code of a kernel, in Intel's syntax; on other machines as hexadecimal words. Bodies
/// come first, then the nest; labels count from the start of each function.
pub fn asm(kernel: &Kernel, target: &Target) -> Result<String, CodegenError> {
    let mut compiler = Compiler::new(target, &Options { verify: true })?;
    compiler.kernel(kernel)?;
    let (_, units, _) = compiler.finish();
    let mut text = String::new();
    for unit in &units {
        if !text.is_empty() {
            text.push('\n');
        }
        line(&mut text, &format!("{}:", unit.name));
        if cfg!(target_arch = "x86_64") {
            disassemble(unit, &units, &mut text);
        } else {
            hexadecimal(&unit.bytes, &mut text);
        }
    }
    Ok(text)
}

/// Writes instructions with labels, then the constants that they refer to.
fn disassemble(unit: &Unit, units: &[Unit], text: &mut String) {
    let instructions = decode(&unit.bytes);
    let mut names = BTreeMap::new();
    let mut constants = Vec::new();
    for instruction in &instructions {
        if let Some(target) = jump_target(instruction) {
            names.insert(target, String::new());
        }
        constants.extend(pool_address(instruction));
    }
    for (number, name) in names.values_mut().enumerate() {
        *name = format!("L{number}");
    }
    constants.sort_unstable();
    constants.dedup();
    for (number, address) in constants.iter().enumerate() {
        names.insert(*address, format!("C{number}"));
    }
    let resolver = Names(names.clone());
    let mut formatter = IntelFormatter::with_options(Some(Box::new(resolver)), None);
    formatter
        .options_mut()
        .set_space_after_operand_separator(true);
    formatter.options_mut().set_show_branch_size(false);
    let mut shown = String::new();
    for instruction in &instructions {
        if let Some(name) = names.get(&instruction.ip()) {
            line(text, &format!("{name}:"));
        }
        shown.clear();
        formatter.format(instruction, &mut shown);
        if instruction.mnemonic() == Mnemonic::Call
            && let Some(callee) = callee(instruction, &unit.relocs, units)
        {
            shown = format!("call {callee}");
        }
        line(text, &format!("    {shown}"));
    }
    let ends = constants.iter().skip(1).copied();
    let ends = ends.chain([unit.bytes.len() as u64]);
    for (start, end) in constants.iter().zip(ends) {
        let words = &unit.bytes[*start as usize..end as usize];
        line(text, &format!("{}: {}", names[start], constant(words)));
    }
}

/// Decodes up to the constants, whose place the instructions before them tell.
fn decode(bytes: &[u8]) -> Vec<Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let mut instructions = Vec::new();
    let mut end = bytes.len() as u64;
    while decoder.ip() < end && decoder.can_decode() {
        let instruction = decoder.decode();
        if let Some(address) = pool_address(&instruction) {
            end = end.min(address);
        }
        instructions.push(instruction);
    }
    // What fills up to the constants.
    let filling = |instruction: &mut Instruction| {
        let place = instruction.ip() as usize..instruction.next_ip() as usize;
        bytes[place].iter().all(|byte| matches!(byte, 0 | 0xCC))
    };
    while instructions.pop_if(filling).is_some() {}
    instructions
}

fn jump_target(instruction: &Instruction) -> Option<u64> {
    let branches = instruction.op0_kind() == OpKind::NearBranch64;
    let jumps = branches && instruction.mnemonic() != Mnemonic::Call;
    jumps.then(|| instruction.near_branch_target())
}

fn pool_address(instruction: &Instruction) -> Option<u64> {
    let relative = instruction.memory_base() == Register::RIP;
    relative.then(|| instruction.memory_displacement64())
}

/// The unit that a call not yet resolved leads to.
fn callee<'a>(
    instruction: &Instruction,
    relocs: &[ModuleReloc],
    units: &'a [Unit],
) -> Option<&'a str> {
    let inside = instruction.ip()..instruction.next_ip();
    let reloc = relocs
        .iter()
        .find(|reloc| inside.contains(&u64::from(reloc.offset)))?;
    match reloc.name {
        ModuleRelocTarget::User { index, .. } => {
            units.get(index as usize).map(|unit| unit.name.as_str())
        }
        _ => None,
    }
}

/// Names of labels and constants by their addresses.
struct Names(BTreeMap<u64, String>);

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _: u32,
        operand: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        // Immediates come here too.
        match instruction.op_kind(operand?) {
            OpKind::NearBranch64 => {}
            OpKind::Memory if instruction.memory_base() == Register::RIP => {}
            _ => return None,
        }
        let name = self.0.get(&address)?;
        Some(SymbolResult::with_str(address, name))
    }
}

/// The 32-bit words of a constant, the last one once only if it is repeated.
fn constant(bytes: &[u8]) -> String {
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect();
    if words.len() > 1 && words.iter().all(|word| *word == words[0]) {
        return format!("{} times {:#010x}", words.len(), words[0]);
    }
    let words: Vec<String> = words.iter().map(|word| format!("{word:#010x}")).collect();
    words.join(" ")
}

fn hexadecimal(bytes: &[u8], text: &mut String) {
    for chunk in bytes.chunks(16) {
        line(text, &format!("    {}", constant(chunk)));
    }
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("writing to a string does not fail");
}
