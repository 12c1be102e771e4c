//! Which net is meant, and with which arguments.

use super::args::{Callee, formals};
use super::overrides::Override;
use super::report::{quoted, suggest};
use super::scope::{Env, Scope};
use super::value::EvArg;
use super::{Elab, net_names};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::Ast;
use crate::syntax::ast::{Args, Item, Name, Net, Preset};

/// A net with the arguments of the preset that names it.
pub(super) struct Chosen<'a> {
    pub net: &'a Net,
    pub preset: Option<&'a Preset>,
}

fn nets(ast: &Ast) -> impl Iterator<Item = &Net> {
    ast.items.iter().filter_map(|item| match item {
        Item::Net(net) => Some(net),
        _ => None,
    })
}

fn presets(ast: &Ast) -> impl Iterator<Item = &Preset> {
    ast.items.iter().filter_map(|item| match item {
        Item::Preset(preset) => Some(preset),
        _ => None,
    })
}

impl<'a> Elab<'a> {
    /// The net of that name, or the only one.
    pub(super) fn choose(&mut self, ast: &'a Ast, wanted: Option<&str>) -> Option<Chosen<'a>> {
        let Some(wanted) = wanted else {
            return self.only_net(ast);
        };
        if let Some(net) = nets(ast).find(|net| net.name.text == wanted) {
            return Some(Chosen { net, preset: None });
        }
        let Some(preset) = presets(ast).find(|preset| preset.name.text == wanted) else {
            let message = format!("there is no net `{wanted}`");
            let place = Span::new(ast.file, 0..0);
            let diagnostic = Diagnostic::error(codes::WHICH_NET, message).primary(place, "");
            self.report(match suggest(wanted, net_names(ast)) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("the file has {}", list(ast))),
            });
            return None;
        };
        let base = &preset.net.name;
        let net = nets(ast).find(|net| net.name.text == base.text);
        if let Some(other) = presets(ast).find(|other| other.name.text == base.text)
            && net.is_none()
        {
            let message = format!("`{}` is a preset, and a preset is made of a net", base.text);
            let of = other.net.name.text.as_str();
            self.report(
                Diagnostic::error(codes::WHICH_NET, message)
                    .primary(base.span, "")
                    .secondary(other.name.span, "the preset")
                    .edit(
                        format!("name the net, and repeat what `{}` sets", base.text),
                        base.span,
                        of,
                    ),
            );
            return None;
        }
        if net.is_none() {
            self.no_such_net(base, "", nets(ast).map(|net| net.name.text.as_str()));
        }
        Some(Chosen {
            net: net?,
            preset: Some(preset),
        })
    }

    /// Reports the name of a net that there is not.
    pub(super) fn no_such_net<'n>(
        &mut self,
        name: &Name,
        purpose: &str,
        known: impl Iterator<Item = &'n str>,
    ) {
        if self.may_be_broken(&name.text, name.span.file) {
            return;
        }
        let message = format!("there is no net `{}`{purpose}", name.text);
        let diagnostic = Diagnostic::error(codes::WHICH_NET, message).primary(name.span, "");
        let broken = self.broken_names(name.span.file).map(str::to_owned);
        let known: Vec<String> = known.map(str::to_owned).chain(broken).collect();
        self.report(
            match suggest(&name.text, known.iter().map(String::as_str)) {
                Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), name.span, near),
                None => diagnostic,
            },
        );
    }

    fn only_net(&mut self, ast: &'a Ast) -> Option<Chosen<'a>> {
        let mut all = nets(ast);
        let Some(first) = all.next() else {
            let place = Span::new(ast.file, 0..0);
            let diagnostic =
                Diagnostic::error(codes::WHICH_NET, "the file has no net").primary(place, "");
            self.report(diagnostic.help("a net is written `net NAME { input [3, 224, 224]; … }`"));
            return None;
        };
        let Some(second) = all.next() else {
            return Some(Chosen {
                net: first,
                preset: None,
            });
        };
        let message = format!("the file has several nets: {}", list(ast));
        let diagnostic =
            Diagnostic::error(codes::WHICH_NET, message).primary(second.name.span, "second");
        self.report(
            diagnostic
                .secondary(first.name.span, "first")
                .help("say which one is meant"),
        );
        None
    }

    /// Binds the parameters of the net: from the command line, from the preset, or by default.
    pub(super) fn arguments(
        &mut self,
        env: &Env<'a>,
        chosen: &Chosen<'a>,
        overrides: &'a [Override],
    ) -> Option<()> {
        let formals = formals(&chosen.net.params);
        let none = Scope::root();
        let args: Option<&'a Args> = chosen.preset.and_then(|preset| preset.net.args.as_ref());
        let mut args = self.eval_args(&none, args, &formals);
        let span = chosen
            .preset
            .map_or(chosen.net.name.span, |preset| preset.net.span);
        for given in overrides.iter().filter(|given| !given.is_train()) {
            let [path] = given.path.as_slice() else {
                self.unknown_override(given, formals.iter().map(|formal| formal.name));
                continue;
            };
            let Some(at) = formals.iter().position(|formal| formal.name == path.text) else {
                self.unknown_override(given, formals.iter().map(|formal| formal.name));
                continue;
            };
            let [value] = given.values.as_slice() else {
                self.one_value(given, &path.text);
                continue;
            };
            let value = self.eval(&none, value);
            // What the command line says replaces what the preset says.
            let arg = EvArg {
                name: Some(path),
                value,
                span: given.span,
                value_span: given.place(),
            };
            let same = |other: &EvArg<'_>| other.name.is_some_and(|name| name.text == path.text);
            let known = args
                .iter()
                .enumerate()
                .position(|(slot, other)| same(other) || other.name.is_none() && slot == at);
            put(&mut args, known, arg);
        }
        for (name, value) in std::mem::take(&mut self.point) {
            let at = formals.iter().position(|formal| formal.name == name.text);
            let known = args.iter().enumerate().position(|(slot, other)| {
                other
                    .name
                    .map_or(at == Some(slot), |other| other.text == name.text)
            });
            let arg = EvArg {
                name: Some(name),
                value,
                span: name.span,
                value_span: name.span,
            };
            put(&mut args, known, arg);
        }
        let callee = Callee {
            name: &chosen.net.name.text,
            declared: Some(chosen.net.name.span),
            span,
        };
        self.bind_params(env, callee, &chosen.net.params, &args)
    }

    /// Reports an override of several values for what takes one.
    pub(super) fn one_value(&mut self, given: &Override, what: &str) {
        let place = given.place();
        let message = format!("`{what}` takes one value");
        let diagnostic = Diagnostic::error(codes::UNKNOWN_OVERRIDE, message).primary(place, "");
        let values = self.files.slice(place);
        self.report(diagnostic.help(format!("a list is written in brackets, as `[{values}]`")));
    }

    /// Reports an override that nothing takes.
    pub(super) fn unknown_override<'n>(
        &mut self,
        given: &Override,
        known: impl Iterator<Item = &'n str>,
    ) {
        let path: Vec<&str> = given.path.iter().map(|name| name.text.as_str()).collect();
        let path = path.join(".");
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_OVERRIDE,
            format!("there is nothing called `{path}` to set"),
        );
        let diagnostic = diagnostic.primary(given.span, "");
        let known: Vec<&str> = known.collect();
        self.report(match suggest(&path, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => diagnostic,
            None => diagnostic.help(format!(
                "known are {}",
                known.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
            )),
        });
    }
}

/// Puts an argument in the place of one that is there already, or adds it.
fn put<'a>(args: &mut Vec<EvArg<'a>>, known: Option<usize>, arg: EvArg<'a>) {
    match known {
        Some(slot) if args[slot].name.is_none() => args[slot].value = arg.value,
        Some(slot) => args[slot] = arg,
        None => args.push(arg),
    }
}

fn list(ast: &Ast) -> String {
    net_names(ast)
        .into_iter()
        .map(quoted)
        .collect::<Vec<_>>()
        .join(", ")
}
