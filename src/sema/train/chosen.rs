//! What readers of keys share: the value of a line, the word that was chosen, its arguments.

use super::lines::Line;
use crate::diag::{Diagnostic, Span, codes};
use crate::sema::Elab;
use crate::sema::attrs::{Attrs, Bounds};
use crate::sema::layers::Layer;
use crate::sema::report::{quoted, suggest};
use crate::sema::scope::Env;
use crate::sema::value::{EvArg, Value};
use crate::syntax::ast::{Args, Expr, ExprKind};

/// A word with its arguments, as an optimizer or a schedule is written.
pub(super) struct Chosen<'a> {
    pub name: &'a str,
    pub name_span: Span,
    pub args: Option<&'a Args>,
}

impl Chosen<'_> {
    /// The word with its arguments.
    pub(super) fn span(&self) -> Span {
        let name = self.name_span;
        self.args.map_or(name, |args| name.to(args.span))
    }
}

/// How something with arguments is written.
pub(super) fn call(name: &str, args: &[(&str, String)]) -> String {
    let args = args.iter().map(|(name, value)| format!("{name} = {value}"));
    format!("{name}({})", args.collect::<Vec<_>>().join(", "))
}

/// A number as it would be written: with an exponent where the digits alone are hard to count.
pub(super) fn figure(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-3..1e9).contains(&size) {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

impl<'a> Elab<'a> {
    /// The values of a line that takes several, each as a line of its own, without what overrides set.
    pub(super) fn parts(&mut self, line: &Line<'a>) -> Vec<Line<'a>> {
        let mut values = line.values.clone();
        for arg in line
            .args
            .map(|args| args.list.as_slice())
            .unwrap_or_default()
        {
            if let Some(name) = &arg.name {
                let message = format!("`{}` has no argument `{}`", line.key.text, name.text);
                self.report(
                    Diagnostic::error(codes::UNKNOWN_ARGUMENT, message).primary(arg.span, ""),
                );
            }
            values.push(&arg.value);
        }
        let item = |value: &'a Expr| Line {
            key: line.key,
            target: line.target,
            values: vec![value],
            args: None,
            set: Vec::new(),
            span: value.span,
        };
        values.into_iter().map(item).collect()
    }

    /// The only value of a line.
    pub(super) fn value(&mut self, line: &Line<'a>) -> Option<&'a Expr> {
        if let ([value], None) = (line.values.as_slice(), line.args) {
            return Some(value);
        }
        // `batch (64)` reads as arguments, and means the value.
        if let Some([arg]) = line.args.map(|args| args.list.as_slice())
            && arg.name.is_none()
        {
            return Some(&arg.value);
        }
        let message = format!("`{}` takes one value", line.key.text);
        self.report(Diagnostic::error(codes::BAD_VALUE, message).primary(line.span, ""));
        None
    }

    pub(super) fn count(
        &mut self,
        env: &Env<'a>,
        line: Option<&Line<'a>>,
        default: i64,
        bounds: Bounds,
    ) -> Option<i64> {
        let Some(line) = line else {
            return Some(default);
        };
        let expr = self.value(line)?;
        let value = self.eval(env, expr);
        self.whole(&value, &quoted(&line.key.text), bounds, expr.span)
    }

    /// The word of a line, with its arguments.
    pub(super) fn chosen(&mut self, line: &Line<'a>) -> Option<Chosen<'a>> {
        let default = match line.key.text.as_str() {
            "schedule" => Some("constant"),
            "init" => Some("fan_in"),
            _ => None,
        };
        if let Some(name) = default.filter(|_| line.is_only_set()) {
            return Some(Chosen {
                name,
                name_span: line.span,
                args: None,
            });
        }
        let expr = self.value(line)?;
        self.chosen_of(line, expr)
    }

    /// The words of a line, each with its arguments.
    pub(super) fn chosen_list(&mut self, line: &Line<'a>) -> Option<Vec<Chosen<'a>>> {
        if line.values.is_empty() {
            let message = format!("`{}` takes one value or several", line.key.text);
            self.report(Diagnostic::error(codes::BAD_VALUE, message).primary(line.span, ""));
            return None;
        }
        let read: Vec<Option<Chosen<'a>>> = line
            .values
            .iter()
            .map(|expr| self.chosen_of(line, expr))
            .collect();
        read.into_iter().collect()
    }

    pub(super) fn chosen_of(&mut self, line: &Line<'a>, expr: &'a Expr) -> Option<Chosen<'a>> {
        match &expr.kind {
            ExprKind::Name(name) => Some(Chosen {
                name,
                name_span: expr.span,
                args: None,
            }),
            ExprKind::Call(call) => Some(Chosen {
                name: &call.name.text,
                name_span: call.name.span,
                args: call.args.as_ref(),
            }),
            _ => {
                let message = format!("`{}` is set to something with a name", line.key.text);
                self.report(Diagnostic::error(codes::BAD_VALUE, message).primary(expr.span, ""));
                None
            }
        }
    }

    /// The signature of the word that was chosen.
    pub(super) fn signature(
        &mut self,
        line: &Line<'a>,
        chosen: &Chosen<'a>,
        known: &[&'static Layer],
        later: &[&str],
    ) -> Option<&'static Layer> {
        if let Some(signature) = known.iter().find(|signature| signature.name == chosen.name) {
            return Some(signature);
        }
        let key = &line.key.text;
        if later.contains(&chosen.name) {
            let message = format!("`{key} {}` is not supported yet", chosen.name);
            self.report(
                Diagnostic::error(codes::TRAIN_NOT_SUPPORTED, message)
                    .primary(chosen.name_span, ""),
            );
            return None;
        }
        let message = format!("there is no {key} `{}`", chosen.name);
        let diagnostic = Diagnostic::error(codes::BAD_VALUE, message).primary(chosen.name_span, "");
        let names = known.iter().map(|signature| signature.name);
        self.report(match suggest(chosen.name, names.clone()) {
            Some(near) => {
                diagnostic.edit(format!("did you mean `{near}`?"), chosen.name_span, near)
            }
            None => diagnostic.help(format!(
                "known are {}",
                names.map(quoted).collect::<Vec<_>>().join(", ")
            )),
        });
        None
    }

    /// The arguments of the word that was chosen, with those that overrides set.
    pub(super) fn attrs_of(
        &mut self,
        env: &Env<'a>,
        line: &Line<'a>,
        chosen: &Chosen<'a>,
        signature: &'static Layer,
    ) -> Option<Attrs<'a>> {
        let args = self.eval_args(env, chosen.args, &signature.formals());
        self.attrs_with_overrides(env, line, signature, args, chosen.span())
    }

    /// The arguments of a key that has no word: `key(…)`, or `key VALUE` for the first of them.
    pub(super) fn key_attrs(
        &mut self,
        env: &Env<'a>,
        line: &Line<'a>,
        signature: &'static Layer,
    ) -> Option<Attrs<'a>> {
        let args = match line.args {
            args @ Some(_) => self.eval_args(env, args, &signature.formals()),
            None if line.is_only_set() => Vec::new(),
            None => {
                let expr = self.value(line)?;
                let value = self.eval(env, expr);
                vec![EvArg {
                    name: None,
                    value,
                    span: expr.span,
                    value_span: expr.span,
                }]
            }
        };
        self.attrs_with_overrides(env, line, signature, args, line.span)
    }

    fn attrs_with_overrides(
        &mut self,
        env: &Env<'a>,
        line: &Line<'a>,
        signature: &'static Layer,
        mut args: Vec<EvArg<'a>>,
        span: Span,
    ) -> Option<Attrs<'a>> {
        for &(name, expr) in &line.set {
            let slot = signature
                .attrs
                .iter()
                .position(|attr| attr.name == name.text);
            let at = args
                .iter()
                .enumerate()
                .position(|(at, arg)| match arg.name {
                    Some(given) => given.text == name.text,
                    None => Some(at) == slot,
                });
            // As in a file, a bare word is the word where the argument lists it.
            let words = slot.map(|slot| signature.attrs[slot].kind.words());
            let value = match &expr.kind {
                ExprKind::Name(word)
                    if words.is_some_and(|words| words.contains(&word.as_str())) =>
                {
                    Value::Word(word.as_str().into())
                }
                _ => self.eval(env, expr),
            };
            let arg = EvArg {
                name: Some(name),
                value,
                span: name.span,
                value_span: expr.span,
            };
            match at {
                Some(at) => {
                    args[at] = EvArg {
                        name: args[at].name,
                        ..arg
                    }
                }
                None => args.push(arg),
            }
        }
        self.attrs(signature, &args, span)
    }

    pub(super) fn real(&mut self, attrs: &Attrs<'a>, name: &str, max: f64) -> Option<f64> {
        self.number_of(attrs, name, 0.0, max)
    }

    /// The number, which is not negative, unless it is 0.
    pub(super) fn not_zero(
        &mut self,
        number: f64,
        what: impl std::fmt::Display,
        span: Span,
    ) -> Option<f64> {
        if number > 0.0 {
            return Some(number);
        }
        let message = format!("{what} must be above 0, but is {number}");
        self.report(Diagnostic::error(codes::OUT_OF_RANGE, message).primary(span, ""));
        None
    }
}
