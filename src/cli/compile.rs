//! `netc compile`: what compiling a net gives, and how long it takes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::common::{Common, count};
use super::error::CliError;
use super::output::Out;
use super::table::{Align, bytes, grouped, table};
use crate::driver::{self, Options, Program, Timing};
use crate::model;
use crate::sema::Mode;

/// What `compile` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// Compile the training step
    #[arg(long)]
    train: bool,
    /// The largest batch [default: 1, or the file's in training]
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let target = common.target()?;
    let start = Instant::now();
    let net = common.net(&args.file)?;
    let mode = if args.train { Mode::Train } else { Mode::Infer };
    let model = common.model(&net, mode)?;
    let mut timings = vec![Timing {
        stage: "front end",
        time: start.elapsed(),
    }];
    let (graph, batch) = if args.train {
        let batch = model.train.as_ref().map_or(1, |train| train.batch);
        (model::training_graph(&model)?, batch)
    } else {
        (model.graph.clone(), 1)
    };
    let options = Options {
        target,
        winograd: !common.no_winograd,
        ..Options::new(args.batch.unwrap_or(batch))
    };
    let program = driver::compile(&graph, &options)?;
    let total = start.elapsed();
    // A pass that runs twice is one stage to the reader.
    for timing in &program.timings {
        match timings.iter_mut().find(|known| known.stage == timing.stage) {
            Some(known) => known.time += timing.time,
            None => timings.push(*timing),
        }
    }
    if out.json {
        return out.line(object(&model.name, &program, &timings, total));
    }
    out.text(&text(&model.name, &program, &timings, total))
}

fn code_bytes(program: &Program) -> usize {
    let functions = program.code.functions().iter();
    functions.map(|function| function.size()).sum()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn object(name: &str, program: &Program, timings: &[Timing], total: Duration) -> Value {
    let stages: serde_json::Map<String, Value> = timings
        .iter()
        .map(|timing| (timing.stage.to_owned(), json!(milliseconds(timing.time))))
        .collect();
    json!({
        "net": name,
        "isa": program.target.isa.name(),
        "batch": program.images,
        "kernels": program.plan.kernels.len(),
        "steps": program.plan.steps.len(),
        "code_bytes": code_bytes(program),
        "arena_bytes": program.plan.arena_bytes,
        "kept_bytes": program.plan.kept_bytes,
        "stages_ms": stages,
        "total_ms": milliseconds(total),
    })
}

fn text(name: &str, program: &Program, timings: &[Timing], total: Duration) -> String {
    let plan = &program.plan;
    let mut rows = vec![["kernel", "steps", "code"].map(str::to_owned)];
    for (index, kernel) in plan.kernels.iter().enumerate() {
        let steps = plan.steps.iter().filter(|step| step.kernel == index);
        let prefix = format!("{}.", kernel.name);
        let functions = program.code.functions().iter();
        let code = functions
            .filter(|function| {
                function.name() == kernel.name || function.name().starts_with(&prefix)
            })
            .map(|function| function.size());
        rows.push([
            kernel.name.clone(),
            steps.count().to_string(),
            grouped(code.sum::<usize>() as u64),
        ]);
    }
    let kernels = table([Align::Left, Align::Right, Align::Right], &rows);
    let mut rows = vec![["stage".to_owned(), "ms".to_owned()]];
    let row = |stage: &str, time| [stage.to_owned(), format!("{:.2}", milliseconds(time))];
    rows.extend(timings.iter().map(|timing| row(timing.stage, timing.time)));
    rows.push(row("all", total));
    let stages = table([Align::Left, Align::Right], &rows);
    let parts = match plan.batch {
        part if part < program.images => format!(", {part} images at a time"),
        _ => String::new(),
    };
    format!(
        "{name} for {} with batches of up to {}{parts}\n\n{kernels}\n{} kernels in {} steps, {} bytes of code\n\
         {} of memory, {} of it kept from step to step\n\n{stages}",
        program.target.isa,
        program.images,
        plan.kernels.len(),
        plan.steps.len(),
        grouped(code_bytes(program) as u64),
        bytes(plan.arena_bytes),
        bytes(plan.kept_bytes),
    )
}
