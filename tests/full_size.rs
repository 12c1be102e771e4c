//! Every net and preset of `examples/` at its full size: a gradient is compiled and run, for one picture or a few; inference is
//! held against the interpreter in f32 and, where that takes no many minutes, the gradient against the one in f64.
//!
//! It takes hours, so it is asked for: `NETC_TEST_FULL=all cargo test --release --test full_size -- --nocapture`, or
//! `NETC_TEST_FULL=resnet.net` for a file's, or `NETC_TEST_FULL=resnet.net:ResNet18` for one. It prints a table.
#![allow(clippy::print_stdout, reason = "the table is what it is run for")]

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{loss, spread};
use netc::Net;
use netc::engine::{Engine, Runner};
use netc::ir::{DType, Graph, ParamRole, ValueKind};
use netc::model::NamedParam;
use netc::ops::Op;
use netc::sema::{self, Mode, Model};
use netc::summary;
use netc::train::loss::{Loss, LossKind};
use netc::train::step;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Roundings in f32 on both sides, through up to two hundred layers: in use as a part of what another picture changes, of
/// gradients as a part of a tensor's norm.
const BOUND: f64 = 1e-3;

/// The most multiply-accumulates of a forward run whose gradient is interpreted too: three such runs of some minutes.
const MOST_MACS: u64 = 2_000_000_000;

fn files() -> Vec<PathBuf> {
    let folder = format!("{}/examples", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).expect("the examples can be listed");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the examples can be listed").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "net"))
        .collect();
    paths.sort();
    paths
}

/// A run: how long preparing and running took, and the outputs by name.
struct Run {
    prepared: Duration,
    ran: Duration,
    outputs: Vec<(String, Vec<f32>)>,
}

/// How many pictures a batch has: a batch norm whose map is one pixel needs a few, or it has one value to take the mean of.
fn batch(macs: u64) -> usize {
    (MOST_MACS / 4 / macs.max(1)).clamp(1, 4) as usize
}

/// Runs a batch of pictures drawn with a seed.
fn take(runner: &mut Runner, graph: &Graph, batch: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (id, name) in graph.inputs() {
        let ty = graph.ty(id);
        if ty.dtype == DType::I32 {
            runner
                .set_labels(name, &vec![1; batch])
                .expect("it takes labels");
        } else {
            let count = batch * ty.shape.elements();
            let data: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
            runner.set_input(name, &data).expect("it takes pictures");
        }
    }
    runner.set_seed(29);
    runner.run(batch).expect("it runs");
}

/// Prepares a graph and runs a batch of pictures drawn with a seed.
fn run(graph: &Graph, engine: &Engine, params: &[NamedParam], batch: usize, seed: u64) -> Run {
    let start = Instant::now();
    // Inference has no auxiliary heads.
    let known = params.iter();
    let known = known.filter(|(name, ..)| graph.params().any(|(_, param)| param.name == *name));
    let known: Vec<NamedParam> = known.cloned().collect();
    let mut runner = Runner::new(graph, batch, engine, &known).expect("it can be prepared");
    let prepared = start.elapsed();
    let start = Instant::now();
    take(&mut runner, graph, batch, seed);
    let ran = start.elapsed();
    let outputs = graph.outputs.iter().map(|output| {
        let data = runner.output(&output.name, batch).expect("it has run");
        (output.name.clone(), data)
    });
    Run {
        prepared,
        ran,
        outputs: outputs.collect(),
    }
}

/// Random parameters; those that are statistics of batches are such as training would measure with the others. With statistics
/// that are drawn, a picture is lost on its way through a deep net, whoever computes: any two answers then agree, or none.
fn parameters(train: &Graph, batch: usize) -> Vec<NamedParam> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let params = train.params().map(|(id, param)| {
        let dims = train.ty(id).shape.dims.to_vec();
        let count = dims.iter().product();
        let mut draw = || spread(param, &dims, rng.random_range(0.0..1.0)) as f32;
        let data = (0..count).map(|_| draw());
        (param.name.clone(), dims.clone(), data.collect())
    });
    let mut params: Vec<NamedParam> = params.collect();
    let statistics = train.params();
    let statistics = statistics.map(|(_, param)| param.role == ParamRole::Statistic);
    let statistics: Vec<bool> = statistics.collect();
    // A step leaves (1 - m) times what was there and m times what it measures, with a momentum m that is the net's affair:
    // of what it makes of zeros and of ones, the first by what is missing from 1 in their difference is what it measures.
    let mut runner =
        Runner::new(train, batch, &Engine::host(), &params).expect("it can be prepared");
    let mut after = [0.0, 1.0].map(|fill| {
        for (name, _, data) in pick(&params, &statistics) {
            let filled = vec![fill; data.len()];
            runner.set_param(name, &filled).expect("it has it");
        }
        take(&mut runner, train, batch, 5);
        let read =
            pick(&params, &statistics).map(|(name, ..)| runner.param(name).expect("it has it"));
        read.collect::<Vec<_>>().into_iter()
    });
    for ((name, _, data), _) in params.iter_mut().zip(&statistics).filter(|(_, is)| **is) {
        let [zeros, ones] = after
            .each_mut()
            .map(|read| read.next().expect("all were read"));
        let measured = zeros.iter().zip(&ones).map(|(&x, &y)| x / (1.0 - (y - x)));
        data.copy_from_slice(&measured.collect::<Vec<_>>());
        if name.ends_with("var") {
            // A channel that is the same everywhere in this batch is not so in all batches.
            let mean = data.iter().sum::<f32>() / data.len() as f32;
            data.iter_mut().for_each(|x| *x = x.max(0.1 * mean));
        }
    }
    params
}

/// The parameters that are statistics.
fn pick<'p>(params: &'p [NamedParam], which: &'p [bool]) -> impl Iterator<Item = &'p NamedParam> {
    let pairs = params.iter().zip(which);
    pairs.filter(|(_, is)| **is).map(|(param, _)| param)
}

/// The graph with what goes into its last softmax for its output: a softmax of large numbers is 0 and 1, whatever they are.
fn before_softmax(mut graph: Graph) -> Graph {
    for output in &mut graph.outputs {
        if let ValueKind::Result { node, .. } = graph.values[output.value].kind
            && graph.nodes[node].op == Op::Softmax
        {
            output.value = graph.nodes[node].inputs[0];
        }
    }
    graph
}

fn norm(data: impl Iterator<Item = f64>) -> f64 {
    data.map(|x| x * x).sum::<f64>().sqrt()
}

/// The greatest distance of a tensor from the interpreter's, by the tensor's norm; what is 0 in truth is measured by a
/// thousandth of the largest norm.
fn apart(found: &Run, wanted: &Run) -> f64 {
    let size = |data: &[f32]| norm(data.iter().map(|&x| f64::from(x)));
    let largest = wanted.outputs.iter().map(|(_, data)| size(data));
    let largest = largest.fold(0.0_f64, f64::max);
    let pairs = found.outputs.iter().zip(&wanted.outputs);
    let apart = pairs.map(|((_, x), (_, y))| {
        let difference = x.iter().zip(y).map(|(&x, &y)| f64::from(x) - f64::from(y));
        norm(difference) / size(y).max(1e-3 * largest).max(f64::MIN_POSITIVE)
    });
    // A NaN must not be lost.
    apart.fold(0.0, |most, x| if x <= most { most } else { x })
}

/// How far f32 is from the interpreter in f64: compiled code, and the interpreter's own.
struct Off {
    compiled: f64,
    interpreted: f64,
}

impl Off {
    /// Where a rectifier's argument or the lead of a maximum is within rounding of 0, f32 goes the other way than f64, and
    /// all gradients before it differ. So it is in compiled code as in the interpreter, though not at the same places.
    fn is_good(&self) -> bool {
        self.compiled <= BOUND.max(3.0 * self.interpreted)
    }

    fn of(graph: &Graph, params: &[NamedParam], batch: usize, seed: u64) -> Off {
        let run = |engine: &Engine| run(graph, engine, params, batch, seed);
        let exact = run(&Engine::InterpretF64);
        let off = |engine: Engine| apart(&run(&engine), &exact);
        Off {
            compiled: off(Engine::host()),
            interpreted: off(Engine::InterpretF32),
        }
    }

    /// Of gradients, for the first batch of three that shows no mistake, or the third: a value that goes the other way comes
    /// now and then, a mistake always.
    fn of_gradients(graph: &Graph, params: &[NamedParam], batch: usize) -> Off {
        let mut off = Off::of(graph, params, batch, 1);
        for seed in 2..=3 {
            if off.is_good() {
                break;
            }
            off = Off::of(graph, params, batch, seed);
        }
        off
    }
}

/// Inference, compiled and interpreted.
struct Inference {
    ran: Duration,
    interpreted: Duration,
    /// How far the two are apart, by how far another picture moves the output: what all pictures share proves nothing.
    off: f64,
    is_good: bool,
}

impl Inference {
    fn of(graph: &Graph, params: &[NamedParam]) -> Inference {
        let found = run(graph, &Engine::host(), params, 1, 1);
        let wanted = run(graph, &Engine::InterpretF32, params, 1, 1);
        let other = run(graph, &Engine::host(), params, 1, 2);
        let off = apart(&found, &wanted) / apart(&other, &found);
        // A deep net of sigmoids leaves of a picture little more than roundings.
        let is_good = off <= BOUND || {
            let off = Off::of(graph, params, 1, 1);
            off.compiled <= 3.0 * off.interpreted
        };
        Inference {
            ran: found.ran,
            interpreted: wanted.ran,
            off,
            is_good,
        }
    }
}

/// The loss of the net, smoothed: without it the gradient of a picture that is told for certain is 0, and any two agree.
fn smoothed(model: &Model) -> Loss {
    let mut loss = loss(model);
    for output in &mut loss.outputs {
        if let LossKind::CrossEntropy {
            label_smoothing, ..
        } = &mut output.kind
        {
            *label_smoothing = 0.5;
        }
    }
    loss
}

#[test]
fn every_preset_at_its_full_size() {
    let Ok(wanted) = std::env::var("NETC_TEST_FULL") else {
        println!("skipped: it takes hours; NETC_TEST_FULL=all asks for it");
        return;
    };
    let mut wrong = Vec::new();
    println!(
        "| net | MACs | compile, s | step, ms | inference, ms | interpreter, s | inference off by | gradient off by | the interpreter's |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for path in files() {
        let file = path
            .file_name()
            .expect("a file has a name")
            .to_string_lossy()
            .into_owned();
        let net = Net::open(&path.display().to_string(), &[]).expect("examples are nets");
        for name in sema::net_names(net.program.main()) {
            let spec = format!("{file}:{name}");
            if ![&spec, &file, "all"].contains(&wanted.as_str()) {
                continue;
            }
            let net =
                Net::open(&format!("{}:{name}", path.display()), &[]).expect("examples are nets");
            let used = before_softmax(net.model(Mode::Infer).expect("examples are nets").graph);
            let train = net.model(Mode::Train).expect("examples are nets");
            let macs = summary::of(&used).macs;
            let gradient =
                step::gradient_graph(train.graph.clone(), smoothed(&train), &Default::default())
                    .expect("the loss fits the output");
            let batch = batch(macs);
            let params = parameters(&train.graph, batch.max(2));
            let both = run(&gradient, &Engine::host(), &params, batch, 1);
            let infer = Inference::of(&used, &params);
            let finite = both
                .outputs
                .iter()
                .all(|(_, data)| data.iter().all(|x| x.is_finite()));
            let gradients =
                (macs <= MOST_MACS).then(|| Off::of_gradients(&gradient, &params, batch));
            let shown = gradients
                .as_ref()
                .map_or("not interpreted | ".to_owned(), |off| {
                    format!("{:.1e} | {:.1e}", off.compiled, off.interpreted)
                });
            println!(
                "| {spec} | {macs} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1e} | {shown} |",
                both.prepared.as_secs_f64(),
                both.ran.as_secs_f64() * 1e3,
                infer.ran.as_secs_f64() * 1e3,
                infer.interpreted.as_secs_f64(),
                infer.off,
            );
            if !finite || !infer.is_good || !gradients.is_none_or(|off| off.is_good()) {
                wrong.push(spec);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
