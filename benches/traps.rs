//! What is known to make nets slow without need, each held against the same net without it.
//!
//! - Numbers below the least normal float: a processor may take a hundred times as long for them.
//! - Threads for a net too small to be worth them.
//! - Compilation that takes more than its share as a net gets longer: from permissions that are set again for each
//!   kernel, or passes that look at all pairs.
//! - One huge function for a large kernel over many channels.
//!
//! Prints one JSON line for each with the ratio and the bar that it is meant to stay under.
//!
//! `cargo bench --bench traps`
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measures")]

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use netc::Net;
use netc::driver::{self, Options, Program};
use netc::engine::processors;
use netc::ir::Graph;
use netc::measure::peak_rss;
use netc::model::training_graph;
use netc::runtime::Session;
use netc::sema::Mode;

/// Turns of each side, and the calls of a turn; the fastest call counts.
const TURNS: usize = 10;
const CALLS: usize = 20;

fn main() {
    small_numbers();
    threads_of_a_small_net();
    compilation_by_length();
    large_kernel();
}

fn report(what: &str, slow: Duration, plain: Duration, bar: f64) {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let ratio = slow.as_secs_f64() / plain.as_secs_f64();
    let line = serde_json::json!({
        "case": what, "ms": milliseconds(slow), "plain_ms": milliseconds(plain),
        "ratio": (ratio * 100.0).round() / 100.0, "bar": bar, "within": ratio <= bar,
    });
    println!("{line}");
}

fn graph(text: &str) -> Graph {
    let net = Net::parse(Path::new("trap.net"), text.as_bytes(), None, &[]);
    let model = net.and_then(|net| net.model(Mode::Infer));
    model
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .graph
}

fn compile(graph: &Graph) -> Program {
    driver::compile(graph, &Options::new(1)).expect("this machine is supported")
}

/// A session whose parameters are all one number, and whose input is half its cells zero.
fn session(graph: &Graph, threads: usize, weight: f32) -> Session {
    let mut session = Session::new(compile(graph).into(), threads).expect("starts");
    for (value, param) in graph.params() {
        let count = graph.ty(value).shape.elements();
        session
            .set_param(&param.name, &vec![weight; count])
            .expect("fits");
    }
    let (value, name) = graph.inputs().next().expect("an input");
    let count = graph.ty(value).shape.elements();
    let data: Vec<f32> = (0..count).map(|i| (i % 2) as f32).collect();
    session.set_input(name, &data).expect("fits");
    session
}

/// The fastest of the calls of each of two sessions, in turns of several.
fn in_turn(a: &mut Session, b: &mut Session) -> [Duration; 2] {
    let mut best = [Duration::MAX; 2];
    for _ in 0..TURNS {
        for (session, best) in [&mut *a, &mut *b].into_iter().zip(&mut best) {
            session.enter(|session| {
                for _ in 0..CALLS {
                    let start = Instant::now();
                    session.run(1).expect("runs");
                    *best = (*best).min(start.elapsed());
                }
            });
        }
    }
    best
}

fn small_numbers() {
    let graph = graph(
        "net Small { input [64, 56, 56]; conv(64, 3, pad = 1) -> relu -> dwconv(3, pad = 1) -> sigmoid
        -> conv(64, 1) -> avgpool(2) -> global_avgpool -> dense(10) -> softmax }",
    );
    for threads in [1, processors()] {
        let mut small = session(&graph, threads, 1e-39);
        let mut plain = session(&graph, threads, 1e-3);
        let [slow, plain] = in_turn(&mut small, &mut plain);
        report(
            &format!("weights of 1e-39, {threads} threads"),
            slow,
            plain,
            1.5,
        );
    }
}

fn threads_of_a_small_net() {
    let graph = graph(
        "net Digits { input [1, 28, 28]; conv(6, 5, pad = 2) -> tanh -> avgpool(2)
        -> conv(16, 5) -> tanh -> avgpool(2) -> flatten -> dense(120) -> tanh -> dense(84) -> tanh -> dense(10) }",
    );
    let mut all = session(&graph, processors(), 0.01);
    let mut one = session(&graph, 1, 0.01);
    let [all, one] = in_turn(&mut all, &mut one);
    report(
        "all threads, two convolutions and three dense layers of a digit",
        all,
        one,
        1.1,
    );
}

/// A chain of convolutions no two of which are alike.
fn chain(length: usize) -> Graph {
    let mut text = "net Chain { input [3, 8, 8]\n".to_owned();
    for index in 0..length {
        writeln!(text, "conv({}, 1) -> sigmoid", 4 + index).expect("memory");
    }
    text.push('}');
    graph(&text)
}

fn fastest_compilation(graph: &Graph) -> Duration {
    let time = |_| {
        let start = Instant::now();
        std::hint::black_box(compile(graph));
        start.elapsed()
    };
    (0..3).map(time).min().expect("three of them")
}

fn compilation_by_length() {
    let [short, long] = [125, 500].map(|length| fastest_compilation(&chain(length)));
    // A fifth for what grows with the channels.
    report(
        "compiling 500 convolutions against 4 times 125",
        long,
        4 * short,
        1.2,
    );
}

fn large_kernel() {
    let text =
        "net Large { input [512, 27, 27]; conv(512, 11, pad = 5) -> relu -> flatten -> dense(10) }
        train Large { loss cross_entropy; optimizer sgd(lr = 0.1); batch 1; epochs 1 }";
    let net = Net::parse(Path::new("trap.net"), text.as_bytes(), None, &[]);
    let model = net.and_then(|net| net.model(Mode::Train));
    let model = model.unwrap_or_else(|error| panic!("{error}"));
    let graph = training_graph(&model).expect("a loss and an optimizer");
    let start = Instant::now();
    let program = compile(&graph);
    report(
        "compiling 11x11 over 512 channels against 2 s",
        start.elapsed(),
        Duration::from_secs(2),
        1.0,
    );
    let functions = program.code.functions().iter();
    let largest = functions.map(|function| function.size()).max().unwrap_or(0);
    let line = serde_json::json!({
        "case": "11x11 over 512 channels", "largest_function_bytes": largest,
        "process_peak_mb": peak_rss().map(|bytes| bytes >> 20), "bar_mb": 500,
    });
    println!("{line}");
}
