//! From vector IR to machine code. The only place that names Cranelift or iced types.

pub mod host;

pub use host::{Isa, Target};
