//! The `train` section: a closed set of keys, each read as what it must be.

pub(super) mod augment;
pub(super) mod batch;
pub(super) mod config;
pub(super) mod early_stop;
mod lines;
pub(super) mod schedule;
mod spec;
mod table;

use config::{Decay, InitRule, Loss, OptimizerConfig, OutputLoss, Spec, SpecArg, TrainConfig};
use lines::Line;
use schedule::Schedule;

use super::Elab;
use super::attrs::{Attrs, Bounds};
use super::layers::Layer;
use super::limits::MAX_ITEMS;
use super::report::{quoted, suggest};
use super::scope::Env;
use super::value::{EvArg, Value};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::{Args, Expr, ExprKind, Train};

/// A word with its arguments, as an optimizer or a schedule is written.
struct Chosen<'a> {
    name: &'a str,
    name_span: Span,
    args: Option<&'a Args>,
}

impl<'a> Elab<'a> {
    fn config(
        &mut self,
        env: &Env<'a>,
        section: &'a Train,
        lines: &[Line<'a>],
    ) -> Option<TrainConfig> {
        let find = |key: &str| lines.iter().find(|line| line.key.text == key);
        self.check_complete(section, lines);
        let data = find("data").and_then(|line| self.data(env, line));
        let losses: Vec<OutputLoss> = lines
            .iter()
            .filter(|line| line.key.text == "loss")
            .filter_map(|line| self.loss(env, line))
            .collect();
        let optimizer = find("optimizer").map(|line| self.optimizer(env, line));
        let schedule =
            find("schedule").map_or(Some(Schedule::CONSTANT), |line| self.schedule(env, line));
        let augment = find("augment").map_or(Some(Vec::new()), |line| self.augment(env, line));
        let early_stop = find("early_stop").map(|line| self.early_stop(env, line));
        let count = |max: usize| Bounds {
            min: 1,
            max: i64::try_from(max).unwrap_or(i64::MAX),
        };
        let batch = self.batch(env, find("batch"));
        let epochs = self.count(env, find("epochs"), 10, count(MAX_ITEMS));
        let seed = self.count(
            env,
            find("seed"),
            0,
            Bounds {
                min: 0,
                max: i64::MAX,
            },
        );
        let init = find("init").map_or(Some(InitRule::FanIn), |line| self.init_of(env, line));
        Some(TrainConfig {
            data,
            losses,
            optimizer: optimizer.map_or(Some(None), |read| read.map(Some))?,
            schedule: schedule?,
            augment: augment?,
            early_stop: early_stop.map_or(Some(None), |read| read.map(Some))?,
            batch: batch?.samples,
            drop_last: batch?.drop_last,
            epochs: usize::try_from(epochs?).ok()?,
            seed: u64::try_from(seed?).ok()?,
            init: init?,
            span: section.span,
        })
    }

    /// A section without a loss says nothing.
    fn check_complete(&mut self, section: &Train, lines: &[Line<'a>]) {
        if !lines.iter().any(|line| line.key.text == "loss") {
            let diagnostic = Diagnostic::error(codes::MISSING_KEY, "`train` needs `loss`");
            let diagnostic = diagnostic.primary(section.net.span, "");
            self.report(diagnostic.help("write, for example, `loss cross_entropy`"));
        }
    }

    /// The only value of a line.
    fn value(&mut self, line: &Line<'a>) -> Option<&'a Expr> {
        if let ([value], None) = (line.values.as_slice(), line.args) {
            return Some(value);
        }
        // `batch (64)` reads as arguments, and means the value.
        if let Some([arg]) = line.args.map(|args| args.list.as_slice())
            && arg.name.is_none()
        {
            return Some(&arg.value);
        }
        let message = format!("`{}` takes one value", line.key.text);
        self.report(Diagnostic::error(codes::BAD_VALUE, message).primary(line.span, ""));
        None
    }

    fn count(
        &mut self,
        env: &Env<'a>,
        line: Option<&Line<'a>>,
        default: i64,
        bounds: Bounds,
    ) -> Option<i64> {
        let Some(line) = line else {
            return Some(default);
        };
        let expr = self.value(line)?;
        let value = self.eval(env, expr);
        self.whole(&value, &quoted(&line.key.text), bounds, expr.span)
    }

    /// The word of a line, with its arguments.
    fn chosen(&mut self, line: &Line<'a>) -> Option<Chosen<'a>> {
        let expr = self.value(line)?;
        self.chosen_of(line, expr)
    }

    /// The words of a line, each with its arguments.
    fn chosen_list(&mut self, line: &Line<'a>) -> Option<Vec<Chosen<'a>>> {
        if line.values.is_empty() {
            let message = format!("`{}` takes one value or several", line.key.text);
            self.report(Diagnostic::error(codes::BAD_VALUE, message).primary(line.span, ""));
            return None;
        }
        let read: Vec<Option<Chosen<'a>>> = line
            .values
            .iter()
            .map(|expr| self.chosen_of(line, expr))
            .collect();
        read.into_iter().collect()
    }

    fn chosen_of(&mut self, line: &Line<'a>, expr: &'a Expr) -> Option<Chosen<'a>> {
        match &expr.kind {
            ExprKind::Name(name) => Some(Chosen {
                name,
                name_span: expr.span,
                args: None,
            }),
            ExprKind::Call(call) => Some(Chosen {
                name: &call.name.text,
                name_span: call.name.span,
                args: call.args.as_ref(),
            }),
            _ => {
                let message = format!("`{}` is set to something with a name", line.key.text);
                self.report(Diagnostic::error(codes::BAD_VALUE, message).primary(expr.span, ""));
                None
            }
        }
    }

    fn data(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Spec> {
        let expr = self.value(line)?;
        let mut spec = self.spec(env, expr)?;
        for (name, value) in &line.set {
            spec.args
                .retain(|arg| arg.name.as_ref() != Some(&name.text));
            let value = self.constant(env, value)?;
            spec.args.push(SpecArg {
                name: Some(name.text.clone()),
                value,
                span: name.span,
            });
        }
        Some(spec)
    }

    fn loss(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<OutputLoss> {
        let chosen = self.chosen(line)?;
        let known = [&table::CROSS_ENTROPY, &table::MSE];
        let signature = self.signature(line, &chosen, &known, &["focal", "hinge"])?;
        self.attrs_of(env, line, &chosen, signature)?;
        let loss = match signature.name {
            "mse" => Loss::MeanSquaredError,
            _ => Loss::CrossEntropy,
        };
        Some(OutputLoss {
            output: line.target.map(|name| name.text.clone()),
            loss,
            span: line.span,
        })
    }

    fn optimizer(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<OptimizerConfig> {
        let chosen = self.chosen(line)?;
        let later = ["rmsprop", "adagrad", "lamb", "lion"];
        let signature = self.signature(
            line,
            &chosen,
            &[&table::SGD, &table::ADAM, &table::ADAMW],
            &later,
        )?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        let lr = self.real(&attrs, "lr", f64::INFINITY);
        let weight_decay = self.real(&attrs, "weight_decay", f64::INFINITY);
        let decay = self.word(&attrs, "decay").map(|word| {
            if word == "weights" {
                Decay::Weights
            } else {
                Decay::All
            }
        });
        if signature.name == "sgd" {
            let (momentum, dampening) = (
                self.real(&attrs, "momentum", 1.0),
                self.real(&attrs, "dampening", 1.0),
            );
            let nesterov = self.bool(&attrs, "nesterov");
            let (lr, weight_decay, decay) = (lr?, weight_decay?, decay?);
            return Some(OptimizerConfig::Sgd {
                lr,
                momentum: momentum?,
                dampening: dampening?,
                nesterov: nesterov?,
                weight_decay,
                decay,
            });
        }
        let (beta1, beta2) = (
            self.real(&attrs, "beta1", 1.0),
            self.real(&attrs, "beta2", 1.0),
        );
        let (eps, decoupled) = (
            self.real(&attrs, "eps", f64::INFINITY),
            self.bool(&attrs, "decoupled"),
        );
        let (lr, weight_decay, decay) = (lr?, weight_decay?, decay?);
        Some(OptimizerConfig::Adam {
            lr,
            beta1: beta1?,
            beta2: beta2?,
            eps: eps?,
            weight_decay,
            decoupled: decoupled?,
            decay,
        })
    }

    fn init_of(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<InitRule> {
        let chosen = self.chosen(line)?;
        let signature = self.signature(
            line,
            &chosen,
            &[&table::FAN_IN, &table::HE, &table::XAVIER, &table::ZEROS],
            &["orthogonal", "normal"],
        )?;
        self.attrs_of(env, line, &chosen, signature)?;
        InitRule::from_word(signature.name)
    }

    /// The signature of the word that was chosen.
    fn signature(
        &mut self,
        line: &Line<'a>,
        chosen: &Chosen<'a>,
        known: &[&'static Layer],
        later: &[&str],
    ) -> Option<&'static Layer> {
        if let Some(signature) = known.iter().find(|signature| signature.name == chosen.name) {
            return Some(signature);
        }
        let key = &line.key.text;
        if later.contains(&chosen.name) {
            let message = format!("`{key} {}` is not supported yet", chosen.name);
            self.report(
                Diagnostic::error(codes::TRAIN_NOT_SUPPORTED, message)
                    .primary(chosen.name_span, ""),
            );
            return None;
        }
        let message = format!("there is no {key} `{}`", chosen.name);
        let diagnostic = Diagnostic::error(codes::BAD_VALUE, message).primary(chosen.name_span, "");
        let names = known.iter().map(|signature| signature.name);
        self.report(match suggest(chosen.name, names.clone()) {
            Some(near) => {
                diagnostic.edit(format!("did you mean `{near}`?"), chosen.name_span, near)
            }
            None => diagnostic.help(format!(
                "known are {}",
                names.map(quoted).collect::<Vec<_>>().join(", ")
            )),
        });
        None
    }

    /// The arguments of the word that was chosen, with those that overrides set.
    fn attrs_of(
        &mut self,
        env: &Env<'a>,
        line: &Line<'a>,
        chosen: &Chosen<'a>,
        signature: &'static Layer,
    ) -> Option<Attrs<'a>> {
        let args = self.eval_args(env, chosen.args, &signature.formals());
        let span = chosen
            .args
            .map_or(chosen.name_span, |args| chosen.name_span.to(args.span));
        self.attrs_with_overrides(env, line, signature, args, span)
    }

    /// The arguments of a key that has no word: `key(…)`, or `key VALUE` for the first of them.
    fn key_attrs(
        &mut self,
        env: &Env<'a>,
        line: &Line<'a>,
        signature: &'static Layer,
    ) -> Option<Attrs<'a>> {
        let args = match (line.args, line.values.as_slice()) {
            (args @ Some(_), _) => self.eval_args(env, args, &signature.formals()),
            (None, _) => {
                let expr = self.value(line)?;
                let value = self.eval(env, expr);
                vec![EvArg {
                    name: None,
                    value,
                    span: expr.span,
                    value_span: expr.span,
                }]
            }
        };
        self.attrs_with_overrides(env, line, signature, args, line.span)
    }

    fn attrs_with_overrides(
        &mut self,
        env: &Env<'a>,
        line: &Line<'a>,
        signature: &'static Layer,
        mut args: Vec<EvArg<'a>>,
        span: Span,
    ) -> Option<Attrs<'a>> {
        for &(name, expr) in &line.set {
            let slot = signature
                .attrs
                .iter()
                .position(|attr| attr.name == name.text);
            let at = args
                .iter()
                .enumerate()
                .position(|(at, arg)| match arg.name {
                    Some(given) => given.text == name.text,
                    None => Some(at) == slot,
                });
            let words = slot.map_or(&[][..], |slot| signature.attrs[slot].kind.words());
            let value = match &expr.kind {
                ExprKind::Name(word) if words.contains(&word.as_str()) => {
                    Value::Word(word.as_str().into())
                }
                _ => self.eval(env, expr),
            };
            let arg = EvArg {
                name: Some(name),
                value,
                span: name.span,
                value_span: expr.span,
            };
            match at {
                Some(at) => {
                    args[at] = EvArg {
                        name: args[at].name,
                        ..arg
                    }
                }
                None => args.push(arg),
            }
        }
        self.attrs(signature, &args, span)
    }

    fn real(&mut self, attrs: &Attrs<'a>, name: &str, max: f64) -> Option<f64> {
        self.number_of(attrs, name, 0.0, max)
    }
}
