//! The paths of weights.
//!
//! A path follows the blocks that a net is made of: each block use and each labelled body is a level. An element without
//! a label is called by its kind and its ordinal among those elements of its kind in the level that own weights:
//! `conv1.weight`, `bottleneck3.conv2.weight`. A label replaces that segment.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::Elab;
use super::limits::{MAX_PARAMS, MAX_PATH, MAX_PATHS, MAX_TENSORS};
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::{Init, Param, ParamRole, ValueId};

/// The paths given out so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    levels: Vec<Level>,
    params: FxHashMap<String, (ValueId, Span)>,
    /// Elements of all parameters.
    elements: usize,
    /// Characters of all paths.
    characters: usize,
}

/// A part of the net under one path.
#[derive(Debug, Default)]
struct Level {
    path: String,
    /// How many elements of each kind have weights.
    counts: BTreeMap<String, usize>,
    labels: BTreeMap<String, Span>,
    /// Whether this is a use of a shared body: weights that are there already are taken again.
    shared: bool,
}

/// The segment of an element.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    text: String,
    /// The kind whose ordinal was used, for elements without a label.
    kind: Option<String>,
    /// Parameters that existed before the element.
    before: usize,
}

impl Names {
    /// The path of a segment in the current level.
    pub(super) fn path(&self, segment: &str) -> String {
        match self.levels.last() {
            Some(level) if !level.path.is_empty() && !segment.is_empty() => {
                [&level.path, ".", segment].concat()
            }
            Some(level) if segment.is_empty() => level.path.clone(),
            _ => segment.to_owned(),
        }
    }

    /// The length of the path of a segment in the current level.
    fn path_len(&self, segment: &str) -> usize {
        let level = self.levels.last().map_or(0, |level| level.path.len());
        let dot = usize::from(level > 0 && !segment.is_empty());
        level + dot + segment.len()
    }

    /// Parameters made so far.
    pub(super) fn len(&self) -> usize {
        self.params.len()
    }

    /// Goes into a part of the net.
    pub(super) fn enter(&mut self, segment: &str) {
        let path = self.path(segment);
        let shared = self.levels.last().is_some_and(|level| level.shared);
        self.levels.push(Level {
            path,
            shared,
            ..Level::default()
        });
    }

    /// Goes into a use of a shared body, which has the same path for each use.
    pub(super) fn enter_shared(&mut self, path: String) {
        self.levels.push(Level {
            path,
            shared: true,
            ..Level::default()
        });
    }

    /// Comes out of the part that was entered last.
    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// The segment of an element without a label: its kind and its ordinal.
    pub(super) fn ordinal(&self, kind: &str) -> Segment {
        let count = self
            .levels
            .last()
            .and_then(|level| level.counts.get(kind))
            .copied()
            .unwrap_or(0);
        Segment {
            text: format!("{kind}{}", count + 1),
            kind: Some(kind.to_owned()),
            before: self.len(),
        }
    }

    /// The segment of an element that never has weights: its kind alone.
    pub(super) fn plain(&self, kind: &str) -> Segment {
        Segment {
            text: kind.to_owned(),
            kind: None,
            before: self.len(),
        }
    }

    /// Notes that an element is complete: its ordinal is taken if it owns weights, or if it is a use of shared ones.
    pub(super) fn close(&mut self, segment: Segment) {
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        if let Some(kind) = segment.kind
            && (self.params.len() > segment.before || level.shared)
        {
            *level.counts.entry(kind).or_default() += 1;
        }
    }
}

impl Segment {
    /// A segment that a label gives.
    pub(super) fn labelled(text: String) -> Self {
        Self {
            text,
            kind: None,
            before: 0,
        }
    }

    /// The text of the segment.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl Elab<'_> {
    /// Whether the path with one more segment may be kept: it is, for every operation below it.
    pub(super) fn check_path(&mut self, segment: &str, span: Span) -> Option<()> {
        let length = self.names.path_len(segment);
        self.names.characters += length;
        if length <= MAX_PATH && self.names.characters <= MAX_PATHS {
            return Some(());
        }
        let message = if length > MAX_PATH {
            format!("the path of a layer has more than {MAX_PATH} characters")
        } else {
            format!("the paths of all layers have more than {MAX_PATHS} characters")
        };
        let help = "shorten labels and names of blocks, or nest less deeply";
        self.stop(codes::TOO_LARGE_NET, message, span, help);
        None
    }

    /// The segment of a shared body: its name, and from the second round of a loop on its ordinal behind it, so that
    /// each round has weights of its own.
    pub(super) fn take_shared(&mut self, name: &str, span: Span) -> String {
        let Some(level) = self.names.levels.last_mut() else {
            return name.to_owned();
        };
        let again = level.labels.get(name) == Some(&span);
        // Names of kinds have no blanks, so this one is free.
        let count = level.counts.entry(format!("shared {name}")).or_default();
        *count += 1;
        let segment = if again {
            format!("{name}{count}")
        } else {
            name.to_owned()
        };
        // A second body of that name is reported; its weights go by the same path.
        let _ = self.take_label(&segment, span);
        segment
    }

    /// Takes a label in the current level; the same label twice is an error, and `None`.
    pub(super) fn take_label(&mut self, label: &str, span: Span) -> Option<()> {
        let level = self.names.levels.last_mut()?;
        let Some(earlier) = level.labels.insert(label.to_owned(), span) else {
            return Some(());
        };
        let message = format!("the label `{label}` is used twice");
        let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, message);
        self.report(if earlier == span {
            let diagnostic = diagnostic.primary(span, "each round of the loop gives it again");
            diagnostic.help(format!(
                "put what differs into the label, as in `for i in 0..2 {{ {label}{{i}}: … }}`"
            ))
        } else {
            let other = format!("{label}_2");
            diagnostic
                .primary(span, "second time")
                .secondary(earlier, "first time")
                .edit(
                    format!("call it something else, as `{other}:`"),
                    span,
                    other,
                )
        });
        None
    }

    /// A parameter of the element whose segment is given: a new one, or in a shared body perhaps one that is there.
    pub(super) fn param(
        &mut self,
        segment: &Segment,
        suffix: &str,
        dims: &[usize],
        kind: (ParamRole, Init),
        span: Span,
    ) -> Option<ValueId> {
        let mut name = self.names.path(segment.text());
        name.push('.');
        name.push_str(suffix);
        let elements = dims
            .iter()
            .try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        let total = elements.and_then(|elements| elements.checked_add(self.names.elements));
        let Some(total) = total.filter(|&total| total <= MAX_PARAMS) else {
            let message =
                format!("`{name}` of shape {dims:?} brings the net over {MAX_PARAMS} parameters");
            self.stop(
                codes::TOO_LARGE_NET,
                message,
                span,
                "check the sizes that led here",
            );
            return None;
        };
        if let Some(&(value, earlier)) = self.names.params.get(&name) {
            return self.known_param(&name, value, earlier, dims, span);
        }
        if self.names.params.len() >= MAX_TENSORS {
            let message = format!("the net has more than {MAX_TENSORS} tensors of parameters");
            self.stop(
                codes::TOO_LARGE_NET,
                message,
                span,
                "check `repeat` and `for`, or let layers share weights (`shared`)",
            );
            return None;
        }
        self.names.elements = total;
        let (role, init) = kind;
        let value = self.builder.param(
            dims,
            Param {
                name: name.clone(),
                role,
                init,
            },
        );
        self.names.params.insert(name, (value, span));
        Some(value)
    }

    fn known_param(
        &mut self,
        name: &str,
        value: ValueId,
        earlier: Span,
        dims: &[usize],
        span: Span,
    ) -> Option<ValueId> {
        let shared = self.names.levels.last().is_some_and(|level| level.shared);
        let known = self.builder.graph().dims(value);
        if shared && known == dims {
            return Some(value);
        }
        let diagnostic = if shared {
            let message = "a shared body is used on values of different sizes";
            let diagnostic = Diagnostic::error(codes::SHARED_SHAPES, message);
            diagnostic.primary(
                span,
                format!("`{name}` is {known:?} since the first use, and {dims:?} here"),
            )
        } else {
            let message = format!("two weights are called `{name}`");
            let diagnostic =
                Diagnostic::error(codes::DUPLICATE_NAME, message).primary(span, "second");
            diagnostic
                .secondary(earlier, "first")
                .help("a label in front of an element sets its name, as in `head: dense(10)`")
        };
        self.report(diagnostic);
        None
    }
}
