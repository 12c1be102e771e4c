//! Every `.net` file under `tests/ui` goes through the front end; the snapshot shows the source and what came of it.
//!
//! Files in `syntax` must parse, and show their tree. Files in `ok` must be accepted, and show the graph of each net.
//! Files in `err` must be rejected, and show the findings. Files are found by name, so adding a case is adding a file.
//! A file may start with directives: `//@ net: NAME`, `//@ set: PATH=VALUE`, `//@ mode: train`, `//@ graph: no` where
//! the graph is long, `//@ params: COUNT` for the number of trained values that the net must have.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use netc::diag::{Diagnostic, FileId, Files, Renderer, Terminal};
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

/// Reads a file; the output starts with the source.
fn read(path: &Path) -> (Outcome, Option<FileId>) {
    let bytes = std::fs::read(path).expect("the glob found this file");
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("test files have ASCII names");
    let source = String::from_utf8_lossy(&bytes);
    let source = source
        .replace('\0', "<NUL>")
        .replace('\u{FEFF}', "<BOM>")
        .replace('\r', "<CR>");
    let line = "-".repeat(64);
    let mut outcome = Outcome {
        out: format!("{source}\n{line}\n"),
        diagnostics: Vec::new(),
        files: Files::new(),
    };
    match syntax::read(&mut outcome.files, name, &bytes) {
        Ok(file) => (outcome, Some(file)),
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
    let (mut outcome, file) = read(path);
    let Some(file) = file else { return outcome };
    let name = PathBuf::from(outcome.files.name(file));
    let folder = path.parent().expect("a file stands in a folder");
    let loaded = Program::load(&mut outcome.files, file, &name, &Beside(folder));
    outcome.add(loaded.diagnostics);
    let Some(program) = loaded.program else {
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
        let (mut outcome, file) = read(path);
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
