//! Kernels.

use std::ops::Range;

use super::{EvalError, EvalFault, Pointer};
use crate::kernel::nest::{Address, Cond, Index, Kernel, Stmt};
use crate::kernel::print;
use crate::kernel::verify::{self, Place};

/// Runs the part `domain` of a kernel's parallel domain on a batch of `batch` images.
pub fn kernel(
    kernel: &Kernel,
    buffers: &mut [Vec<u8>],
    domain: Range<i64>,
    batch: i64,
) -> Result<(), EvalError> {
    verify::kernel(kernel).map_err(Box::new)?;
    if buffers.len() != usize::from(kernel.args) {
        return Err(EvalError::Fault {
            name: kernel.name.clone(),
            place: Place::head(),
            fault: EvalFault::Arguments {
                what: "buffers",
                expected: kernel.args.into(),
                found: buffers.len(),
            },
        });
    }
    let mut run = Run {
        kernel,
        buffers,
        domain,
        batch,
        vars: vec![0; kernel.vars.into()],
        path: Vec::new(),
    };
    run.list(&kernel.stmts)
}

struct Run<'a> {
    kernel: &'a Kernel,
    buffers: &'a mut [Vec<u8>],
    domain: Range<i64>,
    batch: i64,
    vars: Vec<i64>,
    path: Vec<usize>,
}

impl Run<'_> {
    fn list(&mut self, stmts: &[Stmt]) -> Result<(), EvalError> {
        for (position, stmt) in stmts.iter().enumerate() {
            self.path.push(position);
            match stmt {
                Stmt::For {
                    var,
                    lo,
                    hi,
                    step,
                    stmts,
                } => {
                    let (mut value, hi) = (self.index(stmt, lo)?, self.index(stmt, hi)?);
                    while value < hi {
                        self.vars[usize::from(var.0)] = value;
                        self.list(stmts)?;
                        let next = value.checked_add(*step);
                        value = next.ok_or_else(|| self.error(stmt, EvalFault::Overflow))?;
                    }
                }
                Stmt::Let { var, value } => {
                    self.vars[usize::from(var.0)] = self.index(stmt, value)?;
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let holds = match cond {
                        Cond::Lt(a, b) => self.index(stmt, a)? < self.index(stmt, b)?,
                        Cond::Eq(a, b) => self.index(stmt, a)? == self.index(stmt, b)?,
                    };
                    self.list(if holds { then } else { otherwise })?;
                }
                Stmt::Call { body, ptrs, ints } => {
                    let address = |Address { arg, offset }: &Address| {
                        Ok(Pointer {
                            buffer: arg.0.into(),
                            offset: self.index(stmt, offset)?,
                        })
                    };
                    let ptrs: Vec<Pointer> =
                        ptrs.iter().map(address).collect::<Result<_, EvalError>>()?;
                    let ints: Vec<i64> = ints
                        .iter()
                        .map(|int| self.index(stmt, int))
                        .collect::<Result<_, EvalError>>()?;
                    let body = &self.kernel.bodies[usize::from(body.0)];
                    super::body::run_verified(body, self.buffers, &ptrs, &ints)?;
                }
            }
            self.path.pop();
        }
        Ok(())
    }

    fn index(&self, stmt: &Stmt, index: &Index) -> Result<i64, EvalError> {
        self.value(index).map_err(|fault| self.error(stmt, fault))
    }

    fn value(&self, index: &Index) -> Result<i64, EvalFault> {
        let both = |a: &Index, b: &Index| Ok((self.value(a)?, self.value(b)?));
        let checked = |value: Option<i64>| value.ok_or(EvalFault::Overflow);
        match index {
            Index::Const(value) => Ok(*value),
            Index::Var(var) => Ok(self.vars[usize::from(var.0)]),
            Index::Lo => Ok(self.domain.start),
            Index::Hi => Ok(self.domain.end),
            Index::Batch => Ok(self.batch),
            Index::Add(a, b) => both(a, b).and_then(|(a, b)| checked(a.checked_add(b))),
            Index::Sub(a, b) => both(a, b).and_then(|(a, b)| checked(a.checked_sub(b))),
            Index::Mul(a, b) => both(a, b).and_then(|(a, b)| checked(a.checked_mul(b))),
            Index::Div(a, b) => both(a, b).and_then(divisible).map(|(a, b)| a / b),
            Index::Rem(a, b) => both(a, b).and_then(divisible).map(|(a, b)| a % b),
            Index::Min(a, b) => both(a, b).map(|(a, b)| a.min(b)),
            Index::Max(a, b) => both(a, b).map(|(a, b)| a.max(b)),
        }
    }

    fn error(&self, stmt: &Stmt, fault: EvalFault) -> EvalError {
        EvalError::Fault {
            name: self.kernel.name.clone(),
            place: Place {
                path: self.path.clone(),
                text: print::stmt_head(stmt).to_string(),
            },
            fault,
        }
    }
}

fn divisible((a, b): (i64, i64)) -> Result<(i64, i64), EvalFault> {
    if a >= 0 && b > 0 {
        Ok((a, b))
    } else {
        Err(EvalFault::Division(a, b))
    }
}
