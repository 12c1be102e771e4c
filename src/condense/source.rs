//! The text of a condensed net, made from the texts of the net that was trained.
//!
//! Blocks, loops, names, labels and comments stay. Every `lgconv` becomes `index` and a convolution in groups; what leads
//! to one hands it its channels, as [`super::carriers`] says: a block gets a parameter more, a `repeat` becomes a `for`
//! over what its rounds are handed. All lists stand in one function at the end of the file. Blocks of other files are
//! taken in, because they are not for this net alone.

use std::collections::BTreeSet;

use super::CondenseError;
use super::carriers::{Carrier, Carriers};
use super::edits::Edits;
use crate::diag::{Files, Span};
use crate::model::Net;
use crate::program::{Module, Program};
use crate::sema::Model;
use crate::syntax::ast::{
    Block, Body, Call, Element, EntryValue, Expr, ExprKind, ForHead, Item, Net as NetItem, Preset,
    Train, UseSource,
};

/// The name of what blocks and bodies are handed, unless they know it.
const HANDED: &str = "kept";

/// The text of the condensed net; `channels` are those of each learned group convolution, in order.
pub(super) fn condensed(
    net: &Net,
    model: &Model,
    channels: &[Vec<usize>],
) -> Result<String, CondenseError> {
    let modules = net.program.modules();
    let blocks = modules
        .iter()
        .flat_map(items)
        .filter_map(|item| match item {
            Item::Block(block) => Some(block),
            _ => None,
        });
    let carriers = Carriers::new(&model.learned, channels, blocks);
    let chosen = Chosen::of(&net.program, &model.name).ok_or(CondenseError::NoNet)?;
    let handed = free_name(net, &chosen, &carriers);
    let mut maker = Maker {
        edits: Edits::new(&net.files),
        carriers: &carriers,
        files: &net.files,
        handed: &handed,
    };
    let function = function_name(&handed);
    let open = Span {
        end: chosen.net.body.span.start + 1,
        ..chosen.net.body.span
    };
    maker
        .edits
        .insert(open, format!("\nlet {handed} = {function}()\n"));
    maker.body(&chosen.net.body)?;
    for block in carriers.blocks() {
        maker.parameter(block);
        maker.body(&block.body)?;
    }
    maker.settings(&chosen, net);
    let mut text = maker.assembled(net, &chosen);
    let lists = carriers.lists(&[], &chosen.net.body);
    text.push_str(&format!(
        "\n/// The input channels that each group of each layer reads, in the order of the net: a list for each layer, group\n\
         /// after group, in the lists of the loops and blocks around it.\nfn {function}() {{ {lists} }}\n"
    ));
    Ok(text)
}

fn items(module: &Module) -> &[Item] {
    &module.ast.items
}

/// The name of a function, after that of what is handed.
fn function_name(handed: &str) -> String {
    format!("{handed}_channels")
}

/// A name that what is edited does not know, and whose function no file knows.
fn free_name(net: &Net, chosen: &Chosen<'_>, carriers: &Carriers<'_>) -> String {
    let blocks = carriers.blocks();
    let known = |name: &str| {
        let mut edited = blocks
            .iter()
            .map(|block| block.span)
            .chain([chosen.net.span]);
        let mut modules = net.program.modules().iter();
        edited.any(|place| mentions(net.files.slice(place), name))
            || modules.any(|module| mentions(net.files.text(module.ast.file), &function_name(name)))
    };
    let numbered = (2..).map(|number| format!("{HANDED}_{number}"));
    let mut names = std::iter::once(HANDED.to_owned()).chain(numbered);
    names
        .find(|name| !known(name))
        .expect("no text mentions endlessly many names")
}

/// The net that is condensed, the preset that names it, and how it is trained.
struct Chosen<'a> {
    net: &'a NetItem,
    preset: Option<&'a Preset>,
    train: Option<&'a Train>,
}

impl<'a> Chosen<'a> {
    fn of(program: &'a Program, name: &str) -> Option<Chosen<'a>> {
        let items = || program.main().items.iter();
        let net = |name: &str| {
            items().find_map(|item| match item {
                Item::Net(net) if net.name.text == name => Some(net),
                _ => None,
            })
        };
        let preset = items().find_map(|item| match item {
            Item::Preset(preset) if preset.name.text == name => Some(preset),
            _ => None,
        });
        let (net, preset) = match (net(name), preset) {
            (Some(net), _) => (net, None),
            (None, Some(preset)) => (net(&preset.net.name.text)?, Some(preset)),
            (None, None) => return None,
        };
        let train = |name: &str| {
            items().find_map(|item| match item {
                Item::Train(train) if train.net.text == name => Some(train),
                _ => None,
            })
        };
        Some(Chosen {
            net,
            preset,
            train: train(name).or_else(|| train(&net.name.text)),
        })
    }
}

struct Maker<'n> {
    edits: Edits<'n>,
    carriers: &'n Carriers<'n>,
    files: &'n Files,
    handed: &'n str,
}

impl<'n> Maker<'n> {
    /// Has the elements of a body take what the body is handed.
    fn body(&mut self, body: &'n Body) -> Result<(), CondenseError> {
        let carriers = self.carriers.of(body);
        let several = carriers.len() > 1;
        for (at, carrier) in carriers.into_iter().enumerate() {
            let handed = self.handed;
            let list = if several {
                format!("{handed}[{at}]")
            } else {
                handed.to_owned()
            };
            match carrier {
                Carrier::Layer(element, call) => self.layer(element, call, &list)?,
                Carrier::Use(call) => self.argument(call, &list),
                Carrier::Repeat(element, inner) => {
                    let head = Span {
                        end: inner.span.start,
                        ..element.span
                    };
                    self.edits.replace(head, format!("for {handed} in {list} "));
                    self.body(inner)?;
                }
                Carrier::For(head, inner) => {
                    self.loop_head(head, inner, &list)?;
                    self.body(inner)?;
                }
                Carrier::Shared(inner) => {
                    if several {
                        let open = Span {
                            end: inner.span.start + 1,
                            ..inner.span
                        };
                        self.edits
                            .insert(open, format!("\nlet {handed} = {list}\n"));
                    }
                    self.body(inner)?;
                }
            }
        }
        Ok(())
    }

    /// `lgconv(…)` as `index(…) -> conv(…)`.
    fn layer(&mut self, element: &Element, call: &Call, list: &str) -> Result<(), CondenseError> {
        if call.name.text != "lgconv" {
            return Err(self.refused(
                call.span,
                "a learned group convolution is used here by a name; write `lgconv(…)` in its place".to_owned(),
            ));
        }
        let args = call.args.as_ref().map(|args| args.list.as_slice());
        let mut written: Vec<String> = Vec::new();
        let mut has_bias = false;
        for arg in args.unwrap_or_default() {
            let name = arg.name.as_ref().map(|name| name.text.as_str());
            has_bias |= name == Some("bias");
            if name != Some("condense") {
                written.push(self.edits.slice(arg.span).to_owned());
            }
        }
        if !has_bias {
            // A convolution has a bias unless it is told otherwise, the other layer has none.
            written.push("bias = false".to_owned());
        }
        let label = element.label.as_ref();
        let place = Span {
            start: label.map_or(element.span, |label| label.span).start,
            ..element.span
        };
        let label = label.map_or(String::new(), |label| {
            format!("{}: ", self.edits.slice(label.span))
        });
        let conv = format!("index({list}) -> {label}conv({})", written.join(", "));
        self.edits.replace(place, conv);
        Ok(())
    }

    /// Hands a block its lists.
    fn argument(&mut self, call: &Call, list: &str) {
        let handed = self.handed;
        let Some(args) = &call.args else {
            self.edits.insert(call.span, format!("({handed} = {list})"));
            return;
        };
        match args.list.last() {
            Some(last) => self.edits.insert(last.span, format!(", {handed} = {list}")),
            None => self
                .edits
                .replace(args.span, format!("({handed} = {list})")),
        }
    }

    /// Has a block take its lists.
    fn parameter(&mut self, block: &Block) {
        let handed = self.handed;
        match block.params.last() {
            Some(last) => self.edits.insert(last.span, format!(", {handed} = []")),
            None => {
                let place = Span {
                    start: block.name.span.end,
                    end: block.body.span.start,
                    ..block.span
                };
                self.edits.replace(place, format!("({handed} = []) "));
            }
        }
    }

    /// `for p in items` as `for (p, kept) in [(item, list), …]`.
    fn loop_head(&mut self, head: &ForHead, body: &Body, list: &str) -> Result<(), CondenseError> {
        let mut expansions = self.carriers.rounds(body);
        let Some(first) = expansions.next() else {
            return Ok(());
        };
        let rounds = first.items.len();
        let values = match &head.items.kind {
            ExprKind::List(items) if items.len() == rounds => {
                items.iter().map(|item| self.expr(item)).collect()
            }
            ExprKind::Range(_) => first.items.clone(),
            _ => {
                let items = self.expr(&head.items);
                let item = |at: usize| match head.items.kind {
                    ExprKind::Name(_) | ExprKind::Field(..) | ExprKind::Index(..) => {
                        format!("{items}[{at}]")
                    }
                    _ => format!("({items})[{at}]"),
                };
                (0..rounds).map(item).collect::<Vec<String>>()
            }
        };
        let alike = |other: &crate::sema::LoopRounds| match head.items.kind {
            ExprKind::Range(_) => other.items == first.items,
            _ => other.items.len() == rounds,
        };
        if !expansions.all(alike) {
            return Err(self.refused(
                head.items.span,
                "this loop has other rounds in other uses of its block; give those uses blocks of their own".to_owned(),
            ));
        }
        let pairs = values.iter().enumerate();
        let pairs: Vec<String> = pairs
            .map(|(at, value)| format!("({value}, {list}[{at}])"))
            .collect();
        let pattern = self.edits.slice(head.pattern.span());
        let place = Span {
            end: body.span.start,
            ..head.pattern.span()
        };
        let text = format!("({pattern}, {}) in [{}] ", self.handed, pairs.join(", "));
        self.edits.replace(place, text);
        Ok(())
    }

    /// An expression as it was written; parentheses around it do not belong to its place.
    fn expr(&self, expr: &Expr) -> String {
        self.edits.slice(expr.span).to_owned()
    }

    fn refused(&self, place: Span, what: String) -> CondenseError {
        let at = self.files.location(place.file, place.start);
        let name = self.files.name(place.file);
        CondenseError::Source {
            place: format!("{name}:{}:{}", at.line, at.column),
            what,
        }
    }

    /// Gives the net the name and the values of the preset and the command line, and takes out of its `train` section
    /// what speaks of the layers that are gone.
    fn settings(&mut self, chosen: &Chosen<'n>, net: &Net) {
        let params = &chosen.net.params;
        let mut values: Vec<Option<Span>> = vec![None; params.len()];
        let place = |name: &str| params.iter().position(|param| param.name.text == name);
        let args = chosen.preset.and_then(|preset| preset.net.args.as_ref());
        for (at, arg) in args.iter().flat_map(|args| &args.list).enumerate() {
            let at = arg.name.as_ref().map_or(Some(at), |name| place(&name.text));
            if let Some(value) = at.and_then(|at| values.get_mut(at)) {
                *value = Some(arg.value.span);
            }
        }
        for (name, value) in net.overrides().iter().filter_map(|given| given.parameter()) {
            if let Some(at) = place(name) {
                values[at] = Some(value);
            }
        }
        for (param, value) in params.iter().zip(values) {
            let Some(value) = value else { continue };
            let text = self.edits.slice(value).to_owned();
            match &param.default {
                Some(default) => self.edits.replace(default.span, text),
                None => self.edits.insert(param.name.span, format!(" = {text}")),
            }
        }
        if let Some(preset) = chosen.preset {
            self.edits
                .replace(chosen.net.name.span, preset.name.text.as_str());
        }
        let Some(train) = chosen.train else { return };
        if let Some(preset) = chosen.preset {
            self.edits
                .replace(train.net.span, preset.name.text.as_str());
        }
        for entry in &train.entries {
            match (entry.key.text.as_str(), &entry.value) {
                // Weights have other names now.
                ("freeze", _) => self.edits.replace(entry.span, ""),
                ("regularize", EntryValue::List(parts)) => {
                    let lasso = |part: &&Expr| match &part.kind {
                        ExprKind::Call(call) => call.name.text == "group_lasso",
                        _ => false,
                    };
                    if !parts.iter().any(|part| lasso(&part)) {
                        continue;
                    }
                    let others = parts.iter().filter(|part| !lasso(part));
                    let others: Vec<String> = others.map(|part| self.expr(part)).collect();
                    let line = match others.as_slice() {
                        [] => String::new(),
                        others => format!("regularize {}", others.join(", ")),
                    };
                    self.edits.replace(entry.span, line);
                }
                _ => {}
            }
        }
    }

    /// The whole text but for the lists: what is shipped is used, other files and blocks with edits are taken in.
    fn assembled(&self, net: &Net, chosen: &Chosen<'n>) -> String {
        let main = net.program.main();
        let edited: BTreeSet<crate::diag::FileId> = self
            .carriers
            .blocks()
            .into_iter()
            .map(|block| block.span.file)
            .collect();
        let is_shipped = |used: Span| {
            let modules = net.program.modules().iter().flat_map(items);
            modules.into_iter().any(|item| match item {
                Item::Use(item) => item.span == used && matches!(item.source, UseSource::Module(_)),
                _ => false,
            })
        };
        let mut taken_in = BTreeSet::from([main.file]);
        let mut uses: BTreeSet<String> = BTreeSet::new();
        // What a file that is taken in uses is used or taken in itself; files use no one another in a circle.
        let mut open = vec![main.file];
        while let Some(file) = open.pop() {
            let used = net
                .program
                .module(file)
                .map(|module| module.uses.as_slice());
            for used in used.unwrap_or_default() {
                if is_shipped(used.span) && !edited.contains(&used.file) {
                    uses.insert(self.edits.slice(used.span).trim().to_owned());
                } else if taken_in.insert(used.file) {
                    open.push(used.file);
                }
            }
        }
        // What stands above a `use` speaks of the file, what stands right above another item speaks of that.
        let first = main.items.first().map_or(0, |item| match item {
            Item::Use(item) => item.span.start,
            item => self.edits.with_comments(item.span()).start,
        });
        let head = &self.files.text(main.file)[..first as usize];
        let mut text = String::new();
        if main.edition.is_none() && !head.trim().is_empty() {
            text.push_str(&format!("{}\n", head.trim_end()));
        }
        for used in &uses {
            text.push_str(&format!("{used}\n"));
        }
        let mut parts: Vec<(Option<&str>, String)> = Vec::new();
        for module in net.program.modules() {
            if !taken_in.contains(&module.ast.file) {
                continue;
            }
            for item in items(module) {
                let name = match item {
                    Item::Block(block) => Some(block.name.text.as_str()),
                    Item::Fn(function) => Some(function.name.text.as_str()),
                    Item::Net(known) if std::ptr::eq(known, chosen.net) => None,
                    Item::Train(known)
                        if chosen.train.is_some_and(|train| std::ptr::eq(train, known)) =>
                    {
                        None
                    }
                    _ => continue,
                };
                let place = self.edits.with_comments(item.span());
                parts.push((name, self.edits.text(place)));
            }
        }
        drop_unmentioned(&mut parts);
        for (_, part) in parts {
            text.push_str(&format!("\n{part}\n"));
        }
        text
    }
}

/// Leaves out blocks and functions that no other part mentions.
fn drop_unmentioned(parts: &mut Vec<(Option<&str>, String)>) {
    loop {
        let unmentioned = (0..parts.len()).find(|&at| {
            let Some(name) = parts[at].0 else {
                return false;
            };
            let mut others = parts.iter().enumerate().filter(|&(other, _)| other != at);
            !others.any(|(_, (_, text))| mentions(text, name))
        });
        match unmentioned {
            Some(at) => {
                parts.remove(at);
            }
            None => return,
        }
    }
}

fn mentions(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_word(c)).any(|word| word == name)
}
