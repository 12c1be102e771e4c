//! Data sets of NumPy arrays: `train/NAME.npy` for each input NAME of the net, beside it `labels.npy` or
//! `target.npy`, and the same in `test/`; or all arrays of a part in one file, `train.npz` and `test.npz`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Answers, Column, DataError, Dataset, Part, Values, check_labels};
use crate::io::InFile;
use crate::io::{npy, npz};

const LABELS: &str = "labels";
const TARGET: &str = "target";

/// Whether a folder has the form of such a set.
pub(super) fn is_set(folder: &Path) -> bool {
    let train = folder.join("train");
    let is_there = |name: &&str| train.join(format!("{name}.npy")).is_file();
    archive(&train).is_some() || [LABELS, TARGET].iter().any(is_there)
}

/// Loads a set. `labels.npy` holds a whole number for each sample, `target.npy` the numbers that the
/// output should be.
pub(super) fn load(name: &str, folder: &Path) -> Result<Dataset, DataError> {
    let train = part(&folder.join("train"))?;
    let test = part(&folder.join("test"))?;
    let kind = |part: &Part| -> Vec<(String, Vec<usize>)> {
        let columns = part.columns.iter();
        let mut all: Vec<_> = columns
            .map(|column| (column.name.clone(), column.shape.clone()))
            .collect();
        match &part.answers {
            Answers::Labels(_) => all.push((LABELS.to_owned(), Vec::new())),
            Answers::Targets { shape, .. } => all.push((TARGET.to_owned(), shape.clone())),
        }
        all
    };
    let (expected, found) = (kind(&train), kind(&test));
    if expected != found {
        return Err(DataError::ArraysDiffer {
            folder: folder.to_path_buf(),
            expected,
            found,
        });
    }
    let largest = train.labels().iter().max().copied().unwrap_or(0);
    let class_names: Vec<String> = match &train.answers {
        Answers::Targets { .. } => Vec::new(),
        Answers::Labels(_) => (0..=largest).map(|label| label.to_string()).collect(),
    };
    if matches!(train.answers, Answers::Labels(_)) {
        for (part, of) in [(&train, "train"), (&test, "test")] {
            let path = match archive(&folder.join(of)) {
                Some(path) => path,
                None => folder.join(of).join(format!("{LABELS}.npy")),
            };
            check_labels(part.labels(), class_names.len())
                .map_err(|error| InFile::new(&path, error))?;
        }
    }
    Ok(Dataset {
        name: name.to_owned(),
        class_names,
        train,
        test,
    })
}

/// The file that holds all arrays of a part, where that is their form.
fn archive(folder: &Path) -> Option<PathBuf> {
    let path = folder.with_extension("npz");
    (!folder.is_dir() && path.is_file()).then_some(path)
}

/// The arrays of a part, by name, and the file of each.
fn arrays(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    if let Some(path) = archive(folder) {
        let names = npz::names(&path)?.into_iter();
        return Ok(names.map(|name| (name, path.clone())).collect());
    }
    let failed = |source| DataError::Folder {
        folder: folder.to_path_buf(),
        source,
    };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "npy"));
    paths.sort();
    let named = paths.into_iter().map(|path| {
        let stem = path.file_stem().unwrap_or_default();
        (stem.to_string_lossy().into_owned(), path)
    });
    Ok(named.collect())
}

fn part(folder: &Path) -> Result<Part, DataError> {
    let arrays = arrays(folder)?;
    let both = [LABELS, TARGET].map(|wanted| arrays.iter().any(|(name, _)| name == wanted));
    if both == [true, true] {
        let folder = folder.to_path_buf();
        return Err(DataError::Arrays { folder });
    }
    let mut columns = Vec::new();
    let mut answers = None;
    let mut counts: Vec<(PathBuf, usize)> = Vec::new();
    for (name, path) in arrays {
        if name == LABELS {
            let (shape, labels) = npy::read_indices_named(&path, &name)?;
            if shape.len() != 1 {
                return Err(DataError::LabelShape { path, shape });
            }
            // Held against the classes later, but a negative one has no place in an unsigned number.
            let labels: Vec<u32> = labels
                .iter()
                .enumerate()
                .map(|(sample, &label)| {
                    u32::try_from(label).map_err(|_| {
                        let classes = labels
                            .iter()
                            .max()
                            .map_or(0, |&most| most.max(0) as usize + 1);
                        let error = super::LabelError {
                            sample,
                            label,
                            classes,
                        };
                        InFile::new(&path, error)
                    })
                })
                .collect::<Result<_, _>>()?;
            counts.push((path, labels.len()));
            answers = Some(Answers::Labels(labels));
            continue;
        }
        let tensor = npy::read_named(&path, &name)?;
        let &[count, ref shape @ ..] = tensor.shape() else {
            let shape = Vec::new();
            return Err(DataError::Empty { path, shape });
        };
        if tensor.data().is_empty() {
            let shape = tensor.shape().to_vec();
            return Err(DataError::Empty { path, shape });
        }
        let shape = shape.to_vec();
        counts.push((path, count));
        if name == TARGET {
            // One number a sample may be written as [N] or [N, 1].
            let shape = if shape.is_empty() { vec![1] } else { shape };
            let values = tensor.into_data();
            answers = Some(Answers::Targets { shape, values });
        } else {
            let values = Values::Floats(tensor.into_data());
            columns.push(Column {
                name,
                shape,
                values,
            });
        }
    }
    let (Some(answers), false) = (answers, columns.is_empty()) else {
        let folder = folder.to_path_buf();
        return Err(DataError::Arrays { folder });
    };
    let first = counts.first().cloned().unwrap_or_default();
    for (path, count) in counts {
        if count != first.1 {
            return Err(DataError::CountMismatch {
                image_file: first.0,
                images: first.1,
                label_file: path,
                labels: count,
            });
        }
    }
    Ok(Part { columns, answers })
}
