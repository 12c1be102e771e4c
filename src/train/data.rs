//! Labelled samples for training: where they come from and how they become batches.
//!
//! A [`Dataset`] is found by name or folder ([`locate`]), loaded ([`load`]) and checked completely
//! before the first step, so that a damaged file or a wrong label is an error message at the start
//! and not a network that does not learn. [`Batches`] then deals the samples out. This module knows
//! nothing of networks; a sample is a row of numbers with a label.

mod arrays;
pub mod augment;
mod batches;
mod load;
mod locate;
mod pictures;
mod select;
mod shuffle;

use std::path::PathBuf;

use thiserror::Error;

pub use self::batches::{BatchConfig, Batches, Scaling};
pub use self::load::load;
pub use self::locate::{Places, Source, class_names, locate};
use crate::io::InFile;
use crate::io::idx::IdxError;
use crate::io::image::ImageProblem;
use crate::io::npy::NpyError;
use crate::train::picture::FitPictureError;

/// Samples to learn from and samples to judge by.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The name or folder it was found by.
    pub name: String,
    /// What each label stands for; there are as many classes as names.
    pub class_names: Vec<String>,
    /// The samples to learn from.
    pub train: Part,
    /// The samples that training never sees.
    pub test: Part,
}

/// The stored numbers of all samples, one sample after the other.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// Pixels, of which 255 means 1.
    Bytes(Vec<u8>),
    /// Numbers to be taken as they are.
    Floats(Vec<f32>),
}

/// One input of all samples.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    /// The input that it is for; empty where samples have only one.
    name: String,
    /// The shape of a sample.
    shape: Vec<usize>,
    values: Values,
}

impl Column {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a net should say of each sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// The number of a class.
    Labels(Vec<u32>),
    /// The numbers of its output.
    Targets {
        /// Their shape for one sample.
        shape: Vec<usize>,
        /// The numbers, one sample after the other.
        values: Vec<f32>,
    },
}

/// Some samples with an answer each.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    columns: Vec<Column>,
    answers: Answers,
}

impl Part {
    /// Labelled samples with a single input.
    fn new(shape: Vec<usize>, values: Values, labels: Vec<u32>) -> Self {
        let count = match &values {
            Values::Bytes(bytes) => bytes.len(),
            Values::Floats(floats) => floats.len(),
        };
        let sample = shape.iter().product::<usize>();
        assert_eq!(
            count,
            sample * labels.len(),
            "every sample has its values and its label"
        );
        let name = String::new();
        Self {
            columns: vec![Column {
                name,
                shape,
                values,
            }],
            answers: Answers::Labels(labels),
        }
    }

    /// The shape of one sample: `[C, H, W]` for pictures, `[F]` for rows of numbers. Where samples have
    /// several inputs, that of the first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.columns[0].shape
    }

    /// The inputs of a sample with their shapes; a single one may have no name.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let columns = self.columns.iter();
        columns.map(|column| (column.name.as_str(), column.shape.as_slice()))
    }

    /// For each of a net's inputs, the place of its samples among those of the part; none if the names differ. Where
    /// both have one, the name does not matter.
    #[must_use]
    pub fn places(&self, inputs: &[&str]) -> Option<Vec<usize>> {
        if let ([_], [_]) = (inputs, self.columns.as_slice()) {
            return Some(vec![0]);
        }
        let place = |input: &&str| self.columns.iter().position(|column| column.name == *input);
        let places: Vec<usize> = inputs.iter().map(place).collect::<Option<_>>()?;
        (places.len() == self.columns.len()).then_some(places)
    }

    /// What a net should say of each sample.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The labels, in the order of the samples; none where the answers are numbers.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        match &self.answers {
            Answers::Labels(labels) => labels,
            Answers::Targets { .. } => &[],
        }
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.answers {
            Answers::Labels(labels) => labels.len(),
            Answers::Targets { shape, values } => {
                values.len() / shape.iter().product::<usize>().max(1)
            }
        }
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first sample with a number that is not finite.
    #[must_use]
    pub fn not_finite(&self) -> Option<usize> {
        let first = |numbers: &[f32], len: usize| {
            let at = numbers.iter().position(|number| !number.is_finite());
            at.map(|at| at / len.max(1))
        };
        let columns = self.columns.iter();
        let inputs = columns.filter_map(|column| match &column.values {
            Values::Bytes(_) => None,
            Values::Floats(floats) => first(floats, column.elements()),
        });
        let target = match &self.answers {
            Answers::Labels(_) => None,
            Answers::Targets { shape, values } => first(values, shape.iter().product()),
        };
        inputs.chain(target).min()
    }

    /// Takes the samples, all of them, into a checksum.
    pub(super) fn add_to(&self, checksum: &mut flate2::Crc) {
        let floats = |numbers: &[f32], checksum: &mut flate2::Crc| {
            for number in numbers {
                checksum.update(&number.to_le_bytes());
            }
        };
        for column in &self.columns {
            match &column.values {
                Values::Bytes(bytes) => checksum.update(bytes),
                Values::Floats(numbers) => floats(numbers, checksum),
            }
        }
        match &self.answers {
            Answers::Labels(labels) => {
                for label in labels {
                    checksum.update(&label.to_le_bytes());
                }
            }
            Answers::Targets { values, .. } => floats(values, checksum),
        }
    }

    /// Moves `count` samples, drawn with `seed`, into a part of their own: a validation set.
    ///
    /// Where samples have labels the draw is stratified: each class gives its share, rounded down, and one more each of
    /// those with the largest fractions, until there are enough. It depends on nothing but the seed and the labels. Both
    /// parts keep the order that the samples had. At least one sample must stay.
    ///
    /// # Errors
    ///
    /// As many samples are wanted as there are, or more.
    pub fn hold_out(&mut self, count: usize, seed: u64) -> Result<Self, DataError> {
        let available = self.len();
        if count >= available {
            return Err(DataError::HoldOut { count, available });
        }
        let mut order: Vec<u32> = (0..available as u32).collect();
        shuffle::shuffle(&mut order, seed, shuffle::Purpose::HoldOut);
        let mut held = vec![false; available];
        match &self.answers {
            Answers::Labels(labels) => {
                let mut left = quotas(labels, count);
                for &sample in &order {
                    let left = &mut left[labels[sample as usize] as usize];
                    held[sample as usize] = *left > 0;
                    *left = left.saturating_sub(1);
                }
            }
            Answers::Targets { .. } => {
                for &sample in &order[..count] {
                    held[sample as usize] = true;
                }
            }
        }
        let held_out = self.select(&held, true);
        *self = self.select(&held, false);
        Ok(held_out)
    }

    fn select(&self, mask: &[bool], wanted: bool) -> Self {
        let chosen: Vec<usize> = (0..self.len())
            .filter(|&sample| mask[sample] == wanted)
            .collect();
        self.pick(&chosen)
    }
}

/// How many of each class are among `count` of all samples, in the proportion of the classes: the method of the largest
/// remainder. Of equal remainders the class of the smaller number has the larger.
fn quotas(labels: &[u32], count: usize) -> Vec<usize> {
    let classes = labels.iter().max().map_or(0, |&most| most as usize + 1);
    let mut sizes = vec![0; classes];
    for &label in labels {
        sizes[label as usize] += 1;
    }
    let share = |size: usize| (size * count / labels.len(), size * count % labels.len());
    let mut quotas: Vec<usize> = sizes.iter().map(|&size| share(size).0).collect();
    let mut order: Vec<usize> = (0..classes).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(share(sizes[class]).1));
    let missing = count - quotas.iter().sum::<usize>();
    for &class in order.iter().take(missing) {
        quotas[class] += 1;
    }
    quotas
}

/// Why there is no data to train on.
#[derive(Debug, Error)]
pub enum DataError {
    /// No data set has this name, and no folder either.
    #[error(
        "no data set or folder is called `{name}`; the known sets are {}",
        crate::sema::DATA_SETS.join(", ")
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// The data set is known but not there.
    #[error("the data set `{name}` was not found{}\n  {help}", looked_in(.looked))]
    NotFound {
        /// The name.
        name: String,
        /// The folders that do not have it.
        looked: Vec<PathBuf>,
        /// How to get it.
        help: String,
    },
    /// A folder has only some of the files, or none.
    #[error(
        "`{}` lacks {}; a data set is the four files {}, each gzipped or not",
        folder.display(),
        missing.join(" and "),
        locate::file_names().join(", ")
    )]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What it lacks.
        missing: Vec<String>,
    },
    /// A file is damaged or of another kind.
    #[error(transparent)]
    File(#[from] IdxError),
    /// The files are fine, but not of the same set.
    #[error(
        "`{}` holds {images} images, but `{}` holds {labels} labels",
        image_file.display(),
        label_file.display()
    )]
    CountMismatch {
        /// The file of images.
        image_file: PathBuf,
        /// Its number of images.
        images: usize,
        /// The file of labels.
        label_file: PathBuf,
        /// Its number of labels.
        labels: usize,
    },
    /// The pictures have no pixels, or there are none.
    #[error("`{}` holds no pixels: its sizes are {shape:?}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Count, height and width.
        shape: Vec<usize>,
    },
    /// The pictures of the two parts have different sizes.
    #[error(
        "`{}` holds images of {found:?}, but those to train on are {expected:?}",
        path.display()
    )]
    SizeMismatch {
        /// The file of the images to test on.
        path: PathBuf,
        /// The shape of its images.
        found: Vec<usize>,
        /// The shape of the images to train on.
        expected: Vec<usize>,
    },
    /// A file has a label that is no class.
    #[error(transparent)]
    Label(#[from] InFile<LabelError>),
    /// A validation set would leave nothing to train on.
    #[error("cannot hold out {count} of {available} samples; at least one must stay")]
    HoldOut {
        /// The samples wanted.
        count: usize,
        /// The samples there are.
        available: usize,
    },
    /// A folder cannot be read.
    #[error("cannot read the folder `{}`", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A folder without a form that is known.
    #[error(
        "`{}` is no data set: it has neither the four files {}, nor pictures as in \
         `train/CLASS/a.png` and `test/CLASS/b.png`, nor arrays as in `train/input.npy`, \
         `train/labels.npy` and the same in `test`",
        folder.display(),
        locate::file_names().join(", ")
    )]
    NoSet {
        /// The folder.
        folder: PathBuf,
    },
    /// A picture that cannot be used.
    #[error(transparent)]
    Picture(#[from] InFile<ImageProblem>),
    /// A folder of pictures is empty.
    #[error("`{}` holds no pictures; they lie in a folder for each class", folder.display())]
    NoPictures {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder of pictures to test on has no counterpart.
    #[error("`{}` is no class: `train` has no folder of that name", folder.display())]
    UnknownClass {
        /// The folder.
        folder: PathBuf,
    },
    /// A picture that does not become the input.
    #[error(transparent)]
    PictureFit(#[from] InFile<FitPictureError>),
    /// Pictures of different sizes.
    #[error(
        "`{}` is {} x {} pixels (height x width), but `{}` is {} x {}: all pictures of a set have \
         one size, unless the net says what becomes of them, as in \
         `input [3, 224, 224] from image(resize = cover)`",
        path.display(), found[0], found[1], expected_from.display(), expected[0], expected[1]
    )]
    PictureSize {
        /// The picture.
        path: PathBuf,
        /// Its height and width.
        found: [usize; 2],
        /// The first picture of the set.
        expected_from: PathBuf,
        /// Its height and width.
        expected: [usize; 2],
    },
    /// An array that cannot be read.
    #[error(transparent)]
    Array(#[from] NpyError),
    /// Labels that are not one number a sample.
    #[error("`{}` must hold one label a sample, [N]; it is {shape:?}", path.display())]
    LabelShape {
        /// The file.
        path: PathBuf,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A folder of arrays lacks inputs or answers, or has two kinds of answers.
    #[error(
        "`{}` needs an array for each input, as in `input.npy`, and one of `labels.npy` and \
         `target.npy`",
        folder.display()
    )]
    Arrays {
        /// The folder.
        folder: PathBuf,
    },
    /// The two parts have different arrays.
    #[error(
        "the arrays in `{}` differ: `train` has {}, and `test` has {}",
        folder.display(), arrays(expected), arrays(found)
    )]
    ArraysDiffer {
        /// The folder of both.
        folder: PathBuf,
        /// Names and shapes of a sample, to train on.
        expected: Vec<(String, Vec<usize>)>,
        /// Names and shapes of a sample, to test on.
        found: Vec<(String, Vec<usize>)>,
    },
    /// The file of class names has too few.
    #[error("`{}` names {names} classes, but there is a label {label}", path.display())]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// The names.
        names: usize,
        /// The largest label.
        label: u32,
    },
    /// A random change that samples of this shape cannot have.
    #[error("cannot augment samples of {shape:?}: {problem}")]
    Augment {
        /// What is wrong.
        problem: String,
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// Means or deviations do not match the channels, or a deviation is not positive.
    #[error(
        "cannot scale samples of {channels} channels with mean {mean:?} and std {std:?}; \
         one positive std and one mean per channel are needed, or one of each for all"
    )]
    Scaling {
        /// The channels of a sample.
        channels: usize,
        /// The means given.
        mean: Vec<f32>,
        /// The deviations given.
        std: Vec<f32>,
    },
}

/// A label that is not the number of a class.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "label {label} of sample {sample} is out of range; {classes} classes have the labels 0 to {}",
    classes.saturating_sub(1)
)]
pub struct LabelError {
    /// The sample, counted from 0.
    pub sample: usize,
    /// Its label.
    pub label: i64,
    /// The number of classes.
    pub classes: usize,
}

/// Checks that every label is the number of a class. A loss would read or write beyond its row
/// otherwise, so this belongs before the first step, also for the classes of a network.
pub fn check_labels<L: Copy + Into<i64>>(labels: &[L], classes: usize) -> Result<(), LabelError> {
    let valid = |label: i64| usize::try_from(label).is_ok_and(|label| label < classes);
    match labels.iter().position(|&label| !valid(label.into())) {
        None => Ok(()),
        Some(sample) => Err(LabelError {
            sample,
            label: labels[sample].into(),
            classes,
        }),
    }
}

fn arrays(arrays: &[(String, Vec<usize>)]) -> String {
    let shown = arrays
        .iter()
        .map(|(name, shape)| format!("{name} {shape:?}"));
    shown.collect::<Vec<_>>().join(", ")
}

fn looked_in(folders: &[PathBuf]) -> String {
    let folders: Vec<_> = folders
        .iter()
        .map(|folder| format!("`{}`", folder.display()))
        .collect();
    if folders.is_empty() {
        String::new()
    } else {
        format!(" in {}", folders.join(", "))
    }
}

#[cfg(test)]
mod tests;
