//! Element types and logical shapes.

use std::fmt;

use super::dims::Dims;

/// What an element is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DType {
    /// A single-precision float.
    F32,
    /// A 32-bit integer: class labels, positions in a pooling window.
    I32,
}

/// A logical shape: an optional batch axis, then sizes in C, H, W order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    /// Whether there is one such tensor for each image of the batch.
    pub batched: bool,
    /// The sizes without the batch: `[]`, `[F]`, `[C, H, W]`, for filters `[K, C, R, S]`.
    pub dims: Dims,
}

impl Shape {
    /// One tensor an image.
    pub fn batched(dims: impl Into<Dims>) -> Shape {
        Shape {
            batched: true,
            dims: dims.into(),
        }
    }

    /// One tensor, whatever the batch.
    pub fn single(dims: impl Into<Dims>) -> Shape {
        Shape {
            batched: false,
            dims: dims.into(),
        }
    }

    /// Elements without the batch.
    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// The sizes with the batch in front where there is one.
    pub fn with_batch(&self, batch: usize) -> Vec<usize> {
        let outer = self.batched.then_some(batch);
        outer.into_iter().chain(self.dims.iter().copied()).collect()
    }

    /// Channels, height and width, a vector being a map of one pixel and a scalar one of one channel.
    pub fn chw(&self) -> (usize, usize, usize) {
        match *self.dims {
            [] => (1, 1, 1),
            [c] => (c, 1, 1),
            [c, h] => (c, h, 1),
            [c, h, ref rest @ ..] => (c, h, rest.iter().product()),
        }
    }

    /// Whether this stretches to `to`: axes are aligned from the first (channels with channels),
    /// missing and 1-sized axes stretch, and so does a missing batch.
    pub fn stretches_to(&self, to: &Shape) -> bool {
        (to.batched || !self.batched)
            && self.dims.len() <= to.dims.len()
            && self
                .dims
                .iter()
                .zip(&to.dims)
                .all(|(&from, &to)| from == to || from == 1)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let batch = self.batched.then(|| "N".to_owned());
        let sizes = self.dims.iter().map(usize::to_string);
        for (position, size) in batch.into_iter().chain(sizes).enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&size)?;
        }
        f.write_str("]")
    }
}

/// The type of a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    /// What an element is.
    pub dtype: DType,
    /// The logical shape.
    pub shape: Shape,
}

impl Type {
    /// A float tensor.
    pub fn f32(shape: Shape) -> Type {
        Type {
            dtype: DType::F32,
            shape,
        }
    }

    /// An integer tensor.
    pub fn i32(shape: Shape) -> Type {
        Type {
            dtype: DType::I32,
            shape,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dtype {
            DType::F32 => write!(f, "f32{}", self.shape),
            DType::I32 => write!(f, "i32{}", self.shape),
        }
    }
}
