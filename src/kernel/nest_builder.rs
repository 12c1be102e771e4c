//! Builds kernels: loop nests and the bodies they call.

use super::body::Body;
use super::nest::{Address, Arg, BodyId, Cond, Index, Kernel, Stmt, Var};
use super::verify;

/// Builds one [`Kernel`].
#[derive(Debug)]
pub struct NestBuilder {
    vars: u16,
    bodies: Vec<Body>,
    /// The lists being filled, the kernel's own first, then those of open loops and branches.
    open: Vec<Vec<Stmt>>,
}

impl Default for NestBuilder {
    fn default() -> NestBuilder {
        NestBuilder::new()
    }
}

impl NestBuilder {
    /// Starts a kernel.
    pub fn new() -> NestBuilder {
        NestBuilder {
            vars: 0,
            bodies: Vec::new(),
            open: vec![Vec::new()],
        }
    }

    /// A variable that no loop or `let_` has set yet.
    pub fn var(&mut self) -> Var {
        self.vars += 1;
        Var(self.vars - 1)
    }

    /// Loops over `(lo..hi).step_by(step)`; `fill` gets the loop's variable.
    pub fn for_(
        &mut self,
        lo: impl Into<Index>,
        hi: impl Into<Index>,
        step: i64,
        fill: impl FnOnce(&mut Self, Index),
    ) {
        let var = self.var();
        let stmts = self.collect(|b| fill(b, var.into()));
        if !stmts.is_empty() {
            self.push(Stmt::For {
                var,
                lo: lo.into(),
                hi: hi.into(),
                step,
                stmts,
            });
        }
    }

    /// Loops over the units of the parallel domain that a call covers.
    pub fn for_domain(&mut self, fill: impl FnOnce(&mut Self, Index)) {
        self.for_(Index::Lo, Index::Hi, 1, fill);
    }

    /// Names a value, so that it is computed once. Constants and variables stay as they are.
    pub fn let_(&mut self, value: impl Into<Index>) -> Index {
        match value.into() {
            value @ (Index::Const(_) | Index::Var(_)) => value,
            value => {
                let var = self.var();
                self.push(Stmt::Let { var, value });
                var.into()
            }
        }
    }

    /// Runs what `then` adds if the condition holds.
    pub fn if_(&mut self, cond: Cond, then: impl FnOnce(&mut Self)) {
        self.if_else(cond, then, |_| {});
    }

    /// Runs what `then` adds if the condition holds, else what `otherwise` adds.
    pub fn if_else(
        &mut self,
        cond: Cond,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let then = self.collect(then);
        let otherwise = self.collect(otherwise);
        if !(then.is_empty() && otherwise.is_empty()) {
            self.push(Stmt::If {
                cond,
                then,
                otherwise,
            });
        }
    }

    /// Runs a body.
    pub fn call(
        &mut self,
        body: BodyId,
        ptrs: impl Into<Vec<Address>>,
        ints: impl Into<Vec<Index>>,
    ) {
        self.push(Stmt::Call {
            body,
            ptrs: ptrs.into(),
            ints: ints.into(),
        });
    }

    /// Adds a body, or finds the one with the same code that was added before under any name.
    pub fn add_body(&mut self, body: Body) -> BodyId {
        let place = self.bodies.iter().position(|known| same_code(known, &body));
        let place = place.unwrap_or_else(|| {
            self.bodies.push(body);
            self.bodies.len() - 1
        });
        BodyId(place as u16)
    }

    /// A body added before.
    pub fn body(&self, id: BodyId) -> &Body {
        &self.bodies[id.0 as usize]
    }

    /// The finished kernel, taking `args` buffers; checked in debug builds.
    pub fn finish(self, name: impl Into<String>, args: u16) -> Kernel {
        let kernel = self.finish_unchecked(name, args);
        if cfg!(debug_assertions)
            && let Err(error) = verify::kernel(&kernel)
        {
            panic!("{error}, in\n{kernel}");
        }
        kernel
    }

    /// The finished kernel, sound or not; the verifier's own tests need the latter.
    pub(crate) fn finish_unchecked(mut self, name: impl Into<String>, args: u16) -> Kernel {
        assert_eq!(self.open.len(), 1, "closures close every list they open");
        Kernel {
            name: name.into(),
            args,
            vars: self.vars,
            bodies: self.bodies,
            stmts: self.open.remove(0),
        }
    }

    fn collect(&mut self, fill: impl FnOnce(&mut Self)) -> Vec<Stmt> {
        self.open.push(Vec::new());
        fill(self);
        self.open.pop().expect("the list pushed above")
    }

    fn push(&mut self, stmt: Stmt) {
        self.open
            .last_mut()
            .expect("the kernel's own list is always open")
            .push(stmt);
    }
}

impl Arg {
    /// The place so many bytes into the buffer.
    pub fn at(self, offset: impl Into<Index>) -> Address {
        Address {
            arg: self,
            offset: offset.into(),
        }
    }
}

/// Whether two bodies differ in nothing but their names.
fn same_code(a: &Body, b: &Body) -> bool {
    let shape = |body: &Body| (body.lanes, body.ptr_args, body.ptrs, body.int_args);
    shape(a) == shape(b) && a.regs == b.regs && a.items == b.items
}

#[cfg(test)]
mod tests {
    use super::super::builder::BodyBuilder;
    use super::*;

    fn constant(name: &str, value: f32) -> Body {
        let mut b = BodyBuilder::new(name, 4);
        b.const_f(value);
        b.finish()
    }

    #[test]
    fn equal_bodies_are_shared_whatever_their_names() {
        let mut b = NestBuilder::new();
        let one = b.add_body(constant("one", 1.0));
        let two = b.add_body(constant("two", 2.0));
        assert_ne!(one, two);
        assert_eq!(b.add_body(constant("again", 1.0)), one);
        assert_eq!(b.finish("k", 0).bodies.len(), 2);
    }

    #[test]
    fn zeros_of_different_sign_are_different_code() {
        let mut b = NestBuilder::new();
        let plus = b.add_body(constant("plus", 0.0));
        assert_ne!(b.add_body(constant("minus", -0.0)), plus);
    }

    #[test]
    fn empty_loops_and_branches_leave_no_trace() {
        let mut b = NestBuilder::new();
        b.for_(0, 4, 1, |b, _| {
            b.if_(Cond::Eq(Index::Batch, 1.into()), |_| {})
        });
        assert!(b.finish("k", 0).stmts.is_empty());
    }
}
