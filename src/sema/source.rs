//! `input … from image(…)`: what turns a picture into an input, checked against the input's shape.

use super::report::{quoted, suggest};
use super::{Const, Elab, Spec, SpecArg};
use crate::diag::{Diagnostic, Span, codes};

/// The only thing that an input can be made from.
const IMAGE: &str = "image";
/// What can be said of it.
const KEYS: [&str; 4] = ["resize", "crop", "mean", "std"];
/// The longest side of a picture.
const MAX_SIDE: i64 = 1 << 14;

impl Elab<'_> {
    /// Reports everything of a source that does not fit an input of these sizes.
    pub(super) fn check_source(&mut self, spec: &Spec, dims: &[usize], shape: Span) {
        if spec.name != IMAGE {
            let message = format!("an input cannot be made from `{}`", spec.name);
            let diagnostic = Diagnostic::error(codes::BAD_SOURCE, message).primary(spec.span, "");
            self.report(match suggest(&spec.name, [IMAGE]) {
                Some(near) => diagnostic.help(format!("did you mean `{near}(…)`?")),
                None => diagnostic.help("known is `image(resize, crop, mean, std)`"),
            });
            return;
        }
        let &[channels, height, width] = dims else {
            self.source_misfit(
                format!("a picture is a map, and this input is {dims:?}"),
                spec.span,
                shape,
                "write the input as [channels, height, width]",
            );
            return;
        };
        if channels != 1 && channels != 3 {
            self.source_misfit(
                format!("a picture has 1 channel (grey) or 3 (RGB), and this input has {channels}"),
                spec.span,
                shape,
                "leave `from image(…)` out where the input is not a picture",
            );
        }
        for arg in &spec.args {
            match arg.name.as_deref() {
                Some("mean") => self.levels(arg, "mean", channels, f64::NEG_INFINITY),
                Some("std") => self.levels(arg, "std", channels, 0.0),
                Some("resize" | "crop") => {}
                Some(other) => self.unknown_key(other, arg),
                None => {
                    let message = "the arguments of `image` are given by name";
                    self.report(
                        Diagnostic::error(codes::EXTRA_ARGUMENT, message)
                            .primary(arg.span, "")
                            .help("they are `resize`, `crop`, `mean` and `std`"),
                    );
                }
            }
        }
        self.sides(spec, [height, width], shape);
    }

    fn source_misfit(&mut self, message: String, place: Span, shape: Span, help: &str) {
        let diagnostic = Diagnostic::error(codes::BAD_SOURCE, message)
            .primary(place, "")
            .secondary(shape, "the input");
        self.report(diagnostic.help(help));
    }

    fn unknown_key(&mut self, key: &str, arg: &SpecArg) {
        let message = format!("`image` has no argument `{key}`");
        let diagnostic = Diagnostic::error(codes::UNKNOWN_ARGUMENT, message).primary(arg.span, "");
        self.report(match suggest(key, KEYS) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("it has {}", KEYS.map(quoted).join(", "))),
        });
    }

    /// The sizes that a picture is brought to.
    fn sides(&mut self, spec: &Spec, wanted: [usize; 2], shape: Span) {
        let find = |key: &str| {
            spec.args
                .iter()
                .find(|arg| arg.name.as_deref() == Some(key))
        };
        let resize = find("resize").map(|arg| (arg.span, self.side(arg, "resize")));
        let crop = find("crop").map(|arg| (arg.span, self.side(arg, "crop")));
        let [height, width] = wanted;
        if let Some((span, Some(crop))) = crop
            && crop != wanted
        {
            let written = text(wanted);
            self.source_misfit(
                format!(
                    "`crop` leaves {} x {}, and the input is {height} x {width}",
                    crop[0], crop[1]
                ),
                span,
                shape,
                &format!("write `crop = {written}`, or another input"),
            );
        }
        let Some((span, Some(resize))) = resize else {
            return;
        };
        // One number is the short side; what is cut out of it is at most as large.
        let short = resize[0].min(resize[1]);
        let kept = match crop {
            Some((_, Some(crop))) => crop,
            Some((_, None)) => return,
            None => wanted,
        };
        if short < kept[0].max(kept[1]) && resize[0] == resize[1]
            || resize[0] < kept[0]
            || resize[1] < kept[1]
        {
            self.source_misfit(
                format!(
                    "`resize` makes the short side {short}, which is less than the {} x {} that are kept",
                    kept[0], kept[1]
                ),
                span,
                shape,
                &format!("write `resize = {}` or more", kept[0].max(kept[1])),
            );
        } else if crop.is_none() && resize != wanted {
            self.source_misfit(
                format!(
                    "`resize` makes {} x {}, and the input is {height} x {width}",
                    resize[0], resize[1]
                ),
                span,
                shape,
                &format!(
                    "add `crop = {}`, or write `resize = {}`",
                    text(wanted),
                    text(wanted)
                ),
            );
        }
    }

    /// A side, or (height, width).
    fn side(&mut self, arg: &SpecArg, key: &str) -> Option<[usize; 2]> {
        let whole = |value: &Const| match value {
            Const::Int(size) if (1..=MAX_SIDE).contains(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        let sides = match &arg.value {
            Const::List(sides) => match sides.as_slice() {
                [height, width] => whole(height).zip(whole(width)).map(|(h, w)| [h, w]),
                _ => None,
            },
            side => whole(side).map(|side| [side, side]),
        };
        if sides.is_none() {
            let message = format!(
                "`{key}` must be a whole number from 1 to {MAX_SIDE} or (height, width), but is {}",
                arg.value
            );
            self.report(Diagnostic::error(codes::BAD_SOURCE, message).primary(arg.span, ""));
        }
        sides
    }

    /// A number for all channels, or one for each.
    fn levels(&mut self, arg: &SpecArg, key: &str, channels: usize, above: f64) {
        #[allow(
            clippy::cast_precision_loss,
            reason = "whole numbers of the language are below 2^53"
        )]
        let number = |value: &Const| match value {
            Const::Int(value) => Some(*value as f64),
            Const::Float(value) => Some(*value),
            _ => None,
        };
        let numbers: Option<Vec<f64>> = match &arg.value {
            Const::List(items) => items.iter().map(number).collect(),
            single => number(single).map(|number| vec![number]),
        };
        let is_list = matches!(arg.value, Const::List(_));
        let message = match &numbers {
            None => format!(
                "`{key}` must be a number or a list of numbers, but is {}",
                arg.value
            ),
            Some(numbers) if is_list && numbers.len() != channels => format!(
                "`{key}` has {} numbers, and the input has {channels} {}",
                numbers.len(),
                if channels == 1 { "channel" } else { "channels" },
            ),
            Some(numbers) => match numbers.iter().find(|&&number| number <= above) {
                Some(number) => format!("`{key}` must be greater than {above}, but is {number}"),
                None => return,
            },
        };
        let diagnostic = Diagnostic::error(codes::BAD_SOURCE, message).primary(arg.span, "");
        self.report(diagnostic.help("one number serves all channels; a list has one for each"));
    }
}

/// Height and width as they are written.
fn text([height, width]: [usize; 2]) -> String {
    if height == width {
        height.to_string()
    } else {
        format!("({height}, {width})")
    }
}
