//! Loads become memory operands of the one instruction that uses them, which saves a register and a
//! slot in the processor's front end.
//!
//! ```text
//! vmovups zmm1, [rsi]             vaddps zmm1, zmm0, [rsi]
//! vaddps zmm1, zmm0, zmm1    →
//! ```
//!
//! The load then happens where the use stands; so there must be no store in between, no change of
//! the pointer, and no beginning or end of a loop or tail. Loads used more often keep their register,
//! and broadcasts do too: as operands they were measured to be slower.

use iced_x86::Code;

use super::inst::{Addr, Inst, Kind, Mask, Program, Src, Virt};
use super::table;
use crate::codegen::Isa;

/// Turns loads into operands. The loads stay behind, read by nobody.
pub(super) fn run(program: &mut Program, isa: Isa) {
    let single = used_once(program);
    // The loads that could still move to here.
    let mut movable: Vec<(Virt, Addr)> = Vec::new();
    for inst in &mut program.insts {
        if let Some(k) = foldable_source(inst, isa, &movable) {
            let Src::Virt(virt) = inst.srcs[k] else {
                unreachable!("only registers are looked for");
            };
            let place = movable.iter().position(|load| load.0 == virt);
            let (_, addr) = movable.swap_remove(place.expect("it was found there"));
            inst.srcs[k] = Src::Mem(addr);
            if inst.commutes && k == 0 {
                inst.srcs.swap(0, 1);
            }
        }
        match inst.kind {
            Kind::Store { .. }
            | Kind::LoopBegin(_)
            | Kind::LoopEnd(_)
            | Kind::TailBegin(..)
            | Kind::TailEnd(_) => movable.clear(),
            Kind::Advance { ptr, .. } | Kind::SetPtr { dst: ptr, .. } => {
                movable.retain(|(_, addr)| addr.ptr != ptr);
            }
            Kind::Op { code, mask, .. } => {
                if let (Some(dst), [Src::Mem(addr)]) = (inst.dst, &*inst.srcs)
                    && is_plain_load(code, mask, isa)
                    && single[dst.0 as usize]
                {
                    movable.push((dst, *addr));
                }
            }
            Kind::Fma(_)
            | Kind::Prefetch(_)
            | Kind::Select { .. }
            | Kind::Const(_)
            | Kind::Int { .. }
            | Kind::Gather { .. } => {}
        }
    }
}

fn is_plain_load(code: Code, mask: Mask, isa: Isa) -> bool {
    code == table::LOAD.of(isa) && mask == Mask::None
}

/// For each register, whether it is written once and read once.
fn used_once(program: &Program) -> Vec<bool> {
    let mut counts = vec![(0u32, 0u32); program.virts as usize];
    for inst in &program.insts {
        if let Some(dst) = inst.dst {
            counts[dst.0 as usize].0 += 1;
        }
        for src in inst.srcs.iter() {
            if let Src::Virt(virt) = src {
                counts[virt.0 as usize].1 += 1;
            }
        }
    }
    counts.into_iter().map(|count| count == (1, 1)).collect()
}

/// The source of an instruction that a movable load can take the place of.
fn foldable_source(inst: &Inst, isa: Isa, movable: &[(Virt, Addr)]) -> Option<usize> {
    let is_move = matches!(inst.kind, Kind::Op { code, .. } if code == table::MOVE.of(isa));
    let is_fused = matches!(inst.kind, Kind::Fma(_));
    // A move needs its operand aligned.
    if is_move || inst.srcs.iter().any(|src| matches!(src, Src::Mem(_))) {
        return None;
    }
    // An addend in memory would ask for a factor that may be overwritten.
    let able = if is_fused { 0b011 } else { inst.mems } | u8::from(inst.commutes);
    (0..inst.srcs.len()).rev().find(|k| {
        let Src::Virt(virt) = inst.srcs[*k] else {
            return false;
        };
        able & (1 << k) != 0 && movable.iter().any(|load| load.0 == virt)
    })
}
