//! `netc init`: writes fresh weights.

use std::path::PathBuf;

use serde_json::json;

use super::common::Common;
use super::error::CliError;
use super::output::Out;
use super::table::grouped;
use crate::model::{self, Provenance};
use crate::sema::Mode;

/// What `init` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// Where to write the weights
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let net = common.net(&args.file)?;
    let model = common.model(&net, Mode::Train)?;
    let params = net.parameters(Mode::Train, None, common.seed(&model))?;
    model::save(&args.out, &Provenance::from(&model), &params)?;
    let numbers: usize = params.iter().map(|(_, _, data)| data.len()).sum();
    out.either(
        || json!({ "net": model.name, "out": args.out, "tensors": params.len(), "numbers": numbers }),
        || {
            let (tensors, numbers) = (params.len(), grouped(numbers as u64));
            format!("wrote {tensors} tensors with {numbers} numbers to {}", args.out.display())
        },
    )
}
