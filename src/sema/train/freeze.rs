//! `freeze`: which parameters training leaves as they are.

use std::collections::BTreeSet;
use std::fmt;

use super::lines::Line;
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::Graph;
use crate::sema::Elab;
use crate::sema::limits::{MAX_PATTERNS, MAX_STARS};
use crate::sema::report::suggest;
use crate::sema::scope::Env;
use crate::sema::value::Value;
use crate::syntax::ast::{Expr, ExprKind};

/// Which parameters training leaves as they are: those whose path one of the patterns covers.
///
/// A pattern is a path whose segments may hold `*` (any characters of a segment) and which may have
/// `**` for any number of segments. It covers a path that it matches from the first segment on, so
/// `conv1` covers `conv1.weight` and `conv1.bias`. A batch norm whose running statistics are covered
/// normalises with them, as in use, and does not move them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Freeze {
    patterns: Vec<(String, Span)>,
}

impl Freeze {
    /// Whether a parameter of this path is frozen.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.patterns
            .iter()
            .any(|(pattern, _)| covers(pattern, path))
    }

    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.patterns.iter();
        let patterns: Vec<String> = patterns.map(|(text, _)| format!("{text:?}")).collect();
        f.write_str(&patterns.join(", "))
    }
}

/// Whether a pattern matches the first segments of a path, all of it or not.
fn covers(pattern: &str, path: &str) -> bool {
    if !pattern.contains('*') {
        let rest = path.strip_prefix(pattern);
        return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    }
    let pattern: Vec<&str> = pattern.split('.').collect();
    let path: Vec<&str> = path.split('.').collect();
    // For each number of segments of the path, whether the pattern so far can end there.
    let mut ends = vec![false; path.len() + 1];
    ends[0] = true;
    for segment in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = if segment == "**" {
                ends[at] || (at > 0 && next[at - 1])
            } else {
                at > 0 && ends[at - 1] && matches_segment(segment, path[at - 1])
            };
        }
        ends = next;
    }
    ends.contains(&true)
}

/// Whether a pattern with `*` matches the whole of a segment.
fn matches_segment(pattern: &str, segment: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = segment.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            // The earliest place leaves the most for what follows.
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

impl<'a> Elab<'a> {
    /// `freeze "conv1", "stage*.bn1"`
    pub(super) fn freeze_of(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Freeze> {
        let mut freeze = Freeze::default();
        for item in self.parts(line) {
            let expr = self.value(&item)?;
            for pattern in self.pattern(env, expr)? {
                let segments = pattern.split('.');
                if segments.into_iter().any(str::is_empty) {
                    let message = format!("{pattern:?} is no path of weights");
                    self.report(
                        Diagnostic::error(codes::BAD_VALUE, message)
                            .primary(expr.span, "")
                            .help(
                                "write, for example, `freeze \"conv1\"` or `freeze \"block*.bn1\"`",
                            ),
                    );
                    return None;
                }
                freeze.patterns.push((pattern, expr.span));
            }
        }
        let stars = freeze
            .patterns
            .iter()
            .filter(|(pattern, _)| pattern.contains('*'));
        if freeze.patterns.len() > MAX_PATTERNS || stars.count() > MAX_STARS {
            let message = format!(
                "`freeze` takes at most {MAX_PATTERNS} paths, {MAX_STARS} of them with a `*`"
            );
            self.report(
                Diagnostic::error(codes::BAD_VALUE, message)
                    .primary(line.span, "")
                    .help("a path stands for all weights below it, `*` for any part of a name"),
            );
            return None;
        }
        if freeze.is_empty() {
            let diagnostic =
                Diagnostic::error(codes::BAD_VALUE, "`freeze` needs a path of weights");
            self.report(
                diagnostic
                    .primary(line.span, "")
                    .help("write, for example, `freeze \"conv1\"`"),
            );
            return None;
        }
        Some(freeze)
    }

    /// The patterns of an item: a string, a list of them, or a bare path.
    fn pattern(&mut self, env: &Env<'a>, expr: &'a Expr) -> Option<Vec<String>> {
        if let Some(path) = bare_path(expr) {
            let first = path.split('.').next().unwrap_or_default();
            if env.find(first).is_none() {
                return Some(vec![path]);
            }
        }
        let value = self.eval(env, expr);
        let text = |value: &Value<'_>| match value {
            Value::Str(text) => Some((**text).to_owned()),
            _ => None,
        };
        let texts = match &value {
            Value::Str(text) => Some(vec![(**text).to_owned()]),
            Value::List(items) | Value::Tuple(items) => items.iter().map(text).collect(),
            _ => None,
        };
        if texts.is_none() && !value.is_poison() {
            let message = format!("`freeze` takes paths of weights, not {value}");
            self.report(Diagnostic::error(codes::BAD_VALUE, message).primary(expr.span, ""));
        }
        texts
    }

    /// Reports patterns that cover nothing, and a net of which nothing is left to train.
    pub(in crate::sema) fn check_freeze(&mut self, freeze: &Freeze, graph: &Graph) {
        let paths: Vec<String> = graph
            .params()
            .map(|(_, param)| param.name.clone())
            .collect();
        let known: BTreeSet<&str> = paths.iter().flat_map(|path| starts(path)).collect();
        for (pattern, span) in &freeze.patterns {
            if self.is_full() || paths.iter().any(|path| covers(pattern, path)) {
                continue;
            }
            let message = format!("`freeze` finds no weights called {pattern:?}");
            let diagnostic = Diagnostic::error(codes::BAD_VALUE, message).primary(*span, "");
            self.report(match suggest(pattern, known.iter().copied()) {
                Some(near) => diagnostic.edit(
                    format!("did you mean `{near}`?"),
                    *span,
                    format!("{near:?}"),
                ),
                None => diagnostic.help(format!(
                    "the net has {}",
                    some(&known.iter().copied().collect::<Vec<_>>())
                )),
            });
        }
        let mut trained = graph
            .params()
            .filter(|(_, param)| param.role.is_trainable());
        if let Some((_, span)) = freeze.patterns.first()
            && trained.all(|(_, param)| freeze.covers(&param.name))
        {
            let diagnostic =
                Diagnostic::error(codes::BAD_VALUE, "`freeze` leaves nothing to train");
            self.report(diagnostic.primary(*span, ""));
        }
    }
}

/// A path written without quotes: names with dots between.
fn bare_path(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Field(base, name) => Some(format!("{}.{}", bare_path(base)?, name.text)),
        _ => None,
    }
}

/// A path and all that it lies in: `a.b.c`, `a.b`, `a`.
fn starts(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('.').map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

/// The first few of some names.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn patterns() {
        let yes = [
            ("conv1", "conv1.weight"),
            ("conv1.weight", "conv1.weight"),
            ("conv*", "conv12.bias"),
            ("*", "conv1.weight"),
            ("block*.bn1", "block12.bn1.running_mean"),
            ("**.bn*", "a.b.bn2.weight"),
            ("**.bias", "bias"),
            ("**", "x"),
            ("a**b", "axxb.weight"),
            ("*1*3*", "a1b3c"),
        ];
        for (pattern, path) in yes {
            assert!(covers(pattern, path), "{pattern} does not cover {path}");
        }
        let no = [
            ("conv1", "conv12.weight"),
            ("conv1.bias", "conv1.weight"),
            ("weight", "conv1.weight"),
            ("*.weight", "a.b.weight"),
            ("conv1.weight.x", "conv1.weight"),
            ("a*aba", "aba.w"),
            ("*1*3", "a1b"),
            ("", "conv1.weight"),
        ];
        for (pattern, path) in no {
            assert!(!covers(pattern, path), "{pattern} covers {path}");
        }
    }
}
