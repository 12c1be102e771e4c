//! `netc summary --scale`: a family of nets beside one another, a line each.

use serde_json::{Value, json};

use super::table::{Align, bytes, grouped, shape, table};
use crate::codegen::Target;
use crate::estimate::{EFFICIENCY, Rates};

/// What is shown of a net.
pub(super) struct Row {
    /// The net's name as it is shown: with its file, where there are several.
    pub(super) name: String,
    pub(super) file: std::path::PathBuf,
    pub(super) net: String,
    pub(super) input: Vec<usize>,
    pub(super) params: usize,
    pub(super) macs: u64,
    /// Planned memory of one image.
    pub(super) infer: usize,
    /// Planned memory of a training step, with its batch.
    pub(super) train: Option<(usize, usize)>,
    /// Estimated seconds of one image.
    pub(super) latency: f64,
}

/// What the estimates rest on.
pub(super) struct Basis<'t> {
    pub(super) target: &'t Target,
    pub(super) threads: usize,
    pub(super) rates: Rates,
    /// Whether the rates are those that the command line states.
    pub(super) stated: bool,
}

impl Basis<'_> {
    fn text(&self) -> String {
        let Rates { macs, bytes } = self.rates;
        let (macs, bytes) = (macs / 1e9, bytes / 1e9);
        let origin = if self.stated {
            "as stated on the command line".to_owned()
        } else {
            let threads = match self.threads {
                1 => "one thread".to_owned(),
                threads => format!("{threads} threads"),
            };
            format!(
                "as measured now on this machine, {} on {threads}",
                self.target.isa
            )
        };
        format!(
            "Latencies are estimates for one image, not measured: each fused loop takes the longer of its MACs at {:.0} % \
             of\n{macs:.1} thousand million a second and its bytes at {bytes:.1} thousand million a second, {origin}.\n\
             `netc bench` measures.\n",
            100.0 * EFFICIENCY
        )
    }

    fn object(&self) -> Value {
        json!({
            "macs_per_s": self.rates.macs, "bytes_per_s": self.rates.bytes, "efficiency": EFFICIENCY,
            "stated": self.stated, "isa": self.target.isa.name(), "threads": self.threads,
        })
    }
}

/// A number with about three digits that mean something; more would pretend to be exact.
fn digits(number: f64) -> String {
    let decimals = match number {
        100.0.. => 0,
        10.0..100.0 => 1,
        1.0..10.0 => 2,
        0.1..1.0 => 3,
        _ => 4,
    };
    format!("{number:.decimals$}")
}

pub(super) fn objects(rows: &[Row], basis: &Basis<'_>) -> Vec<Value> {
    let object = |row: &Row| {
        json!({
            "net": row.net, "file": row.file, "input": row.input, "params": row.params, "macs": row.macs,
            "infer_peak_bytes": row.infer,
            "train_peak_bytes": row.train.map(|(bytes, _)| bytes),
            "train_batch": row.train.map(|(_, batch)| batch),
            "estimated_latency_s": row.latency,
            "estimate": basis.object(),
        })
    };
    rows.iter().map(object).collect()
}

pub(super) fn text(rows: &[Row], basis: &Basis<'_>) -> String {
    let head = [
        "net",
        "input",
        "parameters",
        "MACs",
        "memory, one image",
        "memory, training step",
        "estimated ms",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    for row in rows {
        let train = row
            .train
            .map(|(arena, batch)| format!("{} for {batch}", bytes(arena)));
        lines.push([
            row.name.clone(),
            shape(&row.input),
            grouped(row.params as u64),
            grouped(row.macs),
            bytes(row.infer),
            train.unwrap_or_default(),
            digits(1e3 * row.latency),
        ]);
    }
    let mut columns = [Align::Right; 7];
    (columns[0], columns[1]) = (Align::Left, Align::Left);
    format!("{}\n{}", table(columns, &lines), basis.text())
}
