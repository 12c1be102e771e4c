//! Checks what every graph must keep, after each pass. A graph that passes can be interpreted,
//! differentiated and lowered without a further check.
//!
//! 1. Every id names a value or node that is there.
//! 2. A value that says it is an output of a node is that node's output of that index, and no other
//!    value is: each value has one producer.
//! 3. A node reads only what is given or made by earlier nodes.
//! 4. The types of a node's outputs are those that its operator infers from its inputs.
//! 5. A layout holds the elements of its value's shape.
//! 6. What lies within another value has that one's strides, and fewer channels than are left there; the other lies in
//!    no third.
//! 7. Only parameters and states are updated, each once, by a value of the same type.
//! 8. An event names a filter [K, C, R, S] and a mask [K, C, 1, 1] that are parameters, and groups that divide K.
//! 9. Names of inputs, of parameters and states, and of outputs are each used once.

use std::collections::HashSet;
use std::sync::Arc;

use super::arena::Id;
use super::graph::{Graph, NodeId, ValueId, ValueKind, Within};
use super::layout::{FilterOrder, Layout};
use super::schedule::{Action, Event};
use super::types::{Shape, Type};
use crate::ops::{OpRules, ShapeError};

/// A graph that breaks a rule. Values and nodes are named by their ids in the graph.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// A node breaks one.
    #[error("node {node}, `{name}` of `{origin}`")]
    Node {
        /// Which.
        node: NodeId,
        /// Its operator.
        name: &'static str,
        /// The layer that it belongs to.
        origin: Arc<str>,
        /// How.
        source: NodeError,
    },
    /// A value says that it is an output of a node which has no such output.
    #[error("value {value} says that it is output {index} of node {node}, which it is not")]
    Producer {
        /// The value.
        value: ValueId,
        /// The node that it names.
        node: NodeId,
        /// The output that it names.
        index: usize,
    },
    /// A layout does not hold its value.
    #[error("value {value} of shape {shape} lies in {layout}, which does not hold it")]
    Layout {
        /// The value.
        value: ValueId,
        /// Its shape.
        shape: Shape,
        /// Its layout.
        layout: Layout,
    },
    /// A value does not lie within the one that it says it does.
    #[error("value {value} in {layout} does not lie within {} from channel {} on", within.whole, within.channel)]
    Within {
        /// The value.
        value: ValueId,
        /// Its layout.
        layout: Layout,
        /// Where it says that it lies.
        within: Within,
    },
    /// An output that is no value.
    #[error("output `{name}` is {value}, which is no value")]
    Output {
        /// Its name.
        name: String,
        /// The id.
        value: ValueId,
    },
    /// An update that is not a parameter's or state's, or is of another type, or a second one.
    #[error("update of {target} by {value}: {reason}")]
    Update {
        /// What is updated.
        target: ValueId,
        /// By what.
        value: ValueId,
        /// What is wrong.
        reason: &'static str,
    },
    /// An event that names no filter with its mask.
    #[error("the event `{event}` names no filter with its mask and groups that fit")]
    Event {
        /// As it is printed.
        event: String,
    },
    /// Two of a kind have one name.
    #[error("two {kind} are called `{name}`")]
    Name {
        /// What they are.
        kind: &'static str,
        /// What both are called.
        name: String,
    },
}

/// A rule that a node breaks.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NodeError {
    /// An input that is no value.
    #[error("reads {0}, which is no value")]
    NoValue(ValueId),
    /// An input that a later node makes.
    #[error("reads {0} before it is made")]
    Order(ValueId),
    /// An output that is not this node's own.
    #[error("makes {0}, which is not its own")]
    NotOwn(ValueId),
    /// Inputs that its shape rule refuses.
    #[error("its inputs do not fit: {0}")]
    Shape(#[source] ShapeError),
    /// Outputs of other types than its shape rule says.
    #[error("makes {found:?} where its rule says {expected:?}")]
    Types {
        /// What the rule says.
        expected: Vec<String>,
        /// What it makes.
        found: Vec<String>,
    },
}

/// Checks a graph.
///
/// # Errors
///
/// It breaks a rule; the first broken one is told.
pub fn verify(graph: &Graph) -> Result<(), VerifyError> {
    for (id, node) in graph.nodes.iter() {
        node_rules(graph, id).map_err(|source| VerifyError::Node {
            node: id,
            name: node.op.name(),
            origin: node.origin.clone(),
            source,
        })?;
    }
    for (id, value) in graph.values.iter() {
        if let ValueKind::Result { node, index } = value.kind {
            let made = |node: NodeId| graph.nodes[node].outputs.get(index) == Some(&id);
            if node.index() >= graph.nodes.len() || !made(node) {
                return Err(VerifyError::Producer {
                    value: id,
                    node,
                    index,
                });
            }
        }
        if let Some(within) = value.within
            && !lies(graph, &value.layout, within)
        {
            return Err(VerifyError::Within {
                value: id,
                layout: value.layout.clone(),
                within,
            });
        }
        if !holds(&value.layout, &value.ty.shape) {
            let (shape, layout) = (value.ty.shape.clone(), value.layout.clone());
            return Err(VerifyError::Layout {
                value: id,
                shape,
                layout,
            });
        }
    }
    for output in &graph.outputs {
        if !exists(graph, output.value) {
            return Err(VerifyError::Output {
                name: output.name.clone(),
                value: output.value,
            });
        }
    }
    events(graph)?;
    updates(graph)?;
    names(graph)
}

/// Whether a value of that layout can lie there.
fn lies(graph: &Graph, layout: &Layout, within: Within) -> bool {
    if !exists(graph, within.whole) {
        return false;
    }
    let whole = &graph.values[within.whole];
    let (&Layout::Nhwc { map, .. }, &Layout::Nhwc { pixel, .. }) = (layout, &whole.layout) else {
        return false;
    };
    whole.within.is_none()
        && whole.layout.image_stride() == layout.image_stride()
        && whole.layout.origin() == layout.origin()
        && within.channel + map[0] <= pixel
}

fn exists(graph: &Graph, value: ValueId) -> bool {
    value.index() < graph.values.len()
}

fn node_rules(graph: &Graph, id: NodeId) -> Result<(), NodeError> {
    let node = &graph.nodes[id];
    for &input in &node.inputs {
        if !exists(graph, input) {
            return Err(NodeError::NoValue(input));
        }
        if graph.producer(input).is_some_and(|producer| producer >= id) {
            return Err(NodeError::Order(input));
        }
    }
    for (index, &output) in node.outputs.iter().enumerate() {
        let own = ValueKind::Result { node: id, index };
        if !exists(graph, output) || graph.values[output].kind != own {
            return Err(NodeError::NotOwn(output));
        }
    }
    let types: Vec<Type> = node
        .inputs
        .iter()
        .map(|&input| graph.ty(input).clone())
        .collect();
    let expected = node.op.infer(&types).map_err(NodeError::Shape)?;
    let found: Vec<Type> = node
        .outputs
        .iter()
        .map(|&output| graph.ty(output).clone())
        .collect();
    if expected == found {
        return Ok(());
    }
    let texts = |types: &[Type]| types.iter().map(Type::to_string).collect();
    Err(NodeError::Types {
        expected: texts(&expected),
        found: texts(&found),
    })
}

/// Whether a layout has a place for each element of a shape, and for no other.
fn holds(layout: &Layout, shape: &Shape) -> bool {
    match *layout {
        Layout::Nhwc {
            map: [c, h, w],
            pixel,
            ..
        } => pixel >= c && is_map(shape, [c, h, w]) && c * h * w == shape.elements(),
        Layout::Blocked {
            map: [c, h, w],
            block,
        } => block > 0 && is_map(shape, [c, h, w]) && c * h * w == shape.elements(),
        Layout::Filter {
            order,
            groups,
            kcrs: [k, c, r, s],
            row,
            panels,
        } => {
            let inner = match order {
                FilterOrder::Forward => k,
                FilterOrder::Backward => c,
                FilterOrder::Depthwise => groups,
            };
            let is_depthwise = order == FilterOrder::Depthwise;
            let fits = match *shape.dims.as_slice() {
                [outputs, channels, rows, columns] => {
                    [outputs, channels, rows, columns] == [groups * k, c, r, s]
                }
                [outputs, features] => groups == 1 && [outputs, features] == [k, c * r * s],
                _ => false,
            };
            let one_each = !is_depthwise || [k, c] == [1, 1];
            !shape.batched && row * panels >= inner && fits && one_each
        }
    }
}

/// Whether a shape is that of a map, or of the map flattened.
fn is_map(shape: &Shape, map: [usize; 3]) -> bool {
    shape.chw() == map.into() || shape.dims.len() == 1
}

fn events(graph: &Graph) -> Result<(), VerifyError> {
    let dims = |name: &str| {
        let mut params = graph.params();
        let found = params.find(|(_, param)| param.name == name);
        found.map(|(value, _)| graph.dims(value))
    };
    let fits = |event: &Event| match &event.action {
        Action::Prune(rule) => match (dims(&rule.weight), dims(&rule.mask)) {
            (Some(&[outputs, channels, _, _]), Some(mask)) => {
                mask == [outputs, channels, 1, 1]
                    && rule.groups > 0
                    && outputs.is_multiple_of(rule.groups)
            }
            _ => false,
        },
    };
    match graph.events.iter().find(|event| !fits(event)) {
        Some(event) => Err(VerifyError::Event {
            event: event.to_string(),
        }),
        None => Ok(()),
    }
}

fn updates(graph: &Graph) -> Result<(), VerifyError> {
    let mut seen = HashSet::new();
    for update in &graph.updates {
        let (target, value) = (update.target, update.value);
        let wrong = |reason| {
            Err(VerifyError::Update {
                target,
                value,
                reason,
            })
        };
        if !exists(graph, target) || !exists(graph, value) {
            return wrong("there is no such value");
        }
        match graph.values[target].kind {
            ValueKind::Param(_) | ValueKind::State(_) => {}
            ValueKind::Input(_) | ValueKind::Step(_) | ValueKind::Result { .. } => {
                return wrong("only parameters and states are kept");
            }
        }
        if graph.ty(target) != graph.ty(value) {
            return wrong("the types differ");
        }
        if !seen.insert(target) {
            return wrong("it is the second one");
        }
    }
    Ok(())
}

fn names(graph: &Graph) -> Result<(), VerifyError> {
    let mut seen = HashSet::new();
    let mut once = |kind: &'static str, name: &str| {
        if seen.insert((kind, name.to_owned())) {
            Ok(())
        } else {
            Err(VerifyError::Name {
                kind,
                name: name.to_owned(),
            })
        }
    };
    for (_, value) in graph.values.iter() {
        match &value.kind {
            ValueKind::Input(name) => once("inputs", name)?,
            ValueKind::Param(param) => once("parameters or states", &param.name)?,
            ValueKind::State(name) => once("parameters or states", name)?,
            ValueKind::Step(_) | ValueKind::Result { .. } => {}
        }
    }
    graph
        .outputs
        .iter()
        .try_for_each(|output| once("outputs", &output.name))
}

#[cfg(test)]
mod tests;
