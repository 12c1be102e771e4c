//! The golden files are complete and agree with each other.
//!
//! This says nothing about compiled networks; it makes sure that whatever is compared with these
//! files is compared with all of them, and that files written by PyTorch are read rightly.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a helper may fail by panicking too"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use netc::io::npy;
use netc::io::weights::WeightsFile;

/// Files of every case.
const ALWAYS: [&str; 7] = [
    "dx.npy",
    "gradients.safetensors",
    "loss.npy",
    "t.npy",
    "weights.safetensors",
    "x.npy",
    "y.npy",
];

/// Files of cases with batch norm.
const WITH_STATISTICS: [&str; 2] = ["statistics.safetensors", "y_eval.npy"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn names_in(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn shapes(path: &Path) -> BTreeMap<String, Vec<usize>> {
    let file = WeightsFile::open(path).unwrap();
    file.tensors()
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect()
}

/// The loss of the outputs `y`, computed as its definition says.
fn loss(case: &Path) -> f64 {
    let y = npy::read(&case.join("y.npy")).unwrap();
    let count = y.shape()[0];
    let rows = y.data().chunks(y.data().len() / count);
    let total: f64 = if let Ok((shape, labels)) = npy::read_indices(&case.join("t.npy")) {
        assert_eq!(shape, [count]);
        let losses = rows.zip(labels).map(|(row, label)| {
            let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
            sum.ln() - f64::from(row[label as usize])
        });
        losses.sum()
    } else {
        let t = npy::read(&case.join("t.npy")).unwrap();
        assert_eq!(t.shape(), y.shape());
        let differences = y.data().iter().zip(t.data()).map(|(y, t)| f64::from(y - t));
        differences.map(|d| d * d).sum::<f64>() / (y.data().len() / count) as f64
    };
    total / count as f64
}

fn check_case(case: &Path) {
    let weights = shapes(&case.join("weights.safetensors"));
    let gradients = shapes(&case.join("gradients.safetensors"));
    let is_statistic = |name: &str| name.contains(".running_");
    let (statistics, trained): (BTreeMap<_, _>, BTreeMap<_, _>) = weights
        .into_iter()
        .partition(|(name, _)| is_statistic(name));
    assert_eq!(gradients, trained, "every trained weight has a gradient");

    let mut expected: Vec<&str> = ALWAYS.to_vec();
    if !statistics.is_empty() {
        expected.extend(WITH_STATISTICS);
        let after = shapes(&case.join("statistics.safetensors"));
        assert_eq!(after, statistics);
        let read = |name: &str| npy::read(&case.join(name)).unwrap();
        assert_eq!(read("y_eval.npy").shape(), read("y.npy").shape());
    }
    expected.sort_unstable();
    assert_eq!(names_in(case), expected);

    let read = |name: &str| npy::read(&case.join(name)).unwrap();
    assert_eq!(read("x.npy").shape(), read("dx.npy").shape());
    assert_eq!(read("loss.npy").shape(), [0_usize; 0]);
    let (stored, computed) = (f64::from(read("loss.npy").data()[0]), loss(case));
    assert!(
        (stored - computed).abs() < 1e-6,
        "stored {stored}, computed {computed}"
    );
}

#[test]
fn every_case_is_complete_and_consistent() {
    let names = names_in(&folder());
    // A network beside a JSON file of its name is read with that, elsewhere.
    let cases: Vec<_> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".net"))
        .filter(|case| !names.contains(&format!("{case}.json")))
        .collect();
    assert!(!cases.is_empty());
    for case in &cases {
        println!("case {case}");
        check_case(&folder().join(case));
    }
    // The files of `architectures` name their nets themselves, and are read elsewhere.
    let folders = names
        .iter()
        .filter(|name| *name != "architectures" && folder().join(name).is_dir());
    assert!(
        folders.clone().all(|name| cases.contains(&name.as_str())),
        "every folder has a network"
    );
}
