//! `batch`: how many samples a step takes.

use std::fmt;

use super::chosen::call;
use super::lines::Line;
use super::table::choice;
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::limits::MAX_ITEMS;
use crate::sema::scope::Env;

/// How many samples a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sema) struct BatchSize {
    /// Samples of a full batch.
    pub samples: usize,
    /// Whether a last batch that is not full is left out.
    pub drop_last: bool,
}

impl fmt::Display for BatchSize {
    /// As it would be written with every default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = [
            ("samples", self.samples.to_string()),
            ("drop_last", self.drop_last.to_string()),
        ];
        f.write_str(&call("batch", &args))
    }
}

/// What a step takes where a file says nothing.
const DEFAULT: i64 = 32;

#[allow(clippy::cast_possible_wrap, reason = "a limit of some millions")]
static BATCH: Layer = choice(
    "batch",
    &[
        Attr {
            name: "samples",
            kind: AttrKind::Int(1, MAX_ITEMS as i64),
            default: Default::Int(DEFAULT),
            positional: true,
        },
        Attr {
            name: "drop_last",
            kind: AttrKind::Bool,
            default: Default::Bool(false),
            positional: false,
        },
    ],
);

impl<'a> Elab<'a> {
    /// `batch 64`, or `batch(64, drop_last = true)`.
    pub(super) fn batch(&mut self, env: &Env<'a>, line: Option<&Line<'a>>) -> Option<BatchSize> {
        let Some(line) = line else {
            return Some(BatchSize {
                samples: usize::try_from(DEFAULT).ok()?,
                drop_last: false,
            });
        };
        let attrs = self.key_attrs(env, line, &BATCH)?;
        let (samples, drop_last) = (self.int(&attrs, "samples"), self.bool(&attrs, "drop_last"));
        Some(BatchSize {
            samples: samples?,
            drop_last: drop_last?,
        })
    }
}
