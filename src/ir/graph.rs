//! Graphs: values, nodes, and what leaves them.

use std::ops::Index;
use std::sync::Arc;

use smallvec::SmallVec;

use super::arena::{Id as _, IdVec};
use super::init::Init;
use super::layout::Layout;
use super::schedule::Event;
use super::types::Type;
use crate::id_type;
use crate::ops::Op;

id_type! {
    /// A value of a graph.
    ValueId, "%"
}
id_type! {
    /// A node of a graph.
    NodeId, "n"
}

/// A tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// Element type and logical shape.
    pub ty: Type,
    /// Where it comes from.
    pub kind: ValueKind,
    /// How it lies in memory.
    pub layout: Layout,
    /// Whose memory it lies in, if not in its own.
    pub within: Option<Within>,
}

/// A place in another value: that of some of its channels. The image strides are the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Within {
    /// The value that has the memory; it lies in no other.
    pub whole: ValueId,
    /// Its channel where the first one of the part lies.
    pub channel: usize,
}

/// Where a value comes from. Passes copy values by the thousand, so what a copy has in common with its original is shared.
#[derive(Clone, PartialEq, Debug)]
pub enum ValueKind {
    /// Given for each batch, under a name.
    Input(Arc<str>),
    /// Kept from batch to batch: weights, running statistics.
    Param(Arc<Param>),
    /// Kept from batch to batch, zero at first: the optimiser's momenta, under a name.
    State(Arc<str>),
    /// A number that the runtime sets before each step.
    Step(StepScalar),
    /// An output of a node.
    Result {
        /// The node.
        node: NodeId,
        /// Which of its outputs.
        index: usize,
    },
}

/// A tensor of the model that is saved with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    /// Its path, as in a weights file.
    pub name: String,
    /// What it is for.
    pub role: ParamRole,
    /// How it starts.
    pub init: Init,
}

/// What a parameter is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParamRole {
    /// A filter or matrix.
    Weight,
    /// An added vector.
    Bias,
    /// A learned factor (gamma of a batch norm).
    Scale,
    /// A learned offset (beta of a batch norm).
    Shift,
    /// A statistic that training measures: saved, never differentiated.
    Statistic,
    /// Ones and zeros that a filter is multiplied with: saved, never differentiated.
    Mask,
}

impl ParamRole {
    /// Whether an optimiser changes it.
    pub fn is_trainable(self) -> bool {
        !matches!(self, ParamRole::Statistic | ParamRole::Mask)
    }
}

/// A number that the runtime sets before each step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum StepScalar {
    /// One over the number of images in the batch.
    InverseBatch,
    /// The learning rate.
    LearningRate,
    /// Adam's 1 / (1 - beta1^t), t counting steps from 1.
    FirstMomentCorrection,
    /// Adam's 1 / (1 - beta2^t).
    SecondMomentCorrection,
    /// The share of the gradient that enters a velocity: 1 in the first step, less dampening then.
    VelocityShare,
    /// Images of this batch by those of its whole group, where gradients of several steps are averaged.
    GroupShare,
    /// 1 where a group of steps goes on, 0 where it starts.
    Continues,
    /// 1 where a group of steps ends and parameters are updated, 0 elsewhere.
    Applies,
    /// 1 less [`StepScalar::Applies`].
    Waits,
    /// An integer that differs from step to step, for dropout.
    Seed,
}

impl StepScalar {
    /// All of them, in the order of their slots.
    pub const ALL: [StepScalar; 10] = [
        StepScalar::InverseBatch,
        StepScalar::LearningRate,
        StepScalar::FirstMomentCorrection,
        StepScalar::SecondMomentCorrection,
        StepScalar::VelocityShare,
        StepScalar::GroupShare,
        StepScalar::Continues,
        StepScalar::Applies,
        StepScalar::Waits,
        StepScalar::Seed,
    ];

    /// The name in dumps.
    pub fn name(self) -> &'static str {
        match self {
            StepScalar::InverseBatch => "inverse_batch",
            StepScalar::LearningRate => "learning_rate",
            StepScalar::FirstMomentCorrection => "first_moment_correction",
            StepScalar::SecondMomentCorrection => "second_moment_correction",
            StepScalar::VelocityShare => "velocity_share",
            StepScalar::GroupShare => "group_share",
            StepScalar::Continues => "continues",
            StepScalar::Applies => "applies",
            StepScalar::Waits => "waits",
            StepScalar::Seed => "seed",
        }
    }
}

/// What a node reads or makes: few values, which take no memory of their own.
pub type Operands = SmallVec<[ValueId; 4]>;

/// An operation.
#[derive(PartialEq, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Operands,
    /// What it makes.
    pub outputs: Operands,
    /// The path of the layer that it belongs to, for messages and dumps.
    pub origin: Arc<str>,
}

impl Clone for Node {
    fn clone(&self) -> Node {
        Node {
            op: self.op.clone(),
            // As bytes: the vector's own clone goes from one operand to the next.
            inputs: Operands::from_slice(&self.inputs),
            outputs: Operands::from_slice(&self.outputs),
            origin: Arc::clone(&self.origin),
        }
    }
}

/// A value that a person asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// A parameter or state that takes a new value when the step is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// The parameter or state.
    pub target: ValueId,
    /// Its new value; of the same type.
    pub value: ValueId,
}

/// A network, or a whole training step. Nodes stand in an order in which they can run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Graph {
    /// The net's name.
    pub name: String,
    /// All values.
    pub values: IdVec<ValueId, Value>,
    /// All nodes.
    pub nodes: IdVec<NodeId, Node>,
    /// What leaves the graph.
    pub outputs: Vec<Output>,
    /// What is kept for the next step.
    pub updates: Vec<Update>,
    /// What training does to kept tensors between two steps.
    pub events: Vec<Event>,
}

/// For each value the nodes that read it.
#[derive(Clone, Debug)]
pub struct Users {
    /// Those of all values, one value after the other.
    nodes: Vec<NodeId>,
    /// Where those of each value end.
    ends: IdVec<ValueId, u32>,
}

impl Index<ValueId> for Users {
    type Output = [NodeId];
    fn index(&self, value: ValueId) -> &[NodeId] {
        let start = match value.index() {
            0 => 0,
            index => self.ends[ValueId::new(index - 1)],
        };
        &self.nodes[start as usize..self.ends[value] as usize]
    }
}

impl Graph {
    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.values[value].ty
    }

    /// The sizes of a value, without the batch.
    pub fn dims(&self, value: ValueId) -> &[usize] {
        &self.values[value].ty.shape.dims
    }

    /// Where a value lies: in its own memory, or in another's.
    pub fn place(&self, value: ValueId) -> Within {
        self.values[value].within.unwrap_or(Within {
            whole: value,
            channel: 0,
        })
    }

    /// The node that makes a value, if one does.
    pub fn producer(&self, value: ValueId) -> Option<NodeId> {
        match self.values[value].kind {
            ValueKind::Result { node, .. } => Some(node),
            ValueKind::Input(_)
            | ValueKind::Param(_)
            | ValueKind::State(_)
            | ValueKind::Step(_) => None,
        }
    }

    /// The inputs, in the order of their making.
    pub fn inputs(&self) -> impl Iterator<Item = (ValueId, &str)> {
        self.values
            .iter()
            .filter_map(|(id, value)| match &value.kind {
                ValueKind::Input(name) => Some((id, &**name)),
                ValueKind::Param(_)
                | ValueKind::State(_)
                | ValueKind::Step(_)
                | ValueKind::Result { .. } => None,
            })
    }

    /// The parameters, in the order of their making.
    pub fn params(&self) -> impl Iterator<Item = (ValueId, &Param)> {
        self.values
            .iter()
            .filter_map(|(id, value)| match &value.kind {
                ValueKind::Param(param) => Some((id, &**param)),
                ValueKind::Input(_)
                | ValueKind::State(_)
                | ValueKind::Step(_)
                | ValueKind::Result { .. } => None,
            })
    }

    /// The values that are read when a run is done: outputs, and what parameters and states become.
    pub fn leaves(&self) -> impl Iterator<Item = ValueId> {
        let outputs = self.outputs.iter().map(|output| output.value);
        outputs.chain(self.updates.iter().map(|update| update.value))
    }

    /// For each value, the nodes that read it, in order; a node that reads it twice stands twice.
    pub fn users(&self) -> Users {
        // Each value's range begins where that of the one before it ends. While it is filled, `ends` says how far it is.
        let mut ends: IdVec<ValueId, u32> = IdVec::filled(self.values.len(), 0);
        for (_, node) in self.nodes.iter() {
            for &input in &node.inputs {
                ends[input] += 1;
            }
        }
        let mut all = 0;
        for value in self.values.ids() {
            all += std::mem::replace(&mut ends[value], all);
        }
        let mut nodes = vec![NodeId::new(0); all as usize];
        for (id, node) in self.nodes.iter() {
            for &input in &node.inputs {
                nodes[ends[input] as usize] = id;
                ends[input] += 1;
            }
        }
        Users { nodes, ends }
    }

    /// Whether each value follows from parameters alone, in a graph that changes none: it is then the same for every
    /// batch until somebody sets a parameter.
    pub fn fixed(&self) -> IdVec<ValueId, bool> {
        let mut fixed = IdVec::filled(self.values.len(), false);
        if !self.updates.is_empty() {
            return fixed;
        }
        for (id, _) in self.params() {
            fixed[id] = true;
        }
        for (_, node) in self.nodes.iter() {
            if node.inputs.iter().all(|&input| fixed[input]) {
                for &output in &node.outputs {
                    fixed[output] = true;
                }
            }
        }
        fixed
    }

    /// The output of that name.
    pub fn output(&self, name: &str) -> Option<ValueId> {
        self.outputs
            .iter()
            .find(|output| output.name == name)
            .map(|output| output.value)
    }
}
