//! A file with all the files it uses: what `use` brings together.
//!
//! [`Program::load`] parses a file, then each file that a `use` of it names, and so on, every file once. What comes out
//! is a set of syntax trees and who uses whom. Here a `use` is followed and a circle is found; whether names clash or
//! are known is for [`crate::sema`]. This module knows texts and trees, and nothing of layers or shapes.

mod load;
pub mod shipped;
mod sources;

use std::path::PathBuf;

use crate::diag::{Diagnostic, FileId, Files, Span};
use crate::syntax::Ast;
use crate::syntax::ast::{Item, UseSource};
pub use sources::{Disk, Sources, Texts};

/// A file and all the files it uses, each once.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file that was asked for comes first.
    modules: Vec<Module>,
}

/// A file of a program.
#[derive(Clone, Debug)]
pub struct Module {
    /// What was written.
    pub ast: Ast,
    /// What its `use` items name, in order.
    pub uses: Vec<Used>,
    /// Whether something that it declares or uses may be missing here, because of an error that is reported.
    pub incomplete: bool,
}

/// A `use` that has been followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The `use`.
    pub span: Span,
    /// The file that it brings.
    pub file: FileId,
}

/// What became of a file and those it uses.
#[derive(Debug)]
pub struct Loaded {
    /// The program; there is none if a diagnostic is an error.
    pub program: Option<Program>,
    /// What could be read of a program with errors, for those who look for more of them.
    pub recovered: Option<Program>,
    /// Everything worth saying. Warnings are those of the first file alone: the others are checked on their own.
    pub diagnostics: Vec<Diagnostic>,
}

impl Program {
    /// Parses a file that stands alone: it may use what is shipped, and no other file.
    pub fn alone(files: &mut Files, file: FileId) -> Loaded {
        let path = PathBuf::from(files.name(file));
        Self::load(files, file, &path, &Texts::new())
    }

    /// The file that was asked for.
    #[must_use]
    pub fn main(&self) -> &Ast {
        &self.modules[0].ast
    }

    /// All files; the one that was asked for comes first.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// A file of the program.
    #[must_use]
    pub fn module(&self, file: FileId) -> Option<&Module> {
        self.modules.iter().find(|module| module.ast.file == file)
    }
}

/// How messages call what a `use` names.
pub(crate) fn spelled(source: &UseSource) -> String {
    match source {
        UseSource::File(path) => format!("{:?}", path.text),
        UseSource::Module(words) => {
            let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            words.join(".")
        }
    }
}

/// The `use` items of a file.
fn uses(ast: &Ast) -> impl Iterator<Item = &crate::syntax::ast::Use> {
    ast.items.iter().filter_map(|item| match item {
        Item::Use(item) => Some(item),
        _ => None,
    })
}
