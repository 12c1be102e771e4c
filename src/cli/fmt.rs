//! `netc fmt`: puts files into the one layout.

use std::io::Read as _;
use std::path::Path;

use serde_json::json;

use super::error::{CliError, Kind, hint, say, tell};
use super::output::Out;
use crate::diag::{Diagnostic, Files};
use crate::io::atomic;
use crate::syntax;

/// What `fmt` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The files; `-` is standard input, whose layout goes to standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// List the files whose layout is another, write nothing, and exit with 1 if there are any
    #[arg(long, conflicts_with = "stdout")]
    check: bool,
    /// Write to standard output, and leave the files as they are
    #[arg(long)]
    stdout: bool,
}

/// A file in the one layout.
struct Formatted {
    text: String,
    /// Whether the file has another layout.
    changed: bool,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Result<(), CliError> {
    let mut wrong = false;
    let mut told = Vec::new();
    for name in &args.files {
        wrong |= match lay_out(name, out, &mut told)? {
            Some(formatted) => hand_on(args, name, &formatted, out)?,
            None => true,
        };
    }
    if wrong {
        out.finish()?;
        if !out.json {
            hint(&told);
        }
        return Err(CliError::Told);
    }
    Ok(())
}

/// Reads a file and lays it out; none if that failed, which has been told then.
fn lay_out(
    name: &str,
    out: &mut Out,
    told: &mut Vec<Diagnostic>,
) -> Result<Option<Formatted>, CliError> {
    let (shown, bytes) = match name {
        "-" => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            ("standard input", read.map(|_| bytes))
        }
        path => (path, std::fs::read(path)),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            // The other files are still worth a look.
            out.finish()?;
            let message = format!("cannot read `{shown}`: {error}");
            say(out.json, Kind::Error, message);
            return Ok(None);
        }
    };
    let mut files = Files::new();
    let formatted = syntax::read(&mut files, shown, &bytes)
        .map_err(|diagnostic| vec![*diagnostic])
        .and_then(|file| syntax::fmt::format(file, files.text(file)));
    match formatted {
        Ok(text) => {
            let changed = text.as_bytes() != bytes;
            Ok(Some(Formatted { text, changed }))
        }
        Err(diagnostics) => {
            out.finish()?;
            tell(&diagnostics, &files, out.json);
            told.extend(diagnostics);
            Ok(None)
        }
    }
}

/// Writes a file, or says what would be written; whether the command has failed.
fn hand_on(
    args: &Args,
    name: &str,
    formatted: &Formatted,
    out: &mut Out,
) -> Result<bool, CliError> {
    let Formatted { text, changed } = formatted;
    if !args.check && (args.stdout || name == "-") {
        out.text(text)?;
        return Ok(false);
    }
    let written = *changed && !args.check;
    if written {
        atomic::write(Path::new(name), |file| file.write_all(text.as_bytes()))?;
    }
    if out.json {
        out.line(json!({ "file": name, "changed": changed, "written": written }))?;
    } else if *changed {
        let verb = if written { "formatted" } else { "would change" };
        out.line(format_args!("{verb} {name}"))?;
    }
    Ok(*changed && args.check)
}
