//! Executable memory and its owner.
#![allow(
    unsafe_code,
    reason = "makes functions of bytes and frees the memory that they lie in"
)]

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cranelift_codegen::ir::Signature;
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleRelocTarget, default_libcall_names};

use super::unit::Unit;
use super::{CodegenError, Times};

/// A compiled kernel.
type Entry = unsafe extern "C" fn(*const *mut u8, i64, i64, i64);

/// The compiled functions of a program. It owns their memory and frees it when dropped.
pub struct Code {
    /// None only while being dropped. Nothing is done with it before that; the mutex is what makes
    /// it shareable.
    module: Mutex<Option<JITModule>>,
    functions: Vec<Function>,
    /// The place of each kernel's nest in `functions`, and its address.
    kernels: Vec<(usize, Entry)>,
    times: Times,
}

/// A function of the program: a kernel's nest or one of its bodies.
#[derive(Clone, Debug)]
pub struct Function {
    name: String,
    address: usize,
    size: usize,
}

/// A kernel that can be called as long as its code lives.
#[derive(Clone, Copy)]
pub struct KernelFn<'a> {
    code: &'a Code,
    function: usize,
    entry: Entry,
}

impl Code {
    /// How many kernels there are.
    pub fn kernels(&self) -> usize {
        self.kernels.len()
    }

    /// The kernel of an index, in the order of compilation.
    pub fn kernel(&self, index: usize) -> KernelFn<'_> {
        let (function, entry) = self.kernels[index];
        KernelFn {
            code: self,
            function,
            entry,
        }
    }

    /// All functions: the bodies of a kernel come before its nest.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The bytes of a function, constants included.
    pub fn bytes(&self, function: &Function) -> &[u8] {
        let owned = self
            .functions
            .iter()
            .any(|own| (own.address, own.size) == (function.address, function.size));
        assert!(owned, "`{}` belongs to other code", function.name);
        // SAFETY: `link` took this address and size from the module that `self` owns. Its memory is
        // readable, no longer written to, and freed only when `self` is dropped, which the returned
        // lifetime excludes.
        unsafe { std::slice::from_raw_parts(function.address as *const u8, function.size) }
    }

    /// How long the stages of the compilation took.
    pub fn times(&self) -> Times {
        self.times
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let module = self
            .module
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(module) = module {
            // SAFETY: function pointers leave `self` only inside a `KernelFn`, which borrows `self`;
            // so none can be called from now on, and no call is under way.
            unsafe { module.free_memory() };
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code")
            .field("functions", &self.functions)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

impl Function {
    /// Its name, unique in the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it begins.
    pub fn address(&self) -> usize {
        self.address
    }

    /// How many bytes it takes, constants included.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl<'a> KernelFn<'a> {
    /// The kernel's name.
    pub fn name(&self) -> &'a str {
        &self.code.functions[self.function].name
    }

    /// Runs the kernel.
    ///
    /// # Safety
    ///
    /// `args` points to as many addresses as the kernel has buffers, and each buffer may be accessed
    /// wherever the kernel does so for `lo..hi` and `n`. No other thread writes what this call
    /// reads, nor reads or writes what it writes.
    pub unsafe fn call(&self, args: *const *mut u8, lo: i64, hi: i64, n: i64) {
        // SAFETY: `entry` is a function of this signature, whose memory `code` keeps alive; that its
        // accesses are sound is the caller's promise.
        unsafe { (self.entry)(args, lo, hi, n) }
    }
}

/// Asks whether memory that was written may become executable: where it may not, finding out later ends in a panic.
fn may_execute() -> Result<(), CodegenError> {
    let page = memmap2::MmapMut::map_anon(1);
    let executable = page.and_then(memmap2::MmapMut::make_exec);
    executable.map(drop).map_err(|error| {
        let reason = error.to_string();
        CodegenError::Forbidden { reason }
    })
}

/// Places units, whose indices are their function ids, in executable memory.
pub(super) fn link(
    isa: OwnedTargetIsa,
    units: &[Unit],
    nests: &[FuncId],
    mut times: Times,
) -> Result<Code, CodegenError> {
    let start = Instant::now();
    for unit in units {
        check_calls(unit, units.len())?;
    }
    may_execute()?;
    let bytes = arena_size(units);
    let arena = ArenaMemoryProvider::new_with_size(bytes).map_err(|error| {
        let reason = error.to_string();
        CodegenError::Memory { bytes, reason }
    })?;
    let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
    builder.memory_provider(Box::new(arena));
    let mut module = JITModule::new(builder);

    let signature = Signature::new(CallConv::SystemV);
    for (index, unit) in units.iter().enumerate() {
        let id = module.declare_function(&unit.name, Linkage::Local, &signature)?;
        assert_eq!(id.as_u32() as usize, index, "ids follow the units' order");
    }
    for (id, unit) in (0..).map(FuncId::from_u32).zip(units) {
        module.define_function_bytes(id, unit.alignment, &unit.bytes, &unit.relocs)?;
    }
    module.finalize_definitions()?;

    let functions = (0..)
        .map(FuncId::from_u32)
        .zip(units)
        .map(|(id, unit)| Function {
            name: unit.name.clone(),
            address: module.get_finalized_function(id) as usize,
            size: unit.bytes.len(),
        })
        .collect();
    let kernels = nests
        .iter()
        .map(|id| {
            let address = module.get_finalized_function(*id);
            // SAFETY: the address is that of a nest, which was compiled with this signature and the
            // default calling convention, which is what `extern "C"` means.
            let entry = unsafe { mem::transmute::<*const u8, Entry>(address) };
            (id.as_u32() as usize, entry)
        })
        .collect();
    times.finalize = start.elapsed();
    Ok(Code {
        module: Mutex::new(Some(module)),
        functions,
        kernels,
        times,
    })
}

/// Every call must go to one of the units: a symbol of the host would be looked up by name, and its
/// absence would end the process.
pub(super) fn check_calls(unit: &Unit, units: usize) -> Result<(), CodegenError> {
    for reloc in &unit.relocs {
        let own = match reloc.name {
            ModuleRelocTarget::User { namespace, index } => {
                namespace == 0 && (index as usize) < units
            }
            ModuleRelocTarget::FunctionOffset(..) => true,
            ModuleRelocTarget::LibCall(_) | ModuleRelocTarget::KnownSymbol(_) => false,
        };
        if !own {
            return Err(CodegenError::HostCall {
                function: unit.name.clone(),
                symbol: reloc.name.to_string(),
            });
        }
    }
    Ok(())
}

/// Room for all units at any alignment, for the veneers that some machines need at each call, and
/// for a page that is never made accessible.
fn arena_size(units: &[Unit]) -> usize {
    const VENEER: usize = 24;
    const PAGE: usize = 64 << 10;
    let each = |unit: &Unit| {
        unit.bytes.len() + unit.relocs.len() * VENEER + 2 * unit.alignment.max(64) as usize
    };
    units.iter().map(each).sum::<usize>().next_multiple_of(PAGE) + PAGE
}

/// Runs kernels in tests, with a page behind each buffer that nobody may touch.
#[cfg(test)]
pub(super) mod guarded {
    use region::{Allocation, Protection};

    use super::KernelFn;
    use crate::kernel::{Kernel, eval};

    /// A buffer that ends where an inaccessible page begins.
    struct Buffer {
        allocation: Allocation,
        offset: usize,
        len: usize,
    }

    impl Buffer {
        fn new(contents: &[u8]) -> Buffer {
            let page = region::page::size();
            let size = contents.len().next_multiple_of(page);
            let mut allocation =
                region::alloc(size + page, Protection::READ_WRITE).expect("memory for a buffer");
            let base: *mut u8 = allocation.as_mut_ptr();
            let offset = size - contents.len();
            // SAFETY: the last page of the allocation, which was made with one page to spare. The
            // buffer lies before it.
            unsafe { region::protect(base.add(size), page, Protection::NONE) }
                .expect("a page that may be closed");
            // SAFETY: `offset + contents.len()` is `size`, and so many bytes are writable.
            unsafe {
                base.add(offset)
                    .copy_from(contents.as_ptr(), contents.len())
            };
            Buffer {
                allocation,
                offset,
                len: contents.len(),
            }
        }

        fn address(&mut self) -> *mut u8 {
            let base: *mut u8 = self.allocation.as_mut_ptr();
            base.wrapping_add(self.offset)
        }

        fn contents(&mut self) -> Vec<u8> {
            // SAFETY: the bytes were written when the buffer was made, and nothing runs that could
            // write to them now.
            unsafe { std::slice::from_raw_parts(self.address(), self.len) }.to_vec()
        }
    }

    /// Runs a kernel in the evaluator and as machine code, both on copies of the same buffers.
    pub(in crate::codegen) fn run(
        kernel: &Kernel,
        compiled: KernelFn<'_>,
        buffers: &[Vec<u8>],
        [lo, hi, n]: [i64; 3],
    ) -> [Vec<Vec<u8>>; 2] {
        let mut expected = buffers.to_vec();
        if let Err(error) = eval::kernel(kernel, &mut expected, lo..hi, n) {
            panic!("{error}, in\n{kernel}");
        }
        let mut native: Vec<Buffer> = buffers.iter().map(|bytes| Buffer::new(bytes)).collect();
        let args: Vec<*mut u8> = native.iter_mut().map(Buffer::address).collect();
        // SAFETY: the evaluator has just run the same kernel with the same arguments and found all
        // its accesses inside the buffers, of which there are as many as it has arguments. They are
        // seen by this thread only.
        unsafe { compiled.call(args.as_ptr(), lo, hi, n) };
        [expected, native.iter_mut().map(Buffer::contents).collect()]
    }
}
