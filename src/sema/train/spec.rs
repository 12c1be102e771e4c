//! Things called by name with constant arguments, which only their readers know: data sets, picture pipelines.

use std::fmt;

use super::lines::Line;
use crate::diag::{Diagnostic, Span, codes};
use crate::sema::Elab;
use crate::sema::scope::Env;
use crate::sema::value::Value;
use crate::syntax::ast::{Expr, ExprKind};

/// Something called by name with constant arguments, for whoever knows the name: a data set, a way to read pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// What is called.
    pub name: String,
    /// The arguments, as written.
    pub args: Vec<SpecArg>,
    /// The place.
    pub span: Span,
}

/// An argument of a [`Spec`].
#[derive(Clone, Debug, PartialEq)]
pub struct SpecArg {
    /// Its name, if it was given by name.
    pub name: Option<String>,
    /// Its value.
    pub value: Const,
    /// The place.
    pub span: Span,
}

/// A constant outside of the net.
#[derive(Clone, Debug, PartialEq)]
pub enum Const {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Str(String),
    /// A bare word.
    Word(String),
    /// A list or a tuple.
    List(Vec<Const>),
}

impl Spec {
    /// The argument of that name, or at that position.
    #[must_use]
    pub fn arg(&self, name: &str, position: usize) -> Option<&SpecArg> {
        let named = self
            .args
            .iter()
            .find(|arg| arg.name.as_deref() == Some(name));
        named.or_else(|| self.args.get(position).filter(|arg| arg.name.is_none()))
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.args.is_empty() {
            return Ok(());
        }
        let args = self.args.iter().map(|arg| match &arg.name {
            Some(name) => format!("{name} = {}", arg.value),
            None => arg.value.to_string(),
        });
        write!(f, "({})", args.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Const {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Str(text) => write!(f, "{text:?}"),
            Self::Word(word) => f.write_str(word),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

impl<'a> Elab<'a> {
    /// Something called by name with constant arguments.
    pub(in crate::sema) fn spec(&mut self, env: &Env<'a>, expr: &'a Expr) -> Option<Spec> {
        let (name, args) = match &expr.kind {
            ExprKind::Name(name) => (name, None),
            ExprKind::Call(call) => (&call.name.text, call.args.as_ref()),
            _ => {
                let diagnostic =
                    Diagnostic::error(codes::BAD_VALUE, "something with a name is expected here");
                self.report(diagnostic.primary(expr.span, ""));
                return None;
            }
        };
        let mut spec = Spec {
            name: name.clone(),
            args: Vec::new(),
            span: expr.span,
        };
        for arg in args.map(|args| args.list.as_slice()).unwrap_or_default() {
            let named = arg.name.as_ref().map(|name| name.text.clone());
            if named.is_some()
                && let Some(earlier) = spec.args.iter().find(|other| other.name == named)
            {
                let message = format!("`{}` is given twice", named.unwrap_or_default());
                let diagnostic = Diagnostic::error(codes::DUPLICATE_ARGUMENT, message)
                    .primary(arg.span, "second time");
                self.report(diagnostic.secondary(earlier.span, "first time"));
                continue;
            }
            let value = self.constant(env, &arg.value)?;
            spec.args.push(SpecArg {
                name: named,
                value,
                span: arg.span,
            });
        }
        Some(spec)
    }

    /// `data`: the spec of its line, with the arguments that overrides set.
    pub(super) fn data(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Spec> {
        let expr = self.value(line)?;
        let mut spec = self.spec(env, expr)?;
        for (name, value) in &line.set {
            spec.args
                .retain(|arg| arg.name.as_ref() != Some(&name.text));
            let value = self.constant(env, value)?;
            spec.args.push(SpecArg {
                name: Some(name.text.clone()),
                value,
                span: name.span,
            });
        }
        Some(spec)
    }

    /// A constant; a name that is bound to nothing is a word.
    pub(super) fn constant(&mut self, env: &Env<'a>, expr: &'a Expr) -> Option<Const> {
        if let ExprKind::Name(word) = &expr.kind
            && env.find(word).is_none()
        {
            return Some(Const::Word(word.clone()));
        }
        let value = self.eval(env, expr);
        let constant = constant(&value);
        if constant.is_none() {
            self.wrong_kind(&value, "this", "a constant", expr.span);
        }
        constant
    }
}

fn constant(value: &Value<'_>) -> Option<Const> {
    Some(match value {
        Value::Int(value) => Const::Int(*value),
        Value::Float(value, _) => Const::Float(*value),
        Value::Bool(value) => Const::Bool(*value),
        Value::Str(text) => Const::Str((**text).to_owned()),
        Value::Word(word) => Const::Word((**word).to_owned()),
        Value::List(items) | Value::Tuple(items) => {
            Const::List(items.iter().map(constant).collect::<Option<_>>()?)
        }
        Value::Layer(_) | Value::Init(_) | Value::Tensor(_) | Value::Poison => return None,
    })
}
