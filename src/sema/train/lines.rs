//! The lines of a `train` section: which section, which keys, what the command line replaces.

use std::collections::BTreeMap;
use std::collections::btree_map;

use super::config::TrainConfig;
use crate::diag::{Diagnostic, Span, codes};
use crate::sema::overrides::Override;
use crate::sema::report::{quoted, suggest};
use crate::sema::scope::Env;
use crate::sema::{Elab, net_names};
use crate::syntax::Ast;
use crate::syntax::ast::{Args, Entry, EntryValue, Expr, ExprKind, Item, Name, Train};

/// The keys that are read.
const KEYS: [&str; 14] = [
    "data",
    "augment",
    "loss",
    "optimizer",
    "schedule",
    "early_stop",
    "batch",
    "epochs",
    "seed",
    "init",
    "regularize",
    "freeze",
    "clip",
    "accumulate",
];
/// Keys whose parts can be set where the section has no such line.
const PARTS: [&str; 6] = [
    "regularize",
    "clip",
    "early_stop",
    "batch",
    "schedule",
    "init",
];
/// Keys whose arguments stand behind the key itself, as in `early_stop(3)`.
const OWN_ARGS: [&str; 2] = ["early_stop", "batch"];
/// Keys whose values have no arguments.
const PLAIN: [&str; 4] = ["epochs", "seed", "accumulate", "freeze"];

/// A line of the section, or an override of one.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub key: &'a Name,
    pub target: Option<&'a Name>,
    pub values: Vec<&'a Expr>,
    pub args: Option<&'a Args>,
    /// Arguments that overrides set.
    pub set: Vec<(&'a Name, &'a Expr)>,
    pub span: Span,
}

impl<'a> Line<'a> {
    /// What an override makes of a line.
    fn set(key: &'a Name, given: &'a Override) -> Self {
        let mut line = Self {
            key,
            target: None,
            values: given.values.iter().collect(),
            args: None,
            set: Vec::new(),
            span: given.span,
        };
        // `train.early_stop=early_stop(3)` says the key as the file does.
        if let [value] = given.values.as_slice()
            && let ExprKind::Call(call) = &value.kind
            && call.name.text == key.text
            && OWN_ARGS.contains(&key.text.as_str())
        {
            line.values.clear();
            line.args = call.args.as_ref();
        }
        line
    }

    /// Whether it consists of arguments that overrides set.
    pub(super) fn is_only_set(&self) -> bool {
        self.values.is_empty() && self.args.is_none() && !self.set.is_empty()
    }

    fn of(entry: &'a Entry) -> Self {
        let (values, args) = match &entry.value {
            EntryValue::List(values) => (values.iter().collect(), None),
            EntryValue::Args(args) => (Vec::new(), Some(args)),
        };
        Self {
            key: &entry.key,
            target: entry.target.as_ref(),
            values,
            args,
            set: Vec::new(),
            span: entry.span,
        }
    }
}

impl<'a> Elab<'a> {
    /// Reports an override of an argument of a line that the section does not have.
    fn no_such_line(&mut self, given: &Override, key: &Name) {
        let message = format!("the `train` section has no `{}` line to change", key.text);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_OVERRIDE, message);
        let whole = match key.text.as_str() {
            "optimizer" => "sgd(lr = 0.1)",
            "data" => "fashion_mnist(validation = 5000)",
            "augment" => "flip, crop(4)",
            _ => "cross_entropy",
        };
        let help = format!("set the whole line, as in `train.{}={whole}`", key.text);
        self.report(diagnostic.primary(given.span, "").help(help));
    }

    /// The `train` section of the net: that of the preset, or else that of the net itself.
    pub(in crate::sema) fn train(
        &mut self,
        ast: &'a Ast,
        env: &Env<'a>,
        names: &[&str],
        overrides: &'a [Override],
    ) -> Option<TrainConfig> {
        let trains = ast.items.iter().filter_map(|item| match item {
            Item::Train(train) => Some(train),
            _ => None,
        });
        let sections: Vec<&'a Train> = trains.collect();
        let known = net_names(ast);
        for section in &sections {
            if !known.contains(&section.net.text.as_str()) {
                self.no_such_net(&section.net, " to train", known.iter().copied());
            }
        }
        let of = |name: &&str| {
            sections
                .iter()
                .copied()
                .filter(|section| section.net.text == **name)
                .collect::<Vec<_>>()
        };
        let section = names.iter().map(of).find(|found| !found.is_empty());
        let Some(section) = section else {
            for given in overrides.iter().filter(|given| given.is_train()) {
                self.unknown_override(given, std::iter::empty());
            }
            return None;
        };
        if let [first, second, ..] = section.as_slice() {
            self.duplicate(
                &format!("train {}", first.net.text),
                second.span,
                first.span,
            );
        }
        let lines = self.lines(section[0], overrides);
        self.config(env, section[0], &lines)
    }

    /// The lines of a section with the overrides applied; unknown and repeated keys are reported.
    fn lines(&mut self, section: &'a Train, overrides: &'a [Override]) -> Vec<Line<'a>> {
        let mut lines: Vec<Line<'a>> = Vec::new();
        let mut seen: BTreeMap<(&str, Option<&str>), Span> = BTreeMap::new();
        for entry in &section.entries {
            let line = Line::of(entry);
            if !self.check_key(line.key) {
                continue;
            }
            let target = line.target.map(|name| name.text.as_str());
            let known = seen.entry((&line.key.text, target));
            if let btree_map::Entry::Occupied(earlier) = &known {
                let message = format!("`{}` is given twice", line.key.text);
                let diagnostic = Diagnostic::error(codes::DUPLICATE_KEY, message)
                    .primary(line.span, "second time")
                    .secondary(*earlier.get(), "first time");
                self.report(diagnostic.edit("remove one of the two", line.span, ""));
                continue;
            }
            known.or_insert(line.span);
            lines.push(line);
        }
        for given in overrides.iter().filter(|given| given.is_train()) {
            let key = &given.path[1];
            if !self.check_key(key) {
                continue;
            }
            let of_key: Vec<usize> = (0..lines.len())
                .filter(|&at| lines[at].key.text == key.text)
                .collect();
            let target = |at: usize| lines[at].target.map(|name| name.text.as_str());
            // `train.loss.mask.weight`: the word after the key may say which of several lines is meant.
            let named = given.path.get(2).and_then(|name| {
                let mut places = of_key.iter().copied();
                places.find(|&at| target(at) == Some(&name.text))
            });
            let rest = &given.path[if named.is_some() { 3 } else { 2 }..];
            let at = match of_key.as_slice() {
                &[only] => Some(only),
                _ => named,
            };
            match (rest, at) {
                ([], _) if at.is_some() || of_key.is_empty() => {
                    let line = Line {
                        target: at.and_then(|at| lines[at].target),
                        ..Line::set(key, given)
                    };
                    match at {
                        Some(at) => lines[at] = line,
                        None => lines.push(line),
                    }
                }
                ([_], _) if PLAIN.contains(&key.text.as_str()) => {
                    let message = format!("`{}` has no arguments", key.text);
                    let diagnostic = Diagnostic::error(codes::UNKNOWN_OVERRIDE, message);
                    let help = format!("set the whole line, as in `train.{}=…`", key.text);
                    self.report(diagnostic.primary(given.span, "").help(help));
                }
                ([arg], _)
                    if at.is_some() || of_key.is_empty() && PARTS.contains(&key.text.as_str()) =>
                {
                    let [value] = given.values.as_slice() else {
                        self.one_value(given, &arg.text);
                        continue;
                    };
                    match at {
                        Some(at) => lines[at].set.push((arg, value)),
                        None => lines.push(Line {
                            key,
                            target: None,
                            values: Vec::new(),
                            args: None,
                            set: vec![(arg, value)],
                            span: given.span,
                        }),
                    }
                }
                ([_], None) if of_key.is_empty() => self.no_such_line(given, key),
                (_, Some(_)) => self.unknown_override(given, KEYS.into_iter()),
                (_, None) => {
                    let targets: Vec<String> = of_key
                        .iter()
                        .filter_map(|&at| Some(format!("train.{}.{}", key.text, target(at)?)))
                        .collect();
                    self.unknown_override(given, targets.iter().map(String::as_str));
                }
            }
        }
        lines
    }

    fn check_key(&mut self, key: &Name) -> bool {
        if KEYS.contains(&key.text.as_str()) {
            return true;
        }
        if self.is_full() {
            return false;
        }
        let diagnostic =
            Diagnostic::error(codes::UNKNOWN_KEY, format!("`train` has no `{}`", key.text))
                .primary(key.span, "");
        self.report(match suggest(&key.text, KEYS) {
            Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), key.span, near),
            None => diagnostic.help(format!("known are {}", KEYS.map(quoted).join(", "))),
        });
        false
    }
}
