//! Appends to a graph; every node's types come from its operator's own rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::dims::Dims;
use super::graph::{
    Graph, Node, NodeId, Operands, Output, Param, StepScalar, Update, Value, ValueId, ValueKind,
};
use super::layout::Layout;
use super::schedule::Event;
use super::types::{DType, Shape, Type};
use crate::ops::{Op, OpRules, Pointwise, ShapeError};

/// Appends to a graph.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    origin: Arc<str>,
    /// The step scalars that the graph has.
    scalars: BTreeMap<StepScalar, ValueId>,
    /// Where the update of each parameter and state stands.
    updates: FxHashMap<ValueId, usize>,
}

impl Builder {
    /// Starts a graph.
    pub fn new(name: impl Into<String>) -> Builder {
        Builder::from(Graph {
            name: name.into(),
            ..Graph::default()
        })
    }

    /// Makes room for so many more nodes and as many values, so that none of those that are there is moved for them.
    pub fn reserve(&mut self, more: usize) {
        self.graph.nodes.reserve(more);
        self.graph.values.reserve(more);
    }

    /// What has been built.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The path that new nodes belong to.
    pub fn set_origin(&mut self, origin: impl Into<Arc<str>>) {
        self.origin = origin.into();
    }

    /// Ends the building.
    pub fn finish(self) -> Graph {
        self.graph
    }

    fn value(&mut self, ty: Type, kind: ValueKind) -> ValueId {
        let layout = Layout::plain(&ty.shape);
        self.graph.values.push(Value {
            ty,
            kind,
            layout,
            within: None,
        })
    }

    /// A value given for each batch.
    pub fn input(&mut self, name: impl Into<Arc<str>>, ty: Type) -> ValueId {
        self.value(ty, ValueKind::Input(name.into()))
    }

    /// A parameter.
    pub fn param(&mut self, dims: impl Into<Dims>, param: Param) -> ValueId {
        let kind = ValueKind::Param(Arc::new(param));
        self.value(Type::f32(Shape::single(dims)), kind)
    }

    /// A tensor that is kept between steps and starts as zero.
    pub fn state(&mut self, name: impl Into<Arc<str>>, ty: Type) -> ValueId {
        self.value(ty, ValueKind::State(name.into()))
    }

    /// A number that the runtime sets; the same value for each use.
    pub fn step_scalar(&mut self, scalar: StepScalar) -> ValueId {
        if let Some(&known) = self.scalars.get(&scalar) {
            return known;
        }
        let dtype = if scalar == StepScalar::Seed {
            DType::I32
        } else {
            DType::F32
        };
        let ty = Type {
            dtype,
            shape: Shape::single([]),
        };
        let made = self.value(ty, ValueKind::Step(scalar));
        self.scalars.insert(scalar, made);
        made
    }

    /// Appends a node whose inputs may not fit.
    ///
    /// # Errors
    ///
    /// The operator's shape rule refuses the inputs.
    pub fn try_node(&mut self, op: Op, inputs: &[ValueId]) -> Result<Operands, ShapeError> {
        let types = inputs.iter().map(|&input| self.graph.ty(input).clone());
        let types: SmallVec<[Type; 4]> = types.collect();
        let made = op.infer(&types)?;
        Ok(self.push(op, inputs, made))
    }

    /// Appends a node whose inputs fit.
    ///
    /// # Panics
    ///
    /// They don't: the caller made a mistake.
    pub fn node(&mut self, op: Op, inputs: &[ValueId]) -> Operands {
        let name = op.name();
        match self.try_node(op, inputs) {
            Ok(outputs) => outputs,
            Err(error) => panic!("`{name}` in `{}`: {error}", self.origin),
        }
    }

    /// Appends a node with one output.
    pub fn op(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.node(op.into(), inputs)[0]
    }

    /// Appends an element-wise node.
    pub fn pointwise(&mut self, op: Pointwise, inputs: &[ValueId]) -> ValueId {
        self.op(Op::Pointwise(op), inputs)
    }

    /// A number.
    pub fn constant(&mut self, value: f32) -> ValueId {
        self.op(Op::Constant(value), &[])
    }

    fn push(&mut self, op: Op, inputs: &[ValueId], made: Vec<Type>) -> Operands {
        let node = NodeId::from_len(self.graph.nodes.len());
        let outputs: Operands = made
            .into_iter()
            .enumerate()
            .map(|(index, ty)| self.value(ty, ValueKind::Result { node, index }))
            .collect();
        self.graph.nodes.push(Node {
            op,
            inputs: inputs.into(),
            outputs: outputs.clone(),
            origin: self.origin.clone(),
        });
        outputs
    }

    /// Names a value as an output.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.graph.outputs.push(Output {
            name: name.into(),
            value,
        });
    }

    /// Has a parameter or state take a value when the step is done, in place of one that it was to
    /// take before.
    pub fn update(&mut self, target: ValueId, value: ValueId) {
        let updates = &mut self.graph.updates;
        match self.updates.get(&target) {
            Some(&place) => updates[place].value = value,
            None => {
                self.updates.insert(target, updates.len());
                updates.push(Update { target, value });
            }
        }
    }

    /// Has training do something between two steps; an event that is there already stays alone.
    pub fn event(&mut self, event: Event) {
        if !self.graph.events.contains(&event) {
            self.graph.events.push(event);
        }
    }

    /// Leaves out events that are not wanted.
    pub fn retain_events(&mut self, wanted: impl FnMut(&Event) -> bool) {
        self.graph.events.retain(wanted);
    }

    /// What a parameter or state is to become, as far as is known; itself if it isn't updated.
    pub fn updated(&self, target: ValueId) -> ValueId {
        let place = self.updates.get(&target);
        place.map_or(target, |&place| self.graph.updates[place].value)
    }
}

impl NodeId {
    fn from_len(len: usize) -> NodeId {
        super::arena::Id::new(len)
    }
}

impl From<Graph> for Builder {
    /// Goes on with a graph.
    fn from(graph: Graph) -> Builder {
        let scalars = graph
            .values
            .iter()
            .filter_map(|(id, value)| match value.kind {
                ValueKind::Step(scalar) => Some((scalar, id)),
                ValueKind::Input(_)
                | ValueKind::Param(_)
                | ValueKind::State(_)
                | ValueKind::Result { .. } => None,
            });
        let targets = graph.updates.iter().map(|update| update.target);
        Builder {
            scalars: scalars.collect(),
            updates: targets.zip(0..).collect(),
            graph,
            origin: Arc::default(),
        }
    }
}
