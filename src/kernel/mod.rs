//! The vector IR: what a kernel computes, with no word of any instruction set.
//!
//! A [`Kernel`] has two levels. Its [`nest`] is scalar: loops, index arithmetic and calls. Its
//! [`body`] functions are vector code over `W` lanes: straight-line instructions, the innermost
//! counted loops around them, and a tail region for what is left of a run. Code generation lowers
//! the nest through Cranelift everywhere; a body goes through Cranelift with four lanes or through
//! the wide emitter with eight or sixteen.
//!
//! Nothing here knows a graph or an instruction set. The only thing a body is built *for* is the
//! number of lanes, which its maker reads from the target.

pub mod body;
pub mod nest;
pub mod operands;

pub mod print;
pub mod verify;

pub mod eval;

pub mod builder;
pub mod nest_builder;

pub mod math;
pub mod tile;

pub use body::{Body, Cmp, Count, Int, Item, LaneType, Lanes, Op, Ptr, Reduce, Reg};
pub use builder::BodyBuilder;
pub use nest::{Address, Arg, BodyId, Cond, Index, Kernel, Stmt, Var};
pub use nest_builder::NestBuilder;
