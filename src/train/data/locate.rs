//! Finding a data set by its name or folder.

use std::path::{Path, PathBuf};

use super::{DataError, arrays, pictures};

/// Where the Debian package `dataset-fashion-mnist` puts its files.
const DEBIAN_FOLDER: &str = "/usr/share/datasets/fashion-mnist";

/// Where the source tree keeps the small set, below its top.
const SMALL_FOLDER: &str = "examples/data/fashion-mnist-small";

/// The class names of Fashion-MNIST, in the order of the labels.
const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// What the classes of a known set are called, whether its files are there or not.
#[must_use]
pub fn class_names(name: &str) -> Option<&'static [&'static str]> {
    matches!(name, "fashion_mnist" | "fashion_mnist_small").then_some(&FASHION_CLASSES[..])
}

/// Where else to look for data.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The folder that the user named for a set that has a name. Only there is looked then: to
    /// train on other data than asked for would be worse than an error.
    pub folder: Option<&'a Path>,
    /// The `.net` file, if there is one: relative folders may be meant from there.
    pub net_file: Option<&'a Path>,
}

/// A data set that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The four samples of exclusive or, which need no file.
    Xor,
    /// Four IDX files.
    Idx {
        /// The name or folder it was found by.
        name: String,
        /// The four files.
        files: IdxFiles,
        /// What the labels stand for, or `None` if the labels themselves have to tell.
        class_names: Option<&'static [&'static str]>,
    },
    /// Pictures in a folder for each class.
    Pictures {
        /// The folder.
        folder: PathBuf,
    },
    /// NumPy arrays.
    Arrays {
        /// The folder.
        folder: PathBuf,
    },
}

/// The four files of a set of the MNIST family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxFiles {
    /// Images to train on.
    pub train_images: PathBuf,
    /// Their labels.
    pub train_labels: PathBuf,
    /// Images to test on.
    pub test_images: PathBuf,
    /// Their labels.
    pub test_labels: PathBuf,
}

/// The family's file names: first part and number of axes.
const STEMS: [(&str, u8); 4] = [
    ("train-images", 3),
    ("train-labels", 1),
    ("t10k-images", 3),
    ("t10k-labels", 1),
];

/// The four file names as the sets are distributed.
pub(super) fn file_names() -> [String; 4] {
    STEMS.map(|(stem, axes)| format!("{stem}-idx{axes}-ubyte.gz"))
}

/// Finds the data set called `name`: one of the known sets, or a folder with the four files of a
/// set of the MNIST family.
pub fn locate(name: &str, places: &Places<'_>) -> Result<Source, DataError> {
    match name {
        "xor" => Ok(Source::Xor),
        "fashion_mnist" => fashion_mnist(name, places, Path::new(DEBIAN_FOLDER)),
        "fashion_mnist_small" => fashion_mnist_small(name, places),
        _ => {
            let folder = resolve(Path::new(name), places);
            if !folder.is_dir() {
                return Err(DataError::Unknown {
                    name: name.to_owned(),
                });
            }
            of_folder(name, folder)
        }
    }
}

/// What a folder holds, told by what lies in it.
fn of_folder(name: &str, folder: PathBuf) -> Result<Source, DataError> {
    if arrays::is_set(&folder) {
        return Ok(Source::Arrays { folder });
    }
    if pictures::is_set(&folder) {
        return Ok(Source::Pictures { folder });
    }
    match idx_files(&folder) {
        Err(DataError::Incomplete { missing, .. }) if missing.len() == STEMS.len() => {
            Err(DataError::NoSet { folder })
        }
        files => files.map(|files| idx_source(name, files, None)),
    }
}

fn idx_source(name: &str, files: IdxFiles, class_names: Option<&'static [&'static str]>) -> Source {
    Source::Idx {
        name: name.to_owned(),
        files,
        class_names,
    }
}

fn fashion_mnist(name: &str, places: &Places<'_>, system: &Path) -> Result<Source, DataError> {
    let named = places.folder.map(|folder| resolve(folder, places));
    let folder = named.unwrap_or_else(|| system.to_path_buf());
    if !folder.is_dir() {
        let [a, b, c, d] = file_names();
        let help = format!(
            "`apt-get install dataset-fashion-mnist` installs it on Debian and Ubuntu; \
             or put the files {a}, {b}, {c} and {d} in a folder and name that folder"
        );
        return Err(DataError::NotFound {
            name: name.to_owned(),
            looked: vec![folder],
            help,
        });
    }
    idx_files(&folder).map(|files| idx_source(name, files, Some(&FASHION_CLASSES)))
}

/// Looks for the set of the source tree in the folder that was named, or else in the tree around
/// the `.net` file, around the current folder, and where this program was built.
fn fashion_mnist_small(name: &str, places: &Places<'_>) -> Result<Source, DataError> {
    let current = std::env::current_dir().unwrap_or_default();
    let mut looked = Vec::new();
    if let Some(folder) = places.folder {
        looked.push(resolve(folder, places));
    } else {
        let net_folder = places
            .net_file
            .and_then(Path::parent)
            .map(|folder| current.join(folder));
        let bases = net_folder
            .iter()
            .chain([&current])
            .flat_map(|base| base.ancestors());
        for base in bases.chain([Path::new(env!("CARGO_MANIFEST_DIR"))]) {
            let folder = base.join(SMALL_FOLDER);
            if !looked.contains(&folder) {
                looked.push(folder);
            }
        }
    }
    match looked.iter().find(|folder| folder.is_dir()) {
        Some(folder) => {
            idx_files(folder).map(|files| idx_source(name, files, Some(&FASHION_CLASSES)))
        }
        None => {
            let help = format!(
                "it is part of the source tree, in `{SMALL_FOLDER}`; run there, or name its folder"
            );
            Err(DataError::NotFound {
                name: name.to_owned(),
                looked,
                help,
            })
        }
    }
}

/// A folder as the user meant it: from the `.net` file, if it is there, or else from the current
/// folder.
fn resolve(folder: &Path, places: &Places<'_>) -> PathBuf {
    let from_net = places
        .net_file
        .and_then(Path::parent)
        .map(|parent| parent.join(folder));
    from_net
        .filter(|path| path.is_dir())
        .unwrap_or_else(|| folder.to_path_buf())
}

/// Finds the four files of a folder under any of the names that are in use.
fn idx_files(folder: &Path) -> Result<IdxFiles, DataError> {
    let find = |(stem, axes): (&str, u8)| {
        // Unpacked files come first: they load faster.
        let names = [
            format!("{stem}-idx{axes}-ubyte"),
            format!("{stem}.idx{axes}-ubyte"),
            format!("{stem}-idx{axes}-ubyte.gz"),
            format!("{stem}.idx{axes}-ubyte.gz"),
        ];
        names
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file())
    };
    match STEMS.map(find) {
        [
            Some(train_images),
            Some(train_labels),
            Some(test_images),
            Some(test_labels),
        ] => Ok(IdxFiles {
            train_images,
            train_labels,
            test_images,
            test_labels,
        }),
        found => {
            let missing = found.iter().zip(STEMS).filter(|(found, _)| found.is_none());
            let missing = missing
                .map(|(_, (stem, axes))| format!("{stem}-idx{axes}-ubyte"))
                .collect();
            Err(DataError::Incomplete {
                folder: folder.to_path_buf(),
                missing,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Places<'static> = Places {
        folder: None,
        net_file: None,
    };

    fn make_files(folder: &Path, names: &[&str]) {
        std::fs::create_dir_all(folder).unwrap();
        for name in names {
            std::fs::write(folder.join(name), "").unwrap();
        }
    }

    const FOUR: [&str; 4] = [
        "train-images-idx3-ubyte.gz",
        "train-labels.idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte.gz",
    ];

    #[test]
    fn knows_its_names() {
        assert_eq!(locate("xor", &NOWHERE).unwrap(), Source::Xor);
        let message = locate("fashion_mnits", &NOWHERE).unwrap_err().to_string();
        assert_eq!(
            message,
            "no data set or folder is called `fashion_mnits`; \
             the known sets are fashion_mnist, fashion_mnist_small, xor"
        );
    }

    #[test]
    fn takes_a_folder_under_any_of_the_usual_file_names() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("digits");
        make_files(&data, &FOUR);
        let by_path = locate(data.to_str().unwrap(), &NOWHERE).unwrap();
        let Source::Idx {
            files,
            class_names: None,
            ..
        } = &by_path
        else {
            panic!("a folder's classes come from its labels, found {by_path:?}")
        };
        assert_eq!(files.train_labels, data.join("train-labels.idx1-ubyte"));
        let net_file = folder.path().join("a.net");
        let from_net = locate(
            "digits",
            &Places {
                folder: None,
                net_file: Some(&net_file),
            },
        );
        assert!(matches!(from_net, Ok(Source::Idx { name, .. }) if name == "digits"));
    }

    #[test]
    fn says_which_files_a_folder_lacks() {
        let folder = tempfile::tempdir().unwrap();
        make_files(folder.path(), &FOUR[..2]);
        let places = Places {
            folder: Some(folder.path()),
            net_file: None,
        };
        let message = locate("fashion_mnist", &places).unwrap_err().to_string();
        let expected = "lacks t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte; a data set is the";
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn says_how_to_get_fashion_mnist() {
        let missing = Path::new("/no/such/folder");
        let message = fashion_mnist("fashion_mnist", &NOWHERE, missing)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "the data set `fashion_mnist` was not found in `/no/such/folder`\n  \
             `apt-get install dataset-fashion-mnist` installs it on Debian and Ubuntu; or put the \
             files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, \
             t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz in a folder and name that folder"
        );
        // A folder that was named is not replaced by another one.
        let places = Places {
            folder: Some(missing),
            net_file: None,
        };
        assert!(matches!(
            locate("fashion_mnist", &places),
            Err(DataError::NotFound { .. })
        ));
        assert!(matches!(
            locate("fashion_mnist_small", &places),
            Err(DataError::NotFound { .. })
        ));
    }

    #[test]
    fn finds_the_small_set_around_the_net_file() {
        let top = tempfile::tempdir().unwrap();
        let data = top.path().join(SMALL_FOLDER);
        make_files(&data, &FOUR);
        let net_file = top.path().join("examples/deep/lenet.net");
        let places = Places {
            folder: None,
            net_file: Some(&net_file),
        };
        let found = locate("fashion_mnist_small", &places).unwrap();
        assert!(
            matches!(&found, Source::Idx { files, class_names: Some(_), .. }
                if files.test_images == data.join("t10k-images-idx3-ubyte")),
            "{found:?}"
        );
    }
}
