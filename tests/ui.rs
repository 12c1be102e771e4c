//! Every `.net` file under `tests/ui` goes through the front end; the snapshot shows the source and what came of it.
//!
//! Files in `ok` must be accepted, files in `err` must be rejected with the findings shown. Files are found by name, so
//! adding a case is adding a file.

use std::path::Path;

use netc::diag::{Diagnostic, Files, Renderer, Terminal};
use netc::syntax;

/// Source and findings, as a reviewer wants to see them together.
fn report(path: &Path) -> (String, Vec<Diagnostic>) {
    let bytes = std::fs::read(path).expect("the glob found this file");
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("test files have ASCII names");
    let mut files = Files::new();
    let (tree, diagnostics) = match syntax::read(&mut files, name, &bytes) {
        Ok(file) => {
            let parsed = syntax::parse(file, files.text(file));
            (
                parsed.ast.as_ref().map(syntax::print::print),
                parsed.diagnostics,
            )
        }
        Err(diagnostic) => (None, vec![*diagnostic]),
    };
    let mut out = String::new();
    let source = String::from_utf8_lossy(&bytes);
    out.push_str(
        &source
            .replace('\0', "<NUL>")
            .replace('\u{FEFF}', "<BOM>")
            .replace('\r', "<CR>"),
    );
    out.push_str("\n----------------------------------------------------------------\n");
    let terminal = Terminal { color: false };
    for diagnostic in &diagnostics {
        out.push_str(&terminal.render(diagnostic, &files));
        out.push_str("\n\n");
    }
    out.push_str(&tree.unwrap_or_default());
    (out, diagnostics)
}

#[test]
fn accepted_files() {
    insta::glob!("ui/ok/*.net", |path| {
        let (out, diagnostics) = report(path);
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(out) });
        assert!(
            !diagnostics.iter().any(Diagnostic::is_error),
            "{} must be accepted:\n{out}",
            path.display()
        );
    });
}

#[test]
fn rejected_files() {
    insta::glob!("ui/err/*.net", |path| {
        let (out, diagnostics) = report(path);
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(out) });
        assert!(
            diagnostics.iter().any(Diagnostic::is_error),
            "{} must be rejected:\n{out}",
            path.display()
        );
    });
}
