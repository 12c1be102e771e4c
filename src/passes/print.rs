//! Groups, and what passes say, as text.

use std::collections::HashMap;
use std::fmt::Write;

use super::Remark;
use super::fuse::Groups;
use crate::ir::print::numbers;
use crate::ir::{Graph, Node, ValueId};
use crate::ops::{Op, OpRules};

/// The groups of a graph, a line each, and its views; values have the numbers of the graph's text.
pub fn groups(graph: &Graph, groups: &Groups) -> String {
    let numbers = numbers(graph);
    let name = |value: ValueId| numbers[value].unwrap_or(value).to_string();
    let names = |values: &[ValueId]| {
        let names: Vec<String> = values.iter().map(|&value| name(value)).collect();
        names.join(", ")
    };
    let mut text = String::new();
    for (id, group) in groups.groups.iter() {
        let nodes = group.anchor.iter().chain(&group.nodes);
        let nodes: Vec<String> = nodes
            .map(|&node| {
                let node = &graph.nodes[node];
                format!("{} {}", node.op.name(), names(&node.outputs))
            })
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{id}: {}, stores {}",
            nodes.join(" -> "),
            names(&group.stores)
        );
    }
    for (value, of) in groups.views.iter() {
        if let Some(of) = *of {
            let _ = writeln!(text, "view: {} of {}", name(value), name(of));
        }
    }
    text
}

/// Layer by layer, in the order in which they run: what each became, how its results lie, and what every pass did to it or
/// left alone, and why. What is said of several nodes of a layer alike is said once.
pub fn explained(graph: &Graph, groups: &Groups, remarks: &[Remark]) -> String {
    let mut layers = Layers::default();
    for (_, group) in groups.groups.iter() {
        let nodes: Vec<&Node> = group
            .anchor
            .iter()
            .chain(&group.nodes)
            .map(|&id| &graph.nodes[id])
            .collect();
        // Numbers are shared by layers.
        let named = nodes
            .iter()
            .find(|node| !matches!(node.op, Op::Constant(_)));
        let layer: &str = named.map_or("", |node| &node.origin);
        let ops: Vec<&str> = nodes.iter().map(|node| node.op.name()).collect();
        let lies = |&value: &ValueId| graph.values[value].layout.to_string();
        let lies: Vec<String> = group.stores.iter().map(lies).collect();
        let text = format!("runs {}, stores {}", ops.join(" -> "), lies.join(", "));
        layers.say(layer, text);
    }
    for remark in remarks {
        let (verb, op) = (remark.verb(), remark.op);
        let text = format!("{} {verb} {op}: {}", remark.pass, remark.text);
        layers.say(&remark.origin, text);
    }
    let mut text = String::new();
    for (layer, lines) in layers.all {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}",
            if layer.is_empty() { "no layer" } else { layer }
        );
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// Lines by layer.
#[derive(Default)]
struct Layers<'a> {
    all: Vec<(&'a str, Vec<String>)>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Layers<'a> {
    fn say(&mut self, layer: &'a str, line: String) {
        let place = *self.places.entry(layer).or_insert_with(|| {
            self.all.push((layer, Vec::new()));
            self.all.len() - 1
        });
        // A layer has few lines.
        let lines = &mut self.all[place].1;
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
}
