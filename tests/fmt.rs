//! The formatter: one layout, the same tree, every comment, nothing left to change.

mod grown;

use std::path::{Path, PathBuf};

use netc::diag::{Files, Renderer, Terminal};
use netc::syntax;
use proptest::prelude::*;

fn try_format(text: &str) -> Result<String, String> {
    let mut files = Files::new();
    let file = files.add("test.net", text);
    syntax::fmt::format(file, text).map_err(|diagnostics| {
        let terminal = Terminal { color: false };
        let shown = diagnostics.iter().map(|d| terminal.render(d, &files));
        shown.collect::<Vec<_>>().join("\n")
    })
}

fn tree(text: &str) -> Option<String> {
    let file = Files::new().add("test.net", text);
    let ast = syntax::parse(file, text).ast?;
    Some(syntax::print::print(&ast))
}

fn comments(text: &str) -> Vec<String> {
    let file = Files::new().add("test.net", text);
    let parsed = syntax::parse(file, text);
    let clean = |comment: &str| comment.trim_end().replace("\r\n", "\n");
    parsed
        .comments
        .iter()
        .map(|span| clean(&text[span.range()]))
        .collect()
}

/// Formats a text and holds the result against everything that is promised of it.
fn check(text: &str) -> String {
    let once = try_format(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    assert_eq!(tree(&once), tree(text), "another tree:\n{text}\n=>\n{once}");
    assert_eq!(
        comments(&once),
        comments(text),
        "other comments:\n{text}\n=>\n{once}"
    );
    let twice = try_format(&once).unwrap_or_else(|error| panic!("{once}\n{error}"));
    assert_eq!(once, twice, "not a fixed point, made of\n{text}");
    assert!(
        once.lines().all(|line| line == line.trim_end()),
        "blanks at a line's end:\n{once}"
    );
    assert!(!once.contains("\n\n\n") && !once.starts_with('\n') && !once.contains('\r'));
    once
}

fn nets(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder is part of the repository");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "net"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("nets of these folders are UTF-8");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// A macro, because the snapshot is named after the function that it stands in.
macro_rules! snapshot {
    ($out:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($out) })
    };
}

#[test]
fn every_net_of_the_tests_keeps_its_meaning() {
    for folder in [
        "examples",
        "tests/golden",
        "tests/ui/ok",
        "tests/ui/syntax",
        "tests/ui/fmt",
    ] {
        for (_, text) in nets(folder) {
            check(&text);
            check(&text.replace("\r\n", "\n").replace('\n', "\r\n"));
        }
    }
}

#[test]
fn layouts() {
    insta::glob!("ui/fmt/*.net", |path| {
        let text = std::fs::read_to_string(path).expect("the glob found this file");
        let line = "-".repeat(64);
        snapshot!(format!("{text}{line}\n{}", check(&text)));
    });
}

#[test]
fn the_examples_have_the_layout() {
    for folder in ["examples", "tests/golden"] {
        for (path, text) in nets(folder) {
            assert_eq!(check(&text), text, "run `netc fmt {}`", path.display());
        }
    }
}

#[test]
fn the_nets_of_the_readme_have_the_layout() {
    let readme = include_str!("../README.md");
    let blocks: Vec<&str> = readme
        .split("```net\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 1);
    for block in blocks {
        assert_eq!(check(block), block);
    }
}

#[test]
fn marks_and_line_ends_are_made_the_same() {
    let text = "net A {\n    input [4]\n    /* two\n    lines */\n    relu\n}\n";
    assert_eq!(check(text), text);
    let foreign = format!("\u{FEFF}{}", text.replace('\n', "\r\n"));
    assert_eq!(check(&foreign), text);
    assert_eq!(check(&text.replace("    relu\n}\n", "    relu }")), text);
}

#[test]
fn empty_files_stay_empty_and_comments_alone_stay() {
    assert_eq!(check(""), "");
    assert_eq!(check("\n\n ; \n"), "");
    assert_eq!(
        check("\n// one\n\n\n\n/* two */   \n"),
        "// one\n\n/* two */\n"
    );
}

#[test]
fn what_does_not_parse_is_refused_with_the_reason() {
    let error = try_format("net A { input [4]; conv(3 }\n").unwrap_err();
    assert!(
        error.contains("N0103") && error.contains("test.net:1:24"),
        "{error}"
    );
}

/// Places where something may stand between two tokens: at both ends of each run of letters and digits, and around all
/// other characters, but inside of no comment and no string.
fn gaps(text: &str) -> Vec<usize> {
    let file = Files::new().add("test.net", text);
    let parsed = syntax::parse(file, text);
    let mut gaps = Vec::new();
    let mut quoted = false;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let in_comment = parsed
            .comments
            .iter()
            .any(|comment| comment.range().start < at && at < comment.range().end);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if !(in_comment || quoted || word(before) && word(c)) {
            gaps.push(at);
        }
        quoted ^= c == '"' && !in_comment && before != '\\';
        before = c;
    }
    gaps.push(text.len());
    gaps
}

/// The text with comments in all gaps where they may stand.
fn with_comments(text: &str, comment: impl Fn(usize) -> String) -> String {
    let before = tree(text);
    let fits = |&at: &usize| {
        let with = format!("{}{}{}", &text[..at], comment(0), &text[at..]);
        tree(&with) == before
    };
    let gaps: Vec<usize> = gaps(text).into_iter().filter(fits).collect();
    assert!(gaps.len() > 20, "comments may stand in many places");
    let mut out = String::new();
    let mut from = 0;
    for (count, at) in gaps.into_iter().enumerate() {
        out.push_str(&text[from..at]);
        out.push_str(&comment(count));
        from = at;
    }
    out + &text[from..]
}

#[test]
fn a_comment_in_every_gap_stays() {
    // One file has every form of the language; the others are what people write.
    let everything = nets("tests/ui/syntax").into_iter();
    let everything = everything.filter(|(path, _)| path.ends_with("everything.net"));
    for (_, text) in nets("examples").into_iter().chain(everything) {
        check(&with_comments(&text, |at| format!("/* {at} */")));
        check(&with_comments(&text, |at| format!("// {at}\n")));
        check(&with_comments(&text, |at| format!("\n/* {at}\n */\n")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever tree is written, in whatever layout, with comments anywhere.
    #[test]
    fn every_tree_survives(choices in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&grown::file(&choices));
    }
}
