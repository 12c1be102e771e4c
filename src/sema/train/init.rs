//! `init`: how weights start, in the `train` section for all layers and at a layer for its own.

use std::fmt;
use std::sync::Arc;

use super::chosen::{call, figure};
use super::lines::Line;
use super::table::{choice, number};
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::{Distribution, Init, Scaled, Scaling};
use crate::sema::Elab;
use crate::sema::attrs::{Attrs, narrow};
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;
use crate::sema::value::{EvArg, Value};

/// How weights start. Biases start at 0 but with `fan_in`, where they start as the weights do, and
/// `file`; factors of batch norms start at 1 and shifts at 0 but with `file`.
#[derive(Clone, Debug, PartialEq)]
pub enum InitRule {
    /// Uniform in ±sqrt(1 / fan-in), weights and biases alike: PyTorch's default.
    FanIn,
    /// With a variance that follows from the fans.
    Scaled {
        /// How.
        scaling: Scaling,
        /// Of what form.
        distribution: Distribution,
        /// What the standard deviation is multiplied with.
        gain: f64,
    },
    /// Normal with mean 0.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// Normal with mean 0, drawn again where more than two standard deviations from it.
    TruncatedNormal {
        /// The standard deviation before the cut; after it, 0.8796 of that.
        std: f64,
    },
    /// Uniform around 0.
    Uniform {
        /// The greatest distance from 0.
        bound: f64,
    },
    /// The same number everywhere.
    Constant(f64),
    /// Read from a weights file, by name, biases and all that norms have too.
    File {
        /// The file, as written.
        path: Arc<str>,
        /// Its place among the files that the model names.
        index: usize,
    },
}

/// A weights file that a net names.
#[derive(Clone, Debug, PartialEq)]
pub struct InitFile {
    /// The file, as written: from the folder of the net's file.
    pub path: Arc<str>,
    /// Where it is named.
    pub span: Span,
}

impl InitRule {
    pub(in crate::sema) fn weights(&self, fan_in: usize, fan_out: usize) -> Init {
        match *self {
            Self::FanIn => Init::FanInUniform { fan_in },
            Self::Scaled {
                scaling,
                distribution,
                gain,
            } => Init::Scaled(Scaled {
                scaling,
                distribution,
                gain,
                fan_in,
                fan_out,
            }),
            Self::Normal { std } => Init::Normal { std },
            Self::TruncatedNormal { std } => Init::TruncatedNormal { std },
            Self::Uniform { bound } => Init::Uniform { bound },
            Self::Constant(value) => Init::Constant(narrow(value)),
            Self::File { index, .. } => Init::File { index },
        }
    }

    pub(in crate::sema) fn biases(&self, fan_in: usize) -> Init {
        match *self {
            Self::FanIn => Init::FanInUniform { fan_in },
            _ => self.fixed(0.0),
        }
    }

    /// The start of what starts at the same number by every rule, unless a file holds it.
    pub(in crate::sema) fn fixed(&self, value: f32) -> Init {
        match *self {
            Self::File { index, .. } => Init::File { index },
            _ => Init::Constant(value),
        }
    }
}

impl fmt::Display for InitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FanIn => f.write_str("fan_in"),
            Self::Scaled {
                scaling,
                distribution,
                gain,
            } => {
                let distribution = ("distribution", distribution.name().to_owned());
                let gain = ("gain", figure(*gain));
                f.write_str(&match scaling {
                    Scaling::Lecun => call("lecun", &[distribution]),
                    Scaling::Xavier => call("xavier", &[distribution, gain]),
                    Scaling::HeFanIn | Scaling::HeFanOut => {
                        let mode = if *scaling == Scaling::HeFanIn {
                            "fan_in"
                        } else {
                            "fan_out"
                        };
                        call("he", &[("mode", mode.to_owned()), distribution, gain])
                    }
                })
            }
            Self::Normal { std } => write!(f, "normal({})", figure(*std)),
            Self::TruncatedNormal { std } => write!(f, "truncated_normal({})", figure(*std)),
            Self::Uniform { bound } => write!(f, "uniform({})", figure(*bound)),
            Self::Constant(value) => write!(f, "constant({})", figure(*value)),
            Self::File { path, .. } => write!(f, "file({path:?})"),
        }
    }
}

const fn required(name: &'static str, kind: AttrKind) -> Attr {
    Attr {
        name,
        kind,
        default: Default::Required,
        positional: true,
    }
}

const fn distribution(default: &'static str) -> Attr {
    Attr {
        name: "distribution",
        kind: AttrKind::Word(&["normal", "uniform"]),
        default: Default::Word(default),
        positional: false,
    }
}

const XAVIER: &[Attr] = &[distribution("uniform"), number("gain", 1.0)];
const STD: &[Attr] = &[required("std", AttrKind::Float)];

/// The initialisers, with their arguments and defaults.
pub(super) static INITIALISERS: [Layer; 11] = [
    choice("fan_in", &[]),
    choice("lecun", &[distribution("normal")]),
    choice("xavier", XAVIER),
    choice("glorot", XAVIER),
    choice(
        "he",
        &[
            Attr {
                name: "mode",
                kind: AttrKind::Word(&["fan_in", "fan_out"]),
                default: Default::Word("fan_in"),
                positional: false,
            },
            distribution("normal"),
            number("slope", 0.0),
        ],
    ),
    choice("normal", STD),
    choice("truncated_normal", STD),
    choice("uniform", &[required("bound", AttrKind::Float)]),
    choice("constant", &[required("value", AttrKind::Float)]),
    choice("zeros", &[]),
    choice("file", &[required("path", AttrKind::Any)]),
];

/// Finds an initialiser by name.
pub(in crate::sema) fn find(name: &str) -> Option<&'static Layer> {
    INITIALISERS.iter().find(|known| known.name == name)
}

/// The names of all initialisers.
pub(in crate::sema) fn names() -> impl Iterator<Item = &'static str> {
    INITIALISERS.iter().map(|known| known.name)
}

impl<'a> Elab<'a> {
    /// `init he(mode = fan_out)`
    pub(super) fn init_of(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<InitRule> {
        let chosen = self.chosen(line)?;
        let known: Vec<&'static Layer> = INITIALISERS.iter().collect();
        let signature = self.signature(line, &chosen, &known, &[])?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        self.rule(signature, &attrs, chosen.span())
    }

    /// An initialiser in an expression, as in `init = he(mode = fan_out)`.
    pub(in crate::sema) fn initialiser(
        &mut self,
        signature: &'static Layer,
        args: &[EvArg<'a>],
        span: Span,
    ) -> Value<'a> {
        let attrs = self.attrs(signature, args, span);
        let rule = attrs.and_then(|attrs| self.rule(signature, &attrs, span));
        rule.map_or(Value::Poison, |rule| Value::Init(rule.into()))
    }

    fn rule(
        &mut self,
        signature: &'static Layer,
        attrs: &Attrs<'a>,
        span: Span,
    ) -> Option<InitRule> {
        Some(match signature.name {
            "fan_in" => InitRule::FanIn,
            "zeros" => InitRule::Constant(0.0),
            "constant" => InitRule::Constant(self.number_of(
                attrs,
                "value",
                f64::NEG_INFINITY,
                f64::INFINITY,
            )?),
            "normal" => InitRule::Normal {
                std: self.real(attrs, "std", f64::INFINITY)?,
            },
            "truncated_normal" => InitRule::TruncatedNormal {
                std: self.real(attrs, "std", f64::INFINITY)?,
            },
            "uniform" => InitRule::Uniform {
                bound: self.real(attrs, "bound", f64::INFINITY)?,
            },
            "file" => self.init_file(attrs, span)?,
            scaled => {
                let distribution = match self.word(attrs, "distribution")? {
                    "uniform" => Distribution::Uniform,
                    _ => Distribution::Normal,
                };
                let (scaling, gain) = match scaled {
                    "lecun" => (Scaling::Lecun, 1.0),
                    "he" => {
                        let scaling = match self.word(attrs, "mode")? {
                            "fan_out" => Scaling::HeFanOut,
                            _ => Scaling::HeFanIn,
                        };
                        // He et al. 2015, equation 15: units that pass a part of what is negative.
                        let slope = self.real(attrs, "slope", f64::INFINITY)?;
                        (scaling, (1.0 / (1.0 + slope * slope)).sqrt())
                    }
                    _ => (Scaling::Xavier, self.real(attrs, "gain", f64::INFINITY)?),
                };
                InitRule::Scaled {
                    scaling,
                    distribution,
                    gain,
                }
            }
        })
    }

    fn init_file(&mut self, attrs: &Attrs<'a>, span: Span) -> Option<InitRule> {
        let path: Arc<str> = self.string(attrs, "path")?.into();
        if path.is_empty() {
            let diagnostic = Diagnostic::error(codes::BAD_VALUE, "`file` needs a name");
            self.report(
                diagnostic
                    .primary(span, "")
                    .help("write, for example, `file(\"w.safetensors\")`"),
            );
            return None;
        }
        let known = self.init_files.iter().position(|file| file.path == path);
        let index = known.unwrap_or_else(|| {
            let path = path.clone();
            self.init_files.push(InitFile { path, span });
            self.init_files.len() - 1
        });
        Some(InitRule::File { path, index })
    }
}
