//! How findings become diagnostics: places, both shapes, the arithmetic behind each size, the chain of block uses.

use super::Elab;
use super::limits::MAX_ERRORS;
use crate::diag::{Code, Diagnostic, Span, codes};
use crate::ir::ValueId;
use crate::ops::ShapeError;
use crate::ops::window::{Window, WindowError};

/// A block that is being expanded.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// Its name.
    pub name: String,
    /// Where it is used.
    pub span: Span,
    /// The shape that entered it, if it is known.
    pub input: Option<Vec<usize>>,
}

/// What is known of a tensor beyond its type.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// The element of a chain that made it.
    pub span: Span,
    /// How its sizes came about.
    pub arithmetic: String,
    /// The pool that its height and width come from, if one does.
    pub pool: Option<PoolSite>,
}

/// A pool in a chain: it could round the other way.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolSite {
    /// Where it stands.
    pub span: Span,
    /// Its window.
    pub window: Window,
    /// The height and width that it works on.
    pub input: [usize; 2],
}

impl Fact {
    /// A tensor of which nothing is known but where it was made.
    pub(super) fn at(span: Span) -> Self {
        Self {
            span,
            arithmetic: String::new(),
            pool: None,
        }
    }
}

impl Elab<'_> {
    /// Takes a finding in, with the chain of block uses that led to it. A finding that a loop repeats is kept once.
    pub(super) fn report(&mut self, mut diagnostic: Diagnostic) {
        let place = diagnostic.span();
        let known = |other: &Diagnostic| other.code == diagnostic.code && other.span() == place;
        if self.diagnostics.iter().any(known) {
            return;
        }
        // A block that uses itself is named once.
        let mut uses: Vec<&Use> = self.uses.iter().rev().collect();
        uses.dedup_by_key(|used| used.span);
        for used in uses.into_iter().take(8) {
            diagnostic.notes.push(self.use_note(used));
        }
        self.diagnostics.push(diagnostic);
        self.stopped |= self.diagnostics.iter().filter(|d| d.is_error()).count() >= MAX_ERRORS;
    }

    fn use_note(&self, used: &Use) -> String {
        let at = self.files.location(used.span.file, used.span.start);
        let place = format!(
            "{}:{}:{}",
            self.files.name(used.span.file),
            at.line,
            at.column
        );
        let input = used
            .input
            .as_ref()
            .map(|dims| format!(" with input {dims:?}"));
        format!(
            "in `{}`, used at {place}{}",
            used.name,
            input.unwrap_or_default()
        )
    }

    /// A limit of expansion was reached; nothing more is built.
    pub(super) fn stop(&mut self, code: Code, message: String, span: Span, help: &str) {
        if !self.stopped {
            self.report(
                Diagnostic::error(code, message)
                    .primary(span, "")
                    .help(help),
            );
        }
        self.stopped = true;
    }

    /// The sizes of a tensor as a label shows them: with the arithmetic that led to them.
    pub(super) fn shown(&self, value: ValueId) -> String {
        let dims = self.builder.graph().dims(value);
        match self.facts.get(&value) {
            Some(fact) if !fact.arithmetic.is_empty() => format!("{dims:?}    {}", fact.arithmetic),
            _ => format!("{dims:?}"),
        }
    }

    /// A layer does not fit its input.
    pub(super) fn shape_error(
        &mut self,
        error: &ShapeError,
        layer: &str,
        span: Span,
        input: ValueId,
    ) {
        let diagnostic = Diagnostic::error(code_of(error), format!("`{layer}`: {error}"));
        let dims = self.builder.graph().dims(input);
        let mut diagnostic = diagnostic.primary(span, format!("its input is {dims:?}"));
        if let Some(fact) = self.facts.get(&input)
            && !fact.arithmetic.is_empty()
        {
            diagnostic = diagnostic.secondary(fact.span, self.shown(input));
        }
        for help in error.help() {
            diagnostic = diagnostic.help(help);
        }
        self.report(diagnostic);
    }
}

fn code_of(error: &ShapeError) -> Code {
    match error {
        ShapeError::Rank { .. } => codes::INPUT_RANK,
        ShapeError::NoGroups | ShapeError::InputGroups { .. } | ShapeError::OutputGroups { .. } => {
            codes::GROUPS
        }
        ShapeError::Window {
            problem: WindowError::Zero { .. },
            ..
        }
        | ShapeError::Rate { .. } => codes::OUT_OF_RANGE,
        ShapeError::Window { .. } => codes::WINDOW,
        ShapeError::Stretch { .. } | ShapeError::Concat { .. } => codes::BRANCH_SHAPES,
        ShapeError::Elements { .. } => codes::ELEMENT_COUNT,
        ShapeError::Arity { .. }
        | ShapeError::DType { .. }
        | ShapeError::Batched { .. }
        | ShapeError::Differs { .. }
        | ShapeError::NotWider { .. }
        | ShapeError::Pieces { .. }
        | ShapeError::Slice { .. } => codes::INPUT_SHAPE,
    }
}

/// The candidate that was probably meant: the nearest by Damerau and Levenshtein, a third of the word away at most.
pub fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).max(1);
    let near = |candidate: &'c str| {
        let distance = strsim::damerau_levenshtein(
            &word.to_ascii_lowercase(),
            &candidate.to_ascii_lowercase(),
        );
        // What starts the same way is the better guess of two that are equally far.
        let start = !candidate.starts_with(word.chars().next().unwrap_or_default());
        (distance <= limit && candidate != word).then_some((distance, start, candidate))
    };
    candidates
        .into_iter()
        .filter_map(near)
        .min()
        .map(|(_, _, candidate)| candidate)
}

/// A name as messages write it.
pub(super) fn quoted(name: &str) -> String {
    format!("`{name}`")
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn suggestions_are_near() {
        let layers = ["relu", "conv", "dwconv", "dense", "stride", "eltwise"];
        assert_eq!(suggest("rleu", layers), Some("relu"));
        assert_eq!(suggest("strid", layers), Some("stride"));
        assert_eq!(suggest("Conv", layers), Some("conv"));
        assert_eq!(suggest("etlwise", layers), Some("eltwise"));
        assert_eq!(suggest("transformer", layers), None);
    }
}
