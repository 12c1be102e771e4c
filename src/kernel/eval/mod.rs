//! Runs bodies and kernels one lane at a time over byte buffers: what the IR's documentation says,
//! put down as directly as possible, to judge the emitters by.
//!
//! An address is a buffer and an offset, so no access can stray into another buffer: whatever is not
//! four aligned bytes of its own buffer is an error that names the place. Code is verified before it
//! runs. What the documentation leaves unspecified gets a value that no code is likely to want.

use thiserror::Error;

use super::verify::{BodyError, KernelError, Place};

mod body;
mod nest;
#[cfg(test)]
mod tests;

pub use body::body;
pub use nest::kernel;

/// An address: an offset in bytes from the start of a buffer, which may point outside of it as long
/// as nothing there is accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pointer {
    /// Which buffer.
    pub buffer: usize,
    /// How far from its start.
    pub offset: i64,
}

/// Why code could not be run.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum EvalError {
    /// The body breaks a rule.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The kernel breaks a rule.
    #[error(transparent)]
    Kernel(#[from] Box<KernelError>),
    /// The code is sound but can't do this with these arguments.
    #[error("{name}: {place}: {fault}")]
    Fault {
        /// The body or kernel.
        name: String,
        /// Where it stopped.
        place: Place,
        /// What is wrong.
        fault: EvalFault,
    },
}

/// What sound code can't do with some arguments.
#[allow(missing_docs, reason = "each message names its fields")]
#[derive(Clone, PartialEq, Debug, Error)]
pub enum EvalFault {
    #[error("{expected} {what} are needed, not {found}")]
    Arguments {
        what: &'static str,
        expected: usize,
        found: usize,
    },
    #[error("there is no buffer {0}")]
    NoBuffer(usize),
    #[error("access to four bytes at {offset} of buffer {buffer}, which has {len}")]
    OutOfBounds {
        buffer: usize,
        offset: i64,
        len: usize,
    },
    #[error("access to four bytes at {offset} of buffer {buffer}, not a multiple of four")]
    Unaligned { buffer: usize, offset: i64 },
    #[error("a loop of {0} turns")]
    Turns(i64),
    #[error("a tail of {lanes} out of {all} lanes")]
    Tail { lanes: i64, all: usize },
    #[error("{0} divided by {1}")]
    Division(i64, i64),
    #[error("an index or offset beyond 64 bits")]
    Overflow,
}
