//! What is wrong with the inputs of an operator, and the checks that shape rules share.
//!
//! Messages speak of shapes as a net's author writes them, without the batch. The front end says
//! where; what helps is in [`ShapeError::help`].

use super::concat::axis_name;
use super::window::{Axis, WindowError};
use crate::ir::{DType, Shape, Type};

/// Inputs that do not fit an operator or one another.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ShapeError {
    /// Too few or too many inputs.
    #[error("takes {expected} inputs, not {found}")]
    Arity {
        /// How many it takes.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Integers for floats or the reverse.
    #[error("the {input} must be {}, not {}", dtype(*.expected), dtype(*.found))]
    DType {
        /// Which input.
        input: &'static str,
        /// What it must hold.
        expected: DType,
        /// What it holds.
        found: DType,
    },
    /// One tensor for each image where there must be one in all, or the reverse.
    #[error("the {input} must be {}, not {}", batched(*.expected), batched(!*.expected))]
    Batched {
        /// Which input.
        input: &'static str,
        /// Whether there must be one for each image.
        expected: bool,
    },
    /// A map for a vector or the reverse.
    #[error("the {input} must have a shape like {expected}, not {found:?}")]
    Rank {
        /// Which input.
        input: &'static str,
        /// Its axes by letter, such as `[C, H, W]`.
        expected: &'static str,
        /// Its sizes.
        found: Vec<usize>,
    },
    /// A shape that follows from the other inputs, and isn't so.
    #[error("the {input} must be {expected:?}, not {found:?}")]
    Differs {
        /// Which input.
        input: &'static str,
        /// The sizes that follow from the others.
        expected: Vec<usize>,
        /// Its sizes.
        found: Vec<usize>,
    },
    /// No groups at all.
    #[error("groups must be at least 1")]
    NoGroups,
    /// Input channels that can't be dealt out to the groups.
    #[error("{channels} input channels leave {} over when split into {groups} groups", .channels % .groups)]
    InputGroups {
        /// The input's channels.
        channels: usize,
        /// The groups.
        groups: usize,
        /// The nearest numbers of groups that divide both inputs and outputs.
        nearest: Vec<usize>,
    },
    /// Output channels that can't be dealt out to the groups.
    #[error("{outputs} outputs leave {} over when split into {groups} groups", .outputs % .groups)]
    OutputGroups {
        /// The outputs.
        outputs: usize,
        /// The groups.
        groups: usize,
        /// The nearest numbers of groups that divide both inputs and outputs.
        nearest: Vec<usize>,
    },
    /// A window that does not fit its input.
    #[error("{problem}")]
    Window {
        /// Whether it is a pool's.
        pool: bool,
        /// What is wrong.
        problem: WindowError,
    },
    /// Operands of an element-wise operator of which none is as wide as all others.
    #[error("operand {operand} has shape {found:?}, which does not stretch to {widest:?}")]
    Stretch {
        /// Which operand, from 1.
        operand: usize,
        /// Its sizes.
        found: Vec<usize>,
        /// The sizes of the operand that it is measured by.
        widest: Vec<usize>,
    },
    /// A stretch to, or a sum down from, a shape that isn't wider.
    #[error("{from:?} does not stretch to {to:?}")]
    NotWider {
        /// The narrow shape.
        from: Vec<usize>,
        /// The wide shape.
        to: Vec<usize>,
    },
    /// Values to be joined along an axis whose other sizes differ.
    #[error(
        "branch {branch} has shape {found:?}, which does not stack on {first:?}: all but the {} must agree",
        axis_name(*.axis)
    )]
    Concat {
        /// Which input, from 1.
        branch: usize,
        /// The axis, from 0.
        axis: usize,
        /// Its sizes.
        found: Vec<usize>,
        /// The first input's sizes.
        first: Vec<usize>,
    },
    /// A part of an axis that isn't there.
    #[error("{axis} {from} to {to} is not a part of 0 to {size}")]
    Slice {
        /// What the axis is called.
        axis: String,
        /// The first place wanted.
        from: usize,
        /// The place after the last.
        to: usize,
        /// The places there are.
        size: usize,
    },
    /// An order that does not name each axis once.
    #[error("axes {axes:?} do not name each axis of {input:?} once, from 0 to {}", .input.len().saturating_sub(1))]
    Axes {
        /// The order asked for.
        axes: Vec<usize>,
        /// The input's sizes.
        input: Vec<usize>,
    },
    /// Filters that do not fall into groups of one size.
    #[error("{outputs} filters leave {} over when split into {groups} groups", .outputs % .groups)]
    FilterGroups {
        /// The filters.
        outputs: usize,
        /// The groups.
        groups: usize,
    },
    /// Input channels of which no such share can be taken.
    #[error(
        "{channels} input channels leave {} over when split into {condense} shares, of which training keeps one",
        .channels % .condense
    )]
    Condense {
        /// The input's channels.
        channels: usize,
        /// The shares.
        condense: usize,
    },
    /// Channels that can't be dealt out to groups in turn.
    #[error("{channels} channels leave {} over when dealt out to {groups} groups", .channels % .groups)]
    Shuffle {
        /// The input's channels.
        channels: usize,
        /// The groups.
        groups: usize,
    },
    /// A list of channels that names one that isn't there.
    #[error("item {place} is channel {item}, but the channels are 0 to {}", .channels - 1)]
    Item {
        /// The channel asked for.
        item: usize,
        /// Where it stands in the list, from 0.
        place: usize,
        /// The channels there are.
        channels: usize,
    },
    /// A list of channels without any.
    #[error("a list of channels has at least one item")]
    NoItems,
    /// Another number of elements.
    #[error("{from:?} has {} elements, {to:?} has {}", .from.iter().product::<usize>(), .to.iter().product::<usize>())]
    Elements {
        /// The input's sizes.
        from: Vec<usize>,
        /// The sizes asked for.
        to: Vec<usize>,
    },
    /// Channels that can't be dealt out to pieces.
    #[error("{}", pieces_text(*.channels, *.pieces))]
    Pieces {
        /// The input's channels.
        channels: usize,
        /// The channels of a piece.
        pieces: usize,
    },
    /// A share that isn't one.
    #[error("the rate must be from 0 to 1, not {rate}")]
    Rate {
        /// The rate asked for.
        rate: f32,
    },
}

/// A way out of a shape error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advice {
    /// In words.
    pub text: String,
    /// The same as a change of the layer, where it is one.
    pub change: Option<Change>,
}

/// A change of a layer that makes it fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// An attribute gets a value.
    Set(&'static str, usize),
    /// Another layer stands in front.
    Before(String),
    /// Another layer stands in its place.
    Instead(&'static str),
}

impl From<String> for Advice {
    fn from(text: String) -> Advice {
        Advice { text, change: None }
    }
}

impl Advice {
    fn new(text: String, change: Change) -> Advice {
        Advice {
            text,
            change: Some(change),
        }
    }
}

impl ShapeError {
    /// Edits that would help, where there are obvious ones.
    pub fn help(&self) -> Vec<Advice> {
        match self {
            ShapeError::Rank {
                expected: "[F]",
                found,
                ..
            } if found.len() == 3 => {
                let (channels, elements) = (found[0], found.iter().product::<usize>());
                let before = |layer: &str, size: usize| {
                    let text = format!("`{layer}` before it gives [{size}]");
                    Advice::new(text, Change::Before(layer.to_owned()))
                };
                vec![
                    before("flatten", elements),
                    before("global_avgpool", channels),
                ]
            }
            ShapeError::Rank {
                expected: "[C, H, W]",
                found,
                ..
            } if found.len() == 1 => {
                let channels = found[0];
                let layer = format!("reshape([{channels}, 1, 1])");
                let text = format!("`{layer}` before it makes it a map of one pixel");
                vec![Advice::new(text, Change::Before(layer))]
            }
            ShapeError::InputGroups { nearest, .. } | ShapeError::OutputGroups { nearest, .. } => {
                nearest
                    .iter()
                    .map(|&groups| {
                        let text = format!("`groups = {groups}` divides both");
                        Advice::new(text, Change::Set("groups", groups))
                    })
                    .collect()
            }
            ShapeError::Pieces { channels, pieces } => nearest_divisors(*channels, *pieces)
                .iter()
                .map(|&pieces| {
                    let text = format!("pieces of {pieces} divide {channels} channels");
                    Advice::new(text, Change::Set("pieces", pieces))
                })
                .collect(),
            ShapeError::Shuffle { channels, groups } => nearest_divisors(*channels, *groups)
                .iter()
                .map(|&groups| {
                    let text = format!("`shuffle({groups})` divides {channels} channels");
                    Advice::new(text, Change::Set("groups", groups))
                })
                .collect(),
            ShapeError::FilterGroups { outputs, groups } => nearest_divisors(*outputs, *groups)
                .iter()
                .map(|&groups| {
                    let text = format!("`groups = {groups}` divides {outputs} filters");
                    Advice::new(text, Change::Set("groups", groups))
                })
                .collect(),
            ShapeError::Condense { channels, condense } => nearest_divisors(*channels, *condense)
                .iter()
                .map(|&condense| {
                    let text = format!(
                        "`condense = {condense}` divides {channels} channels and keeps {} a group",
                        channels / condense
                    );
                    Advice::new(text, Change::Set("condense", condense))
                })
                .collect(),
            ShapeError::Slice {
                axis,
                from,
                to,
                size,
            } if *from < *size && *to > *size => {
                let text = format!("`to = {size}` takes {axis} to the end");
                vec![Advice::new(text, Change::Set("to", *size))]
            }
            ShapeError::NoGroups => {
                let text = "`groups = 1` is a convolution over all channels".to_owned();
                vec![Advice::new(text, Change::Set("groups", 1))]
            }
            ShapeError::Window { pool, problem } => problem.help(*pool),
            ShapeError::Stretch { found, widest, .. } => one_apart(found, widest)
                .into_iter()
                .map(Advice::from)
                .collect(),
            ShapeError::Concat {
                axis: 0,
                found,
                first,
                ..
            } => one_apart(found, first)
                .into_iter()
                .map(Advice::from)
                .collect(),
            ShapeError::Concat { .. } => Vec::new(),
            ShapeError::Arity { .. }
            | ShapeError::DType { .. }
            | ShapeError::Batched { .. }
            | ShapeError::Rank { .. }
            | ShapeError::Differs { .. }
            | ShapeError::NotWider { .. }
            | ShapeError::Slice { .. }
            | ShapeError::Elements { .. }
            | ShapeError::Axes { .. }
            | ShapeError::Item { .. }
            | ShapeError::NoItems
            | ShapeError::Rate { .. } => Vec::new(),
        }
    }
}

/// Heights or widths that are one apart come from halving an odd size, once rounded down and once up.
fn one_apart(one: &[usize], other: &[usize]) -> Vec<String> {
    let (&[_, ref one @ ..], &[_, ref other @ ..]) = (one, other) else {
        return Vec::new();
    };
    let apart = one.len() == 2
        && other.len() == 2
        && one != other
        && one
            .iter()
            .zip(other)
            .all(|(&one, &other)| one.abs_diff(other) <= 1);
    if apart {
        vec![
            "a pool in the smaller one rounds up with `ceil = true`".to_owned(),
            "an input of even size makes rounding unnecessary".to_owned(),
        ]
    } else {
        Vec::new()
    }
}

fn pieces_text(channels: usize, pieces: usize) -> String {
    if pieces == 0 {
        return "a piece has at least 1 channel".to_owned();
    }
    let over = channels % pieces;
    format!("{channels} channels leave {over} over when split into pieces of {pieces}")
}

/// Numbers as attributes show them.
pub(crate) fn list(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    numbers.join(",")
}

/// The divisors of a number that are nearest to another, at most one below and one above it.
pub(crate) fn nearest_divisors(number: usize, near: usize) -> Vec<usize> {
    let divides = |divisor: &usize| number.is_multiple_of(*divisor);
    let below = (1..near.min(number + 1)).rev().find(divides);
    let above = (near + 1..=number).find(divides);
    below.into_iter().chain(above).collect()
}

fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "numbers",
        DType::I32 => "integers",
    }
}

fn batched(batched: bool) -> &'static str {
    if batched {
        "one for each image"
    } else {
        "the same for all images"
    }
}

/// Exactly so many inputs.
pub(crate) fn exactly<const N: usize>(inputs: &[Type]) -> Result<&[Type; N], ShapeError> {
    inputs.try_into().map_err(|_| ShapeError::Arity {
        expected: N,
        found: inputs.len(),
    })
}

/// An input with floats.
pub(crate) fn floats(ty: &Type, input: &'static str) -> Result<(), ShapeError> {
    holds(ty, DType::F32, input)
}

/// An input with integers.
pub(crate) fn integers(ty: &Type, input: &'static str) -> Result<(), ShapeError> {
    holds(ty, DType::I32, input)
}

fn holds(ty: &Type, expected: DType, input: &'static str) -> Result<(), ShapeError> {
    if ty.dtype == expected {
        Ok(())
    } else {
        Err(ShapeError::DType {
            input,
            expected,
            found: ty.dtype,
        })
    }
}

/// An input with a number of axes, one for each image or one in all.
pub(crate) fn axes<const N: usize>(
    ty: &Type,
    input: &'static str,
    expected: &'static str,
    batched: bool,
) -> Result<[usize; N], ShapeError> {
    if ty.shape.batched != batched {
        return Err(ShapeError::Batched {
            input,
            expected: batched,
        });
    }
    let dims = ty.shape.dims.as_slice();
    dims.try_into().map_err(|_| ShapeError::Rank {
        input,
        expected,
        found: dims.to_vec(),
    })
}

/// A feature map of floats, one for each image.
pub(crate) fn map(ty: &Type, input: &'static str) -> Result<[usize; 3], ShapeError> {
    floats(ty, input)?;
    axes(ty, input, "[C, H, W]", true)
}

/// A vector of floats, one for each image.
pub(crate) fn vector(ty: &Type, input: &'static str) -> Result<[usize; 1], ShapeError> {
    floats(ty, input)?;
    axes(ty, input, "[F]", true)
}

/// An input whose shape follows from the others.
pub(crate) fn same_shape(
    found: &Shape,
    expected: &Shape,
    input: &'static str,
) -> Result<(), ShapeError> {
    if found.batched != expected.batched {
        return Err(ShapeError::Batched {
            input,
            expected: expected.batched,
        });
    }
    if found.dims == expected.dims {
        return Ok(());
    }
    Err(ShapeError::Differs {
        input,
        expected: expected.dims.to_vec(),
        found: found.dims.to_vec(),
    })
}

impl From<WindowError> for ShapeError {
    /// A convolution's window; pools say that they are one.
    fn from(problem: WindowError) -> ShapeError {
        ShapeError::Window {
            pool: false,
            problem,
        }
    }
}

impl WindowError {
    fn help(&self, pool: bool) -> Vec<Advice> {
        let same = || Advice::from("`pad = same` keeps the size".to_owned());
        match self {
            WindowError::Zero { what, .. } => {
                let text = format!("`{what} = 1` is the least");
                vec![Advice::new(text, Change::Set(what, 1))]
            }
            WindowError::TooBig { .. } if pool => {
                let text = "`global_avgpool` averages over the whole map, whatever its size";
                vec![Advice::new(
                    text.to_owned(),
                    Change::Instead("global_avgpool"),
                )]
            }
            WindowError::TooBig {
                input,
                before,
                after,
                effective,
                ..
            } => {
                let missing = (effective - input).div_ceil(2);
                if before + after == 0 {
                    let text = format!("`pad = {missing}` makes it fit");
                    vec![Advice::new(text, Change::Set("pad", missing)), same()]
                } else {
                    vec![same()]
                }
            }
            WindowError::PadTooBig { effective, .. } => {
                let most = effective / 2;
                let text = format!("`pad = {most}` is the most for this window");
                vec![Advice::new(text, Change::Set("pad", most))]
            }
            WindowError::Empty { axis, .. } => {
                let axis = match axis {
                    Axis::Height => "top and bottom",
                    Axis::Width => "left and right",
                };
                vec![format!("less padding at the {axis}, or less dilation").into()]
            }
        }
    }
}

#[cfg(test)]
mod tests;
