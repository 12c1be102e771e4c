//! Activations and losses, each by itself, are PyTorch's: values, and gradients also at kinks and
//! far out. `golden/make_golden.py` made the numbers.

use std::path::Path;

use netc::Net;
use netc::autodiff;
use netc::codegen::Isa;
use netc::codegen::Target;
use netc::engine::{Engine, Runner};
use netc::ir::{Builder, Graph, Shape, ValueId};
use netc::model::{self, NamedParam};
use netc::ops::Op;
use netc::sema::Mode;
use serde_json::Value;

/// What computes, with the error that it may have, as a part of a number or of 1 if that is more.
/// Attributes such as 0.1 are single precision for us and double precision for PyTorch, so that even
/// the interpreter in f64 is off by 2^-24. Compiled code adds roundings, and functions that are good
/// to a few units in the last place; sums of gradients of a thousand at most cost a few more.
fn engines() -> Vec<(Engine, f64)> {
    let compiled = Isa::ALL.into_iter().filter_map(Target::with_isa);
    let compiled = compiled.map(|target| {
        (
            Engine::Compiled {
                target,
                threads: 1,
                winograd: true,
            },
            2e-6,
        )
    });
    [(Engine::InterpretF64, 2e-7), (Engine::InterpretF32, 2e-6)]
        .into_iter()
        .chain(compiled)
        .collect()
}

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/functions.json");
    let text = std::fs::read_to_string(path).expect("it is part of the repository");
    serde_json::from_str(&text).expect("the script wrote it")
}

fn cases(golden: &Value, kind: &str) -> Vec<Value> {
    let cases = golden[kind].as_array().expect("a list").clone();
    assert!(cases.len() > 10);
    cases
}

fn numbers(case: &Value, key: &str) -> Vec<f64> {
    let list = case[key].as_array();
    let list = list.unwrap_or_else(|| panic!("{case} has no {key}"));
    list.iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

fn narrow(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&number| number as f32).collect()
}

fn check(found: &[f32], wanted: &[f64], bound: f64, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (at, (&found, &wanted)) in found.iter().zip(wanted).enumerate() {
        let error = (f64::from(found) - wanted).abs();
        assert!(
            error <= bound * wanted.abs().max(1.0),
            "{what} at {at} is {found:?}, not {wanted:?}"
        );
    }
}

fn net(text: &str) -> Net {
    Net::parse("golden.net".as_ref(), text.as_bytes(), None, &[])
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A layer with the gradients of the sum of its results, by the names of what they are of.
fn with_gradients(forward: Graph) -> Graph {
    let wrt: Vec<(String, ValueId)> = forward
        .inputs()
        .map(|(value, name)| (name.to_owned(), value))
        .chain(
            forward
                .params()
                .map(|(value, param)| (param.name.clone(), value)),
        )
        .collect();
    let output = forward.output("output").expect("the only one");
    let mut builder = Builder::from(forward);
    let sum = builder.op(Op::SumTo(Shape::single([])), &[output]);
    let values: Vec<ValueId> = wrt.iter().map(|&(_, value)| value).collect();
    let grads = autodiff::gradients(&mut builder, sum, &values);
    for ((name, _), grad) in wrt.into_iter().zip(grads) {
        builder.output(format!("d {name}"), grad);
    }
    builder.finish()
}

#[test]
fn activations() {
    for case in cases(&golden(), "activations") {
        let layer = case["layer"].as_str().expect("a name");
        let channels = case["weight"].as_array().map_or(1, Vec::len);
        let net = net(&format!("net A {{ input [{channels}]; {layer} }}"));
        let model = net.model(Mode::Infer).expect("it is a net");
        let graph = with_gradients(model.graph);
        let params: Vec<NamedParam> = graph
            .params()
            .map(|(_, param)| {
                let data = narrow(&numbers(&case, "weight"));
                (param.name.clone(), vec![channels], data)
            })
            .collect();
        let x = narrow(&numbers(&case, "x"));
        let batch = x.len() / channels;
        for (engine, bound) in engines() {
            let mut runner = Runner::new(&graph, batch, &engine, &params).expect("it starts");
            runner.set_input("input", &x).expect("it fits");
            runner.run(batch).expect("it runs");
            let read = |name: &str| runner.output(name, batch).expect("it is there");
            let what = format!("{layer} on {engine:?}");
            check(&read("output"), &numbers(&case, "y"), bound, &what);
            let gradient = format!("the gradient of {what}");
            check(&read("d input"), &numbers(&case, "dx"), bound, &gradient);
            for (name, ..) in &params {
                let found = read(&format!("d {name}"));
                check(&found, &numbers(&case, "dweight"), bound, &gradient);
            }
        }
    }
}

#[test]
fn losses() {
    for case in cases(&golden(), "losses") {
        let loss = case["loss"].as_str().expect("a name");
        let shape = &case["shape"];
        let text = format!("net A {{ input {shape} }}\ntrain A {{ loss {loss} }}");
        let model = net(&text).model(Mode::Train).expect("it is a net");
        let graph = model::gradient_graph(&model).expect("the loss fits");
        let (y, t) = (narrow(&numbers(&case, "y")), narrow(&numbers(&case, "t")));
        let elements: usize = numbers(&case, "shape").iter().product::<f64>() as usize;
        let batch = y.len() / elements;
        for (engine, bound) in engines() {
            let mut runner = Runner::new(&graph, batch, &engine, &[]).expect("it starts");
            runner.set_input("input", &y).expect("it fits");
            if loss.starts_with("cross_entropy") {
                let labels: Vec<u32> = t.iter().map(|&label| label as u32).collect();
                runner.set_labels("target", &labels).expect("it fits");
            } else {
                runner.set_input("target", &t).expect("it fits");
            }
            runner.run(batch).expect("it runs");
            let read = |name: &str| runner.output(name, batch).expect("it is there");
            let what = format!("{loss} of {shape} on {engine:?}");
            let value = case["value"].as_f64().expect("a number");
            check(&read("loss"), &[value], bound, &what);
            let gradient = format!("the gradient of {what}");
            check(&read("input"), &numbers(&case, "dy"), bound, &gradient);
        }
    }
}
