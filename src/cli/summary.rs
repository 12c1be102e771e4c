//! `netc summary`: what a net is made of.

use serde_json::{Value, json};

use super::common::{Common, count};
use super::error::{CliError, hint, tell};
use super::output::Out;
use super::table::{Align, bytes, grouped, shape, table};
use crate::codegen::Target;
use crate::diag::Diagnostic;
use crate::driver::{self, Options};
use crate::ir::Graph;
use crate::model::{self, Net, NetError};
use crate::plan;
use crate::sema::{self, Mode, Model};
use crate::summary::{self, Summary};

/// What `summary` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The files, all nets and presets of each; FILE:NAME is one of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Images of a training step, in place of the file's `batch`
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
}

/// What is known of a net beside its layers.
struct Memory {
    infer: usize,
    /// With the batch; none where the file does not say how to train.
    train: Option<(usize, usize)>,
    params_train: usize,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let target = common.target()?;
    let mut told = Vec::new();
    let mut wrong = false;
    let mut first = true;
    for spec in &args.files {
        let net = match common.net(spec) {
            Ok(net) => net,
            Err(error) => {
                out.finish()?;
                wrong |= failed(error, &mut told, out.json)?;
                continue;
            }
        };
        let mut names: Vec<Option<&str>> = match net.name() {
            Some(name) => vec![Some(name)],
            None => sema::net_names(net.program.main())
                .into_iter()
                .map(Some)
                .collect(),
        };
        if names.is_empty() {
            names.push(None);
        }
        for name in names {
            if !first && !out.json {
                out.line("")?;
            }
            match of_net(&net, name, args, &target, out) {
                Ok(()) => first = false,
                Err(error) => {
                    out.finish()?;
                    wrong |= failed(error, &mut told, out.json)?;
                }
            }
        }
        super::check::searches(&net, spec, out)?;
    }
    if wrong {
        out.finish()?;
        if !out.json {
            hint(&told);
        }
        return Err(CliError::Told);
    }
    Ok(())
}

/// Tells what is wrong with a file or a net of it, but not again what has been told; the other ones are still worth a
/// look.
fn failed(error: CliError, told: &mut Vec<Diagnostic>, json: bool) -> Result<bool, CliError> {
    match error {
        CliError::Net(error) => match *error {
            NetError::Text(findings) => {
                let new = findings
                    .diagnostics
                    .into_iter()
                    .filter(|d| !told.contains(d));
                let new: Vec<Diagnostic> = new.collect();
                tell(&new, &findings.files, json);
                told.extend(new);
            }
            other => {
                CliError::from(other).show(json);
            }
        },
        other => return Err(other),
    }
    Ok(true)
}

/// The summary of a net.
fn of_net(
    net: &Net,
    name: Option<&str>,
    args: &Args,
    target: &Target,
    out: &mut Out,
) -> Result<(), CliError> {
    let infer = net.model_of(name, Mode::Infer)?;
    let train = net.model_of(name, Mode::Train)?;
    tell(&net.warnings, &net.files, out.json);
    tell(&infer.warnings, &net.files, out.json);
    let batch = args
        .batch
        .or_else(|| train.train.as_ref().map(|train| train.batch));
    let step = match model::training_graph(&train) {
        Ok(graph) => batch.map(|batch| (arena(&graph, batch, target), batch)),
        // A file need not say how its net is trained.
        Err(NetError::Training { .. }) => None,
        Err(other) => return Err(other.into()),
    };
    let memory = Memory {
        infer: arena(&infer.graph, 1, target),
        train: step,
        params_train: summary::of(&train.graph).params,
    };
    let summary = summary::of(&infer.graph);
    if out.json {
        out.line(object(&infer, &summary, &memory))?;
    } else {
        out.text(&text(&infer, &summary, &memory))?;
    }
    Ok(())
}

/// The planned memory of a graph.
fn arena(graph: &Graph, batch: usize, target: &Target) -> usize {
    let options = Options {
        target: target.clone(),
        ..Options::new(batch)
    };
    let prepared = driver::prepare(graph, &options);
    plan::make(&prepared.graph, &prepared.groups, target, batch).arena_bytes
}

fn object(model: &Model, summary: &Summary, memory: &Memory) -> Value {
    let layers: Vec<Value> = summary
        .layers
        .iter()
        .map(|layer| {
            json!({
                "name": layer.path, "output": layer.shape,
                "params": layer.params, "macs": layer.macs,
            })
        })
        .collect();
    let mut object = json!({
        "net": model.name,
        "doc": model.docs.join("\n"),
        "settings": model.settings.iter().map(|setting| json!({
            "name": setting.name, "value": setting.value, "doc": setting.docs.join("\n"),
        })).collect::<Vec<_>>(),
        "params": summary.params,
        "params_train": memory.params_train,
        "bn_stats": summary.statistics,
        "macs": summary.macs,
        "input": summary.input,
        "output": summary.output,
        "layers": layers,
        "train_batch": memory.train.map(|(_, batch)| batch),
        "train_peak_bytes": memory.train.map(|(bytes, _)| bytes),
        "infer_peak_bytes": memory.infer,
    });
    if let Some(condensed) = &summary.condensed {
        object["condensed"] = json!({ "params": condensed.params, "macs": condensed.macs });
    }
    object
}

/// What the file says of the net: its comment, and its parameters with theirs.
fn about(model: &Model) -> String {
    let mut text: String = model.docs.iter().map(|line| format!("{line}\n")).collect();
    for setting in &model.settings {
        let doc = setting.docs.join(" ");
        let line = format!("  {} = {}  {doc}", setting.name, setting.value);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn text(model: &Model, summary: &Summary, memory: &Memory) -> String {
    let number = |number: u64| match number {
        0 => String::new(),
        number => grouped(number),
    };
    let head = ["layer", "output", "parameters", "MACs"].map(str::to_owned);
    let mut rows = vec![head];
    for layer in &summary.layers {
        rows.push([
            layer.path.clone(),
            shape(&layer.shape),
            number(layer.params as u64),
            number(layer.macs),
        ]);
    }
    let columns = [Align::Left, Align::Left, Align::Right, Align::Right];
    let mut text = format!(
        "{}: {} to {}\n{}\n{}\n",
        model.name,
        shape(&summary.input),
        shape(&summary.output),
        about(model),
        table(columns, &rows)
    );
    let mut line = |what: &str, value: String| text.push_str(&format!("{what:<22}{value}\n"));
    line("parameters", grouped(summary.params as u64));
    if memory.params_train != summary.params {
        line("  in training", grouped(memory.params_train as u64));
    }
    if summary.statistics > 0 {
        line("running statistics", grouped(summary.statistics as u64));
    }
    line("MACs an image", grouped(summary.macs));
    if let Some(condensed) = &summary.condensed {
        line(
            "condensed",
            format!(
                "{} parameters, {} MACs an image",
                grouped(condensed.params as u64),
                grouped(condensed.macs)
            ),
        );
    }
    line("memory, one image", bytes(memory.infer));
    match memory.train {
        Some((arena, batch)) => line(
            "memory, training step",
            format!("{} for {batch} images", bytes(arena)),
        ),
        None => line(
            "memory, training step",
            "the file does not say how to train".to_owned(),
        ),
    }
    text
}
