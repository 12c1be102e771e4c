//! The pages of the reference: their tables are the compiler's own, and their nets are accepted.
//!
//! `NETC_UPDATE_REFERENCE=1 cargo test --test reference` writes the tables anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use netc::diag::{Files, codes};
use netc::program::Program;
use netc::sema::reference::{self, Attribute, Choice, Family};
use netc::sema::{self, Mode};
use netc::syntax;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/reference")
}

/// The pages, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder()).expect("the folder exists");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    let page = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a page is text");
        (path, text)
    };
    paths.into_iter().map(page).collect()
}

/// A page with the part between its marks replaced.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let (before, rest) = text.split_once(&begin).expect("the page has the mark");
    let (_, after) = rest
        .split_once(&end)
        .expect("the page has the closing mark");
    format!("{before}{begin}\n{}\n\n{end}{after}", table.trim())
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn attribute_rows(attributes: &[Attribute]) -> String {
    let mut text = row(&["attribute", "takes", "default"]) + "| --- | --- | --- |\n";
    for attribute in attributes {
        let default = match &attribute.default {
            Some(default) => format!("`{default}`"),
            None => "must be given".to_owned(),
        };
        let name = format!("`{}`", attribute.name);
        let name = if attribute.positional {
            format!("{name}, by position")
        } else {
            name
        };
        text += &row(&[&name, &attribute.kind, &default]);
    }
    text
}

fn layers() -> String {
    let entries = reference::layers();
    let mut text = String::new();
    for family in Family::ALL {
        text += &format!("## {}\n\n", family.title());
        for entry in entries.iter().filter(|entry| entry.doc.family == family) {
            let doc = entry.doc;
            text += &format!("### `{}`\n\n", entry.name);
            for (what, value) in [
                ("Computes", doc.formula),
                ("Sizes", doc.shape),
                ("Weights", doc.weights),
                ("Note", doc.notes),
                ("Source", doc.source),
            ] {
                if !value.is_empty() {
                    text += &format!("- {what}: {value}\n");
                }
            }
            if !entry.attributes.is_empty() {
                text += &format!("\n{}", attribute_rows(&entry.attributes));
            }
            text.push('\n');
        }
    }
    text
}

fn choices() -> String {
    let mut text =
        row(&["key", "choice", "arguments with their defaults"]) + "| --- | --- | --- |\n";
    for choice in reference::choices_of_training() {
        let Choice { key, name, .. } = choice;
        let call = choice.call();
        let arguments = call.strip_prefix(name).unwrap_or_default();
        let arguments = arguments.trim_start_matches('(').trim_end_matches(')');
        let arguments = match arguments {
            "" => String::new(),
            arguments => format!("`{arguments}`"),
        };
        text += &row(&[&format!("`{key}`"), &format!("`{name}`"), &arguments]);
    }
    text
}

/// The commands as the program itself lists them.
fn commands() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_netc"))
        .arg("--help")
        .output()
        .expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("the help is text");
    let (_, listing) = help.split_once("Usage:").expect("the help shows the usage");
    let (_, listing) = listing.split_once("\n\n").expect("the commands follow");
    let (listing, _) = listing.split_once("Options:").expect("the options follow");
    let mut text = row(&["command", "what it does"]) + "| --- | --- |\n";
    for line in listing.lines().filter(|line| line.starts_with("  ")) {
        let (name, about) = line
            .trim()
            .split_once(' ')
            .expect("a command and what it does");
        text += &row(&[&format!("`netc {name}`"), about.trim()]);
    }
    text
}

#[test]
fn tables_are_the_compilers_own() {
    let update = std::env::var_os("NETC_UPDATE_REFERENCE").is_some();
    let tables = [
        ("layers.md", "layers", layers()),
        ("train.md", "choices", choices()),
        (
            "files.md",
            "image",
            attribute_rows(&reference::image().arguments),
        ),
        ("command-line.md", "commands", commands()),
    ];
    for (page, name, table) in tables {
        let path = folder().join(page);
        let text = std::fs::read_to_string(&path).expect("the page exists");
        let wanted = with_table(&text, name, &table);
        if update {
            std::fs::write(&path, wanted).expect("the page can be written");
        } else {
            assert!(
                text == wanted,
                "{page} is not what the compiler says; NETC_UPDATE_REFERENCE=1 writes it anew"
            );
        }
    }
}

/// The blocks of a page between fences of a language.
fn blocks<'p>(text: &'p str, language: &str) -> impl Iterator<Item = &'p str> {
    let fence = format!("```{language}\n");
    let parts: Vec<&str> = text.split(fence.as_str()).skip(1).collect();
    parts
        .into_iter()
        .map(|part| part.split("```").next().unwrap_or(part))
}

/// Every net of the pages is accepted, without a warning, in use and in training. What the language has and this version
/// has not may only be told as that.
#[test]
fn nets_of_the_pages_are_right() {
    let mut nets = 0;
    for (path, text) in pages() {
        for block in blocks(&text, "net") {
            let mut files = Files::new();
            let name = path.display().to_string();
            let file = syntax::read(&mut files, &name, block.as_bytes()).expect("a block is text");
            let loaded = Program::alone(&mut files, file);
            let program = loaded
                .program
                .unwrap_or_else(|| panic!("{name}: {:?}\n{block}", loaded.diagnostics));
            let names = sema::net_names(program.main());
            assert!(
                !names.is_empty(),
                "{name}: a block without a net cannot be checked:\n{block}"
            );
            for net in names {
                for mode in [Mode::Infer, Mode::Train] {
                    nets += 1;
                    let found = match sema::elaborate(&program, &files, Some(net), &[], mode) {
                        Ok(model) => model.warnings,
                        Err(found) => found,
                    };
                    let later = codes::TRAIN_NOT_SUPPORTED;
                    let wrong = found.iter().find(|finding| finding.code != later);
                    assert!(wrong.is_none(), "{name}: {net}: {wrong:?}\n{block}");
                }
            }
        }
    }
    assert!(nets >= 20, "{nets}");
}

/// Links between the pages lead somewhere.
#[test]
fn links_lead_to_pages() {
    for (path, text) in pages() {
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let there = target.starts_with("https://") || folder().join(target).is_file();
            assert!(there, "{}: {target}", path.display());
        }
    }
}
