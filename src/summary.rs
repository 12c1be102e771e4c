//! What a net is made of: layers with their shapes, parameters and multiply-accumulates.

use std::collections::BTreeSet;

use crate::ir::{Graph, Node, ValueKind};
use crate::ops::Op;

/// A layer: the nodes of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Its path.
    pub path: String,
    /// The sizes of its result, without the batch.
    pub shape: Vec<usize>,
    /// Learned numbers.
    pub params: usize,
    /// Multiply-accumulates of one image, biases not counted.
    pub macs: u64,
}

/// A net's counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Its layers, in order.
    pub layers: Vec<Layer>,
    /// Learned numbers.
    pub params: usize,
    /// Running statistics of batch norms.
    pub statistics: usize,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// The sizes of the first input.
    pub input: Vec<usize>,
    /// The sizes of the first output.
    pub output: Vec<usize>,
}

/// The multiply-accumulates of a node for one image: those of convolutions and dense layers.
pub fn macs(graph: &Graph, node: &Node) -> u64 {
    let elements = |dims: &[usize]| dims.iter().map(|&size| size as u64).product::<u64>();
    match &node.op {
        Op::Conv2d(_) => {
            let filter = graph.dims(node.inputs[1]);
            elements(&filter[1..]) * elements(graph.dims(node.outputs[0]))
        }
        Op::Dense => elements(graph.dims(node.inputs[1])),
        _ => 0,
    }
}

/// Counts a forward graph.
pub fn of(graph: &Graph) -> Summary {
    let mut layers: Vec<Layer> = Vec::new();
    let mut counted = BTreeSet::new();
    for (_, node) in graph.nodes.iter() {
        if node.origin.is_empty() {
            continue;
        }
        // Layers without weights share their names, so only neighbours are one layer.
        let layer = match layers.pop_if(|last| last.path == node.origin) {
            Some(last) => last,
            None => Layer {
                path: node.origin.clone(),
                shape: Vec::new(),
                params: 0,
                macs: 0,
            },
        };
        layers.push(layer);
        let layer = layers.last_mut().expect("one was just pushed");
        layer.macs += macs(graph, node);
        // What carries the batch is the layer's result; the rest moves running statistics.
        if graph.ty(node.outputs[0]).shape.batched {
            layer.shape = graph.dims(node.outputs[0]).to_vec();
        }
        for &input in &node.inputs {
            let ValueKind::Param(param) = &graph.values[input].kind else {
                continue;
            };
            if param.role.is_trainable() && counted.insert(input) {
                layer.params += graph.ty(input).shape.elements();
            }
        }
    }
    let total = |trainable: bool| {
        graph
            .params()
            .filter(|(_, param)| param.role.is_trainable() == trainable)
            .map(|(value, _)| graph.ty(value).shape.elements())
            .sum()
    };
    let input = graph
        .inputs()
        .next()
        .map_or(Vec::new(), |(value, _)| graph.dims(value).to_vec());
    let output = graph
        .outputs
        .first()
        .map_or(Vec::new(), |output| graph.dims(output.value).to_vec());
    Summary {
        macs: layers.iter().map(|layer| layer.macs).sum(),
        layers,
        params: total(true),
        statistics: total(false),
        input,
        output,
    }
}
