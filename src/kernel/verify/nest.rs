//! The rules of kernels.

use thiserror::Error;

use super::{BodyError, Place};
use crate::kernel::nest::{Address, Arg, BodyId, Cond, Index, Kernel, Stmt, Var};
use crate::kernel::print;

/// A broken rule in a kernel.
#[derive(Clone, PartialEq, Debug, Error)]
#[error("kernel {kernel}: {place}: {fault}")]
pub struct KernelError {
    /// The kernel's name.
    pub kernel: String,
    /// Where it is broken.
    pub place: Place,
    /// Which rule.
    #[source]
    pub fault: KernelFault,
}

/// A rule of kernels that may be broken.
#[allow(missing_docs, reason = "each message names its fields")]
#[derive(Clone, PartialEq, Debug, Error)]
pub enum KernelFault {
    #[error(transparent)]
    Body(Box<BodyError>),
    #[error("body {body} has {found} lanes, those before it {expected}")]
    LaneCounts {
        body: BodyId,
        expected: usize,
        found: usize,
    },
    #[error("there is no body {0}")]
    NoBody(BodyId),
    #[error("there is no buffer {0}")]
    NoArg(Arg),
    #[error("there is no variable {0}")]
    NoVar(Var),
    #[error("{body} takes {expected} {what}, not {found}")]
    Arguments {
        body: BodyId,
        what: &'static str,
        expected: usize,
        found: usize,
    },
    #[error("{0} is read where it is not set")]
    Unset(Var),
    #[error("{0} is set by two statements")]
    SetTwice(Var),
    #[error("a step of {0}")]
    Step(i64),
    #[error("a division by {0}")]
    Divisor(i64),
}

/// Checks a kernel and its bodies.
pub fn kernel(kernel: &Kernel) -> Result<(), KernelError> {
    let head = |fault| KernelError {
        kernel: kernel.name.clone(),
        place: Place::head(),
        fault,
    };
    for (place, body) in kernel.bodies.iter().enumerate() {
        super::body(body).map_err(|error| head(KernelFault::Body(Box::new(error))))?;
        let expected = kernel.bodies[0].lanes;
        if body.lanes != expected {
            return Err(head(KernelFault::LaneCounts {
                body: BodyId(place as u16),
                expected,
                found: body.lanes,
            }));
        }
    }
    let mut checker = Checker {
        kernel,
        visible: vec![false; kernel.vars.into()],
        set: vec![false; kernel.vars.into()],
        path: Vec::new(),
    };
    checker.list(&kernel.stmts)
}

struct Checker<'a> {
    kernel: &'a Kernel,
    /// The variables that may be read here.
    visible: Vec<bool>,
    /// The variables that some statement before this one sets.
    set: Vec<bool>,
    path: Vec<usize>,
}

impl Checker<'_> {
    /// What a list sets can be read until the list ends.
    fn list(&mut self, stmts: &[Stmt]) -> Result<(), KernelError> {
        let before = self.visible.clone();
        for (position, stmt) in stmts.iter().enumerate() {
            self.path.push(position);
            self.statement(stmt).map_err(|fault| KernelError {
                kernel: self.kernel.name.clone(),
                place: Place {
                    path: self.path.clone(),
                    text: print::stmt_head(stmt).to_string(),
                },
                fault,
            })?;
            match stmt {
                Stmt::For { var, stmts, .. } => {
                    self.visible[var.0 as usize] = true;
                    self.list(stmts)?;
                    self.visible[var.0 as usize] = false;
                }
                Stmt::If {
                    then, otherwise, ..
                } => {
                    self.list(then)?;
                    self.list(otherwise)?;
                }
                Stmt::Let { var, .. } => self.visible[var.0 as usize] = true,
                Stmt::Call { .. } => {}
            }
            self.path.pop();
        }
        self.visible = before;
        Ok(())
    }

    /// Checks a statement but not the lists in it.
    fn statement(&mut self, stmt: &Stmt) -> Result<(), KernelFault> {
        match stmt {
            Stmt::For {
                var, lo, hi, step, ..
            } => {
                self.index(lo)?;
                self.index(hi)?;
                if *step <= 0 {
                    return Err(KernelFault::Step(*step));
                }
                self.set(*var)
            }
            Stmt::Let { var, value } => {
                self.index(value)?;
                self.set(*var)
            }
            Stmt::If { cond, .. } => {
                let (Cond::Lt(a, b) | Cond::Eq(a, b)) = cond;
                self.index(a)?;
                self.index(b)
            }
            Stmt::Call { body, ptrs, ints } => {
                let known = self.kernel.bodies.get(body.0 as usize);
                let known = known.ok_or(KernelFault::NoBody(*body))?;
                arguments(*body, "pointers", known.ptr_args.into(), ptrs.len())?;
                arguments(*body, "integers", known.int_args.into(), ints.len())?;
                for Address { arg, offset } in ptrs {
                    if arg.0 >= self.kernel.args {
                        return Err(KernelFault::NoArg(*arg));
                    }
                    self.index(offset)?;
                }
                ints.iter().try_for_each(|int| self.index(int))
            }
        }
    }

    fn set(&mut self, var: Var) -> Result<(), KernelFault> {
        let set = self.set.get_mut(var.0 as usize);
        let set = set.ok_or(KernelFault::NoVar(var))?;
        if *set {
            return Err(KernelFault::SetTwice(var));
        }
        *set = true;
        Ok(())
    }

    fn index(&self, index: &Index) -> Result<(), KernelFault> {
        match index {
            Index::Const(_) | Index::Lo | Index::Hi | Index::Batch => Ok(()),
            Index::Var(var) => match self.visible.get(var.0 as usize) {
                None => Err(KernelFault::NoVar(*var)),
                Some(false) => Err(KernelFault::Unset(*var)),
                Some(true) => Ok(()),
            },
            Index::Div(a, b) | Index::Rem(a, b) => {
                self.index(a)?;
                match **b {
                    Index::Const(divisor) if divisor <= 0 => Err(KernelFault::Divisor(divisor)),
                    _ => self.index(b),
                }
            }
            Index::Add(a, b)
            | Index::Sub(a, b)
            | Index::Mul(a, b)
            | Index::Min(a, b)
            | Index::Max(a, b) => {
                self.index(a)?;
                self.index(b)
            }
        }
    }
}

fn arguments(
    body: BodyId,
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), KernelFault> {
    if expected == found {
        return Ok(());
    }
    Err(KernelFault::Arguments {
        body,
        what,
        expected,
        found,
    })
}
