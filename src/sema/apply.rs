//! What a built-in layer becomes: nodes of the graph, with the weights they read.
//!
//! Sizes are never worked out here. Each node's shape comes from its operator's rule, and a refusal of that rule is
//! what the author of the net reads.

use super::Elab;
use super::attrs::{Attrs, Padding};
use super::layers::{Layer, LayerKind};
use super::limits::{MAX_ELEMENTS, MAX_NODES};
use super::names::Segment;
use super::report::{Fact, PoolSite};
use super::value::EvArg;
use smallvec::smallvec;

use crate::diag::{Diagnostic, Span, codes};
use crate::ir::arena::Id as _;
use crate::ir::{Builder, Init, NodeId, Operands, ParamRole, Shape, Type, ValueId};

use crate::ops::layers;
use crate::ops::window::Axis;
use crate::ops::{AvgPool, Conv2d, MaxPool, Op, OpRules, Pads, Pointwise, ShapeError, Window};

/// One use of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'s> {
    /// What the layer is called.
    pub layer: &'static str,
    /// Where it is used.
    pub span: Span,
    /// Its segment in the paths of weights.
    pub segment: &'s Segment,
    /// What it is applied to; `None` where an error has been reported.
    pub input: Option<ValueId>,
    /// The arguments that it was written with.
    pub args: Written<'s>,
}

/// The names and the places of a layer's arguments, for edits.
pub(super) type Written<'s> = &'s [(Option<&'s str>, Span)];

impl<'a> Elab<'a> {
    /// Applies a built-in layer. Its attributes are checked even where its input is unknown.
    pub(super) fn apply_builtin(
        &mut self,
        layer: &'static Layer,
        args: &[EvArg<'a>],
        site: Site<'_>,
    ) -> Option<ValueId> {
        let attrs = self.attrs(layer, args, site.span)?;
        self.check_path(site.segment.text(), site.span)?;
        self.builder
            .set_origin(self.names.path(site.segment.text()));
        match layer.kind {
            LayerKind::Conv => self.conv(&attrs, site, false),
            LayerKind::DwConv => self.conv(&attrs, site, true),
            LayerKind::LearnedConv => self.learned_conv(&attrs, site),
            LayerKind::Dense => self.dense(&attrs, site),
            LayerKind::MaxPool => self.pool(&attrs, site, false),
            LayerKind::AvgPool => self.pool(&attrs, site, true),
            LayerKind::GlobalAvgPool => self.global_avgpool(site),
            LayerKind::GlobalMaxPool => self.global_maxpool(site),
            LayerKind::Pointwise(op) => self.keep(Op::Pointwise(op), &[site.input?], site),
            LayerKind::Activation(kind) => self.activation(kind, &attrs, site),
            LayerKind::Softmax => self.keep(Op::Softmax, &[site.input?], site),
            LayerKind::BatchNorm => self.batch_norm(&attrs, site),
            LayerKind::Dropout => self.dropout(&attrs, site),
            LayerKind::StochasticDepth => self.stochastic_depth(&attrs, site),
            LayerKind::Reduce(kind) => self.reduce(&attrs, kind, site),
            LayerKind::Lrn => self.lrn(&attrs, site),
            LayerKind::Scale => self.scale(site),
            LayerKind::LogSoftmax => self.keep(Op::LogSoftmax, &[site.input?], site),
            LayerKind::Maxout => self.maxout(&attrs, site),
            LayerKind::Transpose => self.transpose(&attrs, site),
            LayerKind::Slice => self.slice(&attrs, site),
            LayerKind::Pad => self.pad(&attrs, site),
            LayerKind::Shuffle => self.shuffle(&attrs, site),
            LayerKind::Index => self.channels_by_list(&attrs, site),
            LayerKind::Flatten => self.flatten(site),
            LayerKind::Reshape => {
                let dims = self.list(&attrs, "shape")?;
                if !fits(&dims) {
                    self.too_large(&dims, site);
                    return None;
                }
                self.node(Op::Reshape(dims), &[site.input?], site, Fact::at(site.span))
                    .map(|outputs| outputs[0])
            }
            LayerKind::Choice => None,
        }
    }

    /// Appends a node, unless the operator's rule refuses it or the result is too large.
    pub(super) fn node(
        &mut self,
        op: Op,
        inputs: &[ValueId],
        site: Site<'_>,
        fact: Fact,
    ) -> Option<Operands> {
        let outputs = self.appended(site, |builder| builder.try_node(op, inputs))?;
        self.facts.insert(outputs[0], fact);
        Some(outputs)
    }

    /// Appends a layer that is made of several nodes, on the same terms.
    pub(super) fn composed(
        &mut self,
        site: Site<'_>,
        fact: Fact,
        build: impl FnOnce(&mut Builder) -> Result<ValueId, ShapeError>,
    ) -> Option<ValueId> {
        let output = self.appended(site, |builder| Ok(smallvec![build(builder)?]))?[0];
        self.facts.insert(output, fact);
        Some(output)
    }

    fn appended(
        &mut self,
        site: Site<'_>,
        build: impl FnOnce(&mut Builder) -> Result<Operands, ShapeError>,
    ) -> Option<Operands> {
        if self.builder.graph().nodes.len() >= MAX_NODES {
            let message = format!("the net has more than {MAX_NODES} operations");
            self.stop(
                codes::TOO_LARGE_NET,
                message,
                site.span,
                "check `repeat` and `for`",
            );
            return None;
        }
        let before = self.builder.graph().nodes.len();
        let outputs = match build(&mut self.builder) {
            Ok(outputs) => outputs,
            Err(error) => {
                self.misfit(&error, site, site.input?);
                return None;
            }
        };
        let graph = self.builder.graph();
        let made = (before..graph.nodes.len()).map(|index| &graph.nodes[NodeId::new(index)]);
        let large: Option<Vec<usize>> = made
            .flat_map(|node| &node.outputs)
            .map(|&value| graph.dims(value))
            .find(|dims| !fits(dims))
            .map(<[usize]>::to_vec);
        if let Some(dims) = large {
            self.too_large(&dims, site);
            return None;
        }
        Some(outputs)
    }

    fn too_large(&mut self, dims: &[usize], site: Site<'_>) {
        let message = format!("a tensor of shape {dims:?} is too large");
        let help = format!("a tensor of one image has at most {MAX_ELEMENTS} elements");
        self.report(
            Diagnostic::error(codes::TOO_LARGE_TENSOR, message)
                .primary(site.span, "")
                .help(help),
        );
    }

    /// Appends a node whose result has the sizes of its first input, for the same reason.
    pub(super) fn keep(&mut self, op: Op, inputs: &[ValueId], site: Site<'_>) -> Option<ValueId> {
        let fact = self.inherited(inputs[0], site);
        self.node(op, inputs, site, fact).map(|outputs| outputs[0])
    }

    /// Notes of a result what is known of an input that has the same sizes.
    pub(super) fn note_inherited(&mut self, made: ValueId, from: ValueId, site: Site<'_>) {
        let fact = self.inherited(from, site);
        self.facts.insert(made, fact);
    }

    /// What is known of a tensor whose sizes are those of another.
    pub(super) fn inherited(&self, from: ValueId, site: Site<'_>) -> Fact {
        let fact = self.facts.get(&from).map(|fact| Fact {
            span: site.span,
            ..fact.clone()
        });
        fact.unwrap_or(Fact::at(site.span))
    }

    fn conv(&mut self, attrs: &Attrs<'a>, site: Site<'_>, depthwise: bool) -> Option<ValueId> {
        let outputs = self.int(attrs, if depthwise { "multiplier" } else { "channels" });
        let groups = if depthwise {
            Some(1)
        } else {
            self.int(attrs, "groups")
        };
        let (window, bias) = (self.window(attrs, site), self.bool(attrs, "bias"));
        let init = self.init_rule(attrs);
        let (outputs, groups, window) = (outputs?, groups?, window?);
        // Where these are wrong that has been reported, and the sizes are known all the same.
        let (bias, init) = (
            bias.unwrap_or(false),
            init.unwrap_or_else(|| self.init.clone()),
        );
        let input = site.input?;
        let channels = self
            .builder
            .graph()
            .dims(input)
            .first()
            .copied()
            .unwrap_or(1);
        let (outputs, groups) = if depthwise {
            (channels.checked_mul(outputs)?, channels)
        } else {
            (outputs, groups)
        };
        let mut conv = Conv2d { window, groups };
        let sizes = match conv.filter(channels, outputs) {
            Ok(sizes) => sizes,
            Err(error) => {
                // The error is about groups alone; with one group the layers behind can still be checked.
                self.misfit(&error, site, input);
                conv.groups = 1;
                conv.filter(channels, outputs).ok()?
            }
        };
        self.check_map(
            &Op::Conv2d(conv),
            &[Type::f32(Shape::single(sizes))],
            site,
            input,
        )?;
        let fan_in = sizes[1] * sizes[2] * sizes[3];
        let fan_out = sizes[0] / conv.groups * sizes[2] * sizes[3];
        let kind = (ParamRole::Weight, init.weights(fan_in, fan_out));
        let weight = self.param(site.segment, "weight", &sizes, kind, site.span)?;
        let fact = self.window_fact(&conv.window, input, site, false);
        let made = self.node(Op::Conv2d(conv), &[input, weight], site, fact)?[0];
        if bias {
            self.bias(made, outputs, init.biases(fan_in), site)
        } else {
            Some(made)
        }
    }

    /// Asks the operator's rule before weights are made, so that a refusal leaves none behind.
    pub(super) fn check_map(
        &mut self,
        op: &Op,
        more: &[Type],
        site: Site<'_>,
        input: ValueId,
    ) -> Option<()> {
        let mut types = vec![self.builder.graph().ty(input).clone()];
        types.extend_from_slice(more);
        match op.infer(&types) {
            Ok(_) => Some(()),
            Err(error) => {
                self.misfit(&error, site, input);
                None
            }
        }
    }

    pub(super) fn bias(
        &mut self,
        value: ValueId,
        outputs: usize,
        init: Init,
        site: Site<'_>,
    ) -> Option<ValueId> {
        let bias = self.param(
            site.segment,
            "bias",
            &[outputs],
            (ParamRole::Bias, init),
            site.span,
        )?;
        self.keep(Op::Pointwise(Pointwise::Add), &[value, bias], site)
    }

    /// The window of a convolution or a pool, its padding worked out for the input at hand.
    pub(super) fn window(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<Window> {
        let (kernel, stride) = (self.pair(attrs, "kernel"), self.pair(attrs, "stride"));
        let padding = self.padding(attrs, "pad");
        let dilation = if site.layer == "avgpool" {
            Some([1, 1])
        } else {
            self.pair(attrs, "dilation")
        };
        let window = Window {
            kernel: kernel?,
            stride: stride?,
            dilation: dilation?,
            pads: Pads::default(),
            ceil: false,
        };
        Some(match padding? {
            Padding::Fixed(pads) => Window { pads, ..window },
            Padding::Same => match site.input.map(|input| self.builder.graph().dims(input)) {
                Some(&[_, height, width]) => window.same([height, width]),
                // The shape rule will refuse what is not a map.
                _ => window,
            },
        })
    }

    /// How a window's output sizes come about: once if height and width go the same way. A window that keeps them
    /// explains nothing; what led to them before does.
    pub(super) fn window_fact(
        &self,
        window: &Window,
        input: ValueId,
        site: Site<'_>,
        pool: bool,
    ) -> Fact {
        let &[_, height, width] = self.builder.graph().dims(input) else {
            return Fact::at(site.span);
        };
        let input_size = [height, width];
        let inherited = self.inherited(input, site);
        if window.output(input_size) == Ok(input_size) && !inherited.arithmetic.is_empty() {
            let stale = inherited.channels && !pool;
            return if stale {
                Fact::at(site.span)
            } else {
                inherited
            };
        }
        let [rows, columns] = [(Axis::Height, height), (Axis::Width, width)]
            .map(|(axis, size)| window.arithmetic(axis, size));
        let arithmetic = if rows == columns {
            rows
        } else {
            format!("height {rows}, width {columns}")
        };
        let pool = pool.then_some(PoolSite {
            span: site.span,
            window: *window,
            input: input_size,
        });
        Fact {
            span: site.span,
            arithmetic,
            channels: false,
            pool,
        }
    }

    fn dense(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let (outputs, bias, init) = (
            self.int(attrs, "features"),
            self.bool(attrs, "bias"),
            self.init_rule(attrs),
        );
        let outputs = outputs?;
        let (bias, init) = (
            bias.unwrap_or(false),
            init.unwrap_or_else(|| self.init.clone()),
        );
        let mut input = site.input?;
        let features: usize = self.builder.graph().dims(input).iter().product();
        let sizes = [outputs, features];
        if self
            .check_map(&Op::Dense, &[Type::f32(Shape::single(sizes))], site, input)
            .is_none()
        {
            // The error is about the missing `flatten`; with it the layers behind can still be checked.
            input = self.builder.op(Op::Reshape(vec![features]), &[input]);
        }
        let kind = (ParamRole::Weight, init.weights(features, outputs));
        let weight = self.param(site.segment, "weight", &sizes, kind, site.span)?;
        let made = self.node(Op::Dense, &[input, weight], site, Fact::at(site.span))?[0];
        if bias {
            self.bias(made, outputs, init.biases(features), site)
        } else {
            Some(made)
        }
    }

    fn pool(&mut self, attrs: &Attrs<'a>, site: Site<'_>, average: bool) -> Option<ValueId> {
        let (window, ceil) = (self.window(attrs, site), self.bool(attrs, "ceil"));
        let include_pad = if average {
            self.bool(attrs, "include_pad")
        } else {
            Some(false)
        };
        let window = Window {
            ceil: ceil?,
            ..window?
        };
        let op: Op = if average {
            AvgPool {
                window,
                include_pad: include_pad?,
            }
            .into()
        } else {
            MaxPool { window }.into()
        };
        let input = site.input?;
        let fact = self.window_fact(&window, input, site, true);
        self.node(op, &[input], site, fact)
            .map(|outputs| outputs[0])
    }

    fn global_avgpool(&mut self, site: Site<'_>) -> Option<ValueId> {
        let input = site.input?;
        let fact = Fact::at(site.span);
        self.composed(site, fact, |b| layers::global_avg_pool(b, input))
    }

    fn global_maxpool(&mut self, site: Site<'_>) -> Option<ValueId> {
        let input = site.input?;
        let fact = Fact::at(site.span);
        self.composed(site, fact, |b| layers::global_max_pool(b, input))
    }

    fn flatten(&mut self, site: Site<'_>) -> Option<ValueId> {
        let input = site.input?;
        let dims = self.builder.graph().dims(input);
        let (elements, arithmetic) = match dims {
            [_] => return Some(input),
            dims => (
                dims.iter().product(),
                dims.iter()
                    .map(usize::to_string)
                    .collect::<Vec<_>>()
                    .join(" * "),
            ),
        };
        let fact = Fact {
            arithmetic: format!("{arithmetic} = {elements}"),
            ..Fact::at(site.span)
        };
        self.node(Op::Reshape(vec![elements]), &[input], site, fact)
            .map(|outputs| outputs[0])
    }
}

pub(super) fn fits(dims: &[usize]) -> bool {
    let elements = dims
        .iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    elements.is_some_and(|elements| elements <= MAX_ELEMENTS)
}
