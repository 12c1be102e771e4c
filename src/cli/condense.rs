//! `netc condense`: turns a trained net with learned group convolutions into the net of its test time.

use std::path::PathBuf;

use serde_json::json;

use super::common::Common;
use super::error::CliError;
use super::output::Out;
use super::table::grouped;
use crate::condense;
use crate::io::atomic;
use crate::model;

/// What `condense` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// Its trained weights (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Where to write the condensed net; its weights are written beside it, as `.safetensors`
    #[arg(long, value_name = "FILE.net")]
    out: PathBuf,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let net = common.net(&args.file)?;
    if args.out.extension().is_none_or(|ending| ending != "net") {
        return Err(CliError::Usage(format!(
            "--out names the file of the condensed net, which ends with `.net`, not `{}`",
            args.out.display()
        )));
    }
    let weights = args.out.with_extension("safetensors");
    let same =
        |one: &PathBuf, other: &std::path::Path| match (one.canonicalize(), other.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        };
    for (new, old) in [
        (&args.out, net.path.as_path()),
        (&weights, args.weights.as_path()),
    ] {
        if same(new, old) {
            return Err(CliError::Usage(format!(
                "`{}` would be written over; give --out another name",
                old.display()
            )));
        }
    }
    let made = condense::condense(&net, &args.weights, &args.out)?;
    let head = format!(
        "// Condensed from {} with the weights {} by `netc condense`.\n",
        args.file,
        args.weights.display()
    );
    model::save(&weights, &made.provenance, &made.params)?;
    atomic::write(&args.out, |file| {
        file.write_all(head.as_bytes())?;
        file.write_all(made.text.as_bytes())
    })?;
    let (before, after) = (&made.before, &made.after);
    out.either(
        || {
            json!({
                "net": made.name, "out": args.out, "weights": weights, "layers": made.layers,
                "params": after.params, "params_before": before.params,
                "macs": after.macs, "macs_before": before.macs,
            })
        },
        || {
            format!(
                "condensed {} layers of {}: {} of {} parameters, {} of {} MACs an image\nwrote {}\nwrote {}",
                made.layers,
                made.name,
                grouped(after.params as u64),
                grouped(before.params as u64),
                grouped(after.macs),
                grouped(before.macs),
                args.out.display(),
                weights.display()
            )
        },
    )
}
