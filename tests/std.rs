//! The blocks that come with netc: each is used in a net of `tests/std`, on plausible shapes, and counted where a paper
//! or a published model says how many parameters there are.
//!
//! A file may start with `//@ params NET: COUNT`, the number of trained values that a net or preset of it must have.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{load, render};
use netc::diag::Diagnostic;
use netc::program::shipped;
use netc::sema::{self, Mode};

fn cases() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/std");
    let entries = std::fs::read_dir(folder).expect("the folder of cases");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder of cases").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("cases are UTF-8");
            (path, text)
        })
        .collect()
}

#[test]
fn modules_have_no_findings_of_their_own() {
    let modules = shipped::modules();
    assert!(!modules.is_empty());
    for module in modules {
        let (program, files) = load(module.name, module.text);
        let found = sema::check_names(&program, &files);
        assert!(found.is_empty(), "{}", render(&found, &files));
        for declared in shipped::declared(module) {
            assert!(
                declared.doc.is_some(),
                "{}.{} says nothing about itself",
                module.name,
                declared.name
            );
        }
    }
}

#[test]
fn names_do_not_clash() {
    let uses: String = shipped::modules()
        .iter()
        .map(|module| format!("use std.{}\n", module.name))
        .collect();
    let (program, files) = load("all.net", &format!("{uses}net A {{ input [1]; id }}"));
    let found = sema::check_names(&program, &files);
    let errors: Vec<Diagnostic> = found.into_iter().filter(Diagnostic::is_error).collect();
    assert!(errors.is_empty(), "{}", render(&errors, &files));
}

/// What a chain or an expression of the cases names.
fn mentions(text: &str, name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word))
}

#[test]
fn every_block_is_used_by_a_case_or_a_block() {
    let texts: Vec<String> = cases()
        .into_iter()
        .map(|(_, text)| {
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            code.collect::<Vec<_>>().join("\n")
        })
        .collect();
    for module in shipped::modules() {
        let used = |name: &str| {
            let in_case = texts.iter().any(|text| mentions(text, name));
            // A part of another block is used through it.
            let inside = module.text.lines().filter(|line| {
                !line.starts_with("///") && !line.starts_with(&format!("block {name}"))
            });
            in_case || inside.into_iter().any(|line| mentions(line, name))
        };
        for declared in shipped::declared(module) {
            assert!(
                used(&declared.name),
                "no case uses {}.{}",
                module.name,
                declared.name
            );
        }
    }
}

#[test]
fn cases_expand_and_have_the_parameters_that_are_published() {
    for (path, text) in cases() {
        let (program, files) = load(&path.display().to_string(), &text);
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text
            .lines()
            .map_while(|line| line.strip_prefix("//@ params "))
        {
            let (name, count) = line.split_once(": ").expect("`NAME: COUNT`");
            wanted.insert(name, count.parse().expect("a count"));
        }
        let names = sema::net_names(program.main());
        for name in wanted.keys() {
            assert!(names.contains(name), "{} has no {name}", path.display());
        }
        for name in names {
            let model = sema::elaborate(&program, &files, Some(name), &[], Mode::Infer)
                .unwrap_or_else(|found| panic!("{}", render(&found, &files)));
            assert!(
                model.warnings.is_empty(),
                "{}",
                render(&model.warnings, &files)
            );
            netc::ir::verify::verify(&model.graph).expect("a graph that comes out is valid");
            if let Some(&wanted) = wanted.get(name) {
                let trained = model
                    .graph
                    .params()
                    .filter(|(_, param)| param.role.is_trainable());
                let count: usize = trained
                    .map(|(value, _)| model.graph.ty(value).shape.elements())
                    .sum();
                assert_eq!(count, wanted, "trained values of {name}");
            }
        }
    }
}
