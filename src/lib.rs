//! A compiler from a neural-network description language (`.net` files) to optimized CPU kernels.

pub mod autodiff;
pub mod classes;
pub mod cli;
pub mod codegen;
pub mod condense;
pub mod diag;
pub mod driver;
pub mod engine;
pub mod estimate;
pub mod interp;
pub mod io;
pub mod ir;
pub mod kernel;
pub mod lower;
pub mod measure;
pub mod model;
pub mod ops;
pub mod passes;
pub mod plan;
pub mod program;
pub mod runtime;
pub mod sema;
pub mod summary;
pub mod syntax;
pub mod tensor;
pub mod train;

pub use model::{Net, NetError};

/// The code of the readme runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
