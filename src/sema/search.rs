//! The `search` section: a grid over the parameters of a net, what its points must fulfil, and what makes one better.
//!
//! A point gives every axis one of its values; `set` makes arguments of the net from them. Points are counted by index, so
//! no end of a range is lost to rounding.

use std::collections::BTreeMap;

use super::report::{quoted, suggest};
use super::scope::{Env, Scope};
use super::value::Value;
use super::{Elab, Mode};
use crate::diag::{Diagnostic, Files, Span, codes};
use crate::program::Program;
use crate::syntax::Ast;
use crate::syntax::ast::*;

/// Points of one search. At a second a point this takes more than a day.
const MAX_POINTS: usize = 100_000;

/// What a net costs, known without training it.
const COSTS: [&str; 4] = ["flops", "macs", "params", "memory"];
/// What is measured on samples that were kept out of training.
const SCORES: [&str; 4] = [
    "val_accuracy",
    "val_loss",
    "validation_accuracy",
    "validation_loss",
];
/// In a limit: the same measure of the net as its file has it.
const BASE: &str = "base";
/// The words that start a line.
const LINES: [&str; 5] = ["vary", "set", "subject", "maximize", "minimize"];

/// A `search` section that has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSpace {
    /// The net or preset that it varies.
    pub net: String,
    /// What it varies, in order, with the number of values of each.
    pub axes: Vec<(String, usize)>,
    /// The number of points: the product of the axes' numbers.
    pub points: usize,
}

impl std::fmt::Display for SearchSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts: Vec<String> = self
            .axes
            .iter()
            .map(|(_, count)| count.to_string())
            .collect();
        let points = if self.points == 1 { "point" } else { "points" };
        match counts.as_slice() {
            [_] => write!(f, "search {}: {} {points}", self.net, self.points),
            _ => write!(
                f,
                "search {}: {} = {} {points}",
                self.net,
                counts.join(" x "),
                self.points
            ),
        }
    }
}

/// Checks the `search` sections of a program's main file. What is wrong with them does not keep a net from being used.
#[must_use]
pub fn searches(program: &Program, files: &Files) -> (Vec<SearchSpace>, Vec<Diagnostic>) {
    let ast = program.main();
    let mut elab = Elab::new(ast.file, files, Mode::Infer);
    elab.collect(program);
    elab.resolve(program);
    // What is wrong or unused elsewhere is found where it is looked for.
    elab.diagnostics.clear();
    elab.unused.clear();
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    let mut spaces = Vec::new();
    for item in &ast.items {
        let Item::Search(search) = item else { continue };
        if let Some(earlier) = seen.insert(&search.net.text, search.net.span) {
            elab.duplicate(
                &format!("search {}", search.net.text),
                search.net.span,
                earlier,
            );
        }
        spaces.extend(elab.search(ast, search));
    }
    (spaces, elab.findings())
}

/// An axis of the grid.
pub(super) struct Axis<'a> {
    pub name: &'a Name,
    pub values: Vec<Value<'a>>,
}

impl<'a> Elab<'a> {
    fn search(&mut self, ast: &'a Ast, search: &'a Search) -> Option<SearchSpace> {
        let net = self.searched(ast, search);
        let axes = self.search_axes(search);
        self.settings(search, net, axes.as_deref());
        self.goals(search);
        self.limits(search);
        for entry in &search.entries {
            if let SearchEntry::Entry(entry) = entry {
                self.unknown_line(&entry.key);
            }
        }
        net.and(self.point_count(search, &axes?))
    }

    /// The net that is varied.
    fn searched(&mut self, ast: &'a Ast, search: &'a Search) -> Option<&'a Net> {
        let name = &search.net.text;
        let preset = ast.items.iter().find_map(|item| match item {
            Item::Preset(preset) if preset.name.text == *name => Some(&preset.net.name.text),
            _ => None,
        });
        let of_net = preset.unwrap_or(name);
        let net = ast.items.iter().find_map(|item| match item {
            Item::Net(net) if net.name.text == *of_net => Some(net),
            _ => None,
        });
        if net.is_none() {
            let known = super::net_names(ast);
            self.no_such_net(&search.net, " to search", known.into_iter());
        }
        net
    }

    /// What is varied; `None` where some axis has no values.
    pub(super) fn search_axes(&mut self, search: &'a Search) -> Option<Vec<Axis<'a>>> {
        let env = Scope::root();
        let mut axes: Vec<Axis<'a>> = Vec::new();
        let mut complete = true;
        for (name, items) in search.entries.iter().flat_map(|entry| match entry {
            SearchEntry::Vary(axes) => axes.as_slice(),
            _ => &[],
        }) {
            if let Some(earlier) = axes.iter().find(|axis| axis.name.text == name.text) {
                self.twice(name, "varied", earlier.name.span);
                complete = false;
                continue;
            }
            let found = self.diagnostics.len();
            let values = self.items(&env, items).unwrap_or_default();
            if values.is_empty() && self.diagnostics.len() == found {
                let message = format!("`{}` has no values to try", name.text);
                let diagnostic = Diagnostic::error(codes::SEARCH_AXIS, message);
                self.report(
                    diagnostic.primary(items.span, "").help(
                        "write a list, as in `[3, 5]`, or a range, as in `1.0..1.5 step 0.1`",
                    ),
                );
            }
            complete &= !values.is_empty();
            axes.push(Axis { name, values });
        }
        if axes.is_empty() && complete {
            let diagnostic = Diagnostic::error(codes::SEARCH_LINE, "this search varies nothing");
            self.report(
                diagnostic
                    .primary(search.net.span, "")
                    .help("write, for example, `vary w in 1.0..2.0 step 0.25`"),
            );
            return None;
        }
        complete.then_some(axes)
    }

    /// `set`: the targets are parameters of the net, and every value of an axis makes an argument of the right kind.
    fn settings(&mut self, search: &'a Search, net: Option<&'a Net>, axes: Option<&[Axis<'a>]>) {
        let mut used: Vec<&str> = Vec::new();
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let settings = search.entries.iter().flat_map(|entry| match entry {
            SearchEntry::Set(settings) => settings.as_slice(),
            _ => &[],
        });
        for (target, value) in settings {
            names_of(value, &mut used);
            if let Some(earlier) = seen.insert(&target.text, target.span) {
                self.twice(target, "set", earlier);
            }
            let param = net.map(|net| (net, self.target(net, target)));
            if let (Some((net, Some(param))), Some(axes)) = (param, axes) {
                self.try_values(axes, value, net, param);
            }
        }
        for axis in axes.unwrap_or_default() {
            if !used.contains(&axis.name.text.as_str()) {
                let name = &axis.name.text;
                let message = format!("`{name}` is varied and never used");
                let diagnostic = Diagnostic::warning(codes::UNUSED, message);
                self.report(diagnostic.primary(axis.name.span, "").help(format!(
                    "give it to a parameter of the net, as in `set {name} = {name}`"
                )));
            }
        }
    }

    fn twice(&mut self, name: &Name, verb: &str, earlier: Span) {
        let message = format!("`{}` is {verb} twice", name.text);
        let diagnostic = Diagnostic::error(codes::SEARCH_LINE, message);
        self.report(
            diagnostic
                .primary(name.span, "second time")
                .secondary(earlier, "first time"),
        );
    }

    /// The parameter that is set.
    fn target(&mut self, net: &'a Net, target: &Name) -> Option<&'a Param> {
        let param = net
            .params
            .iter()
            .find(|param| param.name.text == target.text);
        if param.is_none() {
            let message = format!("`{}` has no parameter `{}`", net.name.text, target.text);
            let diagnostic =
                Diagnostic::error(codes::SEARCH_TARGET, message).primary(target.span, "");
            let names: Vec<&str> = net
                .params
                .iter()
                .map(|param| param.name.text.as_str())
                .collect();
            self.report(match suggest(&target.text, names.iter().copied()) {
                Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), target.span, near),
                None if names.is_empty() => diagnostic.help("it has no parameters at all"),
                None => diagnostic.help(format!("its parameters are {}", list(&names))),
            });
        }
        param
    }

    /// Computes an argument for each value of each axis, the other axes at their first value.
    fn try_values(&mut self, axes: &[Axis<'a>], value: &'a Expr, net: &'a Net, param: &'a Param) {
        let longest = axes.iter().map(|axis| axis.values.len()).max().unwrap_or(0);
        for at in 0..longest {
            let env = Scope::root();
            for axis in axes {
                let value = axis.values.get(at).or(axis.values.first());
                env.bind(
                    &axis.name.text,
                    value.cloned().unwrap_or(Value::Poison),
                    axis.name.span,
                );
            }
            let argument = self.eval(&env, value);
            if argument.is_poison()
                || !self.fits_parameter(&net.name.text, param, &argument, value.span)
            {
                return;
            }
        }
    }

    /// `maximize` or `minimize`, exactly one.
    fn goals(&mut self, search: &'a Search) {
        let mut first: Option<Span> = None;
        for entry in &search.entries {
            let SearchEntry::Goal { value, .. } = entry else {
                continue;
            };
            match first {
                Some(earlier) => {
                    let diagnostic = Diagnostic::error(codes::SEARCH_LINE, "a search has one goal");
                    let diagnostic = diagnostic
                        .primary(value.span, "second")
                        .secondary(earlier, "first");
                    self.report(
                        diagnostic.help(
                            "put a limit on the other measure, as in `subject to params <= 8M`",
                        ),
                    );
                }
                None => first = Some(value.span),
            }
            match &value.kind {
                ExprKind::Name(name) if is_measure(name) => {}
                ExprKind::Name(name) => self.unknown_measure(name, value.span),
                _ => {
                    let message = "the goal of a search is a measure";
                    let known: Vec<&str> = SCORES.into_iter().chain(COSTS).collect();
                    self.report(
                        Diagnostic::error(codes::SEARCH_MEASURE, message)
                            .primary(value.span, "")
                            .help(format!("known are {}", list(&known))),
                    );
                }
            }
        }
        if first.is_none() {
            let diagnostic = Diagnostic::error(codes::SEARCH_LINE, "this search has no goal");
            self.report(
                diagnostic
                    .primary(search.net.span, "")
                    .help("write, for example, `maximize val_accuracy`"),
            );
        }
    }

    /// `subject to`: a measure of a point, compared with a number or with a part of what the net has without the search.
    fn limits(&mut self, search: &'a Search) {
        for limit in search.entries.iter().flat_map(|entry| match entry {
            SearchEntry::Subject(limits) => limits.as_slice(),
            _ => &[],
        }) {
            let sides = match &limit.kind {
                ExprKind::Binary(
                    BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge,
                    left,
                    right,
                ) => Some((&**left, &**right)),
                _ => None,
            };
            let Some((left, right)) = sides else {
                let message = "a limit compares a measure with a number";
                self.report(
                    Diagnostic::error(codes::SEARCH_LINE, message)
                        .primary(limit.span, "")
                        .help("write, for example, `subject to params <= 8M, flops <= 2.1 * base`"),
                );
                continue;
            };
            let name = |side: &'a Expr| match &side.kind {
                ExprKind::Name(name) if name != BASE => Some(name.as_str()),
                _ => None,
            };
            let (measure, number, place) = match (name(left), name(right)) {
                (Some(measure), _) => (measure, right, left.span),
                (None, Some(measure)) => (measure, left, right.span),
                (None, None) => {
                    let message = "one side of a limit is a measure";
                    let known: Vec<&str> = COSTS.into_iter().chain(SCORES).collect();
                    self.report(
                        Diagnostic::error(codes::SEARCH_MEASURE, message)
                            .primary(limit.span, "")
                            .help(format!("known are {}", list(&known))),
                    );
                    continue;
                }
            };
            if !is_measure(measure) {
                self.unknown_measure(measure, place);
            }
            let env: Env<'a> = Scope::root();
            env.bind(BASE, Value::Float(1.0, None), limit.span);
            let value = self.eval(&env, number);
            if value.number().is_none() {
                self.wrong_kind(&value, "a limit", "a number", number.span);
            }
        }
    }

    fn unknown_measure(&mut self, name: &str, place: Span) {
        let message = format!("there is no measure `{name}`");
        let diagnostic = Diagnostic::error(codes::SEARCH_MEASURE, message).primary(place, "");
        let known: Vec<&str> = COSTS.into_iter().chain(SCORES).collect();
        self.report(match suggest(name, known.iter().copied()) {
            Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), place, near),
            None => diagnostic.help(format!("known are {}", list(&known))),
        });
    }

    fn unknown_line(&mut self, key: &Name) {
        let message = format!("`search` has no `{}`", key.text);
        let diagnostic = Diagnostic::error(codes::SEARCH_LINE, message).primary(key.span, "");
        self.report(match suggest(&key.text, LINES) {
            Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), key.span, near),
            None => diagnostic
                .help("its lines are `vary`, `set`, `subject to`, `maximize` and `minimize`"),
        });
    }

    fn point_count(&mut self, search: &'a Search, axes: &[Axis<'a>]) -> Option<SearchSpace> {
        let counts: Vec<usize> = axes.iter().map(|axis| axis.values.len()).collect();
        let product = counts
            .iter()
            .try_fold(1_usize, |points, &count| points.checked_mul(count));
        match product.filter(|&points| points <= MAX_POINTS) {
            Some(points) => Some(SearchSpace {
                net: search.net.text.clone(),
                axes: axes
                    .iter()
                    .map(|axis| (axis.name.text.clone(), axis.values.len()))
                    .collect(),
                points,
            }),
            None => {
                let factors: Vec<String> = counts.iter().map(usize::to_string).collect();
                let found = product.map_or(String::new(), |points| format!(" = {points}"));
                let message = format!(
                    "this search has {}{found} points; {MAX_POINTS} are the most",
                    factors.join(" x ")
                );
                self.report(
                    Diagnostic::error(codes::SEARCH_SIZE, message)
                        .primary(search.net.span, "")
                        .help("take larger steps, or vary less at a time"),
                );
                None
            }
        }
    }
}

fn is_measure(name: &str) -> bool {
    COSTS.contains(&name) || SCORES.contains(&name)
}

fn list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}

/// The names that an expression mentions.
fn names_of<'e>(expr: &'e Expr, names: &mut Vec<&'e str>) {
    match &expr.kind {
        ExprKind::Name(name) => names.push(name),
        ExprKind::Call(call) => names.push(&call.name.text),
        _ => {}
    }
    expr.kind
        .for_each_child(&mut |child| names_of(child, names));
}
