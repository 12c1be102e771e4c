//! `netc eval`: loss and accuracy on unseen samples.

use std::path::PathBuf;

use serde_json::json;

use super::common::{Common, Interpret, count, parameters};
use super::error::CliError;
use super::output::Out;
use super::table::grouped;
use super::train::shown;
use crate::sema::Mode;
use crate::train::fit::{self, FitConfig};
use crate::train::source;

/// What `eval` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// The weights (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The data set or folder, in place of the file's `data`
    #[arg(long, value_name = "NAME|FOLDER")]
    data: Option<String>,
    /// Images to compute at once [default: the file's `batch`]
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
    /// Compute with the reference interpreter
    #[arg(long, value_enum)]
    interpret: Option<Interpret>,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let engine = common.engine(args.interpret)?;
    let net = common.net(&args.file)?;
    let model = common.model(&net, Mode::Infer)?;
    let config = crate::model::train_config(&model)?;
    let params = parameters(&net, Mode::Infer, &args.weights, common.json)?;
    let seed = common.seed(&model);
    let samples = source::samples(&model, args.data.as_deref(), Some(&net.path), seed)?;
    let config = FitConfig {
        engine,
        seed,
        batch: args.batch.unwrap_or(config.batch),
        epochs: 0,
        scalings: source::scalings(&model),
        watch_gradients: false,
    };
    let test = &samples.dataset.test;
    let score = fit::score(&model, &params, test, &config)?;
    out.either(
        || {
            json!({
                "net": model.name, "data": samples.dataset.name, "images": test.len(),
                "loss": score.loss, "accuracy": score.accuracy,
            })
        },
        || {
            format!(
                "{} on {} unseen images of {}: {}",
                model.name,
                grouped(test.len() as u64),
                samples.dataset.name,
                shown(score)
            )
        },
    )
}
