//! Groups as text.

use std::fmt::Write;

use super::fuse::Groups;
use crate::ir::print::numbers;
use crate::ir::{Graph, ValueId};
use crate::ops::OpRules;

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
