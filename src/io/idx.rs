//! The IDX format of the MNIST family: arrays of bytes, gzipped or not.
//!
//! A file is a big-endian magic number (two zero bytes, the type of the values, the number of
//! axes), one big-endian size for each axis, and the values. Whether a file is compressed is
//! decided by its first bytes and never by its name: both mix-ups, a `.gz` that was already
//! unpacked and an IDX file that is still packed, are common.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use thiserror::Error;

use super::{Guess, InFile};

/// The code of unsigned bytes, the only type of values that is read; the data sets of the family
/// use no other.
const UNSIGNED_BYTE: u8 = 0x08;

/// No compressor of the gzip format makes data more than this many times smaller. A header that
/// claims more is wrong, whatever follows.
const MAX_GZIP_RATIO: u64 = 1032;

/// An array of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxArray {
    /// The sizes, outermost axis first.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub data: Vec<u8>,
}

/// What can be wrong with an IDX file.
#[derive(Debug, Error)]
pub enum IdxProblem {
    /// The system refused to open or read it.
    #[error("cannot read")]
    Read {
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The compressed data is cut short or damaged.
    #[error("the gzip data is cut short or damaged")]
    Gzip {
        /// What the decompressor found.
        #[source]
        source: io::Error,
    },
    /// The file ends before its header does.
    #[error("holds {found} bytes{unpacked}, but an IDX header of {axes} axes has {expected}")]
    TooShort {
        /// The bytes there are.
        found: usize,
        /// The size of the header.
        expected: usize,
        /// The number of axes that the header should have.
        axes: usize,
        /// Whether the count is that of the decompressed data.
        unpacked: Unpacked,
    },
    /// The magic number is another one.
    #[error(
        "starts with the magic number {found:#010x}, expected {expected:#010x} ({what}){guess}"
    )]
    Magic {
        /// The number in the file.
        found: u32,
        /// The number that belongs there.
        expected: u32,
        /// What the expected number stands for.
        what: &'static str,
        /// What the file may be instead.
        guess: Guess,
    },
    /// The sizes cannot be those of this file.
    #[error("the header claims the sizes {shape:?}, more than a file of {found} bytes can hold")]
    TooLarge {
        /// The claimed sizes.
        shape: Vec<u32>,
        /// The length of the file.
        found: u64,
    },
    /// The values are fewer or more than the sizes need.
    #[error("the sizes {shape:?} need {expected} bytes of values, but {} follow{unpacked}", Found(*expected, *found))]
    WrongLength {
        /// The claimed sizes.
        shape: Vec<u32>,
        /// The bytes that the sizes need.
        expected: u64,
        /// The bytes that follow the header; counted up to one more than expected.
        found: u64,
        /// Whether the count is that of the decompressed data.
        unpacked: Unpacked,
    },
}

/// An IDX file that could not be used.
pub type IdxError = InFile<IdxProblem>;

/// Remarks in a message that bytes were counted after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked(bool);

impl fmt::Display for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { " after decompression" } else { "" })
    }
}

/// Shows a count of bytes that stopped at one more than expected.
struct Found(u64, u64);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(expected, found) = *self;
        if found > expected {
            f.write_str("more")
        } else {
            write!(f, "{found}")
        }
    }
}

/// Which of the family's two kinds of files is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdxKind {
    /// Pictures: count, height, width.
    Images,
    /// One number for each picture.
    Labels,
}

impl IdxKind {
    fn axes(self) -> usize {
        match self {
            Self::Images => 3,
            Self::Labels => 1,
        }
    }

    fn magic(self) -> u32 {
        u32::from(UNSIGNED_BYTE) << 8 | self.axes() as u32
    }

    fn what(self) -> &'static str {
        match self {
            Self::Images => "images, unsigned bytes with 3 axes",
            Self::Labels => "labels, unsigned bytes with 1 axis",
        }
    }
}

/// Reads a file, compressed or not, and checks all that it claims about itself.
pub fn read(path: &Path, kind: IdxKind) -> Result<IdxArray, IdxError> {
    read_inner(path, kind).map_err(|problem| InFile::new(path, problem))
}

fn read_inner(path: &Path, kind: IdxKind) -> Result<IdxArray, IdxProblem> {
    let failed = |source| IdxProblem::Read { source };
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut start = Vec::new();
    (&mut file)
        .take(16)
        .read_to_end(&mut start)
        .map_err(failed)?;
    file.rewind().map_err(failed)?;
    let reader = BufReader::new(file);
    if start.starts_with(b"\x1f\x8b") {
        let broken = |source| IdxProblem::Gzip { source };
        let source = Source {
            unpacked: Unpacked(true),
            length,
            capacity: length.saturating_mul(MAX_GZIP_RATIO),
        };
        parse(MultiGzDecoder::new(reader), kind, &source, broken)
    } else {
        let source = Source {
            unpacked: Unpacked(false),
            length,
            capacity: length,
        };
        parse(reader, kind, &source, failed)
    }
}

/// What is known about a file before its header is read.
struct Source {
    unpacked: Unpacked,
    length: u64,
    /// The most bytes that can come out of it.
    capacity: u64,
}

fn parse(
    mut reader: impl Read,
    kind: IdxKind,
    source: &Source,
    failed: impl Fn(io::Error) -> IdxProblem,
) -> Result<IdxArray, IdxProblem> {
    let header_length = 4 + 4 * kind.axes();
    let mut header = Vec::new();
    (&mut reader)
        .take(header_length as u64)
        .read_to_end(&mut header)
        .map_err(&failed)?;
    let (words, _) = header.as_chunks::<4>();
    let mut words = words.iter().map(|&bytes| u32::from_be_bytes(bytes));
    let too_short = IdxProblem::TooShort {
        found: header.len(),
        expected: header_length,
        axes: kind.axes(),
        unpacked: source.unpacked,
    };
    let Some(found) = words.next() else {
        return Err(too_short);
    };
    if found != kind.magic() {
        let guess = Guess::from_start(&header);
        return Err(IdxProblem::Magic {
            found,
            expected: kind.magic(),
            what: kind.what(),
            guess,
        });
    }
    if header.len() < header_length {
        return Err(too_short);
    }

    let sizes: Vec<u32> = words.collect();
    let product = sizes
        .iter()
        .try_fold(1_u64, |n, &size| n.checked_mul(u64::from(size)));
    let expected = match product {
        Some(expected) if expected <= source.capacity => expected,
        _ => {
            return Err(IdxProblem::TooLarge {
                shape: sizes,
                found: source.length,
            });
        }
    };
    // One byte more than expected is asked for: it shows a file that is too long, and it makes the
    // decompressor reach the checksum at the end of a file that is not.
    let mut data = Vec::new();
    reader
        .take(expected + 1)
        .read_to_end(&mut data)
        .map_err(&failed)?;
    let found = data.len() as u64;
    if found != expected {
        return Err(IdxProblem::WrongLength {
            shape: sizes,
            expected,
            found,
            unpacked: source.unpacked,
        });
    }
    let shape = sizes.into_iter().map(|size| size as usize).collect();
    Ok(IdxArray { shape, data })
}

#[cfg(test)]
mod tests;
