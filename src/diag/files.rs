//! The source files of one run, and the way from byte offsets to lines and columns.

use std::ops::Range;

/// A file of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A stretch of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The stretch `range` of `file`.
    #[must_use]
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        // The scanner refuses files far below four gigabytes; a place beyond that can only be shown at the end.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            file,
            start: offset(range.start),
            end: offset(range.end),
        }
    }

    /// The stretch from the start of `self` to the end of `other`, which stands in the same file.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            file: self.file,
            start: self.start,
            end: other.end.max(self.end),
        }
    }

    /// The place right behind this stretch.
    #[must_use]
    pub fn after(self) -> Self {
        Self {
            start: self.end,
            ..self
        }
    }

    /// The place right before this stretch.
    #[must_use]
    pub fn before(self) -> Self {
        Self {
            end: self.start,
            ..self
        }
    }

    /// The stretch as a range of bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A place as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1; a byte-order mark does not count.
    pub column: usize,
}

/// The files of one run.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    name: String,
    text: String,
    /// Offsets of the first byte of every line.
    lines: Vec<usize>,
}

/// The mark some editors write at the start of a UTF-8 file.
pub(crate) const BOM: char = '\u{FEFF}';

impl Files {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a file in; `name` is what messages call it.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|&(_, byte)| byte == b'\n')
            .map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        let id =
            FileId(u32::try_from(self.files.len()).expect("a run reads fewer than 2^32 files"));
        self.files.push(File {
            name: name.into(),
            text,
            lines,
        });
        id
    }

    /// What messages call the file.
    #[must_use]
    pub fn name(&self, file: FileId) -> &str {
        &self.file(file).name
    }

    /// The text of the file, byte-order mark included.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        &self.file(file).text
    }

    /// The text under a span; empty where the span does not fit the file.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.range()).unwrap_or_default()
    }

    /// Line and column of a byte offset; offsets beyond the end or inside a character are moved back.
    #[must_use]
    pub fn location(&self, file: FileId, offset: u32) -> Location {
        let file = self.file(file);
        let offset = floor_char_boundary(&file.text, offset as usize);
        let line = file.lines.partition_point(|&start| start <= offset) - 1;
        let before = &file.text[file.lines[line]..offset];
        Location {
            line: line + 1,
            column: before.chars().filter(|&c| c != BOM).count() + 1,
        }
    }

    /// The byte range of a line counted from 1, without its line break.
    pub(crate) fn line_range(&self, file: FileId, line: usize) -> Range<usize> {
        let file = self.file(file);
        let start = file.lines.get(line - 1).copied().unwrap_or(file.text.len());
        let end = file
            .lines
            .get(line)
            .map_or(file.text.len(), |&next| next - 1);
        let end = if file.text[start..end].ends_with('\r') {
            end - 1
        } else {
            end
        };
        start..end
    }

    fn file(&self, file: FileId) -> &File {
        &self.files[file.0 as usize]
    }
}

/// The largest character boundary that is not after `at`.
pub(crate) fn floor_char_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_no_byte_order_mark() {
        let mut files = Files::new();
        let text = "\u{FEFF}aé日\tx\r\nsecond\r\n";
        let file = files.add("a.net", text);
        let at = |needle: &str| text.find(needle).expect("needle stands in text") as u32;
        assert_eq!(
            files.location(file, at("x")),
            Location { line: 1, column: 5 }
        );
        assert_eq!(
            files.location(file, at("second")),
            Location { line: 2, column: 1 }
        );
        assert_eq!(
            files.location(file, u32::MAX),
            Location { line: 3, column: 1 }
        );
        assert_eq!(&text[files.line_range(file, 1)], "\u{FEFF}aé日\tx");
    }
}
