//! From text to a syntax tree.
//!
//! [`parse`] first scans the text in one linear pass (brackets, strings, comments, limits), then runs the grammar of
//! `grammar/net.pest`, then builds the [`ast`] and rejects with readable messages what the grammar is too wide for.
//! Nothing here knows what a layer is or which names exist.
//!
//! A text with errors has no tree, but what could be read of it is kept for whoever looks for further errors.

pub mod ast;
pub mod fmt;
mod limits;
mod parse;
pub mod print;
mod scan;

use std::ops::Range;

use crate::diag::{Diagnostic, FileId, Files, Span, codes};
pub use ast::Ast;
pub(crate) use limits::MAX_BYTES;
use scan::Scan;

/// What became of a text.
#[derive(Debug)]
pub struct Parsed {
    /// The tree; there is none if a diagnostic is an error.
    pub ast: Option<Ast>,
    /// What could be read of a text with errors: good for finding more of them, and for nothing else.
    pub recovered: Option<Ast>,
    /// Everything worth saying, in source order.
    pub diagnostics: Vec<Diagnostic>,
    /// The comments, in order, for tools that lay the text out again.
    pub comments: Vec<Span>,
}

/// Parses the text of a file.
#[must_use]
pub fn parse(file: FileId, text: &str) -> Parsed {
    let scan = scan::scan(file, text);
    let comments = scan
        .comments
        .iter()
        .map(|range| Span::new(file, range.clone()))
        .collect();
    let (parsed, mut diagnostics) = match scan {
        Scan { hopeless: true, .. } => (Err(None), Vec::new()),
        _ => parse::parse(file, text, &scan),
    };
    diagnostics.extend(scan.errors);
    crate::diag::sort(&mut diagnostics);
    let (ast, recovered) = match parsed {
        Ok(ast) => (Some(ast), None),
        Err(recovered) => (None, recovered),
    };
    Parsed {
        ast,
        recovered,
        diagnostics,
        comments,
    }
}

/// Parses an expression that stands alone, or several with commas, from `start` to the end of the text.
///
/// # Errors
///
/// The text is no expression.
pub(crate) fn parse_values(
    file: FileId,
    text: &str,
    start: usize,
) -> Result<Vec<ast::Expr>, Vec<Diagnostic>> {
    let scan = scan::scan(file, text);
    if !scan.errors.is_empty() {
        return Err(scan.errors);
    }
    parse::parse_values(file, text, start, &scan)
}

/// Takes the bytes of a file in as text.
///
/// # Errors
///
/// Files that are not UTF-8 are taken in as far as they can be shown, and the diagnostic says where they go wrong.
pub fn read(files: &mut Files, name: &str, bytes: &[u8]) -> Result<FileId, Box<Diagnostic>> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(files.add(name, text)),
        Err(error) => error,
    };
    // Only the part up to the first bad byte is shown, so a huge file of another kind costs nothing.
    let good = error.valid_up_to();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(good + 1)]).into_owned();
    let file = files.add(name, shown);
    let utf16 = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    let message = if utf16 {
        "the file is UTF-16 text, not UTF-8"
    } else {
        "the file is not UTF-8 text"
    };
    let place: Range<usize> = good..good + '\u{FFFD}'.len_utf8();
    let diagnostic = Diagnostic::error(codes::NOT_UTF8, message)
        .primary(
            Span::new(file, place),
            format!("byte {} is the first that cannot be read", good + 1),
        )
        .help("save the file as UTF-8");
    Err(Box::new(diagnostic))
}

/// Words that start an item, a statement or an element, and the words of expressions; none of them can be a name.
pub(crate) const RESERVED: [&str; 29] = [
    "edition", "use", "net", "block", "fn", "preset", "train", "search", "let", "input", "output",
    "shared", "add", "concat", "mul", "max", "id", "in", "if", "else", "repeat", "for", "aux",
    "as", "and", "or", "not", "true", "false",
];
