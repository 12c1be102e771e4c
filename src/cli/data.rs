//! What a net is fed: files of arrays, and data sets.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::common::NamedFile;
use super::error::CliError;
use super::table::shape;
use crate::diag::suggest;
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
                let near = suggest(name, values.iter().map(|&(_, known)| known));
                let near = near.map(|near| format!("; did you mean `{near}`?"));
                CliError::user(format!(
                    "the net has no {what} `{name}`: it has {}{}",
                    names(),
                    near.unwrap_or_default()
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

/// An input of a net, read.
pub(super) struct Input<'g> {
    pub(super) name: &'g str,
    pub(super) data: Vec<f32>,
    /// The numbers of a sample.
    pub(super) elements: usize,
}

/// Reads an array for each input of a net, and the number of samples, which all have. Of an `.npz` file, the array of
/// the input's name.
pub(super) fn read_inputs<'g>(
    files: &[NamedFile],
    graph: &'g Graph,
) -> Result<(Vec<Input<'g>>, usize), CliError> {
    let known: Vec<_> = graph.inputs().collect();
    let mut inputs: Vec<Input<'g>> = Vec::new();
    let mut first: Option<(PathBuf, &str, usize)> = None;
    for file in of_each(files, &known) {
        let (value, name) = place(&file, "input", &known)?;
        if inputs.iter().any(|input| input.name == name) {
            let message = format!("the input `{name}` is given twice");
            return Err(CliError::Usage(message));
        }
        let (tensor, count) = read_batch((&file.path, name), graph.dims(value), name, Is::Input)?;
        match &first {
            Some((path, other, expected)) if *expected != count => {
                return Err(CliError::user(format!(
                    "`{}` holds {} for the input `{name}`, but `{}` {} for `{other}`: every sample has all inputs",
                    file.path.display(),
                    samples(count),
                    path.display(),
                    samples(*expected)
                )));
            }
            Some(_) => {}
            None => first = Some((file.path, name, count)),
        }
        inputs.push(Input {
            name,
            data: tensor.into_data(),
            elements: graph.ty(value).shape.elements(),
        });
    }
    let given = |name: &str| inputs.iter().any(|input| input.name == name);
    let missing = known.iter().map(|(_, name)| *name);
    let missing: Vec<&str> = missing.filter(|name| !given(name)).collect();
    match missing.as_slice() {
        [] => Ok((inputs, first.map_or(0, |(_, _, count)| count))),
        names => {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let options: Vec<String> = names
                .iter()
                .map(|name| format!("--input {name}=FILE"))
                .collect();
            let (what, are) = if names.len() == 1 {
                ("input", "is")
            } else {
                ("inputs", "are")
            };
            Err(CliError::Usage(format!(
                "the {what} {} {are} missing: add {}",
                quoted.join(" and "),
                options.join(" ")
            )))
        }
    }
}

/// What an array is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Input,
    Target,
}

/// Reads the targets of an output of some sizes; the batch. For an output of [1] an array of [N] is
/// as good as one of [N, 1]. Of an `.npz` file, the array of the output's name.
pub(super) fn read_target(
    file: (&Path, &str),
    dims: &[usize],
    name: &str,
) -> Result<(Tensor, usize), CliError> {
    read_batch(file, dims, name, Is::Target)
}

/// Reads a batch of samples of some sizes; the batch.
fn read_batch(
    (path, array): (&Path, &str),
    dims: &[usize],
    name: &str,
    is: Is,
) -> Result<(Tensor, usize), CliError> {
    let tensor = npy::read_named(path, array)?;
    let are_numbers = is == Is::Target && dims == [1];
    match tensor.shape() {
        [batch, rest @ ..] if *batch > 0 && (rest == dims || rest.is_empty() && are_numbers) => {
            let batch = *batch;
            Ok((tensor, batch))
        }
        found => {
            let mut wanted = vec!["N".to_owned()];
            wanted.extend(dims.iter().map(usize::to_string));
            let input = (is == Is::Input).then_some(name);
            Err(CliError::user(format!(
                "`{}`: `{name}` takes an array of [{}], N at least 1; this one is {}: {}",
                path.display(),
                wanted.join(", "),
                shape(found),
                misfit(dims, found, input)
            )))
        }
    }
}

/// How an array differs from one of samples of some sizes, and what would make it fit. `input` is what the net calls
/// it, if it is an input.
fn misfit(dims: &[usize], found: &[usize], input: Option<&str>) -> String {
    let elements: usize = dims.iter().product();
    let count = |dims: &[usize]| match dims {
        [only] => only.to_string(),
        dims => {
            let factors: Vec<String> = dims.iter().map(usize::to_string).collect();
            format!(
                "{} = {}",
                factors.join(" x "),
                dims.iter().product::<usize>()
            )
        }
    };
    let of = |samples: usize| {
        let mut all = vec![samples];
        all.extend(dims);
        shape(&all)
    };
    if found == dims {
        return format!(
            "it is one sample without the axis of samples; reshape it to {}",
            of(1)
        );
    }
    if let (&[samples, ref rest @ ..], &[channels, height, width]) = (found, dims)
        && rest == [height, width, channels]
    {
        return format!(
            "its channels stand last; transpose it to {}, its axes 0, 3, 1, 2",
            of(samples)
        );
    }
    let axes: &[&str] = match dims {
        [_, _, _] => &["channels", "height", "width"],
        [_] => &["number of features"],
        _ => &[],
    };
    if let [samples, rest @ ..] = found
        && rest.len() == dims.len()
    {
        if *samples == 0 {
            return "it holds no sample".to_owned();
        }
        let apart = axes.iter().zip(rest.iter().zip(dims));
        let apart: Vec<String> = apart
            .filter(|(_, (found, wanted))| found != wanted)
            .map(|(axis, (found, wanted))| format!("{axis} {found} in place of {wanted}"))
            .collect();
        let mut text = format!(
            "{}; a sample has {} numbers, not {}",
            apart.join(", "),
            count(dims),
            count(rest)
        );
        if let Some(name) = input {
            text += &format!("; `input {name}: {}` in the net would take it", shape(rest));
        }
        return text;
    }
    let total: usize = found.iter().product();
    if total > 0 && total.is_multiple_of(elements) {
        return format!(
            "its {} are {} of {}; reshape it to {}",
            count(found),
            samples(total / elements),
            count(dims),
            of(total / elements)
        );
    }
    format!(
        "its {} are no multiple of {}, the numbers of a sample",
        count(found),
        count(dims)
    )
}

/// A number of samples, in words.
fn samples(count: usize) -> String {
    match count {
        1 => "1 sample".to_owned(),
        count => format!("{count} samples"),
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
    fn arrays_that_do_not_fit_are_told_why_and_what_would() {
        let picture = |found: &[usize]| misfit(&[3, 4, 5], found, Some("left"));
        assert_eq!(
            picture(&[3, 4, 5]),
            "it is one sample without the axis of samples; reshape it to [1, 3, 4, 5]"
        );
        assert_eq!(
            picture(&[2, 4, 5, 3]),
            "its channels stand last; transpose it to [2, 3, 4, 5], its axes 0, 3, 1, 2"
        );
        assert_eq!(picture(&[0, 3, 4, 5]), "it holds no sample");
        assert_eq!(
            picture(&[2, 1, 4, 6]),
            "channels 1 in place of 3, width 6 in place of 5; a sample has 3 x 4 x 5 = 60 numbers, not 1 x 4 x 6 = 24; \
             `input left: [1, 4, 6]` in the net would take it"
        );
        assert_eq!(
            picture(&[2, 60]),
            "its 2 x 60 = 120 are 2 samples of 3 x 4 x 5 = 60; reshape it to [2, 3, 4, 5]"
        );
        assert_eq!(
            picture(&[7]),
            "its 7 are no multiple of 3 x 4 x 5 = 60, the numbers of a sample"
        );
        assert_eq!(
            misfit(&[2], &[5, 3], None),
            "number of features 3 in place of 2; a sample has 2 numbers, not 3"
        );
    }

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
