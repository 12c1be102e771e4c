//! The blocks that come with netc: `.net` files under `src/std`, inside the binary.

use std::sync::LazyLock;

use include_dir::{Dir, include_dir};

use crate::diag::Files;
use crate::syntax::ast::{Item, Name, Param};

/// The first word of a shipped module's path.
pub const ROOT: &str = "std";

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/std");

/// A shipped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// What stands behind `std.` in a `use`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All shipped modules, by name.
#[must_use]
pub fn modules() -> Vec<Shipped> {
    let module = |file: &'static include_dir::File<'static>| {
        let name = file.path().file_name()?.to_str()?.strip_suffix(".net")?;
        let text = file.contents_utf8()?;
        Some(Shipped { name, text })
    };
    let mut modules: Vec<Shipped> = FILES.files().filter_map(module).collect();
    modules.sort_by_key(|module| module.name);
    modules
}

/// The shipped module of that name.
#[must_use]
pub fn find(name: &str) -> Option<Shipped> {
    modules().into_iter().find(|module| module.name == name)
}

/// The shipped module that declares a block or a function of that name, for suggestions.
pub(crate) fn declaring(name: &str) -> Option<&'static str> {
    // A file may have many unknown names; the modules are read for the first one.
    static NAMES: LazyLock<Vec<(String, &str)>> = LazyLock::new(|| {
        let modules = modules().into_iter();
        let names = modules.flat_map(|module| {
            let declared = declared(module).into_iter();
            declared.map(move |shown| (shown.name, module.name))
        });
        names.collect()
    });
    let declared = NAMES.iter().find(|(declared, _)| declared == name);
    declared.map(|&(_, module)| module)
}

/// A block or a function of a shipped module, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its head as it is written, as `fire(squeeze, expand)`.
    pub call: String,
    /// The first line of its `///` comment.
    pub doc: Option<String>,
}

/// The head of a block or a function as it is written.
pub(crate) fn call(name: &Name, params: &[Param], files: &Files) -> String {
    let params: Vec<&str> = params.iter().map(|param| files.slice(param.span)).collect();
    match params.as_slice() {
        [] => name.text.clone(),
        params => format!("{}({})", name.text, params.join(", ")),
    }
}

/// What a shipped module declares, in order.
#[must_use]
pub fn declared(module: Shipped) -> Vec<Shown> {
    let mut files = Files::new();
    let file = files.add(module.name, module.text);
    let ast = crate::syntax::parse(file, module.text).ast;
    let items = ast.map(|ast| ast.items).unwrap_or_default();
    let shown = |name: &Name, params: &[Param], docs: &[String]| Shown {
        name: name.text.clone(),
        call: call(name, params, &files),
        doc: docs.first().cloned(),
    };
    let items = items.iter().filter_map(|item| match item {
        Item::Block(block) => Some(shown(&block.name, &block.params, &block.docs)),
        Item::Fn(function) => Some(shown(&function.name, &function.params, &function.docs)),
        _ => None,
    });
    items.collect()
}
