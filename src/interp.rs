//! Runs a graph by its operators' references: slow, and the oracle for everything that is generated.
//!
//! It knows no layout, no plan and no kernel. Computing in `f64` shows what rounding hides.

use crate::ir::{Graph, IdVec, Init, StepScalar, Type, ValueId, ValueKind};
use crate::ops::OpRules;
use crate::ops::array::{Array, Real, len};

/// The numbers of one step. The inverse of the batch follows from the batch.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StepValues {
    /// The learning rate.
    pub learning_rate: f64,
    /// Adam's 1 / (1 - beta1^t).
    pub first_moment_correction: f64,
    /// Adam's 1 / (1 - beta2^t).
    pub second_moment_correction: f64,
    /// The share of the gradient that enters a velocity.
    pub velocity_share: f64,
    /// Images of this batch by those of its group.
    pub group_share: f64,
    /// 1 where a group of steps goes on, 0 where it starts.
    pub continues: f64,
    /// 1 where a group of steps ends, 0 elsewhere.
    pub applies: f64,
    /// The seed of the masks of dropout. An `f32` run can only take one below 2^24.
    pub seed: u32,
}

impl StepValues {
    /// For graphs that do not learn; and what a step reads of optimizers and groups that have no use for it.
    pub const REST: StepValues = StepValues {
        learning_rate: 0.0,
        first_moment_correction: 1.0,
        second_moment_correction: 1.0,
        velocity_share: 1.0,
        group_share: 1.0,
        continues: 0.0,
        applies: 1.0,
        seed: 0,
    };

    fn get(&self, scalar: StepScalar, batch: usize) -> f64 {
        match scalar {
            #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 images")]
            StepScalar::InverseBatch => 1.0 / batch as f64,
            StepScalar::LearningRate => self.learning_rate,
            StepScalar::FirstMomentCorrection => self.first_moment_correction,
            StepScalar::SecondMomentCorrection => self.second_moment_correction,
            StepScalar::VelocityShare => self.velocity_share,
            StepScalar::GroupShare => self.group_share,
            StepScalar::Continues => self.continues,
            StepScalar::Applies => self.applies,
            StepScalar::Waits => 1.0 - self.applies,
            StepScalar::Seed => f64::from(self.seed),
        }
    }
}

/// What a graph is given: inputs, parameters and states.
#[derive(Clone, PartialEq, Debug)]
pub struct Bindings<T> {
    values: IdVec<ValueId, Option<Array<T>>>,
}

impl<T: Real> Bindings<T> {
    /// States are zero, parameters that start as a constant have that; all else is to be set.
    pub fn new(graph: &Graph) -> Bindings<T> {
        let mut values = IdVec::filled(graph.values.len(), None);
        for (id, value) in graph.values.iter() {
            let start = match &value.kind {
                ValueKind::State(_) => 0.0,
                ValueKind::Param(param) => match param.init {
                    Init::Constant(start) => start,
                    Init::FanInUniform { .. }
                    | Init::Scaled(_)
                    | Init::Normal { .. }
                    | Init::TruncatedNormal { .. }
                    | Init::Uniform { .. }
                    | Init::File { .. } => continue,
                },
                ValueKind::Input(_) | ValueKind::Step(_) | ValueKind::Result { .. } => continue,
            };
            let start = T::from_f64(f64::from(start));
            values[id] = Some(Array::filled(value.ty.shape.clone(), 1, start));
        }
        Bindings { values }
    }

    /// Gives a value.
    pub fn set(&mut self, value: ValueId, array: Array<T>) {
        self.values[value] = Some(array);
    }

    /// Gives the input, parameter or state of a name.
    ///
    /// # Panics
    ///
    /// The graph has none.
    pub fn set_named(&mut self, graph: &Graph, name: &str, array: Array<T>) {
        let value = named(graph, name).unwrap_or_else(|| panic!("nothing is called `{name}`"));
        self.set(value, array);
    }

    /// What a value was given, or a parameter or state has become.
    ///
    /// # Panics
    ///
    /// It was given nothing.
    pub fn get(&self, value: ValueId) -> &Array<T> {
        self.values[value]
            .as_ref()
            .unwrap_or_else(|| panic!("{value} was given nothing"))
    }

    /// As [`Bindings::get`], by name.
    ///
    /// # Panics
    ///
    /// The graph has no input, parameter or state of that name, or it was given nothing.
    pub fn get_named(&self, graph: &Graph, name: &str) -> &Array<T> {
        self.get(named(graph, name).unwrap_or_else(|| panic!("nothing is called `{name}`")))
    }
}

/// The input, parameter or state of a name.
pub fn named(graph: &Graph, name: &str) -> Option<ValueId> {
    let is_named = |kind: &ValueKind| match kind {
        ValueKind::Input(own) | ValueKind::State(own) => **own == *name,
        ValueKind::Param(param) => param.name == name,
        ValueKind::Step(_) | ValueKind::Result { .. } => false,
    };
    graph
        .values
        .iter()
        .find(|(_, value)| is_named(&value.kind))
        .map(|(id, _)| id)
}

/// Every value of a graph, for a batch of so many images.
///
/// # Panics
///
/// A value was given nothing, or something of another shape.
pub fn run<T: Real>(
    graph: &Graph,
    batch: usize,
    step: &StepValues,
    bindings: &Bindings<T>,
) -> IdVec<ValueId, Array<T>> {
    let mut values: IdVec<ValueId, Option<Array<T>>> = bindings.values.clone();
    for (id, value) in graph.values.iter() {
        match value.kind {
            ValueKind::Input(_) | ValueKind::Param(_) | ValueKind::State(_) => {
                check(id, &value.ty, batch, bindings.get(id));
            }
            ValueKind::Step(scalar) => {
                let exact = step.get(scalar, batch);
                let number = T::from_f64(exact);
                let whole = scalar == StepScalar::Seed;
                assert!(
                    !whole || number.to_f64() == exact,
                    "the seed {exact} is rounded"
                );
                values[id] = Some(Array::scalar(number));
            }
            ValueKind::Result { .. } => {}
        }
    }
    for (_, node) in graph.nodes.iter() {
        let given = node.inputs.iter().map(|&input| {
            values[input]
                .as_ref()
                .expect("nodes stand in an order in which they can run")
        });
        let given: Vec<&Array<T>> = given.collect();
        let made = node.op.eval(batch, &given);
        for (&output, array) in node.outputs.iter().zip(made) {
            check(output, graph.ty(output), batch, &array);
            values[output] = Some(array);
        }
    }
    let mut all = IdVec::new();
    for id in graph.values.ids() {
        all.push(values[id].take().expect("every value is given or made"));
    }
    all
}

/// As [`run`], after which parameters and states take their new values.
///
/// # Panics
///
/// As [`run`].
pub fn run_step<T: Real>(
    graph: &Graph,
    batch: usize,
    step: &StepValues,
    bindings: &mut Bindings<T>,
) -> IdVec<ValueId, Array<T>> {
    let values = run(graph, batch, step, bindings);
    for update in &graph.updates {
        bindings.set(update.target, values[update.value].clone());
    }
    values
}

fn check<T: Real>(value: ValueId, ty: &Type, batch: usize, array: &Array<T>) {
    assert_eq!(array.shape(), &ty.shape, "the shape of {value}");
    let (found, expected) = (array.data().len(), len(&ty.shape, batch));
    assert_eq!(
        found, expected,
        "the elements of {value} for a batch of {batch}"
    );
}

#[cfg(test)]
mod tests;
