//! `schedule`: how the learning rate changes.

use super::lines::Line;
use super::table::{choice, number};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Rises linearly over the first epochs, then falls along half a cosine to a part of itself.
    Cosine {
        /// Epochs of rising.
        warmup: f64,
        /// The part of the learning rate at the end.
        last: f64,
    },
    /// Is multiplied every so many epochs.
    Step {
        /// Epochs between changes.
        every: usize,
        /// What it is multiplied with.
        factor: f64,
    },
}

pub(super) static CONSTANT: Layer = choice("constant", &[]);
pub(super) static COSINE: Layer = choice("cosine", &[number("warmup", 0.0), number("last", 0.0)]);
pub(super) static STEP: Layer = choice(
    "step",
    &[
        Attr {
            name: "every",
            kind: AttrKind::Int(1, 1 << 20),
            default: Default::Required,
            positional: true,
        },
        number("factor", 0.1),
    ],
);

impl<'a> Elab<'a> {
    pub(super) fn schedule(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Schedule> {
        let chosen = self.chosen(line)?;
        let signature = self.signature(
            line,
            &chosen,
            &[&CONSTANT, &COSINE, &STEP],
            &["linear", "exponential", "plateau"],
        )?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        Some(match signature.name {
            "cosine" => {
                let (warmup, last) = (
                    self.real(&attrs, "warmup", f64::INFINITY),
                    self.real(&attrs, "last", 1.0),
                );
                Schedule::Cosine {
                    warmup: warmup?,
                    last: last?,
                }
            }
            "step" => {
                let (every, factor) = (
                    self.int(&attrs, "every"),
                    self.real(&attrs, "factor", f64::INFINITY),
                );
                Schedule::Step {
                    every: every?,
                    factor: factor?,
                }
            }
            _ => Schedule::Constant,
        })
    }
}
