//! `netc std`: the blocks that come with netc.

use serde_json::json;

use super::error::CliError;
use super::output::Out;
use crate::program::shipped::{self, ROOT};

/// What `std` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "A net brings a module's blocks with `use std.MODULE`.")]
pub(super) struct Args {
    /// The module whose source is wanted; without it all modules and their blocks are listed
    #[arg(value_name = "MODULE")]
    module: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Result<(), CliError> {
    match &args.module {
        Some(name) => source(name, out),
        None => list(out),
    }
}

/// The source of a module, to be read or copied.
fn source(name: &str, out: &mut Out) -> Result<(), CliError> {
    let plain = name
        .strip_prefix(ROOT)
        .and_then(|name| name.strip_prefix('.'));
    let plain = plain.unwrap_or(name);
    let Some(module) = shipped::find(plain) else {
        let modules = shipped::modules();
        let names = modules.iter().map(|module| module.name);
        let hint = match crate::diag::suggest(plain, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the modules are {}", names.collect::<Vec<_>>().join(", ")),
        };
        return Err(CliError::user(format!(
            "`{ROOT}` has no module `{plain}`; {hint}"
        )));
    };
    if out.json {
        out.line(json!({ "module": module.name, "text": module.text }))
    } else {
        out.text(module.text)
    }
}

/// All modules with what they declare.
fn list(out: &mut Out) -> Result<(), CliError> {
    for (at, module) in shipped::modules().into_iter().enumerate() {
        let declared = shipped::declared(module);
        if out.json {
            let blocks: Vec<_> = declared
                .iter()
                .map(|declared| json!({ "name": declared.name, "call": declared.call, "doc": declared.doc }))
                .collect();
            out.line(json!({ "module": module.name, "blocks": blocks }))?;
            continue;
        }
        if at > 0 {
            out.line("")?;
        }
        out.line(format_args!("{ROOT}.{}", module.name))?;
        for declared in declared {
            out.line(format_args!("  {}", declared.call))?;
            if let Some(doc) = declared.doc {
                out.line(format_args!("      {doc}"))?;
            }
        }
    }
    Ok(())
}
