//! `netc train`: trains a net.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::common::{Common, Interpret, count};
use super::error::CliError;
use super::output::Out;
use super::table::grouped;
use crate::model::{self, Net};
use crate::sema::{Mode, Model};
use crate::train::fit::{Epoch, Event, FitConfig, Progress, Score, Trainer};
use crate::train::plot::{self, Curve, Curves};
use crate::train::source;

/// What `train` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// The data set or folder, in place of the file's `data`
    #[arg(long, value_name = "NAME|FOLDER")]
    data: Option<String>,
    /// Weights to start from (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Where to write the weights after each epoch (safetensors)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to draw loss and accuracy (SVG) [default: beside --out]
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    /// Times that all samples are seen, in place of the file's `epochs`
    #[arg(long, value_name = "N", value_parser = count)]
    epochs: Option<usize>,
    /// Images of a step, in place of the file's `batch`
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
    /// Compute with the reference interpreter, which is slow
    #[arg(long, value_enum)]
    interpret: Option<Interpret>,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let engine = common.engine(args.interpret)?;
    let net = common.net(&args.file)?;
    let infer = common.model(&net, Mode::Infer)?;
    let train = net.model(Mode::Train)?;
    let section = model::train_config(&train)?;
    // What the file lacks is told before data is looked for.
    model::loss(&train)?;
    model::step_config(&train)?;
    let seed = common.seed(&train);
    let config = FitConfig {
        engine,
        seed,
        batch: args.batch.unwrap_or(section.batch),
        epochs: args.epochs.unwrap_or(section.epochs),
        scaling: source::scaling(&train),
    };
    let params = net.parameters(Mode::Train, args.weights.as_deref(), seed)?;
    let samples = source::samples(&train, args.data.as_deref(), Some(&net.path), seed)?;
    let data = &samples.dataset;
    let epochs = config.epochs;
    let writer = Writer::new(args, &net, &train, epochs)?;
    // A step has no more images than there are.
    let config = FitConfig {
        batch: config.batch.min(data.train.len()),
        ..config
    };
    if !out.json {
        out.line(format_args!(
            "training {} on {} images of {}, batches of {}, {epochs} epochs",
            train.name,
            grouped(data.train.len() as u64),
            data.name,
            config.batch
        ))?;
        out.finish()?;
    }
    let mut trainer = Trainer::new(&train, &infer, &params, config)?;
    let bar = bar(out.json, epochs * data.train.len());
    let mut history: Vec<Epoch> = Vec::new();
    let report = |event: Event<'_>| -> Result<(), CliError> {
        match event {
            Event::Progress(progress) => show(&bar, &progress, epochs),
            Event::Epoch(epoch, trainer) => {
                history.push(epoch);
                writer.write(trainer, &history)?;
                bar.suspend(|| {
                    out.either(|| object(&epoch), || text(&epoch, epochs))?;
                    out.finish()
                })?;
            }
        }
        Ok(())
    };
    let history = trainer.fit(data, samples.validation.as_ref(), report)?;
    bar.finish_and_clear();
    if out.json {
        return Ok(());
    }
    if let Some(last) = history.last() {
        out.line(format_args!(
            "accuracy on {} unseen images: {:.2} %",
            grouped(data.test.len() as u64),
            100.0 * last.test.accuracy
        ))?;
    }
    for path in [&writer.weights, &writer.curves].into_iter().flatten() {
        out.line(format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}

/// The bar over all epochs; without a terminal, it draws nothing.
fn bar(json: bool, samples: usize) -> ProgressBar {
    let target = if json {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let style = ProgressStyle::with_template("{bar:30} {msg}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(samples as u64), target).with_style(style)
}

fn show(bar: &ProgressBar, progress: &Progress, epochs: usize) {
    let before = (progress.epoch - 1) * progress.of;
    bar.set_position((before + progress.done) as u64);
    let Score { loss, accuracy } = progress.score;
    bar.set_message(format!(
        "epoch {}/{epochs}, loss {loss:.4}, accuracy {:.2} %, {:.0} images/s",
        progress.epoch,
        100.0 * accuracy,
        bar.per_sec()
    ));
}

fn object(epoch: &Epoch) -> Value {
    let mut object = json!({
        "epoch": epoch.epoch,
        "train_loss": epoch.train.loss,
        "train_accuracy": epoch.train.accuracy,
        "test_loss": epoch.test.loss,
        "test_accuracy": epoch.test.accuracy,
        "images_per_s": epoch.images_per_second,
    });
    if let Some(score) = epoch.validation {
        object["validation_loss"] = json!(score.loss);
        object["validation_accuracy"] = json!(score.accuracy);
    }
    object
}

fn text(epoch: &Epoch, epochs: usize) -> String {
    let score = |name: &str, score: Score| {
        let accuracy = 100.0 * score.accuracy;
        format!("{name} loss {:.4}, accuracy {accuracy:.2} %", score.loss)
    };
    let mut parts = vec![score("training", epoch.train)];
    parts.extend(
        epoch
            .validation
            .map(|held_out| score("validation", held_out)),
    );
    parts.push(score("unseen", epoch.test));
    let width = epochs.to_string().len();
    format!(
        "epoch {:>width$}/{epochs}: {}; {} images/s",
        epoch.epoch,
        parts.join("; "),
        grouped(epoch.images_per_second as u64)
    )
}

/// What is written after each epoch.
struct Writer {
    net: String,
    title: String,
    weights: Option<PathBuf>,
    curves: Option<PathBuf>,
    epochs: usize,
}

/// Times that curves are drawn, at most: each drawing costs more than the one before.
const DRAWINGS: usize = 100;

impl Writer {
    /// Fails where there is no folder to write to: after the first epoch would be late.
    fn new(args: &Args, net: &Net, model: &Model, epochs: usize) -> Result<Writer, CliError> {
        for path in [&args.out, &args.curves].into_iter().flatten() {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                let (path, folder) = (path.display(), folder.display());
                return Err(CliError::user(format!(
                    "cannot write `{path}`: there is no folder `{folder}`"
                )));
            }
        }
        let beside = args.out.as_deref().map(|out| out.with_extension("svg"));
        let file = net.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Writer {
            net: model.name.clone(),
            title: format!("{} ({file})", model.name),
            weights: args.out.clone(),
            curves: args.curves.clone().or(beside),
            epochs,
        })
    }

    fn write(&self, trainer: &Trainer, history: &[Epoch]) -> Result<(), CliError> {
        if let Some(path) = &self.weights {
            model::save(path, &self.net, &trainer.params()?)?;
        }
        let (epoch, between) = (history.len(), self.epochs.div_ceil(DRAWINGS));
        let due = epoch.is_multiple_of(between) || epoch == self.epochs;
        if let Some(path) = self.curves.as_ref().filter(|_| due) {
            self.draw(path, history)?;
        }
        Ok(())
    }

    fn draw(&self, path: &Path, history: &[Epoch]) -> Result<(), CliError> {
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
        let curves = Curves {
            title: self.title.clone(),
            losses: three(|score| score.loss),
            accuracies: three(|score| score.accuracy),
        };
        Ok(plot::write(path, &curves)?)
    }
}
