//! Diagnostics for tools: the same content as the terminal shows, as data.

use serde::Serialize;

use super::{Diagnostic, Edit, Files, Severity, Span};

/// A diagnostic as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct JsonDiagnostic<'a> {
    /// The stable code.
    pub code: &'a str,
    /// `"error"` or `"warning"`.
    pub severity: &'static str,
    /// One line: what is wrong.
    pub message: &'a str,
    /// The places that matter.
    pub labels: Vec<JsonLabel<'a>>,
    /// Facts that led to the finding.
    pub notes: &'a [String],
    /// Ways out.
    pub help: Vec<JsonHelp<'a>>,
}

/// A labelled place.
#[derive(Debug, Serialize)]
pub struct JsonLabel<'a> {
    /// The place.
    #[serde(flatten)]
    pub place: JsonPlace<'a>,
    /// What is said about it.
    pub text: &'a str,
    /// Whether the finding is reported here.
    pub primary: bool,
}

/// A stretch of a file: lines and columns count from 1, columns in characters, the end is exclusive.
#[derive(Debug, Serialize)]
pub struct JsonPlace<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line of the end.
    pub end_line: usize,
    /// Column of the end.
    pub end_column: usize,
    /// The same stretch in bytes, for tools that edit.
    pub bytes: [u32; 2],
}

/// A way out.
#[derive(Debug, Serialize)]
pub struct JsonHelp<'a> {
    /// The suggestion in words.
    pub text: &'a str,
    /// The change of the source, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<JsonEdit<'a>>,
}

/// A change of the source.
#[derive(Debug, Serialize)]
pub struct JsonEdit<'a> {
    /// What to replace.
    #[serde(flatten)]
    pub place: JsonPlace<'a>,
    /// What to put there.
    pub replacement: &'a str,
}

impl<'a> JsonDiagnostic<'a> {
    /// The tool-readable form of a diagnostic.
    #[must_use]
    pub fn new(diagnostic: &'a Diagnostic, files: &'a Files) -> Self {
        let labels = diagnostic.labels.iter().map(|label| JsonLabel {
            place: place(label.span, files),
            text: &label.text,
            primary: label.primary,
        });
        let help = diagnostic.help.iter().map(|help| JsonHelp {
            text: &help.text,
            edit: help.edit.as_ref().map(|edit| edit_of(edit, files)),
        });
        Self {
            code: diagnostic.code.id,
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: &diagnostic.message,
            labels: labels.collect(),
            notes: &diagnostic.notes,
            help: help.collect(),
        }
    }
}

fn edit_of<'a>(edit: &'a Edit, files: &'a Files) -> JsonEdit<'a> {
    JsonEdit {
        place: place(edit.span, files),
        replacement: &edit.replacement,
    }
}

fn place(span: Span, files: &Files) -> JsonPlace<'_> {
    let start = files.location(span.file, span.start);
    let end = files.location(span.file, span.end);
    JsonPlace {
        file: files.name(span.file),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        bytes: [span.start, span.end],
    }
}
