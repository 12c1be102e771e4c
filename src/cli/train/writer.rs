//! What a training writes: weights, checkpoints, curves.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Args;
use crate::cli::error::{CliError, note};
use crate::engine::Engine;
use crate::io::atomic;
use crate::model::{self, Net, Provenance};
use crate::sema::Model;
use crate::train::checkpoint::Checkpoint;
use crate::train::fingerprint::Fingerprint;
use crate::train::fit::{Epoch, FitConfig, Score, Trainer};
use crate::train::plot::{self, Curve, Curves, Lines};

/// How often something is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Every {
    Steps(usize),
    Time(Duration),
}

impl std::str::FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|&number| number > 0);
        let found = if let Some(seconds) = text.strip_suffix('s') {
            number(seconds).map(|seconds| Every::Time(Duration::from_secs(seconds.into())))
        } else if let Some(minutes) = text.strip_suffix('m') {
            let seconds = |minutes| u64::from(minutes) * 60;
            number(minutes).map(|minutes| Every::Time(Duration::from_secs(seconds(minutes))))
        } else {
            number(text).map(|steps| Every::Steps(steps as usize))
        };
        found.ok_or_else(|| "a number of steps, or a time such as 30s or 5m, is wanted".to_owned())
    }
}

/// Epochs that take less than this are not all written: the disk would take longer than they do.
const SHORT: Duration = Duration::from_secs(1);

/// Writes what a training has come to.
pub(super) struct Writer {
    provenance: Provenance,
    title: String,
    pub(super) weights: Option<PathBuf>,
    pub(super) checkpoint: Option<PathBuf>,
    curves: Option<PathBuf>,
    gradients: Option<PathBuf>,
    fingerprint: Fingerprint,
    every: Every,
    /// Steps taken in this process.
    pub(super) steps: usize,
    /// When, and after how many of these steps, all was written.
    last: (Instant, usize),
}

impl Writer {
    /// Fails where there is no folder to write to: after the first epoch would be late. Removes what
    /// killed trainings have left behind beside the same files.
    pub(super) fn new(
        args: &Args,
        net: &Net,
        model: &Model,
        config: &FitConfig,
        fingerprint: Fingerprint,
    ) -> Result<Writer, CliError> {
        for path in [&args.out, &args.curves].into_iter().flatten() {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                let (path, folder) = (path.display(), folder.display());
                return Err(CliError::user(format!(
                    "cannot write `{path}`: there is no folder `{folder}`"
                )));
            }
        }
        let beside = |ending: &str| {
            let out = args.out.as_deref();
            out.map(|out| out.with_extension(ending))
        };
        let file = net.path.file_name().unwrap_or_default().to_string_lossy();
        let exact = config.engine != Engine::InterpretF64;
        let writer = Writer {
            provenance: Provenance::from(model),
            title: format!("{} ({file})", model.name),
            weights: args.out.clone(),
            checkpoint: beside("checkpoint").filter(|_| exact),
            curves: args.curves.clone().or_else(|| beside("svg")),
            gradients: beside("gradients.svg").filter(|_| config.watch_gradients),
            fingerprint,
            every: args.checkpoint_every,
            steps: 0,
            last: (Instant::now(), 0),
        };
        if writer.weights.is_some() && writer.weights == writer.checkpoint {
            return Err(CliError::Usage(
                "--out names a checkpoint; name the weights, as in `--out w.safetensors`"
                    .to_owned(),
            ));
        }
        for path in writer.all() {
            atomic::clean(path);
        }
        Ok(writer)
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let all = [
            &self.weights,
            &self.checkpoint,
            &self.curves,
            &self.gradients,
        ];
        all.into_iter().flatten()
    }

    /// What has been written for the user's own use.
    pub(super) fn written(&self) -> impl Iterator<Item = &PathBuf> {
        let all = [&self.weights, &self.curves, &self.gradients];
        all.into_iter().flatten()
    }

    /// The checkpoint to go on from, where that is wanted.
    pub(super) fn checkpoint_to_resume(&self, args: &Args) -> Result<Option<Checkpoint>, CliError> {
        let Some(path) = self.checkpoint.as_ref().filter(|_| args.resume) else {
            return Ok(None);
        };
        if !path.exists() {
            return Err(CliError::user(format!(
                "there is no checkpoint `{}` to go on from; without --resume, a training begins",
                path.display()
            )));
        }
        Ok(Some(Checkpoint::read(path, &self.fingerprint)?))
    }

    /// Puts the checkpoint of a training that has not ended out of the way of a new one.
    pub(super) fn keep_earlier_checkpoint(&self, json: bool) -> Result<(), CliError> {
        let Some(path) = &self.checkpoint else {
            return Ok(());
        };
        let Some(place) = Checkpoint::peek(path).filter(|place| !place.is_end()) else {
            return Ok(());
        };
        let mut kept = path.clone().into_os_string();
        kept.push(".old");
        std::fs::rename(path, &kept).map_err(|error| {
            CliError::user(format!("cannot rename `{}`: {error}", path.display()))
        })?;
        note(
            json,
            format_args!(
                "`{}` was of a training that stands in epoch {}, and --resume is not given: it is `{}` now",
                path.display(),
                place.epoch,
                kept.display()
            ),
        );
        Ok(())
    }

    /// Counts a step; whether it is time to write.
    pub(super) fn is_due_after_step(&mut self) -> bool {
        self.steps += 1;
        let (time, steps) = self.last;
        self.checkpoint.is_some()
            && match self.every {
                Every::Steps(every) => self.steps - steps >= every,
                Every::Time(every) => time.elapsed() >= every,
            }
    }

    /// Writes weights and checkpoint.
    pub(super) fn save(&mut self, trainer: &Trainer) -> Result<(), CliError> {
        self.save_weights(trainer)?;
        self.save_checkpoint(trainer)
    }

    /// Writes the checkpoint alone.
    pub(super) fn save_checkpoint(&mut self, trainer: &Trainer) -> Result<(), CliError> {
        if let Some(path) = &self.checkpoint {
            trainer.checkpoint()?.write(path, &self.fingerprint)?;
        }
        self.last = (Instant::now(), self.steps);
        Ok(())
    }

    /// Writes the weights alone.
    pub(super) fn save_weights(&self, trainer: &Trainer) -> Result<(), CliError> {
        if let Some(path) = &self.weights {
            model::save(path, &self.provenance, &trainer.best_params()?)?;
        }
        Ok(())
    }

    /// Writes all after an epoch, unless it was a short one and others follow.
    pub(super) fn save_epoch(&mut self, trainer: &Trainer) -> Result<(), CliError> {
        let is_end = trainer.place().is_end();
        if !is_end && self.last.0.elapsed() < SHORT {
            return Ok(());
        }
        self.save(trainer)?;
        self.draw(trainer)
    }

    fn draw(&self, trainer: &Trainer) -> Result<(), CliError> {
        if let Some(path) = &self.curves {
            plot::write(path, &curves(&self.title, trainer.history()))?;
        }
        if let Some(path) = &self.gradients {
            plot::write_lines(path, &gradients(&self.title, trainer))?;
        }
        Ok(())
    }
}

fn curves(title: &str, history: &[Epoch]) -> Curves {
    let curve = |label: &str, value: &dyn Fn(&Epoch) -> Option<f64>| {
        let values: Option<Vec<f64>> = history.iter().map(value).collect();
        values.map(|values| Curve {
            label: label.to_owned(),
            values,
        })
    };
    let three = |of: fn(&Score) -> f64| {
        let curves = [
            curve("training", &|epoch| Some(of(&epoch.train))),
            curve("validation", &|epoch| epoch.validation.as_ref().map(of)),
            curve("unseen", &|epoch| Some(of(&epoch.test))),
        ];
        curves.into_iter().flatten().collect()
    };
    Curves {
        title: title.to_owned(),
        losses: three(|score| score.loss),
        // Without classes there is no accuracy.
        accuracies: match history.first() {
            Some(epoch) if epoch.train.accuracy.is_nan() => Vec::new(),
            _ => three(|score| score.accuracy),
        },
    }
}

/// The norms of the layers from the first to the last, at the beginning of the first, a middle and the
/// last epoch.
fn gradients(title: &str, trainer: &Trainer) -> Lines {
    let norms = trainer.gradient_norms();
    let mut epochs = vec![0, norms.len() / 2, norms.len().saturating_sub(1)];
    epochs.dedup();
    let curve = |epoch: usize| {
        let norms = norms.get(epoch)?;
        Some(Curve {
            label: format!("epoch {}", epoch + 1),
            values: norms.iter().map(|norm| norm.log10()).collect(),
        })
    };
    Lines {
        title: title.to_owned(),
        heading: "Gradient norm by layer, as a power of ten".to_owned(),
        axis: "layer, from the input".to_owned(),
        curves: epochs.into_iter().filter_map(curve).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_times() {
        let every = |text: &str| text.parse::<Every>();
        assert_eq!(every("500"), Ok(Every::Steps(500)));
        assert_eq!(every("30s"), Ok(Every::Time(Duration::from_secs(30))));
        assert_eq!(every("5m"), Ok(Every::Time(Duration::from_secs(300))));
        for wrong in ["", "0", "0s", "-1", "1h", "s"] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }
}
