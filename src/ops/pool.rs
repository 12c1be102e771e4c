//! Maximum and average over windows, and their gradients.
//!
//! `y[n, c, i, j] = max` or `mean` of x over the cells of the window that stands at (i, j). Padding
//! never wins a maximum. A NaN wins every maximum. Among equal maxima the first in row-major order
//! is taken, and it alone receives the gradient. An average divides by the cells that lie in the
//! input, or with `include_pad` by those that lie in the input or its declared padding; what `ceil`
//! adds beyond counts in neither. Source: Scherer, Müller and Behnke 2010, section 3.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::window::{Window, WindowError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// [N, C, H, W] → ([N, C, H', W'], the position r · S + s of each maximum in its window, i32).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MaxPool {
    /// Where the window stands.
    pub window: Window,
}

/// (gradient of the output, positions) → gradient of the input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MaxPoolGrad {
    /// Where the window stands.
    pub window: Window,
    /// The input's height and width.
    pub input: [usize; 2],
}

/// [N, C, H, W] → [N, C, H', W'].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AvgPool {
    /// Where the window stands.
    pub window: Window,
    /// Whether padding counts among the cells that are averaged over.
    pub include_pad: bool,
}

/// Gradient of the output → gradient of the input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AvgPoolGrad {
    /// Where the window stands.
    pub window: Window,
    /// Whether padding counts among the cells that are averaged over.
    pub include_pad: bool,
    /// The input's height and width.
    pub input: [usize; 2],
}

impl From<MaxPool> for Op {
    fn from(pool: MaxPool) -> Op {
        Op::MaxPool(pool)
    }
}

impl From<MaxPoolGrad> for Op {
    fn from(grad: MaxPoolGrad) -> Op {
        Op::MaxPoolGrad(grad)
    }
}

impl From<AvgPool> for Op {
    fn from(pool: AvgPool) -> Op {
        Op::AvgPool(pool)
    }
}

impl From<AvgPoolGrad> for Op {
    fn from(grad: AvgPoolGrad) -> Op {
        Op::AvgPoolGrad(grad)
    }
}

fn pooled(window: &Window, input: [usize; 2]) -> Result<[usize; 2], ShapeError> {
    let refused = |problem: WindowError| ShapeError::Window {
        pool: true,
        problem,
    };
    window.pool_output(input).map_err(refused)
}

fn infer(window: &Window, inputs: &[Type]) -> Result<Shape, ShapeError> {
    let [x] = error::exactly(inputs)?;
    let [channels, height, width] = error::map(x, "input")?;
    let [height, width] = pooled(window, [height, width])?;
    Ok(Shape::batched([channels, height, width]))
}

fn infer_grad(window: &Window, input: [usize; 2], dy: &Type) -> Result<Type, ShapeError> {
    let [channels, ..] = error::map(dy, "gradient")?;
    let [height, width] = pooled(window, input)?;
    error::same_shape(
        &dy.shape,
        &Shape::batched([channels, height, width]),
        "gradient",
    )?;
    Ok(Type::f32(Shape::batched([channels, input[0], input[1]])))
}

/// Visits every window of every channel: its place, the position of its output, and the position of
/// its channel's first cell.
fn for_each_window(
    window: &Window,
    input: [usize; 2],
    planes: usize,
    mut visit: impl FnMut([usize; 2], usize, usize),
) {
    let [rows, columns] = window.output(input).expect("the shape rule said yes");
    let places = (0..planes).flat_map(|plane| {
        (0..rows).flat_map(move |row| (0..columns).map(move |column| (plane, [row, column])))
    });
    for (output, (plane, place)) in places.enumerate() {
        visit(place, output, plane * input[0] * input[1]);
    }
}

fn height_and_width(dims: &[usize]) -> [usize; 2] {
    let &[_, height, width] = dims else {
        unreachable!("a map")
    };
    [height, width]
}

/// The attributes for dumps; those of averages say which cells count. The language has no dilated averages, so there is
/// one to be shown only where a graph was built by hand.
fn text(window: &Window, include_pad: Option<bool>, input: Option<[usize; 2]>) -> String {
    let ([height, width], ceil) = (window.kernel, window.ceil);
    let moves = match include_pad {
        Some(_) if window.dilation == [1, 1] => window.stride_and_pad(),
        _ => window.attributes(),
    };
    let mut text = format!("kernel {height},{width} {moves} ceil {ceil}");
    if let Some(include_pad) = include_pad {
        text += &format!(" include_pad {include_pad}");
    }
    if let Some([height, width]) = input {
        text += &format!(" input {height},{width}");
    }
    text
}

impl OpRules for MaxPool {
    fn name(&self) -> &'static str {
        "maxpool"
    }

    fn attributes(&self) -> String {
        text(&self.window, None, None)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let shape = infer(&self.window, inputs)?;
        Ok(vec![Type::f32(shape.clone()), Type::i32(shape)])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (channels, input) = (x.dims()[0], height_and_width(x.dims()));
        let [rows, columns] = self.window.output(input).expect("the shape rule said yes");
        let shape = Shape::batched([channels, rows, columns]);
        let (mut y, mut taken) = (
            Array::zeros(shape.clone(), batch),
            Array::zeros(shape, batch),
        );
        for_each_window(
            &self.window,
            input,
            batch * channels,
            |place, output, plane| {
                let mut cells = self.window.taps(place, input);
                let (mut best_tap, first) = cells.next().expect("no window is empty");
                let mut best = x.data()[plane + first];
                for (tap, position) in cells {
                    let value = x.data()[plane + position];
                    if value > best || (value.is_nan() && !best.is_nan()) {
                        (best_tap, best) = (tap, value);
                    }
                }
                y.data_mut()[output] = best;
                taken.data_mut()[output] = whole(best_tap);
            },
        );
        vec![y, taken]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy), _] = at.grads else {
            return vec![Grad::None];
        };
        let input = height_and_width(builder.graph().dims(at.inputs[0]));
        let grad = MaxPoolGrad {
            window: self.window,
            input,
        };
        vec![Grad::Value(builder.op(grad, &[dy, at.outputs[1]]))]
    }
}

/// A position as a number.
#[allow(
    clippy::cast_precision_loss,
    reason = "windows have far fewer than 2^24 taps"
)]
fn whole<T: Real>(position: usize) -> T {
    T::from_f64(position as f64)
}

impl OpRules for MaxPoolGrad {
    fn name(&self) -> &'static str {
        "maxpool_grad"
    }

    fn attributes(&self) -> String {
        text(&self.window, None, Some(self.input))
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [dy, taken] = error::exactly(inputs)?;
        error::integers(taken, "positions")?;
        error::same_shape(&taken.shape, &dy.shape, "positions")?;
        Ok(vec![infer_grad(&self.window, self.input, dy)?])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (dy, taken) = (inputs[0], inputs[1]);
        let channels = dy.dims()[0];
        let shape = Shape::batched([channels, self.input[0], self.input[1]]);
        let mut dx = Array::zeros(shape, batch);
        for_each_window(
            &self.window,
            self.input,
            batch * channels,
            |place, output, plane| {
                let winner = taken.data()[output];
                for (tap, position) in self.window.taps(place, self.input) {
                    if whole::<T>(tap) == winner {
                        dx.data_mut()[plane + position] += dy.data()[output];
                    }
                }
            },
        );
        vec![dx]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown, Grad::None]
    }
}

/// What an average divides by at a place.
fn divisor<T: Real>(window: &Window, include_pad: bool, place: [usize; 2], input: [usize; 2]) -> T {
    whole(if include_pad {
        window.taps_with_padding(place, input)
    } else {
        window.taps(place, input).count()
    })
}

impl OpRules for AvgPool {
    fn name(&self) -> &'static str {
        "avgpool"
    }

    fn attributes(&self) -> String {
        text(&self.window, Some(self.include_pad), None)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        Ok(vec![Type::f32(infer(&self.window, inputs)?)])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (channels, input) = (x.dims()[0], height_and_width(x.dims()));
        let [rows, columns] = self.window.output(input).expect("the shape rule said yes");
        let mut y = Array::zeros(Shape::batched([channels, rows, columns]), batch);
        for_each_window(
            &self.window,
            input,
            batch * channels,
            |place, output, plane| {
                let mut sum = T::ZERO;
                for (_, position) in self.window.taps(place, input) {
                    sum += x.data()[plane + position];
                }
                y.data_mut()[output] = sum / divisor(&self.window, self.include_pad, place, input);
            },
        );
        vec![y]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("arity")
        };
        let input = height_and_width(builder.graph().dims(at.inputs[0]));
        let AvgPool {
            window,
            include_pad,
        } = *self;
        vec![Grad::Value(builder.op(
            AvgPoolGrad {
                window,
                include_pad,
                input,
            },
            &[dy],
        ))]
    }
}

impl OpRules for AvgPoolGrad {
    fn name(&self) -> &'static str {
        "avgpool_grad"
    }

    fn attributes(&self) -> String {
        text(&self.window, Some(self.include_pad), Some(self.input))
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [dy] = error::exactly(inputs)?;
        Ok(vec![infer_grad(&self.window, self.input, dy)?])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let dy = inputs[0];
        let channels = dy.dims()[0];
        let shape = Shape::batched([channels, self.input[0], self.input[1]]);
        let mut dx = Array::zeros(shape, batch);
        for_each_window(
            &self.window,
            self.input,
            batch * channels,
            |place, output, plane| {
                let divisor = divisor(&self.window, self.include_pad, place, self.input);
                for (_, position) in self.window.taps(place, self.input) {
                    dx.data_mut()[plane + position] += dy.data()[output] / divisor;
                }
            },
        );
        vec![dx]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(grad)] = at.grads else {
            unreachable!("arity")
        };
        let AvgPoolGrad {
            window,
            include_pad,
            ..
        } = *self;
        vec![Grad::Value(builder.op(
            AvgPool {
                window,
                include_pad,
            },
            &[grad],
        ))]
    }
}

#[cfg(test)]
mod tests;
