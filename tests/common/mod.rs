//! What tests of compiled code share: random data, the reference run, the compiled run.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::print_stderr, reason = "a tier that is skipped is named")]

pub(crate) mod differences;

use std::collections::HashMap;
use std::sync::Arc;

use netc::codegen::{Isa, Target};
use netc::diag::{Diagnostic, Files, Renderer, Terminal};
use netc::driver::{self, Options};
use netc::ir::{DType, Graph, Init, Param, ParamRole, StepScalar, ValueId, ValueKind};
use netc::ops::{Array, Op, OpRules, Real};
use netc::program::Program;
use netc::runtime::Session;
use netc::sema::Model;
use netc::train::loss::{Loss, LossKind};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A parameter for tests, which always bind it.
pub(crate) fn param(name: &str) -> Param {
    Param {
        name: name.to_owned(),
        role: ParamRole::Weight,
        init: Init::Constant(0.0),
    }
}

/// The tiers of this machine; those it lacks are named once.
pub(crate) fn targets() -> Vec<Target> {
    Isa::ALL
        .into_iter()
        .filter_map(|isa| {
            let target = Target::with_isa(isa);
            if target.is_none() {
                eprintln!("skipped: this machine has no {isa}");
            }
            target
        })
        .collect()
}

/// What a graph is given: data by value.
#[derive(Clone, Debug)]
pub(crate) struct Bindings {
    pub(crate) batch: usize,
    pub(crate) data: HashMap<ValueId, Vec<f32>>,
}

/// Random data for everything that no node makes. Labels stay below `classes`.
pub(crate) fn random(graph: &Graph, batch: usize, seed: u64, classes: u32) -> Bindings {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut data = HashMap::new();
    for (id, value) in graph.values.iter() {
        let shape = &value.ty.shape;
        let count = shape.elements() * if shape.batched { batch } else { 1 };
        let numbers: Vec<f32> = match (&value.kind, value.ty.dtype) {
            (ValueKind::Result { .. }, _) => continue,
            (ValueKind::Step(StepScalar::InverseBatch), _) => vec![1.0 / batch as f32],
            (ValueKind::Step(StepScalar::LearningRate), _) => vec![0.05],
            (ValueKind::Step(StepScalar::Seed), _) => vec![77.0],
            // The step ends its group.
            (ValueKind::Step(StepScalar::Waits), _) => vec![0.0],
            (ValueKind::Step(_), _) => vec![1.25],
            (_, DType::I32) => (0..count)
                .map(|_| rng.random_range(0..classes) as f32)
                .collect(),
            (ValueKind::Param(param), _)
                if param.role == ParamRole::Statistic && param.name.ends_with("var") =>
            {
                (0..count).map(|_| rng.random_range(0.5..1.5)).collect()
            }
            _ => (0..count).map(|_| rng.random_range(-1.0..1.0)).collect(),
        };
        data.insert(id, numbers);
    }
    Bindings { batch, data }
}

/// What a parameter gets for `u` of [0, 1), so that a deep net in use lets its pictures through to its end: weights as He et al.
/// 2015 draw them, biases, shifts, scales and running statistics around what they start from. Nothing is pruned.
pub(crate) fn spread(param: &Param, dims: &[usize], u: f64) -> f64 {
    match param.role {
        ParamRole::Weight => {
            let fan_in: usize = dims[1..].iter().product();
            (2.0 * u - 1.0) * (6.0 / fan_in as f64).sqrt()
        }
        ParamRole::Statistic if param.name.ends_with("var") => u + 0.5,
        ParamRole::Scale => u + 0.5,
        ParamRole::Bias | ParamRole::Shift | ParamRole::Statistic => (2.0 * u - 1.0) * 0.2,
        ParamRole::Mask => 1.0,
    }
}

/// Makes random weights such as keep activations near one, so that no gradient drowns in rounding; states, which may be
/// means of squares, small and not negative.
pub(crate) fn settle(graph: &Graph, bindings: &mut Bindings, states: f32) {
    for (id, value) in graph.values.iter() {
        let dims = &value.ty.shape.dims;
        let Some(data) = bindings.data.get_mut(&id) else {
            continue;
        };
        match &value.kind {
            ValueKind::Param(_) if dims.len() > 1 => {
                let fan_in: usize = dims[1..].iter().product();
                data.iter_mut()
                    .for_each(|x| *x *= (6.0 / fan_in as f32).sqrt());
            }
            ValueKind::State(_) => data.iter_mut().for_each(|x| *x = x.abs() * states),
            _ => {}
        }
    }
}

/// The loss of the net's `train` section, or the cross-entropy, with the shares of auxiliary heads.
pub(crate) fn loss(model: &Model) -> Loss {
    if model.train.is_some() {
        return netc::model::loss(model).expect("examples name their loss");
    }
    let heads = model.aux.iter();
    Loss {
        auxiliary: heads
            .map(|head| (head.output.clone(), head.weight as f32))
            .collect(),
        ..Loss::from(LossKind::CROSS_ENTROPY)
    }
}

/// All values of a graph by the operators' own reference.
pub(crate) fn reference<T: Real>(graph: &Graph, bindings: &Bindings) -> HashMap<ValueId, Array<T>> {
    let mut values: HashMap<ValueId, Array<T>> = HashMap::new();
    for (id, data) in &bindings.data {
        let data = data.iter().map(|&x| T::from_f64(f64::from(x))).collect();
        values.insert(*id, Array::new(graph.ty(*id).shape.clone(), data));
    }
    for (_, node) in graph.nodes.iter() {
        let inputs: Vec<&Array<T>> = node.inputs.iter().map(|input| &values[input]).collect();
        let made = node.op.eval(bindings.batch, &inputs);
        values.extend(node.outputs.iter().copied().zip(made));
    }
    values
}

/// How to run compiled code.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) target: Target,
    /// The batch that is compiled for; at least the bindings'.
    pub(crate) most: usize,
    pub(crate) threads: usize,
    pub(crate) fuse: bool,
}

/// Compiles a graph and runs it once; the outputs and updated parameters and states by name.
pub(crate) fn compiled(graph: &Graph, bindings: &Bindings, how: &How) -> HashMap<String, Vec<f32>> {
    let options = Options {
        target: how.target.clone(),
        batch: how.most,
        fuse: how.fuse,
        recompute: how.fuse,
        // What compiled code is held to here are bounds of direct sums.
        winograd: false,
        verify: true,
    };
    let program = driver::compile(graph, &options).expect("compiles");
    let mut session = Session::new(Arc::new(program), how.threads).expect("starts");
    bind(graph, bindings, &mut session);
    session.run(bindings.batch).expect("runs");
    results(graph, &session, bindings.batch)
}

/// Runs a graph as one thread does on every tier of this machine.
pub(crate) fn on_every_tier(
    graph: &Graph,
    bindings: &Bindings,
) -> Vec<(Isa, HashMap<String, Vec<f32>>)> {
    let run = |target: Target| {
        let isa = target.isa;
        let how = How {
            target,
            most: bindings.batch,
            threads: 1,
            fuse: true,
        };
        (isa, compiled(graph, bindings, &how))
    };
    targets().into_iter().map(run).collect()
}

/// Gives a session its data.
pub(crate) fn bind(graph: &Graph, bindings: &Bindings, session: &mut Session) {
    for (id, data) in &bindings.data {
        match &graph.values[*id].kind {
            ValueKind::Input(name) if graph.ty(*id).dtype == DType::I32 => {
                let labels: Vec<u32> = data.iter().map(|&x| x as u32).collect();
                session.set_labels(name, &labels).expect("fits");
            }
            ValueKind::Input(name) => session.set_input(name, data).expect("fits"),
            ValueKind::Param(param) => session.set_param(&param.name, data).expect("fits"),
            ValueKind::State(name) => session.set_state(name, data).expect("fits"),
            ValueKind::Step(StepScalar::Seed) => session.set_seed(data[0] as u32),
            ValueKind::Step(scalar) => session.set_scalar(*scalar, data[0]),
            ValueKind::Result { .. } => {}
        }
    }
}

/// The outputs and updated parameters and states of a session, by name.
pub(crate) fn results(graph: &Graph, session: &Session, batch: usize) -> HashMap<String, Vec<f32>> {
    let mut results = HashMap::new();
    for output in &graph.outputs {
        let data = session.output(&output.name, batch).expect("is there");
        results.insert(output.name.clone(), data);
    }
    for update in &graph.updates {
        match &graph.values[update.target].kind {
            ValueKind::Param(param) => {
                results.insert(
                    param.name.clone(),
                    session.param(&param.name).expect("is there"),
                );
            }
            ValueKind::State(name) => {
                results.insert(name.to_string(), session.state(name).expect("is there"));
            }
            _ => {}
        }
    }
    results
}

/// Holds compiled results against the reference in f64. The error allowed for each element is
/// `steps` roundings of the sum of its terms' magnitudes, which is what the reference gives for
/// absolute inputs if the graph is one operator that is linear in each of them.
pub(crate) fn check_linear(graph: &Graph, batch: usize, most: usize, steps: usize) {
    let bindings = random(graph, batch, 7, 3);
    let exact = reference::<f64>(graph, &bindings);
    let mut absolute = bindings.clone();
    for data in absolute.data.values_mut() {
        for x in data {
            *x = x.abs();
        }
    }
    let sizes = reference::<f64>(graph, &absolute);
    for target in targets() {
        for threads in [1, 2] {
            let how = How {
                target: target.clone(),
                most,
                threads,
                fuse: true,
            };
            let results = compiled(graph, &bindings, &how);
            for output in &graph.outputs {
                let (exact, sizes) = (exact[&output.value].data(), sizes[&output.value].data());
                let found = &results[&output.name];
                assert_eq!(exact.len(), found.len());
                for (index, &x) in found.iter().enumerate() {
                    let bound = steps as f64 * f64::from(f32::EPSILON) * sizes[index] + 1e-30;
                    let error = (f64::from(x) - exact[index]).abs();
                    assert!(
                        error <= bound,
                        "{} on {}: {} at {index} is {x}, not {} (error {error:.3e}, allowed {bound:.3e})",
                        graph.name,
                        target.isa,
                        output.name,
                        exact[index]
                    );
                }
            }
        }
    }
}

/// The first node's operator, for names.
pub(crate) fn name_of(op: &Op) -> &'static str {
    op.name()
}

/// Holds all outputs of compiled code against the reference in f64: the difference of each tensor,
/// in the Euclidean norm, is at most `bound` of the tensor's own norm.
pub(crate) fn check_norm(graph: &Graph, bindings: &Bindings, most: usize, bound: f64) {
    let exact = reference::<f64>(graph, bindings);
    for target in targets() {
        for (threads, fuse) in [(1, true), (2, true), (1, false)] {
            let how = How {
                target: target.clone(),
                most,
                threads,
                fuse,
            };
            let results = compiled(graph, bindings, &how);
            for (name, value) in named(graph) {
                let error = distance(&results[&name], exact[&value].data());
                assert!(
                    error <= bound,
                    "{} on {} with {threads} threads, fuse {fuse}: {name} is off by {error:.3e} of its norm",
                    graph.name,
                    target.isa
                );
            }
        }
    }
}

/// Outputs and updates with their names.
pub(crate) fn named(graph: &Graph) -> Vec<(String, ValueId)> {
    let outputs = graph
        .outputs
        .iter()
        .map(|output| (output.name.clone(), output.value));
    let updates = graph.updates.iter().map(|update| {
        let name = match &graph.values[update.target].kind {
            ValueKind::Param(param) => param.name.clone(),
            ValueKind::State(name) => name.to_string(),
            kind => panic!("an update of {kind:?}"),
        };
        (name, update.value)
    });
    outputs.chain(updates).collect()
}

/// The distance of two tensors by the second's norm; NaN and infinities count as equal only to
/// themselves.
pub(crate) fn distance(found: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let (mut error, mut size) = (0.0, 0.0);
    for (&x, &y) in found.iter().zip(exact) {
        let x = f64::from(x);
        if y.is_nan() || y.is_infinite() {
            error += if x == y || (x.is_nan() && y.is_nan()) {
                0.0
            } else {
                f64::INFINITY
            };
        } else {
            error += (x - y).powi(2);
            size += y * y;
        }
    }
    if error == 0.0 {
        0.0
    } else {
        error.sqrt() / size.sqrt().max(1e-20)
    }
}

/// Findings as they are shown, one after another.
pub(crate) fn render(diagnostics: &[Diagnostic], files: &Files) -> String {
    let terminal = Terminal { color: false };
    let shown = diagnostics.iter().map(|d| terminal.render(d, files) + "\n");
    shown.collect()
}

/// A program of a text, which must have no finding.
pub(crate) fn load(name: &str, text: &str) -> (Program, Files) {
    let mut files = Files::new();
    let file = files.add(name, text);
    let loaded = Program::alone(&mut files, file);
    let found = render(&loaded.diagnostics, &files);
    assert!(found.is_empty(), "{found}");
    (loaded.program.expect("there was no finding"), files)
}
