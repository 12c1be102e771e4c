//! `netc run`: computes a net's outputs.

use std::path::PathBuf;

use serde_json::json;

use super::common::{Common, Interpret, NamedFile, Switch, count};
use super::data::{check_batch, place, read_batch};
use super::error::CliError;
use super::output::Out;
use super::table::shape;
use crate::engine::Runner;
use crate::io::npy;
use crate::ir::Graph;
use crate::train::rate::dropout_seed;

/// What `run` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// The weights (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The input, an array of [N, ...] (npy); NAME=FILE for one of several
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<NamedFile>,
    /// Where to write the output; NAME=FILE for one of several
    #[arg(long, value_name = "FILE", required = true)]
    output: Vec<NamedFile>,
    /// Images to compute at once
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
    /// Whether dropout and batch norms act as in training
    #[arg(long, value_enum, default_value = "off")]
    train_mode: Switch,
    /// Compute with the reference interpreter
    #[arg(long, value_enum)]
    interpret: Option<Interpret>,
}

/// Images at once where nothing is said: enough for all threads, and little memory.
const BATCH: usize = 64;

/// An input, read.
struct Input<'g> {
    name: &'g str,
    data: Vec<f32>,
    elements: usize,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let engine = common.engine(args.interpret)?;
    let net = common.net(&args.file)?;
    let mode = args.train_mode.mode();
    let model = common.model(&net, mode)?;
    let graph = &model.graph;
    let params = net.parameters(mode, Some(&args.weights), 0)?;
    let (inputs, total) = read_inputs(args, graph)?;
    let known: Vec<_> = graph
        .outputs
        .iter()
        .map(|output| (output.value, output.name.as_str()))
        .collect();
    // Without names, one file is for the output that matters.
    let first = &known[..known.len().min(1)];
    let mut outputs = Vec::new();
    for file in &args.output {
        let among = match file.name {
            Some(_) => &known[..],
            None => first,
        };
        let (value, name) = place(file, "output", among)?;
        outputs.push((file, graph.dims(value).to_vec(), name, Vec::new()));
    }
    // In training, what becomes of an image depends on its batch.
    let batch = match (args.batch, args.train_mode) {
        (Some(batch), _) => batch.min(total),
        (None, Switch::On) => total,
        (None, Switch::Off) => total.min(BATCH),
    };
    let mut runner = Runner::new(graph, batch, &engine, &params)?;
    let seed = common.seed(&model);
    let mut start = 0;
    while start < total {
        let end = total.min(start + batch);
        for input in &inputs {
            let part = &input.data[start * input.elements..end * input.elements];
            runner.set_input(input.name, part)?;
        }
        runner.set_seed(dropout_seed(seed, start / batch));
        runner.run(end - start)?;
        for (_, _, name, data) in &mut outputs {
            data.extend(runner.output(name, end - start)?);
        }
        start = end;
    }
    for (file, dims, name, data) in outputs {
        let mut full = vec![total];
        full.extend(dims);
        npy::write(&file.path, &full, &data)?;
        out.either(
            || json!({ "net": model.name, "output": name, "shape": full, "file": file.path }),
            || format!("wrote `{name}` {} to {}", shape(&full), file.path.display()),
        )?;
    }
    Ok(())
}

/// Reads all inputs; the number of images.
fn read_inputs<'g>(args: &Args, graph: &'g Graph) -> Result<(Vec<Input<'g>>, usize), CliError> {
    let known: Vec<_> = graph.inputs().collect();
    let mut inputs: Vec<Input<'g>> = Vec::new();
    let mut total = None;
    for file in &args.input {
        let (value, name) = place(file, "input", &known)?;
        if inputs.iter().any(|input| input.name == name) {
            return Err(CliError::Usage(format!(
                "the input `{name}` is given twice"
            )));
        }
        let (tensor, batch) = read_batch(&file.path, graph, value, name)?;
        check_batch(&file.path, batch, *total.get_or_insert(batch))?;
        inputs.push(Input {
            name,
            data: tensor.into_data(),
            elements: graph.ty(value).shape.elements(),
        });
    }
    let missing = known
        .iter()
        .find(|(_, name)| inputs.iter().all(|input| input.name != *name));
    if let Some((_, name)) = missing {
        return Err(CliError::Usage(format!("the input `{name}` is missing")));
    }
    Ok((inputs, total.unwrap_or(0)))
}
