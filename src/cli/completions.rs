//! `netc completions`: what a shell needs to complete command lines.

use clap_complete::Shell;

use super::error::CliError;
use super::output::Out;

/// What `completions` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "netc", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}
