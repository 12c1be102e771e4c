//! Whether the nets of a search can be built: each value of each axis is tried, the other axes at their first value.

use std::collections::BTreeSet;

use super::scope::Scope;
use super::search::Axis;
use super::value::Value;
use super::{Elab, Mode};
use crate::diag::{Diagnostic, Files};
use crate::program::Program;
use crate::syntax::ast::{Item, Name, Search, SearchEntry};

/// Nets that are built for one search; axes that are longer are tried at as many values from their start.
const MAX_TRIED: usize = 64;

/// A point of a search.
struct Point<'a> {
    /// What the axes are, as messages say it.
    text: String,
    args: Vec<(&'a Name, Value<'a>)>,
}

/// Builds the nets of some points of each search of a program's main file. Each error says at which point it is found.
/// Searches with errors of their own, and those of nets that cannot be built as they are, are passed over.
#[must_use]
pub fn try_searches(program: &Program, files: &Files) -> Vec<Diagnostic> {
    let ast = program.main();
    if !super::searches(program, files)
        .1
        .iter()
        .all(|found| !found.is_error())
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for item in &ast.items {
        let Item::Search(search) = item else { continue };
        let build = |args| {
            let mut elab = Elab::new(ast.file, files, Mode::Infer);
            elab.collect(program);
            elab.resolve(program);
            elab.point = args;
            elab.net(ast, Some(&search.net.text), &[]);
            elab.findings()
        };
        let mut elab = Elab::new(ast.file, files, Mode::Infer);
        elab.collect(program);
        let points = elab.points(search);
        if points.is_empty() || build(Vec::new()).iter().any(Diagnostic::is_error) {
            continue;
        }
        for point in points {
            let errors = build(point.args).into_iter().filter(Diagnostic::is_error);
            for error in errors.filter(|error| seen.insert((error.code, error.span()))) {
                let note = format!("at {} of `search {}`", point.text, search.net.text);
                found.push(error.note(note));
            }
        }
    }
    found
}

impl<'a> Elab<'a> {
    /// The points that are tried, the one of all first values in front.
    fn points(&mut self, search: &'a Search) -> Vec<Point<'a>> {
        let axes = self.search_axes(search).unwrap_or_default();
        let mut points = Vec::new();
        for (moved, axis) in axes.iter().enumerate() {
            // The first value of every axis makes one and the same point.
            for at in usize::from(moved > 0)..axis.values.len() {
                if points.len() >= MAX_TRIED {
                    return points;
                }
                points.extend(self.point_at(search, &axes, (moved, at)));
            }
        }
        points
    }

    /// The point at which one axis has the value of a number.
    fn point_at(
        &mut self,
        search: &'a Search,
        axes: &[Axis<'a>],
        (moved, at): (usize, usize),
    ) -> Option<Point<'a>> {
        let env = Scope::root();
        let mut texts = Vec::with_capacity(axes.len());
        for (number, axis) in axes.iter().enumerate() {
            let value = axis.values.get(if number == moved { at } else { 0 })?;
            texts.push(format!("{} = {value}", axis.name.text));
            env.bind(&axis.name.text, value.clone(), axis.name.span);
        }
        let settings = search.entries.iter().flat_map(|entry| match entry {
            SearchEntry::Set(settings) => settings.as_slice(),
            _ => &[],
        });
        let mut args = Vec::new();
        for (target, value) in settings {
            let value = self.eval(&env, value);
            if value.is_poison() {
                return None;
            }
            args.push((target, value));
        }
        Some(Point {
            text: texts.join(", "),
            args,
        })
    }
}
