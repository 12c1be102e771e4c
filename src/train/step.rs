//! A training step as one graph: forward, loss, gradients, updates.

use super::accumulate::Cadence;
use super::clip::{self, Clip};
use super::loss;
use super::optimizer::{self, OptimizerConfig};
use super::regularize::{self, Regularize};
use crate::autodiff;
use crate::ir::{Action, Builder, DType, Graph, Param, ValueId, ValueKind};
use crate::ops::ShapeError;
use crate::sema::{Freeze, TrainConfig};

pub use super::loss::{LOSS, Loss, LossKind, TARGET};

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
/// stay; the output [`LOSS`] and the inputs of [`Loss::targets`] come to it. A parameter that the loss
/// does not depend on stays as it is, without decay, as one without a gradient does in PyTorch.
///
/// # Errors
///
/// The loss can't be taken of an output's shape.
///
/// # Panics
///
/// The graph has no output, or none of a loss's name.
pub fn training_step(
    forward: Graph,
    loss: impl Into<Loss>,
    config: &StepConfig,
) -> Result<Graph, ShapeError> {
    let mut builder = Builder::from(forward);
    // Gradients and updates are two to three times as many nodes as the forward half.
    builder.reserve(3 * builder.graph().nodes.len());
    let loss = loss::append(&mut builder, &loss.into())?;
    builder.output(LOSS, loss);
    let wanted = trained(&builder, &config.freeze);
    let found = autodiff::partial_gradients(&mut builder, loss, &wanted);
    let learning = wanted.into_iter().zip(found);
    let (params, mut grads): (Vec<ValueId>, Vec<ValueId>) = learning
        .filter_map(|(param, grad)| Some((param, grad?)))
        .unzip();
    // A filter that stays as it is keeps its mask.
    builder.retain_events(|event| match &event.action {
        Action::Prune(rule) => !config.freeze.covers(&rule.weight),
    });
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
    let loss = loss::append(&mut builder, &loss.into())?;
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
    let loss = loss::append(&mut builder, &loss.into())?;
    builder.output(LOSS, loss);
    Ok(builder.finish())
}

/// The name of an input or parameter.
fn name(builder: &Builder, value: ValueId) -> String {
    match &builder.graph().values[value].kind {
        ValueKind::Input(name) => name.to_string(),
        ValueKind::Param(param) => param.name.clone(),
        ValueKind::State(_) | ValueKind::Step(_) | ValueKind::Result { .. } => {
            panic!("{value} is neither an input nor a parameter")
        }
    }
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

#[cfg(test)]
mod tests;
