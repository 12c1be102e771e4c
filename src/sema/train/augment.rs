//! `augment`: random changes of the samples that a net learns from.

use std::fmt;

use super::chosen::{call, figure};
use super::lines::Line;
use super::table::{choice, number};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::scope::Env;

/// A random change of a sample; what each does is said at [`crate::train::data::augment`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Augment {
    /// Left and right change places.
    Flip {
        /// How often.
        p: f64,
    },
    /// Top and bottom change places.
    FlipVertical {
        /// How often.
        p: f64,
    },
    /// Is moved, and what comes in at the edge is `fill`.
    Crop {
        /// The most pixels in each direction.
        pad: usize,
        /// What comes in.
        fill: f64,
    },
    /// Is turned about its centre.
    Rotate {
        /// The most degrees in each direction.
        degrees: f64,
        /// What comes in.
        fill: f64,
    },
    /// A square is covered.
    Cutout {
        /// Its side in pixels.
        size: usize,
        /// How often.
        p: f64,
        /// What covers it.
        fill: f64,
    },
    /// Everything is multiplied by one number.
    Brightness {
        /// How far that is from 1, at most.
        amount: f64,
    },
    /// The distance from the mean is multiplied by one number.
    Contrast {
        /// How far that is from 1, at most.
        amount: f64,
    },
    /// Normal noise is added.
    Noise {
        /// Its standard deviation.
        std: f64,
    },
}

impl fmt::Display for Augment {
    /// As it would be written with every default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, args) = match *self {
            Self::Flip { p } => ("flip", vec![("p", figure(p))]),
            Self::FlipVertical { p } => ("flip_vertical", vec![("p", figure(p))]),
            Self::Crop { pad, fill } => (
                "crop",
                vec![("pad", pad.to_string()), ("fill", figure(fill))],
            ),
            Self::Rotate { degrees, fill } => (
                "rotate",
                vec![("degrees", figure(degrees)), ("fill", figure(fill))],
            ),
            Self::Cutout { size, p, fill } => (
                "cutout",
                vec![
                    ("size", size.to_string()),
                    ("p", figure(p)),
                    ("fill", figure(fill)),
                ],
            ),
            Self::Brightness { amount } => ("brightness", vec![("amount", figure(amount))]),
            Self::Contrast { amount } => ("contrast", vec![("amount", figure(amount))]),
            Self::Noise { std } => ("noise", vec![("std", figure(std))]),
        };
        f.write_str(&call(name, &args))
    }
}

const fn first(name: &'static str, kind: AttrKind, default: Default) -> Attr {
    Attr {
        name,
        kind,
        default,
        positional: true,
    }
}

const CHANCE: Attr = first("p", AttrKind::Float, Default::Float(0.5));
const FILL: Attr = number("fill", 0.0);
const PIXELS: AttrKind = AttrKind::Int(1, 1 << 16);

pub(super) static FLIP: Layer = choice("flip", &[CHANCE]);
pub(super) static FLIP_VERTICAL: Layer = choice("flip_vertical", &[CHANCE]);
pub(super) static CROP: Layer = choice("crop", &[first("pad", PIXELS, Default::Required), FILL]);
pub(super) static ROTATE: Layer = choice(
    "rotate",
    &[first("degrees", AttrKind::Float, Default::Required), FILL],
);
pub(super) static CUTOUT: Layer = choice(
    "cutout",
    &[
        first("size", PIXELS, Default::Required),
        number("p", 1.0),
        FILL,
    ],
);
pub(super) static BRIGHTNESS: Layer = choice(
    "brightness",
    &[first("amount", AttrKind::Float, Default::Required)],
);
pub(super) static CONTRAST: Layer = choice(
    "contrast",
    &[first("amount", AttrKind::Float, Default::Required)],
);
pub(super) static NOISE: Layer =
    choice("noise", &[first("std", AttrKind::Float, Default::Required)]);

impl<'a> Elab<'a> {
    /// `augment flip, crop(4), cutout(8)`: changes in the order in which they are made.
    pub(super) fn augment(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Vec<Augment>> {
        let many = self.chosen_list(line)?;
        let read: Vec<Option<Augment>> = many
            .iter()
            .map(|chosen| {
                let known = [
                    &FLIP,
                    &FLIP_VERTICAL,
                    &CROP,
                    &ROTATE,
                    &CUTOUT,
                    &BRIGHTNESS,
                    &CONTRAST,
                    &NOISE,
                ];
                let signature = self.signature(line, chosen, &known, &[])?;
                let attrs = self.attrs_of(env, line, chosen, signature)?;
                let mut number = |name: &str, max| self.number_of(&attrs, name, 0.0, max);
                Some(match signature.name {
                    "flip" => Augment::Flip {
                        p: number("p", 1.0)?,
                    },
                    "flip_vertical" => Augment::FlipVertical {
                        p: number("p", 1.0)?,
                    },
                    "crop" => {
                        let fill = number("fill", f64::INFINITY);
                        Augment::Crop {
                            pad: self.int(&attrs, "pad")?,
                            fill: fill?,
                        }
                    }
                    "rotate" => {
                        let (degrees, fill) =
                            (number("degrees", 180.0), number("fill", f64::INFINITY));
                        Augment::Rotate {
                            degrees: degrees?,
                            fill: fill?,
                        }
                    }
                    "cutout" => {
                        let (p, fill) = (number("p", 1.0), number("fill", f64::INFINITY));
                        Augment::Cutout {
                            size: self.int(&attrs, "size")?,
                            p: p?,
                            fill: fill?,
                        }
                    }
                    "brightness" => Augment::Brightness {
                        amount: number("amount", 1.0)?,
                    },
                    "contrast" => Augment::Contrast {
                        amount: number("amount", 1.0)?,
                    },
                    _ => Augment::Noise {
                        std: number("std", f64::INFINITY)?,
                    },
                })
            })
            .collect();
        read.into_iter().collect()
    }
}
