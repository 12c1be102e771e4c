//! Why a training did not begin, or ended early.

use crate::engine::RunError;
use crate::model::NetError;
use crate::train::data::{DataError, LabelError};

/// Why a training did not begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The net or its `train` section.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Machine code, memory, threads.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There are no samples, or no images in a step.
    #[error("there is nothing to train on: {samples} samples in batches of {batch}")]
    Nothing {
        /// The samples.
        samples: usize,
        /// The batch.
        batch: usize,
    },
    /// Samples with other inputs than the net's.
    #[error(
        "the net has the inputs {}, but each of the {part} samples has {}",
        wanted.join(", "),
        if found.iter().all(String::is_empty) { "one".to_owned() } else { found.join(", ") }
    )]
    Inputs {
        /// Training, validation or test.
        part: &'static str,
        /// The net's inputs.
        wanted: Vec<String>,
        /// Those of the samples.
        found: Vec<String>,
    },
    /// Numbers as answers, for a loss of classes or another output.
    #[error(
        "the {part} samples have numbers of {found:?} as answers: these need another loss than the cross-entropy, such as `loss mse`, and an output \
         of that shape, and the net's is {output:?}"
    )]
    Targets {
        /// Training, validation or test.
        part: &'static str,
        /// The shape of an answer.
        found: Vec<usize>,
        /// That of the output.
        output: Vec<usize>,
    },
    /// An output that a label says nothing of.
    #[error(
        "the output `{output}` is {found:?}, and the samples have a label each, which stands for a \
         number or for one of several classes: end the output with `flatten` and `dense`"
    )]
    Target {
        /// The output.
        output: String,
        /// Its sizes.
        found: Vec<usize>,
    },
    /// A label that is no class of the net.
    #[error("in the {part} samples: {source}")]
    Label {
        /// Training, validation or test.
        part: &'static str,
        /// Which.
        source: LabelError,
    },
    /// Samples of another shape than the net's input.
    #[error(
        "`{input}` of the net takes samples of {wanted:?}, but the {part} samples are {found:?}"
    )]
    SampleShape {
        /// Training, validation or test.
        part: &'static str,
        /// The net's input.
        input: String,
        /// The input's sizes.
        wanted: Vec<usize>,
        /// The samples' sizes.
        found: Vec<usize>,
    },
    /// A sample with a number that is not finite.
    #[error(
        "sample {sample} of the {part} samples, counted from 0, holds a number that is not finite"
    )]
    SampleNotFinite {
        /// Training, validation or test.
        part: &'static str,
        /// The sample.
        sample: usize,
    },
    /// A weight to start from that is not finite.
    #[error("the weights to start from are damaged: `{name}` holds a number that is not finite")]
    ParamNotFinite {
        /// The parameter.
        name: String,
    },
    /// `early_stop` wants samples that were held out, and there are none.
    #[error(
        "`early_stop` judges by {metric}, and no samples are held out: write \
         `data NAME(validation = 1000)`, or `early_stop(…, metric = train_loss)`"
    )]
    NothingHeldOut {
        /// What is judged.
        metric: &'static str,
    },
    /// A batch of one sample for a batch norm of one value a channel.
    #[error(
        "`{layer}` normalises one value per channel and sample, and {what} one sample, of which \
         there is no variance: {help}"
    )]
    SingleSample {
        /// The batch norm.
        layer: String,
        /// Which batch.
        what: String,
        /// How to mend it.
        help: String,
    },
    /// Fewer steps than the stages of a layer that condenses while it is trained.
    #[error(
        "`{layer}` is condensed in {stages} stages over the first half of the training, which has {} {}: train for more \
         epochs, take smaller batches, or give it a smaller `condense`",
        steps / 2,
        if steps / 2 == 1 { "step" } else { "steps" }
    )]
    Stages {
        /// The layer.
        layer: String,
        /// Its stages.
        stages: usize,
        /// The steps of the whole training.
        steps: usize,
    },
    /// A number that is not finite has appeared.
    #[error(
        "the loss is {loss} in epoch {epoch}, step {step}: the first number that is not finite: \
         {first}; the learning rate may be too high, or gradients need `clip`"
    )]
    Diverged {
        /// The loss of the step.
        loss: f32,
        /// The epoch, from 1.
        epoch: usize,
        /// The step in it, from 1.
        step: usize,
        /// Which value was the first.
        first: String,
    },
    /// A checkpoint whose tensors are not those of the net.
    #[error("the checkpoint lacks `{name}`, or has it with another size")]
    Checkpoint {
        /// The first tensor that does not fit.
        name: String,
    },
}
