//! One layout for all files.
//!
//! The grammar's own tree (`tree`) is turned into text with possible line breaks (`build`), and those are chosen so
//! that lines fit (`doc`). Words, numbers and strings stay as they were written; only blanks, line ends, semicolons and
//! the comma behind a last item change. The rules:
//!
//! - Lines have at most 100 characters where the language lets them end before; a level is four blanks further in.
//! - A body that was written on one line stays on it if it fits; otherwise each statement has a line of its own.
//! - Arguments, lists and tuples stand on one line if they fit, otherwise one a line with a comma behind each.
//! - A chain that does not fit goes on in a new line that begins with an arrow. Lines that its author began with an arrow
//!   stay.
//! - Asserted shapes of neighbouring lines stand under one another, and so do comments behind neighbouring lines.
//! - One empty line is kept of several; none is kept at the start and the end of a body.
//! - Comments keep their order and their place among the words.
//! - The result is UTF-8 without a byte-order mark, lines end with a line feed, and so does the file.

mod build;
mod doc;
mod tree;

use super::limits::MAX_BYTES;
use super::{Parsed, parse, print};
use crate::diag::{Diagnostic, FileId, Span, codes};

/// The text in the one layout.
///
/// Laying the result out again changes nothing, and it has the same tree and the same comments in the same order.
///
/// # Errors
///
/// The text does not parse, or would be longer than a file may be; the diagnostics say so.
///
/// # Panics
///
/// If the result would mean something else, which is a bug.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(file, text);
    let Some(ast) = &parsed.ast else {
        return Err(parsed.diagnostics);
    };
    let source = text
        .strip_prefix('\u{FEFF}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    let scan = super::scan::scan(file, &source);
    let pairs = super::parse::pairs(&source).expect("the same text has just been parsed");
    let tree = tree::tree(&source, pairs, &scan.comments);
    let result = doc::layout(&build::build(tree));

    // The tree of one text is gone before that of the other is made.
    let (tree_before, comments_before) = (print::print(ast), comments(&parsed, text));
    drop(parsed);
    if result.len() > MAX_BYTES {
        return Err(vec![too_long(file, result.len())]);
    }
    let again = parse(file, &result);
    let same_tree = again.ast.as_ref().map(print::print) == Some(tree_before);
    let same_comments = comments_before == comments(&again, &result);
    assert!(
        same_tree && same_comments,
        "a new layout must not change what a file says:\n{result}"
    );
    Ok(result)
}

/// Lines of their own and levels of blanks can make a file longer than may be read.
fn too_long(file: FileId, bytes: usize) -> Diagnostic {
    let message =
        format!("laid out, the file would have {bytes} bytes; at most {MAX_BYTES} are read");
    Diagnostic::error(codes::TOO_LARGE, message)
        .primary(Span::new(file, 0..0), "")
        .help("move a part of it into a file of its own, and `use` that")
}

/// The comments of a text in order, without what a layout may change of them.
fn comments(parsed: &Parsed, text: &str) -> Vec<String> {
    let clean = |comment: &str| comment.trim_end().replace("\r\n", "\n");
    parsed
        .comments
        .iter()
        .map(|span| clean(&text[span.range()]))
        .collect()
}
