//! `netc explain`: what a code of a message means.

use serde_json::json;

use super::error::CliError;
use super::output::Out;
use crate::diag::codes;

/// What `explain` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The code, as in `N0207`; without one, all codes are listed
    code: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Result<(), CliError> {
    let Some(id) = &args.code else {
        for code in codes::ALL {
            out.either(
                || json!({ "code": code.id, "title": code.title }),
                || format!("{}  {}", code.id, code.title),
            )?;
        }
        return Ok(());
    };
    let Some(code) = codes::find(id) else {
        return Err(CliError::user(format!(
            "there is no code `{id}`; `netc explain` lists all"
        )));
    };
    out.either(
        || json!({ "code": code.id, "title": code.title, "page": code.page }),
        || code.page.trim_end().to_owned(),
    )
}
