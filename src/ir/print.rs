//! Graphs as text. Values are numbered anew in the order of the text, so that two dumps differ
//! only where the graphs do.

use std::fmt;

use super::arena::{Id, IdVec};
use super::graph::{Graph, Node, ParamRole, ValueId, ValueKind};
use crate::ops::OpRules;

/// A graph with its layouts, to be formatted.
#[derive(Clone, Copy, Debug)]
pub struct WithLayouts<'a>(pub &'a Graph);

/// The numbers that values have in the text of a graph.
pub fn numbers(graph: &Graph) -> IdVec<ValueId, Option<ValueId>> {
    Printer::new(graph, false).numbers
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printer::new(self, false).print(f)
    }
}

impl fmt::Display for WithLayouts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printer::new(self.0, true).print(f)
    }
}

struct Printer<'a> {
    graph: &'a Graph,
    layouts: bool,
    /// The number in the text of each value that stands in it.
    numbers: IdVec<ValueId, Option<ValueId>>,
}

impl<'a> Printer<'a> {
    fn new(graph: &'a Graph, layouts: bool) -> Printer<'a> {
        let given = graph
            .values
            .ids()
            .filter(|&value| graph.producer(value).is_none());
        let made = graph
            .nodes
            .iter()
            .flat_map(|(_, node)| node.outputs.iter().copied());
        let mut numbers = IdVec::filled(graph.values.len(), None);
        for (number, value) in given.chain(made).enumerate() {
            if value.index() < numbers.len() {
                numbers[value] = Some(ValueId::new(number));
            }
        }
        Printer {
            graph,
            layouts,
            numbers,
        }
    }

    /// A value's number; an invalid one is still printed, since dumps are there to find mistakes.
    fn name(&self, value: ValueId) -> String {
        let known = value.index() < self.numbers.len();
        match known.then(|| self.numbers[value]).flatten() {
            Some(number) => number.to_string(),
            None => format!("{value}?"),
        }
    }

    fn names(&self, values: &[ValueId]) -> String {
        let names: Vec<String> = values.iter().map(|&value| self.name(value)).collect();
        names.join(", ")
    }

    fn ty(&self, value: ValueId) -> String {
        if value.index() >= self.graph.values.len() {
            return "?".to_owned();
        }
        let value = &self.graph.values[value];
        if self.layouts {
            let within = value.within.map_or_else(String::new, |within| {
                format!(" at {}+{}", self.name(within.whole), within.channel)
            });
            format!("{} in {}{within}", value.ty, value.layout)
        } else {
            value.ty.to_string()
        }
    }

    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}", self.graph.name)?;
        for (id, value) in self.graph.values.iter() {
            let (name, ty) = (self.name(id), self.ty(id));
            match &value.kind {
                ValueKind::Input(input) => writeln!(f, "  {name} = input {input} : {ty}")?,
                ValueKind::Param(param) => {
                    let (path, role, init) = (&param.name, role(param.role), &param.init);
                    writeln!(f, "  {name} = param {path} {{{role}, {init}}} : {ty}")?;
                }
                ValueKind::State(state) => writeln!(f, "  {name} = state {state} : {ty}")?,
                ValueKind::Step(scalar) => writeln!(f, "  {name} = step {} : {ty}", scalar.name())?,
                ValueKind::Result { .. } => {}
            }
        }
        for (_, node) in self.graph.nodes.iter() {
            self.node(f, node)?;
        }
        for output in &self.graph.outputs {
            writeln!(f, "  output {} = {}", output.name, self.name(output.value))?;
        }
        for update in &self.graph.updates {
            writeln!(
                f,
                "  update {} = {}",
                self.name(update.target),
                self.name(update.value)
            )?;
        }
        for event in &self.graph.events {
            writeln!(f, "  {event}")?;
        }
        Ok(())
    }

    fn node(&self, f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
        write!(f, "  {} = {}", self.names(&node.outputs), node.op.name())?;
        if !node.inputs.is_empty() {
            write!(f, " {}", self.names(&node.inputs))?;
        }
        let attributes = node.op.attributes();
        if !attributes.is_empty() {
            write!(f, " {{{attributes}}}")?;
        }
        let types: Vec<String> = node.outputs.iter().map(|&value| self.ty(value)).collect();
        write!(f, " : {}", types.join(", "))?;
        if !node.origin.is_empty() {
            write!(f, "  @ {}", node.origin)?;
        }
        writeln!(f)
    }
}

fn role(role: ParamRole) -> &'static str {
    match role {
        ParamRole::Weight => "weight",
        ParamRole::Bias => "bias",
        ParamRole::Scale => "scale",
        ParamRole::Shift => "shift",
        ParamRole::Statistic => "statistic",
        ParamRole::Mask => "mask",
    }
}

#[cfg(test)]
mod tests;
