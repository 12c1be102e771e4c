//! How findings become diagnostics: places, both shapes, the arithmetic behind each size, the chain of block uses.

use super::Elab;
use super::apply::{Site, Written};
use super::limits::MAX_ERRORS;
pub(super) use crate::diag::suggest;
use crate::diag::{Code, Diagnostic, Span, codes};
use crate::ir::ValueId;
use crate::ops::ShapeError;
use crate::ops::error::{Advice, Change};
use crate::ops::window::{Window, WindowError};

/// A block or a shared body that is being expanded.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// What it is: a block or a shared body.
    pub what: &'static str,
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
    /// Whether that is about channels, which the next convolution makes anew.
    pub channels: bool,
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
            channels: false,
            pool: None,
        }
    }
}

impl Elab<'_> {
    /// Takes a finding in, with the chain of block uses that led to it. A finding that a loop repeats is kept once.
    pub(super) fn report(&mut self, mut diagnostic: Diagnostic) {
        if self.is_full() || !self.found.insert((diagnostic.code, diagnostic.span())) {
            return;
        }
        // A block that uses itself is named once.
        let mut uses: Vec<&Use> = self.uses.iter().rev().collect();
        uses.dedup_by_key(|used| used.span);
        for used in uses.into_iter().take(8) {
            diagnostic.notes.push(self.use_note(used));
        }
        self.errors += usize::from(diagnostic.is_error());
        self.diagnostics.push(diagnostic);
        self.stopped |= self.is_full();
    }

    /// Whether more has been found than anybody reads. What would say more need not be thought out.
    pub(super) fn is_full(&self) -> bool {
        self.errors >= MAX_ERRORS
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
            "in {} `{}`, used at {place}{}",
            used.what,
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
    pub(super) fn misfit(&mut self, error: &ShapeError, site: Site<'_>, input: ValueId) {
        self.shape_error(error, site.layer, site.span, input, site.args);
    }

    /// An element does not fit its input; `args` are those that it was written with.
    pub(super) fn shape_error(
        &mut self,
        error: &ShapeError,
        layer: &str,
        span: Span,
        input: ValueId,
        args: Written<'_>,
    ) {
        let diagnostic = Diagnostic::error(code_of(error), format!("`{layer}`: {error}"));
        let dims = self.builder.graph().dims(input);
        let mut diagnostic = diagnostic.primary(span, format!("its input is {dims:?}"));
        if let Some(fact) = self.facts.get(&input)
            && !fact.arithmetic.is_empty()
        {
            diagnostic = diagnostic.secondary(fact.span, self.shown(input));
        }
        for advice in error.help() {
            diagnostic = self.advised(diagnostic, advice, span, args);
        }
        self.report(diagnostic);
    }

    /// Adds a way out of a shape error, as an edit where the element itself stands in the source.
    fn advised(
        &self,
        diagnostic: Diagnostic,
        advice: Advice,
        span: Span,
        args: Written<'_>,
    ) -> Diagnostic {
        let Advice { text, change } = advice;
        match change {
            Some(Change::Before(layer)) => {
                diagnostic.edit(text, span.before(), format!("{layer} -> "))
            }
            Some(Change::Instead(layer)) => diagnostic.edit(text, span, layer),
            Some(Change::Set(name, value)) => match self.set_argument(span, args, name) {
                Some((place, before, after)) => {
                    diagnostic.edit(text, place, format!("{before}{value}{after}"))
                }
                None => diagnostic.help(text),
            },
            None => diagnostic.help(text),
        }
    }

    /// Where a named argument of a call goes, and what stands around its value there; none if the call is written
    /// elsewhere, as that of a layer with a name.
    fn set_argument(
        &self,
        call: Span,
        args: Written<'_>,
        name: &str,
    ) -> Option<(Span, String, &'static str)> {
        let inside = |place: &Span| {
            place.file == call.file && call.start <= place.start && place.end <= call.end
        };
        if !args.iter().all(|(_, place)| inside(place)) {
            return None;
        }
        if let Some((_, place)) = args.iter().find(|(given, _)| *given == Some(name)) {
            return Some((*place, String::new(), ""));
        }
        match args.last() {
            // Positional kernels and the like have names that could be given, but then not twice.
            Some((_, last)) => Some((last.after(), format!(", {name} = "), "")),
            None => Some((call.after(), format!("({name} = "), ")")),
        }
    }
}

fn code_of(error: &ShapeError) -> Code {
    match error {
        ShapeError::Rank { .. } => codes::INPUT_RANK,
        ShapeError::NoGroups
        | ShapeError::InputGroups { .. }
        | ShapeError::OutputGroups { .. }
        | ShapeError::FilterGroups { .. }
        | ShapeError::Condense { .. }
        | ShapeError::Pieces { .. }
        | ShapeError::Shuffle { .. } => codes::GROUPS,
        ShapeError::Window {
            problem: WindowError::Zero { .. },
            ..
        }
        | ShapeError::Rate { .. }
        | ShapeError::Slice { .. }
        | ShapeError::Item { .. }
        | ShapeError::NoItems
        | ShapeError::Axes { .. } => codes::OUT_OF_RANGE,
        ShapeError::Window { .. } => codes::WINDOW,
        // Nets come to the last five through joins alone, which check their branches before.
        ShapeError::Stretch { .. }
        | ShapeError::Concat { .. }
        | ShapeError::Arity { .. }
        | ShapeError::DType { .. }
        | ShapeError::Batched { .. }
        | ShapeError::Differs { .. }
        | ShapeError::NotWider { .. } => codes::BRANCH_SHAPES,
        ShapeError::Elements { .. } => codes::ELEMENT_COUNT,
    }
}

/// A name as messages write it.
pub(super) fn quoted(name: &str) -> String {
    format!("`{name}`")
}
