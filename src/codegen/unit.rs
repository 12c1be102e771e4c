//! Compiled functions that have no address yet.

use cranelift_module::ModuleReloc;

/// The machine code of one function.
pub(super) struct Unit {
    /// Unique in a program.
    pub(super) name: String,
    /// Instructions first, constants behind them.
    pub(super) bytes: Vec<u8>,
    /// The alignment of the first byte.
    pub(super) alignment: u64,
    /// Calls to other functions.
    pub(super) relocs: Vec<ModuleReloc>,
}
