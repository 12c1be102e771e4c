//! File formats: reading what others wrote without trusting it, writing so that no crash leaves
//! half a file.
//!
//! Every reader compares what a header claims with what the file really holds *before* it
//! allocates, so that a damaged or hostile file costs an error message and not the machine's
//! memory. This module knows formats only; what the tensors mean is decided above.

pub mod atomic;
pub mod idx;
pub mod image;
pub mod near;
pub mod npy;
pub mod npz;
pub mod resample;
pub mod weights;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// A problem with one file: the message names the file, the problem says what was expected and what
/// was found.
///
/// The readers of this module share this frame, so every message about a file begins alike;
/// [`Error::source`] goes straight to the cause of the problem, because the problem itself is part
/// of the message already.
#[derive(Debug)]
pub struct InFile<P> {
    /// The file as the user named it.
    pub path: PathBuf,
    /// What is wrong with it. On the heap, because results that carry it are passed up many times.
    pub problem: Box<P>,
}

impl<P> InFile<P> {
    /// Names the file in which `problem` was found.
    pub fn new(path: &Path, problem: P) -> Self {
        Self {
            path: path.to_path_buf(),
            problem: Box::new(problem),
        }
    }
}

impl<P: fmt::Display> fmt::Display for InFile<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path.display(), self.problem)
    }
}

impl<P: Error> Error for InFile<P> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}

/// What a file seems to be that is not what its reader wanted, judged by its first bytes.
///
/// A wrong file is far more often a mix-up (a failed download, another program's format) than
/// damage; naming what is there saves the user the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess(Option<&'static str>);

impl Guess {
    /// Judges a file by its first bytes (sixteen are enough).
    #[must_use]
    pub fn from_start(start: &[u8]) -> Self {
        let known: [(&[u8], &str); 8] = [
            (b"\x1f\x8b", "a gzip file"),
            (
                b"PK\x03\x04",
                "a zip archive, as PyTorch's `torch.save` and NumPy's `savez` write",
            ),
            (b"\x93NUMPY", "a NumPy array (`.npy`)"),
            (b"\x89HDF", "an HDF5 file, as Keras writes"),
            (b"\x89PNG", "a PNG picture"),
            (b"\xff\xd8\xff", "a JPEG picture"),
            (b"\x80\x02", "a Python pickle"),
            (b"<", "HTML or XML, perhaps a failed download"),
        ];
        let text = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~');
        let found = known
            .iter()
            .find(|(magic, _)| start.starts_with(magic))
            .map(|&(_, name)| name);
        Self(
            found.or_else(|| (start.len() >= 4 && start.iter().all(text)).then_some("a text file")),
        )
    }
}

impl fmt::Display for Guess {
    /// Empty, or a remark that continues a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(name) => write!(f, " (it looks like {name})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_what_a_file_is() {
        let check = |start: &[u8], expected: &str| {
            assert_eq!(Guess::from_start(start).to_string(), expected)
        };
        check(b"\x1f\x8b\x08\x00", " (it looks like a gzip file)");
        check(
            b"<!DOCTYPE html>",
            " (it looks like HTML or XML, perhaps a failed download)",
        );
        check(b"version https://", " (it looks like a text file)");
        check(b"\x00\x00\x08\x03", "");
        check(b"", "");
    }
}
