//! What a net is fed: files of arrays, and data sets.

use std::ops::RangeInclusive;
use std::path::Path;

use super::common::NamedFile;
use super::error::CliError;
use super::table::shape;
use crate::io::{npy, npz};
use crate::ir::{Graph, ValueId};
use crate::tensor::Tensor;

/// The value that a file is for: that of its name, or the only one.
pub(super) fn place<'g>(
    file: &NamedFile,
    what: &str,
    values: &[(ValueId, &'g str)],
) -> Result<(ValueId, &'g str), CliError> {
    let names = || {
        let names: Vec<&str> = values.iter().map(|&(_, name)| name).collect();
        names.join(", ")
    };
    match (&file.name, values) {
        (None, &[only]) => Ok(only),
        (None, _) => Err(CliError::Usage(format!(
            "the net has several {what}s: write NAME={}, NAME being one of {}",
            file.path.display(),
            names()
        ))),
        (Some(name), _) => {
            let found = values.iter().find(|(_, known)| known == name);
            found.copied().ok_or_else(|| {
                CliError::user(format!(
                    "the net has no {what} `{name}`: it has {}",
                    names()
                ))
            })
        }
    }
}

/// The files, with one for each value in place of an `.npz` file without a name.
pub(super) fn of_each(files: &[NamedFile], values: &[(ValueId, &str)]) -> Vec<NamedFile> {
    let of_each = |file: &NamedFile| match &file.name {
        None if npz::is_npz(&file.path) => {
            let named = |&(_, name): &(ValueId, &str)| NamedFile {
                name: Some(name.to_owned()),
                path: file.path.clone(),
            };
            values.iter().map(named).collect()
        }
        _ => vec![file.clone()],
    };
    files.iter().flat_map(of_each).collect()
}

/// Reads a batch of a value's shape; the batch. Of an `.npz` file, the array of the value's name.
pub(super) fn read_batch(
    path: &Path,
    graph: &Graph,
    value: ValueId,
    name: &str,
) -> Result<(Tensor, usize), CliError> {
    read_batch_of((path, name), graph.dims(value), name, false)
}

/// Reads the targets of an output of some sizes; the batch. For an output of [1] an array of [N] is
/// as good as one of [N, 1]. Of an `.npz` file, the array of the output's name.
pub(super) fn read_target(
    file: (&Path, &str),
    dims: &[usize],
    name: &str,
) -> Result<(Tensor, usize), CliError> {
    read_batch_of(file, dims, name, dims == [1])
}

fn read_batch_of(
    (path, array): (&Path, &str),
    dims: &[usize],
    name: &str,
    may_be_numbers: bool,
) -> Result<(Tensor, usize), CliError> {
    let tensor = npy::read_named(path, array)?;
    match tensor.shape() {
        [batch, rest @ ..] if *batch > 0 && (rest == dims || rest.is_empty() && may_be_numbers) => {
            let batch = *batch;
            Ok((tensor, batch))
        }
        found => {
            let mut wanted = vec!["N".to_owned()];
            wanted.extend(dims.iter().map(usize::to_string));
            Err(CliError::user(format!(
                "`{}`: `{name}` takes an array of [{}], N at least 1; this one is {}",
                path.display(),
                wanted.join(", "),
                shape(found)
            )))
        }
    }
}

/// That two arrays have different numbers of images.
pub(super) fn check_batch(path: &Path, found: usize, expected: usize) -> Result<(), CliError> {
    if found == expected {
        return Ok(());
    }
    Err(CliError::user(format!(
        "`{}` holds {found} images, and the input before it {expected}",
        path.display()
    )))
}

/// Numbers of samples: `3`, `0..9` with both ends, as ranges of nets are, or several with commas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Indices(Vec<RangeInclusive<usize>>);

impl Indices {
    /// The numbers, which must be below `count`.
    pub(super) fn among(&self, count: usize, of: &str) -> Result<Vec<usize>, CliError> {
        if let Some(range) = self.0.iter().find(|range| *range.end() >= count) {
            return Err(CliError::user(format!(
                "there is no sample {} in {of}: it has {count} unseen samples, numbered from 0 to {}",
                range.end(),
                count.saturating_sub(1)
            )));
        }
        Ok(self.0.iter().cloned().flatten().collect())
    }
}

impl std::str::FromStr for Indices {
    type Err = String;
    fn from_str(text: &str) -> Result<Indices, String> {
        let number = |text: &str| {
            let parsed = text.trim().parse::<usize>();
            parsed.map_err(|_| format!("`{text}` is no number of a sample; write 3, 0..9 or 1,5,9"))
        };
        let range = |part: &str| match part.split_once("..") {
            None => number(part).map(|at| at..=at),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to {
                    return Err(format!("the range {from}..{to} runs backwards"));
                }
                Ok(from..=to)
            }
        };
        text.split(',')
            .map(range)
            .collect::<Result<_, _>>()
            .map(Indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_named_by_numbers_ranges_and_lists() {
        let among = |text: &str| text.parse::<Indices>().unwrap().among(10, "digits");
        assert_eq!(among("3").unwrap(), [3]);
        assert_eq!(among("0..2,9").unwrap(), [0, 1, 2, 9]);
        assert!(among("0..10").is_err());
        for wrong in ["", "a", "3..1", "1..", "1,,2", "-1"] {
            assert!(wrong.parse::<Indices>().is_err(), "{wrong}");
        }
    }
}
