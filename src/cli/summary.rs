//! `netc summary`: what a net is made of.

use serde_json::{Value, json};

use super::common::{Common, count};
use super::error::{CliError, hint, tell};
use super::output::Out;
use super::parallel;
use super::scale::{self, Basis, Row};
use super::table::{Align, bytes, grouped, shape, table};
use crate::codegen::Target;
use crate::diag::Diagnostic;
use crate::driver::{self, Options, Prepared};
use crate::estimate::{self, Rates};
use crate::ir::Graph;
use crate::lower::once::Footprints;
use crate::model::{self, Net, NetError};
use crate::ops::window::{Pads, Window};
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
    /// A line a net, to compare a family: parameters, MACs, memory, and an estimate of the latency
    #[arg(long)]
    scale: bool,
    /// With --scale, thousand million MACs a second that the machine does; measured if not given
    #[arg(long, value_name = "X", requires = "scale", value_parser = rate)]
    gmacs: Option<f64>,
    /// With --scale, thousand million bytes a second from and to memory; measured if not given
    #[arg(long, value_name = "X", requires = "scale", value_parser = rate)]
    gbytes: Option<f64>,
}

/// Reads a rate in thousand millions a second.
fn rate(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok();
    let number = number.filter(|number: &f64| *number >= 1e-6 && *number <= 1e9);
    number.ok_or_else(|| "a number above 0 is wanted, in thousand millions a second".to_owned())
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
    if args.scale {
        return scaled(args, common, &target, out);
    }
    let mut first = true;
    each_net(args, common, (&target, None), out, &mut |net, told, out| {
        if !first && !out.json {
            out.line("")?;
        }
        first = false;
        out.finish()?;
        tell(&net.warnings, &net.files, out.json);
        tell(&told.infer.warnings, &net.files, out.json);
        told.write(&named(args, net, told), net, out)
    })
}

/// The nets in lines beside one another.
fn scaled(args: &Args, common: &Common, target: &Target, out: &mut Out) -> Result<(), CliError> {
    let threads = common.threads()?;
    let stated = args.gmacs.zip(args.gbytes);
    let rates = match stated {
        Some((macs, bytes)) => Rates {
            macs: macs * 1e9,
            bytes: bytes * 1e9,
        },
        None if args.gmacs.is_some() || args.gbytes.is_some() => {
            let message = "--gmacs and --gbytes state a machine together".to_owned();
            return Err(CliError::Usage(message));
        }
        None => estimate::measure(target, threads)?,
    };
    let basis = Basis {
        target,
        threads,
        rates,
        stated: stated.is_some(),
    };
    let mut rows: Vec<Row> = Vec::new();
    let result = each_net(
        args,
        common,
        (target, Some(rates)),
        out,
        &mut |net, told, _| {
            rows.push(told.row(named(args, net, told), net));
            Ok(())
        },
    );
    if !rows.is_empty() {
        if out.json {
            for object in scale::objects(&rows, &basis) {
                out.line(object)?;
            }
        } else {
            out.text(&scale::text(&rows, &basis))?;
        }
    }
    result
}

/// The net's name, with its file where there are several: many files have nets of one name.
fn named(args: &Args, net: &Net, told: &Told) -> String {
    let name = &told.infer.name;
    match args.files.len() {
        1 => name.clone(),
        _ => format!("{}:{name}", net.path.display()),
    }
}

/// What is said of a net.
type Show<'w> = dyn FnMut(&Net, &Told, &mut Out) -> Result<(), CliError> + 'w;

/// Does something with each net that is given. What is wrong with one keeps none of the others from being shown.
fn each_net(
    args: &Args,
    common: &Common,
    (target, rates): (&Target, Option<Rates>),
    out: &mut Out,
    show: &mut Show<'_>,
) -> Result<(), CliError> {
    let mut told = Vec::new();
    let mut wrong = false;
    let footprints = Footprints::new(target);
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
        let in_use = parallel::each(&names, |&name| net.model_of(name, Mode::Infer));
        let both: Vec<_> = names.iter().zip(&in_use).collect();
        let in_training = parallel::each(&both, |&(&name, in_use)| {
            let differs = in_use.as_ref().is_ok_and(Model::differs_in_training);
            differs.then(|| net.model_of(name, Mode::Train))
        });
        let halves = in_use.into_iter().zip(in_training);
        let halves = halves.flat_map(|(in_use, in_training)| {
            [(Mode::Infer, Some(in_use)), (Mode::Train, in_training)]
        });
        // Large nets first: the last one to be looked at then keeps the other threads waiting for little.
        let size = |(_, model): &(Mode, Option<Result<Model, NetError>>)| match model {
            Some(Ok(model)) => model.graph.nodes.len(),
            Some(Err(_)) | None => 0,
        };
        let halves = parallel::each_by_size(halves.collect(), size, |(mode, model)| {
            model.map(|model| half(model?, mode, args.batch, &footprints, rates))
        });
        let mut halves = halves.into_iter();
        while let (Some(Some(in_use)), Some(in_training)) = (halves.next(), halves.next()) {
            let told_of = in_use.and_then(|in_use| Ok(Told::new(in_use, in_training.transpose()?)));
            if let Err(error) = told_of.and_then(|of_net| show(&net, &of_net, out)) {
                out.finish()?;
                wrong |= failed(error, &mut told, out.json)?;
            }
        }
        if !args.scale {
            super::check::searches(&net, spec, out)?;
        }
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

/// All that is said of a net.
struct Told {
    infer: Model,
    summary: Summary,
    memory: Memory,
    latency: Option<f64>,
}

impl Told {
    fn new(in_use: Half, in_training: Option<Half>) -> Told {
        let (train, params_train) = match in_training {
            Some(half) => (half.memory, half.params),
            None => (None, in_use.params),
        };
        Told {
            infer: in_use.model,
            summary: in_use.summary.expect("the net for use is counted"),
            memory: Memory {
                infer: in_use.memory.map_or(0, |(bytes, _)| bytes),
                train,
                params_train,
            },
            latency: in_use.latency,
        }
    }

    /// Under a name of the net's.
    fn write(&self, name: &str, net: &Net, out: &mut Out) -> Result<(), CliError> {
        if out.json {
            let mut object = object(&self.infer, &self.summary, &self.memory);
            object["file"] = json!(net.path);
            out.line(object)
        } else {
            out.text(&text(name, &self.infer, &self.summary, &self.memory))
        }
    }

    /// Its line among others, under a name.
    fn row(&self, name: String, net: &Net) -> Row {
        Row {
            name,
            file: net.path.clone(),
            net: self.infer.name.clone(),
            input: self.summary.input.clone(),
            params: self.summary.params,
            macs: self.summary.macs,
            infer: self.memory.infer,
            train: self.memory.train,
            latency: self.latency.unwrap_or(0.0),
        }
    }
}

/// A net as it is in one mode.
struct Half {
    /// What it says of itself. Its graph has gone: its memory serves the next net.
    model: Model,
    /// Learned numbers.
    params: usize,
    /// Its counts, where it is for use.
    summary: Option<Summary>,
    /// The planned memory, and for how many images; none where the file does not say how to train.
    memory: Option<(usize, usize)>,
    /// Estimated seconds for an image, where rates are given.
    latency: Option<f64>,
}

/// What is to be said of a net in one mode.
fn half(
    mut model: Model,
    mode: Mode,
    batch: Option<usize>,
    footprints: &Footprints,
    rates: Option<Rates>,
) -> Result<Half, CliError> {
    let target = footprints.target();
    let (mut latency, mut summary) = (None, None);
    let graph = std::mem::take(&mut model.graph);
    let params = summary::params(&graph);
    let memory = match mode {
        Mode::Infer => {
            summary = Some(summary::of(&graph));
            let prepared = prepare(&graph, 1, target);
            latency = rates.map(|rates| estimate::latency(&prepared, rates).as_secs_f64());
            Some((arena_of(&prepared, 1, footprints), 1))
        }
        Mode::Train => {
            let batch = batch.or_else(|| model.train.as_ref().map(|train| train.batch));
            match model::training_graph_of(&model, graph) {
                Ok(graph) => batch.map(|batch| {
                    let prepared = prepare(&graph, batch, target);
                    (arena_of(&prepared, batch, footprints), batch)
                }),
                // A file need not say how its net is trained.
                Err(NetError::Training { .. }) => None,
                Err(other) => return Err(other.into()),
            }
        }
    };
    Ok(Half {
        model,
        params,
        summary,
        memory,
        latency,
    })
}

/// The planned memory of a graph.
fn arena_of(prepared: &Prepared, batch: usize, footprints: &Footprints) -> usize {
    plan::arena_bytes(&prepared.graph, &prepared.groups, batch, footprints)
}

fn prepare(graph: &Graph, batch: usize, target: &Target) -> Prepared {
    let options = Options {
        target: target.clone(),
        ..Options::new(batch)
    };
    driver::prepare(graph, &options)
}

fn object(model: &Model, summary: &Summary, memory: &Memory) -> Value {
    let layers: Vec<Value> = summary
        .layers
        .iter()
        .map(|layer| {
            let mut object = json!({
                "name": layer.path, "output": layer.shape,
                "params": layer.params, "macs": layer.macs,
            });
            if let Some(window) = &layer.window {
                let Pads {
                    top,
                    left,
                    bottom,
                    right,
                } = window.pads;
                object["window"] = json!({
                    "kernel": window.kernel, "stride": window.stride, "dilation": window.dilation,
                    "pad": [top, left, bottom, right],
                });
            }
            object
        })
        .collect();
    let mut object = json!({
        "net": model.name,
        "doc": model.docs.join("\n"),
        "settings": model.settings.iter().map(|setting| json!({
            "name": setting.name, "value": setting.value, "doc": setting.docs.join("\n"),
        })).collect::<Vec<_>>(),
        "blocks": model.blocks.iter().map(|block| json!({
            "name": block.name, "call": block.call, "doc": block.docs.join("\n"),
            "parameters": block.params.iter().map(|(name, docs)| json!({
                "name": name, "doc": docs.join("\n"),
            })).collect::<Vec<_>>(),
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

/// What is said of the net: its comment, its parameters with theirs, and the blocks that it uses, if they have one.
fn about(model: &Model) -> String {
    let mut text: String = model.docs.iter().map(|line| format!("{line}\n")).collect();
    for setting in &model.settings {
        let doc = setting.docs.join(" ");
        let line = format!("  {} = {}  {doc}", setting.name, setting.value);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for block in &model.blocks {
        let doc = block.docs.join(" ");
        let line = format!("  block {}  {doc}", block.call);
        text.push_str(line.trim_end());
        text.push('\n');
        for (name, docs) in &block.params {
            text.push_str(&format!("    {name}  {}\n", docs.join(" ")));
        }
    }
    text
}

fn text(name: &str, model: &Model, summary: &Summary, memory: &Memory) -> String {
    let number = |number: u64| match number {
        0 => String::new(),
        number => grouped(number),
    };
    let head = ["layer", "window", "output", "parameters", "MACs"].map(str::to_owned);
    let mut rows = vec![head];
    for layer in &summary.layers {
        rows.push([
            layer.path.clone(),
            layer.window.as_ref().map_or(String::new(), Window::brief),
            shape(&layer.shape),
            number(layer.params as u64),
            number(layer.macs),
        ]);
    }
    let columns = [
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
    ];
    let mut text = format!(
        "{name}: {} to {}\n{}\n{}\n",
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
            match model.train {
                Some(_) => "the `train` section names no optimizer".to_owned(),
                None => "the file does not say how to train".to_owned(),
            },
        ),
    }
    text
}
