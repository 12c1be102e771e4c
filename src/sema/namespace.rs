//! What can be named in a file: its own blocks and functions, those that its `use` items bring, and the built-in ones.
//!
//! A `use` brings the blocks and functions that the used file itself declares: neither what that file uses, nor its nets,
//! presets, `train` and `search` sections, which belong to the file that a command is given. Names that start with `_`
//! stay in their file. A name always means what it
//! means in the file where it is written, so a block works alike wherever it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Elab;
use super::arith::FUNCTIONS;
use super::layers;
use super::report::suggest;
use super::train::init;
use super::value::{LayerValue, Target, Value};
use crate::diag::{BOM, Diagnostic, FileId, Span, codes};
use crate::program::{Module, Program, shipped};
use crate::syntax::ast::{Block, Fn, Item, Name};

/// The blocks and functions that a file can name.
#[derive(Debug, Default)]
pub(super) struct Namespace<'a> {
    blocks: BTreeMap<&'a str, &'a Block>,
    fns: BTreeMap<&'a str, &'a Fn>,
    /// Where one more `use` can stand, on a line of its own.
    use_place: Option<Span>,
    /// The names of items with errors.
    broken: BTreeSet<&'a str>,
    /// Whether any other name may be one of an item with errors.
    incomplete: bool,
}

/// A block or a function.
#[derive(Clone, Copy, Debug)]
enum Declared<'a> {
    Block(&'a Block),
    Fn(&'a Fn),
}

impl<'a> Declared<'a> {
    fn name(self) -> &'a Name {
        match self {
            Self::Block(block) => &block.name,
            Self::Fn(function) => &function.name,
        }
    }

    /// The whole declaration.
    fn span(self) -> Span {
        match self {
            Self::Block(block) => block.span,
            Self::Fn(function) => function.span,
        }
    }
}

/// The blocks and functions that a file declares.
fn declared(module: &Module) -> impl Iterator<Item = Declared<'_>> {
    module.ast.items.iter().filter_map(|item| match item {
        Item::Block(block) => Some(Declared::Block(block)),
        Item::Fn(function) => Some(Declared::Fn(function)),
        _ => None,
    })
}

impl<'a> Elab<'a> {
    /// Takes in what the files declare and use, and refuses what is declared twice.
    pub(super) fn collect(&mut self, program: &'a Program) {
        for module in program.modules() {
            let mut space = Namespace {
                use_place: self.use_place(module),
                ..Namespace::default()
            };
            space.add_broken(module);
            let seen = self.declarations(module);
            for declared in declared(module) {
                space.add(declared);
            }
            for used in &module.uses {
                program
                    .module(used.file)
                    .into_iter()
                    .for_each(|brought| space.add_broken(brought));
                let brought = program.module(used.file).into_iter().flat_map(declared);
                let public = |declared: &Declared<'_>| !declared.name().text.starts_with('_');
                for declared in brought.filter(public) {
                    let name = declared.name();
                    let own = seen.get(name.text.as_str()).copied();
                    match (own, space.origin(&name.text)) {
                        (Some(own), _) => self.clash_with_own(declared, own, used.span, module),
                        (None, Some(earlier)) => self.clash(name, earlier, used.span, module),
                        (None, None) => space.add(declared),
                    }
                }
            }
            self.namespaces.insert(module.ast.file, space);
        }
    }

    /// Where one more `use` can stand: before the first one, or else before the first item and its comment.
    fn use_place(&self, module: &Module) -> Option<Span> {
        let items = &module.ast.items;
        let is_use = |item: &&Item| matches!(item, Item::Use(_));
        let first = items.iter().find(is_use).or(items.first())?;
        let place = self.with_docs(first.span());
        let before = &self.files.text(place.file)[..place.start as usize];
        let own_line = before.is_empty() || before.ends_with(['\n', BOM]);
        own_line.then_some(Span {
            end: place.start,
            ..place
        })
    }

    /// The names that a file declares; twice the same is an error.
    fn declarations(&mut self, module: &'a Module) -> BTreeMap<&'a str, Span> {
        let mut seen: BTreeMap<&'a str, Span> = BTreeMap::new();
        for item in &module.ast.items {
            let name = match item {
                Item::Net(net) => &net.name,
                Item::Preset(preset) => &preset.name,
                Item::Block(block) => &block.name,
                Item::Fn(function) => &function.name,
                Item::Use(_) | Item::Train(_) | Item::Search(_) => continue,
            };
            self.check_builtin(name);
            match seen.get(name.text.as_str()) {
                Some(&earlier) => self.duplicate(&name.text, name.span, earlier),
                None => drop(seen.insert(&name.text, name.span)),
            }
        }
        seen
    }

    /// A `use` brings a name that the file itself declares, at `own`.
    fn clash_with_own(&mut self, brought: Declared<'a>, own: Span, by: Span, module: &'a Module) {
        let name = brought.name();
        let message = format!(
            "`{}` is declared here, and a `use` brings another",
            name.text
        );
        let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, message)
            .primary(own, "the first one")
            .secondary(by, "brings the second one")
            .secondary(name.span, "the second one");
        let twin = declared(module).find(|declared| declared.name().span == own);
        let twin = twin.filter(|twin| self.say_the_same(twin.span(), brought.span()));
        self.report(match twin {
            Some(twin) => {
                let item = self.with_docs(twin.span());
                diagnostic.edit("both say the same: remove the one here", item, "")
            }
            None => diagnostic.help(format!(
                "rename the one here, or remove it and let `{}` be the one of the `use`",
                name.text
            )),
        });
    }

    /// Whether two places hold the same text, however it is laid out.
    fn say_the_same(&self, a: Span, b: Span) -> bool {
        let words = |span| self.files.slice(span).split_whitespace();
        words(a).eq(words(b))
    }

    /// An item with the `///` lines in front of it and the end of its last line.
    fn with_docs(&self, item: Span) -> Span {
        let text = self.files.text(item.file);
        let (mut start, mut end) = (item.start as usize, item.end as usize);
        while let Some(line) = text[..start].strip_suffix('\n') {
            let line = &line[line.rfind('\n').map_or(0, |at| at + 1)..];
            if !line.trim_start().starts_with("///") {
                break;
            }
            start -= line.len() + 1;
        }
        end += usize::from(text[end..].starts_with('\n'));
        Span {
            start: start as u32,
            end: end as u32,
            ..item
        }
    }

    /// A `use` brings a name that another one has brought already.
    fn clash(&mut self, name: &Name, earlier: Span, by: Span, module: &Module) {
        let message = format!("this `use` brings `{}`, which is there already", name.text);
        let other_use = module.uses.iter().find(|used| used.file == earlier.file);
        let mut diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, message)
            .primary(by, "")
            .secondary(earlier, "the first one");
        if let Some(other) = other_use {
            diagnostic = diagnostic.secondary(other.span, "brought by this");
        }
        let diagnostic = diagnostic.secondary(name.span, "the second one");
        // The place would hide a second clash of the same `use`.
        let again =
            |other: &Diagnostic| other.code == codes::DUPLICATE_NAME && other.span() == Some(by);
        if !self.diagnostics.iter().any(again) {
            self.report(diagnostic.help("rename one of the two, or copy the block that is needed"));
        }
    }

    /// A block or function must not take the name of a built-in one.
    fn check_builtin(&mut self, name: &Name) {
        let layer = layers::find(&name.text).is_some();
        let function = FUNCTIONS.iter().any(|(function, _)| *function == name.text);
        if layer || function {
            let what = if layer { "layer" } else { "function" };
            let diagnostic = Diagnostic::error(
                codes::DUPLICATE_NAME,
                format!("`{}` is a built-in {what}", name.text),
            );
            self.report(
                diagnostic
                    .primary(name.span, "second declaration")
                    .note(format!(
                        "the {what} `{}` is part of the language",
                        name.text
                    )),
            );
        }
    }

    /// What can be named in a file; the command line can name what the main file can.
    fn namespace(&self, file: FileId) -> Option<&Namespace<'a>> {
        self.namespaces
            .get(&file)
            .or_else(|| self.namespaces.get(&self.main))
    }

    /// A function that a file can name.
    pub(super) fn function(&self, name: &str, file: FileId) -> Option<&'a Fn> {
        self.namespace(file)?.fns.get(name).copied()
    }

    /// A block or a built-in layer that a file can name.
    pub(super) fn applicable(&self, name: &str, file: FileId) -> Option<Target<'a>> {
        if name == "id" {
            return Some(Target::Id);
        }
        let block = self
            .namespace(file)
            .and_then(|space| space.blocks.get(name));
        block
            .map(|block| Target::Block(block))
            .or_else(|| layers::find(name).map(Target::Builtin))
    }

    /// Where the block or function of that name is declared.
    pub(super) fn origin(&self, name: &str, file: FileId) -> Option<Span> {
        self.namespace(file)?.origin(name)
    }

    /// Whether a name may be declared by something that could not be read; the errors there have been reported.
    pub(super) fn may_be_broken(&self, name: &str, file: FileId) -> bool {
        let space = self.namespace(file);
        space.is_some_and(|space| space.incomplete || space.broken.contains(name))
    }

    /// Whether a name that no scope binds means something.
    pub(super) fn is_global(&self, name: &str, span: Span) -> bool {
        self.applicable(name, span.file).is_some()
            || self.may_be_broken(name, span.file)
            || self.function(name, span.file).is_some()
            || init::find(name).is_some()
            || layers::is_word(name)
            || FUNCTIONS.iter().any(|(function, _)| *function == name)
    }

    /// A name that no scope binds: a block, a layer, or a word that an attribute takes.
    pub(super) fn global(&mut self, name: &'a str, span: Span, visible: &[&str]) -> Value<'a> {
        if let Some(target) = self.applicable(name, span.file) {
            return Value::Layer(Rc::new(LayerValue { target, args: None }));
        }
        if self.function(name, span.file).is_none()
            && let Some(signature) = init::find(name)
        {
            return self.initialiser(signature, &[], span);
        }
        if layers::is_word(name) {
            return Value::Word(name.into());
        }
        let builtin = FUNCTIONS.iter().any(|(function, _)| *function == name);
        if builtin || self.function(name, span.file).is_some() {
            let message = format!("`{name}` is a function and needs arguments");
            self.report(Diagnostic::error(codes::WRONG_KIND, message).primary(span, ""));
            return Value::Poison;
        }
        self.unknown_name(name, span, visible);
        Value::Poison
    }

    /// Reports a name in an expression that is bound to nothing.
    pub(super) fn unknown_name(&mut self, name: &str, span: Span, visible: &[&str]) {
        if self.is_full() || self.may_be_broken(name, span.file) {
            return;
        }
        let diagnostic =
            Diagnostic::error(codes::UNKNOWN_NAME, format!("`{name}` is not known here"))
                .primary(span, "");
        let mut known: Vec<&str> = layers::words().chain(init::names()).collect();
        known.extend(visible);
        known.extend(self.known_layers(span.file));
        known.extend(self.known_functions(span.file));
        known.extend(["true", "false"]);
        let truth: Option<&str> = match name {
            "yes" | "True" | "TRUE" | "on" => Some("true"),
            "no" | "False" | "FALSE" | "off" => Some("false"),
            _ => None,
        };
        let shipped = shipped::declaring(name);
        let diagnostic = match truth.or_else(|| suggest(name, known)) {
            // A name that is shipped letter by letter is no slip of another one.
            Some(near) if shipped.is_none() => {
                diagnostic.edit(format!("did you mean `{near}`?"), span, near)
            }
            _ => self.shipped_with(shipped, span, diagnostic),
        };
        self.report(diagnostic);
    }

    /// Reports a name in a chain that is no layer and no block; what was probably meant, if that is clear.
    pub(super) fn unknown_layer(&mut self, name: &Name, visible: &[&str]) -> Option<Target<'a>> {
        if self.may_be_broken(&name.text, name.span.file) {
            self.gap = true;
            return None;
        }
        if self.is_full() {
            return None;
        }
        let (text, span) = (name.text.as_str(), name.span);
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_LAYER,
            format!("there is no layer or block `{text}`"),
        );
        let diagnostic = diagnostic.primary(span, "");
        let mut known = self.known_layers(span.file);
        known.extend(visible);
        known.extend(["add", "concat", "mul", "max"]);
        let elsewhere = || {
            let names = FOREIGN.iter().flat_map(|(names, _)| names.iter().copied());
            suggest(text, names).and_then(foreign)
        };
        let near = suggest(text, known.iter().copied());
        if init::find(text).is_some() {
            self.report(diagnostic.help(format!(
                "`{text}` says how weights start: write `init = {text}` at a layer, or `init {text}` in `train`"
            )));
            return None;
        }
        let shipped = shipped::declaring(text);
        let diagnostic = match (foreign(text), near) {
            (Some(help), _) => diagnostic.help(help),
            // A name that is shipped letter by letter is no slip of another one.
            (None, _) if shipped.is_some() => self.shipped_with(shipped, span, diagnostic),
            (None, Some(near)) => diagnostic.edit(format!("did you mean `{near}`?"), span, near),
            (None, None) => match elsewhere() {
                Some(help) => diagnostic.help(format!("did you mean this: {help}?")),
                None => diagnostic,
            },
        };
        self.report(diagnostic);
        near.filter(|near| foreign(text).is_none() && shipped.is_none() && !visible.contains(near))
            .and_then(|near| self.applicable(near, span.file))
    }

    /// Says which shipped module declares a name that is missing at a place.
    fn shipped_with(&self, module: Option<&str>, span: Span, diagnostic: Diagnostic) -> Diagnostic {
        let Some(module) = module else {
            return diagnostic;
        };
        let line = format!("use {}.{module}", shipped::ROOT);
        let help = format!("`{line}` at the start of the file brings one");
        let place = self
            .namespaces
            .get(&span.file)
            .and_then(|space| space.use_place);
        match place {
            Some(place) => diagnostic.edit(help, place, format!("{line}\n")),
            None => diagnostic.help(help),
        }
    }

    /// Names of items that could not be read, for suggestions.
    pub(super) fn broken_names(&self, file: FileId) -> impl Iterator<Item = &'a str> {
        let space = self.namespace(file).into_iter();
        space.flat_map(|space| space.broken.iter().copied())
    }

    /// Names of blocks and layers, for suggestions.
    fn known_layers(&self, file: FileId) -> Vec<&'a str> {
        let blocks = self
            .namespace(file)
            .into_iter()
            .flat_map(|space| space.blocks.keys().copied());
        blocks
            .chain(self.broken_names(file))
            .chain(layers::LAYERS.iter().map(|layer| layer.name))
            .collect()
    }

    fn known_functions(&self, file: FileId) -> Vec<&'a str> {
        let fns = self
            .namespace(file)
            .into_iter()
            .flat_map(|space| space.fns.keys().copied());
        fns.chain(FUNCTIONS.iter().map(|(name, _)| *name)).collect()
    }
}

impl<'a> Namespace<'a> {
    /// Takes in what cannot be said of a file, be it this one or one that it uses.
    fn add_broken(&mut self, module: &'a Module) {
        let broken = &module.ast.broken;
        self.incomplete |= module.incomplete || broken.iter().any(|broken| broken.more);
        let names = broken.iter().flat_map(|broken| &broken.names);
        self.broken.extend(names.map(|name| name.text.as_str()));
    }

    fn add(&mut self, declared: Declared<'a>) {
        match declared {
            Declared::Block(block) => {
                self.blocks.insert(&block.name.text, block);
            }
            Declared::Fn(function) => {
                self.fns.insert(&function.name.text, function);
            }
        }
    }

    fn origin(&self, name: &str) -> Option<Span> {
        let block = self.blocks.get(name).map(|block| block.name.span);
        block.or_else(|| self.fns.get(name).map(|function| function.name.span))
    }
}

/// What people who come from other tools look for, and what it is called here.
const FOREIGN: &[(&[&str], &str)] = &[
    (
        &["linear", "Linear", "fc", "Dense", "gemm"],
        "a fully connected layer is `dense(features)`",
    ),
    (
        &["batchnorm", "batch_norm", "BatchNorm", "BatchNorm2d"],
        "batch normalisation is `bn`",
    ),
    (
        &["conv2d", "Conv2d", "Conv2D", "convolution"],
        "a convolution is `conv(channels, kernel)`",
    ),
    (
        &["depthwise", "depthwise_conv"],
        "a depthwise convolution is `dwconv(kernel)`",
    ),
    (
        &["gap", "global_average_pool", "adaptive_avgpool"],
        "a global average is `global_avgpool`",
    ),
    (
        &["eltwise", "sum", "residual", "shortcut"],
        "values are added by `add { …; … }`",
    ),
    (
        &["cat", "stack", "route"],
        "channels are stacked by `concat { …; … }`",
    ),
    (&["swish"], "swish is `silu`"),
];

fn foreign(name: &str) -> Option<&'static str> {
    FOREIGN
        .iter()
        .find(|(names, _)| names.contains(&name))
        .map(|(_, help)| *help)
}
