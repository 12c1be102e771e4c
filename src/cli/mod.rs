//! The command line. The only place that prints.
//!
//! Results go to standard output, everything else to standard error. Exit codes are [`exit`]'s.

mod bench;
mod check;
mod common;
mod compile;
mod data;
mod dump;
mod error;
mod eval;
mod grad;
mod init;
mod interrupt;
mod output;
mod run;
mod summary;
mod table;
mod train;

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::common::Common;
use self::error::CliError;
use self::output::Out;

/// What the exit code says.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// Something is wrong with a file, the data or the machine; the message says what.
    pub const USER: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// A bug in netc.
    pub const INTERNAL: u8 = 70;
    /// To this the number of a signal is added that ended a command in good order: 130 is Ctrl-C, 143 is
    /// `kill`.
    pub const SIGNAL: u8 = 128;
}

/// A compiler from a neural-network description language to optimized CPU kernels, with training.
#[derive(Debug, Parser)]
#[command(
    name = "netc",
    version,
    after_help = "FILE is a `.net` file; FILE:NAME is one of its nets or presets.\n\
                  Exit codes: 0 all went well, 1 a file, data or the machine is at fault, \
                  2 the command line is wrong, 70 a bug in netc, \
                  130 and 143 stopped by Ctrl-C or `kill` after all was saved."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for mistakes in net files
    Check(check::Args),
    /// Show layers, shapes, parameters and multiply-accumulates
    Summary(summary::Args),
    /// Show what a stage of the compiler makes of a net
    Dump(dump::Args),
    /// Compile a net and show its kernels, code and memory
    Compile(compile::Args),
    /// Write fresh weights
    Init(init::Args),
    /// Compute a net's outputs
    Run(run::Args),
    /// Train a net on a data set
    Train(train::Args),
    /// Compute loss and accuracy on unseen samples
    Eval(eval::Args),
    /// Compute the gradients of the loss
    Grad(grad::Args),
    /// Measure time and memory
    Bench(bench::Args),
}

/// Runs the command that the process was started for.
pub fn main() -> ExitCode {
    // Clap prints its own messages: help to standard output, mistakes to standard error.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            // Nobody is there to hear that nobody listens.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let json = cli.common.json;
    panic::set_hook(Box::new(|info| {
        let _ = writeln!(
            io::stderr(),
            "internal error: {info}\nThis is a bug in netc, not in your file. Please report it with the file and the command."
        );
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(|| cli.run()));
    let code = match result {
        Ok(Ok(())) => exit::OK,
        Ok(Err(error)) => error.report(json),
        Err(_) => exit::INTERNAL,
    };
    ExitCode::from(code)
}

impl Cli {
    fn run(self) -> Result<(), CliError> {
        let mut out = Out::new(self.common.json);
        let common = &self.common;
        match self.command {
            Command::Check(args) => check::run(&args, common, &mut out),
            Command::Summary(args) => summary::run(&args, common, &mut out),
            Command::Dump(args) => dump::run(&args, common, &mut out),
            Command::Compile(args) => compile::run(&args, common, &mut out),
            Command::Init(args) => init::run(&args, common, &mut out),
            Command::Run(args) => run::run(&args, common, &mut out),
            Command::Train(args) => train::run(&args, common, &mut out),
            Command::Eval(args) => eval::run(&args, common, &mut out),
            Command::Grad(args) => grad::run(&args, common, &mut out),
            Command::Bench(args) => bench::run(&args, common, &mut out),
        }?;
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
