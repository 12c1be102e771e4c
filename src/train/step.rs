//! A training step as one graph: forward, loss, gradients, updates.

use super::loss;
use super::optimizer::{self, Optimizer};
use crate::autodiff;
use crate::ir::{Builder, DType, Graph, ValueId};
use crate::ops::ShapeError;

pub use super::loss::{LOSS, Loss, LossKind, TARGET};

/// Appends loss, gradients and updates to a forward graph made for training. Its outputs and updates
/// stay; the output [`LOSS`] and the inputs of [`Loss::targets`] come to it.
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
    optimizer: &Optimizer,
) -> Result<Graph, ShapeError> {
    let mut builder = Builder::from(forward);
    let loss = loss::append(&mut builder, &loss.into())?;
    builder.output(LOSS, loss);
    let params = trainable(&builder);
    let grads = autodiff::gradients(&mut builder, loss, &params);
    for (param, grad) in params.into_iter().zip(grads) {
        optimizer::append(&mut builder, optimizer, param, grad);
    }
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
pub fn gradient_graph(forward: Graph, loss: impl Into<Loss>) -> Result<Graph, ShapeError> {
    let is_float = |value: &ValueId| forward.ty(*value).dtype == DType::F32;
    let inputs: Vec<ValueId> = forward
        .inputs()
        .map(|(id, _)| id)
        .filter(is_float)
        .collect();
    let mut builder = Builder::from(forward);
    let loss = loss::append(&mut builder, &loss.into())?;
    let mut wrt = trainable(&builder);
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

fn trainable(builder: &Builder) -> Vec<ValueId> {
    let params = builder.graph().params();
    params
        .filter(|(_, param)| param.role.is_trainable())
        .map(|(id, _)| id)
        .collect()
}

#[cfg(test)]
mod tests;
