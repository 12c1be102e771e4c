//! What a net says of samples, for people: the likeliest classes, and whether they are right.

use std::path::Path;

use serde_json::{Value, json};

use super::error::CliError;
use super::output::Out;
use super::table::shape;
use crate::classes::{self, Reading};
use crate::sema::Model;
use crate::train::data::check_labels;

/// A sample that a net was asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Subject {
    /// The key and value of its name in `--json`.
    name: (&'static str, Value),
    /// Its name for people.
    text: String,
    /// Its class, if that is known.
    label: Option<u32>,
}

impl Subject {
    /// A sample of an array, by number.
    pub(super) fn sample(number: usize) -> Subject {
        Subject {
            name: ("sample", json!(number)),
            text: number.to_string(),
            label: None,
        }
    }

    /// A sample of a data set.
    pub(super) fn labelled(number: usize, label: u32) -> Subject {
        Subject {
            label: Some(label),
            ..Subject::sample(number)
        }
    }

    /// A picture.
    pub(super) fn file(path: &Path) -> Subject {
        Subject {
            name: ("file", json!(path)),
            text: path.display().to_string(),
            label: None,
        }
    }
}

/// Holds a net against what can be printed of it.
pub(super) fn check(model: &Model) -> Result<(), CliError> {
    let output = model.graph.outputs.first();
    let dims = output.map_or(&[][..], |output| model.graph.dims(output.value));
    match dims {
        [_] => Ok(()),
        dims => Err(CliError::user(format!(
            "classes are printed of outputs of [classes], and that of `{}` is {}: \
             write it to a file with --output FILE",
            model.name,
            shape(dims)
        ))),
    }
}

/// Prints the likeliest classes of each sample, and where labels are known, how many are right.
pub(super) fn print(
    model: &Model,
    subjects: &[Subject],
    class_names: &[String],
    outputs: &[f32],
    top: usize,
    out: &mut Out,
) -> Result<(), CliError> {
    let reading = Reading::of(model);
    let width = outputs.len() / subjects.len().max(1);
    let labels: Vec<u32> = subjects
        .iter()
        .filter_map(|subject| subject.label)
        .collect();
    if width > 1 {
        check_labels(&labels, width).map_err(|error| CliError::user(error.to_string()))?;
    }
    let name = |class: usize| class_names.get(class).cloned();
    let called = |class: usize| name(class).unwrap_or_else(|| class.to_string());
    let mut right = 0;
    for (subject, outputs) in subjects.iter().zip(outputs.chunks_exact(width.max(1))) {
        let scores = reading.apply(outputs);
        let (answer, object, text) = if let [number] = outputs {
            // A single number is an estimate of the label itself.
            let nearest = (number.round() >= 0.0).then(|| number.round() as usize);
            (nearest, json!({ "value": number }), format!("{number:.4}"))
        } else {
            let best = classes::top(&scores, top);
            let objects = best.iter().map(|&class| {
                json!({ "class": class, "name": name(class), reading.name(): scores[class] })
            });
            let objects: Vec<Value> = objects.collect();
            let texts = best.iter().map(|&class| match reading {
                Reading::Scores => format!("{} {:.4}", called(class), scores[class]),
                Reading::Probabilities | Reading::Logits => {
                    format!("{} {:.2} %", called(class), 100.0 * scores[class])
                }
            });
            let texts: Vec<String> = texts.collect();
            let sure = best
                .first()
                .copied()
                .filter(|&class| !scores[class].is_nan());
            (sure, json!({ "top": objects }), texts.join(", "))
        };
        let is_right = subject.label.map(|label| answer == Some(label as usize));
        right += usize::from(is_right == Some(true));
        out.either(
            || {
                let (key, value) = &subject.name;
                let mut line = json!({ "net": model.name, *key: value });
                for (key, value) in object.as_object().into_iter().flatten() {
                    line[key] = value.clone();
                }
                if let (Some(label), Some(is_right)) = (subject.label, is_right) {
                    line["label"] = json!(label);
                    line["label_name"] = json!(name(label as usize));
                    line["right"] = json!(is_right);
                }
                line
            },
            || match (subject.label, is_right) {
                (Some(_), Some(true)) => format!("{}: {text}; right", subject.text),
                (Some(label), _) => {
                    let label = called(label as usize);
                    format!("{}: {text}; wrong, it is {label}", subject.text)
                }
                (None, _) => format!("{}: {text}", subject.text),
            },
        )?;
    }
    if !labels.is_empty() && !out.json {
        out.line(format_args!("{right} of {} right", labels.len()))?;
    }
    Ok(())
}
