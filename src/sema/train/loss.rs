//! `loss` and `loss NAME`: what is measured, and with which options.

use std::fmt;

use super::chosen::{call, figure};
use super::lines::Line;
use super::table;
use crate::diag::{Diagnostic, Span, codes};
use crate::sema::Elab;
use crate::sema::attrs::{Attrs, LARGEST};
use crate::sema::scope::Env;
use crate::sema::value::Value;

/// The loss of an output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputLoss {
    /// The output; `None` where the net has only one.
    pub output: Option<String>,
    /// The loss.
    pub loss: Loss,
    /// Its factor in the sum of all losses.
    pub weight: f64,
    /// Where it stands.
    pub span: Span,
}

impl OutputLoss {
    pub(in crate::sema) fn is_cross_entropy(&self) -> bool {
        matches!(self.loss, Loss::CrossEntropy { .. })
    }
}

/// What is minimised: a mean over the batch. Rules are PyTorch's.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// The cross-entropy of the softmax of the output with the label.
    CrossEntropy {
        /// The part of what is wanted that is spread over all classes (Szegedy et al. 2016, 7).
        label_smoothing: f64,
        /// How much each class counts; the mean is then `Σ w · loss / Σ w` over the batch, w being the
        /// weight of an image's label.
        class_weights: Option<Vec<f64>>,
    },
    /// The cross-entropy of each element's sigmoid with a target from 0 to 1, averaged over the elements of the output.
    BinaryCrossEntropy,
    /// The squared difference of output and target, averaged over the elements of the output.
    MeanSquaredError,
    /// The absolute difference of output and target, averaged over the elements of the output.
    MeanAbsoluteError,
    /// `d² / 2` where the difference d is at most delta, else `delta · (|d| - delta / 2)`, averaged over the elements of the
    /// output (Huber 1964).
    Huber {
        /// Where the one gives way to the other.
        delta: f64,
    },
}

impl Loss {
    /// Its name in a `train` section.
    pub(in crate::sema) fn name(&self) -> &'static str {
        match self {
            Loss::CrossEntropy { .. } => "cross_entropy",
            Loss::BinaryCrossEntropy => "binary_cross_entropy",
            Loss::MeanSquaredError => "mse",
            Loss::MeanAbsoluteError => "mae",
            Loss::Huber { .. } => "huber",
        }
    }
}

impl fmt::Display for OutputLoss {
    /// As it would be written with every default, without the output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args = match &self.loss {
            Loss::CrossEntropy {
                label_smoothing,
                class_weights,
            } => {
                let mut args = vec![("label_smoothing", figure(*label_smoothing))];
                if let Some(weights) = class_weights {
                    let weights: Vec<String> = weights.iter().copied().map(figure).collect();
                    args.push(("class_weights", format!("[{}]", weights.join(", "))));
                } else {
                    args.push(("class_weights", "none".to_owned()));
                }
                args
            }
            Loss::Huber { delta } => vec![("delta", figure(*delta))],
            Loss::BinaryCrossEntropy | Loss::MeanSquaredError | Loss::MeanAbsoluteError => vec![],
        };
        args.push(("weight", figure(self.weight)));
        f.write_str(&call(self.loss.name(), &args))
    }
}

impl<'a> Elab<'a> {
    pub(super) fn loss(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<OutputLoss> {
        let chosen = self.chosen(line)?;
        let known = [
            &table::CROSS_ENTROPY,
            &table::BINARY_CROSS_ENTROPY,
            &table::MSE,
            &table::MAE,
            &table::HUBER,
        ];
        let signature = self.signature(line, &chosen, &known, &["focal", "hinge"])?;
        let attrs = self.attrs_of(env, line, &chosen, signature)?;
        let weight = self.number_of(&attrs, "weight", 0.0, LARGEST);
        let loss = match signature.name {
            "mse" => Some(Loss::MeanSquaredError),
            "mae" => Some(Loss::MeanAbsoluteError),
            "huber" => self
                .positive(&attrs, "delta")
                .map(|delta| Loss::Huber { delta }),
            "binary_cross_entropy" => Some(Loss::BinaryCrossEntropy),
            _ => self.cross_entropy(&attrs),
        };
        Some(OutputLoss {
            output: line.target.map(|name| name.text.clone()),
            loss: loss?,
            weight: weight?,
            span: line.span,
        })
    }

    fn cross_entropy(&mut self, attrs: &Attrs<'a>) -> Option<Loss> {
        let label_smoothing = self.number_of(attrs, "label_smoothing", 0.0, 1.0);
        let class_weights = self.class_weights(attrs);
        Some(Loss::CrossEntropy {
            label_smoothing: label_smoothing?,
            class_weights: class_weights?,
        })
    }

    /// Whether there are as many as classes is for the output to say.
    fn class_weights(&mut self, attrs: &Attrs<'a>) -> Option<Option<Vec<f64>>> {
        let (value, span, what) = self.given(attrs, "class_weights");
        let items = match &value {
            Value::Word(_) => return Some(None),
            Value::List(items) | Value::Tuple(items) => items,
            other => {
                self.wrong_kind(other, what, "a list of numbers, one a class", span);
                return None;
            }
        };
        let numbers: Vec<Option<f64>> = items
            .iter()
            .map(|item| {
                let what = format!("a number of {what}");
                self.number_within(item, &what, 0.0, LARGEST, span)
            })
            .collect();
        let weights: Vec<f64> = numbers.into_iter().collect::<Option<_>>()?;
        if weights.iter().any(|&weight| weight > 0.0) {
            return Some(Some(weights));
        }
        let message = format!("{what} must have a number above 0, or no class counts");
        self.report(Diagnostic::error(codes::OUT_OF_RANGE, message).primary(span, ""));
        None
    }
}
