//! Activations with attributes or more than one operator: what may be written, and what it becomes.

use super::Elab;
use super::apply::Site;
use super::attrs::{Attrs, LARGEST, narrow};
use super::layers::ActivationKind;
use crate::diag::{Diagnostic, codes};
use crate::ir::{Init, ParamRole, ValueId};
use crate::ops::activation;

impl<'a> Elab<'a> {
    /// Applies an activation; its attributes are checked even where its input is unknown.
    pub(super) fn activation(
        &mut self,
        kind: ActivationKind,
        attrs: &Attrs<'a>,
        site: Site<'_>,
    ) -> Option<ValueId> {
        use ActivationKind::*;
        type Append = Box<dyn FnOnce(&mut crate::ir::Builder, ValueId) -> ValueId>;
        let append: Append = match kind {
            Silu => Box::new(activation::silu),
            Relu6 => Box::new(activation::relu6),
            HardSigmoid => Box::new(activation::hard_sigmoid),
            HardSwish => Box::new(activation::hard_swish),
            LeakyRelu => {
                let slope = self.float(attrs, "slope", -LARGEST, LARGEST)?;
                Box::new(move |builder, x| activation::leaky_relu(builder, x, slope))
            }
            Prelu => return self.prelu(site),
            Elu => {
                let alpha = self.float(attrs, "alpha", 0.0, LARGEST)?;
                Box::new(move |builder, x| activation::elu(builder, x, alpha))
            }
            Gelu => match self.word(attrs, "approximate")? {
                "tanh" => Box::new(activation::gelu_tanh),
                _ => Box::new(activation::gelu),
            },
            Softplus => {
                let beta = narrow(self.positive(attrs, "beta")?);
                Box::new(move |builder, x| activation::softplus(builder, x, beta))
            }
            Clip => {
                let bounds = self.bounds(attrs, site)?;
                Box::new(move |builder, x| activation::clip(builder, x, bounds))
            }
        };
        let input = site.input?;
        let made = append(&mut self.builder, input);
        self.note_inherited(made, input, site);
        Some(made)
    }

    /// A slope a channel, learned.
    fn prelu(&mut self, site: Site<'_>) -> Option<ValueId> {
        let input = site.input?;
        let dims = self.builder.graph().dims(input);
        let channels = dims.first().copied().unwrap_or(1);
        let kind = (ParamRole::Scale, Init::Constant(activation::PRELU_START));
        let slope = self.param(site.segment, "weight", &[channels], kind, site.span)?;
        let made = activation::prelu(&mut self.builder, input, slope);
        self.note_inherited(made, input, site);
        Some(made)
    }

    /// The bounds of `clip`, which must be in order.
    fn bounds(&mut self, attrs: &Attrs<'a>, site: Site<'_>) -> Option<[f32; 2]> {
        let lo = self.float(attrs, "lo", -LARGEST, LARGEST);
        let hi = self.float(attrs, "hi", -LARGEST, LARGEST);
        let (lo, hi) = (lo?, hi?);
        if lo <= hi {
            return Some([lo, hi]);
        }
        let message = format!("`lo` of `clip` must not be above `hi`, but {lo} is above {hi}");
        let diagnostic = Diagnostic::error(codes::OUT_OF_RANGE, message).primary(site.span, "");
        self.report(diagnostic.help(format!("write `clip({hi}, {lo})`")));
        None
    }
}
