//! What a net is made of: layers with their shapes, parameters and multiply-accumulates.

use std::collections::BTreeSet;

use crate::ir::{Graph, Node, ParamRole, Prune, ValueId, ValueKind};
use crate::ops::window::Window;
use crate::ops::{Op, condense};

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
    /// The window of a convolution or a pool.
    pub window: Option<Window>,
}

/// The counts of a net whose learned group convolutions have become convolutions in groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condensed {
    /// Learned numbers.
    pub params: usize,
    /// Multiply-accumulates of one image.
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
    /// What is left when training has condensed the net, where it does.
    pub condensed: Option<Condensed>,
    /// The sizes of the first input.
    pub input: Vec<usize>,
    /// The sizes of the first output.
    pub output: Vec<usize>,
}

/// The multiply-accumulates of a node for one image: those of convolutions and dense layers, and of their gradients.
pub fn macs(graph: &Graph, node: &Node) -> u64 {
    let elements = |dims: &[usize]| dims.iter().map(|&size| size as u64).product::<u64>();
    // Each element of the map on the side of the output meets a filter's channels and taps.
    let of_conv = |filter: ValueId, map: ValueId| {
        elements(&graph.dims(filter)[1..]) * elements(graph.dims(map))
    };
    match &node.op {
        // Those of the convolution that it is: kernels are compared by the work that is asked of them.
        Op::WinogradConv(conv) => {
            let &[_, channels, ..] = graph.dims(node.inputs[1]) else {
                unreachable!("a filter")
            };
            (conv.form.kernel().pow(2) * channels) as u64 * elements(graph.dims(node.outputs[0]))
        }
        Op::Conv2d(_) => of_conv(node.inputs[1], node.outputs[0]),
        Op::Conv2dInputGrad(_) => of_conv(node.inputs[1], node.inputs[0]),
        Op::Conv2dFilterGrad(_) | Op::WinogradFilterGrad(_) => {
            of_conv(node.outputs[0], node.inputs[1])
        }
        Op::Dense | Op::DenseInputGrad => elements(graph.dims(node.inputs[1])),
        Op::DenseFilterGrad => elements(graph.dims(node.outputs[0])),
        _ => 0,
    }
}

/// The window that a node moves over its input, with the kernel that a convolution's filter tells.
fn window(graph: &Graph, node: &Node) -> Option<Window> {
    match &node.op {
        Op::Conv2d(conv) => {
            let &[.., height, width] = graph.dims(node.inputs[1]) else {
                unreachable!("a filter")
            };
            Some(Window {
                kernel: [height, width],
                ..conv.window
            })
        }
        Op::MaxPool(pool) => Some(pool.window),
        Op::AvgPool(pool) => Some(pool.window),
        _ => None,
    }
}

/// What condensing takes away: each group of a filter keeps so many of the input channels.
fn condensed(graph: &Graph, mut params: usize, mut macs: u64) -> Option<Condensed> {
    if graph.events.is_empty() {
        return None;
    }
    for (_, param) in graph.params() {
        if let Some(rule) = condense::last_pruning(graph, &param.name) {
            let [outputs, channels, height, width] = condense::filter_sizes(graph, rule);
            params -= outputs * (channels - rule.keep) * height * width;
        }
    }
    for (_, node) in graph.nodes.iter() {
        if let (Op::Conv2d(_), [_, filter]) = (&node.op, node.inputs.as_slice())
            && let Some(rule) = masked(graph, *filter)
        {
            let channels = graph.dims(*filter)[1] as u64;
            macs -= self::macs(graph, node) / channels * (channels - rule.keep as u64);
        }
    }
    Some(Condensed { params, macs })
}

/// The last pruning of a filter that is a parameter times its mask.
fn masked(graph: &Graph, filter: ValueId) -> Option<&Prune> {
    let product = &graph.nodes[graph.producer(filter)?];
    let ValueKind::Param(param) = &graph.values[*product.inputs.first()?].kind else {
        return None;
    };
    condense::last_pruning(graph, &param.name)
}

/// Elements of the parameters of some roles.
fn elements(graph: &Graph, wanted: fn(ParamRole) -> bool) -> usize {
    let params = graph.params().filter(|(_, param)| wanted(param.role));
    params
        .map(|(value, _)| graph.ty(value).shape.elements())
        .sum()
}

/// The learned numbers of a graph.
pub fn params(graph: &Graph) -> usize {
    elements(graph, ParamRole::is_trainable)
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
        let layer = match layers.pop_if(|last| *last.path == *node.origin) {
            Some(last) => last,
            None => Layer {
                path: node.origin.to_string(),
                shape: Vec::new(),
                params: 0,
                macs: 0,
                window: None,
            },
        };
        layers.push(layer);
        let layer = layers.last_mut().expect("one was just pushed");
        layer.macs += macs(graph, node);
        layer.window = layer.window.or_else(|| window(graph, node));
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
    let input = graph
        .inputs()
        .next()
        .map_or(Vec::new(), |(value, _)| graph.dims(value).to_vec());
    let output = graph
        .outputs
        .first()
        .map_or(Vec::new(), |output| graph.dims(output.value).to_vec());
    let params = params(graph);
    let macs = layers.iter().map(|layer| layer.macs).sum();
    Summary {
        macs,
        layers,
        params,
        statistics: elements(graph, |role| role == ParamRole::Statistic),
        condensed: condensed(graph, params, macs),
        input,
        output,
    }
}
