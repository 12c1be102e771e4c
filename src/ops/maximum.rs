//! The greatest element along axes of each image, and its gradient.
//!
//! `y = max x` over the channels of each piece of consecutive ones, or over rows, columns or pixels;
//! what is reduced keeps an axis of one. A NaN wins every maximum. Among equal maxima the first in
//! row-major order is taken, and it alone receives the gradient. Over pieces of consecutive channels
//! this is maxout (Goodfellow et al. 2013, section 3).

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// What a maximum is taken over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Over {
    /// `pieces` consecutive channels at a time: [C, …] becomes [C / pieces, …].
    Channels {
        /// The channels of a piece.
        pieces: usize,
    },
    /// The rows: [C, H, W] becomes [C, 1, W].
    Height,
    /// The columns: [C, H, W] becomes [C, H, 1].
    Width,
    /// The pixels: [C, H, W] becomes [C, 1, 1].
    Space,
}

/// x → (the greatest along the axes, the number of its place there in row-major order, i32).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReduceMax {
    /// The axes.
    pub over: Over,
}

/// (gradient of the output, places) → gradient of the input.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReduceMaxGrad {
    /// The axes.
    pub over: Over,
    /// The input's sizes.
    pub input: Vec<usize>,
}

impl From<ReduceMax> for Op {
    fn from(op: ReduceMax) -> Op {
        Op::ReduceMax(op)
    }
}

impl From<ReduceMaxGrad> for Op {
    fn from(op: ReduceMaxGrad) -> Op {
        Op::ReduceMaxGrad(op)
    }
}

impl Over {
    fn attributes(self) -> String {
        match self {
            Over::Channels { pieces } => format!("over {pieces} channels"),
            Over::Height => "over height".to_owned(),
            Over::Width => "over width".to_owned(),
            Over::Space => "over space".to_owned(),
        }
    }

    /// The sizes of the result.
    fn output(self, dims: &[usize]) -> Result<Vec<usize>, ShapeError> {
        let mut output = dims.to_vec();
        match self {
            Over::Channels { pieces } => {
                let Some(channels) = output.first_mut() else {
                    return Err(ShapeError::Rank {
                        input: "input",
                        expected: "[C, …]",
                        found: Vec::new(),
                    });
                };
                if pieces == 0 || !channels.is_multiple_of(pieces) {
                    let channels = *channels;
                    return Err(ShapeError::Pieces { channels, pieces });
                }
                *channels /= pieces;
            }
            Over::Height | Over::Width | Over::Space => {
                let [_, height, width] = output.as_mut_slice() else {
                    return Err(ShapeError::Rank {
                        input: "input",
                        expected: "[C, H, W]",
                        found: output,
                    });
                };
                if self != Over::Width {
                    *height = 1;
                }
                if self != Over::Height {
                    *width = 1;
                }
            }
        }
        Ok(output)
    }

    /// For each element of one image the element of the result that it belongs to and the number of
    /// its place there.
    fn places(self, dims: &[usize]) -> Vec<(usize, usize)> {
        let shape = Shape::single(dims);
        let (_, h, w) = shape.chw();
        let place = |element: usize| {
            let (c, y, x) = (element / (h * w), element / w % h, element % w);
            match self {
                Over::Channels { pieces } => (c / pieces * h * w + y * w + x, c % pieces),
                Over::Height => (c * w + x, y),
                Over::Width => (c * h + y, x),
                Over::Space => (c, y * w + x),
            }
        };
        (0..shape.elements()).map(place).collect()
    }
}

/// A place as a number.
#[allow(
    clippy::cast_precision_loss,
    reason = "an axis has far fewer than 2^53 places"
)]
fn whole<T: Real>(place: usize) -> T {
    T::from_f64(place as f64)
}

impl OpRules for ReduceMax {
    fn name(&self) -> &'static str {
        "reduce_max"
    }

    fn attributes(&self) -> String {
        self.over.attributes()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        error::floats(x, "input")?;
        let shape = Shape {
            batched: x.shape.batched,
            dims: self.over.output(&x.shape.dims)?.into(),
        };
        Ok(vec![Type::f32(shape.clone()), Type::i32(shape)])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let shape = Shape {
            batched: x.shape().batched,
            dims: self
                .over
                .output(x.dims())
                .expect("the shape rule said yes")
                .into(),
        };
        let places = self.over.places(x.dims());
        let mut y = Array::zeros(shape.clone(), batch);
        let mut taken = Array::zeros(shape.clone(), batch);
        let mut seen = vec![false; y.data().len()];
        for (image, elements) in x.data().chunks(x.shape().elements()).enumerate() {
            for (&value, &(target, place)) in elements.iter().zip(&places) {
                let target = image * shape.elements() + target;
                let best = y.data()[target];
                if !seen[target] || value > best || (value.is_nan() && !best.is_nan()) {
                    seen[target] = true;
                    y.data_mut()[target] = value;
                    taken.data_mut()[target] = whole(place);
                }
            }
        }
        vec![y, taken]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy), _] = at.grads else {
            return vec![Grad::None];
        };
        let grad = ReduceMaxGrad {
            over: self.over,
            input: builder.graph().dims(at.inputs[0]).to_vec(),
        };
        vec![Grad::Value(builder.op(grad, &[dy, at.outputs[1]]))]
    }
}

impl OpRules for ReduceMaxGrad {
    fn name(&self) -> &'static str {
        "reduce_max_grad"
    }

    fn attributes(&self) -> String {
        self.over.attributes()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [dy, places] = error::exactly(inputs)?;
        error::floats(dy, "gradient")?;
        error::integers(places, "places")?;
        error::same_shape(&places.shape, &dy.shape, "places")?;
        let narrow = Shape {
            batched: dy.shape.batched,
            dims: self.over.output(&self.input)?.into(),
        };
        error::same_shape(&dy.shape, &narrow, "gradient")?;
        Ok(vec![Type::f32(Shape {
            batched: dy.shape.batched,
            dims: self.input.as_slice().into(),
        })])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (dy, taken) = (inputs[0], inputs[1]);
        let shape = Shape {
            batched: dy.shape().batched,
            dims: self.input.as_slice().into(),
        };
        let places = self.over.places(&self.input);
        let mut dx = Array::zeros(shape.clone(), batch);
        let narrow = dy.shape().elements();
        for (image, elements) in dx.data_mut().chunks_mut(shape.elements()).enumerate() {
            for (value, &(target, place)) in elements.iter_mut().zip(&places) {
                let target = image * narrow + target;
                if taken.data()[target] == whole(place) {
                    *value = dy.data()[target];
                }
            }
        }
        vec![dx]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown, Grad::None]
    }
}

#[cfg(test)]
mod tests;
