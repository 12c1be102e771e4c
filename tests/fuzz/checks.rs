//! What must hold for any bytes. The fuzzer calls one of these for each input that it makes; `tests/fuzz_corpus.rs` calls
//! them for the inputs that are kept.

#![allow(
    dead_code,
    reason = "each target of the fuzzer calls one of these functions"
)]

use std::path::PathBuf;

use netc::diag::{Diagnostic, FileId, Files, Renderer, Terminal};
use netc::io::idx::{self, IdxKind};
use netc::io::npy;
use netc::io::weights::WeightsFile;
use netc::program::Program;
use netc::sema::{self, Mode};
use netc::syntax;

/// Shows findings, whose places must lie in the file.
fn show(diagnostics: &[Diagnostic], files: &Files) {
    for diagnostic in diagnostics {
        assert!(diagnostic.span().is_some(), "a finding has a place");
        Terminal { color: false }.render(diagnostic, files);
        for edit in diagnostic.help.iter().filter_map(|help| help.edit.as_ref()) {
            assert!(
                files.text(edit.span.file).get(edit.span.range()).is_some(),
                "an edit has a place: {diagnostic:?}"
            );
        }
    }
}

fn read(data: &[u8]) -> Option<(Files, FileId)> {
    let mut files = Files::new();
    match syntax::read(&mut files, "fuzz.net", data) {
        Ok(file) => Some((files, file)),
        Err(diagnostic) => {
            show(&[*diagnostic], &files);
            None
        }
    }
}

/// A text has a tree or errors; a tree has a layout that is a fixed point and has the same tree.
pub(crate) fn parse(data: &[u8]) {
    let Some((files, file)) = read(data) else {
        return;
    };
    let parsed = syntax::parse(file, files.text(file));
    let is_wrong = parsed.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(parsed.ast.is_none(), is_wrong, "a tree, or an error");
    show(&parsed.diagnostics, &files);
    if let Ok(once) = syntax::fmt::format(file, files.text(file)) {
        let twice = syntax::fmt::format(file, &once);
        assert_eq!(
            twice.as_deref(),
            Ok(once.as_str()),
            "a layout is a fixed point"
        );
    }
}

/// Every net of a text has a valid graph or errors, for use and for training.
pub(crate) fn check(data: &[u8]) {
    let Some((mut files, file)) = read(data) else {
        return;
    };
    let loaded = Program::alone(&mut files, file);
    let Some(program) = loaded.program else {
        if let Some(rest) = &loaded.recovered {
            show(&sema::check_recovered(rest, &files, None, &[]), &files);
        }
        return;
    };
    show(&sema::searches(&program, &files).1, &files);
    for net in sema::net_names(program.main()).into_iter().take(4) {
        for mode in [Mode::Infer, Mode::Train] {
            match sema::elaborate(&program, &files, Some(net), &[], mode) {
                Ok(model) => {
                    show(&model.warnings, &files);
                    netc::ir::verify::verify(&model.graph)
                        .expect("a graph that comes out is valid");
                }
                Err(diagnostics) => {
                    assert!(
                        diagnostics.iter().any(Diagnostic::is_error),
                        "an error says why"
                    );
                    show(&diagnostics, &files);
                }
            }
        }
    }
}

/// The bytes as a file, which is gone with the folder.
fn file(data: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, data).expect("a written file");
    (folder, path)
}

/// A weights file can be read, or its reader says why not.
pub(crate) fn weights(data: &[u8]) {
    let (_folder, path) = file(data);
    let Ok(mut weights) = WeightsFile::open(&path) else {
        return;
    };
    let names: Vec<String> = weights.tensors().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        // What cannot be read is said; nothing else is asked here.
        drop(weights.read(&name));
    }
}

/// An array can be read, or its readers say why not.
pub(crate) fn arrays(data: &[u8]) {
    let (_folder, path) = file(data);
    if let Ok(tensor) = npy::read(&path) {
        let count: usize = tensor.shape().iter().product();
        assert_eq!(count, tensor.data().len(), "an array is complete");
    }
    drop(npy::read_indices(&path));
    for kind in [IdxKind::Images, IdxKind::Labels] {
        drop(idx::read(&path, kind));
    }
}
