//! Plain host tensors: what goes into a compiled program and what comes out of it.
//!
//! A [`Tensor`] is the exchange value between file formats, the interpreter and the command line.
//! It is always dense and row-major, so a picture is stored C, then H, then W (and a batch N
//! first), whatever layout the compiler chose inside. It does no arithmetic; that belongs to the
//! operators.

use thiserror::Error;

/// A dense f32 tensor in row-major order.
///
/// The number of values always equals the product of the shape; a tensor of shape `[]` is a single
/// number.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// Why a shape and its values do not make a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TensorError {
    /// The product of the sizes does not fit the address space.
    #[error("a tensor of shape {shape:?} is too large to address")]
    TooLarge {
        /// The shape asked for.
        shape: Vec<usize>,
    },
    /// The shape promises another number of values than there are.
    #[error("a tensor of shape {shape:?} holds {expected} values, found {found}")]
    WrongCount {
        /// The shape asked for.
        shape: Vec<usize>,
        /// How many values the shape holds.
        expected: usize,
        /// How many values were given.
        found: usize,
    },
}

/// The number of f32 values in a tensor of this shape, or `None` if they could not be addressed.
///
/// The bound is the one of every Rust allocation (`isize::MAX` bytes), so a count from here can be
/// multiplied by the size of a value without overflow. Sizes of zero do not hide an overflow in the
/// others: strides are partial products.
#[must_use]
pub fn element_count(shape: &[usize]) -> Option<usize> {
    let extent = shape
        .iter()
        .try_fold(1_usize, |n, &size| n.checked_mul(size.max(1)))?;
    let bytes = extent.checked_mul(size_of::<f32>())?;
    isize::try_from(bytes).ok()?;
    Some(if shape.contains(&0) { 0 } else { extent })
}

impl Tensor {
    /// Makes a tensor of `shape` from its values in row-major order.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self, TensorError> {
        match element_count(&shape) {
            None => Err(TensorError::TooLarge { shape }),
            Some(expected) if expected != data.len() => Err(TensorError::WrongCount {
                shape,
                expected,
                found: data.len(),
            }),
            Some(_) => Ok(Self { shape, data }),
        }
    }

    /// Makes a tensor of `shape` filled with zeros.
    pub fn zeros(shape: Vec<usize>) -> Result<Self, TensorError> {
        match element_count(&shape) {
            None => Err(TensorError::TooLarge { shape }),
            Some(count) => Ok(Self {
                shape,
                data: vec![0.0; count],
            }),
        }
    }

    /// The sizes, outermost axis first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values in row-major order.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values in row-major order, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Takes the values out, in row-major order.
    #[must_use]
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_elements() {
        assert_eq!(element_count(&[]), Some(1));
        assert_eq!(element_count(&[2, 3, 4]), Some(24));
        assert_eq!(element_count(&[2, 0, 4]), Some(0));
    }

    #[test]
    fn refuses_counts_that_overflow() {
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(
            element_count(&[1 << 62]),
            None,
            "the bytes overflow although the count does not"
        );
        assert_eq!(
            element_count(&[1 << 40, 1 << 40, 0]),
            None,
            "a zero does not hide the overflow"
        );
        let shape = vec![1 << 40, 1 << 40];
        assert_eq!(
            Tensor::zeros(shape.clone()),
            Err(TensorError::TooLarge { shape })
        );
    }

    #[test]
    fn checks_the_number_of_values() {
        assert!(Tensor::new(vec![2, 3], vec![0.0; 6]).is_ok());
        let error = Tensor::new(vec![2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a tensor of shape [2, 3] holds 6 values, found 5"
        );
    }
}
