//! Bodies of eight and sixteen lanes on x86-64, which Cranelift cannot make.
//!
//! [`lower`] picks instructions, still on virtual registers, and [`fold`] merges
//! loads into them. [`live`] finds where values are alive,
//! [`alloc`] gives them vector registers, [`scalars`] gives pointers, integers and counters general
//! ones. [`encode`] writes bytes through [`buffer`]. A finished function is position-independent,
//! calls nothing, keeps its constants behind its code, and must begin at a multiple of 64 bytes.

mod alloc;
mod buffer;
mod encode;
mod fold;
mod inst;
mod live;
mod lower;
mod scalars;
mod table;

use super::unit::Unit;
use super::{CodegenError, Target};
use crate::kernel::Body;

/// The alignment of functions: that of loops and of constants in them.
const ALIGNMENT: u64 = 64;

/// The machine code of a body.
pub(super) fn emit(name: String, body: &Body, target: &Target) -> Result<Unit, CodegenError> {
    let mut program = lower::lower(&name, body, target)?;
    fold::run(&mut program, target.isa);
    let allocation = alloc::allocate(&program, target.registers);
    let live = |index: usize| allocation.operands[index].live;
    let scalars = scalars::allocate(body, &program, live);
    let bytes = encode::encode(&name, target, &program, &allocation, &scalars)?;
    Ok(Unit {
        name,
        bytes,
        alignment: ALIGNMENT,
        relocs: Vec::new(),
    })
}
