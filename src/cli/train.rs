//! `netc train`: trains a net.

mod writer;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use self::writer::{Every, Writer};
use super::common::{Common, Interpret, count, parameters};
use super::error::{CliError, note, note_epsilons};
use super::interrupt::Interrupt;
use super::output::Out;
use super::table::grouped;
use crate::engine::Engine;
use crate::model::{self, NamedParam, Net};
use crate::sema::Mode;
use crate::train::fingerprint::Fingerprint;
use crate::train::fit::{Ending, Epoch, Event, FitConfig, Flow, Progress, Score, Trainer};
use crate::train::source::{self, Samples};

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
    /// Take from --weights only the tensors that fit, and say which do not
    #[arg(long, requires = "weights")]
    partial: bool,
    /// Where to write the weights while training (safetensors); the checkpoint, for --resume, and the
    /// curves are written beside it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on from the checkpoint beside --out, to the same weights as if it had never stopped
    #[arg(long, requires = "out", conflicts_with = "weights")]
    resume: bool,
    /// How often to write within an epoch: so many steps, or a time as in 30s or 5m
    #[arg(long, value_name = "N|TIME", default_value = "60s")]
    checkpoint_every: Every,
    /// Where to draw loss and accuracy (SVG) [default: beside --out]
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    /// Show the gradient norm of each layer at the beginning of each epoch, and draw them beside --out
    #[arg(long, value_enum)]
    watch: Option<Watch>,
    /// Times that all samples are seen, in place of the file's `epochs`
    #[arg(long, value_name = "N", value_parser = count)]
    epochs: Option<usize>,
    /// Images of a step, in place of the file's `batch`
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
    /// Compute with the reference interpreter, which is slow; with f64, no checkpoint is written
    #[arg(long, value_enum)]
    interpret: Option<Interpret>,
}

/// What can be watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Watch {
    /// The gradient norm of each layer.
    Gradients,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let interrupt = Interrupt::watch()
        .map_err(|error| CliError::user(format!("cannot listen for Ctrl-C: {error}")))?;
    let engine = common.engine(args.interpret)?;
    if args.resume && engine == Engine::InterpretF64 {
        return Err(CliError::Usage(
            "--resume does not go with --interpret f64: checkpoints hold f32 numbers".to_owned(),
        ));
    }
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
        scalings: source::scalings(&train),
        watch_gradients: args.watch.is_some(),
    };
    let params = first_params(args, &net, seed, common.json)?;
    let samples = source::samples(&train, args.data.as_deref(), Some(&net.path), seed)?;
    let data = &samples.dataset;
    let epochs = config.epochs;
    // A step has no more images than there are.
    let config = FitConfig {
        batch: config.batch.min(data.train.len()),
        ..config
    };
    let fingerprint = Fingerprint::new(&train, &model::training_graph(&train)?, &samples, &config);
    let mut writer = Writer::new(args, &net, &train, &config, fingerprint)?;
    let checkpoint = writer.checkpoint_to_resume(args)?;
    let batch = config.batch;
    let mut trainer = Trainer::new(&train, &infer, &params, config)?;
    let resumed = checkpoint.is_some();
    if let Some(checkpoint) = checkpoint {
        trainer.restore(checkpoint)?;
        if trainer.place().is_end() {
            return tell_finished(args, &trainer, epochs, out);
        }
    }
    trainer.check(data, samples.validation.as_ref())?;
    if !resumed {
        writer.keep_earlier_checkpoint(out.json)?;
    }
    if !out.json {
        let place = trainer.place();
        let from = match (resumed, place.step) {
            (false, _) => String::new(),
            (true, 0) => format!(", from epoch {}", place.epoch),
            (true, step) => format!(", from epoch {} after step {step}", place.epoch),
        };
        out.line(format_args!(
            "training {} on {} images of {}, batches of {batch}, {epochs} epochs{from}",
            train.name,
            grouped(data.train.len() as u64),
            data.name,
        ))?;
        out.finish()?;
    }
    // Whatever keeps files from being written is found now, and a training can be resumed from the start.
    writer.save_checkpoint(&trainer)?;
    let ending = fit(&mut trainer, &samples, &mut writer, &interrupt, epochs, out);
    if trainer.has_diverged() {
        writer.save_weights(&trainer)?;
        out.finish()?;
        if let (Some(path), Err(_)) = (&writer.weights, &ending) {
            note(
                out.json,
                format_args!("the weights of before that step are in {}", path.display()),
            );
        }
    }
    match ending? {
        Ending::Interrupted => Err(stopped(args, &trainer, &writer, &interrupt)),
        Ending::Finished | Ending::StoppedEarly(_) => {
            tell_end(&trainer, &writer, data.test.len(), out)
        }
    }
}

/// Trains, shows how it goes, and writes what is due.
fn fit(
    trainer: &mut Trainer,
    samples: &Samples,
    writer: &mut Writer,
    interrupt: &Interrupt,
    epochs: usize,
    out: &mut Out,
) -> Result<Ending, CliError> {
    let data = &samples.dataset;
    let bar = bar(out.json, epochs * data.train.len());
    let asked = || match interrupt.signal() {
        Some(_) => Flow::Stop,
        None => Flow::Continue,
    };
    let report = |event: Event<'_>| -> Result<Flow, CliError> {
        match event {
            Event::Progress(progress) => {
                let done = progress.done;
                if writer.steps.is_multiple_of(SHOW_EVERY) || done == progress.of {
                    show(&bar, &progress, epochs);
                }
                if writer.is_due_after_step() && asked() == Flow::Continue {
                    return Ok(Flow::Pause);
                }
            }
            Event::Evaluating => {}
            Event::Pause(trainer) => writer.save(trainer)?,
            Event::Epoch(epoch, trainer) => {
                // Asked once: a signal that comes after the files were left alone must wait for the
                // next event, which has everything written before the training ends.
                let flow = asked();
                match flow {
                    Flow::Stop => writer.save(trainer)?,
                    Flow::Continue | Flow::Pause => writer.save_epoch(trainer)?,
                }
                bar.suspend(|| {
                    out.either(|| object(&epoch, trainer), || text(&epoch, trainer, epochs))?;
                    out.finish()
                })?;
                return Ok(flow);
            }
        }
        Ok(asked())
    };
    let ending = trainer.fit(data, samples.validation.as_ref(), report);
    bar.finish_and_clear();
    ending
}

/// Steps between changes of the progress bar.
const SHOW_EVERY: usize = 16;

/// The weights to start from.
fn first_params(
    args: &Args,
    net: &Net,
    seed: u64,
    json: bool,
) -> Result<Vec<NamedParam>, CliError> {
    let Some(path) = args.weights.as_deref() else {
        return Ok(net.parameters(Mode::Train, None, seed)?);
    };
    if !args.partial {
        return parameters(net, Mode::Train, path, json);
    }
    let (params, difference) = net.parameters_that_fit(Mode::Train, path, seed)?;
    let left = difference.missing.len() + difference.differing.len();
    let (shown, all) = (path.display(), params.len());
    if left == all {
        return Err(CliError::user(format!(
            "no tensor of `{shown}` fits the network{difference}"
        )));
    }
    note(
        json,
        format_args!(
            "took {} of {all} tensors from `{shown}`; the others start fresh{difference}",
            all - left
        ),
    );
    note_epsilons(net, Mode::Train, path, json)?;
    Ok(params)
}

/// That nothing is left to train.
fn tell_finished(
    args: &Args,
    trainer: &Trainer,
    epochs: usize,
    out: &mut Out,
) -> Result<(), CliError> {
    let done = trainer.history().len();
    let message = match trainer.place().stopped {
        Some(epoch) => format!("the training is over: `early_stop` ended it after epoch {epoch}"),
        None => format!(
            "the training is over: {done} of {epochs} epochs are done; \
             `netc train {} --resume --epochs N` with a larger N goes on",
            args.file
        ),
    };
    if out.json {
        out.finish()?;
        note(true, message);
        return Ok(());
    }
    out.line(message)
}

/// What a signal has ended, and how to go on.
fn stopped(args: &Args, trainer: &Trainer, writer: &Writer, interrupt: &Interrupt) -> CliError {
    let place = trainer.place();
    let at = match place.step {
        0 => format!("after epoch {}", place.epoch - 1),
        step => format!("in epoch {}, after step {step}", place.epoch),
    };
    let written = match (&writer.weights, &writer.checkpoint) {
        (Some(weights), Some(checkpoint)) => format!(
            "wrote {} and {}; the same command with --resume goes on",
            weights.display(),
            checkpoint.display()
        ),
        (Some(weights), None) => format!("wrote {}", weights.display()),
        (None, _) => format!(
            "nothing is written: `netc train {} --out FILE` would have kept it",
            args.file
        ),
    };
    let signal = interrupt.signal().unwrap_or_default();
    CliError::Stopped(signal, format!("stopped {at}: {written}"))
}

/// The last lines.
fn tell_end(
    trainer: &Trainer,
    writer: &Writer,
    unseen: usize,
    out: &mut Out,
) -> Result<(), CliError> {
    if out.json {
        return Ok(());
    }
    let history = trainer.history();
    if let Some(epoch) = trainer.place().stopped {
        out.line(format_args!(
            "`early_stop` ended the training after epoch {epoch}"
        ))?;
    }
    // With `early_stop`, the weights are those of the best epoch.
    let best = trainer.place().best.epoch.map(|(epoch, _)| epoch);
    let kept = match best {
        Some(epoch) => history.iter().find(|done| done.epoch == epoch),
        None => history.last(),
    };
    if let Some(kept) = kept {
        let of = best.map_or(String::new(), |epoch| {
            format!(" with the weights of epoch {epoch}")
        });
        let unseen = grouped(unseen as u64);
        out.line(if kept.test.accuracy.is_nan() {
            format!("loss on {unseen} unseen samples{of}: {:.4}", kept.test.loss)
        } else {
            let accuracy = 100.0 * kept.test.accuracy;
            format!("accuracy on {unseen} unseen images{of}: {accuracy:.2} %")
        })?;
    }
    for path in writer.written() {
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
    bar.set_message(format!(
        "epoch {}/{epochs}, {}, {:.0} images/s",
        progress.epoch,
        shown(progress.score),
        bar.per_sec()
    ));
}

/// A score; without an accuracy where the answers are no classes.
pub(super) fn shown(score: Score) -> String {
    let Score { loss, accuracy } = score;
    if accuracy.is_nan() {
        format!("loss {loss:.4}")
    } else {
        format!("loss {loss:.4}, accuracy {:.2} %", 100.0 * accuracy)
    }
}

fn object(epoch: &Epoch, trainer: &Trainer) -> Value {
    let mut object = json!({
        "epoch": epoch.epoch,
        "train_loss": epoch.train.loss,
        "train_accuracy": epoch.train.accuracy,
        "test_loss": epoch.test.loss,
        "test_accuracy": epoch.test.accuracy,
        "images_per_s": epoch.images_per_second,
        "learning_rate": epoch.learning_rate,
    });
    if let Some(score) = epoch.validation {
        object["validation_loss"] = json!(score.loss);
        object["validation_accuracy"] = json!(score.accuracy);
    }
    if let Some(norms) = trainer.gradient_norms().get(epoch.epoch - 1) {
        let layers = trainer.watched_layers();
        let pairs = layers.iter().zip(norms);
        object["gradient_norms"] = pairs
            .map(|(layer, norm)| ((*layer).to_owned(), json!(norm)))
            .collect();
    }
    object
}

fn text(epoch: &Epoch, trainer: &Trainer, epochs: usize) -> String {
    let score = |name: &str, score: Score| format!("{name} {}", shown(score));
    let mut parts = vec![score("training", epoch.train)];
    parts.extend(
        epoch
            .validation
            .map(|held_out| score("validation", held_out)),
    );
    parts.push(score("unseen", epoch.test));
    let width = epochs.to_string().len();
    let mut text = format!(
        "epoch {:>width$}/{epochs}: {}; {} images/s",
        epoch.epoch,
        parts.join("; "),
        grouped(epoch.images_per_second as u64)
    );
    if let Some(norms) = trainer.gradient_norms().get(epoch.epoch - 1) {
        let layers = trainer.watched_layers();
        let longest = layers.iter().map(|layer| layer.len()).max().unwrap_or(0);
        for (layer, norm) in layers.iter().zip(norms) {
            text.push_str(&format!("\n  gradient of {layer:<longest$}  {norm:.3e}"));
        }
    }
    text
}
