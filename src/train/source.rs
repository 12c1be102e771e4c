//! Where a net's samples come from, and how they become its input: what `data` in a `train` section
//! and `from image(…)` at an input mean.

use std::path::Path;

use super::data::{self, DataError, Dataset, Part, Places, Scaling, Source};
use super::picture::FitPictureError;
use crate::sema::{DataSet, Model, PictureInput};

/// Why there are no samples.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing says where they come from.
    #[error(
        "`{net}` names no data: write `data fashion_mnist` in its `train` section, or use --data"
    )]
    NoData {
        /// The net.
        net: String,
    },
    /// The pictures of the data set do not become the input.
    #[error(transparent)]
    Picture(#[from] FitPictureError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Samples, and those of them that are held out to judge a training while it runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Samples {
    /// The data set without what was held out.
    pub dataset: Dataset,
    /// What was held out, with `validation = N`.
    pub validation: Option<Part>,
}

/// Loads the samples that a model asks for, or those of another name or folder. `net_file` is where
/// relative folders may be meant from.
///
/// # Errors
///
/// Nothing says which data to use, or they cannot be found or read.
pub fn samples(
    model: &Model,
    name: Option<&str>,
    net_file: Option<&Path>,
    seed: u64,
) -> Result<Samples, SourceError> {
    let places = |folder| Places { folder, net_file };
    if let Some(name) = name {
        let dataset = load(model, &data::locate(name, &places(None))?)?;
        return Ok(Samples {
            dataset,
            validation: None,
        });
    }
    let line = model.train.as_ref().and_then(|train| train.data.as_ref());
    let Some(line) = line else {
        let net = model.name.clone();
        return Err(SourceError::NoData { net });
    };
    let (name, folder) = match &line.set {
        DataSet::Named { name, folder } => (*name, folder.as_deref()),
        DataSet::Folder(path) => (path.as_str(), None),
    };
    let source = data::locate(name, &places(folder.map(Path::new)))?;
    let mut dataset = load(model, &source)?;
    let validation = match line.validation {
        0 => None,
        count => Some(dataset.train.hold_out(count, seed)?),
    };
    Ok(Samples {
        dataset,
        validation,
    })
}

/// What is done to the numbers of samples before they enter the net, for each of its inputs.
#[must_use]
pub fn scalings(model: &Model) -> Vec<Option<Scaling>> {
    let scaling = |input: &PictureInput| Scaling {
        mean: input.mean.clone(),
        std: input.std.clone(),
    };
    let sources = model.inputs.iter().map(|input| input.source.as_ref());
    sources.map(|source| source.map(scaling)).collect()
}

/// As [`scalings`], for the first input.
#[must_use]
pub fn scaling(model: &Model) -> Option<Scaling> {
    scalings(model).into_iter().next().flatten()
}

/// What the net's first input says of pictures, with `from image(…)`.
#[must_use]
pub fn picture_input(model: &Model) -> Option<&PictureInput> {
    model.inputs.first()?.source.as_ref()
}

/// What the classes are called that a model is trained on, if its data set is known by name.
#[must_use]
pub fn class_names(model: &Model) -> Option<Vec<String>> {
    let DataSet::Named { name, .. } = model.train.as_ref()?.data.as_ref()?.set else {
        return None;
    };
    let names = data::class_names(name)?;
    Some(names.iter().map(ToString::to_string).collect())
}

/// Loads a data set, its pictures as the net's input says, if it says something of them.
fn load(model: &Model, source: &Source) -> Result<Dataset, SourceError> {
    let pictures = model.inputs.iter().find_map(|input| input.source.as_ref());
    let mut dataset = data::load(source, pictures)?;
    // Pictures in files have been fitted one by one.
    if matches!(source, Source::Pictures { .. }) {
        return Ok(dataset);
    }
    for input in &model.inputs {
        let Some(picture) = &input.source else {
            continue;
        };
        for part in [&mut dataset.train, &mut dataset.test] {
            part.fit(&input.name, picture)?;
        }
    }
    Ok(dataset)
}
