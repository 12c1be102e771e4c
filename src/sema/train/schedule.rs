//! `schedule`: how the learning rate changes.

use std::fmt;

use super::chosen::{call, figure};
use super::lines::Line;
use super::table::{choice, number};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;

/// How the learning rate changes; the formulas stand at [`crate::train::rate::Rates`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Epochs of rising in a straight line, before or under the curve.
    pub warmup: f64,
    /// What follows.
    pub curve: RateCurve,
}

impl Schedule {
    /// The learning rate stays as it is.
    pub const CONSTANT: Schedule = Schedule {
        warmup: 0.0,
        curve: RateCurve::Constant,
    };
}

/// A curve of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateCurve {
    /// Stays.
    Constant,
    /// Is multiplied every so many epochs.
    Step {
        /// Epochs between changes.
        every: usize,
        /// What it is multiplied with.
        factor: f64,
    },
    /// Is multiplied after every epoch.
    Exponential {
        /// What it is multiplied with.
        factor: f64,
    },
    /// Falls along half a cosine to a part of itself.
    Cosine {
        /// The part of the learning rate at the end.
        last: f64,
    },
    /// Falls along a power of the time that is left, to a part of itself; a straight line is power 1.
    Polynomial {
        /// The power.
        power: f64,
        /// The part of the learning rate at the end.
        last: f64,
    },
    /// Is multiplied when the loss stops falling.
    Plateau {
        /// What it is multiplied with.
        factor: f64,
        /// Epochs without a better loss that are borne.
        patience: usize,
        /// Where it stops: a learning rate, not a part of one.
        min: f64,
        /// How much better a loss must be to count, as a part of the best one.
        threshold: f64,
    },
}

impl fmt::Display for Schedule {
    /// As it would be written with every default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, mut args) = match self.curve {
            RateCurve::Constant => ("constant", vec![]),
            RateCurve::Step { every, factor } => (
                "step",
                vec![("every", every.to_string()), ("factor", figure(factor))],
            ),
            RateCurve::Exponential { factor } => ("exponential", vec![("factor", figure(factor))]),
            RateCurve::Cosine { last } => ("cosine", vec![("last", figure(last))]),
            RateCurve::Polynomial { power: 1.0, last } => ("linear", vec![("last", figure(last))]),
            RateCurve::Polynomial { power, last } => (
                "polynomial",
                vec![("power", figure(power)), ("last", figure(last))],
            ),
            RateCurve::Plateau {
                factor,
                patience,
                min,
                threshold,
            } => (
                "plateau",
                vec![
                    ("factor", figure(factor)),
                    ("patience", patience.to_string()),
                    ("min", figure(min)),
                    ("threshold", figure(threshold)),
                ],
            ),
        };
        args.push(("warmup", figure(self.warmup)));
        f.write_str(&call(name, &args))
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

const WARMUP: Attr = number("warmup", 0.0);
const LAST: Attr = number("last", 0.0);

pub(super) static CONSTANT: Layer = choice("constant", &[WARMUP]);
pub(super) static COSINE: Layer = choice("cosine", &[WARMUP, LAST]);
pub(super) static STEP: Layer = choice(
    "step",
    &[
        required("every", AttrKind::Int(1, 1 << 20)),
        number("factor", 0.1),
        WARMUP,
    ],
);
pub(super) static EXPONENTIAL: Layer = choice(
    "exponential",
    &[required("factor", AttrKind::Float), WARMUP],
);
pub(super) static LINEAR: Layer = choice("linear", &[LAST, WARMUP]);
pub(super) static POLYNOMIAL: Layer = choice(
    "polynomial",
    &[required("power", AttrKind::Float), LAST, WARMUP],
);
pub(super) static PLATEAU: Layer = choice(
    "plateau",
    &[
        number("factor", 0.1),
        Attr {
            name: "patience",
            kind: AttrKind::Int(0, 1 << 20),
            default: Default::Int(10),
            positional: false,
        },
        number("min", 0.0),
        number("threshold", 1e-4),
        WARMUP,
    ],
);

impl<'a> Elab<'a> {
    pub(super) fn schedule(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Schedule> {
        let chosen = self.chosen(line)?;
        let known = [
            &CONSTANT,
            &COSINE,
            &STEP,
            &EXPONENTIAL,
            &LINEAR,
            &POLYNOMIAL,
            &PLATEAU,
        ];
        let signature = self.signature(line, &chosen, &known, &[])?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        let mut number = |name: &str, max| self.number_of(&attrs, name, 0.0, max);
        let warmup = number("warmup", f64::INFINITY);
        let curve = match signature.name {
            "cosine" => RateCurve::Cosine {
                last: number("last", 1.0)?,
            },
            "exponential" => RateCurve::Exponential {
                factor: number("factor", f64::INFINITY)?,
            },
            "linear" => RateCurve::Polynomial {
                power: 1.0,
                last: number("last", 1.0)?,
            },
            "polynomial" => {
                let (power, last) = (number("power", f64::INFINITY), number("last", 1.0));
                RateCurve::Polynomial {
                    power: power?,
                    last: last?,
                }
            }
            "step" => {
                let factor = number("factor", f64::INFINITY);
                RateCurve::Step {
                    every: self.int(&attrs, "every")?,
                    factor: factor?,
                }
            }
            "plateau" => {
                let (factor, min) = (number("factor", 1.0), number("min", f64::INFINITY));
                let threshold = number("threshold", 1.0);
                RateCurve::Plateau {
                    patience: self.int(&attrs, "patience")?,
                    factor: factor?,
                    min: min?,
                    threshold: threshold?,
                }
            }
            _ => RateCurve::Constant,
        };
        Some(Schedule {
            warmup: warmup?,
            curve,
        })
    }
}
