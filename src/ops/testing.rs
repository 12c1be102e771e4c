//! What tests of operators share.

use super::{Array, Op, OpRules, ShapeError};
use crate::ir::{DType, Shape, Type};

/// How far a value may be from one that was computed by hand to six digits.
const HAND_TOLERANCE: f64 = 2e-6;

/// One tensor an image.
pub(crate) fn batched(dims: &[usize], data: &[f64]) -> Array<f64> {
    Array::new(Shape::batched(dims), data.to_vec())
}

/// One tensor in all.
pub(crate) fn single(dims: &[usize], data: &[f64]) -> Array<f64> {
    Array::new(Shape::single(dims), data.to_vec())
}

/// 1, 2, 3, …
pub(crate) fn ramp(len: u32) -> Vec<f64> {
    (1..=len).map(f64::from).collect()
}

/// The outputs of an operator whose inputs are all floats.
pub(crate) fn eval(op: impl Into<Op>, inputs: &[&Array<f64>]) -> Vec<Array<f64>> {
    let inputs: Vec<(&Array<f64>, DType)> =
        inputs.iter().map(|&input| (input, DType::F32)).collect();
    eval_typed(op, &inputs)
}

/// The outputs of an operator. Holds their shapes against its shape rule.
pub(crate) fn eval_typed(op: impl Into<Op>, inputs: &[(&Array<f64>, DType)]) -> Vec<Array<f64>> {
    let op = op.into();
    let types: Vec<Type> = inputs
        .iter()
        .map(|&(input, dtype)| Type {
            dtype,
            shape: input.shape().clone(),
        })
        .collect();
    let arrays: Vec<&Array<f64>> = inputs.iter().map(|&(input, _)| input).collect();
    let batch = arrays
        .iter()
        .find(|input| input.shape().batched)
        .map_or(1, |input| input.data().len() / input.shape().elements());
    let outputs = op.eval(batch, &arrays);
    let expected = op.infer(&types).expect("the inputs fit");
    assert_eq!(outputs.len(), expected.len());
    for (output, ty) in outputs.iter().zip(&expected) {
        assert_eq!(output.shape(), &ty.shape);
    }
    outputs
}

/// The message with which an operator refuses inputs, and what would help.
pub(crate) fn refusal(op: impl Into<Op>, inputs: &[Type]) -> String {
    told(&op.into().infer(inputs).expect_err("the inputs do not fit"))
}

/// A message, and what would help.
pub(crate) fn told(error: &ShapeError) -> String {
    let help = error
        .help()
        .into_iter()
        .map(|help| format!("\nhelp: {}", help.text));
    format!("{error}{}", help.collect::<String>())
}

/// Holds values against those computed by hand; NaN equals NaN,
/// and an infinity itself.
#[track_caller]
pub(crate) fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (&one, &other) in found.iter().zip(expected) {
        let bound = HAND_TOLERANCE * other.abs().max(1.0);
        let same = one == other || (one - other).abs() <= bound || (one.is_nan() && other.is_nan());
        assert!(same, "{found:?} is not {expected:?}");
    }
}
