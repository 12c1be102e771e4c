//! Things called by name with constant arguments, which only their readers know: data sets, picture pipelines.

use super::config::{Const, Spec, SpecArg};
use crate::diag::{Diagnostic, codes};
use crate::sema::Elab;
use crate::sema::scope::Env;
use crate::sema::value::Value;
use crate::syntax::ast::{Expr, ExprKind};

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
        Value::Layer(_) | Value::Tensor(_) | Value::Poison => return None,
    })
}
