//! NumPy's `.npy` files, alone or in an `.npz` file: inputs and outputs of `run`, and the reference values of the tests.
//!
//! A file is a magic string, a header length, a Python dictionary that gives type, order and shape,
//! and the values. The `npyz` crate interprets the dictionary and the values. It trusts the file,
//! though: it allocates the header at the claimed length, recurses into nested brackets and
//! multiplies the sizes unchecked. So the header is looked through here first (in `header.rs`), and
//! only a file whose claims fit its length is handed on.

mod header;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::Path;

use npyz::{DType, Deserialize, NpyFile, Order, TypeChar, WriterBuilder};
use thiserror::Error;
use zip::result::ZipError;

use super::atomic::{self, WriteError};
use super::{Guess, InFile, npz};
use crate::tensor::{Tensor, element_count};

/// What can be wrong with a `.npy` file.
#[derive(Debug, Error)]
pub enum NpyProblem {
    /// The system refused to open or read it.
    #[error("cannot read")]
    Read {
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The first bytes are not those of the format.
    #[error("holds {found} bytes and does not start as a NumPy array (`.npy`) does{guess}")]
    NotNpy {
        /// The length of the file.
        found: u64,
        /// What the file may be instead.
        guess: Guess,
    },
    /// The archive cannot be read as one.
    #[error("is no zip archive that can be read")]
    Archive {
        /// The library's answer.
        #[source]
        source: ZipError,
    },
    /// An archive lacks an array.
    #[error("holds no array `{name}`: it has {}", listed(found))]
    NoMember {
        /// The array that was wanted.
        name: String,
        /// Those that are there.
        found: Vec<String>,
    },
    /// An archive claims more than compression can do.
    #[error(
        "claims {claimed} bytes in {packed} compressed ones, which no compression of `.npz` files reaches"
    )]
    TooDense {
        /// The bytes that are said to come out.
        claimed: u64,
        /// The bytes that are there.
        packed: u64,
    },
    /// The header length points beyond the end.
    #[error("the header claims {claimed} bytes, but only {found} follow")]
    HeaderBeyondFile {
        /// The header length as stored.
        claimed: u64,
        /// The bytes that follow it.
        found: u64,
    },
    /// The header is longer than that of any array of numbers.
    #[error(
        "the header claims {claimed} bytes; at most {} are read",
        header::MAX_BYTES
    )]
    HeaderTooLarge {
        /// The header length as stored.
        claimed: u64,
    },
    /// The header holds something that no array of numbers needs.
    #[error("the header is not that of an array of numbers: {detail}")]
    HeaderContent {
        /// What was found.
        detail: String,
    },
    /// The header is malformed in a way that the library found.
    #[error("the header cannot be understood")]
    Header {
        /// The library's answer.
        #[source]
        source: io::Error,
    },
    /// The shape's element count overflows.
    #[error("the header claims sizes whose product is too large to address")]
    TooLarge,
    /// The values are not of a type that is read here.
    #[error("the values have type {found}, expected {expected}")]
    WrongType {
        /// NumPy's name of the type.
        found: String,
        /// The types that would do.
        expected: &'static str,
    },
    /// The values are fewer or more than the shape needs.
    #[error(
        "an array of shape {shape:?} and type {dtype} needs {expected} bytes of values, but the file holds {found}"
    )]
    WrongLength {
        /// The claimed shape.
        shape: Vec<usize>,
        /// NumPy's name of the type.
        dtype: String,
        /// The bytes that shape and type need.
        expected: u64,
        /// The bytes after the header.
        found: u64,
    },
    /// A whole number is beyond the range of a signed 64-bit number.
    #[error("value {value} at place {place} is too large")]
    IndexTooLarge {
        /// The value.
        value: u64,
        /// Its place in the order of the file.
        place: usize,
    },
}

/// A `.npy` file that could not be used.
pub type NpyError = InFile<NpyProblem>;

/// Reads an array of floating-point or whole numbers as f32, in C order whatever the file's order.
///
/// Numbers that f32 does not hold are rounded to the nearest, as NumPy's `astype` does. Use
/// [`read_indices`] for labels.
pub fn read(path: &Path) -> Result<Tensor, NpyError> {
    tensor(path, None)
}

/// As [`read`]; of an `.npz` file the array of that name.
pub fn read_named(path: &Path, name: &str) -> Result<Tensor, NpyError> {
    tensor(path, Some(name).filter(|_| npz::is_npz(path)))
}

fn tensor(path: &Path, member: Option<&str>) -> Result<Tensor, NpyError> {
    let read = || {
        let array = Array::open(path, member)?;
        let shape = array.shape.clone();
        let values = match (array.kind, array.size) {
            (TypeChar::Float, 4) => array.values(|x: f32| x),
            (TypeChar::Float, 8) => array.values(|x: f64| x as f32),
            (TypeChar::Int, 1) => array.values(|x: i8| f32::from(x)),
            (TypeChar::Int, 2) => array.values(|x: i16| f32::from(x)),
            (TypeChar::Int, 4) => array.values(|x: i32| x as f32),
            (TypeChar::Int, 8) => array.values(|x: i64| x as f32),
            (TypeChar::Uint, 1) => array.values(|x: u8| f32::from(x)),
            (TypeChar::Uint, 2) => array.values(|x: u16| f32::from(x)),
            (TypeChar::Uint, 4) => array.values(|x: u32| x as f32),
            (TypeChar::Uint, 8) => array.values(|x: u64| x as f32),
            _ => Err(array.wrong_type("f4, f8, i1 to i8 or u1 to u8")),
        }?;
        Tensor::new(shape, values).map_err(|_| NpyProblem::TooLarge)
    };
    read().map_err(|problem| in_file(path, member, problem))
}

/// Reads an array of whole numbers, such as labels: its shape, and its values in C order.
pub fn read_indices(path: &Path) -> Result<(Vec<usize>, Vec<i64>), NpyError> {
    indices(path, None)
}

/// As [`read_indices`]; of an `.npz` file the array of that name.
pub fn read_indices_named(path: &Path, name: &str) -> Result<(Vec<usize>, Vec<i64>), NpyError> {
    indices(path, Some(name).filter(|_| npz::is_npz(path)))
}

fn indices(path: &Path, member: Option<&str>) -> Result<(Vec<usize>, Vec<i64>), NpyError> {
    let read = || {
        let array = Array::open(path, member)?;
        let shape = array.shape.clone();
        let values = match (array.kind, array.size) {
            (TypeChar::Int, 1) => array.values(|x: i8| i64::from(x)),
            (TypeChar::Int, 2) => array.values(|x: i16| i64::from(x)),
            (TypeChar::Int, 4) => array.values(|x: i32| i64::from(x)),
            (TypeChar::Int, 8) => array.values(|x: i64| x),
            (TypeChar::Uint, 1) => array.values(|x: u8| i64::from(x)),
            (TypeChar::Uint, 2) => array.values(|x: u16| i64::from(x)),
            (TypeChar::Uint, 4) => array.values(|x: u32| i64::from(x)),
            (TypeChar::Uint, 8) => {
                let values: Vec<u64> = array.values(|x| x)?;
                let index = |(place, &value)| {
                    i64::try_from(value).map_err(|_| NpyProblem::IndexTooLarge { value, place })
                };
                values.iter().enumerate().map(index).collect()
            }
            _ => Err(array.wrong_type("i1 to i8 or u1 to u8")),
        }?;
        Ok((shape, values))
    };
    read().map_err(|problem| in_file(path, member, problem))
}

/// Names the file in which a problem was found, and of an archive the array.
fn in_file(path: &Path, member: Option<&str>, problem: NpyProblem) -> NpyError {
    match (member, &problem) {
        (None, _) | (_, NpyProblem::Archive { .. } | NpyProblem::NoMember { .. }) => {
            InFile::new(path, problem)
        }
        (Some(name), _) => InFile::new(&path.join(format!("{name}.npy")), problem),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// Writes f32 values in C order, all or nothing.
///
/// # Panics
///
/// If the shape and the number of values contradict each other.
pub fn write(path: &Path, shape: &[usize], data: &[f32]) -> Result<(), WriteError> {
    assert_eq!(
        element_count(shape),
        Some(data.len()),
        "the values fill the shape {shape:?}"
    );
    let shape: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    atomic::write(path, |writer| {
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(writer)
            .begin_nd()?;
        writer.extend(data.iter().copied())?;
        writer.finish()
    })
}

/// What an array is read from.
trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// An open file whose header has been checked, before its values are read.
struct Array {
    file: NpyFile<BufReader<Box<dyn Source>>>,
    shape: Vec<usize>,
    order: Order,
    kind: TypeChar,
    size: u64,
    /// NumPy's name of the type, such as `<f4`.
    dtype: String,
    /// How many bytes of values follow.
    available: u64,
}

impl Array {
    /// Opens a file, or an array of an archive.
    fn open(path: &Path, member: Option<&str>) -> Result<Self, NpyProblem> {
        let (mut file, length): (Box<dyn Source>, u64) = match member {
            Some(name) => {
                let bytes = npz::member(path, name)?;
                let length = bytes.len() as u64;
                (Box::new(Cursor::new(bytes)), length)
            }
            None => {
                let file = File::open(path).map_err(read_failed)?;
                let length = file.metadata().map_err(read_failed)?.len();
                (Box::new(file), length)
            }
        };
        let data_start = header::check(&mut file, length)?;
        file.rewind().map_err(read_failed)?;
        let file =
            NpyFile::new(BufReader::new(file)).map_err(|source| NpyProblem::Header { source })?;

        let sizes: Option<Vec<usize>> = file
            .shape()
            .iter()
            .map(|&size| usize::try_from(size).ok())
            .collect();
        let shape = sizes
            .filter(|shape| element_count(shape).is_some())
            .ok_or(NpyProblem::TooLarge)?;
        let DType::Plain(scalar) = file.dtype() else {
            let detail = "it has records".to_owned();
            return Err(NpyProblem::HeaderContent { detail });
        };
        Ok(Self {
            shape,
            order: file.order(),
            kind: scalar.type_char(),
            size: scalar.size_field(),
            dtype: scalar.to_string(),
            available: length - data_start,
            file,
        })
    }

    fn wrong_type(&self, expected: &'static str) -> NpyProblem {
        NpyProblem::WrongType {
            found: self.dtype.clone(),
            expected,
        }
    }

    /// Reads all values, which the caller knows to have type `T`, converted and in C order.
    fn values<T: Deserialize, U: Copy>(
        self,
        convert: impl Fn(T) -> U,
    ) -> Result<Vec<U>, NpyProblem> {
        let Self {
            file,
            shape,
            order,
            size,
            dtype,
            available,
            ..
        } = self;
        let count = element_count(&shape).ok_or(NpyProblem::TooLarge)?;
        let expected = (count as u64).saturating_mul(size);
        if expected != available {
            return Err(NpyProblem::WrongLength {
                shape,
                dtype,
                expected,
                found: available,
            });
        }
        let stored = file
            .data::<T>()
            .map_err(|e| read_failed(io::Error::other(e)))?;
        let mut values = Vec::with_capacity(count);
        for value in stored {
            values.push(convert(value.map_err(read_failed)?));
        }
        Ok(match order {
            Order::C => values,
            Order::Fortran => from_fortran_order(&shape, &values),
        })
    }
}

fn read_failed(source: io::Error) -> NpyProblem {
    NpyProblem::Read { source }
}

/// Reorders values whose first index varies fastest so that the last one does.
fn from_fortran_order<T: Copy>(shape: &[usize], values: &[T]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut place = 0;
    let mut ordered = Vec::with_capacity(values.len());
    while ordered.len() < values.len() {
        ordered.push(values[place]);
        // Count the index up by one in C order, and move the place along with every digit that
        // changes.
        let mut stride = values.len();
        for (digit, &size) in index.iter_mut().zip(shape).rev() {
            stride /= size;
            *digit += 1;
            place += stride;
            if *digit < size {
                break;
            }
            place -= size * stride;
            *digit = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
