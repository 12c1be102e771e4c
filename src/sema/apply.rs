//! What a built-in layer becomes: nodes of the graph, with the weights they read.
//!
//! Sizes are never worked out here. Each node's shape comes from its operator's rule, and a refusal of that rule is
//! what the author of the net reads.

use super::attrs::{Attrs, Padding};
use super::layers::{Layer, LayerKind};
use super::limits::{MAX_ELEMENTS, MAX_NODES};
use super::names::Segment;
use super::report::{Fact, PoolSite};
use super::value::EvArg;
use super::{Elab, InitRule};
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::{Init, ParamRole, Shape, Type, ValueId};

use crate::ops::window::Axis;
use crate::ops::{AvgPool, Conv2d, MaxPool, Op, OpRules, Pads, Pointwise, Window};

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
}

impl<'a> Elab<'a> {
    /// Applies a built-in layer. Its attributes are checked even where its input is unknown.
    pub(super) fn apply_builtin(
        &mut self,
        layer: &'static Layer,
        args: &[EvArg<'a>],
        site: Site<'_>,
    ) -> Option<ValueId> {
        if layer.kind == LayerKind::Later {
            let message = format!("`{}` is not supported yet", layer.name);
            self.report(Diagnostic::error(codes::NOT_SUPPORTED, message).primary(site.span, ""));
            return None;
        }
        let attrs = self.attrs(layer, args, site.span)?;
        self.check_path(site.segment.text(), site.span)?;
        self.builder
            .set_origin(self.names.path(site.segment.text()));
        match layer.kind {
            LayerKind::Conv => self.conv(&attrs, site, false),
            LayerKind::DwConv => self.conv(&attrs, site, true),
            LayerKind::Dense => self.dense(&attrs, site),
            LayerKind::MaxPool => self.pool(&attrs, site, false),
            LayerKind::AvgPool => self.pool(&attrs, site, true),
            LayerKind::GlobalAvgPool => self.global_avgpool(site),
            LayerKind::GlobalMaxPool => self.global_maxpool(site),
            LayerKind::Pointwise(op) => self.keep(Op::Pointwise(op), &[site.input?], site),
            LayerKind::Silu => self.silu(site),
            LayerKind::Relu6 => self.relu6(site),
            LayerKind::LeakyRelu => self.leaky_relu(&attrs, site),
            LayerKind::Softmax => self.keep(Op::Softmax, &[site.input?], site),
            LayerKind::BatchNorm => self.batch_norm(&attrs, site),
            LayerKind::Dropout => self.dropout(&attrs, site),
            LayerKind::Flatten => self.flatten(site),
            LayerKind::Reshape => {
                let dims = self.list(&attrs, "shape")?;
                self.node(Op::Reshape(dims), &[site.input?], site, Fact::at(site.span))
                    .map(|outputs| outputs[0])
            }
            LayerKind::Later => None,
        }
    }

    /// Appends a node, unless the operator's rule refuses it or the result is too large.
    pub(super) fn node(
        &mut self,
        op: Op,
        inputs: &[ValueId],
        site: Site<'_>,
        fact: Fact,
    ) -> Option<Vec<ValueId>> {
        let types: Vec<Type> = inputs
            .iter()
            .map(|&input| self.builder.graph().ty(input).clone())
            .collect();
        match op.infer(&types) {
            Err(error) => {
                self.shape_error(&error, site.layer, site.span, inputs[0]);
                return None;
            }
            Ok(made) => {
                if let Some(ty) = made.iter().find(|ty| !fits(&ty.shape.dims)) {
                    let message = format!("a tensor of shape {:?} is too large", ty.shape.dims);
                    let help = format!("a tensor of one image has at most {MAX_ELEMENTS} elements");
                    self.report(
                        Diagnostic::error(codes::TOO_LARGE_TENSOR, message)
                            .primary(site.span, "")
                            .help(help),
                    );
                    return None;
                }
            }
        }
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
        let outputs = self.builder.node(op, inputs);
        self.facts.insert(outputs[0], fact);
        Some(outputs)
    }

    /// Appends a node whose result has the sizes of its first input, for the same reason.
    pub(super) fn keep(&mut self, op: Op, inputs: &[ValueId], site: Site<'_>) -> Option<ValueId> {
        let fact = self.inherited(inputs[0], site);
        self.node(op, inputs, site, fact).map(|outputs| outputs[0])
    }

    /// What is known of a tensor whose sizes are those of another.
    fn inherited(&self, from: ValueId, site: Site<'_>) -> Fact {
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
        let (bias, init) = (bias.unwrap_or(false), init.unwrap_or(self.init));
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
                self.shape_error(&error, site.layer, site.span, input);
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
                self.shape_error(&error, site.layer, site.span, input);
                None
            }
        }
    }

    fn bias(
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
    fn window(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<Window> {
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
    fn window_fact(&self, window: &Window, input: ValueId, site: Site<'_>, pool: bool) -> Fact {
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
        let (bias, init) = (bias.unwrap_or(false), init.unwrap_or(self.init));
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

    fn init_rule(&mut self, attrs: &Attrs<'a>) -> Option<InitRule> {
        let word = self.word(attrs, "init")?;
        Some(InitRule::from_word(word).unwrap_or(self.init))
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

    /// The mean of each channel: a sum over its pixels, divided by their number.
    fn global_avgpool(&mut self, site: Site<'_>) -> Option<ValueId> {
        let input = site.input?;
        let [channels, height, width] = self.map_of(site)?;
        let sum = self.node(
            Op::SumTo(Shape::batched([channels])),
            &[input],
            site,
            Fact::at(site.span),
        )?[0];
        #[allow(
            clippy::cast_precision_loss,
            reason = "a factor of single precision is meant"
        )]
        let factor = super::attrs::narrow(1.0 / (height * width) as f64);
        let factor = self.builder.constant(factor);
        self.keep(Op::Pointwise(Pointwise::Mul), &[sum, factor], site)
    }

    /// The largest element of each channel: a pool over the whole map.
    fn global_maxpool(&mut self, site: Site<'_>) -> Option<ValueId> {
        let [channels, height, width] = self.map_of(site)?;
        let pool = MaxPool {
            window: Window::new([height, width]),
        };
        let pooled = self.node(pool.into(), &[site.input?], site, Fact::at(site.span))?[0];
        self.node(
            Op::Reshape(vec![channels]),
            &[pooled],
            site,
            Fact::at(site.span),
        )
        .map(|outputs| outputs[0])
    }

    /// Channels, height and width of an input that must be a map.
    fn map_of(&mut self, site: Site<'_>) -> Option<[usize; 3]> {
        let input = site.input?;
        let ty = self.builder.graph().ty(input).clone();
        match crate::ops::error::map(&ty, "input") {
            Ok(dims) => Some(dims),
            Err(error) => {
                self.shape_error(&error, site.layer, site.span, input);
                None
            }
        }
    }

    fn silu(&mut self, site: Site<'_>) -> Option<ValueId> {
        let input = site.input?;
        let gate = self.keep(Op::Pointwise(Pointwise::Sigmoid), &[input], site)?;
        self.keep(Op::Pointwise(Pointwise::Mul), &[input, gate], site)
    }

    fn relu6(&mut self, site: Site<'_>) -> Option<ValueId> {
        let positive = self.keep(Op::Pointwise(Pointwise::Relu), &[site.input?], site)?;
        let six = self.builder.constant(6.0);
        self.keep(Op::Pointwise(Pointwise::Min), &[positive, six], site)
    }

    /// The greater of x and slope · x, which is the definition for slopes up to 1.
    fn leaky_relu(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<ValueId> {
        let slope = self.float(attrs, "slope", 0.0, 1.0)?;
        let input = site.input?;
        let slope = self.builder.constant(slope);
        let sloped = self.keep(Op::Pointwise(Pointwise::Mul), &[input, slope], site)?;
        self.keep(Op::Pointwise(Pointwise::Max), &[input, sloped], site)
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
