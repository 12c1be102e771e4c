//! Writing files so that they are either the old ones or the new ones, never half of each.
//!
//! The bytes go to a temporary file in the same folder, are forced to the disk, and then the
//! temporary file is renamed over the target, which the operating system does in one step. An error
//! before that leaves the old file as it was and removes the temporary one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::InFile;

/// Why a file could not be written; in every case the target is as it was before.
#[derive(Debug, Error)]
pub enum WriteProblem {
    /// The target is a folder.
    #[error("is a folder; a file name is needed")]
    IsFolder,
    /// The target's folder does not exist, or nothing can be created in it.
    #[error("cannot create a file in `{}`", folder.display())]
    Create {
        /// The folder of the target.
        folder: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The new content could not be produced or stored.
    #[error("cannot write")]
    Write {
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// A file that could not be written.
pub type WriteError = InFile<WriteProblem>;

/// Writes the file `path` through `fill`, all or nothing.
///
/// Links are followed, and an existing file keeps its permissions. A target that is no regular
/// file, such as
/// `/dev/null` or a pipe, is written directly: renaming over it would replace the device itself.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    write_inner(path, fill).map_err(|problem| InFile::new(path, problem))
}

fn write_inner(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteProblem> {
    let failed = |source| WriteProblem::Write { source };
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let existing = fs::metadata(&target).ok();
    match &existing {
        Some(meta) if meta.is_dir() => return Err(WriteProblem::IsFolder),
        Some(meta) if !meta.is_file() => {
            let mut device = OpenOptions::new()
                .write(true)
                .open(&target)
                .map_err(failed)?;
            return fill(&mut device).map_err(failed);
        }
        _ => {}
    }

    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let temporary = new_temporary(&folder, &target).map_err(|source| WriteProblem::Create {
        folder: folder.clone(),
        source,
    })?;
    let mut writer = BufWriter::new(temporary);
    fill(&mut writer)
        .and_then(|()| writer.flush())
        .map_err(failed)?;
    let temporary = writer.into_inner().map_err(|e| failed(e.into_error()))?;
    if let Some(meta) = existing {
        temporary
            .as_file()
            .set_permissions(meta.permissions())
            .map_err(failed)?;
    }
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(&target).map_err(|e| failed(e.error))?;
    sync_folder(&folder);
    Ok(())
}

/// Creates the temporary file with the permissions of any new file: the caller's mask applies, as
/// if the target itself had been created. The lock on it tells [`clean`] that its writer lives.
fn new_temporary(folder: &Path, target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let prefix = temporary_prefix(target);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder)?;
    // Where a file system has no locks, files of killed writers stay, and nothing else is lost.
    let _ = temporary.as_file().try_lock();
    Ok(temporary)
}

/// The end of the names of temporary files.
const SUFFIX: &str = ".tmp";
/// The random letters before it.
const RANDOM: usize = 6;
/// The letters of the target's name that are kept; with the rest, what file systems allow.
const MOST_LETTERS: usize = 60;

/// How the names of a target's temporary files begin.
fn temporary_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(MOST_LETTERS).collect();
    format!(".netc-{name}-")
}

/// Removes temporary files that writers of `path` have left behind because they were killed. Files
/// that are being written, and those of other targets, stay. What cannot be removed is left.
pub fn clean(path: &Path) {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let prefix = temporary_prefix(&target);
    let is_ours = |name: &str| {
        let random = name.strip_prefix(&prefix);
        let random = random.and_then(|rest| rest.strip_suffix(SUFFIX));
        random.is_some_and(|random| random.chars().count() == RANDOM && !random.contains('-'))
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(is_ours);
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_ours && is_file {
            let file = OpenOptions::new().write(true).open(entry.path());
            if file.is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Makes the renaming itself durable where a folder can be opened as a file. The new content is
/// complete either way, so a system that refuses this is no reason to report a failed write.
fn sync_folder(folder: &Path) {
    if let Ok(handle) = File::open(folder) {
        let _ = handle.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        for text in ["one", "two"] {
            write(&path, |w| w.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        let error = write(&path, |w| {
            w.write_all(&[b'x'; 100_000])?;
            Err(io::Error::other("disk full"))
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{}`: cannot write", path.display())
        );
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "disk full"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn removes_what_killed_writers_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let left = [
            ".netc-w.safetensors-a1B2c3.tmp",
            ".netc-w.safetensors-x.tmp",
        ];
        let others = [".netc-v.safetensors-a1B2c3.tmp", "w.safetensors-a1B2c3.tmp"];
        for name in left.iter().chain(&others) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let alive = new_temporary(folder.path(), &path).unwrap();
        clean(&path);
        let mut expected: Vec<String> = others.map(str::to_owned).to_vec();
        expected.push(left[1].to_owned());
        let alive = alive.path().file_name().unwrap().to_str().unwrap();
        expected.push(alive.to_owned());
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn names_the_folder_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such");
        let error = write(&missing.join("a.txt"), |_| Ok(())).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with(&format!("cannot create a file in `{}`", missing.display())),
            "{error}"
        );
        let error = write(folder.path(), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn follows_links_and_keeps_permissions_and_devices() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        write(&link, |w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );

        let null = folder.path().join("null");
        symlink("/dev/null", &null).unwrap();
        write(&null, |w| w.write_all(b"gone")).unwrap();
        assert!(
            fs::metadata("/dev/null")
                .unwrap()
                .file_type()
                .is_char_device()
        );
    }
}
