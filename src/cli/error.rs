//! What ends a command early, and how it is told.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::exit;
use super::output::color;
use crate::codegen::CodegenError;
use crate::condense::CondenseError;
use crate::diag::json::JsonDiagnostic;
use crate::diag::{Diagnostic, Files, Renderer, Terminal};
use crate::engine::RunError;
use crate::io::atomic::WriteError;
use crate::io::image::ImageProblem;
use crate::io::npy::NpyError;
use crate::io::{InFile, near};
use crate::model::{Net, NetError};
use crate::runtime::SessionError;
use crate::sema::Mode;
use crate::train::checkpoint::CheckpointError;
use crate::train::data::DataError;
use crate::train::fit::FitError;
use crate::train::plot::PlotError;
use crate::train::source::SourceError;

/// What is wrong with a picture file.
type ImageError = InFile<ImageProblem>;

/// What ends a command early.
#[derive(Debug)]
pub(super) enum CliError {
    /// Something is wrong with a file, the data or the machine.
    User(String),
    /// The arguments do not go together.
    Usage(String),
    /// The net has errors.
    Net(Box<NetError>),
    /// Everything has been told already.
    Told,
    /// A signal ended the command in good order; its number, and what to tell.
    Stopped(u8, String),
    /// The reader of the output has gone away, as `head` does: no mistake.
    Closed,
}

impl CliError {
    pub(super) fn user(message: impl Into<String>) -> CliError {
        CliError::User(message.into())
    }

    /// Tells what is wrong, and how to learn more; the exit code.
    pub(super) fn report(&self, json: bool) -> u8 {
        let code = self.show(json);
        if let (CliError::Net(error), false) = (self, json)
            && let NetError::Text(findings) = &**error
        {
            hint(&findings.diagnostics);
        }
        code
    }

    /// Tells what is wrong; the exit code.
    pub(super) fn show(&self, json: bool) -> u8 {
        match self {
            CliError::Closed => return exit::OK,
            CliError::Told => {}
            CliError::Stopped(signal, message) => {
                say(json, Kind::Stopped, message);
                return exit::SIGNAL + signal;
            }
            CliError::Usage(message) => {
                say(json, Kind::Error, message);
                if !json {
                    // Where standard error is closed too, the exit code says enough.
                    let _ = writeln!(io::stderr(), "\nFor more information, try '--help'.");
                }
                return exit::USAGE;
            }
            CliError::Net(error) => match &**error {
                NetError::Text(findings) => tell(&findings.diagnostics, &findings.files, json),
                NetError::Weights(error) => say(json, Kind::Error, in_file(error, "safetensors")),
                other => say(json, Kind::Error, chain(other)),
            },
            CliError::User(message) => say(json, Kind::Error, message),
        }
        exit::USER
    }
}

/// What kind of thing is told that has no place in a net file.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// The command fails.
    Error,
    /// A signal has ended the command in good order.
    Stopped,
    /// No mistake.
    Note,
}

/// Tells something that has no place in a net file: as a line on standard error, or with `--json` as an object like those
/// of findings on standard output. What a command has printed before must have been handed on.
pub(super) fn say(json: bool, kind: Kind, message: impl std::fmt::Display) {
    let (severity, prefix) = match kind {
        Kind::Error => ("error", "error: "),
        Kind::Stopped => ("note", ""),
        Kind::Note => ("note", "note: "),
    };
    // A reader that has gone away does not want it.
    let _ = if json {
        let object = json!({
            "code": null, "severity": severity, "message": message.to_string(),
            "labels": [], "notes": [], "help": [],
        });
        writeln!(io::stdout(), "{object}")
    } else {
        writeln!(io::stderr(), "{prefix}{message}")
    };
}

/// Writes diagnostics: as text to standard error, or with `--json` as an object a line to standard output.
/// What a command has printed before must have been handed on.
pub(super) fn tell(diagnostics: &[Diagnostic], files: &Files, json: bool) {
    let terminal = Terminal { color: color() };
    for diagnostic in diagnostics {
        // A reader that has gone away does not want the rest.
        let written = if json {
            let object = json!(JsonDiagnostic::new(diagnostic, files));
            writeln!(io::stdout(), "{object}")
        } else {
            writeln!(io::stderr(), "{}\n", terminal.render(diagnostic, files))
        };
        if written.is_err() {
            return;
        }
    }
}

/// Says once a run how to learn more about the errors that it has shown.
pub(super) fn hint(diagnostics: &[Diagnostic]) {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error());
    let mut codes: Vec<&str> = errors.map(|diagnostic| diagnostic.code.id).collect();
    codes.sort_unstable();
    codes.dedup();
    // Where standard error is closed, nobody wants to learn more.
    let _ = match codes.as_slice() {
        [] => Ok(()),
        [code] => writeln!(io::stderr(), "`netc explain {code}` says more."),
        codes => writeln!(
            io::stderr(),
            "`netc explain CODE` says more; the codes are {}.",
            codes.join(", ")
        ),
    };
}

/// Tells something that is no mistake.
pub(super) fn note(json: bool, message: impl std::fmt::Display) {
    say(json, Kind::Note, message);
}

/// Says where a net computes something else with a file's tensors than the net that they are of.
pub(super) fn note_epsilons(
    net: &Net,
    mode: Mode,
    weights: &Path,
    json: bool,
) -> Result<(), CliError> {
    let others = net.other_epsilons(mode, weights)?;
    if let Some((path, [theirs, own])) = others.first() {
        let more = match others.len() {
            1 => String::new(),
            count => format!(", and so it is with {} others", count - 1),
        };
        let file = weights.display();
        note(
            json,
            format_args!(
                "`{file}` was made with `eps = {theirs:?}` in the batch norm `{path}`, which has `eps = {own:?}` \
             here{more}: the outputs are others"
            ),
        );
    }
    Ok(())
}

/// A message with its causes.
fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors show their cause themselves.
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

/// A message about a file, with what was probably meant if it is not there.
fn in_file<P>(error: &InFile<P>, ending: &str) -> String
where
    InFile<P>: Error,
{
    format!("{}{}", chain(error), near::hint(&error.path, ending))
}

impl From<NpyError> for CliError {
    fn from(error: NpyError) -> CliError {
        CliError::User(in_file(&error, "npy"))
    }
}

impl From<ImageError> for CliError {
    fn from(error: ImageError) -> CliError {
        CliError::User(in_file(&error, "png"))
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> CliError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::Closed,
            _ => CliError::User(format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<NetError> for CliError {
    fn from(error: NetError) -> CliError {
        CliError::Net(Box::new(error))
    }
}

impl From<CondenseError> for CliError {
    fn from(error: CondenseError) -> CliError {
        match error {
            CondenseError::Net(error) => error.into(),
            other => CliError::User(chain(&other)),
        }
    }
}

impl From<FitError> for CliError {
    fn from(error: FitError) -> CliError {
        match error {
            FitError::Net(error) => error.into(),
            other => CliError::User(chain(&other)),
        }
    }
}

macro_rules! from {
    ($($error:ty),*) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> CliError {
                CliError::User(chain(&error))
            }
        })*
    };
}

from!(
    CheckpointError,
    CodegenError,
    SessionError,
    RunError,
    WriteError,
    DataError,
    PlotError,
    SourceError
);
