//! Comparing the tensors of a file with those that a network expects.

use std::collections::BTreeSet;
use std::fmt;

use safetensors::tensor::Dtype;

use super::float::FloatFormat;
use super::{WeightsError, WeightsFile, WeightsProblem};

/// How the tensors of a file differ from those of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Expected by the network, not in the file.
    pub missing: Vec<(String, Vec<usize>)>,
    /// In the file, unknown to the network.
    pub extra: Vec<(String, Vec<usize>)>,
    /// In both, but not alike.
    pub differing: Vec<Differing>,
}

/// A tensor that the file and the network both have, with another shape or a type that does not
/// convert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The tensor.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
    /// The file's type, where that is the trouble.
    pub wrong_type: Option<Dtype>,
}

/// Checks that a file has exactly the tensors of a network: `expected` lists names and shapes.
///
/// The error holds everything that does not fit, so that one run shows it all. Tensors named
/// `….num_batches_tracked` do not count as extra: PyTorch stores a step counter of that name with
/// every batch normalisation.
pub fn fit(expected: &[(String, Vec<usize>)], file: &WeightsFile) -> Result<(), WeightsError> {
    let difference = difference(expected, file);
    if difference == Difference::default() {
        return Ok(());
    }
    Err(file.problem(WeightsProblem::Misfit(difference)))
}

/// Compares a file with a network, as [`fit`] does, for callers that go on with the tensors that do
/// fit.
#[must_use]
pub fn difference(expected: &[(String, Vec<usize>)], file: &WeightsFile) -> Difference {
    let mut difference = Difference::default();
    let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    for (name, shape) in expected {
        match file.entries.get(name) {
            None => difference.missing.push((name.clone(), shape.clone())),
            Some(info) => {
                let wrong_type = FloatFormat::of(info.dtype).is_none().then_some(info.dtype);
                if info.shape != *shape || wrong_type.is_some() {
                    let (name, expected, found) = (name.clone(), shape.clone(), info.shape.clone());
                    difference.differing.push(Differing {
                        name,
                        expected,
                        found,
                        wrong_type,
                    });
                }
            }
        }
    }
    for (name, shape) in file.tensors() {
        if !known.contains(name) && !name.ends_with(".num_batches_tracked") {
            difference.extra.push((name.to_owned(), shape.to_vec()));
        }
    }
    difference
}

impl fmt::Display for Difference {
    /// One indented paragraph for each list that is not empty, to follow the first line of a
    /// message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_and_shape = |(name, shape): &(String, Vec<usize>)| format!("{name} {shape:?}");
        list(f, "missing from the file", &self.missing, name_and_shape)?;
        list(
            f,
            "in the file but not in the network",
            &self.extra,
            name_and_shape,
        )?;
        list(
            f,
            "different in the file",
            &self.differing,
            ToString::to_string,
        )
    }
}

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {:?}, expected {:?}",
            self.name, self.found, self.expected
        )?;
        if let Some(dtype) = self.wrong_type {
            write!(f, "; its type is {dtype}, expected F32, F64, F16 or BF16")?;
        }
        match (self.found.as_slice(), self.expected.as_slice()) {
            (&[a, b], &[c, d]) if a != b && (a, b) == (d, c) => {
                write!(
                    f,
                    "; it seems to be transposed: a dense layer's weight is stored as [out, in]"
                )
            }
            _ => Ok(()),
        }
    }
}

/// Writes at most this many items of a list: weights of another network differ in hundreds of
/// tensors, and the first few show which network it is.
const MAX_LISTED: usize = 12;

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    show: impl Fn(&T) -> String,
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "\n  {title} ({}):", items.len())?;
    for item in items.iter().take(MAX_LISTED) {
        write!(f, "\n    {}", show(item))?;
    }
    match items.len().saturating_sub(MAX_LISTED) {
        0 => Ok(()),
        more => write!(f, "\n    and {more} more"),
    }
}
