//! `netc layers`: what nets are made of.

use serde_json::{Value, json};

use super::error::CliError;
use super::output::Out;
use super::table::{Align, table};
use crate::sema::reference::{self, Entry};

/// What `layers` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The layers to tell more of; all, a line each, if none is named
    layer: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Result<(), CliError> {
    let all = reference::layers();
    if args.layer.is_empty() {
        if out.json {
            return all.iter().try_for_each(|entry| out.line(object(entry)));
        }
        let rows = all
            .iter()
            .map(|entry| [entry.name, entry.doc.formula].map(str::to_owned));
        let head = ["layer", "what it computes"].map(str::to_owned);
        let rows: Vec<[String; 2]> = std::iter::once(head).chain(rows).collect();
        return out.text(&table([Align::Left; 2], &rows));
    }
    for (index, name) in args.layer.iter().enumerate() {
        let Some(entry) = all.iter().find(|entry| entry.name == name) else {
            return Err(unknown(name, &all));
        };
        if index > 0 && !out.json {
            out.line("")?;
        }
        out.either(|| object(entry), || text(entry))?;
    }
    Ok(())
}

fn unknown(name: &str, all: &[Entry]) -> CliError {
    let names = all.iter().map(|entry| entry.name);
    CliError::user(match crate::diag::suggest(name, names) {
        Some(near) => format!("there is no layer `{name}`; did you mean `{near}`?"),
        None => format!("there is no layer `{name}`; `netc layers` lists them"),
    })
}

fn object(entry: &Entry) -> Value {
    let attributes = entry.attributes.iter().map(|attribute| {
        json!({
            "name": attribute.name, "kind": attribute.kind, "default": attribute.default,
            "positional": attribute.positional,
        })
    });
    let doc = entry.doc;
    json!({
        "layer": entry.name, "call": entry.call(), "formula": doc.formula, "shape": doc.shape,
        "attributes": attributes.collect::<Vec<_>>(), "weights": doc.weights, "notes": doc.notes,
        "source": doc.source,
    })
}

fn text(entry: &Entry) -> String {
    let doc = entry.doc;
    let mut text = format!("{}\n", entry.call());
    let mut line = |what: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {what:<9} {value}\n"));
        }
    };
    line("computes", doc.formula);
    line("shape", doc.shape);
    line("weights", doc.weights);
    line("note", doc.notes);
    line("source", doc.source);
    if !entry.attributes.is_empty() {
        let head = ["  attribute", "takes", "default"].map(str::to_owned);
        let rows = entry.attributes.iter().map(|attribute| {
            let default = attribute.default.clone();
            [
                format!("  {}", attribute.name),
                attribute.kind.clone(),
                default.unwrap_or_else(|| "must be given".to_owned()),
            ]
        });
        let rows: Vec<[String; 3]> = std::iter::once(head).chain(rows).collect();
        text.push('\n');
        text.push_str(&table([Align::Left; 3], &rows));
    }
    text.trim_end().to_owned()
}
