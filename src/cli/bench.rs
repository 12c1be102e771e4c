//! `netc bench`: time and memory.

mod profile;

use std::time::{Duration, Instant};

use serde_json::json;

use super::common::{Common, count};
use super::error::CliError;
use super::output::Out;
use super::table::{Align, bytes, table};
use crate::driver::{self, Options};
use crate::engine::{Engine, Runner, processors, takes_labels};
use crate::ir::{Graph, StepScalar};
use crate::measure::{self, Series};
use crate::model::{self, NamedParam};
use crate::sema::Mode;
use crate::train::step::LOSS;
use profile::{LayerTime, Limits};

/// What `bench` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// What to measure
    #[arg(long, value_enum, default_value = "infer")]
    mode: Measured,
    /// Batches, as in `1,64` [default: 1, or the file's in training]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    batch: Vec<usize>,
    /// The time of each layer too, held against what the machine can do
    #[arg(long)]
    layers: bool,
}

/// What is measured. The first call counts everything from the parsed net to the first result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Measured {
    /// A batch: input in, outputs computed and read.
    Infer,
    /// A training step: images and labels in, weights updated, loss read.
    Train,
    /// Compiling the training step, from the parsed net to code in memory.
    Compile,
}

impl Measured {
    fn name(self) -> &'static str {
        match self {
            Measured::Infer => "infer",
            Measured::Train => "train",
            Measured::Compile => "compile",
        }
    }
}

/// One measurement.
struct Found {
    batch: usize,
    threads: usize,
    series: Series,
    first: Duration,
    peak: Option<u64>,
    layers: Vec<LayerTime>,
}

/// The time to the first result, that of later ones, that of each layer.
type Measurement = (Duration, Series, Vec<LayerTime>);

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    if args.layers {
        profile::check(args.mode)?;
    }
    let target = common.target()?;
    let net = common.net(&args.file)?;
    let mode = match args.mode {
        Measured::Infer => Mode::Infer,
        Measured::Train | Measured::Compile => Mode::Train,
    };
    let model = common.model(&net, mode)?;
    let usual = match (&model.train, mode) {
        (Some(train), Mode::Train) => train.batch,
        _ => 1,
    };
    let or = |list: &[usize], default: usize| match list {
        [] => vec![default],
        list => list.to_vec(),
    };
    let batches = or(&args.batch, usual);
    let threads = match args.mode {
        // Compiling is done by one thread.
        Measured::Compile => vec![1],
        Measured::Infer | Measured::Train => or(&common.threads, processors()),
    };
    let params = net.parameters(mode, None, common.seed(&model))?;
    let graph = || -> Result<Graph, CliError> {
        let model = net.model(mode)?;
        Ok(match mode {
            Mode::Infer => model.graph,
            Mode::Train => model::training_graph(&model)?,
        })
    };
    let mut rows = vec![
        [
            "batch",
            "threads",
            "median ms",
            "min ms",
            "first ms",
            "peak memory",
        ]
        .map(str::to_owned),
    ];
    let mut profiles = Vec::new();
    for &batch in &batches {
        for &threads in &threads {
            let limits = match args.layers {
                true => Some(Limits::measure(&target, threads)?),
                false => None,
            };
            measure::reset_peak();
            let engine = Engine::Compiled {
                target: target.clone(),
                threads,
                winograd: !common.no_winograd,
            };
            let (first, series, layers) = match args.mode {
                Measured::Compile => compile(&graph, batch, &engine)?,
                Measured::Infer | Measured::Train => {
                    steps(&graph, batch, &engine, &params, args.layers)?
                }
            };
            let found = Found {
                batch,
                threads,
                series,
                first,
                peak: measure::peak_rss(),
                layers,
            };
            if out.json {
                let mut object = json!({
                    "net": model.name, "mode": args.mode.name(), "batch": batch, "threads": threads,
                    "isa": target.isa.name(),
                    "median_ms": ms(found.series.median), "min_ms": ms(found.series.min),
                    "first_ms": ms(found.first), "calls": found.series.calls,
                    "peak_rss_bytes": found.peak,
                });
                if let Some(limits) = limits {
                    let layers = found.layers.iter().map(|layer| layer.object(limits));
                    object["limits"] = limits.object();
                    object["layers"] = layers.collect();
                }
                out.line(object)?;
                out.finish()?;
            } else {
                rows.push(row(&found));
                if let Some(limits) = limits {
                    profiles.push((batch, threads, limits, found.layers));
                }
            }
        }
    }
    if !out.json {
        out.line(format_args!(
            "{}, {}, {}\n",
            model.name,
            args.mode.name(),
            target.isa
        ))?;
        out.text(&table([Align::Right; 6], &rows))?;
        for (batch, threads, limits, layers) in profiles {
            let limits_line = limits.line();
            out.line(format_args!(
                "\nbatch {batch}, threads {threads}; {limits_line}\n"
            ))?;
            out.text(&profile::text(&layers, limits))?;
        }
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn row(found: &Found) -> [String; 6] {
    let time = |time| format!("{:.3}", ms(time));
    let peak = found
        .peak
        .map_or("?".to_owned(), |peak| bytes(peak as usize));
    [
        found.batch.to_string(),
        found.threads.to_string(),
        time(found.series.median),
        time(found.series.min),
        time(found.first),
        peak,
    ]
}

/// Compiles again and again.
fn compile(
    graph: &dyn Fn() -> Result<Graph, CliError>,
    batch: usize,
    engine: &Engine,
) -> Result<Measurement, CliError> {
    let Engine::Compiled {
        target, winograd, ..
    } = engine
    else {
        return Err(CliError::user("only machine code is measured"));
    };
    let options = Options {
        target: target.clone(),
        winograd: *winograd,
        ..Options::new(batch)
    };
    let call = || -> Result<(), CliError> {
        driver::compile(&graph()?, &options)?;
        Ok(())
    };
    let start = Instant::now();
    call()?;
    let first = start.elapsed();
    Ok((first, measure::series(call)?, Vec::new()))
}

/// Runs a graph again and again on the same images.
fn steps(
    graph: &dyn Fn() -> Result<Graph, CliError>,
    batch: usize,
    engine: &Engine,
    params: &[NamedParam],
    by_layers: bool,
) -> Result<Measurement, CliError> {
    let start = Instant::now();
    let graph = graph()?;
    // Says so if there is not so much memory, before images are made.
    let mut runner = Runner::new(&graph, batch, engine, params)?;
    let inputs: Vec<(String, Vec<f32>)> = graph
        .inputs()
        .filter(|&(_, name)| !takes_labels(&graph, name))
        .map(|(value, name)| {
            let count = batch * graph.ty(value).shape.elements();
            // Any numbers between 0 and 1 will do; zeros would be an easy case.
            let data = (0..count)
                .map(|at| (at * 37 % 101) as f32 / 101.0)
                .collect();
            (name.to_owned(), data)
        })
        .collect();
    let labels = vec![0_u32; batch];
    let labelled: Vec<String> = graph
        .inputs()
        .filter(|&(_, name)| takes_labels(&graph, name))
        .map(|(_, name)| name.to_owned())
        .collect();
    // In training, the loss is all that anyone reads of a step.
    let loss = graph.outputs.iter().find(|output| output.name == LOSS);
    let read = match loss {
        Some(loss) => vec![loss],
        None => graph.outputs.iter().collect(),
    };
    let mut outputs: Vec<(&str, Vec<f32>)> = read
        .iter()
        .map(|output| {
            let shape = graph.ty(output.value).shape.with_batch(batch);
            (output.name.as_str(), vec![0.0; shape.iter().product()])
        })
        .collect();
    // So small that the loss stays finite however often the step is taken.
    runner.set_scalar(StepScalar::LearningRate, 1e-6);
    for scalar in [
        StepScalar::FirstMomentCorrection,
        StepScalar::SecondMomentCorrection,
        StepScalar::VelocityShare,
        StepScalar::GroupShare,
        StepScalar::Applies,
    ] {
        runner.set_scalar(scalar, 1.0);
    }
    let pool = runner.take_threads();
    let mut work = move || -> Result<Measurement, CliError> {
        let mut call = || -> Result<(), CliError> {
            for (name, data) in &inputs {
                runner.set_input(name, data)?;
            }
            for name in &labelled {
                runner.set_labels(name, &labels)?;
            }
            runner.run(batch)?;
            for (name, data) in &mut outputs {
                runner.read_output(name, batch, data)?;
            }
            Ok(())
        };
        call()?;
        let first = start.elapsed();
        let series = measure::series(call)?;
        let layers = match by_layers {
            true => profile::layers(&mut runner, batch, series.median)?,
            false => Vec::new(),
        };
        Ok((first, series, layers))
    };
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
