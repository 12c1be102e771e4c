//! `lgconv`: a convolution whose groups of filters learn which channels they read.

use super::Elab;
use super::apply::Site;
use super::attrs::Attrs;
use super::train::config::TrainConfig;
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::{ParamRole, Shape, Type, ValueId};
use crate::ops::condense::{self, Condensing};
use crate::ops::{Conv2d, Op};

/// Where expansion is: a use of a block or a round of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// The call of the block, or the body of the loop or shared body.
    pub place: Span,
    /// The round of a loop, from 0; else 0.
    pub round: usize,
    /// The name of the block in its declaration.
    pub block: Option<Span>,
}

/// A learned group convolution, and how expansion came to it.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedLayer {
    /// The way to it, outermost first.
    pub frames: Vec<Frame>,
    /// The layer in the source.
    pub call: Span,
    /// Its path; its parameters are `weight` and `mask` of it.
    pub path: String,
    /// The groups of its filters.
    pub groups: usize,
    /// The input channels that each group has left when it is condensed.
    pub keep: usize,
}

/// A loop, and how expansion came to it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopRounds {
    /// The way to it, outermost first.
    pub frames: Vec<Frame>,
    /// Its body.
    pub place: Span,
    /// What its pattern is bound to in each round; empty texts where it has none.
    pub items: Vec<String>,
}

/// Where in the source the learned group convolutions of a net stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// The layers, in order.
    pub layers: Vec<LearnedLayer>,
    /// All loops, in order.
    pub loops: Vec<LoopRounds>,
    /// Where expansion is now.
    pub(super) frames: Vec<Frame>,
}

impl Learned {
    pub(super) fn enter(&mut self, place: Span, round: usize) {
        let block = None;
        self.frames.push(Frame {
            place,
            round,
            block,
        });
    }

    pub(super) fn enter_block(&mut self, place: Span, block: Span) {
        self.frames.push(Frame {
            place,
            round: 0,
            block: Some(block),
        });
    }

    pub(super) fn leave(&mut self) {
        self.frames.pop();
    }

    pub(super) fn note_loop(&mut self, place: Span, items: Vec<String>) {
        let frames = self.frames.clone();
        self.loops.push(LoopRounds {
            frames,
            place,
            items,
        });
    }
}

impl<'a> Elab<'a> {
    pub(super) fn learned_conv(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let [outputs, groups, condense] =
            ["channels", "groups", "condense"].map(|name| self.int(attrs, name));
        let (window, bias) = (self.window(attrs, site), self.bool(attrs, "bias"));
        let init = self.init_rule(attrs);
        let (outputs, window) = (outputs?, window?);
        let condensing = Condensing {
            groups: groups?,
            condense: condense?,
        };
        let (bias, init) = (bias?, init?);
        let input = site.input?;
        let dims = self.builder.graph().dims(input);
        let channels = dims.first().copied().unwrap_or(1);
        let conv = Conv2d { window, groups: 1 };
        let sizes = conv.filter(channels, outputs).ok()?;
        let filter = Type::f32(Shape::single(sizes));
        self.check_map(&Op::Conv2d(conv), &[filter], site, input)?;
        let keep = match condensing.keep(channels, outputs) {
            Ok(keep) => keep,
            Err(error) => {
                self.misfit(&error, site, input);
                channels
            }
        };
        let fan_in = sizes[1] * sizes[2] * sizes[3];
        let fan_out = sizes[0] * sizes[2] * sizes[3];
        let weight = (ParamRole::Weight, init.weights(fan_in, fan_out));
        let weight = self.param(site.segment, "weight", &sizes, weight, site.span)?;
        let mask = (ParamRole::Mask, init.fixed(1.0));
        let rows = [outputs, channels, 1, 1];
        let mask = self.param(site.segment, "mask", &rows, mask, site.span)?;
        let layer = self.names.path(site.segment.text());
        let [weight_name, mask_name] = ["weight", "mask"].map(|of| format!("{layer}.{of}"));
        for event in condensing.events(&layer, [&weight_name, &mask_name], keep) {
            self.builder.event(event);
        }
        let found = LearnedLayer {
            frames: self.learned.frames.clone(),
            call: site.span,
            path: layer,
            groups: condensing.groups,
            keep,
        };
        // Each use of a shared body comes to the same layer.
        if !self.learned.layers.contains(&found) {
            self.learned.layers.push(found);
        }
        let fact = self.window_fact(&conv.window, input, site, false);
        let made = self.composed(site, fact, |builder| {
            condense::learned_group_conv2d(builder, input, [weight, mask], conv)
        })?;
        if bias {
            self.bias(made, outputs, init.biases(fan_in), site)
        } else {
            Some(made)
        }
    }

    /// Stages should not be shorter than an epoch, and a penalty should have something to act on.
    pub(super) fn check_stages(&mut self, train: &TrainConfig) {
        let events = self.builder.graph().events.iter();
        let place = Span {
            end: train.span.start + 5,
            ..train.span
        };
        let Some(longest) = events.max_by_key(|event| event.after.of) else {
            if train.regularize.group_lasso.is_some() {
                let message = "`group_lasso` finds no layer that training condenses";
                let diagnostic = Diagnostic::warning(codes::UNUSED, message).primary(place, "");
                let help = "it acts on `lgconv` with a `condense` above 1";
                self.unused.push(diagnostic.help(help));
            }
            return;
        };
        let stages = longest.after.of / 2;
        if train.epochs >= 2 * stages {
            return;
        }
        let message = format!(
            "`{}` is condensed in {stages} stages over the first half of {} epochs, so each is shorter than an epoch",
            longest.layer, train.epochs
        );
        let help = format!("with `epochs {}` each stage has an epoch", 2 * stages);
        let diagnostic = Diagnostic::warning(codes::SHORT_STAGES, message).primary(place, "");
        self.report(diagnostic.help(help));
    }
}
