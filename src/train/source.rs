//! Where a net's samples come from, and how they become its input: what `data` in a `train` section
//! and `from image(…)` at an input mean.

use std::path::Path;

use super::data::{self, DataError, Dataset, Part, Places, Scaling};
use crate::sema::{Const, Model, Spec, SpecArg};

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
    /// An argument that means nothing here.
    #[error("`{of}` takes no argument `{argument}`: {known}")]
    Argument {
        /// The data set or picture source.
        of: String,
        /// The argument.
        argument: String,
        /// What there is.
        known: &'static str,
    },
    /// An argument of another kind.
    #[error("`{argument}` of `{of}` must be {expected}, not {found}")]
    Value {
        /// The data set or picture source.
        of: String,
        /// The argument.
        argument: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A source of inputs that does not exist.
    #[error("an input cannot come from `{name}`: known is `image`")]
    Input {
        /// Its name.
        name: String,
    },
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
        let dataset = data::load(&data::locate(name, &places(None))?)?;
        return Ok(Samples {
            dataset,
            validation: None,
        });
    }
    let spec = model.train.as_ref().and_then(|train| train.data.as_ref());
    let Some(spec) = spec else {
        let net = model.name.clone();
        return Err(SourceError::NoData { net });
    };
    let mut folder = None;
    let mut validation = 0;
    let mut name = spec.name.clone();
    for (position, arg) in spec.args.iter().enumerate() {
        match (spec.name.as_str(), arg.name.as_deref()) {
            ("folder", None) if position == 0 => name = string(spec, arg, "path")?,
            (_, Some("folder")) => folder = Some(string(spec, arg, "folder")?),
            (_, Some("validation")) => validation = count(spec, arg, "validation")?,
            (_, other) => {
                return Err(SourceError::Argument {
                    of: spec.name.clone(),
                    argument: other.map_or_else(|| arg.value.to_string(), str::to_owned),
                    known: "there are `validation = N` and `folder = \"…\"`",
                });
            }
        }
    }
    let source = data::locate(&name, &places(folder.as_deref().map(Path::new)))?;
    let mut dataset = data::load(&source)?;
    let validation = match validation {
        0 => None,
        count => Some(dataset.train.hold_out(count, seed)?),
    };
    Ok(Samples {
        dataset,
        validation,
    })
}

/// What is done to the numbers of samples before they enter the net, for each of its inputs.
///
/// # Errors
///
/// The net asks for something that is not known.
pub fn scalings(model: &Model) -> Result<Vec<Option<Scaling>>, SourceError> {
    let sources = model.inputs.iter().map(|input| input.source.as_ref());
    sources
        .map(|source| source.map(scaling_of).transpose())
        .collect()
}

/// As [`scalings`], for the first input.
///
/// # Errors
///
/// As [`scalings`].
pub fn scaling(model: &Model) -> Result<Option<Scaling>, SourceError> {
    Ok(scalings(model)?.into_iter().next().flatten())
}

fn scaling_of(spec: &Spec) -> Result<Scaling, SourceError> {
    if spec.name != "image" {
        let name = spec.name.clone();
        return Err(SourceError::Input { name });
    }
    let mut scaling = Scaling {
        mean: vec![0.0],
        std: vec![1.0],
    };
    for arg in &spec.args {
        match arg.name.as_deref() {
            Some("mean") => scaling.mean = numbers(spec, arg, "mean")?,
            Some("std") => scaling.std = numbers(spec, arg, "std")?,
            other => {
                return Err(SourceError::Argument {
                    of: spec.name.clone(),
                    argument: other.map_or_else(|| arg.value.to_string(), str::to_owned),
                    known: "there are `mean` and `std`",
                });
            }
        }
    }
    Ok(scaling)
}

fn wrong(spec: &Spec, arg: &SpecArg, name: &'static str, expected: &'static str) -> SourceError {
    SourceError::Value {
        of: spec.name.clone(),
        argument: name,
        expected,
        found: arg.value.to_string(),
    }
}

fn string(spec: &Spec, arg: &SpecArg, name: &'static str) -> Result<String, SourceError> {
    match &arg.value {
        Const::Str(text) => Ok(text.clone()),
        _ => Err(wrong(spec, arg, name, "a string")),
    }
}

fn count(spec: &Spec, arg: &SpecArg, name: &'static str) -> Result<usize, SourceError> {
    let found = match &arg.value {
        Const::Int(count) => usize::try_from(*count).ok(),
        _ => None,
    };
    found.ok_or_else(|| wrong(spec, arg, name, "a number of samples"))
}

fn numbers(spec: &Spec, arg: &SpecArg, name: &'static str) -> Result<Vec<f32>, SourceError> {
    let number = |value: &Const| match value {
        Const::Int(value) => Some(*value as f32),
        Const::Float(value) => Some(*value as f32),
        _ => None,
    };
    let found = match &arg.value {
        Const::List(items) => items.iter().map(number).collect(),
        single => number(single).map(|number| vec![number]),
    };
    found.ok_or_else(|| wrong(spec, arg, name, "a number or a list of numbers"))
}
