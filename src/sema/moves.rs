//! Layers that move, cut, join or reduce data, and those that normalise across channels.

use super::apply::Site;
use super::attrs::{Attrs, Padding};
use super::layers::AXES;
use super::report::Fact;
use super::{Elab, Mode};
use crate::diag::{Diagnostic, codes};
use crate::ir::{Init, ParamRole, ValueId};
use crate::ops::dropout::Dropout;
use crate::ops::layers::{self, Across, Axis, LocalResponseNorm, Reduce};
use crate::ops::{Index, Op, Pad, Slice};

impl<'a> Elab<'a> {
    pub(super) fn reduce(
        &mut self,
        attrs: &Attrs<'a>,
        kind: Reduce,
        site: Site<'_>,
    ) -> Option<ValueId> {
        let axis = match self.word(attrs, "axis")? {
            "channels" => Axis::Channels,
            "height" => Axis::Height,
            "width" => Axis::Width,
            _ => Axis::Space,
        };
        let input = site.input?;
        self.composed(site, Fact::at(site.span), |b| {
            layers::reduce(b, input, kind, axis)
        })
    }

    pub(super) fn lrn(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let size = self.int(attrs, "size");
        let [alpha, beta, k] =
            ["alpha", "beta", "k"].map(|name| self.float(attrs, name, 0.0, f64::INFINITY));
        let across = self.word(attrs, "across");
        let by_window = self.bool(attrs, "by_window");
        let norm = LocalResponseNorm {
            size: size?,
            alpha: alpha?,
            beta: beta?,
            k: k?,
            across: if across? == "space" {
                Across::Space
            } else {
                Across::Channels
            },
            by_window: by_window?,
        };
        let input = site.input?;
        let fact = self.inherited(input, site);
        self.composed(site, fact, |b| layers::local_response_norm(b, input, norm))
    }

    pub(super) fn stochastic_depth(
        &mut self,
        attrs: &Attrs<'a>,
        site: Site<'_>,
    ) -> Option<ValueId> {
        let rate = self.float(attrs, "rate", 0.0, 1.0)?;
        let input = site.input?;
        self.dropouts += 1;
        let dropout = Dropout {
            rate,
            stream: self.dropouts,
        };
        let fact = self.inherited(input, site);
        let train = self.mode == Mode::Train;
        self.composed(site, fact, |b| {
            layers::stochastic_depth(b, input, dropout, train)
        })
    }

    pub(super) fn scale(&mut self, site: Site<'_>) -> Option<ValueId> {
        let input = site.input?;
        let channels = [self.builder.graph().ty(input).shape.chw().0];
        let mut vector = |suffix, role, start| {
            let kind = (role, Init::Constant(start));
            self.param(site.segment, suffix, &channels, kind, site.span)
        };
        let factor = vector("weight", ParamRole::Scale, 1.0)?;
        let shift = vector("bias", ParamRole::Shift, 0.0)?;
        let fact = self.inherited(input, site);
        self.composed(site, fact, |b| layers::scale(b, input, factor, shift))
    }

    pub(super) fn maxout(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let pieces = self.int(attrs, "pieces")?;
        let input = site.input?;
        let channels = self.builder.graph().ty(input).shape.chw().0;
        let fact = Fact {
            arithmetic: format!("{channels} / {pieces} = {} channels", channels / pieces),
            ..Fact::at(site.span)
        };
        self.composed(site, fact, |b| layers::maxout(b, input, pieces))
    }

    pub(super) fn transpose(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let axes = self.axes(attrs, "axes")?;
        self.one(Op::Transpose(axes), site)
    }

    pub(super) fn slice(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let word = self.word(attrs, "axis");
        let (from, to) = (self.int(attrs, "from"), self.int(attrs, "to"));
        let axis = AXES.iter().position(|axis| Some(*axis) == word)?;
        let (from, to) = (from?, to?);
        let fact = Fact {
            arithmetic: match axis {
                0 => format!("{to} - {from} = {} channels", to.saturating_sub(from)),
                _ => format!("{} {to} - {from} = {}", AXES[axis], to.saturating_sub(from)),
            },
            ..Fact::at(site.span)
        };
        let op = Slice { axis, from, to };
        self.node(op.into(), &[site.input?], site, fact)
            .map(|outputs| outputs[0])
    }

    pub(super) fn pad(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let pads = self.padding(attrs, "pad");
        let value = self.number_of(attrs, "value", f64::NEG_INFINITY, f64::INFINITY);
        let (pads, value) = (pads?, super::attrs::narrow(value?));
        let Padding::Fixed(pads) = pads else {
            let message = "`pad` of `pad` cannot be `same`: it has no window".to_owned();
            self.report(
                Diagnostic::error(codes::WRONG_KIND, message)
                    .primary(site.span, "")
                    .help("it is a size, (height, width) or (top, left, bottom, right)"),
            );
            return None;
        };
        let op = Pad {
            before: vec![0, pads.top, pads.left],
            after: vec![0, pads.bottom, pads.right],
            value,
        };
        let input = site.input?;
        let arithmetic = match self.builder.graph().dims(input) {
            &[_, height, width] => {
                let sum = |before: usize, size: usize, after: usize| {
                    format!("{before} + {size} + {after} = {}", before + size + after)
                };
                let rows = sum(pads.top, height, pads.bottom);
                let columns = sum(pads.left, width, pads.right);
                if rows == columns {
                    rows
                } else {
                    format!("height {rows}, width {columns}")
                }
            }
            _ => String::new(),
        };
        let fact = Fact {
            arithmetic,
            ..Fact::at(site.span)
        };
        self.node(op.into(), &[input], site, fact)
            .map(|outputs| outputs[0])
    }

    pub(super) fn shuffle(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let groups = self.int(attrs, "groups")?;
        let input = site.input?;
        let fact = self.inherited(input, site);
        self.composed(site, fact, |b| layers::shuffle(b, input, groups))
    }

    pub(super) fn channels_by_list(
        &mut self,
        attrs: &Attrs<'a>,
        site: Site<'_>,
    ) -> Option<ValueId> {
        let items = self.places(attrs, "items")?;
        let op = Index {
            items: items.into(),
        };
        self.one(op.into(), site)
    }

    /// A node whose sizes need no explanation.
    fn one(&mut self, op: Op, site: Site<'_>) -> Option<ValueId> {
        self.node(op, &[site.input?], site, Fact::at(site.span))
            .map(|outputs| outputs[0])
    }
}
