//! `from image(…)`: how a picture becomes an input of the net.
//!
//! What is read here is carried out, for `run`, `eval` and `train` alike, by [`crate::train::picture`].

use std::fmt;

use super::Elab;
use super::attrs::Attrs;
use super::layers::{Attr, AttrKind, Default, Layer, LayerKind};
use super::report::{quoted, suggest};
use super::scope::Env;
use super::value::Value;
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{Expr, ExprKind};

/// How a picture becomes an input of `[channels, height, width]`: it is made grey or red, green and blue, resized, cut
/// out in the middle, divided by 255 and scaled by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureInput {
    /// The input's sizes; 1 channel is grey, 3 are red, green and blue.
    pub input: [usize; 3],
    /// The size that a picture gets before its middle is cut out.
    pub resize: Resize,
    /// How pixels between pixels are found.
    pub filter: Filter,
    /// What is taken off, for each channel or for all.
    pub mean: Vec<f32>,
    /// What the rest is divided by, for each channel or for all.
    pub std: Vec<f32>,
}

/// The size that a picture gets before its middle is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The least one, in the picture's proportions, that covers the input.
    Cover,
    /// Its own.
    Keep,
    /// The shorter side becomes this long, the other follows in proportion and is rounded down.
    Short(usize),
    /// This height and width, whatever the proportions were.
    Exact([usize; 2]),
}

/// How pixels between pixels are found. Where a picture shrinks, the filter grows by the same factor, so that every
/// pixel counts (antialiasing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle over two pixels.
    Bilinear,
    /// A cubic curve over four pixels, with a = -0.5 (Keys 1981).
    Bicubic,
}

impl fmt::Display for PictureInput {
    /// As it would be written with every default, the size that is cut out as the input has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("image(resize = ")?;
        match self.resize {
            Resize::Cover => f.write_str(COVER)?,
            Resize::Keep => f.write_str(KEEP)?,
            Resize::Short(side) => write!(f, "{side}")?,
            Resize::Exact([height, width]) => write!(f, "({height}, {width})")?,
        }
        let [_, height, width] = self.input;
        let filter = match self.filter {
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => BICUBIC,
        };
        write!(f, ", crop = ({height}, {width}), filter = {filter}")?;
        for (name, numbers) in [("mean", &self.mean), ("std", &self.std)] {
            match numbers.as_slice() {
                [one] => write!(f, ", {name} = {one}")?,
                numbers => write!(f, ", {name} = {numbers:?}")?,
            }
        }
        f.write_str(")")
    }
}

const COVER: &str = "cover";
const KEEP: &str = "keep";
const INPUT: &str = "input";
const BICUBIC: &str = "bicubic";

const fn attr(name: &'static str, kind: AttrKind, default: Default) -> Attr {
    Attr {
        name,
        kind,
        default,
        positional: false,
    }
}

/// What `image` takes.
pub(super) static IMAGE: Layer = Layer {
    name: "image",
    kind: LayerKind::Choice,
    attrs: &[
        attr(
            "resize",
            AttrKind::SizeOr(&[COVER, KEEP]),
            Default::Word(COVER),
        ),
        attr("crop", AttrKind::SizeOr(&[INPUT]), Default::Word(INPUT)),
        attr(
            "filter",
            AttrKind::Word(&["bilinear", BICUBIC]),
            Default::Word("bilinear"),
        ),
        attr("mean", AttrKind::PerChannel, Default::Float(0.0)),
        attr("std", AttrKind::PerChannel, Default::Float(1.0)),
    ],
};

impl<'a> Elab<'a> {
    /// What stands behind `from`, for an input of these sizes.
    pub(super) fn picture(
        &mut self,
        env: &Env<'a>,
        expr: &'a Expr,
        dims: &[usize],
    ) -> Option<PictureInput> {
        let (name, name_span, args) = match &expr.kind {
            ExprKind::Name(name) => (name, expr.span, None),
            ExprKind::Call(call) => (&call.name.text, call.name.span, call.args.as_ref()),
            _ => {
                let diagnostic =
                    Diagnostic::error(codes::BAD_VALUE, "something with a name is expected here");
                self.report(
                    diagnostic
                        .primary(expr.span, "")
                        .help("write `image(…)` behind `from`"),
                );
                return None;
            }
        };
        if name != IMAGE.name {
            let diagnostic = Diagnostic::error(
                codes::UNKNOWN_NAME,
                format!("an input cannot come from {}", quoted(name)),
            )
            .primary(name_span, "");
            self.report(match suggest(name, [IMAGE.name]) {
                Some(near) => diagnostic.edit(format!("did you mean `{near}`?"), name_span, near),
                None => diagnostic.help("known is `image`"),
            });
            return None;
        }
        let args = self.eval_args(env, args, &IMAGE.formals());
        let attrs = self.attrs(&IMAGE, &args, expr.span)?;
        let &[channels @ (1 | 3), height, width] = dims else {
            let message = format!("a picture cannot become an input of {dims:?}");
            let diagnostic = Diagnostic::error(codes::BAD_SOURCE, message).primary(expr.span, "");
            self.report(diagnostic.help(
                "pictures become [1, height, width], which is grey, or [3, height, width], which is red, green and blue",
            ));
            return None;
        };
        let resize = self.resize(&attrs, [height, width]);
        let crop = self.crop(&attrs, [height, width]);
        let filter = self.word(&attrs, "filter").map(|word| match word {
            BICUBIC => Filter::Bicubic,
            _ => Filter::Bilinear,
        });
        let mean = self.by_channel(&attrs, "mean", channels);
        let std = self.by_channel(&attrs, "std", channels);
        crop?;
        Some(PictureInput {
            input: [channels, height, width],
            resize: resize?,
            filter: filter?,
            mean: mean?,
            std: std?,
        })
    }

    fn resize(&mut self, attrs: &Attrs<'a>, input: [usize; 2]) -> Option<Resize> {
        let (value, span) = attrs.get("resize");
        let resize = match &value {
            Value::Word(word) if &**word == COVER => Resize::Cover,
            Value::Word(word) if &**word == KEEP => Resize::Keep,
            Value::Tuple(_) => Resize::Exact(self.positive_pair(attrs, "resize")?),
            _ => Resize::Short(self.positive_pair(attrs, "resize")?[0]),
        };
        let least = match resize {
            Resize::Cover | Resize::Keep => return Some(resize),
            // Which side is the shorter one, the picture says.
            Resize::Short(short) => [short, short],
            Resize::Exact(size) => size,
        };
        let [height, width] = input;
        if least[0] >= height && least[1] >= width {
            return Some(resize);
        }
        let message = format!(
            "a picture resized to {value} can be smaller than the input, which is {height} high and {width} wide"
        );
        let short = height.max(width);
        let diagnostic = Diagnostic::error(codes::BAD_SOURCE, message).primary(span, "");
        self.report(diagnostic.edit(
            format!("`resize = {short}` is enough"),
            span,
            short.to_string(),
        ));
        None
    }

    /// The part that is cut out is the input; what a file says of it is held against that.
    fn crop(&mut self, attrs: &Attrs<'a>, input: [usize; 2]) -> Option<()> {
        let (value, span) = attrs.get("crop");
        if matches!(&value, Value::Word(word) if &**word == INPUT) {
            return Some(());
        }
        let [height, width] = self.positive_pair(attrs, "crop")?;
        if [height, width] == input {
            return Some(());
        }
        let [wanted_height, wanted_width] = input;
        let message = format!(
            "`crop` cuts out {height} x {width} pixels, but the input takes {wanted_height} x {wanted_width}"
        );
        let diagnostic = Diagnostic::error(codes::BAD_SOURCE, message).primary(span, "");
        let right = if wanted_height == wanted_width {
            wanted_height.to_string()
        } else {
            format!("({wanted_height}, {wanted_width})")
        };
        self.report(diagnostic.edit(
            format!("write `crop = {right}`, or leave it out"),
            span,
            right,
        ));
        None
    }

    fn positive_pair(&mut self, attrs: &Attrs<'a>, name: &str) -> Option<[usize; 2]> {
        let pair = self.pair(attrs, name)?;
        if pair.contains(&0) {
            let message = format!("`{name}` of `image` must be at least 1");
            let (_, span) = attrs.get(name);
            self.report(Diagnostic::error(codes::OUT_OF_RANGE, message).primary(span, ""));
            return None;
        }
        Some(pair)
    }

    /// A number for all channels, or a list of one for each; a divisor must be positive.
    fn by_channel(
        &mut self,
        attrs: &Attrs<'a>,
        name: &'static str,
        channels: usize,
    ) -> Option<Vec<f32>> {
        let numbers = self.per_channel(attrs, name)?;
        let (_, span) = attrs.get(name);
        if numbers.len() != 1 && numbers.len() != channels {
            let message = format!(
                "`{name}` has {} numbers, and the input {channels} {}",
                numbers.len(),
                if channels == 1 { "channel" } else { "channels" }
            );
            let diagnostic = Diagnostic::error(codes::BAD_SOURCE, message).primary(span, "");
            self.report(diagnostic.help("give one number for each channel, or one for all"));
            return None;
        }
        if name == "std" && numbers.iter().any(|&number| number <= 0.0) {
            let message = "`std` of `image` must be greater than 0: values are divided by it";
            self.report(Diagnostic::error(codes::OUT_OF_RANGE, message).primary(span, ""));
            return None;
        }
        Some(numbers)
    }
}
