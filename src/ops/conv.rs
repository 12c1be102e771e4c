//! Convolution over maps, grouped and dilated, and its two gradients.
//!
//! With G groups, x `[N, C, H, W]`, w `[K, C / G, R, S]` and `g = k / (K / G)` the group of an output:
//!
//! ```text
//! y[n, k, i, j] = Σ c r s  x[n, g C / G + c, i·stride + r·dilation - top, j·stride + s·dilation - left] · w[k, c, r, s]
//! ```
//!
//! where x is zero outside the map. This is the cross-correlation that every network library calls
//! convolution (Goodfellow, Bengio and Courville, "Deep Learning", 9.1). Groups: Krizhevsky et al.
//! 2012, 3.5; dilation: Yu and Koltun 2016. Both gradients are sums of the same products: each is
//! linear in either factor.

pub mod depthwise;
pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::window::Window;
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// ([N, C, H, W], filter [K, C / G, R, S]) → [N, K, H', W'].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conv2d {
    /// Where the filter stands.
    pub window: Window,
    /// Into how many independent groups the channels are split.
    pub groups: usize,
}

/// (gradient of the output [N, K, H', W'], filter) → gradient of the input [N, C, H, W].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conv2dInputGrad {
    /// The convolution.
    pub conv: Conv2d,
    /// Its input's height and width: with a stride, several sizes have the same output.
    pub input: [usize; 2],
}

/// (input [N, C, H, W], gradient of the output [N, K, H', W']) → gradient of the filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conv2dFilterGrad {
    /// The convolution.
    pub conv: Conv2d,
}

impl From<Conv2d> for Op {
    fn from(conv: Conv2d) -> Op {
        Op::Conv2d(conv)
    }
}

impl From<Conv2dInputGrad> for Op {
    fn from(grad: Conv2dInputGrad) -> Op {
        Op::Conv2dInputGrad(grad)
    }
}

impl From<Conv2dFilterGrad> for Op {
    fn from(grad: Conv2dFilterGrad) -> Op {
        Op::Conv2dFilterGrad(grad)
    }
}

impl Conv2d {
    /// The sizes [K, C / G, R, S] of the filter between so many channels.
    ///
    /// # Errors
    ///
    /// The groups do not divide the channels.
    pub fn filter(&self, channels: usize, outputs: usize) -> Result<[usize; 4], ShapeError> {
        let groups = self.groups;
        if groups == 0 {
            return Err(ShapeError::NoGroups);
        }
        let nearest = || nearest_groups(groups, channels, outputs);
        if !channels.is_multiple_of(groups) {
            return Err(ShapeError::InputGroups {
                channels,
                groups,
                nearest: nearest(),
            });
        }
        if !outputs.is_multiple_of(groups) {
            return Err(ShapeError::OutputGroups {
                outputs,
                groups,
                nearest: nearest(),
            });
        }
        let [height, width] = self.window.kernel;
        Ok([outputs, channels / groups, height, width])
    }

    /// The sizes of the output, given those of the input and the number of outputs.
    fn output(
        &self,
        [channels, height, width]: [usize; 3],
        outputs: usize,
    ) -> Result<Shape, ShapeError> {
        self.filter(channels, outputs)?;
        let [height, width] = self.window.output([height, width])?;
        Ok(Shape::batched([outputs, height, width]))
    }

    /// Visits every product of the sum: the positions of its input, its weight and its output.
    fn for_each_product(
        &self,
        batch: usize,
        [channels, height, width]: [usize; 3],
        outputs: usize,
        mut visit: impl FnMut(usize, usize, usize),
    ) {
        let [rows, columns] = self
            .window
            .output([height, width])
            .expect("the shape rule said yes");
        let (group_in, group_out) = (channels / self.groups, outputs / self.groups);
        let [kernel_rows, kernel_columns] = self.window.kernel;
        let taps = kernel_rows * kernel_columns;
        let mut y = 0;
        for n in 0..batch {
            for k in 0..outputs {
                let first = n * channels + k / group_out * group_in;
                for place in (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column]))
                {
                    for c in 0..group_in {
                        for (tap, position) in self.window.taps(place, [height, width]) {
                            let x = (first + c) * height * width + position;
                            visit(x, (k * group_in + c) * taps + tap, y);
                        }
                    }
                    y += 1;
                }
            }
        }
    }

    fn text(&self) -> String {
        format!("{} groups {}", self.window.attributes(), self.groups)
    }
}

/// The nearest numbers of groups, below and above, that divide both.
fn nearest_groups(groups: usize, channels: usize, outputs: usize) -> Vec<usize> {
    let works = |&groups: &usize| channels.is_multiple_of(groups) && outputs.is_multiple_of(groups);
    let below = (1..groups).rev().find(works);
    let above = (groups + 1..=channels.min(outputs)).find(works);
    below.into_iter().chain(above).collect()
}

fn filter_axes(ty: &Type) -> Result<[usize; 4], ShapeError> {
    error::floats(ty, "filter")?;
    error::axes(ty, "filter", "[K, C / groups, R, S]", false)
}

impl OpRules for Conv2d {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn attributes(&self) -> String {
        self.text()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, filter] = error::exactly(inputs)?;
        let x = error::map(x, "input")?;
        let [outputs, ..] = filter_axes(filter)?;
        let expected = Shape::single(self.filter(x[0], outputs)?);
        error::same_shape(&filter.shape, &expected, "filter")?;
        Ok(vec![Type::f32(self.output(x, outputs)?)])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, filter) = (inputs[0], inputs[1]);
        let (sizes, outputs) = (sizes(x), filter.dims()[0]);
        let shape = self
            .output(sizes, outputs)
            .expect("the shape rule said yes");
        let mut y = Array::zeros(shape, batch);
        self.for_each_product(batch, sizes, outputs, |x_at, w_at, y_at| {
            y.data_mut()[y_at] += x.data()[x_at] * filter.data()[w_at];
        });
        vec![y]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[x, filter], &[Some(dy)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        let &[_, height, width] = builder.graph().dims(x) else {
            unreachable!("a map")
        };
        let input_grad = Conv2dInputGrad {
            conv: *self,
            input: [height, width],
        };
        vec![
            Grad::Value(builder.op(input_grad, &[dy, filter])),
            Grad::Value(builder.op(Conv2dFilterGrad { conv: *self }, &[x, dy])),
        ]
    }
}

impl OpRules for Conv2dInputGrad {
    fn name(&self) -> &'static str {
        "conv_input_grad"
    }

    fn attributes(&self) -> String {
        let [height, width] = self.input;
        format!("{} input {height},{width}", self.conv.text())
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [dy, filter] = error::exactly(inputs)?;
        error::map(dy, "gradient")?;
        let [outputs, group_in, ..] = filter_axes(filter)?;
        let [height, width] = self.input;
        let x = [group_in * self.conv.groups, height, width];
        error::same_shape(&dy.shape, &self.conv.output(x, outputs)?, "gradient")?;
        Ok(vec![Type::f32(Shape::batched(x))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (dy, filter) = (inputs[0], inputs[1]);
        let &[outputs, group_in, ..] = filter.dims() else {
            unreachable!("a filter")
        };
        let [height, width] = self.input;
        let sizes = [group_in * self.conv.groups, height, width];
        let mut dx = Array::zeros(Shape::batched(sizes), batch);
        self.conv
            .for_each_product(batch, sizes, outputs, |x_at, w_at, y_at| {
                dx.data_mut()[x_at] += dy.data()[y_at] * filter.data()[w_at];
            });
        vec![dx]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[dy, filter], &[Some(grad)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        vec![
            Grad::Value(builder.op(self.conv, &[grad, filter])),
            Grad::Value(builder.op(Conv2dFilterGrad { conv: self.conv }, &[grad, dy])),
        ]
    }
}

impl OpRules for Conv2dFilterGrad {
    fn name(&self) -> &'static str {
        "conv_filter_grad"
    }

    fn attributes(&self) -> String {
        let [height, width] = self.conv.window.kernel;
        format!("kernel {height},{width} {}", self.conv.text())
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, dy] = error::exactly(inputs)?;
        let x = error::map(x, "input")?;
        let [outputs, ..] = error::map(dy, "gradient")?;
        error::same_shape(&dy.shape, &self.conv.output(x, outputs)?, "gradient")?;
        Ok(vec![Type::f32(Shape::single(
            self.conv.filter(x[0], outputs)?,
        ))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, dy) = (inputs[0], inputs[1]);
        let (sizes, outputs) = (sizes(x), dy.dims()[0]);
        let filter = self
            .conv
            .filter(sizes[0], outputs)
            .expect("the shape rule said yes");
        let mut dw = Array::zeros(Shape::single(filter), batch);
        self.conv
            .for_each_product(batch, sizes, outputs, |x_at, w_at, y_at| {
                dw.data_mut()[w_at] += dy.data()[y_at] * x.data()[x_at];
            });
        vec![dw]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[x, dy], &[Some(grad)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        let &[_, height, width] = builder.graph().dims(x) else {
            unreachable!("a map")
        };
        let input_grad = Conv2dInputGrad {
            conv: self.conv,
            input: [height, width],
        };
        vec![
            Grad::Value(builder.op(input_grad, &[dy, grad])),
            Grad::Value(builder.op(self.conv, &[x, grad])),
        ]
    }
}

fn sizes<T: Real>(map: &Array<T>) -> [usize; 3] {
    map.dims().try_into().expect("a map")
}

#[cfg(test)]
mod tests;
