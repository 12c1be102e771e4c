//! Options that several commands share.

use std::path::{Path, PathBuf};

use super::error::{CliError, note_epsilons, tell};
use crate::codegen::host::missing_feature;
use crate::codegen::{Isa, Target};
use crate::engine::{Engine, processors};
use crate::model::{NamedParam, Net};
use crate::sema::{Mode, Model};

/// Options of all commands.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Threads that compute; all processors if not given [bench: a list]
    #[arg(long, global = true, value_name = "N", value_delimiter = ',', value_parser = threads)]
    pub(super) threads: Vec<usize>,
    /// Vector code to generate: baseline, avx2 or avx512; the best of this machine if not given
    #[arg(long, global = true, value_name = "TIER")]
    pub(super) isa: Option<Isa>,
    /// Do every convolution as the direct sum: slower, and more exact than tiles of 4 x 4 by the method of Winograd
    #[arg(long, global = true)]
    pub(super) no_winograd: bool,
    /// What all random numbers follow from, in place of the file's `seed`
    #[arg(long, global = true, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Set a parameter of the net or a value of its `train` section, as in `classes=100` or
    /// `train.epochs=3`; may be repeated
    #[arg(long, global = true, value_name = "K=V")]
    pub(super) set: Vec<String>,
    /// Write an object a line for programs to read
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Reads a number from 1 to a million.
pub(super) fn count(text: &str) -> Result<usize, String> {
    up_to(1_000_000, text)
}

/// Reads a number of threads.
fn threads(text: &str) -> Result<usize, String> {
    up_to(1024, text)
}

fn up_to(most: usize, text: &str) -> Result<usize, String> {
    let count = text.trim().parse().ok();
    let count = count.filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("a number from 1 to {most} is wanted"))
}

/// Numbers that the reference interpreter computes with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Interpret {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

/// Whether dropout and batch norms act as in training.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Switch {
    /// As in training: dropout draws, batch norms use the statistics of the batch.
    On,
    /// As in use: dropout does nothing, batch norms use their running statistics.
    Off,
}

impl Switch {
    pub(super) fn mode(self) -> Mode {
        match self {
            Switch::On => Mode::Train,
            Switch::Off => Mode::Infer,
        }
    }
}

/// `NAME=FILE`, or a file for the only one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NamedFile {
    pub(super) name: Option<String>,
    pub(super) path: PathBuf,
}

impl std::str::FromStr for NamedFile {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<NamedFile, Self::Err> {
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        Ok(match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && is_name(name) => NamedFile {
                name: Some(name.to_owned()),
                path: path.into(),
            },
            _ => NamedFile {
                name: None,
                path: text.into(),
            },
        })
    }
}

/// The parameters of a net from a weights file; says where the net computes something else with them than the one that they
/// are of.
pub(super) fn parameters(
    net: &Net,
    mode: Mode,
    weights: &Path,
    json: bool,
) -> Result<Vec<NamedParam>, CliError> {
    let params = net.parameters(mode, Some(weights), 0)?;
    note_epsilons(net, mode, weights, json)?;
    Ok(params)
}

impl Common {
    /// The net that a command is about.
    pub(super) fn net(&self, spec: &str) -> Result<Net, CliError> {
        Ok(Net::open(spec, &self.set)?)
    }

    /// The model of a net; its warnings are told.
    pub(super) fn model(&self, net: &Net, mode: Mode) -> Result<Model, CliError> {
        let model = net.model(mode)?;
        tell(&net.warnings, &net.files, self.json);
        tell(&model.warnings, &net.files, self.json);
        Ok(model)
    }

    /// The machine to compile for, which must be this one.
    pub(super) fn target(&self) -> Result<Target, CliError> {
        let Some(isa) = self.isa else {
            return Ok(Target::host());
        };
        Target::with_isa(isa).ok_or_else(|| {
            let feature = missing_feature(isa).unwrap_or("what it needs");
            CliError::user(format!("this machine has no {isa}: it lacks {feature}"))
        })
    }

    /// The number of threads, of which one may be given.
    pub(super) fn threads(&self) -> Result<usize, CliError> {
        match self.threads.as_slice() {
            [] => Ok(processors()),
            &[threads] => Ok(threads),
            _ => Err(CliError::Usage(
                "only `bench` takes several numbers of threads".to_owned(),
            )),
        }
    }

    /// What computes.
    pub(super) fn engine(&self, interpret: Option<Interpret>) -> Result<Engine, CliError> {
        Ok(match interpret {
            None => Engine::Compiled {
                target: self.target()?,
                threads: self.threads()?,
                winograd: !self.no_winograd,
            },
            Some(Interpret::F32) => Engine::InterpretF32,
            Some(Interpret::F64) => Engine::InterpretF64,
        })
    }

    /// The seed: the command line's, or else the file's, or else 0.
    pub(super) fn seed(&self, model: &Model) -> u64 {
        let from_file = model.train.as_ref().map_or(0, |train| train.seed);
        self.seed.unwrap_or(from_file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_may_be_named() {
        let named = |text: &str| text.parse::<NamedFile>().unwrap();
        assert_eq!(named("left=a.npy").name.as_deref(), Some("left"));
        assert_eq!(named("left=a=b.npy").path, PathBuf::from("a=b.npy"));
        assert_eq!(named("./x=y/a.npy").name, None);
        assert_eq!(named("a.npy").path, PathBuf::from("a.npy"));
    }
}
