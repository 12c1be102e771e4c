//! Loading a data set that was found, and checking that its files belong together.

use std::fs;
use std::path::Path;

use super::locate::{IdxFiles, Source};
use super::{DataError, Dataset, Part, Values, arrays, check_labels, pictures};
use crate::io::InFile;
use crate::io::idx::{self, IdxKind};
use crate::sema::PictureInput;

/// Loads both parts of a data set completely and checks every label.
///
/// `input` is what the net says of pictures: those of a folder may then have any size, and become what it wants while
/// they are read. Other sources give samples as they are stored.
///
/// # Errors
///
/// A file is damaged or missing, or the files do not belong together.
pub fn load(source: &Source, input: Option<&PictureInput>) -> Result<Dataset, DataError> {
    match source {
        Source::Xor => Ok(xor()),
        Source::Idx {
            name,
            files,
            class_names,
        } => {
            let set = load_idx(name, files, *class_names)?;
            match (class_names, files.train_images.parent()) {
                (None, Some(folder)) => named(set, folder),
                _ => Ok(set),
            }
        }
        Source::Pictures { folder } => pictures::load(&folder.display().to_string(), folder, input),
        Source::Arrays { folder } => {
            let set = arrays::load(&folder.display().to_string(), folder)?;
            named(set, folder)
        }
    }
}

/// The file with a line for each class, in the order of the labels, that may lie beside the others.
const CLASS_NAMES: &str = "labels.txt";

/// The names of the classes, if a folder says them.
fn class_names(folder: &Path) -> Result<Option<Vec<String>>, DataError> {
    let path = folder.join(CLASS_NAMES);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|source| DataError::Folder {
        folder: path,
        source,
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Some(lines.map(str::to_owned).collect()))
}

/// The set with the names of its folder, of which there must be one for each class.
fn named(mut set: Dataset, folder: &Path) -> Result<Dataset, DataError> {
    let Some(names) = class_names(folder)?.filter(|_| !set.class_names.is_empty()) else {
        return Ok(set);
    };
    if names.len() < set.class_names.len() {
        return Err(DataError::ClassNames {
            path: folder.join(CLASS_NAMES),
            names: names.len(),
            label: set.class_names.len() as u32 - 1,
        });
    }
    set.class_names = names;
    Ok(set)
}

/// Exclusive or: two inputs, and the label says whether they differ. It is the smallest set that no
/// network without a hidden layer can learn. With four samples in all, it is judged by those it
/// learns from.
fn xor() -> Dataset {
    let inputs = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    let part = Part::new(vec![2], Values::Floats(inputs), vec![0, 1, 1, 0]);
    let class_names = vec!["equal".to_owned(), "different".to_owned()];
    Dataset {
        name: "xor".to_owned(),
        class_names,
        train: part.clone(),
        test: part,
    }
}

fn load_idx(
    name: &str,
    files: &IdxFiles,
    class_names: Option<&[&str]>,
) -> Result<Dataset, DataError> {
    let train = load_part(&files.train_images, &files.train_labels)?;
    let test = load_part(&files.test_images, &files.test_labels)?;
    if test.shape() != train.shape() {
        return Err(DataError::SizeMismatch {
            path: files.test_images.clone(),
            found: test.shape().to_vec(),
            expected: train.shape().to_vec(),
        });
    }
    let class_names: Vec<String> = match class_names {
        Some(names) => names.iter().map(ToString::to_string).collect(),
        // The labels to train on say which classes there are, so that a larger one in the test part
        // is found.
        None => {
            let largest = train.labels().iter().max().copied().unwrap_or(0);
            (0..=largest).map(|label| label.to_string()).collect()
        }
    };
    for (part, path) in [(&train, &files.train_labels), (&test, &files.test_labels)] {
        check_labels(part.labels(), class_names.len()).map_err(|error| InFile::new(path, error))?;
    }
    Ok(Dataset {
        name: name.to_owned(),
        class_names,
        train,
        test,
    })
}

fn load_part(image_file: &Path, label_file: &Path) -> Result<Part, DataError> {
    let images = idx::read(image_file, IdxKind::Images)?;
    let labels = idx::read(label_file, IdxKind::Labels)?;
    if images.data.is_empty() {
        return Err(DataError::Empty {
            path: image_file.to_path_buf(),
            shape: images.shape,
        });
    }
    if images.shape[0] != labels.data.len() {
        return Err(DataError::CountMismatch {
            image_file: image_file.to_path_buf(),
            images: images.shape[0],
            label_file: label_file.to_path_buf(),
            labels: labels.data.len(),
        });
    }
    // The pictures are grey: one channel.
    let shape = vec![1, images.shape[1], images.shape[2]];
    let labels = labels.data.into_iter().map(u32::from).collect();
    Ok(Part::new(shape, Values::Bytes(images.data), labels))
}
