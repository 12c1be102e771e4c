//! Architectures of `examples/`, made small, compute what PyTorch computes for them: outputs in use and in training, the
//! loss, the gradient of the input and of every weight, and running statistics after a step.
//!
//! A file of `golden/architectures` names its net and arguments; `golden/make_architectures.py` wrote it, from nets
//! written after the papers. Weights and pictures follow from the same formula on both sides.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use common::{Bindings, How, compiled, distance, reference, spread, targets};
use netc::Net;
use netc::ir::{DType, Graph, ParamRole, StepScalar, ValueKind};
use netc::model;
use netc::sema::Mode;
use netc::train::loss::LOSS;
use safetensors::SafeTensors;

const BATCH: usize = 4;
const CLASSES: usize = 10;

/// The largest distance from PyTorch, as a part of each tensor's norm: a thousand roundings of f32, for the hundreds of
/// layers that errors go through and the batch norms that stretch them.
const TOLERANCE: f64 = 1e-4;

/// The tensor that pictures are made as.
const PICTURES: u64 = 1_000_000;

/// Numbers in [0, 1), multiples of 2^-24: SplitMix64 (Steele, Lea and Flood 2014), a stream a tensor.
fn numbers(tensor: u64, count: usize) -> Vec<f64> {
    let number = |index: usize| {
        let place = (tensor << 32) + index as u64 + 1;
        let z = place.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        (z >> 40) as f64 / f64::from(1 << 24)
    };
    (0..count).map(number).collect()
}

/// What `fill` of the script gives each tensor.
fn bindings(golden: &Golden, graph: &Graph) -> Bindings {
    let mut data = HashMap::new();
    for (id, param) in graph.params() {
        let index = golden.places[&param.name];
        let dims = &graph.ty(id).shape.dims;
        let u = numbers(index as u64, dims.iter().product());
        let numbers = u.into_iter().map(|u| spread(param, dims, u) as f32);
        data.insert(id, numbers.collect());
    }
    for (id, value) in graph.values.iter() {
        let count = value.ty.shape.with_batch(BATCH).iter().product();
        let made: Vec<f32> = match (&value.kind, value.ty.dtype) {
            (ValueKind::Input(_), DType::I32) => {
                (0..BATCH).map(|n| (n * 3 % CLASSES) as f32).collect()
            }
            (ValueKind::Input(_), DType::F32) => {
                let pixels = numbers(PICTURES, count);
                pixels.into_iter().map(|u| (2.0 * u - 1.0) as f32).collect()
            }
            (ValueKind::Step(StepScalar::InverseBatch), _) => vec![1.0 / BATCH as f32],
            // No mask is drawn where the rate of dropout is 0.
            (ValueKind::Step(_), _) => vec![0.0],
            _ => continue,
        };
        data.insert(id, made);
    }
    Bindings { batch: BATCH, data }
}

/// A golden file.
struct Golden {
    name: String,
    net: Net,
    /// The places of all parameters in the net's text; a net in use lacks those of its heads.
    places: HashMap<String, usize>,
    /// Tensors by name.
    tensors: HashMap<String, Vec<f64>>,
}

fn read(path: &Path) -> Golden {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).expect("golden files can be read");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("golden files are safetensors");
    let words = header
        .metadata()
        .clone()
        .expect("golden files name their net");
    let spec = format!("{}/examples/{}", env!("CARGO_MANIFEST_DIR"), words["net"]);
    let set: Vec<String> = words["arguments"]
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let file = SafeTensors::deserialize(&bytes).expect("golden files are safetensors");
    let numbers = |data: &[u8]| -> Vec<f64> {
        let words = data.chunks_exact(4);
        words
            .map(|word| f64::from(f32::from_le_bytes(word.try_into().expect("four bytes"))))
            .collect()
    };
    let net = Net::open(&spec, &set).unwrap_or_else(|error| panic!("{name}: {error}"));
    let model = net
        .model(Mode::Train)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let params = model.graph.params().enumerate();
    Golden {
        places: params
            .map(|(place, (_, param))| (param.name.clone(), place))
            .collect(),
        net,
        tensors: file
            .iter()
            .map(|(name, tensor)| (name.to_owned(), numbers(tensor.data())))
            .collect(),
        name,
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/architectures");
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// What is found by name, held against a golden tensor.
struct Check {
    found: String,
    golden: String,
}

impl Check {
    fn new(found: &str, golden: impl Into<String>) -> Check {
        Check {
            found: found.to_owned(),
            golden: golden.into(),
        }
    }
}

/// Runs a graph by the reference and compiled for each tier.
fn hold(golden: &Golden, graph: &Graph, checks: &[Check]) {
    let bindings = bindings(golden, graph);
    let exact = reference::<f64>(graph, &bindings);
    let exact = common::named(graph).into_iter().map(|(name, value)| {
        (
            name,
            exact[&value].data().iter().map(|&x| x as f32).collect(),
        )
    });
    let mut runs: Vec<(String, HashMap<String, Vec<f32>>)> =
        vec![("the reference".to_owned(), exact.collect())];
    for target in targets() {
        let isa = target.isa.to_string();
        let how = How {
            target,
            most: BATCH,
            threads: 2,
            fuse: true,
        };
        runs.push((isa, compiled(graph, &bindings, &how)));
    }
    // What a tensor whose true value is 0 is measured by: a bias in front of a batch norm has no gradient.
    let size = |golden: &[f64]| golden.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (how, results) in runs {
        for check in checks {
            let (found, wanted) = (&results[&check.found], &golden.tensors[&check.golden]);
            if size(wanted) < 1e-6 {
                let largest = found.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                assert!(
                    largest < 1e-5,
                    "{}, {how}: {} is {largest}, not 0",
                    golden.name,
                    check.found
                );
                continue;
            }
            let apart = distance(found, wanted);
            assert!(
                apart <= TOLERANCE,
                "{}, {how}: {} is off by {apart:.3e} of its norm",
                golden.name,
                check.found
            );
        }
    }
}

#[test]
fn outputs_in_use() {
    for path in files() {
        let golden = read(&path);
        let model = golden.net.model(Mode::Infer).expect("examples are nets");
        hold(&golden, &model.graph, &[Check::new("output", "y_eval")]);
    }
}

#[test]
fn outputs_and_statistics_in_training() {
    for path in files() {
        let golden = read(&path);
        let model = golden.net.model(Mode::Train).expect("examples are nets");
        let graph = model::evaluation_graph(&model).expect("examples have a loss");
        let mut checks = vec![Check::new("output", "y"), Check::new(LOSS, "loss")];
        let mut statistics = 0;
        for (index, (_, param)) in graph.params().enumerate() {
            if param.role == ParamRole::Statistic {
                checks.push(Check::new(&param.name, format!("statistic.{index}")));
                statistics += 1;
            }
        }
        let stored = golden.tensors.keys();
        let stored = stored.filter(|name| name.starts_with("statistic."));
        assert_eq!(stored.count(), statistics, "{}", golden.name);
        assert_eq!(graph.updates.len(), statistics, "{}", golden.name);
        hold(&golden, &graph, &checks);
    }
}

#[test]
fn gradients() {
    for path in files() {
        let golden = read(&path);
        let model = golden.net.model(Mode::Train).expect("examples are nets");
        let graph = model::gradient_graph(&model).expect("examples have a loss");
        let mut checks = vec![Check::new(LOSS, "loss"), Check::new("input", "dx")];
        for (index, (_, param)) in graph.params().enumerate() {
            if param.role.is_trainable() {
                checks.push(Check::new(&param.name, format!("gradient.{index}")));
            }
        }
        assert_eq!(checks.len(), graph.outputs.len(), "{}", golden.name);
        hold(&golden, &graph, &checks);
    }
}
