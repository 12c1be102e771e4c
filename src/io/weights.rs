//! Weights in the safetensors format: named f32 tensors and a few strings about them.
//!
//! A file is an 8-byte header length, a JSON header that gives each tensor's type, shape and place,
//! and the values. PyTorch reads and writes the same format, so weights travel both ways. A
//! tensor's shape is the one PyTorch uses: a convolution's weight is `[out, in / groups, height,
//! width]`, a dense layer's `[out, in]`. A *square* dense weight that was stored the other way
//! round cannot be told from a right one.
//!
//! The reader takes the header in first, checks every claim in it against the length of the file,
//! and then fetches one tensor at a time through a small buffer, so memory is bounded by what the
//! file holds and not by what it claims. The writer streams too, and keeps the caller's order, so
//! equal weights give equal bytes.

mod fit;
mod float;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorInfo};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use thiserror::Error;

pub use self::fit::{Difference, Differing, difference, fit};
use self::float::FloatFormat;
pub use self::write::{NamedTensor, write};
use super::{Guess, InFile};
use crate::tensor::{Tensor, element_count};

/// The longest header that is read. Ten thousand tensors need about 1 MiB; the limit keeps the
/// memory for parsing a hostile header in the same range as that of a large network's weights.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// The size of the header length itself.
const LENGTH_BYTES: u64 = 8;

/// The key under which the strings stand in the header, between the tensors.
const METADATA_KEY: &str = "__metadata__";

/// The size of the buffer through which values are read and written; a multiple of every value's
/// size.
const CHUNK_BYTES: usize = 64 << 10;

/// What can be wrong with a weights file.
#[derive(Debug, Error)]
pub enum WeightsProblem {
    /// The system refused to open or read it.
    #[error("cannot read")]
    Read {
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It is shorter than the header length.
    #[error(
        "holds {found} bytes; a safetensors file starts with {LENGTH_BYTES} bytes of header length"
    )]
    TooShort {
        /// The length of the file.
        found: u64,
    },
    /// The header length points beyond the end.
    #[error("the header claims {claimed} bytes, but the file holds {found} in all{guess}")]
    HeaderBeyondFile {
        /// The header length as stored.
        claimed: u64,
        /// The length of the file.
        found: u64,
        /// What the file may be instead.
        guess: Guess,
    },
    /// The header is longer than any real one.
    #[error("the header claims {claimed} bytes; at most {MAX_HEADER_BYTES} are read")]
    HeaderTooLarge {
        /// The header length as stored.
        claimed: u64,
    },
    /// The header is not the JSON that the format prescribes.
    #[error("the header of {length} bytes is not that of a safetensors file")]
    Header {
        /// The header length.
        length: u64,
        /// Where the parser stopped.
        #[source]
        source: serde_json::Error,
    },
    /// Two entries have the same name.
    #[error("tensor `{name}` is listed twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A shape's element count overflows.
    #[error("tensor `{name}` claims the shape {shape:?}, which is too large to address")]
    TooLarge {
        /// The tensor.
        name: String,
        /// The claimed shape.
        shape: Vec<usize>,
    },
    /// A tensor's shape and its range of bytes contradict each other.
    #[error(
        "tensor `{name}` of shape {shape:?} and type {dtype} needs {expected} bytes, \
         but its entry claims bytes {} to {}", range.0, range.1
    )]
    WrongSize {
        /// The tensor.
        name: String,
        /// The claimed shape.
        shape: Vec<usize>,
        /// The claimed type.
        dtype: Dtype,
        /// The bytes that follow from shape and type.
        expected: u128,
        /// The claimed first byte and end.
        range: (usize, usize),
    },
    /// A tensor does not start where the one before it ends: they overlap, or a gap hides
    /// something.
    #[error(
        "the data of tensor `{name}` starts at byte {found}, expected {expected}, where the data before it ends"
    )]
    NotContiguous {
        /// The tensor.
        name: String,
        /// The end of the tensor before it.
        expected: usize,
        /// The claimed start.
        found: usize,
    },
    /// The values are fewer or more than the header describes.
    #[error("the header describes {expected} bytes of values, but {found} follow it")]
    WrongLength {
        /// The bytes that the header describes.
        expected: u64,
        /// The bytes after the header.
        found: u64,
    },
    /// A tensor was asked for that the file does not have.
    #[error("holds no tensor `{name}`")]
    NotFound {
        /// The name.
        name: String,
    },
    /// A tensor has another shape than the place it should go to.
    #[error("tensor `{name}` holds {found} values, expected {expected}")]
    WrongCount {
        /// The tensor.
        name: String,
        /// The size of the place.
        expected: usize,
        /// The values in the file.
        found: usize,
    },
    /// A tensor's type is not a floating-point type that converts to f32.
    #[error("tensor `{name}` has type {dtype}, expected F32, F64, F16 or BF16")]
    WrongType {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
    },
    /// The tensors are not those of the network.
    #[error("the weights do not fit the network{0}")]
    Misfit(Difference),
}

/// A weights file that could not be used.
pub type WeightsError = InFile<WeightsProblem>;

/// An open weights file whose header has been checked.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    file: File,
    data_start: u64,
    entries: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl WeightsFile {
    /// Opens a file, reads its header and checks all that it claims; no value is read yet.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        Self::open_inner(path).map_err(|problem| InFile::new(path, problem))
    }

    fn open_inner(path: &Path) -> Result<Self, WeightsProblem> {
        let mut file = File::open(path).map_err(read_failed)?;
        let file_length = file.metadata().map_err(read_failed)?.len();
        if file_length < LENGTH_BYTES {
            return Err(WeightsProblem::TooShort { found: file_length });
        }
        let mut prefix = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut prefix).map_err(read_failed)?;
        let claimed = u64::from_le_bytes(prefix);
        let after_prefix = file_length - LENGTH_BYTES;
        if claimed > after_prefix {
            let guess = Guess::from_start(&prefix);
            return Err(WeightsProblem::HeaderBeyondFile {
                claimed,
                found: file_length,
                guess,
            });
        }
        if claimed > MAX_HEADER_BYTES {
            return Err(WeightsProblem::HeaderTooLarge { claimed });
        }
        let mut text = Vec::new();
        (&mut file)
            .take(claimed)
            .read_to_end(&mut text)
            .map_err(read_failed)?;
        let header: Header =
            serde_json::from_slice(&text).map_err(|source| WeightsProblem::Header {
                length: claimed,
                source,
            })?;
        check_places(&header.tensors, after_prefix - claimed)?;

        let mut entries = BTreeMap::new();
        for (name, info) in header.tensors {
            if entries.contains_key(&name) {
                return Err(WeightsProblem::Duplicate { name });
            }
            entries.insert(name, info);
        }
        let data_start = LENGTH_BYTES + claimed;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            data_start,
            entries,
            metadata: header.metadata,
        })
    }

    /// The file as the user named it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The strings stored beside the tensors.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names and shapes of all tensors, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.entries
            .iter()
            .map(|(name, info)| (name.as_str(), info.shape.as_slice()))
    }

    /// Reads one tensor; F64, F16 and BF16 values are converted to f32.
    pub fn read(&mut self, name: &str) -> Result<Tensor, WeightsError> {
        let info = self.entries.get(name).ok_or_else(|| self.not_found(name))?;
        let mut tensor = Tensor::zeros(info.shape.clone())
            .map_err(|_| self.problem(too_large(name, &info.shape)))?;
        self.read_into(name, tensor.data_mut())?;
        Ok(tensor)
    }

    /// Reads one tensor's values into their place; F64, F16 and BF16 values are converted to f32.
    ///
    /// The caller has compared the shapes with [`fit`]; here only the number of values is checked.
    pub fn read_into(&mut self, name: &str, out: &mut [f32]) -> Result<(), WeightsError> {
        let info = self.entries.get(name).ok_or_else(|| self.not_found(name))?;
        let name = name.to_owned();
        let Some(format) = FloatFormat::of(info.dtype) else {
            return Err(self.problem(WeightsProblem::WrongType {
                name,
                dtype: info.dtype,
            }));
        };
        let (begin, end) = info.data_offsets;
        let found = (end - begin) / format.size();
        if found != out.len() {
            return Err(self.problem(WeightsProblem::WrongCount {
                name,
                expected: out.len(),
                found,
            }));
        }
        let start = self.data_start + begin as u64;
        copy_values(&mut self.file, start, format, out)
            .map_err(|e| InFile::new(&self.path, read_failed(e)))
    }

    fn problem(&self, problem: WeightsProblem) -> WeightsError {
        InFile::new(&self.path, problem)
    }

    fn not_found(&self, name: &str) -> WeightsError {
        self.problem(WeightsProblem::NotFound {
            name: name.to_owned(),
        })
    }
}

fn read_failed(source: io::Error) -> WeightsProblem {
    WeightsProblem::Read { source }
}

fn too_large(name: &str, shape: &[usize]) -> WeightsProblem {
    WeightsProblem::TooLarge {
        name: name.to_owned(),
        shape: shape.to_vec(),
    }
}

/// The header's entries in the order of the text. A map type would drop the first of two equal
/// names silently.
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header {
                    metadata: BTreeMap::new(),
                    tensors: Vec::new(),
                };
                while let Some(key) = map.next_key::<String>()? {
                    if key == METADATA_KEY {
                        header.metadata = map.next_value()?;
                    } else {
                        header.tensors.push((key, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Checks that the tensors lie one after the other, without overlap or gap, and fill exactly the
/// `available` bytes.
fn check_places(tensors: &[(String, TensorInfo)], available: u64) -> Result<(), WeightsProblem> {
    let mut by_place: Vec<_> = tensors.iter().collect();
    by_place.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in by_place {
        let count = element_count(&info.shape).ok_or_else(|| too_large(name, &info.shape))?;
        let expected = (count as u128 * info.dtype.bitsize() as u128).div_ceil(8);
        let (first, last) = info.data_offsets;
        if last.checked_sub(first).map(|n| n as u128) != Some(expected) {
            let (name, shape, dtype) = (name.clone(), info.shape.clone(), info.dtype);
            return Err(WeightsProblem::WrongSize {
                name,
                shape,
                dtype,
                expected,
                range: (first, last),
            });
        }
        if first != end {
            return Err(WeightsProblem::NotContiguous {
                name: name.clone(),
                expected: end,
                found: first,
            });
        }
        end = last;
    }
    if end as u64 == available {
        Ok(())
    } else {
        Err(WeightsProblem::WrongLength {
            expected: end as u64,
            found: available,
        })
    }
}

fn copy_values(
    file: &mut File,
    start: u64,
    format: FloatFormat,
    out: &mut [f32],
) -> io::Result<()> {
    file.seek(SeekFrom::Start(start))?;
    let mut buffer = vec![0; CHUNK_BYTES.min(out.len() * format.size())];
    for part in out.chunks_mut(CHUNK_BYTES / format.size()) {
        let bytes = &mut buffer[..part.len() * format.size()];
        file.read_exact(bytes)?;
        format.convert(bytes, part);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
