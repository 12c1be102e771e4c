//! A compiler from a neural-network description language (`.net` files) to optimized CPU kernels.

pub mod io;
pub mod tensor;
pub mod train;
