//! Checks the rules that the IR's documentation states.
//!
//! Of a body:
//!
//! - the number of lanes is a power of two, registers, pointers and integers exist;
//! - operands and results have the lane types of their operation, shifts are below 32, partial
//!   accesses are of at least one lane and not of all, counts that are constant are not zero;
//! - registers, and pointers that are no arguments, are set on every path before they are used, and
//!   no argument is set (it may advance);
//! - a tail holds no loop, tail, reduction, partial access or pointer change; of what was set outside
//!   it, it reads only registers that are the same in every lane; what it sets isn't read after it.
//!
//! Sameness is judged for a register, not for a place: every operation that sets it outside tails
//! must give the same in every lane.
//!
//! Of a kernel: its bodies are as above and all of one lane count, calls match their body's
//! arguments, buffers, bodies and variables exist, every variable is set by one statement and read
//! only where that one has run, steps and constant divisors are positive.
//!
//! Verified code can be emitted without failing for want of any of these.

use std::fmt::{self, Display, Formatter};

mod body;
mod nest;

pub use body::{BodyError, Fault, Misplaced, body};
pub use nest::{KernelError, KernelFault, kernel};

/// A place in a body or kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The position in the list, then in the loop or branch at that position, and so on.
    pub path: Vec<usize>,
    /// The line there.
    pub text: String,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str("head");
        }
        f.write_str("at ")?;
        for (depth, position) in self.path.iter().enumerate() {
            write!(f, "{}{position}", if depth == 0 { "" } else { "." })?;
        }
        write!(f, " `{}`", self.text)
    }
}

impl Place {
    /// Before the first line.
    pub(super) fn head() -> Place {
        Place {
            path: Vec::new(),
            text: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
