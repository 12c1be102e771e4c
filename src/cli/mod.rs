//! The command line. The only place that prints.
//!
//! Results go to standard output, everything else to standard error; with `--json` all that is said is an object a line on
//! standard output. Exit codes are [`exit`]'s.

mod answers;
mod bench;
mod check;
mod common;
mod compile;
mod completions;
mod condense;
mod data;
mod dump;
mod error;
mod eval;
mod explain;
mod fmt;
mod grad;
mod help;
mod init;
mod interrupt;
mod layers;
mod output;
mod parallel;
mod run;
mod scale;
mod shipped;
mod summary;
mod table;
mod train;

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    after_help = help::FIRST_STEPS
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
    #[command(after_help = help::CHECK)]
    Check(check::Args),
    /// Put net files into the one layout
    #[command(after_help = help::FMT)]
    Fmt(fmt::Args),
    /// Say what a code of a message means
    #[command(after_help = help::EXPLAIN)]
    Explain(explain::Args),
    /// Show layers, shapes, parameters and multiply-accumulates
    #[command(after_help = help::SUMMARY)]
    Summary(summary::Args),
    /// List the blocks that come with netc, or show their source
    #[command(after_help = help::STD)]
    Std(shipped::Args),
    /// Show what a stage of the compiler makes of a net
    #[command(after_help = help::DUMP)]
    Dump(dump::Args),
    /// Compile a net and show its kernels, code and memory
    #[command(after_help = help::COMPILE)]
    Compile(compile::Args),
    /// Write fresh weights
    #[command(after_help = help::INIT)]
    Init(init::Args),
    /// Compute a net's outputs
    Run(run::Args),
    /// Train a net on a data set
    #[command(after_help = help::TRAIN)]
    Train(train::Args),
    /// Compute loss and accuracy on unseen samples
    #[command(after_help = help::EVAL)]
    Eval(eval::Args),
    /// Turn a trained net with learned group convolutions into the net of its test time
    #[command(after_help = help::CONDENSE)]
    Condense(condense::Args),
    /// Compute the gradients of the loss
    #[command(after_help = help::GRAD)]
    Grad(grad::Args),
    /// Measure time and memory
    #[command(after_help = help::BENCH)]
    Bench(bench::Args),
    /// List the layers that nets are made of, or tell all of one
    #[command(after_help = help::LAYERS)]
    Layers(layers::Args),
    /// Write completions for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::Args),
}

/// The command line, with its commands in groups.
fn command() -> clap::Command {
    let command = Cli::command();
    let listing = help::listing(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{listing}Options:\n{{options}}{{after-help}}"
    ))
}

/// Runs the command that the process was started for.
pub fn main() -> ExitCode {
    // Clap prints its own messages: help to standard output, mistakes to standard error.
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            // A command line that cannot be read may still say how its mistakes are wanted.
            if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
                let text = error.to_string();
                let message = text.split("\n\n").next().unwrap_or_default();
                let message = message.strip_prefix("error: ").unwrap_or(message);
                error::say(true, error::Kind::Error, message);
            } else {
                // Nobody is there to hear that nobody listens.
                let _ = error.print();
            }
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
            Command::Fmt(args) => fmt::run(&args, &mut out),
            Command::Explain(args) => explain::run(&args, &mut out),
            Command::Summary(args) => summary::run(&args, common, &mut out),
            Command::Std(args) => shipped::run(&args, &mut out),
            Command::Dump(args) => dump::run(&args, common, &mut out),
            Command::Compile(args) => compile::run(&args, common, &mut out),
            Command::Init(args) => init::run(&args, common, &mut out),
            Command::Run(args) => run::run(&args, common, &mut out),
            Command::Train(args) => train::run(&args, common, &mut out),
            Command::Eval(args) => eval::run(&args, common, &mut out),
            Command::Condense(args) => condense::run(&args, common, &mut out),
            Command::Grad(args) => grad::run(&args, common, &mut out),
            Command::Bench(args) => bench::run(&args, common, &mut out),
            Command::Layers(args) => layers::run(&args, &mut out),
            Command::Completions(args) => completions::run(&args, &mut out),
        }?;
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }
}
