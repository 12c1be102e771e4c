//! Standard output: text for people, or with `--json` an object a line.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value;

use super::error::CliError;

/// Standard output. Failing to write is an error, not a panic: the reader may have gone away.
#[derive(Debug)]
pub(super) struct Out {
    stdout: BufWriter<Stdout>,
    /// Whether objects are wanted.
    pub(super) json: bool,
}

impl Out {
    pub(super) fn new(json: bool) -> Out {
        let stdout = BufWriter::new(io::stdout());
        Out { stdout, json }
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), CliError> {
        writeln!(self.stdout, "{line}")?;
        Ok(())
    }

    /// Writes text that ends its own lines.
    pub(super) fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.stdout.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Writes an object, or else text.
    pub(super) fn either(
        &mut self,
        object: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if self.json {
            let object = object();
            self.line(object)
        } else {
            self.line(text())
        }
    }

    /// Hands on what is buffered.
    pub(super) fn finish(&mut self) -> Result<(), CliError> {
        self.stdout.flush()?;
        Ok(())
    }
}

/// Whether messages on standard error may have colours: on a terminal, unless `NO_COLOR`, `CLICOLOR` or `CLICOLOR_FORCE`
/// says otherwise. The answer is that of the library that colours the help, so all messages agree.
pub(super) fn color() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}
