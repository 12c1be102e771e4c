//! The rules of the house that the compiler does not check: who may name whom, where unsafe code may
//! stand, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)
            .expect("the tree is readable")
            .map(|entry| entry.expect("the tree is readable").path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .expect("the tree is readable")
                .display()
                .to_string();
            let text = fs::read_to_string(&path).expect("the tree is readable");
            (name, text)
        })
        .collect()
}

/// Lines that are code, not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// Files in `room` that name a module of `crate` they must not know.
fn strangers(room: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources() {
        let inside = name.starts_with(&format!("{room}/")) || name == format!("{room}.rs");
        if !inside || name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        for line in code(&text) {
            for module in forbidden {
                let named = line.contains(&format!("crate::{module}::"))
                    || line.contains(&format!("use crate::{module};"));
                if named {
                    found.push(format!("{name} names {module}: {}", line.trim()));
                }
            }
        }
    }
    found
}

#[test]
fn lower_layers_do_not_know_upper_ones() {
    let upper = [
        "cli", "sema", "syntax", "diag", "program", "train", "model", "engine", "driver",
    ];
    let rules: [(&str, Vec<&str>); 10] = [
        (
            "program",
            ["sema", "ir", "ops", "kernel", "runtime", "train", "cli"].to_vec(),
        ),
        (
            "kernel",
            [
                &upper[..],
                &["ir", "ops", "lower", "passes", "plan", "codegen", "runtime"],
            ]
            .concat(),
        ),
        (
            "codegen",
            [
                &upper[..],
                &["ir", "ops", "lower", "passes", "plan", "runtime"],
            ]
            .concat(),
        ),
        (
            "ir",
            [
                &upper[..],
                &["kernel", "lower", "passes", "plan", "codegen", "runtime"],
            ]
            .concat(),
        ),
        (
            "ops",
            [&upper[..], &["passes", "plan", "codegen", "runtime"]].concat(),
        ),
        (
            "lower",
            [&upper[..], &["passes", "plan", "runtime"]].concat(),
        ),
        ("passes", [&upper[..], &["plan", "runtime"]].concat()),
        ("plan", [&upper[..], &["runtime"]].concat()),
        (
            "io",
            ["ir", "ops", "kernel", "runtime", "cli", "sema", "train"].to_vec(),
        ),
        (
            "interp",
            [
                &upper[..],
                &["kernel", "lower", "passes", "plan", "codegen", "runtime"],
            ]
            .concat(),
        ),
    ];
    let found: Vec<String> = rules
        .iter()
        .flat_map(|(room, forbidden)| strangers(room, forbidden))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn only_code_generation_names_its_libraries() {
    for (name, text) in sources() {
        if name.starts_with("codegen/") {
            continue;
        }
        for line in code(&text) {
            for library in ["cranelift_", "iced_x86"] {
                assert!(!line.contains(library), "{name}: {line}");
            }
        }
    }
}

#[test]
fn unsafe_code_stands_where_it_may() {
    let allowed = [
        "codegen/jit.rs",
        "runtime/buffer.rs",
        "runtime/exec.rs",
        "runtime/float.rs",
        "runtime/limit.rs",
    ];
    for (name, text) in sources() {
        let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
        let may = allowed.contains(&name.as_str()) || is_test;
        let does = code(&text).any(|line| {
            line.contains("unsafe {")
                || line.contains("unsafe impl")
                || line.contains("allow(unsafe_code")
        });
        assert!(may || !does, "{name} has unsafe code");
    }
}

#[test]
fn only_the_command_line_prints() {
    for (name, text) in sources() {
        if name.starts_with("cli/") || name == "main.rs" || name.contains("tests") {
            continue;
        }
        let before_tests = text
            .split("#[cfg(test)]")
            .next()
            .expect("the tree is readable");
        for line in code(before_tests) {
            assert!(!line.contains("println!"), "{name}: {line}");
        }
    }
}

#[test]
fn only_the_runtime_starts_threads() {
    for (name, text) in sources() {
        if name.starts_with("runtime/") || name.contains("tests") {
            continue;
        }
        let before_tests = text
            .split("#[cfg(test)]")
            .next()
            .expect("the tree is readable");
        for line in code(before_tests) {
            let starts = line.contains("thread::spawn") || line.contains("into_par_iter");
            assert!(!starts, "{name}: {line}");
        }
    }
}

#[test]
fn files_stay_readable() {
    for (name, text) in sources() {
        if name.contains("tests") {
            continue;
        }
        let before_tests = text
            .split("#[cfg(test)]")
            .next()
            .expect("the tree is readable");
        let lines = before_tests.lines().count();
        assert!(lines <= 700, "{name} has {lines} lines without its tests");
    }
}

#[test]
fn no_architecture_is_known_to_the_compiler() {
    let families = [
        "resnet",
        "bottleneck",
        "densenet",
        "inception",
        "vgg",
        "mobilenet",
        "efficientnet",
        "mbconv",
        "squeezenet",
        "shufflenet",
        "condensenet",
        "xception",
        "cbam",
    ];
    for (name, text) in sources() {
        if name.contains("tests") {
            continue;
        }
        let before_tests = text
            .split("#[cfg(test)]")
            .next()
            .expect("the tree is readable");
        for line in code(before_tests) {
            let line = line.split("//").next().unwrap_or_default().to_lowercase();
            for family in families {
                assert!(!line.contains(family), "{name} names {family}: {line}");
            }
        }
    }
}

/// Tests compare texts to the byte, `.ci/run` is read by a shell: Windows line ends, which Git may put into a checkout, would
/// break both. The last line that matches a file decides, so the rule for all comes first, and none behind it may be for a
/// kind of text.
#[test]
fn texts_have_the_same_line_ends_everywhere() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".gitattributes");
    let text = fs::read_to_string(path).expect("the tree is readable");
    let mut lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.next(), Some("* text=auto eol=lf"), "{text}");
    let texts = [
        "*.rs", "*.md", "*.net", "*.snap", "*.json", "*.pest", "*.toml", ".ci/run", "run", "*",
    ];
    for line in lines {
        let pattern = line.split_whitespace().next().unwrap_or_default();
        let is_text = texts.contains(&pattern) && !line.ends_with("eol=lf");
        assert!(!is_text, "{line}");
    }
}
