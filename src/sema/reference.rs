//! What the language reference says of each layer and of each choice of the `train` section.
//!
//! Names, attributes and defaults are read from the tables that nets are checked by; what only people need stands in
//! [`Doc`]. `netc layers` prints it, and the pages of the reference hold it, so neither can tell what is not so.

mod docs;

use super::layers::{Attr, AttrKind, Default, LAYERS};
use super::picture::IMAGE;
use super::train::choices;
pub use docs::{Doc, Family};

/// A layer, with everything that a user asks of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name in a net.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static Doc,
    /// Its attributes; those that can be given by position come first.
    pub attributes: Vec<Attribute>,
}

/// An attribute of a layer, or an argument of a choice in `train`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it may be, in words.
    pub kind: String,
    /// What it is where it is not written, as it would be written; none if it must be written.
    pub default: Option<String>,
    /// Whether it can be given without its name.
    pub positional: bool,
}

/// Something that a key of `train` can be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The key.
    pub key: &'static str,
    /// The word.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: Vec<Attribute>,
}

impl Entry {
    /// The layer as it is written, with all attributes: `dense(features, bias = true, init = auto)`.
    #[must_use]
    pub fn call(&self) -> String {
        call(self.name, &self.attributes)
    }
}

impl Choice {
    /// The choice as it is written, with all arguments.
    #[must_use]
    pub fn call(&self) -> String {
        call(self.name, &self.arguments)
    }
}

fn call(name: &str, attributes: &[Attribute]) -> String {
    let written = attributes.iter().map(|attribute| match &attribute.default {
        None => attribute.name.to_owned(),
        Some(default) => format!("{} = {default}", attribute.name),
    });
    let written: Vec<String> = written.collect();
    if written.is_empty() {
        return name.to_owned();
    }
    format!("{name}({})", written.join(", "))
}

/// All layers of the language, in the order of the reference.
#[must_use]
pub fn layers() -> Vec<Entry> {
    let entry = |doc: &'static Doc| {
        let layer = LAYERS.iter().find(|layer| layer.name == doc.name)?;
        Some(Entry {
            name: layer.name,
            doc,
            attributes: attributes(layer.attrs),
        })
    };
    docs::DOCS.iter().filter_map(entry).collect()
}

/// What the keys of `train` can be, where they choose among words with arguments.
#[must_use]
pub fn choices_of_training() -> Vec<Choice> {
    let of = |(key, layers): (&'static str, Vec<&'static super::layers::Layer>)| {
        let choice = move |layer: &'static super::layers::Layer| Choice {
            key,
            name: layer.name,
            arguments: attributes(layer.attrs),
        };
        layers.into_iter().map(choice).collect::<Vec<_>>()
    };
    choices::choices().into_iter().flat_map(of).collect()
}

/// What `from image(…)` takes.
#[must_use]
pub fn image() -> Choice {
    Choice {
        key: "from",
        name: IMAGE.name,
        arguments: attributes(IMAGE.attrs),
    }
}

fn attributes(attrs: &'static [Attr]) -> Vec<Attribute> {
    let attribute = |attr: &'static Attr| Attribute {
        name: attr.name,
        kind: kind(attr.kind),
        default: default(attr.default),
        positional: attr.positional,
    };
    attrs.iter().map(attribute).collect()
}

fn kind(kind: AttrKind) -> String {
    let words = |words: &[&str]| {
        let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        quoted.join(", ")
    };
    match kind {
        AttrKind::Int(..) => "a whole number".to_owned(),
        AttrKind::Float => "a number".to_owned(),
        AttrKind::Bool => "`true` or `false`".to_owned(),
        AttrKind::Size => "a size or (height, width)".to_owned(),
        AttrKind::SizeOr(other) => format!("a size, (height, width), {}", words(other)),
        AttrKind::Pad => {
            "a size, (height, width), (top, left, bottom, right), `same`, `valid`".to_owned()
        }
        AttrKind::Sizes => "a list of sizes".to_owned(),
        AttrKind::Numbers => "a list of numbers, or `none`".to_owned(),
        AttrKind::PerChannel => "a number or a list of numbers".to_owned(),
        AttrKind::Word(list) => words(list),
        AttrKind::Places(_) => "a list of places, counted from 0".to_owned(),
        AttrKind::Axes => "a list of axes: `channels`, `height`, `width`, or 0, 1, 2".to_owned(),
        AttrKind::Init => "an initialiser, or `auto`".to_owned(),
        AttrKind::Any => "a string".to_owned(),
    }
}

fn default(default: Default) -> Option<String> {
    Some(match default {
        Default::Required => return None,
        Default::Int(value) => value.to_string(),
        Default::Float(value) => number(value),
        Default::Bool(value) => value.to_string(),
        Default::Word(word) => word.to_owned(),
        Default::Attr(other) => other.to_owned(),
    })
}

/// A number as nets write it: small ones with an exponent.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_is_described_once() {
        let mut described: Vec<&str> = docs::DOCS.iter().map(|doc| doc.name).collect();
        let mut known: Vec<&str> = LAYERS.iter().map(|layer| layer.name).collect();
        described.sort_unstable();
        known.sort_unstable();
        assert_eq!(described, known);
        for doc in docs::DOCS {
            assert!(
                !doc.formula.is_empty() && !doc.shape.is_empty(),
                "{}",
                doc.name
            );
        }
    }

    #[test]
    fn families_stand_together() {
        let mut families: Vec<Family> = docs::DOCS.iter().map(|doc| doc.family).collect();
        families.dedup();
        assert_eq!(families, Family::ALL);
    }

    #[test]
    fn calls_are_written_as_in_nets() {
        let layers = layers();
        let call = |name: &str| {
            layers
                .iter()
                .find(|entry| entry.name == name)
                .unwrap()
                .call()
        };
        assert_eq!(call("dense"), "dense(features, bias = true, init = auto)");
        assert_eq!(call("relu"), "relu");
        assert_eq!(call("bn"), "bn(eps = 1e-5, momentum = 0.1, affine = true)");
    }
}
