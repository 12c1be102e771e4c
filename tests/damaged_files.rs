//! No damage to a file makes a reader panic, hang or allocate without bound: it reads the file or
//! says what is wrong.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a helper may fail by panicking too"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use netc::io::idx::{self, IdxKind};
use netc::io::npy;
use netc::io::weights::{self, NamedTensor, WeightsFile};
use proptest::prelude::*;
use tempfile::TempDir;

/// One change to the bytes of a file; places are taken modulo its length.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match *self {
            Self::Set(place, value) => bytes[place % length] = value,
            Self::Cut(place) => bytes.truncate(place % length),
            Self::Remove(place, count) => {
                let start = place % length;
                bytes.drain(start..(start + count).min(length));
            }
            Self::Repeat(place, count) => {
                let start = place % length;
                let part = bytes[start..(start + count).min(length)].to_vec();
                bytes.splice(start..start, part);
            }
        }
    }
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    // Digits, brackets and quotes reach further into a header than other bytes do.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(b"0189-_.eE()[]{}'\"\\,: ".to_vec())
    ];
    // Most of the structure is in the first bytes.
    let place = || prop_oneof![0_usize..24, any::<usize>()];
    let one = prop_oneof![
        4 => (place(), byte).prop_map(|(place, value)| Damage::Set(place, value)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => (place(), 1_usize..20).prop_map(|(place, count)| Damage::Remove(place, count)),
        1 => (place(), 1_usize..20).prop_map(|(place, count)| Damage::Repeat(place, count)),
    ];
    prop::collection::vec(one, 1..6)
}

/// Damages a file and reads it; a reader that gives a message must name the file.
fn check(
    good: &[u8],
    damages: &[Damage],
    read: impl Fn(&Path) -> Result<(), String>,
) -> Result<(), TestCaseError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged");
    let mut bytes = good.to_vec();
    for damage in damages {
        damage.apply(&mut bytes);
    }
    fs::write(&path, &bytes).unwrap();
    if let Err(message) = read(&path) {
        prop_assert!(
            message.starts_with(&format!("`{}`: ", path.display())),
            "{}",
            message
        );
    }
    Ok(())
}

fn good_file(name: &str, write: impl Fn(&Path)) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    write(&path);
    fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_weights(damages in damages()) {
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let tensors = [
            NamedTensor { name: "conv1.weight", shape: &[2, 1, 2], data: &[1.0; 4] },
            NamedTensor { name: "conv1.bias", shape: &[2], data: &[1.0; 2] },
        ];
        let good = good_file("w", |path| weights::write(path, &tensors, &metadata).unwrap());
        check(&good, &damages, |path| {
            let mut file = WeightsFile::open(path).map_err(|e| e.to_string())?;
            let names: Vec<_> = file.tensors().map(|(name, _)| name.to_owned()).collect();
            for name in names {
                file.read(&name).map_err(|e| e.to_string())?;
            }
            Ok(())
        })?;
    }

    #[test]
    fn damaged_arrays(damages in damages()) {
        let good = good_file("x", |path| npy::write(path, &[2, 3], &[1.0; 6]).unwrap());
        check(&good, &damages, |path| {
            npy::read_indices(path).map_err(|e| e.to_string()).ok();
            npy::read(path).map(drop).map_err(|e| e.to_string())
        })?;
    }

    #[test]
    fn damaged_images(damages in damages(), packed in any::<bool>()) {
        let mut good = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3];
        good.extend(0..18);
        if packed {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&good).unwrap();
            good = encoder.finish().unwrap();
        }
        check(&good, &damages, |path| {
            idx::read(path, IdxKind::Images).map(drop).map_err(|e| e.to_string())
        })?;
    }
}
