//! A compiler from a neural-network description language (`.net` files) to optimized CPU kernels.

pub mod diag;
pub mod syntax;
