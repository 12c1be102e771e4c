//! Names and what they are bound to.
//!
//! A scope is a body; scopes are linked to the one around them, and a shared body or a nested body keeps hold of the
//! scope that it was written in.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::value::Value;
use crate::diag::Span;
use crate::ir::ValueId;

/// A scope, shared by everything written inside of it.
pub(super) type Env<'a> = Rc<Scope<'a>>;

/// The names of a body.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    names: RefCell<BTreeMap<&'a str, (Value<'a>, Span)>>,
    parent: Option<Env<'a>>,
    /// What `in` is, where this is the scope of a net or a block; the inner `None` is an error already reported.
    input: Cell<Option<Option<ValueId>>>,
}

impl<'a> Scope<'a> {
    /// The outermost scope of a function, where there is no `in`.
    pub(super) fn root() -> Env<'a> {
        Rc::new(Self {
            names: RefCell::default(),
            parent: None,
            input: Cell::new(None),
        })
    }

    /// The outermost scope of a block that a value enters.
    pub(super) fn block(input: Option<ValueId>) -> Env<'a> {
        Rc::new(Self {
            names: RefCell::default(),
            parent: None,
            input: Cell::new(Some(input)),
        })
    }

    /// A scope inside another.
    pub(super) fn inside(parent: &Env<'a>) -> Env<'a> {
        Rc::new(Self {
            names: RefCell::default(),
            parent: Some(parent.clone()),
            input: Cell::new(None),
        })
    }

    /// Binds a name; tells where it was bound in this very scope before.
    pub(super) fn bind(&self, name: &'a str, value: Value<'a>, span: Span) -> Option<Span> {
        let earlier = self.names.borrow_mut().insert(name, (value, span));
        earlier.map(|(_, span)| span)
    }

    /// Looks a name up, from the inside out.
    pub(super) fn find(&self, name: &str) -> Option<(Value<'a>, Span)> {
        let found = self.names.borrow().get(name).cloned();
        found.or_else(|| self.parent.as_ref()?.find(name))
    }

    /// What `in` is.
    pub(super) fn input(&self) -> Option<Option<ValueId>> {
        self.input.get().or_else(|| self.parent.as_ref()?.input())
    }

    /// Says what `in` is in a net, once its first input is declared.
    pub(super) fn set_input(&self, value: Option<ValueId>) {
        match &self.parent {
            Some(parent) if self.input.get().is_none() => parent.set_input(value),
            _ => self.input.set(Some(value)),
        }
    }

    /// All names that can be seen from here.
    pub(super) fn visible(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.names.borrow().keys().copied().collect();
        if let Some(parent) = &self.parent {
            names.extend(parent.visible());
        }
        names
    }
}
