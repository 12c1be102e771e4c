//! `netc check`: looks for mistakes.

use serde_json::json;

use super::common::Common;
use super::error::{CliError, Kind, hint, say, tell};
use super::output::Out;
use super::parallel;
use crate::diag::{Diagnostic, Files};
use crate::model::{Net, NetError};
use crate::sema::{self, Mode};
use crate::syntax::ast::Item;

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The files; FILE:NAME checks one of its nets
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let mut total = Total::default();
    for spec in &args.files {
        check(spec, common, out, &mut total)?;
    }
    let found = total.diagnostics.as_slice();
    let errors = total.unreadable + count_errors(found);
    if args.files.len() > 1 {
        let (files, warnings) = (args.files.len(), found.len() - count_errors(found));
        out.either(
            || json!({ "files": files, "errors": errors, "warnings": warnings }),
            || {
                let files = plural(files, "file");
                format!(
                    "{files}: {}, {}",
                    plural(errors, "error"),
                    plural(warnings, "warning")
                )
            },
        )?;
    }
    out.finish()?;
    if errors > 0 {
        if !out.json {
            hint(found);
        }
        return Err(CliError::Told);
    }
    Ok(())
}

/// What all files together gave.
#[derive(Default)]
struct Total {
    diagnostics: Vec<Diagnostic>,
    /// Files that could not be read.
    unreadable: usize,
}

fn count_errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|d| d.is_error()).count()
}

fn plural(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// Checks all nets of a file.
fn check(spec: &str, common: &Common, out: &mut Out, total: &mut Total) -> Result<(), CliError> {
    let net = match common.net(spec) {
        Ok(net) => net,
        Err(CliError::Net(error)) => match *error {
            NetError::Text(findings) => {
                report(spec, &[], &findings.diagnostics, &findings.files, out)?;
                total.diagnostics.extend(findings.diagnostics);
                return Ok(());
            }
            other => {
                // The other files are still worth a look.
                out.finish()?;
                say(out.json, Kind::Error, other);
                total.unreadable += 1;
                return Ok(());
            }
        },
        Err(other) => return Err(other),
    };
    let mut nets: Vec<Option<String>> = match net.name() {
        Some(name) => vec![Some(name.to_owned())],
        None => sema::net_names(net.program.main())
            .into_iter()
            .map(|name| Some(name.to_owned()))
            .collect(),
    };
    let main = net.program.main();
    let declares = |item: &Item| matches!(item, Item::Block(_) | Item::Fn(_));
    let is_library = nets.is_empty() && main.items.iter().any(declares);
    if nets.is_empty() && !is_library {
        nets.push(None);
    }
    let mut diagnostics = net.warnings.clone();
    let mut sound = Vec::new();
    if is_library {
        diagnostics.extend(sema::check_names(&net.program, &net.files));
        sound.push("blocks only".to_owned());
    }
    // In training there are heads and rules that there are not in use, and the other way round.
    let modes = |name: &Option<String>| [Mode::Train, Mode::Infer].map(|mode| (name.clone(), mode));
    let all: Vec<_> = nets.iter().flat_map(modes).collect();
    let models = parallel::each(&all, |(name, mode)| {
        let model = net.model_of(name.as_deref(), *mode)?;
        Ok((model.name, model.warnings))
    });
    for ((_, mode), model) in all.iter().zip(models) {
        let found = match model {
            Ok((name, warnings)) => {
                if *mode == Mode::Train {
                    sound.push(name);
                }
                warnings
            }
            Err(NetError::Text(findings)) => findings.diagnostics,
            Err(other) => return Err(other.into()),
        };
        // What is wrong with the file is found again with each net.
        let new = found.into_iter().filter(|d| !diagnostics.contains(d));
        let new: Vec<Diagnostic> = new.collect();
        diagnostics.extend(new);
    }
    diagnostics.extend(sema::searches(&net.program, &net.files).1);
    diagnostics.extend(sema::try_searches(&net.program, &net.files));
    report(spec, &sound, &diagnostics, &net.files, out)?;
    total.diagnostics.extend(diagnostics);
    searches(&net, spec, out)
}

/// A line for each search of a file that is sound: how many points it has.
pub(super) fn searches(net: &Net, spec: &str, out: &mut Out) -> Result<(), CliError> {
    for space in sema::searches(&net.program, &net.files).0 {
        let axis = |(name, count): &(String, usize)| json!({ "name": name, "values": count });
        let axes: Vec<_> = space.axes.iter().map(axis).collect();
        out.either(
            || json!({ "file": spec, "search": space.net, "axes": axes, "points": space.points }),
            || format!("{spec}: {space}"),
        )?;
    }
    Ok(())
}

/// Tells what was found in a file.
fn report(
    spec: &str,
    nets: &[String],
    diagnostics: &[Diagnostic],
    files: &Files,
    out: &mut Out,
) -> Result<(), CliError> {
    let errors = count_errors(diagnostics);
    let warnings = diagnostics.len() - errors;
    // What is told of a file keeps its order.
    out.finish()?;
    tell(diagnostics, files, out.json);
    if out.json {
        out.line(json!({
            "file": spec, "ok": errors == 0, "errors": errors, "warnings": warnings, "nets": nets,
        }))?;
        return Ok(());
    }
    let (error_count, warning_count) = (plural(errors, "error"), plural(warnings, "warning"));
    match (errors, warnings) {
        (0, 0) => out.line(format_args!("{spec}: ok ({})", nets.join(", ")))?,
        (0, _) => out.line(format_args!(
            "{spec}: ok ({}), {warning_count}",
            nets.join(", ")
        ))?,
        (_, 0) => out.line(format_args!("{spec}: {error_count}"))?,
        (_, _) => out.line(format_args!("{spec}: {error_count}, {warning_count}"))?,
    }
    Ok(())
}
