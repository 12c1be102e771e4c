//! What the front end makes of a net computes what PyTorch computes for it.
//!
//! The graphs run by the operators' own reference, so that a difference is the front end's alone.

mod common;

use std::collections::HashMap;
use std::path::Path;

use common::{Bindings, reference};
use netc::diag::{Files, Renderer, Terminal};
use netc::io::npy;
use netc::io::weights::WeightsFile;
use netc::ir::{StepScalar, ValueKind};
use netc::program::Program;
use netc::sema::{self, Mode, Model};

/// References are in f64, golden values rounded to f32 after computing in f64.
const TOLERANCE: f64 = 1e-6;

fn elaborate(path: &Path, mode: Mode) -> Model {
    let text = std::fs::read_to_string(path).expect("golden nets are UTF-8");
    let mut files = Files::new();
    let file = files.add(path.display().to_string(), text);
    let parsed = Program::alone(&mut files, file);
    let terminal = Terminal { color: false };
    let fail = |diagnostics: &[netc::diag::Diagnostic]| -> String {
        diagnostics
            .iter()
            .map(|d| terminal.render(d, &files) + "\n")
            .collect()
    };
    let program = parsed
        .program
        .unwrap_or_else(|| panic!("{}", fail(&parsed.diagnostics)));
    sema::elaborate(&program, &files, None, &[], mode)
        .unwrap_or_else(|errors| panic!("{}", fail(&errors)))
}

fn bindings(model: &Model, case: &Path) -> Bindings {
    let x = npy::read(&case.join("x.npy")).expect("every case has inputs");
    let batch = x.shape()[0];
    let mut weights =
        WeightsFile::open(&case.join("weights.safetensors")).expect("every case has weights");
    let mut data = HashMap::new();
    for (id, value) in model.graph.values.iter() {
        let numbers = match &value.kind {
            ValueKind::Input(_) => x.data().to_vec(),
            ValueKind::Param(param) => {
                let tensor = weights
                    .read(&param.name)
                    .expect("netc and PyTorch give weights the same names");
                assert_eq!(*tensor.shape(), *value.ty.shape.dims, "{}", param.name);
                tensor.data().to_vec()
            }
            ValueKind::Step(StepScalar::InverseBatch) => vec![1.0 / batch as f32],
            ValueKind::Step(_) | ValueKind::State(_) => panic!("no golden net has any"),
            ValueKind::Result { .. } => continue,
        };
        data.insert(id, numbers);
    }
    Bindings { batch, data }
}

fn check_close(found: &[f64], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (at, (&found, &wanted)) in found.iter().zip(wanted).enumerate() {
        let wanted = f64::from(wanted);
        let allowed = TOLERANCE * wanted.abs().max(1.0);
        assert!(
            (found - wanted).abs() <= allowed,
            "{what} at {at}: {found}, not {wanted}"
        );
    }
}

fn check(net: &Path, mode: Mode, outputs: &str) {
    let case = net.with_extension("");
    let wanted = case.join(outputs);
    if !wanted.exists() {
        return;
    }
    let model = elaborate(net, mode);
    let values = reference::<f64>(&model.graph, &bindings(&model, &case));
    let output = model
        .graph
        .output("output")
        .expect("golden nets have one output");
    let wanted = npy::read(&wanted).expect("it exists");
    check_close(
        values[&output].data(),
        wanted.data(),
        &format!("{} {outputs}", net.display()),
    );
    let statistics = case.join("statistics.safetensors");
    if mode == Mode::Train && statistics.exists() {
        let mut statistics = WeightsFile::open(&statistics).expect("it exists");
        let targets = statistics.tensors().count();
        assert_eq!(model.graph.updates.len(), targets);
        for update in &model.graph.updates {
            let ValueKind::Param(param) = &model.graph.values[update.target].kind else {
                panic!("only parameters are updated in a forward net");
            };
            let wanted = statistics
                .read(&param.name)
                .expect("each statistic is there");
            check_close(values[&update.value].data(), wanted.data(), &param.name);
        }
    }
}

#[test]
fn nets_compute_what_pytorch_computes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut nets = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|extension| extension == "net") {
            check(&path, Mode::Train, "y.npy");
            check(&path, Mode::Infer, "y_eval.npy");
            nets += 1;
        }
    }
    assert!(nets > 0);
}
