//! `loss`: what is minimised.

use super::lines::Line;
use super::table::choice;
use crate::diag::Span;
use crate::sema::Elab;
use crate::sema::layers::Layer;
use crate::sema::scope::Env;

/// The loss of an output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputLoss {
    /// The output; `None` where the net has only one.
    pub output: Option<String>,
    /// The loss.
    pub loss: Loss,
    /// Where it stands.
    pub span: Span,
}

impl OutputLoss {
    pub(in crate::sema) fn is_cross_entropy(&self) -> bool {
        self.loss == Loss::CrossEntropy
    }
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The cross-entropy of the softmax of the output with the label, averaged over the batch.
    CrossEntropy,
    /// The squared difference of output and target, averaged over the batch and the elements of the output.
    MeanSquaredError,
}

static CROSS_ENTROPY: Layer = choice("cross_entropy", &[]);
static MSE: Layer = choice("mse", &[]);

impl<'a> Elab<'a> {
    pub(super) fn loss(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<OutputLoss> {
        let chosen = self.chosen(line)?;
        let known = [&CROSS_ENTROPY, &MSE];
        let signature = self.signature(line, &chosen, &known, &["focal", "hinge"])?;
        self.attrs_of(env, line, &chosen, signature)?;
        let loss = match signature.name {
            "mse" => Loss::MeanSquaredError,
            _ => Loss::CrossEntropy,
        };
        Some(OutputLoss {
            output: line.target.map(|name| name.text.clone()),
            loss,
            span: line.span,
        })
    }
}
