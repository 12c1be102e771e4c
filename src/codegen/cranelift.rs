//! Lowering through Cranelift: every loop nest, and the bodies of the baseline tier.
//!
//! Nests are compiled under `opt_level=speed`, whose value numbering and code motion take address
//! arithmetic out of loops. Bodies are compiled under `opt_level=none`: their maker has ordered the
//! code already, and `speed` sinks multiply-adds below a block's loads until accumulators spill. A
//! tile of 5 rows by 8 columns unrolled by 4 reaches 95 % of the processor's limit under `none` and
//! 58 % under `speed` (`benches/tile.rs`, Zen 5).

mod body;
mod factors;
mod nest;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, Signature, UserFuncName, types};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{FuncId, ModuleReloc};

use super::unit::Unit;
use super::{CodegenError, Options};
use crate::kernel::{Body, Kernel};

/// Compiles functions one after the other, reusing its memory.
pub(super) struct Cranelift {
    nest_isa: OwnedTargetIsa,
    body_isa: OwnedTargetIsa,
    frontend: FunctionBuilderContext,
    context: Context,
}

impl Cranelift {
    /// For this machine, with the features it has. Where one is missing that a single instruction
    /// would need, Cranelift calls the host instead, which `jit` refuses.
    pub(super) fn host(options: &Options) -> Result<Cranelift, CodegenError> {
        let builder = cranelift_native::builder().map_err(CodegenError::Host)?;
        Cranelift::new(builder, options)
    }

    /// For a machine given by its triple, with the features that every such machine has.
    #[cfg(test)]
    pub(super) fn foreign(triple: &str, options: &Options) -> Result<Cranelift, CodegenError> {
        let builder = isa::lookup_by_name(triple)
            .map_err(|_| CodegenError::Host("this architecture was left out of the build"))?;
        Cranelift::new(builder, options)
    }

    fn new(builder: isa::Builder, options: &Options) -> Result<Cranelift, CodegenError> {
        let finish = |opt_level: &str| {
            builder
                .finish(flags(opt_level, options))
                .map_err(|source| CodegenError::cranelift("the instruction set", source))
        };
        Ok(Cranelift {
            nest_isa: finish("speed")?,
            body_isa: finish("none")?,
            frontend: FunctionBuilderContext::new(),
            context: Context::new(),
        })
    }

    /// The instruction set that finished code belongs to.
    pub(super) fn into_isa(self) -> OwnedTargetIsa {
        self.nest_isa
    }

    /// The machine code of a nest, whose bodies have the ids that follow `first_body`.
    pub(super) fn nest(
        &mut self,
        kernel: &Kernel,
        first_body: FuncId,
        id: FuncId,
    ) -> Result<Unit, CodegenError> {
        self.build_nest(kernel, first_body);
        self.finish(kernel.name.clone(), id, Level::Nest)
    }

    /// The machine code of a body.
    pub(super) fn body(
        &mut self,
        name: String,
        body: &Body,
        id: FuncId,
    ) -> Result<Unit, CodegenError> {
        self.build_body(&name, body);
        self.finish(name, id, Level::Body)
    }

    /// The text of a nest before compilation.
    pub(super) fn nest_clif(&mut self, kernel: &Kernel, first_body: FuncId) -> String {
        self.build_nest(kernel, first_body);
        let text = self.context.func.display().to_string();
        self.context.clear();
        text
    }

    /// The text of a body before compilation.
    pub(super) fn body_clif(&mut self, name: &str, body: &Body) -> String {
        self.build_body(name, body);
        let text = self.context.func.display().to_string();
        self.context.clear();
        text
    }

    /// What a body becomes on a machine that this one can't disassemble for, in Cranelift's own words.
    #[cfg(test)]
    pub(super) fn body_instructions(&mut self, name: &str, body: &Body) -> String {
        self.build_body(name, body);
        self.context.set_disasm(true);
        let result = self
            .context
            .compile(&*self.body_isa, &mut ControlPlane::default());
        let text = result.expect("a body that compiles").vcode.clone();
        self.context.clear();
        text.expect("a disassembly was asked for")
    }

    fn build_nest(&mut self, kernel: &Kernel, first_body: FuncId) {
        let pointer = self.nest_isa.pointer_type();
        let mut signature = Signature::new(self.nest_isa.default_call_conv());
        signature.params.push(AbiParam::new(pointer));
        signature.params.extend([AbiParam::new(types::I64); 3]);
        self.build(&kernel.name, signature, |builder| {
            nest::lower(builder, kernel, first_body);
        });
    }

    fn build_body(&mut self, name: &str, body: &Body) {
        self.build(name, body_signature(body), |builder| {
            body::lower(builder, body);
        });
    }

    fn build(
        &mut self,
        name: &str,
        signature: Signature,
        lower: impl FnOnce(&mut FunctionBuilder<'_>),
    ) {
        self.context.func =
            Function::with_name_signature(UserFuncName::testcase(name.as_bytes()), signature);
        let mut builder = FunctionBuilder::new(&mut self.context.func, &mut self.frontend);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        lower(&mut builder);
        builder.ins().return_(&[]);
        builder.finalize(self.nest_isa.frontend_config());
    }

    fn finish(&mut self, name: String, id: FuncId, level: Level) -> Result<Unit, CodegenError> {
        let isa = match level {
            Level::Nest => &*self.nest_isa,
            Level::Body => &*self.body_isa,
        };
        let result = self.context.compile(isa, &mut ControlPlane::default());
        if let Err(error) = result {
            return Err(CodegenError::cranelift(&name, error.inner));
        }
        let code = self
            .context
            .take_compiled_code()
            .expect("a compilation that succeeded leaves its code");
        let relocs = code
            .buffer
            .relocs()
            .iter()
            .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &self.context.func, id))
            .collect();
        let unit = Unit {
            name,
            bytes: code.buffer.data().to_vec(),
            alignment: u64::from(code.buffer.alignment),
            relocs,
        };
        self.context.clear();
        Ok(unit)
    }
}

/// Which of the two instruction sets compiles a function.
#[derive(Clone, Copy)]
enum Level {
    Nest,
    Body,
}

/// Pointers, then integers; the same on every system, since the wide emitter follows it too.
fn body_signature(body: &Body) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    let count = usize::from(body.ptr_args) + usize::from(body.int_args);
    signature.params = vec![AbiParam::new(types::I64); count];
    signature
}

fn flags(opt_level: &str, options: &Options) -> settings::Flags {
    let verify = if options.verify { "true" } else { "false" };
    let mut builder = settings::builder();
    for (name, value) in [
        ("opt_level", opt_level),
        ("enable_verifier", verify),
        ("is_pic", "false"),
        ("enable_probestack", "false"),
        // Nothing unwinds through a kernel.
        ("unwind_info", "false"),
    ] {
        builder
            .set(name, value)
            .expect("these settings exist in the pinned Cranelift version");
    }
    settings::Flags::new(builder)
}
