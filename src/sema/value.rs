//! What an expression can be when a net is built.

use std::fmt;
use std::rc::Rc;

use super::InitRule;
use super::layers::Layer;
use crate::diag::Span;
use crate::ir::ValueId;
use crate::syntax::ast::{Block, Name};

/// A constant, a layer, or a tensor of the net.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// A whole number.
    Int(i64),
    /// A number; where it came from a division that left a remainder, the place of that division.
    Float(f64, Option<Span>),
    /// A truth value.
    Bool(bool),
    /// A string.
    Str(Rc<str>),
    /// A word of an attribute, such as `same`.
    Word(Rc<str>),
    /// A list.
    List(Rc<[Value<'a>]>),
    /// A tuple.
    Tuple(Rc<[Value<'a>]>),
    /// A layer, a block or a shared body, perhaps with its arguments.
    Layer(Rc<LayerValue<'a>>),
    /// A rule by which weights start.
    Init(Rc<InitRule>),
    /// A tensor; `None` where an error has been reported.
    Tensor(Option<ValueId>),
    /// An error has been reported; whatever uses it stays silent.
    Poison,
}

/// Something that a chain can apply.
#[derive(Clone, Debug)]
pub(super) struct LayerValue<'a> {
    /// What is applied.
    pub target: Target<'a>,
    /// Its arguments, if they were given when the value was made.
    pub args: Option<Vec<EvArg<'a>>>,
}

/// What can be applied to a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// A built-in layer.
    Builtin(&'static Layer),
    /// A block of the file.
    Block(&'a Block),
    /// A shared body, by number.
    Shared(usize),
    /// `id`.
    Id,
}

/// An evaluated argument.
#[derive(Clone, Debug)]
pub(super) struct EvArg<'a> {
    /// Its name, if it was given by name.
    pub name: Option<&'a Name>,
    /// Its value.
    pub value: Value<'a>,
    /// Name and value.
    pub span: Span,
    /// The value alone.
    pub value_span: Span,
}

impl Value<'_> {
    /// What kind of value it is, with an article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Int(_) => "an int",
            Value::Float(..) => "a float",
            Value::Bool(_) => "a bool",
            Value::Str(_) => "a string",
            Value::Word(_) => "a word",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Layer(layer) => match layer.target {
                Target::Block(_) => "a block",
                Target::Builtin(_) | Target::Shared(_) | Target::Id => "a layer",
            },
            Value::Init(_) => "an initialiser",
            Value::Tensor(_) => "a tensor",
            Value::Poison => "an error",
        }
    }

    /// The number, if it is one.
    #[allow(
        clippy::cast_precision_loss,
        reason = "the parser and the arithmetic keep integers below 2^53"
    )]
    pub(super) fn number(&self) -> Option<f64> {
        match *self {
            Value::Int(value) => Some(value as f64),
            Value::Float(value, _) => Some(value),
            _ => None,
        }
    }

    /// The whole number, if it is one; a float without a fraction is.
    pub(super) fn whole(&self) -> Option<i64> {
        match *self {
            Value::Int(value) => Some(value),
            Value::Float(value, _) => whole(value),
            _ => None,
        }
    }

    /// The items, if it is a list or a tuple.
    pub(super) fn items(&self) -> Option<&[Self]> {
        match self {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Takes room for each item of the lists in it; whether there was enough.
    pub(super) fn takes(&self, room: &mut usize) -> bool {
        let Some(left) = room.checked_sub(1) else {
            return false;
        };
        *room = left;
        self.items()
            .unwrap_or_default()
            .iter()
            .all(|item| item.takes(room))
    }

    /// Where it came from a division that left a remainder, the place of that division.
    pub(super) fn division(&self) -> Option<Span> {
        match self {
            Value::Float(_, division) => *division,
            _ => None,
        }
    }

    /// Whether an error has been reported about it or a part of it.
    pub(super) fn is_poison(&self) -> bool {
        match self {
            Value::Poison | Value::Tensor(None) => true,
            Value::List(items) | Value::Tuple(items) => items.iter().any(Value::is_poison),
            _ => false,
        }
    }
}

/// A float without a fraction as a whole number, where both are exact.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the range is checked first"
)]
pub(super) fn whole(value: f64) -> Option<i64> {
    let exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
    exact.then_some(value as i64)
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value, _) => f.write_str(&number(*value)),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Str(text) => write!(f, "{text:?}"),
            Value::Word(word) => f.write_str(word),
            Value::List(items) => list(f, "[", items, "]"),
            Value::Tuple(items) => list(f, "(", items, ")"),
            Value::Layer(layer) => {
                f.write_str(match layer.target {
                    Target::Builtin(builtin) => builtin.name,
                    Target::Block(block) => &block.name.text,
                    Target::Shared(_) => "shared body",
                    Target::Id => "id",
                })?;
                match layer.args.as_deref() {
                    Some(args) if !args.is_empty() => list(f, "(", args, ")"),
                    _ => Ok(()),
                }
            }
            Value::Init(rule) => write!(f, "{rule}"),
            Value::Tensor(_) => f.write_str("tensor"),
            Value::Poison => f.write_str("?"),
        }
    }
}

impl fmt::Display for EvArg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{} = {}", name.text, self.value),
            None => write!(f, "{}", self.value),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    items: &[impl fmt::Display],
    close: &str,
) -> fmt::Result {
    /// Longer lists are cut; they stand in messages.
    const SHOWN: usize = 8;
    f.write_str(open)?;
    for (at, item) in items.iter().take(SHOWN).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    if items.len() > SHOWN {
        f.write_str(", …")?;
    }
    f.write_str(close)
}

/// A number in at most six significant digits after the point, without trailing zeros.
fn number(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e15).contains(&value.abs()) {
        return format!("{value:e}");
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
