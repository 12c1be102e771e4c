//! Plain arrays, which operators' references compute with, over either float type.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use crate::ir::Shape;

/// What a reference computes in: `f32`, or `f64` where rounding would hide a mistake.
pub trait Real:
    Copy
    + PartialEq
    + PartialOrd
    + fmt::Debug
    + fmt::Display
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// The square root.
    fn sqrt(self) -> Self;
    /// e to this power.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// e to this power, less one; accurate near zero.
    fn exp_m1(self) -> Self;
    /// The natural logarithm of one more than this; accurate near zero.
    fn ln_1p(self) -> Self;
    /// The complementary error function.
    fn erfc(self) -> Self;

    /// Whether this is no number.
    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }
}

macro_rules! real {
    ($($float:ident $erfc:ident)*) => {$(
        impl Real for $float {
            const ZERO: $float = 0.0;
            const ONE: $float = 1.0;
            #[allow(clippy::cast_possible_truncation, reason = "rounding is what it is for")]
            fn from_f64(value: f64) -> $float {
                value as $float
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn sqrt(self) -> $float {
                self.sqrt()
            }
            fn exp(self) -> $float {
                self.exp()
            }
            fn ln(self) -> $float {
                self.ln()
            }
            fn tanh(self) -> $float {
                self.tanh()
            }
            fn exp_m1(self) -> $float {
                self.exp_m1()
            }
            fn ln_1p(self) -> $float {
                self.ln_1p()
            }
            fn erfc(self) -> $float {
                libm::$erfc(self)
            }
        }
    )*};
}
real!(f32 erfcf f64 erfc);

/// A tensor in row-major order, the batch outermost. The batch's size is that of the data.
#[derive(Clone, PartialEq, Debug)]
pub struct Array<T> {
    shape: Shape,
    data: Vec<T>,
}

impl<T: Real> Array<T> {
    /// Data of a shape.
    ///
    /// # Panics
    ///
    /// The data is not a whole number of images, or not one tensor where there is no batch.
    pub fn new(shape: Shape, data: Vec<T>) -> Array<T> {
        let elements = shape.elements();
        let fits = if shape.batched {
            data.len().checked_rem(elements).unwrap_or(data.len()) == 0
        } else {
            data.len() == elements
        };
        assert!(
            fits,
            "{} elements do not make a tensor of {shape}",
            data.len()
        );
        Array { shape, data }
    }

    /// The same number everywhere.
    pub fn filled(shape: Shape, batch: usize, value: T) -> Array<T> {
        let len = len(&shape, batch);
        Array {
            shape,
            data: vec![value; len],
        }
    }

    /// Zeros.
    pub fn zeros(shape: Shape, batch: usize) -> Array<T> {
        Array::filled(shape, batch, T::ZERO)
    }

    /// One number.
    pub fn scalar(value: T) -> Array<T> {
        Array {
            shape: Shape::single([]),
            data: vec![value],
        }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The sizes without the batch.
    pub fn dims(&self) -> &[usize] {
        &self.shape.dims
    }

    /// The elements.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The elements, to write.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Channels, and pixels of one channel.
    pub fn channels_and_pixels(&self) -> (usize, usize) {
        let (channels, height, width) = self.shape.chw();
        (channels, height * width)
    }

    /// The channel of the element at a position.
    pub fn channel(&self, position: usize) -> usize {
        let (channels, pixels) = self.channels_and_pixels();
        position / pixels % channels
    }
}

/// Elements of a tensor with its batch.
pub fn len(shape: &Shape, batch: usize) -> usize {
    shape.with_batch(batch).iter().product()
}

/// For each element of a tensor of shape `to`, in order, the position of the element of a tensor of
/// shape `from` that is stretched to it.
pub fn stretched(from: &Shape, to: &Shape, batch: usize) -> Vec<usize> {
    let sizes = to.with_batch(batch);
    let mut strides = vec![0; sizes.len()];
    let mut stride = 1;
    for (axis, &size) in from.dims.iter().enumerate().rev() {
        if size > 1 {
            strides[usize::from(to.batched) + axis] = stride;
        }
        stride *= size;
    }
    if from.batched {
        strides[0] = stride;
    }
    let mut positions = vec![0];
    for (size, stride) in sizes.into_iter().zip(strides) {
        positions = positions
            .into_iter()
            .flat_map(|start| (0..size).map(move |index| start + index * stride))
            .collect();
    }
    positions
}
