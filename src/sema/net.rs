//! The net itself: what its file declares, its body, its inputs.

use super::build::Flowing;
use super::overrides::Override;
use super::scope::{Env, Scope};
use super::value::Value;
use super::{Elab, Kind, Model, ModelInput};
use crate::diag::{Diagnostic, codes};
use crate::ir::{Shape, Type};

use crate::syntax::Ast;
use crate::syntax::ast::{Input, Item, Name, Net, Preset};

/// The name of the only input.
const INPUT: &str = "input";

/// The nets and presets of a file, in order.
#[must_use]
pub fn net_names(ast: &Ast) -> Vec<&str> {
    let name = |item| match item {
        &Item::Net(Net { ref name, .. }) | &Item::Preset(Preset { ref name, .. }) => {
            Some(name.text.as_str())
        }
        _ => None,
    };
    ast.items.iter().filter_map(name).collect()
}

impl<'a> Elab<'a> {
    /// Takes in what the file declares, and refuses what it declares twice.
    pub(super) fn collect(&mut self, ast: &'a Ast) {
        let mut seen: Vec<&'a Name> = Vec::new();
        for item in &ast.items {
            let name = match item {
                Item::Net(net) => &net.name,
                Item::Preset(preset) => &preset.name,
                Item::Block(block) => {
                    self.blocks.insert(&block.name.text, block);
                    &block.name
                }
                Item::Fn(function) => {
                    self.fns.insert(&function.name.text, function);
                    &function.name
                }
                Item::Use(item) => {
                    let diagnostic =
                        Diagnostic::error(codes::NOT_SUPPORTED, "`use` is not supported yet");
                    self.report(
                        diagnostic
                            .primary(item.span, "")
                            .help("copy the blocks into this file"),
                    );
                    continue;
                }
                Item::Train(_) | Item::Search(_) => continue,
            };
            self.check_builtin(name);
            match seen.iter().find(|other| other.text == name.text) {
                Some(earlier) => self.duplicate(&name.text, name.span, earlier.span),
                None => seen.push(name),
            }
        }
    }

    /// A block or function must not take the name of a built-in one.
    fn check_builtin(&mut self, name: &Name) {
        let layer = super::layers::find(&name.text).is_some();
        let function = super::arith::FUNCTIONS
            .iter()
            .any(|(function, _)| *function == name.text);
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

    /// Expands the net of that name, or the only one.
    pub(super) fn net(
        &mut self,
        ast: &'a Ast,
        wanted: Option<&str>,
        overrides: &'a [Override],
    ) -> Option<Model> {
        let chosen = self.choose(ast, wanted)?;
        let net = chosen.net;
        let name = chosen
            .preset
            .map_or(&net.name, |preset| &preset.name)
            .text
            .clone();
        self.builder = crate::ir::Builder::new(name.as_str());
        let env = Scope::block(None);
        self.names.enter("");
        self.arguments(&env, &chosen, overrides)?;
        let train = self.train(ast, &env, &[&name, &net.name.text], overrides);
        if let Some(train) = &train {
            self.init = train.init;
        }
        let output = self.stmts(&env, &net.body, Flowing::Nothing);
        self.last_output(net, output);
        for (target, value) in std::mem::take(&mut self.updates) {
            self.builder.update(target, value);
        }
        if let Some(train) = &train {
            self.check_outputs(train);
        }
        let builder = std::mem::replace(&mut self.builder, crate::ir::Builder::new(""));
        Some(Model {
            name,
            graph: builder.finish(),
            inputs: std::mem::take(&mut self.inputs),
            aux: std::mem::take(&mut self.aux),
            train,
            warnings: Vec::new(),
        })
    }

    /// `input NAME: [c, h, w] from image(…)`
    pub(super) fn input(&mut self, env: &Env<'a>, input: &'a Input) -> Flowing {
        let shape = self.eval(env, &input.shape);
        let dims = self.shape_list(&shape, "the shape of an input", input.shape.span);
        let source = match (&input.source, &dims) {
            (Some(source), Some(dims)) => self.picture(env, source, dims),
            _ => None,
        };
        let name = input.name.as_ref().map_or(INPUT, |name| &name.text);
        if let Some(earlier) = self.input_places.insert(name.to_owned(), input.span) {
            let diagnostic = Diagnostic::error(
                codes::DUPLICATE_NAME,
                format!("the net has two inputs called `{name}`"),
            );
            let diagnostic = diagnostic
                .primary(input.span, "second")
                .secondary(earlier, "first");
            self.report(diagnostic.help("give them names, as in `input left: [1, 28, 28]`"));
        }
        let value = dims.and_then(|dims| {
            let elements = dims
                .iter()
                .try_fold(1_usize, |product, &dim| product.checked_mul(dim));
            if elements.is_none_or(|elements| elements > super::limits::MAX_ELEMENTS)
                || !(1..=3).contains(&dims.len())
            {
                let message = format!("an input cannot have the shape {dims:?}");
                let diagnostic =
                    Diagnostic::error(codes::BAD_INPUT, message).primary(input.shape.span, "");
                self.report(diagnostic.help("an input is [features] or [channels, height, width]"));
                return None;
            }
            let value = self.builder.input(name, Type::f32(Shape::batched(dims)));
            self.facts
                .insert(value, super::report::Fact::at(input.span));
            self.inputs.push(ModelInput {
                name: name.to_owned(),
                value,
                source,
            });
            Some(value)
        });
        if env.input() == Some(None) {
            env.set_input(value);
        }
        if let Some(name) = &input.name {
            self.declare(env, name, Value::Tensor(value), Kind::Name);
        }
        Flowing::of(value)
    }
}
