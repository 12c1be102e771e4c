//! Every `.net` file under `tests/ui` goes through the front end; the snapshot shows the source and what came of it.
//!
//! Files in `syntax` must parse, and show their tree. Files in `ok` must be accepted, and show the graph of each net.
//! Files in `err` must be rejected, and show the findings. Files are found by name, so adding a case is adding a file.
//! A file may start with directives: `//@ net: NAME`, `//@ set: PATH=VALUE`, `//@ mode: train`, `//@ graph: no` where
//! the graph is long, `//@ params: COUNT` for the number of trained values that the net must have.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use netc::diag::{self, Code, Diagnostic, Edit, FileId, Files, Renderer, Terminal, codes};
use netc::program::{Disk, Program, Sources};
use netc::sema::{self, Mode, Override};
use netc::syntax;

/// What the leading comments of a file ask for.
struct Directives {
    net: Option<String>,
    set: Vec<String>,
    mode: Mode,
    params: Option<usize>,
    graph: bool,
}

impl Directives {
    fn of(text: &str) -> Self {
        let mut directives = Self {
            net: None,
            set: Vec::new(),
            mode: Mode::Infer,
            params: None,
            graph: true,
        };
        for line in text.lines().map_while(|line| line.strip_prefix("//@ ")) {
            match line.split_once(": ") {
                Some(("net", name)) => directives.net = Some(name.to_owned()),
                Some(("set", setting)) => directives.set.push(setting.to_owned()),
                Some(("params", count)) => {
                    directives.params = Some(count.parse().expect("a count"))
                }
                Some(("graph", "no")) => directives.graph = false,
                Some(("mode", "train")) => directives.mode = Mode::Train,
                _ => panic!("unknown directive `{line}`"),
            }
        }
        directives
    }
}

/// What a case went through.
struct Outcome {
    out: String,
    diagnostics: Vec<Diagnostic>,
    files: Files,
    /// The file itself, beside the settings of the command line.
    file: Option<FileId>,
}

impl Outcome {
    fn add(&mut self, diagnostics: Vec<Diagnostic>) {
        let terminal = Terminal { color: false };
        for diagnostic in diagnostics {
            // What is wrong with the file is reported again for each of its nets.
            if self.diagnostics.contains(&diagnostic) {
                continue;
            }
            let _ = writeln!(self.out, "{}\n", terminal.render(&diagnostic, &self.files));
            self.diagnostics.push(diagnostic);
        }
    }

    fn rejected(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the glob found this file")
}

/// Reads the content of a file; the output starts with the source.
fn read(path: &Path, bytes: &[u8]) -> (Outcome, Option<FileId>) {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("test files have ASCII names");
    let source = String::from_utf8_lossy(bytes);
    let source = source
        .replace('\0', "<NUL>")
        .replace('\u{FEFF}', "<BOM>")
        .replace('\r', "<CR>");
    let line = "-".repeat(64);
    let mut outcome = Outcome {
        out: format!("{source}\n{line}\n"),
        diagnostics: Vec::new(),
        files: Files::new(),
        file: None,
    };
    match syntax::read(&mut outcome.files, name, bytes) {
        Ok(file) => {
            outcome.file = Some(file);
            (outcome, Some(file))
        }
        Err(diagnostic) => {
            outcome.add(vec![*diagnostic]);
            (outcome, None)
        }
    }
}

/// The files of the disk, called by names that are the same on every machine.
struct Beside<'p>(&'p Path);

impl Sources for Beside<'_> {
    fn read(&self, path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
        Disk.read(&self.0.join(path), limit)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        Disk.identity(&self.0.join(path))
    }

    fn nets_in(&self, folder: &Path) -> Vec<String> {
        Disk.nets_in(&self.0.join(folder))
    }
}

/// Parses a file and all that it uses, and elaborates its nets.
fn elaborate(path: &Path) -> Outcome {
    elaborate_bytes(path, &content(path))
}

/// Parses the content of a file and elaborates its nets.
fn elaborate_bytes(path: &Path, bytes: &[u8]) -> Outcome {
    let (mut outcome, file) = read(path, bytes);
    let Some(file) = file else { return outcome };
    let name = PathBuf::from(outcome.files.name(file));
    let folder = path.parent().expect("a file stands in a folder");
    let loaded = Program::load(&mut outcome.files, file, &name, &Beside(folder));
    outcome.add(loaded.diagnostics);
    let Some(program) = loaded.program else {
        if let Some(rest) = &loaded.recovered {
            let found = sema::check_recovered(rest, &outcome.files, None, &[]);
            outcome.add(found);
        }
        return outcome;
    };
    let directives = Directives::of(outcome.files.text(file));
    let mut overrides = Vec::new();
    for setting in &directives.set {
        match Override::parse(&mut outcome.files, setting) {
            Ok(setting) => overrides.push(setting),
            Err(diagnostics) => outcome.add(diagnostics),
        }
    }
    let mut nets: Vec<Option<&str>> = sema::net_names(program.main())
        .into_iter()
        .map(Some)
        .collect();
    if let Some(net) = &directives.net {
        nets = vec![Some(net)];
    } else if nets.is_empty() {
        nets = vec![None];
    }
    for net in nets {
        match sema::elaborate(&program, &outcome.files, net, &overrides, directives.mode) {
            Err(diagnostics) => outcome.add(diagnostics),
            Ok(model) => {
                netc::ir::verify::verify(&model.graph)
                    .unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
                outcome.add(model.warnings);
                if let Some(wanted) = directives.params {
                    let trained = model
                        .graph
                        .params()
                        .filter(|(_, param)| param.role.is_trainable());
                    let count: usize = trained
                        .map(|(value, _)| model.graph.ty(value).shape.elements())
                        .sum();
                    assert_eq!(count, wanted, "trained values of {}", path.display());
                }
                if directives.graph {
                    let _ = writeln!(outcome.out, "{}", model.graph);
                }
                for input in model.inputs.iter().filter(|input| input.source.is_some()) {
                    let _ = writeln!(
                        outcome.out,
                        "{} from {}",
                        input.name,
                        without_places(&format!("{:#?}", input.source))
                    );
                }
                for aux in &model.aux {
                    let _ = writeln!(outcome.out, "auxiliary {} x {}", aux.output, aux.weight);
                }
                if let Some(train) = model.train {
                    let _ = writeln!(outcome.out, "{}", without_places(&format!("{train:#?}")));
                }
            }
        }
    }
    let (spaces, found) = sema::searches(&program, &outcome.files);
    outcome.add(found);
    outcome.add(sema::try_searches(&program, &outcome.files));
    for space in spaces {
        let _ = writeln!(outcome.out, "{space}");
    }
    outcome
}

/// A debug dump without its spans, which say nothing that a reviewer needs.
fn without_places(dump: &str) -> String {
    let mut out = String::new();
    let mut lines = dump.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("span: Span {") {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{:indent$}}},", "");
            for inner in lines.by_ref() {
                if inner == end {
                    break;
                }
            }
            continue;
        }
        let _ = writeln!(out, "{line}");
    }
    out
}

/// A macro, because the snapshot is named after the function that it stands in.
macro_rules! snapshot {
    ($out:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($out) })
    };
}

#[test]
fn trees() {
    insta::glob!("ui/syntax/*.net", |path| {
        let (mut outcome, file) = read(path, &content(path));
        if let Some(file) = file {
            let parsed = syntax::parse(file, outcome.files.text(file));
            outcome.add(parsed.diagnostics);
            if let Some(ast) = &parsed.ast {
                outcome.out.push_str(&syntax::print::print(ast));
            }
        }
        snapshot!(&outcome.out);
        assert!(!outcome.rejected(), "{} must parse", path.display());
    });
}

#[test]
fn accepted_files() {
    insta::glob!("ui/ok/*.net", |path| {
        let outcome = elaborate(path);
        snapshot!(&outcome.out);
        assert!(
            !outcome.rejected(),
            "{} must be accepted:\n{}",
            path.display(),
            outcome.out
        );
    });
}

#[test]
fn rejected_files() {
    insta::glob!("ui/err/*.net", |path| {
        let outcome = elaborate(path);
        snapshot!(&outcome.out);
        assert!(
            outcome.rejected(),
            "{} must be rejected:\n{}",
            path.display(),
            outcome.out
        );
    });
}

/// Inputs too large for the tree; the snapshot shows what is said of them.
fn giants() -> [(&'static str, String); 4] {
    let minus = format!("fn f() {{ {}1 }}", "-".repeat(300));
    [
        ("too_large", "relu\n".repeat(300_000)),
        ("too_deep", format!("fn f() {{ {}", "(".repeat(300))),
        ("too_many_operators", minus),
        ("too_deep_expression", {
            let sum = |inner: String, _| format!("({inner}{})", " + 1".repeat(150));
            format!("fn f() {{ {} }}", (0..90).fold("1".to_owned(), sum))
        }),
    ]
}

/// What is found in a text.
fn findings(name: &str, text: &str) -> Outcome {
    elaborate_bytes(Path::new(name), text.as_bytes())
}

#[test]
fn giant_files() {
    for (name, text) in giants() {
        let outcome = findings(name, &text);
        let terminal = Terminal { color: false };
        let shown = outcome
            .diagnostics
            .iter()
            .map(|d| terminal.render(d, &outcome.files));
        let shown = shown.collect::<Vec<_>>().join("\n\n");
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, shown) });
    }
}

fn cases(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "net"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_code_is_shown_by_a_case() {
    let mut seen = BTreeSet::new();
    for path in cases("tests/ui/err")
        .into_iter()
        .chain(cases("tests/ui/ok"))
    {
        seen.extend(elaborate(&path).diagnostics.iter().map(|d| d.code.id));
    }
    for (name, text) in giants() {
        seen.extend(findings(name, &text).diagnostics.iter().map(|d| d.code.id));
    }
    for code in codes::ALL {
        assert!(seen.contains(code.id), "{code}: {}", code.title);
    }
}

/// Errors, or some of a code, that no edit can mend, and why.
const WITHOUT_EDIT: [(Code, &str); 48] = [
    (
        codes::NOT_UTF8,
        "bytes that are no text cannot be replaced by text",
    ),
    (
        codes::STRAY_BRACKET,
        "a setting of the command line is no part of the file",
    ),
    (
        codes::BAD_CHARACTER,
        "of most signs nobody knows what was meant",
    ),
    (codes::SYNTAX, "of most words nobody knows what was meant"),
    (
        codes::BAD_NUMBER,
        "what an unknown suffix stands for is not known",
    ),
    (codes::MISSING_ELSE, "the other value is not known"),
    (codes::STRAY_RANGE, "the value that was meant is not known"),
    (
        codes::OUTSIDE_ITEM,
        "the net that it belongs to is not known",
    ),
    (
        codes::BAD_FUNCTION_BODY,
        "the value that was meant is not known",
    ),
    (
        codes::MISPLACED_STATEMENT,
        "the place where it belongs is not known",
    ),
    (codes::NAME_TOO_LONG, "a good name is not known"),
    (codes::EMPTY_COMBINATOR, "the branches are not known"),
    (codes::UNKNOWN_NAME, "no known name is near"),
    (codes::UNKNOWN_LAYER, "no known layer is near"),
    (codes::UNKNOWN_ARGUMENT, "no known argument is near"),
    (codes::MISSING_ARGUMENT, "the value is not known"),
    (
        codes::EXTRA_ARGUMENT,
        "several arguments of one function are too many",
    ),
    (codes::BRANCH_SHAPES, "branches may differ in many ways"),
    (codes::WRONG_KIND, "the value that was meant is not known"),
    (
        codes::DUPLICATE_NAME,
        "which loop variable tells the rounds apart is not known",
    ),
    (codes::WHICH_NET, "the command line chooses the net"),
    (codes::NO_INPUT, "the size of the input is not known"),
    (
        codes::TOO_LARGE_NET,
        "the count that was meant is not known",
    ),
    (
        codes::TOO_DEEP_CALLS,
        "the end of the recursion is not known",
    ),
    (codes::NO_VALUE, "the value that was meant is not known"),
    (
        codes::UNKNOWN_OVERRIDE,
        "the command line is at fault, not the file",
    ),
    (
        codes::TOO_LARGE_TENSOR,
        "the size that was meant is not known",
    ),
    (
        codes::SHARED_SHAPES,
        "which of the uses is wrong is not known",
    ),
    (codes::PATTERN, "the parts that were meant are not known"),
    (codes::BAD_INDEX, "the part that was meant is not known"),
    (
        codes::ELEMENT_COUNT,
        "the shape that was meant is not known",
    ),
    (codes::BAD_INPUT, "the shape that was meant is not known"),
    (codes::UNKNOWN_KEY, "no known key is near"),
    (codes::BAD_VALUE, "no known value is near"),
    (codes::LOSS_OUTPUT, "which output is judged is not known"),
    (
        codes::TRAIN_NOT_SUPPORTED,
        "there is nothing to write instead",
    ),
    (
        codes::UNCLOSED_BRACKET,
        "which bracket was forgotten is not known",
    ),
    (codes::NOT_WHOLE, "the rounding that was meant is not known"),
    (codes::OUT_OF_RANGE, "what is meant instead is not known"),
    (
        codes::USE_MISSING,
        "the file or module that was meant is not known",
    ),
    (codes::USE_CIRCLE, "which file is to be split is not known"),
    (codes::BAD_SOURCE, "several sizes may be what was meant"),
    (
        codes::DUPLICATE_KEY,
        "which of the two is meant is not known",
    ),
    (codes::SEARCH_LINE, "the line that was meant is not known"),
    (
        codes::SEARCH_AXIS,
        "the values that were meant are not known",
    ),
    (
        codes::SEARCH_TARGET,
        "the parameter that was meant is not known",
    ),
    (codes::SEARCH_MEASURE, "no known measure is near"),
    (
        codes::SEARCH_SIZE,
        "the values that can be spared are not known",
    ),
];

/// Where a finding is after an edit that is not behind it.
fn moved(start: u32, edit: &Edit) -> u32 {
    let removed = edit.span.end - edit.span.start;
    let added = u32::try_from(edit.replacement.len()).expect("edits are short");
    if edit.span.end <= start {
        start - removed + added
    } else {
        start
    }
}

/// What is wrong with the text after an edit: the same finding again, or a new error of syntax.
fn check_edit(
    path: &Path,
    before: &Outcome,
    diagnostic: &Diagnostic,
    edit: &Edit,
) -> Result<(), String> {
    let text = diag::apply(before.files.text(edit.span.file), edit);
    let after = elaborate_bytes(path, text.as_bytes());
    let start = |diagnostic: &Diagnostic| diagnostic.span().map(|span| span.start);
    let place = start(diagnostic).map(|start| moved(start, edit));
    let again = |found: &&Diagnostic| {
        found.code == diagnostic.code
            && found.message == diagnostic.message
            && (start(found) == place || start(found) == start(diagnostic))
    };
    let new = |found: &&Diagnostic| {
        let known = |other: &Diagnostic| other.code == found.code && other.message == found.message;
        found.code.id < "N02" && !before.diagnostics.iter().any(known)
    };
    let terminal = Terminal { color: false };
    match after
        .diagnostics
        .iter()
        .find(|found| again(found) || new(found))
    {
        Some(found) => Err(format!(
            "{}\n=> {:?}\n{}",
            terminal.render(diagnostic, &before.files),
            edit.replacement,
            terminal.render(found, &after.files)
        )),
        None => Ok(()),
    }
}

#[test]
fn edits_mend_what_they_are_given_for() {
    let mut without = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in cases("tests/ui/err") {
        let before = elaborate(&path);
        for diagnostic in before.diagnostics.iter().filter(|d| d.is_error()) {
            let edits = diagnostic.help.iter().filter_map(|help| help.edit.as_ref());
            let edits: Vec<&Edit> = edits
                .filter(|edit| Some(edit.span.file) == before.file)
                .collect();
            if edits.is_empty() {
                without.insert(diagnostic.code.id);
            }
            for edit in edits {
                count += 1;
                wrong.extend(check_edit(&path, &before, diagnostic, edit).err());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} edits fail:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(count > 60, "{count} edits");
    let listed: BTreeSet<&str> = WITHOUT_EDIT.iter().map(|(code, _)| code.id).collect();
    assert_eq!(
        without, listed,
        "errors without an edit, and those that are known to have none"
    );
}
