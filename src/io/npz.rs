//! NumPy's `.npz` files: zip archives with an `.npy` file for each array, as `savez` and `savez_compressed` write them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::InFile;
use super::npy::{NpyError, NpyProblem};

/// How many bytes a compressed one stands for at most: the longest match of DEFLATE, 258 bytes, in two bits (RFC 1951,
/// section 3.2.5).
const MOST_FOR_A_BYTE: u64 = 1032;

/// Whether a path is named like such a file.
#[must_use]
pub fn is_npz(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("npz"))
}

/// The names of the arrays in a file, in alphabetical order.
///
/// # Errors
///
/// The file cannot be read, or is no archive.
pub fn names(path: &Path) -> Result<Vec<String>, NpyError> {
    open(path)
        .map(|archive| names_in(&archive))
        .map_err(|problem| InFile::new(path, problem))
}

/// The bytes of the `.npy` file of an array.
pub(super) fn member(path: &Path, name: &str) -> Result<Vec<u8>, NpyProblem> {
    let mut archive = open(path)?;
    let found = names_in(&archive);
    let mut file = match archive.by_name(&format!("{name}.npy")) {
        Err(ZipError::FileNotFound) => {
            let name = name.to_owned();
            return Err(NpyProblem::NoMember { name, found });
        }
        other => other.map_err(not_zip)?,
    };
    let (claimed, packed) = (file.size(), file.compressed_size());
    if claimed > packed.saturating_mul(MOST_FOR_A_BYTE) {
        return Err(NpyProblem::TooDense { claimed, packed });
    }
    let mut bytes = Vec::new();
    let read = file.by_ref().take(claimed).read_to_end(&mut bytes);
    // The checksum is compared where the end is reached.
    read.and_then(|_| file.read(&mut [0]))
        .map_err(|source| NpyProblem::Read { source })?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<ZipArchive<File>, NpyProblem> {
    let file = File::open(path).map_err(|source| NpyProblem::Read { source })?;
    ZipArchive::new(file).map_err(not_zip)
}

fn not_zip(source: ZipError) -> NpyProblem {
    NpyProblem::Archive { source }
}

fn names_in(archive: &ZipArchive<File>) -> Vec<String> {
    let files = archive.file_names().filter_map(Result::ok);
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.strip_suffix(".npy")?.to_owned()))
        .collect();
    names.sort_unstable();
    names
}
