//! How large a source file and its parts may be.
//!
//! The limits are far above what a person writes and low enough that no file can exhaust time or stack. They are checked
//! by the scanner before the grammar sees the text, except for the depth of expressions, which the tree builder knows.

/// Bytes in a file. A net of ten thousand lines has about half of this.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// Words, numbers, strings, signs and comments in a file: ten thousand lines of sixteen. The tree takes up to a
/// kilobyte of memory for each while it is built.
pub(crate) const MAX_TOKENS: usize = 160_000;

/// Nets, presets and sections of them in a file: each is expanded by itself.
pub(crate) const MAX_NETS: usize = 256;

/// Brackets open at the same time. Parsing takes about two kilobytes of stack for each.
pub(crate) const MAX_DEPTH: usize = 100;

/// Operators between two separators at one bracket level.
pub(crate) const MAX_OPERATORS: u32 = 200;

/// Nodes between the root of an expression and its deepest leaf.
pub(crate) const MAX_EXPR_DEPTH: u16 = 250;

/// Characters of a name.
pub(crate) const MAX_NAME: usize = 128;

/// Whole numbers up to here are exact in every step of constant arithmetic.
pub(crate) const MAX_INT: i64 = 1 << 53;

/// Findings of the parser that are worth reporting in one run.
pub(crate) const MAX_ERRORS: usize = 50;

/// Findings of the scanner that are worth reporting in one run.
pub(crate) const MAX_SCAN_ERRORS: usize = 20;

/// Bytes that are parsed again behind errors in one run. A file of usual size is parsed as often as it has errors; in
/// one of the largest, the time for more than a few would be felt.
pub(crate) const MAX_REREAD: usize = 3 << 20;
