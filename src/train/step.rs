//! A training step as one graph: forward, loss, gradients, updates.

use super::accumulate::Cadence;
use super::clip::{self, Clip};
use super::optimizer::{self, OptimizerConfig};
use super::regularize::{self, Regularize};
use crate::autodiff;
use crate::ir::{Builder, DType, Graph, Param, Shape, StepScalar, Type, ValueId};
use crate::ops::pointwise::scaled;
use crate::ops::{Op, Pointwise, ShapeError, norm};
use crate::sema::{Freeze, TrainConfig};

/// The input that holds what a net should have said.
pub const TARGET: &str = "target";
/// The output that holds the loss.
pub const LOSS: &str = "loss";

/// How far an output is from its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossKind {
    /// The cross-entropy of logits and integer labels, averaged over images.
    CrossEntropy,
    /// The squared difference, averaged over all elements.
    MeanSquared,
}

/// What a net is trained to make small: the loss of its first output, plus those of its auxiliary
/// outputs against the same target.
#[derive(Clone, PartialEq, Debug)]
pub struct Loss {
    /// What is measured.
    pub kind: LossKind,
    /// Names of further outputs, with the weight of each.
    pub auxiliary: Vec<(String, f32)>,
}

impl From<LossKind> for Loss {
    fn from(kind: LossKind) -> Loss {
        Loss {
            kind,
            auxiliary: Vec::new(),
        }
    }
}

/// What a step does with gradients.
#[derive(Clone, PartialEq, Debug)]
pub struct StepConfig {
    /// How parameters follow them.
    pub optimizer: OptimizerConfig,
    /// What keeps weights small.
    pub regularize: Regularize,
    /// How large gradients may be.
    pub clip: Option<Clip>,
    /// Steps whose gradients are averaged for one update.
    pub accumulate: usize,
    /// Parameters that stay as they are.
    pub freeze: Freeze,
}

impl From<OptimizerConfig> for StepConfig {
    /// The optimizer and nothing else.
    fn from(optimizer: OptimizerConfig) -> StepConfig {
        StepConfig {
            optimizer,
            regularize: Regularize::default(),
            clip: None,
            accumulate: 1,
            freeze: Freeze::default(),
        }
    }
}

impl StepConfig {
    /// Whether a parameter learns.
    #[must_use]
    pub fn trains(&self, param: &Param) -> bool {
        learns(&self.freeze, param)
    }

    /// What a `train` section says, and the optimizer, which it may lack.
    #[must_use]
    pub fn new(section: &TrainConfig, optimizer: OptimizerConfig) -> StepConfig {
        StepConfig {
            optimizer,
            regularize: section.regularize,
            clip: section.clip,
            accumulate: section.accumulate,
            freeze: section.freeze.clone(),
        }
    }
}

/// Appends loss, gradients and updates to a forward graph made for training. Its outputs and updates
/// stay; the output [`LOSS`] and the input [`TARGET`] come to it.
///
/// # Errors
///
/// The loss can't be taken of an output's shape.
///
/// # Panics
///
/// The graph has no output, or none of an auxiliary output's name.
pub fn training_step(
    forward: Graph,
    loss: impl Into<Loss>,
    config: &StepConfig,
) -> Result<Graph, ShapeError> {
    let mut builder = Builder::from(forward);
    let loss = append_loss(&mut builder, &loss.into())?;
    builder.output(LOSS, loss);
    let params = trained(&builder, &config.freeze);
    let mut grads = autodiff::gradients(&mut builder, loss, &params);
    let cadence = Cadence::of(config.accumulate);
    let each = |builder: &mut Builder, work: &mut dyn FnMut(&mut Builder, usize)| {
        for (index, &param) in params.iter().enumerate() {
            let origin = name(builder, param);
            builder.set_origin(origin);
            work(builder, index);
        }
        builder.set_origin("");
    };
    each(&mut builder, &mut |builder, index| {
        let grad = cadence.gradient(builder, params[index], grads[index]);
        grads[index] = regularize::penalised(builder, &config.regularize, params[index], grad);
    });
    let grads = clip::clipped(&mut builder, config.clip, grads);
    each(&mut builder, &mut |builder, index| {
        let (param, grad) = (params[index], grads[index]);
        let next = optimizer::append(builder, &config.optimizer, param, grad, cadence);
        let next = regularize::constrained(builder, &config.regularize, param, next);
        cadence.update(builder, param, next);
    });
    Ok(builder.finish())
}

/// The graph whose outputs are the loss, the gradient of each trained parameter under its name, and
/// the gradient of each input under `input`, or where there are several under their names. Nothing is updated.
///
/// # Errors
///
/// As [`training_step`].
///
/// # Panics
///
/// As [`training_step`].
pub fn gradient_graph(
    forward: Graph,
    loss: impl Into<Loss>,
    freeze: &Freeze,
) -> Result<Graph, ShapeError> {
    let is_float = |value: &ValueId| forward.ty(*value).dtype == DType::F32;
    let inputs: Vec<ValueId> = forward
        .inputs()
        .map(|(id, _)| id)
        .filter(is_float)
        .collect();
    let mut builder = Builder::from(forward);
    let loss = append_loss(&mut builder, &loss.into())?;
    let mut wrt = trained(&builder, freeze);
    let mut names: Vec<String> = wrt.iter().map(|&param| name(&builder, param)).collect();
    match inputs.as_slice() {
        [_] => names.push("input".to_owned()),
        several => names.extend(several.iter().map(|&input| name(&builder, input))),
    }
    wrt.extend(inputs);
    let grads = autodiff::gradients(&mut builder, loss, &wrt);
    let mut graph = builder.finish();
    graph.outputs.clear();
    graph.updates.clear();
    let mut builder = Builder::from(graph);
    builder.output(LOSS, loss);
    for (name, grad) in names.into_iter().zip(grads) {
        builder.output(name, grad);
    }
    Ok(builder.finish())
}

/// The graph that gives the outputs and, beside them, the loss; nothing is updated.
///
/// # Errors
///
/// As [`training_step`].
///
/// # Panics
///
/// As [`training_step`].
pub fn evaluation_graph(forward: Graph, loss: impl Into<Loss>) -> Result<Graph, ShapeError> {
    let mut builder = Builder::from(forward);
    let loss = append_loss(&mut builder, &loss.into())?;
    builder.output(LOSS, loss);
    Ok(builder.finish())
}

fn name(builder: &Builder, value: ValueId) -> String {
    let graph = builder.graph();
    let input = graph
        .inputs()
        .find(|&(id, _)| id == value)
        .map(|(_, name)| name);
    let param = || {
        graph
            .params()
            .find(|&(id, _)| id == value)
            .map(|(_, param)| &*param.name)
    };
    input
        .or_else(param)
        .expect("an input or a parameter")
        .to_owned()
}

fn learns(freeze: &Freeze, param: &Param) -> bool {
    param.role.is_trainable() && !freeze.covers(&param.name)
}

/// The parameters that learn.
fn trained(builder: &Builder, freeze: &Freeze) -> Vec<ValueId> {
    let params = builder.graph().params();
    params
        .filter(|(_, param)| learns(freeze, param))
        .map(|(id, _)| id)
        .collect()
}

/// Appends the target and the loss, one number: the mean over the batch.
fn append_loss(builder: &mut Builder, loss: &Loss) -> Result<ValueId, ShapeError> {
    let main = builder
        .graph()
        .outputs
        .first()
        .expect("a net has an output")
        .value;
    builder.set_origin(LOSS);
    let target = match loss.kind {
        LossKind::CrossEntropy => Type::i32(Shape::batched([])),
        LossKind::MeanSquared => builder.graph().ty(main).clone(),
    };
    let target = builder.input(TARGET, target);
    let mut total = mean_loss(builder, loss.kind, main, target)?;
    for (name, weight) in &loss.auxiliary {
        let output = builder.graph().output(name);
        let output = output.unwrap_or_else(|| panic!("no output is called `{name}`"));
        let own = mean_loss(builder, loss.kind, output, target)?;
        let weighted = scaled(builder, own, *weight);
        total = builder.pointwise(Pointwise::Add, &[total, weighted]);
    }
    builder.set_origin("");
    Ok(total)
}

fn mean_loss(
    builder: &mut Builder,
    kind: LossKind,
    output: ValueId,
    target: ValueId,
) -> Result<ValueId, ShapeError> {
    let inverse_batch = builder.step_scalar(StepScalar::InverseBatch);
    let mean = match kind {
        LossKind::CrossEntropy => {
            let losses = builder.try_node(Op::CrossEntropy, &[output, target])?[0];
            let sum = builder.op(Op::SumTo(Shape::single([])), &[losses]);
            builder.pointwise(Pointwise::Mul, &[sum, inverse_batch])
        }
        LossKind::MeanSquared => {
            let difference = builder.try_node(Pointwise::Sub.into(), &[output, target])?[0];
            let squared = builder.pointwise(Pointwise::Square, &[difference]);
            let sum = builder.op(Op::SumTo(Shape::single([])), &[squared]);
            let mean = builder.pointwise(Pointwise::Mul, &[sum, inverse_batch]);
            let elements = builder.graph().ty(output).shape.elements();
            scaled(builder, mean, norm::inverse(elements))
        }
    };
    Ok(mean)
}

#[cfg(test)]
mod tests;
