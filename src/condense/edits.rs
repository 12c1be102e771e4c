//! Texts with edits: pieces of sources, put together anew.

use crate::diag::{Files, Span};

/// A text in the place of another.
#[derive(Clone, Debug)]
struct Edit {
    place: Span,
    text: String,
}

/// Edits of the files of a program.
#[derive(Debug)]
pub(super) struct Edits<'f> {
    files: &'f Files,
    edits: Vec<Edit>,
}

impl<'f> Edits<'f> {
    pub(super) fn new(files: &'f Files) -> Edits<'f> {
        Edits {
            files,
            edits: Vec::new(),
        }
    }

    pub(super) fn slice(&self, place: Span) -> &'f str {
        self.files.slice(place)
    }

    pub(super) fn replace(&mut self, place: Span, text: impl Into<String>) {
        let text = text.into();
        self.edits.push(Edit { place, text });
    }

    pub(super) fn insert(&mut self, after: Span, text: impl Into<String>) {
        self.replace(after.after(), text);
    }

    /// Takes an item out of a list with commas, the comments in front of it with it. `before` is the item in front.
    pub(super) fn remove_item(&mut self, item: Span, before: Option<Span>) {
        let place = match before {
            Some(before) => Span {
                start: before.end,
                ..item
            },
            None => {
                let behind = &self.files.text(item.file)[item.end as usize..];
                let comma = behind.find(|c: char| !c.is_whitespace());
                let comma = comma.filter(|&at| behind[at..].starts_with(','));
                let comma = comma.and_then(|at| u32::try_from(at + 1).ok());
                Span {
                    end: item.end + comma.unwrap_or(0),
                    ..self.with_comments(item)
                }
            }
        };
        self.replace(place, "");
    }

    /// A place with the lines of comments right above it.
    pub(super) fn with_comments(&self, place: Span) -> Span {
        let text = &self.files.text(place.file)[..place.start as usize];
        let mut start = text.len();
        let mut above = text.trim_end_matches([' ', '\t']);
        while let Some(line_end) = above.strip_suffix('\n') {
            let line = line_end.rfind('\n').map_or(0, |at| at + 1);
            if !line_end[line..].trim_start().starts_with("//") {
                break;
            }
            start = line;
            above = &above[..line];
        }
        Span {
            start: u32::try_from(start).unwrap_or(place.start),
            ..place
        }
    }

    /// Whether nothing is edited.
    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text of a place with the edits inside of it. Of edits that meet, the first wins.
    pub(super) fn text(&self, place: Span) -> String {
        let inside = |edit: &&Edit| {
            edit.place.file == place.file
                && place.start <= edit.place.start
                && edit.place.end <= place.end
        };
        let mut edits: Vec<&Edit> = self.edits.iter().filter(inside).collect();
        edits.sort_by_key(|edit| edit.place.start);
        let source = self.files.text(place.file);
        let mut text = String::new();
        let mut at = place.start;
        for edit in edits {
            if edit.place.start < at {
                continue;
            }
            text.push_str(&source[at as usize..edit.place.start as usize]);
            text.push_str(&edit.text);
            at = edit.place.end;
        }
        text.push_str(&source[at as usize..place.end as usize]);
        text
    }
}
