//! What the compiler has to say to the person who wrote the file.
//!
//! Every phase produces [`Diagnostic`] values, never formatted text: a stable [`Code`], a message, labelled [`Span`]s,
//! notes, and [`Help`] that may carry an edit. Turning them into text for a terminal is the job of a [`Renderer`]; tools
//! read the same content through [`json`]. This module knows nothing about syntax trees, graphs or layers.

pub mod codes;
mod files;
pub mod json;
mod render;
mod suggest;

pub use codes::Code;
pub(crate) use files::BOM;
pub use files::{FileId, Files, Location, Span};
pub use render::{Renderer, Terminal};
pub(crate) use suggest::suggest;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program means something, but probably not what its author wanted.
    Warning,
    /// The program has no meaning.
    Error,
}

/// One finding about a source file.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Whether the program can be used nevertheless.
    pub severity: Severity,
    /// The stable code that `netc explain` takes.
    pub code: Code,
    /// One line: what is wrong.
    pub message: String,
    /// The places that matter; the primary one first.
    pub labels: Vec<Label>,
    /// Facts that led to the finding: arithmetic, the chain of block uses.
    pub notes: Vec<String>,
    /// What the author can do about it.
    pub help: Vec<Help>,
}

/// A place in a source file, with the text that stands under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to say about it; may be empty.
    pub text: String,
    /// Whether this is where the finding is reported.
    pub primary: bool,
}

/// A way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Help {
    /// The suggestion in words.
    pub text: String,
    /// The same suggestion as a change of the source, where it is one.
    pub edit: Option<Edit>,
}

/// A change of the source that a tool can apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// What to replace; empty for an insertion.
    pub span: Span,
    /// What to put there.
    pub replacement: String,
}

impl Help {
    /// A suggestion in words.
    #[must_use]
    pub fn words(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            edit: None,
        }
    }

    /// A suggestion that a tool can apply.
    #[must_use]
    pub fn edit(text: impl Into<String>, span: Span, replacement: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            edit: Some(Edit {
                span,
                replacement: replacement.into(),
            }),
        }
    }
}

impl Diagnostic {
    /// A finding that makes the program unusable.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A finding that the program survives.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Adds the place where the finding is reported.
    #[must_use]
    pub fn primary(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
            primary: true,
        });
        self
    }

    /// Adds a place that explains the finding.
    #[must_use]
    pub fn secondary(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
            primary: false,
        });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds a suggestion in words.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(Help::words(text));
        self
    }

    /// Adds a suggestion that a tool can apply.
    #[must_use]
    pub fn edit(
        mut self,
        text: impl Into<String>,
        span: Span,
        replacement: impl Into<String>,
    ) -> Self {
        self.help.push(Help::edit(text, span, replacement));
        self
    }

    /// Whether this finding makes the program unusable.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where the finding is reported: its first primary label, or else its first label.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.labels
            .iter()
            .find(|label| label.primary)
            .or_else(|| self.labels.first())
            .map(|label| label.span)
    }
}

/// The text of a file after an edit.
#[must_use]
pub fn apply(text: &str, edit: &Edit) -> String {
    let range = edit.span.range();
    let (start, end) = (
        files::floor_char_boundary(text, range.start),
        files::floor_char_boundary(text, range.end),
    );
    format!("{}{}{}", &text[..start], edit.replacement, &text[end..])
}

/// Orders findings as a reader meets their places: by file, then by position, errors before warnings at one place.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|d| {
        let place = d.span().map(|span| (span.file, span.start));
        (place, d.severity == Severity::Warning)
    });
}
