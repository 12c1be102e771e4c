//! The net itself: what its file declares, its body, its inputs.

use super::build::Flowing;
use super::overrides::Override;
use super::scope::{Env, Scope};
use super::value::Value;
use super::{Elab, Mode, Model, ModelInput, Setting, UsedBlock};
use crate::diag::{Diagnostic, codes};
use crate::ir::{Shape, Type};
use crate::program::shipped;
use crate::syntax::Ast;
use crate::syntax::ast::{Input, Item, Net, Preset};

/// The name of the only input.
const INPUT: &str = "input";

/// The nets and presets of a file, in order; but not a net that stands for its presets alone, for it has parameters
/// without a default.
#[must_use]
pub fn net_names(ast: &Ast) -> Vec<&str> {
    let has_presets = |net: &Net| {
        ast.items.iter().any(
            |item| matches!(item, Item::Preset(preset) if preset.net.name.text == net.name.text),
        )
    };
    let is_pattern =
        |net: &Net| net.params.iter().any(|param| param.default.is_none()) && has_presets(net);
    let stands = ast.items.iter();
    let stands = stands.filter(|item| !matches!(item, Item::Net(net) if is_pattern(net)));
    let names = stands.filter_map(|item| match item {
        Item::Net(Net { name, .. }) | Item::Preset(Preset { name, .. }) => Some(name.text.as_str()),
        _ => None,
    });
    names.collect()
}

/// The values of a net's parameters.
fn settings(net: &Net, env: &Env<'_>) -> Vec<Setting> {
    let params = net.params.iter().filter_map(|param| {
        let (value, _) = env.find(&param.name.text)?;
        Some(Setting {
            name: param.name.text.clone(),
            value: value.to_string(),
            docs: param.docs.clone(),
        })
    });
    params.collect()
}

impl<'a> Elab<'a> {
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
            self.init = train.init.clone();
            self.freeze = train.freeze.clone();
        }
        let output = self.stmts(&env, &net.body, Flowing::Nothing);
        self.drop_value(self.tail, output, true);
        self.last_output(net, output);
        for (target, value) in std::mem::take(&mut self.updates) {
            self.builder.update(target, value);
        }
        if let Some(train) = &train {
            self.check_outputs(train);
            self.check_stages(train);
        }
        self.unused_inputs();
        self.unread();
        let settings = settings(net, &env);
        let docs = match chosen.preset {
            Some(preset) if !preset.docs.is_empty() => &preset.docs,
            _ => &net.docs,
        };
        let builder = std::mem::replace(&mut self.builder, crate::ir::Builder::new(""));
        let graph = builder.finish();
        // In use there may be fewer weights: heads that exist only in training are missing.
        if let (Some(train), Mode::Train, false) = (&train, self.mode, self.gap) {
            self.check_freeze(&train.freeze, &graph);
        }
        Some(Model {
            name,
            docs: docs.clone(),
            settings,
            graph,
            inputs: std::mem::take(&mut self.inputs),
            left_out: self.auxes - self.aux.len(),
            aux: std::mem::take(&mut self.aux),
            train,
            init_files: std::mem::take(&mut self.init_files),
            learned: std::mem::take(&mut self.learned),
            norms: std::mem::take(&mut self.norms),
            blocks: self.documented(),
            warnings: Vec::new(),
        })
    }

    /// The used blocks that say something of themselves.
    fn documented(&self) -> Vec<UsedBlock> {
        let blocks = self.used_blocks.iter();
        let told = blocks.map(|block| UsedBlock {
            name: block.name.text.clone(),
            call: shipped::call(&block.name, &block.params, self.files),
            docs: block.docs.clone(),
            params: block
                .params
                .iter()
                .filter(|param| !param.docs.is_empty())
                .map(|param| (param.name.text.clone(), param.docs.clone()))
                .collect(),
        });
        told.filter(|block| !block.docs.is_empty() || !block.params.is_empty())
            .collect()
    }

    /// An input from which nothing comes is a mistake, or a chain that starts somewhere else than was meant.
    fn unused_inputs(&mut self) {
        let graph = self.builder.graph();
        let read = |value| {
            graph
                .nodes
                .iter()
                .any(|(_, node)| node.inputs.contains(&value))
                || graph.outputs.iter().any(|output| output.value == value)
        };
        let unused: Vec<String> = self
            .inputs
            .iter()
            .filter(|input| !read(input.value))
            .map(|input| input.name.clone())
            .collect();
        for name in unused {
            let Some(&place) = self.input_places.get(&name) else {
                continue;
            };
            let message = format!("nothing is computed from the input `{name}`");
            let diagnostic = Diagnostic::warning(codes::UNUSED, message).primary(place, "");
            self.unused
                .push(diagnostic.help(format!("start a chain from it, as in `{name} -> flatten`")));
        }
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
            if !(1..=3).contains(&dims.len()) || !super::apply::fits(&dims) {
                let message = format!("an input cannot have the shape {dims:?}");
                let help = if super::apply::fits(&dims) {
                    "an input is [features] or [channels, height, width]".to_owned()
                } else {
                    format!(
                        "one image has at most {} elements",
                        super::limits::MAX_ELEMENTS
                    )
                };
                let diagnostic =
                    Diagnostic::error(codes::BAD_INPUT, message).primary(input.shape.span, "");
                self.report(diagnostic.help(help));
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
            self.declare(env, name, Value::Tensor(value));
        }
        Flowing::of(value)
    }
}
