//! From vector IR to machine code. The only place that names Cranelift or iced types.
//!
//! [`compile`] makes all kernels of a program into one [`Code`]. Nests, and the bodies of the
//! baseline tier, go through Cranelift; wider bodies go through the emitter in `wide`. All of them
//! become units of bytes and calls, which `jit` places in executable memory at once. [`clif`] and
//! [`asm`] print what a kernel becomes.
//!
//! Bodies and nests are taken to be valid: what `kernel::verify` refuses may panic here.

mod cranelift;
mod dump;
mod error;
pub mod host;
mod jit;
#[cfg(test)]
mod tests;
mod unit;
mod wide;

use std::time::{Duration, Instant};

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_module::FuncId;

pub use dump::{asm, clif};
pub use error::CodegenError;
pub use host::{Isa, Target};
pub use jit::{Code, Function, KernelFn};

use crate::kernel::{Body, Kernel};
use cranelift::Cranelift;
use unit::Unit;

/// How to compile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether Cranelift's verifier checks what it is given.
    pub verify: bool,
}

impl Options {
    /// Verification in debug builds only.
    pub fn of_build() -> Options {
        Options {
            verify: cfg!(debug_assertions),
        }
    }
}

/// How long the stages of a compilation took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Times {
    /// Loop nests.
    pub nests: Duration,
    /// Vector code.
    pub bodies: Duration,
    /// Placing the code in memory and making that executable.
    pub finalize: Duration,
}

/// Compiles kernels to code that this process can call.
pub fn compile(
    kernels: &[Kernel],
    target: &Target,
    options: &Options,
) -> Result<Code, CodegenError> {
    if let Some(feature) = host::missing_feature(target.isa) {
        return Err(CodegenError::MissingFeature {
            isa: target.isa,
            feature,
        });
    }
    let mut compiler = Compiler::new(target, options)?;
    let nests = kernels
        .iter()
        .map(|kernel| compiler.kernel(kernel))
        .collect::<Result<Vec<_>, _>>()?;
    let (isa, units, times) = compiler.finish();
    jit::link(isa, &units, &nests, times)
}

/// Makes units in the order of their function ids: a kernel's bodies, then its nest.
struct Compiler<'a> {
    target: &'a Target,
    cranelift: Cranelift,
    units: Vec<Unit>,
    times: Times,
}

impl<'a> Compiler<'a> {
    fn new(target: &'a Target, options: &Options) -> Result<Compiler<'a>, CodegenError> {
        Ok(Compiler {
            target,
            cranelift: Cranelift::host(options)?,
            units: Vec::new(),
            times: Times::default(),
        })
    }

    /// Adds a kernel and returns the id of its nest.
    fn kernel(&mut self, kernel: &Kernel) -> Result<FuncId, CodegenError> {
        let first_body = self.next_id();
        let start = Instant::now();
        for (index, body) in kernel.bodies.iter().enumerate() {
            let unit = self.body(body_name(kernel, index), body)?;
            self.units.push(unit);
        }
        let between = Instant::now();
        let id = self.next_id();
        let unit = self.cranelift.nest(kernel, first_body, id)?;
        self.units.push(unit);
        self.times.bodies += between - start;
        self.times.nests += between.elapsed();
        Ok(id)
    }

    fn body(&mut self, name: String, body: &Body) -> Result<Unit, CodegenError> {
        if body.lanes != self.target.lanes {
            return Err(CodegenError::Lanes {
                body: name,
                lanes: body.lanes,
                target: self.target.lanes,
            });
        }
        match self.target.isa {
            Isa::Baseline => self.cranelift.body(name, body, self.next_id()),
            Isa::Avx2 | Isa::Avx512 => wide::emit(name, body, self.target),
        }
    }

    fn next_id(&self) -> FuncId {
        let index = u32::try_from(self.units.len()).expect("a program has fewer functions");
        FuncId::from_u32(index)
    }

    fn finish(self) -> (OwnedTargetIsa, Vec<Unit>, Times) {
        (self.cranelift.into_isa(), self.units, self.times)
    }
}

/// The name of a body's function: bodies of one kernel may share theirs.
fn body_name(kernel: &Kernel, index: usize) -> String {
    format!("{}.{index}.{}", kernel.name, kernel.bodies[index].name)
}
