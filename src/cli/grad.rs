//! `netc grad`: computes the loss and all gradients.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::common::{Common, Interpret, NamedFile, Switch, parameters};
use super::data::{check_batch, of_each, place, read_inputs, read_target};
use super::error::CliError;
use super::output::Out;
use crate::engine::Runner;
use crate::io::npy;
use crate::model::{self, NamedParam, Provenance};
use crate::train::data::check_labels;
use crate::train::loss::{LOSS, LossKind, Target};
use crate::train::rate::dropout_seed;

/// What `grad` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// The weights (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The input, an array of [N, ...] (npy); NAME=FILE for one of several, or one npz for all
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<NamedFile>,
    /// The labels [N], or for other losses than the cross-entropy the wanted output [N, ...] (npy);
    /// NAME=FILE for one of several outputs that have losses
    #[arg(long, value_name = "FILE", required = true)]
    target: Vec<NamedFile>,
    /// Where to write the gradients: each parameter's under its name, the input's as `input`
    #[arg(long, value_name = "FILE")]
    grads_out: Option<PathBuf>,
    /// Where to write the loss
    #[arg(long, value_name = "FILE")]
    loss_out: Option<PathBuf>,
    /// Whether dropout and batch norms act as in training
    #[arg(long, value_enum, default_value = "on")]
    train_mode: Switch,
    /// Compute with the reference interpreter
    #[arg(long, value_enum)]
    interpret: Option<Interpret>,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let engine = common.engine(args.interpret)?;
    let net = common.net(&args.file)?;
    let mode = args.train_mode.mode();
    let model = common.model(&net, mode)?;
    let forward = &model.graph;
    let graph = model::gradient_graph(&model)?;
    let params = parameters(&net, mode, &args.weights, common.json)?;
    let (inputs, batch) = read_inputs(&args.input, forward)?;
    let mut runner = Runner::new(&graph, batch, &engine, &params)?;
    for input in &inputs {
        runner.set_input(input.name, &input.data)?;
    }
    set_targets(
        &mut runner,
        &args.target,
        &model::loss(&model)?.targets(forward),
        batch,
    )?;
    runner.set_seed(dropout_seed(common.seed(&model), 0));
    runner.run(batch)?;
    let loss = runner.output(LOSS, batch)?;
    let mut grads: Vec<NamedParam> = Vec::new();
    for output in graph.outputs.iter().filter(|output| output.name != LOSS) {
        let shape = &graph.ty(output.value).shape;
        let dims = if shape.batched {
            shape.with_batch(batch)
        } else {
            shape.dims.to_vec()
        };
        grads.push((
            output.name.clone(),
            dims,
            runner.output(&output.name, batch)?,
        ));
    }
    if let Some(path) = &args.grads_out {
        model::save(path, &Provenance::from(&model), &grads)?;
    }
    if let Some(path) = &args.loss_out {
        npy::write(path, &[], &loss)?;
    }
    out.either(
        || json!({ "net": model.name, "batch": batch, "loss": loss[0], "gradients": grads.len() }),
        || {
            format!(
                "loss {} on {batch} images, {} gradients",
                loss[0],
                grads.len()
            )
        },
    )
}

/// Reads what the net should have said: a file for each output that has a loss.
fn set_targets(
    runner: &mut Runner,
    files: &[NamedFile],
    targets: &[Target],
    batch: usize,
) -> Result<(), CliError> {
    let known: Vec<_> = targets
        .iter()
        .map(|target| (target.value, target.output.as_str()))
        .collect();
    let mut given: Vec<&str> = Vec::new();
    for file in &of_each(files, &known) {
        let (_, name) = place(file, "target", &known)?;
        if given.contains(&name) {
            let message = format!("the target of `{name}` is given twice");
            return Err(CliError::Usage(message));
        }
        given.push(name);
        for target in targets.iter().filter(|target| target.output == name) {
            set_target(runner, &file.path, target, batch)?;
        }
    }
    match known.iter().find(|(_, name)| !given.contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(CliError::Usage(format!(
            "the target of `{name}` is missing: add --target {name}=FILE"
        ))),
    }
}

fn set_target(
    runner: &mut Runner,
    path: &Path,
    target: &Target,
    batch: usize,
) -> Result<(), CliError> {
    let wrong =
        |error: &dyn std::fmt::Display| CliError::user(format!("`{}`: {error}", path.display()));
    let dims = runner.graph().dims(target.value).to_vec();
    if !target.kind.takes_labels() {
        let (tensor, found) = read_target((path, &target.output), &dims, &target.input)?;
        check_batch(path, found, batch)?;
        if target.kind == LossKind::BinaryCrossEntropy {
            check_probabilities(tensor.data(), &dims).map_err(|error| wrong(&error))?;
        }
        return Ok(runner.set_input(&target.input, tensor.data())?);
    }
    let (shape, labels) = npy::read_indices_named(path, &target.output)?;
    let [found] = shape.as_slice() else {
        let message = format!("labels are an array of [N]; this one is {shape:?}");
        return Err(wrong(&message));
    };
    check_batch(path, *found, batch)?;
    check_labels(&labels, dims[0]).map_err(|error| wrong(&error))?;
    let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
    Ok(runner.set_labels(&target.input, &labels)?)
}

/// Targets of the binary cross-entropy are probabilities.
fn check_probabilities(targets: &[f32], dims: &[usize]) -> Result<(), String> {
    let Some(place) = targets.iter().position(|t| !(0.0..=1.0).contains(t)) else {
        return Ok(());
    };
    let width = dims.iter().product::<usize>().max(1);
    Err(format!(
        "the target of the binary cross-entropy is from 0 to 1, but element {} of sample {} is {}",
        place % width,
        place / width,
        targets[place]
    ))
}
