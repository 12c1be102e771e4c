//! What a training is of: enough to say whether a checkpoint belongs to it, and if not, why not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::FitConfig;
use super::source::Samples;
use crate::engine::Engine;
use crate::ir::{Graph, ValueKind};
use crate::ops::OpRules;
use crate::sema::Model;

/// The properties of a training that a resumed one must share, each under a name that a person
/// knows. The number of epochs, threads and the tier of instructions are not among them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    /// That of a model made for training, on these samples.
    ///
    /// `step` is the graph of its training step; a checksum of its text stands for everything that
    /// has no line of its own.
    #[must_use]
    pub fn new(model: &Model, step: &Graph, samples: &Samples, config: &FitConfig) -> Fingerprint {
        let mut found = BTreeMap::new();
        let mut note = |name: &str, value: String| {
            found.insert(name.to_owned(), value);
        };
        note("net", model.name.clone());
        note("batch", config.batch.to_string());
        note("seed", config.seed.to_string());
        note("scaling", format!("{:?}", config.scalings));
        note("data", data(samples));
        note("step", checksum(step.to_string().as_bytes()));
        note(
            "numbers",
            match config.engine {
                Engine::Compiled { .. } => "machine code".to_owned(),
                Engine::InterpretF32 => "the interpreter in f32".to_owned(),
                Engine::InterpretF64 => "the interpreter in f64".to_owned(),
            },
        );
        if let Some(section) = &model.train {
            note("drop_last", section.drop_last.to_string());
            for line in section.written() {
                if !NOT_COMPARED.contains(&line.key) {
                    note(&line.name(), line.value);
                }
            }
        }
        for (layer, text) in layers(&model.graph) {
            note(&format!("layer {layer}"), text);
        }
        Fingerprint(found)
    }

    /// What differs from another one, a line each: its value there, and here.
    #[must_use]
    pub fn differences(&self, other: &Fingerprint) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> =
            self.0.keys().chain(other.0.keys()).collect();
        let value = |of: &Fingerprint, name: &String| match of.0.get(name) {
            Some(value) => value.clone(),
            None => "absent".to_owned(),
        };
        let differing = names
            .into_iter()
            .filter(|&name| self.0.get(name) != other.0.get(name));
        let mut lines: Vec<(&String, String)> = differing
            .map(|name| {
                let (there, here) = (value(other, name), value(self, name));
                (name, format!("{name}: it was {there}, and is {here}"))
            })
            .collect();
        // The checksum says nothing to a person where a line does.
        if lines.len() > 1 {
            lines.retain(|(name, _)| *name != "step");
        }
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// Keys of the section that have a line of their own here, made of what the training really is given, and
/// the one that only says when it ends.
const NOT_COMPARED: [&str; 4] = ["data", "batch", "seed", "epochs"];

fn data(samples: &Samples) -> String {
    let Samples {
        dataset,
        validation,
    } = samples;
    let mut crc = flate2::Crc::new();
    dataset.train.add_to(&mut crc);
    if let Some(part) = validation {
        part.add_to(&mut crc);
    }
    format!(
        "{} samples with the checksum {:08x}, of which {} are held out",
        dataset.train.len() + validation.as_ref().map_or(0, |part| part.len()),
        crc.sum(),
        validation.as_ref().map_or(0, |part| part.len())
    )
}

fn checksum(bytes: &[u8]) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    format!("{:08x}", crc.sum())
}

/// Each layer's operators and parameters.
fn layers(graph: &Graph) -> BTreeMap<String, String> {
    let mut layers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, value) in graph.values.iter() {
        match &value.kind {
            ValueKind::Input(name) => {
                let text = vec![format!("input of {:?}", graph.dims(id))];
                layers.insert(name.to_string(), text);
            }
            ValueKind::Param(param) => {
                let layer = param.name.rsplit_once('.').map_or("", |(layer, _)| layer);
                let text = format!("{:?} {{{}}}", graph.dims(id), param.init);
                layers.entry(layer.to_owned()).or_default().push(text);
            }
            ValueKind::State(_) | ValueKind::Step(_) | ValueKind::Result { .. } => {}
        }
    }
    for (_, node) in graph.nodes.iter() {
        let text = match node.op.attributes() {
            none if none.is_empty() => node.op.name().to_owned(),
            attributes => format!("{} {{{attributes}}}", node.op.name()),
        };
        layers
            .entry(node.origin.to_string())
            .or_default()
            .push(text);
    }
    let joined = |(layer, texts): (String, Vec<String>)| (layer, texts.join(", "));
    layers.into_iter().map(joined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(items: &[(&str, &str)]) -> Fingerprint {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Fingerprint(items.iter().map(owned).collect())
    }

    #[test]
    fn names_what_differs() {
        let now = fingerprint(&[("batch", "64"), ("seed", "1"), ("step", "aa")]);
        assert_eq!(now.differences(&now), Vec::<String>::new());
        let before = fingerprint(&[("batch", "32"), ("step", "bb"), ("layer fc", "dense")]);
        assert_eq!(
            now.differences(&before),
            [
                "batch: it was 32, and is 64",
                "layer fc: it was dense, and is absent",
                "seed: it was absent, and is 1",
            ]
        );
        let other = fingerprint(&[("batch", "64"), ("seed", "1"), ("step", "bb")]);
        assert_eq!(now.differences(&other), ["step: it was bb, and is aa"]);
    }
}
