//! Reading the attributes of a built-in layer as what they must be.

use std::fmt;

use super::args::Callee;
use super::layers::{AUTO, AXES, AttrKind, Default, Layer};
use super::limits::{MAX_SIZE, MAX_WINDOW};
use super::report::suggest;
use super::value::{EvArg, Value};
use super::{Elab, InitRule};
use crate::diag::{Diagnostic, Span, codes};
use crate::ops::Pads;

/// The largest number of single precision, which is what attributes become.
pub(super) const LARGEST: f64 = f32::MAX as f64;

/// The attributes of one use of a layer: written or default.
#[derive(Debug)]
pub(super) struct Attrs<'a> {
    layer: &'static Layer,
    values: Vec<(Value<'a>, Span)>,
}

/// Padding as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Padding {
    /// So much on each side.
    Fixed(Pads),
    /// What makes the output as large as the input divided by the stride.
    Same,
}

/// A range of whole numbers that an attribute allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The least.
    pub min: i64,
    /// The greatest.
    pub max: i64,
}

/// What sizes of windows must be; whether they must be at least 1 is for the shape rule to say.
const WINDOW: Bounds = Bounds {
    min: 0,
    max: MAX_WINDOW,
};

impl<'a> Attrs<'a> {
    fn place(&self, name: &str) -> usize {
        let at = self.layer.attrs.iter().position(|attr| attr.name == name);
        at.unwrap_or_else(|| unreachable!("`{}` has no attribute `{name}`", self.layer.name))
    }

    /// The value of an attribute, and where it stands; where it is not written, the place of the layer.
    pub(super) fn get(&self, name: &str) -> (Value<'a>, Span) {
        self.values[self.place(name)].clone()
    }
}

/// What messages call an attribute; most are never spoken of, so nothing is written before.
#[derive(Clone, Copy, Debug)]
pub(super) struct What<'n> {
    name: &'n str,
    layer: &'static str,
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of `{}`", self.name, self.layer)
    }
}

impl<'a> Elab<'a> {
    /// Binds the arguments of a layer and fills in defaults.
    pub(super) fn attrs(
        &mut self,
        layer: &'static Layer,
        args: &[EvArg<'a>],
        span: Span,
    ) -> Option<Attrs<'a>> {
        let formals = layer.formals();
        let callee = Callee {
            name: layer.name,
            declared: None,
            span,
        };
        let bound = self.bind(callee, &formals, args)?;
        let mut values: Vec<(Value<'a>, Span)> = Vec::with_capacity(bound.len());
        for (attr, slot) in layer.attrs.iter().zip(bound) {
            let value = match (slot, attr.default) {
                (Some(slot), _) => (args[slot].value.clone(), args[slot].value_span),
                (None, Default::Int(value)) => (Value::Int(value), span),
                (None, Default::Float(value)) => (Value::Float(value, None), span),
                (None, Default::Bool(value)) => (Value::Bool(value), span),
                (None, Default::Word(word)) => (Value::Word(word.into()), span),
                (None, Default::Attr(other)) => {
                    let at = layer.attrs.iter().position(|attr| attr.name == other);
                    at.and_then(|at| values.get(at).cloned())
                        .unwrap_or((Value::Poison, span))
                }
                (None, Default::Required) => (Value::Poison, span),
            };
            values.push(value);
        }
        Some(Attrs { layer, values })
    }

    /// A whole number in bounds; `None` where an error has been reported.
    pub(super) fn whole(
        &mut self,
        value: &Value<'a>,
        what: impl fmt::Display + Copy,
        bounds: Bounds,
        span: Span,
    ) -> Option<i64> {
        if value.is_poison() {
            return None;
        }
        let Some(number) = value.whole() else {
            match value.number() {
                Some(_) => self.not_whole(value, what, span),
                None => self.wrong_kind(value, what, "a whole number", span),
            }
            return None;
        };
        if number < bounds.min || number > bounds.max {
            let message = match (number < bounds.min, bounds.min) {
                (true, 0) => format!("{what} must not be negative, but is {number}"),
                (true, min) => format!("{what} must be at least {min}, but is {number}"),
                (false, _) => format!("{what} must be at most {}, but is {number}", bounds.max),
            };
            let nearest = number.clamp(bounds.min, bounds.max);
            self.out_of_range(message, span, &nearest.to_string());
            return None;
        }
        Some(number)
    }

    /// A number beyond its bounds, and the nearest one within.
    fn out_of_range(&mut self, message: String, span: Span, nearest: &str) {
        let diagnostic = Diagnostic::error(codes::OUT_OF_RANGE, message).primary(span, "");
        let text = format!("the nearest value is `{nearest}`");
        self.report(diagnostic.edit(text, span, nearest));
    }

    /// A number with a fraction where a whole one is wanted: the division that made it, and ways to round.
    fn not_whole(&mut self, value: &Value<'a>, what: impl fmt::Display + Copy, span: Span) {
        let message = format!("{what} must be a whole number, but is {value}");
        let diagnostic = Diagnostic::error(codes::NOT_WHOLE, message);
        let (diagnostic, place) = match value.division() {
            Some(division) if division == span => {
                (diagnostic.primary(span, "`/` divides exactly"), span)
            }
            Some(division) => {
                let diagnostic = diagnostic.primary(span, "");
                (
                    diagnostic.secondary(division, "this division leaves a remainder"),
                    division,
                )
            }
            None => (diagnostic.primary(span, ""), span),
        };
        let source = self.files.slice(place).to_owned();
        let rounded = ["floor", "ceil"].map(|function| format!("{function}({source})"));
        let text = |call: &str, way| format!("`{call}` rounds {way}");
        let diagnostic = diagnostic.edit(text(&rounded[0], "down"), place, rounded[0].as_str());
        self.report(diagnostic.edit(text(&rounded[1], "up"), place, rounded[1].as_str()));
    }

    fn attr<'n>(&self, attrs: &Attrs<'a>, name: &'n str) -> (Value<'a>, Span, What<'n>, AttrKind) {
        let at = attrs.place(name);
        let (value, span) = attrs.values[at].clone();
        let layer = attrs.layer.name;
        (
            value,
            span,
            What { name, layer },
            attrs.layer.attrs[at].kind,
        )
    }

    /// An attribute's value, its place, and what messages call it.
    pub(super) fn given<'n>(
        &self,
        attrs: &Attrs<'a>,
        name: &'n str,
    ) -> (Value<'a>, Span, What<'n>) {
        let (value, span, what, _) = self.attr(attrs, name);
        (value, span, what)
    }

    /// Where an attribute is given, or the whole use where it is not.
    pub(super) fn place(&self, attrs: &Attrs<'a>, name: &str) -> Span {
        self.attr(attrs, name).1
    }

    /// A string.
    pub(super) fn string(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<String> {
        let (value, span, what, _) = self.attr(attrs, name);
        match value {
            Value::Str(text) => Some((*text).to_owned()),
            other => {
                self.wrong_kind(&other, what, "a string", span);
                None
            }
        }
    }

    /// How weights start: an initialiser, or what the training half says.
    pub(super) fn init_rule(&mut self, attrs: &Attrs<'a>) -> Option<InitRule> {
        let (value, span, what, _) = self.attr(attrs, "init");
        match &value {
            Value::Init(rule) => Some((**rule).clone()),
            Value::Word(word) if &**word == AUTO => Some(self.init.clone()),
            other => {
                self.wrong_kind(other, what, "an initialiser, such as `he`", span);
                None
            }
        }
    }

    /// A whole number.
    pub(super) fn int(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<usize> {
        let (value, span, what, kind) = self.attr(attrs, name);
        let bounds = match kind {
            AttrKind::Int(min, max) => Bounds { min, max },
            _ => Bounds {
                min: 0,
                max: MAX_SIZE,
            },
        };
        self.whole(&value, what, bounds, span)
            .and_then(|value| usize::try_from(value).ok())
    }

    /// A number.
    pub(super) fn float(
        &mut self,
        attrs: &Attrs<'a>,
        name: &str,
        min: f64,
        max: f64,
    ) -> Option<f32> {
        self.number_of(attrs, name, min, max).map(narrow)
    }

    /// A number in double precision.
    pub(super) fn number_of(
        &mut self,
        attrs: &Attrs<'a>,
        name: &str,
        min: f64,
        max: f64,
    ) -> Option<f64> {
        let (value, span, what, _) = self.attr(attrs, name);
        self.number_within(&value, what, min, max, span)
    }

    /// A number in bounds; `None` where an error has been reported.
    pub(super) fn number_within(
        &mut self,
        value: &Value<'a>,
        what: impl fmt::Display + Copy,
        min: f64,
        max: f64,
        span: Span,
    ) -> Option<f64> {
        let Some(number) = value.number() else {
            self.wrong_kind(value, what, "a number", span);
            return None;
        };
        if number < min || number > max {
            let message = if max < LARGEST {
                format!("{what} must be from {min} to {max}, but is {value}")
            } else if number < min && min > -LARGEST {
                format!("{what} must be at least {min}, but is {value}")
            } else {
                format!("{what} must be a number of single precision, but is {value}")
            };
            let nearest = number.clamp(min, max);
            // Hundreds of digits would help nobody.
            let nearest = if nearest.abs() < 1e15 {
                nearest.to_string()
            } else {
                format!("{nearest:e}")
            };
            self.out_of_range(message, span, &nearest);
            return None;
        }
        Some(number)
    }

    /// A number above 0, in single precision as well.
    pub(super) fn positive(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<f64> {
        let number = self.number_of(attrs, name, f64::NEG_INFINITY, LARGEST)?;
        if number >= f64::from(f32::MIN_POSITIVE) {
            return Some(number);
        }
        let (value, span, what) = self.given(attrs, name);
        let message = format!("{what} must be above 0, but is {value}");
        self.report(Diagnostic::error(codes::OUT_OF_RANGE, message).primary(span, ""));
        None
    }

    /// A truth value.
    pub(super) fn bool(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<bool> {
        let (value, span, what, _) = self.attr(attrs, name);
        match value {
            Value::Bool(value) => Some(value),
            other => {
                self.wrong_kind(&other, what, "`true` or `false`", span);
                None
            }
        }
    }

    /// One of the words that the attribute lists.
    pub(super) fn word(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<&'static str> {
        let (value, span, what, kind) = self.attr(attrs, name);
        let words = kind.words();
        if let Value::Word(word) = &value
            && let Some(word) = words.iter().find(|known| **known == &**word)
        {
            return Some(word);
        }
        if !value.is_poison() {
            let message = format!("{what} cannot be {value}");
            let list: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            let diagnostic = Diagnostic::error(codes::WRONG_KIND, message).primary(span, "");
            let near = match &value {
                Value::Word(word) => suggest(word, words.iter().copied()),
                Value::Str(text) => words.iter().copied().find(|word| *word == &**text),
                _ => None,
            };
            let diagnostic = match near {
                Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), span, near),
                None => diagnostic,
            };
            self.report(diagnostic.help(format!("it is one of {}", list.join(", "))));
        }
        None
    }

    /// Height and width: one size for both, or a pair.
    pub(super) fn pair(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<[usize; 2]> {
        let (value, span, what, _) = self.attr(attrs, name);
        self.pair_of(&value, what, WINDOW, span)
    }

    fn pair_of(
        &mut self,
        value: &Value<'a>,
        what: impl fmt::Display + Copy,
        bounds: Bounds,
        span: Span,
    ) -> Option<[usize; 2]> {
        match value {
            Value::Tuple(items) if items.len() == 2 => {
                let sizes = self.sizes(items, what, bounds, span)?;
                Some([sizes[0], sizes[1]])
            }
            Value::Tuple(_) | Value::List(_) => {
                self.wrong_kind(value, what, "a size or (height, width)", span);
                None
            }
            _ => {
                let size = usize::try_from(self.whole(value, what, bounds, span)?).ok()?;
                Some([size, size])
            }
        }
    }

    fn sizes(
        &mut self,
        items: &[Value<'a>],
        what: impl fmt::Display + Copy,
        bounds: Bounds,
        span: Span,
    ) -> Option<Vec<usize>> {
        let sizes: Vec<Option<i64>> = items
            .iter()
            .map(|item| self.whole(item, what, bounds, span))
            .collect();
        sizes
            .into_iter()
            .map(|size| usize::try_from(size?).ok())
            .collect()
    }

    /// A list of sizes, each at least 1.
    pub(super) fn shape_list(
        &mut self,
        value: &Value<'a>,
        what: impl fmt::Display + Copy,
        span: Span,
    ) -> Option<Vec<usize>> {
        match value {
            Value::List(items) => self.sizes(
                items,
                what,
                Bounds {
                    min: 1,
                    max: MAX_SIZE,
                },
                span,
            ),
            _ => {
                self.wrong_kind(value, what, "a list of sizes", span);
                None
            }
        }
    }

    /// A list of sizes.
    pub(super) fn list(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<Vec<usize>> {
        let (value, span, what, _) = self.attr(attrs, name);
        self.shape_list(&value, what, span)
    }

    /// A list of places, counted from 0.
    pub(super) fn places(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<Vec<usize>> {
        let (value, span, what, kind) = self.attr(attrs, name);
        let AttrKind::Places(max) = kind else {
            unreachable!("{what} is a list of places")
        };
        let Value::List(items) = &value else {
            self.wrong_kind(&value, what, "a list of whole numbers", span);
            return None;
        };
        self.sizes(items, what, Bounds { min: 0, max }, span)
    }

    /// A list of axes, each a number from 0 or a word.
    pub(super) fn axes(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<Vec<usize>> {
        let (value, span, what, _) = self.attr(attrs, name);
        let Value::List(items) = &value else {
            let wanted = "a list of axes, such as `[channels, width, height]` or `[0, 2, 1]`";
            self.wrong_kind(&value, what, wanted, span);
            return None;
        };
        let axis = |item: &Value<'a>| match item {
            Value::Word(word) => AXES.iter().position(|axis| *axis == &**word),
            item => item.whole().and_then(|axis| usize::try_from(axis).ok()),
        };
        if let Some(item) = items.iter().find(|item| axis(item).is_none()) {
            if !item.is_poison() {
                let message = format!("{what} names {item}, which is no axis");
                self.report(
                    Diagnostic::error(codes::WRONG_KIND, message)
                        .primary(span, "")
                        .help("axes are `channels`, `height`, `width`, or 0, 1, 2"),
                );
            }
            return None;
        }
        items.iter().map(axis).collect()
    }

    /// A number, or a list of them.
    pub(super) fn per_channel(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<Vec<f32>> {
        let (value, span, what, _) = self.attr(attrs, name);
        let items = match &value {
            Value::List(items) => &items[..],
            single => std::slice::from_ref(single),
        };
        let all: Vec<Option<f64>> = items
            .iter()
            .map(|item| self.number_within(item, what, f64::NEG_INFINITY, f64::INFINITY, span))
            .collect();
        all.into_iter().map(|number| number.map(narrow)).collect()
    }

    /// Padding: a size, (height, width), (top, left, bottom, right), `same` or `valid`.
    pub(super) fn padding(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<Padding> {
        let (value, span, what, _) = self.attr(attrs, name);
        match &value {
            Value::Word(word) if &**word == "same" => Some(Padding::Same),
            Value::Word(word) if &**word == "valid" => Some(Padding::Fixed(Pads::default())),
            Value::Tuple(items) if items.len() == 4 => {
                let sizes = self.sizes(items, what, WINDOW, span)?;
                Some(Padding::Fixed(Pads {
                    top: sizes[0],
                    left: sizes[1],
                    bottom: sizes[2],
                    right: sizes[3],
                }))
            }
            Value::Int(_) | Value::Float(..) => {
                let [size, _] = self.pair_of(&value, what, WINDOW, span)?;
                Some(Padding::Fixed(Pads::all(size)))
            }
            Value::Tuple(items) if items.len() == 2 => {
                let [height, width] = self.pair_of(&value, what, WINDOW, span)?;
                Some(Padding::Fixed(Pads {
                    top: height,
                    left: width,
                    bottom: height,
                    right: width,
                }))
            }
            _ => {
                let wanted =
                    "a size, (height, width), (top, left, bottom, right), `same` or `valid`";
                self.wrong_kind(&value, what, wanted, span);
                None
            }
        }
    }
}

/// The nearest single-precision number.
#[allow(
    clippy::cast_possible_truncation,
    reason = "values of the net are single precision"
)]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}
