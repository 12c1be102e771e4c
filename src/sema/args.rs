//! Binding arguments to parameters: by position, by name, or by default.

use super::Elab;
use super::report::{quoted, suggest};
use super::scope::Env;
use super::value::{EvArg, Value};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::{Args, ExprKind, Param};

/// A parameter, as the binder sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formal<'p> {
    /// Its name.
    pub name: &'p str,
    /// Whether an argument must be given.
    pub required: bool,
    /// Whether the argument can be given without the name.
    pub positional: bool,
    /// Words that stand for themselves as its argument.
    pub words: &'static [&'static str],
}

/// What is called, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callee<'p> {
    /// Its name.
    pub name: &'p str,
    /// Where it is declared, if a file declares it.
    pub declared: Option<Span>,
    /// Where it is called.
    pub span: Span,
}

/// Parameters of a net, a block or a function.
pub(super) fn formals(params: &[Param]) -> Vec<Formal<'_>> {
    let formals = params.iter().map(|param| Formal {
        name: param.name.text.as_str(),
        required: param.default.is_none(),
        positional: true,
        words: &[],
    });
    formals.collect()
}

impl<'a> Elab<'a> {
    /// Evaluates arguments in the scope that they are written in.
    pub(super) fn eval_args(
        &mut self,
        env: &Env<'a>,
        args: Option<&'a Args>,
        formals: &[Formal<'_>],
    ) -> Vec<EvArg<'a>> {
        let list = args.map(|args| args.list.as_slice()).unwrap_or_default();
        let mut evaluated = Vec::with_capacity(list.len());
        for (at, arg) in list.iter().enumerate() {
            let formal = match &arg.name {
                Some(name) => formals.iter().find(|formal| formal.name == name.text),
                None => formals.get(at).filter(|formal| formal.positional),
            };
            let words = formal.map(|formal| formal.words).unwrap_or_default();
            let value = match &arg.value.kind {
                ExprKind::Name(word) if words.contains(&word.as_str()) => {
                    Value::Word(word.as_str().into())
                }
                // What is bound to nothing was meant to be one of the words, unless the only one is that of a default.
                ExprKind::Name(word)
                    if words.len() > 1
                        && env.find(word).is_none()
                        && !self.is_global(word, arg.value.span) =>
                {
                    let attribute = formal.map_or("", |formal| formal.name);
                    self.wrong_word(attribute, words, word, arg.value.span);
                    Value::Poison
                }
                _ => self.eval(env, &arg.value),
            };
            let (span, value_span) = (arg.span, arg.value.span);
            evaluated.push(EvArg {
                name: arg.name.as_ref(),
                value,
                span,
                value_span,
            });
        }
        evaluated
    }

    /// A bare word where an attribute takes others.
    pub(super) fn wrong_word(&mut self, attribute: &str, words: &[&str], word: &str, span: Span) {
        let message = format!("`{attribute}` cannot be `{word}`");
        let diagnostic = Diagnostic::error(codes::WRONG_KIND, message).primary(span, "");
        let diagnostic = match suggest(word, words.iter().copied()) {
            Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), span, near),
            None => diagnostic,
        };
        let list: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        self.report(diagnostic.help(format!("its words are {}", list.join(", "))));
    }

    /// For each parameter, which argument it gets; `None` if an argument is missing, or one has no place and it is not
    /// clear which was meant.
    pub(super) fn bind(
        &mut self,
        callee: Callee<'_>,
        formals: &[Formal<'_>],
        args: &[EvArg<'a>],
    ) -> Option<Vec<Option<usize>>> {
        let mut bound: Vec<Option<usize>> = vec![None; formals.len()];
        let mut fine = true;
        for (at, arg) in args.iter().enumerate() {
            let slot = match arg.name {
                Some(name) => formals.iter().position(|formal| formal.name == name.text),
                None => {
                    Some(at).filter(|&at| formals.get(at).is_some_and(|formal| formal.positional))
                }
            };
            match slot {
                None => {
                    // What was probably meant is taken for what was written, so that nothing that follows is wrong
                    // for this reason alone.
                    let meant = match arg.name {
                        Some(name) => self.unknown_argument(callee, formals, &name.text, name.span),
                        None => {
                            self.extra_argument(callee, formals, args, at);
                            (at < formals.len()).then_some(at)
                        }
                    };
                    let free = meant.filter(|&slot| {
                        let given = |arg: &EvArg<'_>| {
                            arg.name.is_some_and(|name| name.text == formals[slot].name)
                        };
                        bound[slot].is_none() && !args.iter().any(given)
                    });
                    match free {
                        Some(slot) => bound[slot] = Some(at),
                        None => fine = false,
                    }
                }
                Some(slot) => match bound[slot] {
                    Some(earlier) => {
                        fine = false;
                        let message = format!("`{}` is given twice", formals[slot].name);
                        let diagnostic = Diagnostic::error(codes::DUPLICATE_ARGUMENT, message);
                        let diagnostic = diagnostic
                            .primary(arg.span, "second time")
                            .secondary(args[earlier].span, "first time");
                        // What is given twice is not the first argument.
                        let place = args[at - 1].span.after().to(arg.span);
                        self.report(diagnostic.edit("remove one of the two", place, ""));
                    }
                    None => bound[slot] = Some(at),
                },
            }
        }
        let missing = formals
            .iter()
            .zip(&bound)
            .filter(|(formal, slot)| formal.required && slot.is_none());
        let missing: Vec<String> = missing.map(|(formal, _)| quoted(formal.name)).collect();
        if !missing.is_empty() && fine {
            let message = format!("`{}` needs {}", callee.name, missing.join(" and "));
            let mut diagnostic =
                Diagnostic::error(codes::MISSING_ARGUMENT, message).primary(callee.span, "");
            // A net that nobody calls is where it is declared.
            let is_called = callee.declared != Some(callee.span);
            if let Some(declared) = callee.declared.filter(|_| is_called) {
                diagnostic = diagnostic.secondary(declared, "declared here");
            }
            let first = missing[0].trim_matches('`');
            self.report(diagnostic.help(match is_called {
                true => format!("it is written {}", signature(callee.name, formals)),
                false => format!(
                    "give it a default, as in `{first} = 8`, a value by `--set {first}=8`, or a preset"
                ),
            }));
        }
        (fine && missing.is_empty()).then_some(bound)
    }

    /// Binds the parameters of a net, a block or a function in its scope: to arguments, or to their defaults.
    pub(super) fn bind_params(
        &mut self,
        env: &Env<'a>,
        callee: Callee<'_>,
        params: &'a [Param],
        args: &[EvArg<'a>],
    ) -> Option<()> {
        let bound = self.bind(callee, &formals(params), args)?;
        for (param, slot) in params.iter().zip(bound) {
            let value = match (slot.map(|slot| &args[slot]), &param.default) {
                (Some(arg), _) => {
                    let fits = self.fits_parameter(callee.name, param, &arg.value, arg.value_span);
                    if fits {
                        arg.value.clone()
                    } else {
                        Value::Poison
                    }
                }
                (None, Some(default)) => self.eval(env, default),
                (None, None) => Value::Poison,
            };
            self.declare(env, &param.name, value);
        }
        Some(())
    }

    /// Reports an argument that nothing takes; the parameter that was probably meant.
    fn unknown_argument(
        &mut self,
        callee: Callee<'_>,
        formals: &[Formal<'_>],
        name: &str,
        span: Span,
    ) -> Option<usize> {
        let message = format!("`{}` has no argument `{name}`", callee.name);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_ARGUMENT, message).primary(span, "");
        let names = formals.iter().map(|formal| formal.name);
        let near = suggest(name, names);
        self.report(match near {
            Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), span, near),
            None if formals.is_empty() => diagnostic.help("it takes no arguments"),
            None => diagnostic.help(format!("it is written {}", signature(callee.name, formals))),
        });
        formals.iter().position(|formal| Some(formal.name) == near)
    }

    fn extra_argument(
        &mut self,
        callee: Callee<'_>,
        formals: &[Formal<'_>],
        args: &[EvArg<'a>],
        at: usize,
    ) {
        let positional = formals.iter().filter(|formal| formal.positional).count();
        // Each further one would say the same.
        if at > positional {
            return;
        }
        let arg = &args[at];
        let counted = |count: usize| {
            if count == 1 {
                "1 argument".to_owned()
            } else {
                format!("{count} arguments")
            }
        };
        let message = match positional {
            0 => format!("`{}` takes no arguments by position", callee.name),
            count => format!("`{}` takes {} by position", callee.name, counted(count)),
        };
        let diagnostic =
            Diagnostic::error(codes::EXTRA_ARGUMENT, message).primary(arg.span, "one too many");
        let diagnostic = match formals.get(at) {
            Some(next) => {
                let text = format!(
                    "name it, as in `{} = {}`",
                    next.name,
                    self.files.slice(arg.value_span)
                );
                // Behind an argument with a name there is no place for one without.
                let is_last = args[at + 1..].iter().all(|arg| arg.name.is_some());
                if is_last {
                    diagnostic.edit(text, arg.span.before(), format!("{} = ", next.name))
                } else {
                    diagnostic.help(format!("{text}; so must what follows it"))
                }
            }
            None if args.len() == 1 => diagnostic.edit("remove it", arg.span, ""),
            None => {
                let text = format!("it is written {}", signature(callee.name, formals));
                let place = match at {
                    0 => arg.span,
                    at => args[at - 1].span.after().to(arg.span),
                };
                diagnostic.edit(text, place, "")
            }
        };
        self.report(diagnostic);
    }
}

/// How a call is written: required parameters by name alone, the others with a mark.
fn signature(name: &str, formals: &[Formal<'_>]) -> String {
    let part = |formal: &Formal<'_>| match (formal.required, formal.positional) {
        (true, _) => formal.name.to_owned(),
        (false, true) => format!("[{}]", formal.name),
        (false, false) => format!("[{} = …]", formal.name),
    };
    let parts: Vec<String> = formals.iter().map(part).collect();
    format!("`{name}({})`", parts.join(", "))
}
