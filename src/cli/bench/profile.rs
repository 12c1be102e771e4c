//! The time of each layer of a net, held against what the machine can do.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Measured, ms};
use crate::cli::error::CliError;
use crate::cli::table::{Align, table};
use crate::codegen::Target;
use crate::engine::{Runner, processors};
use crate::estimate::{self, Work};
use crate::lower::Group;
use crate::measure::{CALLS, SERIES};
use crate::ops::OpRules;
use crate::runtime::limit;

/// What a machine can do at most, with so many threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Multiply-accumulates a second.
    macs: f64,
    /// Bytes from and to memory a second.
    bytes: f64,
}

impl Limits {
    /// Measures this machine.
    pub(super) fn measure(target: &Target, threads: usize) -> Result<Limits, CliError> {
        // Each processor has its own multipliers; they share the way to memory.
        let cores = threads.clamp(1, processors());
        Ok(Limits {
            macs: limit::fma_rate(target)? * cores as f64,
            bytes: estimate::bandwidth(target, threads)?,
        })
    }

    pub(super) fn object(self) -> Value {
        json!({"fma_gflops": 2e-9 * self.macs, "bandwidth_gb_per_s": 1e-9 * self.bytes})
    }

    pub(super) fn line(self) -> String {
        format!(
            "limits: {:.0} GFLOP/s by fused multiply-adds, {:.0} GB/s from and to memory",
            2e-9 * self.macs,
            1e-9 * self.bytes
        )
    }
}

/// The time of the nodes that became one loop.
pub(super) struct LayerTime {
    layer: String,
    operators: String,
    time: Duration,
    work: Work,
}

impl LayerTime {
    fn gflops(&self) -> f64 {
        2e-9 * self.work.macs / self.seconds()
    }

    fn gigabytes(&self) -> f64 {
        1e-9 * self.work.bytes / self.seconds()
    }

    /// A clock that does not move must not give an endless rate.
    fn seconds(&self) -> f64 {
        self.time.as_secs_f64().max(1e-9)
    }

    pub(super) fn object(&self, limits: Limits) -> Value {
        json!({
            "layer": self.layer, "operators": self.operators, "ms": ms(self.time),
            "macs": self.work.macs, "bytes": self.work.bytes,
            "gflops": self.gflops(), "of_fma_limit": 1e9 * self.gflops() / (2.0 * limits.macs),
            "gb_per_s": self.gigabytes(), "of_bandwidth": 1e9 * self.gigabytes() / limits.bytes,
        })
    }
}

/// Runs the net some times more, step by step.
pub(super) fn layers(
    runner: &mut Runner,
    batch: usize,
    usual: Duration,
) -> Result<Vec<LayerTime>, CliError> {
    let Some(session) = runner.session() else {
        return Err(CliError::user("only machine code is measured"));
    };
    let fit = SERIES.as_secs_f64() / usual.as_secs_f64().max(1e-9);
    let times = session.profile(batch, (fit as usize).clamp(CALLS, 100))?;
    let program = session.program();
    let mut layers: Vec<LayerTime> = Vec::new();
    let mut last = None;
    let steps = program.plan.steps.iter().zip(times);
    for (step, time) in steps.skip(program.plan.fixed_steps) {
        if last == Some(step.group)
            && let Some(layer) = layers.last_mut()
        {
            layer.time += time;
            continue;
        }
        last = Some(step.group);
        let group = &program.groups.groups[step.group];
        layers.push(LayerTime {
            layer: origin(&program.graph, group),
            operators: operators(&program.graph, group),
            time,
            work: estimate::work(&program.graph, group, batch),
        });
    }
    Ok(layers)
}

/// The layer that a group's heavy node comes from.
fn origin(graph: &crate::ir::Graph, group: &Group) -> String {
    let nodes = group.anchor.iter().chain(group.nodes.iter().rev());
    let named = nodes.map(|&node| &graph.nodes[node].origin);
    named
        .into_iter()
        .find(|origin| !origin.is_empty())
        .map_or_else(|| "-".to_owned(), |origin| origin.to_string())
}

/// The operators of a group, the heavy one first, each run of equals once.
fn operators(graph: &crate::ir::Graph, group: &Group) -> String {
    const MOST: usize = 4;
    let nodes = group.anchor.iter().chain(&group.nodes);
    let mut names: Vec<&str> = nodes.map(|&node| graph.nodes[node].op.name()).collect();
    names.dedup();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    let mut text = names.join(" ");
    if more > 0 {
        text.push_str(&format!(" +{more}"));
    }
    text
}

/// A table of the layers, in the order in which they run.
pub(super) fn text(layers: &[LayerTime], limits: Limits) -> String {
    let head = [
        "layer",
        "operators",
        "ms",
        "share",
        "GFLOP/s",
        "of limit",
        "GB/s",
        "of limit",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let total: f64 = layers.iter().map(LayerTime::seconds).sum();
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    for layer in layers {
        let has_products = layer.work.macs > 0.0;
        let products = |text: String| if has_products { text } else { "-".to_owned() };
        rows.push([
            layer.layer.clone(),
            layer.operators.clone(),
            format!("{:.3}", ms(layer.time)),
            format!("{:.1} %", 100.0 * layer.seconds() / total),
            products(format!("{:.1}", layer.gflops())),
            products(percent(1e9 * layer.gflops() / (2.0 * limits.macs))),
            format!("{:.1}", layer.gigabytes()),
            percent(1e9 * layer.gigabytes() / limits.bytes),
        ]);
    }
    let mut columns = [Align::Right; 8];
    columns[..2].fill(Align::Left);
    table(columns, &rows)
}

/// Whether a mode has layers to measure.
pub(super) fn check(mode: Measured) -> Result<(), CliError> {
    match mode {
        Measured::Infer | Measured::Train => Ok(()),
        Measured::Compile => Err(CliError::Usage(
            "`--layers` tells of steps that run; with `--mode compile` none does".to_owned(),
        )),
    }
}
