//! `clip`: how large a gradient may be.

use std::fmt;

use super::chosen::figure;
use super::lines::Line;
use super::table::choice;
use crate::diag::{Diagnostic, codes};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;

/// How large a gradient may be. What each does is said in [`crate::train::clip`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// The Euclidean norm of all gradients together is at most this.
    Norm(f64),
    /// Each element is at most this far from 0.
    Value(f64),
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Norm(limit) => write!(f, "norm({})", figure(*limit)),
            Self::Value(limit) => write!(f, "value({})", figure(*limit)),
        }
    }
}

const LIMIT: &[Attr] = &[Attr {
    name: "limit",
    kind: AttrKind::Float,
    default: Default::Required,
    positional: true,
}];
pub(super) static NORM: Layer = choice("norm", LIMIT);
pub(super) static VALUE: Layer = choice("value", LIMIT);

impl<'a> Elab<'a> {
    /// `clip norm(1)`, `clip value(0.5)`
    pub(super) fn clip(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Clip> {
        // What the command line says of a part replaces the whole: there is one limit.
        if let Some(&(name, expr)) = line.set.last() {
            let what = format!("`{}` of `clip`", name.text);
            let value = self.eval(env, expr);
            let limit = self.number_within(&value, &what, 0.0, f64::INFINITY, expr.span)?;
            let limit = self.not_zero(limit, &what, expr.span)?;
            return match name.text.as_str() {
                "norm" => Some(Clip::Norm(limit)),
                "value" => Some(Clip::Value(limit)),
                other => {
                    let message = format!("there is no clip `{other}`");
                    self.report(
                        Diagnostic::error(codes::BAD_VALUE, message)
                            .primary(name.span, "")
                            .help("known are `norm`, `value`"),
                    );
                    None
                }
            };
        }
        let chosen = self.chosen(line)?;
        let signature = self.signature(line, &chosen, &[&NORM, &VALUE], &[])?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        let limit = self.positive(&attrs, "limit")?;
        Some(match signature.name {
            "norm" => Clip::Norm(limit),
            _ => Clip::Value(limit),
        })
    }
}
