//! Values that the command line sets: `classes=100`, `train.epochs=3`, `train.optimizer.lr=0.01`.

use crate::diag::{Diagnostic, Files, Span, codes};
use crate::syntax::ast::{Expr, Name};

/// A path and the value it is set to.
#[derive(Clone, Debug)]
pub struct Override {
    /// The words between the dots.
    pub(super) path: Vec<Name>,
    /// The value, or several, as `augment` takes.
    pub(super) values: Vec<Expr>,
    /// The whole text.
    pub(super) span: Span,
}

/// The first word of what belongs to the training half.
const TRAIN: &str = "train";

impl Override {
    /// Reads `path=value` as it is written on the command line; messages call it `--set path=value`.
    ///
    /// # Errors
    ///
    /// The text is not of that form, or the value is no expression.
    pub fn parse(files: &mut Files, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let file = files.add("--set", text);
        let whole = Span::new(file, 0..text.len());
        let malformed = || {
            let diagnostic =
                Diagnostic::error(codes::UNKNOWN_OVERRIDE, "this does not set anything")
                    .primary(whole, "");
            vec![diagnostic.help("write it as in `classes=100` or `train.epochs=3`")]
        };
        let equals = text.find('=').ok_or_else(malformed)?;
        let mut path = Vec::new();
        let mut at = 0;
        for word in text[..equals].split('.') {
            let trimmed = word.trim();
            let start = at + (word.len() - word.trim_start().len());
            at += word.len() + 1;
            let plain = trimmed
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
            if trimmed.is_empty() || !plain {
                return Err(malformed());
            }
            path.push(Name {
                text: trimmed.to_owned(),
                span: Span::new(file, start..start + trimmed.len()),
            });
        }
        let values = crate::syntax::parse_values(file, text, equals + 1)?;
        Ok(Self {
            path,
            values,
            span: whole,
        })
    }

    /// The parameter of the net that it sets, and the place of the value; none if it belongs to the training half.
    #[must_use]
    pub fn parameter(&self) -> Option<(&str, Span)> {
        match self.path.as_slice() {
            [name] => Some((&name.text, self.place())),
            _ => None,
        }
    }

    /// The place of the value, or of all of them.
    pub(super) fn place(&self) -> Span {
        match self.values.as_slice() {
            [first, .., last] => first.span.to(last.span),
            [only] => only.span,
            [] => self.span,
        }
    }

    /// Whether it belongs to the training half.
    pub(super) fn is_train(&self) -> bool {
        self.path.len() > 1 && self.path[0].text == TRAIN
    }
}
