//! Optimizers, penalties, clipping, accumulation and freezing as `train` sections say them, against the weights that
//! PyTorch gives after each of five steps; and the same bits on any number of threads.

use std::path::Path;

use netc::Net;
use netc::codegen::Target;
use netc::engine::{Engine, Runner};
use netc::model;
use netc::passes::dce;
use netc::sema::Mode;
use netc::train::accumulate::Groups;
use netc::train::rate::Rates;
use netc::train::step::TARGET;
use serde_json::Value;

/// Samples of a step in the golden file.
const BATCH: usize = 4;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/optimizers.json");
    let text = std::fs::read_to_string(path).expect("the file is in the source tree");
    serde_json::from_str(&text).expect("the script wrote it")
}

fn numbers(value: &Value) -> Vec<f32> {
    let items = value.as_array().expect("a list of numbers").iter();
    items
        .map(|x| x.as_f64().expect("a number") as f32)
        .collect()
}

/// The net of the golden file with a `train` section of these lines.
fn net(lines: &str) -> Net {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/optimizers.net");
    let mut text = std::fs::read_to_string(&path).expect("the file is in the source tree");
    text.push_str(&format!("train Small {{\nloss mse\n{lines}\n}}\n"));
    Net::parse(&path, text.as_bytes(), None, &[]).expect("the net is right")
}

/// The parameters after each of five steps.
fn run(golden: &Value, lines: &str, engine: &Engine) -> Vec<Vec<(String, Vec<f32>)>> {
    let net = net(lines);
    let train = net
        .model(Mode::Train)
        .unwrap_or_else(|error| panic!("{error}"));
    let section = model::train_config(&train).expect("has a section");
    let graph = model::training_graph(&train).expect("the section is complete");
    let mut params = net.parameters(Mode::Train, None, 1).expect("fresh ones");
    for (name, _, data) in &mut params {
        *data = numbers(&golden["start"][name.as_str()]);
    }
    let mut runner = Runner::new(&graph, BATCH, engine, &params).expect("compiles");
    let groups = Groups {
        every: section.accumulate,
        steps: 5,
        batch: BATCH,
        images: 5 * BATCH,
    };
    let optimizer = section.optimizer.expect("has one");
    let rates = Rates {
        optimizer,
        schedule: section.schedule,
        per_epoch: groups.updates(),
        epochs: 1,
        seed: 1,
        plateau: optimizer.lr,
    };
    let step = |step: usize| {
        let update = rates.scalars(step / groups.every);
        for (scalar, number) in update.into_iter().chain(groups.scalars(step)) {
            runner.set_scalar(scalar, number);
        }
        let [x, t] = ["x", "t"].map(|name| numbers(&golden[name][step]));
        runner.set_input("input", &x).expect("fits");
        runner.set_input(TARGET, &t).expect("fits");
        runner.run(BATCH).expect("runs");
        let read =
            |(name, _, _): &(String, _, _)| (name.clone(), runner.param(name).expect("is there"));
        params.iter().map(read).collect()
    };
    (0..5).map(step).collect()
}

fn compiled(threads: usize) -> Engine {
    Engine::Compiled {
        target: Target::host(),
        threads,
        winograd: true,
    }
}

/// Holds every number of every step against PyTorch's.
#[track_caller]
fn check(lines: &str, found: &[Vec<(String, Vec<f32>)>], after: &Value, tolerance: f32) {
    for (step, params) in found.iter().enumerate() {
        for (name, data) in params {
            let expected = numbers(&after[step][name.as_str()]);
            assert_eq!(data.len(), expected.len());
            for (index, (x, y)) in data.iter().zip(&expected).enumerate() {
                assert!(
                    (x - y).abs() <= tolerance,
                    "{lines}\nafter step {}, {name} at {index} is {x}, not {y}",
                    step + 1
                );
            }
        }
    }
}

#[test]
fn five_steps_are_pytorchs() {
    let golden = golden();
    let cases = golden["cases"].as_array().expect("a list");
    assert!(cases.len() >= 20);
    for case in cases {
        let lines = case["lines"].as_str().expect("text");
        let exact = run(&golden, lines, &Engine::InterpretF64);
        // Attributes are rounded to single precision; weights are about one.
        check(lines, &exact, &case["after"], 1e-6);
        let single = run(&golden, lines, &compiled(1));
        // Five steps of roundings; Adam's and RMSProp's quotients are as large as the rate however small the gradient,
        // so the error of a small gradient passes to the weight as a part of the rate.
        check(lines, &single, &case["after"], 2e-5);
        for threads in [2, 7] {
            assert_eq!(single, run(&golden, lines, &compiled(threads)), "{lines}");
        }
    }
}

/// Two batches of a group give the step of one batch of both, to rounding.
#[test]
fn a_group_is_one_large_batch() {
    let golden = golden();
    let after = |lines: &str, batch: usize, steps: usize| {
        let net = net(lines);
        let train = net.model(Mode::Train).expect("the net is right");
        let graph = model::training_graph(&train).expect("the section is complete");
        let params = net.parameters(Mode::Train, None, 1).expect("fresh ones");
        let mut runner = Runner::new(&graph, batch, &compiled(1), &params).expect("compiles");
        let groups = Groups {
            every: steps,
            steps,
            batch,
            images: 2 * BATCH,
        };
        runner.set_scalar(netc::ir::StepScalar::LearningRate, 0.1);
        let [x, t] = ["x", "t"].map(|name| {
            let [first, second] = [0, 1].map(|step| numbers(&golden[name][step]));
            [first, second].concat()
        });
        for step in 0..steps {
            for (scalar, number) in groups.scalars(step) {
                runner.set_scalar(scalar, number);
            }
            let part = |data: &[f32]| {
                let size = data.len() / (2 * BATCH) * batch;
                let from = step * size;
                data[from..data.len().min(from + size)].to_vec()
            };
            let x = part(&x);
            runner.set_input("input", &x).expect("fits");
            runner.set_input(TARGET, &part(&t)).expect("fits");
            runner.run(x.len() / 3).expect("runs");
        }
        runner.param("dense1.weight").expect("is there")
    };
    let whole = after("optimizer sgd(lr = 0.1)", 2 * BATCH, 1);
    // Parts of 4 and 4, and of 3, 3 and 2, whose last mean is over fewer images.
    for (batch, steps) in [(4, 2), (3, 3)] {
        let lines = format!("optimizer sgd(lr = 0.1)\naccumulate {steps}");
        let parts = after(&lines, batch, steps);
        for (x, y) in whole.iter().zip(&parts) {
            assert!((x - y).abs() < 1e-6, "{whole:?} is not {parts:?}");
        }
    }
}

#[test]
fn frozen_parameters_cost_nothing() {
    let train = net("optimizer adam\nfreeze \"dense1\"")
        .model(Mode::Train)
        .expect("the net is right");
    let graph = model::training_graph(&train).expect("the section is complete");
    let text = dce::run(&graph).0.unwrap_or(graph).to_string();
    assert!(text.contains("dense2.weight.first_moment"), "{text}");
    assert!(!text.contains("dense1.weight.first_moment"), "{text}");
    // The gradient of the second layer needs one product; the first layer's would need more.
    assert_eq!(text.matches("dense_filter_grad").count(), 1, "{text}");
    assert_eq!(text.matches("dense_input_grad").count(), 0, "{text}");
}
