//! Checkpoints: all that a training needs to go on as if it had never stopped.
//!
//! A checkpoint is one safetensors file. `param/…` are the weights and running statistics, `state/…`
//! the optimiser's tensors, `best/…` the weights of the best epoch where `early_stop` keeps them.
//! `history` and `gradient_norms` hold the bits of f64 numbers, two f32 each, an epoch a row, because
//! the format's reader here knows f32 only. Where the training stands, and what it is of, is JSON in
//! the file's metadata. No generator's state is stored: order of samples, dropout and augmentation
//! follow from the seed, the epoch and the step.

use std::collections::BTreeMap;
use std::path::Path;

use super::fingerprint::Fingerprint;
use super::fit::{Epoch, Place, Score};
use crate::io::InFile;
use crate::io::atomic::WriteError;
use crate::io::weights::{self, NamedTensor, WeightsError, WeightsFile};
use crate::model::NamedParam;

/// The metadata that tells a checkpoint from weights, with the version of what is described above.
const VERSION_KEY: &str = "netc.checkpoint";
const VERSION: &str = "1";
const PLACE_KEY: &str = "place";
const FINGERPRINT_KEY: &str = "fingerprint";
const HISTORY: &str = "history";
const GRADIENT_NORMS: &str = "gradient_norms";

/// All that a training needs to go on.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// Where it stands.
    pub place: Place,
    /// The epochs that are done.
    pub history: Vec<Epoch>,
    /// The gradient norms of the layers, for each epoch that has begun, where they are watched.
    pub gradient_norms: Vec<Vec<f64>>,
    /// Weights and running statistics.
    pub params: Vec<NamedParam>,
    /// The optimiser's tensors.
    pub states: Vec<NamedParam>,
    /// The weights of the best epoch, where they are kept.
    pub best: Option<Vec<NamedParam>>,
}

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointProblem {
    /// It is a weights file.
    #[error(
        "holds weights, but not where a training stands: it is no checkpoint; \
         `--weights` starts a training from it"
    )]
    NotOne,
    /// It is of another version of the program.
    #[error("is a checkpoint of the form {found}, and this program reads the form {VERSION}")]
    Version {
        /// The version of its form.
        found: String,
    },
    /// What it says of itself makes no sense.
    #[error("is damaged: {what}")]
    Damaged {
        /// What makes no sense.
        what: String,
    },
    /// It is of another training.
    #[error(
        "is of another training, which cannot be resumed as this one:\n  {}\n\
         set these as they were, or train without --resume",
        differences.join("\n  ")
    )]
    Other {
        /// What differs, a line each.
        differences: Vec<String>,
    },
}

/// Why there is no checkpoint to go on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// What it says.
    #[error(transparent)]
    Problem(#[from] InFile<CheckpointProblem>),
}

impl Checkpoint {
    /// Writes a checkpoint, all or nothing.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path, of: &Fingerprint) -> Result<(), WriteError> {
        let text = |value: serde_json::Result<String>| {
            value.expect("numbers, strings and maps with string keys have a form in JSON")
        };
        let metadata = BTreeMap::from([
            (VERSION_KEY.to_owned(), VERSION.to_owned()),
            (
                PLACE_KEY.to_owned(),
                text(serde_json::to_string(&self.place)),
            ),
            (FINGERPRINT_KEY.to_owned(), text(serde_json::to_string(of))),
        ]);
        let rows: Vec<Vec<f64>> = self.history.iter().map(row).collect();
        let tables = [(HISTORY, &rows), (GRADIENT_NORMS, &self.gradient_norms)];
        let mut named: Vec<NamedParam> = Vec::new();
        for (name, table) in tables {
            let columns = table.first().map_or(0, Vec::len);
            let bits = table.iter().flatten().flat_map(|&number| halves(number));
            named.push((
                name.to_owned(),
                vec![table.len(), columns, 2],
                bits.collect(),
            ));
        }
        let groups = [
            ("param", Some(&self.params)),
            ("state", Some(&self.states)),
            ("best", self.best.as_ref()),
        ];
        let names: Vec<(String, &NamedParam)> = groups
            .iter()
            .flat_map(|(group, tensors)| {
                let tensors = tensors.map(Vec::as_slice).unwrap_or_default();
                tensors
                    .iter()
                    .map(move |tensor| (format!("{group}/{}", tensor.0), tensor))
            })
            .chain(named.iter().map(|tensor| (tensor.0.clone(), tensor)))
            .collect();
        let tensors: Vec<NamedTensor<'_>> = names
            .iter()
            .map(|(name, (_, shape, data))| NamedTensor { name, shape, data })
            .collect();
        weights::write(path, &tensors, &metadata)
    }

    /// Reads a checkpoint of the training that `wanted` describes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is damaged, or is of another training.
    pub fn read(path: &Path, wanted: &Fingerprint) -> Result<Checkpoint, CheckpointError> {
        let mut file = WeightsFile::open(path)?;
        let place = place(&file, wanted).map_err(|problem| InFile::new(path, problem))?;
        let names: Vec<(String, Vec<usize>)> = file
            .tensors()
            .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
            .collect();
        let mut tables: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
        let mut groups: BTreeMap<&str, Vec<NamedParam>> = BTreeMap::new();
        for (name, shape) in &names {
            let data = file.read(name)?.into_data();
            match name.split_once('/') {
                Some((group, rest)) => {
                    let tensor = (rest.to_owned(), shape.clone(), data);
                    groups.entry(group).or_default().push(tensor);
                }
                None => {
                    tables.insert(name, table(shape, &data));
                }
            }
        }
        let damaged = |what: &str| {
            let what = what.to_owned();
            InFile::new(path, CheckpointProblem::Damaged { what })
        };
        let history: Option<Vec<Epoch>> = tables
            .remove(HISTORY)
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(at, row)| epoch(at + 1, row))
            .collect();
        let history = history.ok_or_else(|| damaged("its history has another form"))?;
        if history.len() + 1 != place.epoch {
            return Err(damaged("its history ends elsewhere than its training").into());
        }
        Ok(Checkpoint {
            place,
            history,
            gradient_norms: tables.remove(GRADIENT_NORMS).unwrap_or_default(),
            params: groups.remove("param").unwrap_or_default(),
            states: groups.remove("state").unwrap_or_default(),
            best: groups.remove("best"),
        })
    }

    /// Where the training stands that a file is a checkpoint of, if it is one.
    #[must_use]
    pub fn peek(path: &Path) -> Option<Place> {
        let file = WeightsFile::open(path).ok()?;
        serde_json::from_str(file.metadata().get(PLACE_KEY)?).ok()
    }
}

fn place(file: &WeightsFile, wanted: &Fingerprint) -> Result<Place, CheckpointProblem> {
    let metadata = file.metadata();
    match metadata.get(VERSION_KEY) {
        None => return Err(CheckpointProblem::NotOne),
        Some(version) if version != VERSION => {
            let found = version.clone();
            return Err(CheckpointProblem::Version { found });
        }
        Some(_) => {}
    }
    fn parsed<T: serde::de::DeserializeOwned>(
        metadata: &BTreeMap<String, String>,
        key: &str,
    ) -> Result<T, CheckpointProblem> {
        let text = metadata.get(key).map(String::as_str).unwrap_or_default();
        serde_json::from_str(text).map_err(|error| CheckpointProblem::Damaged {
            what: format!("`{key}` cannot be read: {error}"),
        })
    }
    let found: Fingerprint = parsed(metadata, FINGERPRINT_KEY)?;
    let differences = wanted.differences(&found);
    if !differences.is_empty() {
        return Err(CheckpointProblem::Other { differences });
    }
    parsed(metadata, PLACE_KEY)
}

/// The numbers of an epoch, in the order of [`epoch`].
fn row(epoch: &Epoch) -> Vec<f64> {
    let Epoch {
        epoch: _,
        train,
        validation,
        test,
        images_per_second,
        learning_rate,
    } = epoch;
    let held_out = validation.unwrap_or(Score {
        loss: 0.0,
        accuracy: 0.0,
    });
    let is_held_out = f64::from(u8::from(validation.is_some()));
    vec![
        train.loss,
        train.accuracy,
        is_held_out,
        held_out.loss,
        held_out.accuracy,
        test.loss,
        test.accuracy,
        *images_per_second,
        *learning_rate,
    ]
}

fn epoch(number: usize, row: &[f64]) -> Option<Epoch> {
    let &[
        train_loss,
        train_accuracy,
        is_held_out,
        held_out_loss,
        held_out_accuracy,
        test_loss,
        test_accuracy,
        images_per_second,
        learning_rate,
    ] = row
    else {
        return None;
    };
    let score = |loss, accuracy| Score { loss, accuracy };
    Some(Epoch {
        epoch: number,
        train: score(train_loss, train_accuracy),
        validation: (is_held_out != 0.0).then(|| score(held_out_loss, held_out_accuracy)),
        test: score(test_loss, test_accuracy),
        images_per_second,
        learning_rate,
    })
}

/// The bits of a number as those of two.
fn halves(number: f64) -> [f32; 2] {
    let bits = number.to_bits();
    [(bits >> 32) as u32, bits as u32].map(f32::from_bits)
}

fn table(shape: &[usize], data: &[f32]) -> Vec<Vec<f64>> {
    let whole = |pair: &[f32]| {
        let [high, low] = [pair[0], pair[1]].map(|half| u64::from(half.to_bits()));
        f64::from_bits(high << 32 | low)
    };
    let columns = shape.get(1).copied().unwrap_or(0);
    let numbers: Vec<f64> = data.chunks_exact(2).map(whole).collect();
    let rows = numbers.chunks(columns.max(1));
    rows.map(<[f64]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Checkpoint {
        let score = |loss| Score {
            loss,
            accuracy: 1.0 / 3.0,
        };
        let epoch = |epoch, validation| Epoch {
            epoch,
            train: score(0.1 + 0.2),
            validation,
            test: score(f64::INFINITY),
            images_per_second: 1e9 / 7.0,
            learning_rate: 1e-300,
        };
        let tensor = |name: &str, number| (name.to_owned(), vec![2], vec![number, -0.0]);
        let mut place = Place::start(9, 0.1 + 0.7);
        (place.epoch, place.step) = (3, 17);
        place.plateau.best = Some(1.0 / 3.0);
        Checkpoint {
            place,
            history: vec![epoch(1, None), epoch(2, Some(score(1e-5)))],
            gradient_norms: vec![vec![0.1, 1e-12], vec![f64::NAN, 0.3]],
            params: vec![tensor("a.bias", 1.5), tensor("b.weight", f32::MIN_POSITIVE)],
            states: vec![tensor("a.bias.momentum", 3.0)],
            best: Some(vec![tensor("a.bias", 9.0)]),
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        let (of, mut written) = (Fingerprint::default(), example());
        written.write(&path, &of).unwrap();
        let mut read = Checkpoint::read(&path, &of).unwrap();
        assert_eq!(Checkpoint::peek(&path), Some(written.place.clone()));
        let bits = |norms: &[Vec<f64>]| -> Vec<u64> {
            norms.iter().flatten().map(|x| x.to_bits()).collect()
        };
        assert_eq!(
            bits(&read.gradient_norms),
            bits(&written.gradient_norms),
            "numbers that are none are equal in their bits alone"
        );
        read.gradient_norms.clear();
        written.gradient_norms.clear();
        assert_eq!(read, written);
    }

    #[test]
    fn says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        let of = Fingerprint::default();
        let message = |path: &Path| Checkpoint::read(path, &of).unwrap_err().to_string();
        weights::write(&path, &[], &BTreeMap::new()).unwrap();
        assert!(message(&path).contains("it is no checkpoint"));
        let metadata = |pairs: &[(&str, &str)]| {
            let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            weights::write(&path, &[], &pairs.iter().map(owned).collect()).unwrap();
        };
        metadata(&[(VERSION_KEY, "99")]);
        assert!(message(&path).contains("of the form 99"));
        metadata(&[
            (VERSION_KEY, VERSION),
            (FINGERPRINT_KEY, "{}"),
            (PLACE_KEY, "3"),
        ]);
        assert!(message(&path).contains("is damaged: `place` cannot be read"));
        metadata(&[(VERSION_KEY, VERSION), (FINGERPRINT_KEY, r#"{"seed":"7"}"#)]);
        assert!(message(&path).contains("seed: it was 7, and is absent"));
        let mut example = example();
        example.history.pop();
        example.write(&path, &of).unwrap();
        assert!(message(&path).contains("its history ends elsewhere"));
        std::fs::write(&path, "no").unwrap();
        assert!(message(&path).contains("holds 2 bytes"));
    }
}
