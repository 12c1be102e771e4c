//! Where the text of used files comes from: the disk, or memory.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

/// Where the text of used files comes from.
pub trait Sources {
    /// The first bytes of a file, at most `limit`.
    ///
    /// # Errors
    ///
    /// There is no such file, or it cannot be read.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// The same path for all paths of one file, so that no file is taken in twice.
    fn identity(&self, path: &Path) -> PathBuf;

    /// Names of the `.net` files in a folder, for suggestions.
    fn nets_in(&self, folder: &Path) -> Vec<String>;
}

/// Files of the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Sources for Disk {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        // A pipe would be waited for without end.
        if !std::fs::metadata(path)?.is_file() {
            let problem = "it is not a file with text";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        std::fs::File::open(path)?
            .take(limit)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| plain(path))
    }

    fn nets_in(&self, folder: &Path) -> Vec<String> {
        /// A folder may hold any number of files; a suggestion is not worth reading them all.
        const LOOKED_AT: usize = 1000;
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let names = entries.take(LOOKED_AT).filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.ends_with(".net").then_some(name)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// Texts in memory, by path.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    texts: BTreeMap<PathBuf, Vec<u8>>,
}

impl Texts {
    /// No texts: a program of one file, which may use what is shipped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text under a path.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Path>, text: impl Into<Vec<u8>>) -> Self {
        self.texts.insert(plain(path.as_ref()), text.into());
        self
    }
}

impl Sources for Texts {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let text = self.texts.get(&plain(path));
        let text = text.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(text[..text.len().min(limit)].to_vec())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        plain(path)
    }

    fn nets_in(&self, folder: &Path) -> Vec<String> {
        let folder = plain(folder);
        let inside = self
            .texts
            .keys()
            .filter(|path| path.parent() == Some(&folder));
        inside
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect()
    }
}

/// A path without `.` and, where a folder stands in front of it, without `..`.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(plain.components().next_back(), Some(Component::Normal(_))) =>
            {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_paths_are_one() {
        assert_eq!(plain(Path::new("./a/../b/./c.net")), Path::new("b/c.net"));
        assert_eq!(plain(Path::new("../a.net")), Path::new("../a.net"));
        assert_eq!(plain(Path::new("../../a.net")), Path::new("../../a.net"));
    }

    #[test]
    fn texts_are_found_by_any_spelling() {
        let texts = Texts::new().with("a/b.net", "text");
        let read = |path: &str| texts.read(Path::new(path), 3);
        assert_eq!(read("./a/c/../b.net").unwrap(), b"tex");
        assert_eq!(read("b.net").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(texts.nets_in(Path::new("./a")), ["b.net"]);
    }
}
