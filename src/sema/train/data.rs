//! `data`: where the samples come from, by name. Whether anything lies there is found by whoever loads them.

use std::fmt;

use super::chosen::call;
use super::lines::Line;
use super::table::choice;
use crate::diag::{Diagnostic, Span, codes};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::report::{quoted, suggest};
use crate::sema::scope::Env;
use crate::sema::value::Value;
use crate::syntax::ast::{Expr, ExprKind};

/// Where the samples come from.
#[derive(Clone, Debug, PartialEq)]
pub struct DataLine {
    /// Which samples.
    pub set: DataSet,
    /// How many samples to learn from are held out.
    pub validation: usize,
    /// The place.
    pub span: Span,
}

/// A set of samples, as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSet {
    /// A set that has a name, and the folder to look for it in, if the file says one.
    Named {
        /// Its name.
        name: &'static str,
        /// Where its files lie.
        folder: Option<String>,
    },
    /// Whatever a folder holds.
    Folder(String),
}

impl fmt::Display for DataLine {
    /// As it would be written with every default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let validation = ("validation", self.validation.to_string());
        match &self.set {
            DataSet::Named { name, folder: None } => f.write_str(&call(name, &[validation])),
            DataSet::Named {
                name,
                folder: Some(folder),
            } => {
                let folder = ("folder", format!("{folder:?}"));
                f.write_str(&call(name, &[folder, validation]))
            }
            DataSet::Folder(path) => {
                write!(f, "folder({path:?}, validation = {})", self.validation)
            }
        }
    }
}

const VALIDATION: Attr = Attr {
    name: "validation",
    kind: AttrKind::Int(0, u32::MAX as i64),
    default: Default::Int(0),
    positional: false,
};
const PATH: Attr = Attr {
    name: "path",
    kind: AttrKind::Any,
    default: Default::Required,
    positional: true,
};
const WHERE: Attr = Attr {
    name: "folder",
    kind: AttrKind::Any,
    default: Default::Word("none"),
    positional: false,
};

pub(super) static FASHION_MNIST: Layer = choice("fashion_mnist", &[VALIDATION, WHERE]);
pub(super) static FASHION_MNIST_SMALL: Layer = choice("fashion_mnist_small", &[VALIDATION, WHERE]);
pub(super) static XOR: Layer = choice("xor", &[VALIDATION]);
pub(super) static FOLDER: Layer = choice("folder", &[PATH, VALIDATION]);

/// The sets that have names.
pub const NAMES: [&str; 3] = [FASHION_MNIST.name, FASHION_MNIST_SMALL.name, XOR.name];

impl<'a> Elab<'a> {
    /// `data fashion_mnist(validation = 5000)`, `data folder("photos")`
    pub(super) fn data(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<DataLine> {
        let expr = self.value(line)?;
        if let ExprKind::Str(path) = &expr.kind {
            let diagnostic = Diagnostic::error(codes::BAD_VALUE, "a path alone is no data set");
            self.report(diagnostic.primary(expr.span, "").edit(
                "samples that lie in a folder are written so",
                expr.span,
                format!("folder({path:?})"),
            ));
            return None;
        }
        let chosen = self.chosen_of(line, expr)?;
        let known = [&FASHION_MNIST, &FASHION_MNIST_SMALL, &XOR, &FOLDER];
        let Some(signature) = known.into_iter().find(|known| known.name == chosen.name) else {
            self.no_data(expr, chosen.name, chosen.name_span);
            return None;
        };
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        let validation = self.int(&attrs, "validation")?;
        let set = if signature.name == FOLDER.name {
            DataSet::Folder(self.string(&attrs, "path")?)
        } else {
            let has_folder = signature.attrs.iter().any(|attr| attr.name == WHERE.name);
            let folder = match has_folder.then(|| self.given(&attrs, WHERE.name).0) {
                None | Some(Value::Word(_)) => None,
                Some(_) => Some(self.string(&attrs, WHERE.name)?),
            };
            DataSet::Named {
                name: signature.name,
                folder,
            }
        };
        Some(DataLine {
            set,
            validation,
            span: expr.span,
        })
    }

    /// A name that is no set's: a misspelling, or a folder.
    fn no_data(&mut self, expr: &Expr, name: &str, place: Span) {
        let message = format!("there is no data set `{name}`");
        let diagnostic = Diagnostic::error(codes::BAD_VALUE, message).primary(place, "");
        let known = NAMES.into_iter().chain([FOLDER.name]);
        let diagnostic = match suggest(name, known) {
            Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), place, near),
            None => diagnostic.help(format!("known are {}", NAMES.map(quoted).join(", "))),
        };
        self.report(match &expr.kind {
            ExprKind::Name(_) => diagnostic.edit(
                format!("a folder is named as `folder(\"{name}\")`"),
                place,
                format!("folder(\"{name}\")"),
            ),
            _ => diagnostic,
        });
    }
}
