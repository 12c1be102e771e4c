//! Loop nests: the scalar half of a kernel.
//!
//! A kernel is compiled to `extern "C" fn(args: *const *mut u8, lo: i64, hi: i64, n: i64)`: `args`
//! points to the addresses of its buffers, `lo..hi` is the part of its parallel domain that this
//! call covers, `n` is the number of images in the batch. Splitting the domain is the runtime's
//! work; a kernel knows nothing of threads.

use super::body::Body;

/// A buffer argument of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Arg(pub u16);

/// A body of the same kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BodyId(pub u16);

/// An integer variable, set by one loop or one `Let` of its kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Var(pub u16);

/// An integer expression. All are 64 bits wide; the operands of `Div` and `Rem` are not negative.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Index {
    /// A constant.
    Const(i64),
    /// A variable.
    Var(Var),
    /// The first unit of the domain that this call covers.
    Lo,
    /// The unit after the last.
    Hi,
    /// The number of images in the batch.
    Batch,
    /// Sum.
    Add(Box<Index>, Box<Index>),
    /// Difference.
    Sub(Box<Index>, Box<Index>),
    /// Product.
    Mul(Box<Index>, Box<Index>),
    /// Quotient, rounded down.
    Div(Box<Index>, Box<Index>),
    /// Remainder.
    Rem(Box<Index>, Box<Index>),
    /// The lesser.
    Min(Box<Index>, Box<Index>),
    /// The greater.
    Max(Box<Index>, Box<Index>),
}

/// A comparison of two integers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Cond {
    /// a < b
    Lt(Index, Index),
    /// a = b
    Eq(Index, Index),
}

/// A place in a buffer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    /// The buffer.
    pub arg: Arg,
    /// The offset in bytes.
    pub offset: Index,
}

/// A step of a nest.
#[allow(missing_docs, reason = "each variant's sentence names its fields")]
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Stmt {
    /// `for var in (lo..hi).step_by(step)`; the bounds are evaluated once, the step is positive.
    For {
        var: Var,
        lo: Index,
        hi: Index,
        step: i64,
        stmts: Vec<Stmt>,
    },
    /// Sets a variable, readable in what follows of this list and inside it.
    Let { var: Var, value: Index },
    /// One of two lists.
    If {
        cond: Cond,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    /// Runs a body.
    Call {
        body: BodyId,
        ptrs: Vec<Address>,
        ints: Vec<Index>,
    },
}

/// A loop nest with its bodies.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// For dumps and profiles; unique in a program.
    pub name: String,
    /// How many buffers it takes.
    pub args: u16,
    /// How many variables it uses.
    pub vars: u16,
    /// The vector code it calls.
    pub bodies: Vec<Body>,
    /// The code.
    pub stmts: Vec<Stmt>,
}

impl From<i64> for Index {
    fn from(value: i64) -> Index {
        Index::Const(value)
    }
}

impl From<Var> for Index {
    fn from(var: Var) -> Index {
        Index::Var(var)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $variant:ident, $fold:expr, $unit:expr) => {
        impl<R: Into<Index>> std::ops::$trait<R> for Index {
            type Output = Index;
            fn $method(self, rhs: R) -> Index {
                match (self, rhs.into()) {
                    (Index::Const(a), Index::Const(b)) => Index::Const($fold(a, b)),
                    // Adding nothing and multiplying by one leave no trace in dumps or code.
                    (a, Index::Const(b)) if Some(b) == $unit => a,
                    (a, b) => Index::$variant(Box::new(a), Box::new(b)),
                }
            }
        }
    };
}
operator!(Add, add, Add, |a: i64, b: i64| a + b, Some(0));
operator!(Sub, sub, Sub, |a: i64, b: i64| a - b, Some(0));
operator!(Mul, mul, Mul, |a: i64, b: i64| a * b, Some(1));
operator!(Div, div, Div, |a: i64, b: i64| a / b, Some(1));
operator!(Rem, rem, Rem, |a: i64, b: i64| a % b, None::<i64>);

impl Index {
    /// The lesser of two.
    pub fn min(self, other: impl Into<Index>) -> Index {
        Index::Min(Box::new(self), Box::new(other.into()))
    }

    /// The greater of two.
    pub fn max(self, other: impl Into<Index>) -> Index {
        Index::Max(Box::new(self), Box::new(other.into()))
    }
}
