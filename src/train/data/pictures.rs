//! Data sets of pictures in folders: `train/CLASS/*.png` and `test/CLASS/*.png`, or JPEG.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DataError, Dataset, Part, Values};
use crate::io::InFile;
use crate::io::image::{self, Picture};
use crate::sema::PictureInput;
use crate::train::picture;

/// The endings of files that are taken; all others are left alone.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Whether a folder has the form of such a set: at least one folder of pictures in `train`.
pub(super) fn is_set(folder: &Path) -> bool {
    let classes = folders(&folder.join("train"));
    classes.is_ok_and(|classes| classes.iter().any(|class| has_pictures(class)))
}

/// Loads a set. The classes are the folders in `train`, in the order of their names. `input` is what the net says of
/// pictures.
pub(super) fn load(
    name: &str,
    folder: &Path,
    input: Option<&PictureInput>,
) -> Result<Dataset, DataError> {
    let names: Vec<String> = folders(&folder.join("train"))?
        .iter()
        .map(|p| file_name(p))
        .collect();
    let mut parts = Vec::new();
    for part in ["train", "test"] {
        let mut files = Vec::new();
        for class in folders(&folder.join(part))? {
            let label = names.iter().position(|known| *known == file_name(&class));
            let Some(label) = label else {
                return Err(DataError::UnknownClass { folder: class });
            };
            files.extend(
                pictures(&class)?
                    .into_iter()
                    .map(|path| (path, label as u32)),
            );
        }
        if files.is_empty() {
            let folder = folder.join(part);
            return Err(DataError::NoPictures { folder });
        }
        parts.push(files);
    }
    let parts: Vec<Part> = match input {
        Some(input) => parts
            .into_iter()
            .map(|files| fitted(files, input))
            .collect::<Result<_, _>>()?,
        None => as_stored(parts)?,
    };
    let mut parts = parts.into_iter();
    let (Some(train), Some(test)) = (parts.next(), parts.next()) else {
        unreachable!("there are two parts")
    };
    Ok(Dataset {
        name: name.to_owned(),
        class_names: names,
        train,
        test,
    })
}

/// The pictures of some files as the net's input wants them.
fn fitted(files: Vec<(PathBuf, u32)>, input: &PictureInput) -> Result<Part, DataError> {
    let mut bytes = Vec::with_capacity(files.len() * input.input.iter().product::<usize>());
    let mut labels = Vec::with_capacity(files.len());
    for (path, label) in files {
        let picture = picture::fit(image::read(&path)?, input);
        bytes.extend(picture.map_err(|error| InFile::new(&path, error))?);
        labels.push(label);
    }
    let shape = input.input.to_vec();
    Ok(Part::new(shape, Values::Bytes(bytes), labels))
}

/// The pictures of each part's files as they are, which need one size.
fn as_stored(parts: Vec<Vec<(PathBuf, u32)>>) -> Result<Vec<Part>, DataError> {
    let mut read: Vec<Vec<Picture>> = Vec::new();
    for files in &parts {
        let pictures = files.iter().map(|(path, _)| image::read(path));
        read.push(pictures.collect::<Result<_, _>>()?);
    }
    // One picture with colours makes all of them coloured.
    let channels = read.iter().flatten().map(|picture| picture.channels).max();
    let channels = channels.unwrap_or(1);
    let first = &read[0][0];
    let (expected_from, expected) = (parts[0][0].0.clone(), [first.height, first.width]);
    for ((path, _), picture) in parts.iter().flatten().zip(read.iter().flatten()) {
        let found = [picture.height, picture.width];
        if found != expected {
            return Err(DataError::PictureSize {
                path: path.clone(),
                found,
                expected_from,
                expected,
            });
        }
    }
    let parts = parts.into_iter().zip(read).map(|(files, pictures)| {
        let shape = vec![channels, expected[0], expected[1]];
        let bytes = pictures
            .into_iter()
            .flat_map(|picture| picture.with_channels(channels).planes())
            .collect();
        let labels = files.into_iter().map(|(_, label)| label).collect();
        Part::new(shape, Values::Bytes(bytes), labels)
    });
    Ok(parts.collect())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
}

fn has_pictures(folder: &Path) -> bool {
    pictures(folder).is_ok_and(|pictures| !pictures.is_empty())
}

/// Entries in the order of their names: a folder's own order differs from machine to machine.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Folder {
        folder: folder.to_path_buf(),
        source,
    };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(failed)?;
    // Hidden files are other programs' own.
    paths.retain(|path| !file_name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = entries(folder)?;
    paths.retain(|path| path.is_dir());
    Ok(paths)
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = entries(folder)?;
    paths.retain(|path| path.is_file() && is_picture(path));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::{GrayImage, RgbImage};

    fn grey(path: &Path, size: u32, value: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let image = GrayImage::from_pixel(size, 2, ::image::Luma([value]));
        image.save(path).unwrap();
    }

    #[test]
    fn loads_folders_of_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(!is_set(folder.path()));
        grey(&at("train/dog/b.png"), 3, 20);
        grey(&at("train/dog/a.PNG"), 3, 10);
        grey(&at("train/cat/z.png"), 3, 30);
        grey(&at("test/dog/a.png"), 3, 40);
        fs::write(at("train/cat/notes.txt"), "left alone").unwrap();
        assert!(is_set(folder.path()));
        let set = load("pets", folder.path(), None).unwrap();
        assert_eq!(set.class_names, ["cat", "dog"]);
        assert_eq!(set.train.labels(), [0, 1, 1]);
        assert_eq!(set.test.labels(), [1]);
        assert_eq!(set.train.shape(), [1, 2, 3]);
        let colours = RgbImage::from_pixel(3, 2, ::image::Rgb([1, 2, 3]));
        colours.save(at("test/dog/c.png")).unwrap();
        assert_eq!(
            load("pets", folder.path(), None).unwrap().train.shape(),
            [3, 2, 3]
        );

        let message = || load("pets", folder.path(), None).unwrap_err().to_string();
        grey(&at("test/cow/a.png"), 3, 1);
        assert!(message().contains("test/cow` is no class: `train` has no folder of that name"));
        fs::remove_dir_all(at("test/cow")).unwrap();
        grey(&at("test/cat/a.png"), 4, 1);
        assert!(message().contains("test/cat/a.png` is 2 x 4 pixels (height x width), but"));
        fs::remove_dir_all(at("test")).unwrap();
        assert!(message().contains("cannot read the folder"));
        fs::create_dir_all(at("test/cat")).unwrap();
        assert!(message().contains("holds no pictures"));
    }
}
