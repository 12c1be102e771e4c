//! Diagnostics for people: the source lines that matter, with their labels underneath.

use std::ops::Range;

use annotate_snippets as snippets;
use annotate_snippets::{AnnotationKind, Element, Level, Snippet};

use super::files::{BOM, floor_char_boundary};
use super::{Diagnostic, FileId, Files, Label, Severity};

/// Turns a diagnostic into text.
pub trait Renderer {
    /// The text for one diagnostic, without a line break at its end.
    fn render(&self, diagnostic: &Diagnostic, files: &Files) -> String;
}

/// Text for a terminal, laid out as rustc does it.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether to write colour escapes.
    pub color: bool,
}

impl Renderer for Terminal {
    fn render(&self, diagnostic: &Diagnostic, files: &Files) -> String {
        let renderer = if self.color {
            snippets::Renderer::styled()
        } else {
            snippets::Renderer::plain()
        }
        .term_width(140);
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level
            .primary_title(diagnostic.message.as_str())
            .id(diagnostic.code.id);
        let mut group = title.elements(excerpts(diagnostic, files));
        for note in &diagnostic.notes {
            // What they say needs no word in front, and the chain of block uses reads as one.
            group = group.element(Level::NOTE.no_name().message(note.as_str()));
        }
        for help in &diagnostic.help {
            group = group.element(Level::HELP.message(help.text.as_str()));
        }
        renderer.render(&[group])
    }
}

/// How much of a line is kept behind its last label; the library cuts what does not fit the terminal in front of it.
const TAIL: usize = 240;

/// One excerpt for each file that has labels, the file of the primary label first.
fn excerpts<'a>(diagnostic: &'a Diagnostic, files: &'a Files) -> Vec<Element<'a>> {
    let Some(first) = diagnostic.span() else {
        return Vec::new();
    };
    let mut order = vec![first.file];
    for label in &diagnostic.labels {
        if !order.contains(&label.span.file) {
            order.push(label.span.file);
        }
    }
    order
        .into_iter()
        .map(|file| excerpt(diagnostic, file, files))
        .collect()
}

fn excerpt<'a>(diagnostic: &'a Diagnostic, file: FileId, files: &'a Files) -> Element<'a> {
    let labels: Vec<&Label> = diagnostic
        .labels
        .iter()
        .filter(|label| label.span.file == file)
        .collect();
    let line_of = |label: &Label| files.location(file, label.span.start).line;
    let first = labels.iter().map(|label| line_of(label)).min().unwrap_or(1);
    let last = labels
        .iter()
        .map(|label| line_of(label))
        .max()
        .unwrap_or(first);
    let mut source = String::new();
    let mut annotations = Vec::new();
    for line in first..=last {
        let here: Vec<&Label> = labels
            .iter()
            .copied()
            .filter(|label| line_of(label) == line)
            .collect();
        add_line(
            &mut source,
            &mut annotations,
            &here,
            files.line_range(file, line),
            files.text(file),
        );
    }
    let snippet = Snippet::source(source)
        .line_start(first)
        .fold(true)
        .path(files.name(file))
        .annotations(annotations);
    snippet.into()
}

/// Appends one source line, cut around its labels if it is long, and the labels' places in the excerpt.
///
/// A label that goes over several lines is shown on its first line only: its start says what it is about, and brackets
/// drawn along the margin of a whole body would hide the rest.
fn add_line<'a>(
    source: &mut String,
    annotations: &mut Vec<snippets::Annotation<'a>>,
    labels: &[&'a Label],
    line: Range<usize>,
    text: &str,
) {
    let mark = if text[line.clone()].starts_with(BOM) {
        BOM.len_utf8()
    } else {
        0
    };
    let line = line.start + mark..line.end;
    let window = window(labels, line.clone(), text);
    let base = source.len();
    source.push_str(&text[window.clone()]);
    let place = |at: u32| {
        base + floor_char_boundary(text, at as usize).clamp(window.start, window.end) - window.start
    };
    for label in labels {
        let kind = if label.primary {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let annotation = kind.span(place(label.span.start)..place(label.span.end));
        let words = (!label.text.is_empty()).then_some(label.text.as_str());
        annotations.push(annotation.label(words));
    }
    if window.end < line.end {
        source.push_str(" ...");
    }
    source.push('\n');
}

/// The part of a line that is handed on.
fn window(labels: &[&Label], line: Range<usize>, text: &str) -> Range<usize> {
    let last = labels.iter().map(|label| label.span.start as usize).max();
    let keep = last.unwrap_or(line.start) + TAIL;
    line.start..floor_char_boundary(text, keep).min(line.end)
}
