//! A compiler from a neural-network description language (`.net` files) to optimized CPU kernels.

pub mod codegen;
pub mod diag;
pub mod ir;
pub mod kernel;
pub mod ops;
pub mod sema;
pub mod syntax;
