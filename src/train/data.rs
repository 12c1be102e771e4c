//! Labelled samples for training: where they come from and how they become batches.
//!
//! A [`Dataset`] is found by name or folder ([`locate`]), loaded ([`load`]) and checked completely
//! before the first step, so that a damaged file or a wrong label is an error message at the start
//! and not a network that does not learn. [`Batches`] then deals the samples out. This module knows
//! nothing of networks; a sample is a row of numbers with a label.

pub mod augment;
mod batches;
mod load;
mod locate;
mod shuffle;

use std::path::PathBuf;

use thiserror::Error;

pub use self::batches::{BatchConfig, Batches, Scaling};
pub use self::load::load;
pub use self::locate::{Places, Source, locate};
use crate::io::InFile;
use crate::io::idx::IdxError;

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

/// Some samples of one shape with a label each.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    shape: Vec<usize>,
    values: Values,
    labels: Vec<u32>,
}

impl Part {
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
        Self {
            shape,
            values,
            labels,
        }
    }

    /// The shape of one sample: `[C, H, W]` for pictures, `[F]` for rows of numbers.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The labels, in the order of the samples.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first sample with a number that is not finite.
    #[must_use]
    pub fn not_finite(&self) -> Option<usize> {
        match &self.values {
            Values::Bytes(_) => None,
            Values::Floats(floats) => {
                let at = floats.iter().position(|number| !number.is_finite());
                at.map(|at| at / self.sample_len())
            }
        }
    }

    /// Takes the samples, all of them, into a checksum.
    pub(super) fn add_to(&self, checksum: &mut flate2::Crc) {
        match &self.values {
            Values::Bytes(bytes) => checksum.update(bytes),
            Values::Floats(floats) => {
                for float in floats {
                    checksum.update(&float.to_le_bytes());
                }
            }
        }
        for label in &self.labels {
            checksum.update(&label.to_le_bytes());
        }
    }

    fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Moves `count` samples, drawn with `seed`, into a part of their own: a validation set.
    ///
    /// The draw depends on nothing but the seed and the number of samples. Both parts keep the
    /// order that the samples had. At least one sample must stay.
    pub fn hold_out(&mut self, count: usize, seed: u64) -> Result<Self, DataError> {
        let available = self.len();
        if count >= available {
            return Err(DataError::HoldOut { count, available });
        }
        let mut order: Vec<u32> = (0..available as u32).collect();
        shuffle::shuffle(&mut order, seed, shuffle::Purpose::HoldOut);
        let mut held = vec![false; available];
        for &sample in &order[..count] {
            held[sample as usize] = true;
        }
        let held_out = self.select(&held, true);
        *self = self.select(&held, false);
        Ok(held_out)
    }

    fn select(&self, mask: &[bool], wanted: bool) -> Self {
        fn pick<T: Copy>(values: &[T], len: usize, mask: &[bool], wanted: bool) -> Vec<T> {
            let samples = values.chunks_exact(len).zip(mask);
            samples
                .filter(|&(_, &held)| held == wanted)
                .flat_map(|(s, _)| s)
                .copied()
                .collect()
        }
        let len = self.sample_len();
        let values = match &self.values {
            Values::Bytes(bytes) => Values::Bytes(pick(bytes, len, mask, wanted)),
            Values::Floats(floats) => Values::Floats(pick(floats, len, mask, wanted)),
        };
        Self::new(
            self.shape.clone(),
            values,
            pick(&self.labels, 1, mask, wanted),
        )
    }
}

/// Why there is no data to train on.
#[derive(Debug, Error)]
pub enum DataError {
    /// No data set has this name, and no folder either.
    #[error(
        "no data set or folder is called `{name}`; the known sets are {}",
        locate::KNOWN.join(", ")
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
