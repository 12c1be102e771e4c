//! The sizes of a shape. Graphs hold many thousands of them, so those of tensors as nets have them take no memory of
//! their own.

use std::fmt;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

/// Sizes in C, H, W order; a slice with another place to live.
#[derive(PartialEq, Eq, Hash, Default)]
pub struct Dims(SmallVec<[usize; 4]>);

impl Clone for Dims {
    fn clone(&self) -> Dims {
        // As bytes: the vector's own clone goes from one size to the next.
        Dims(SmallVec::from_slice(&self.0))
    }
}

impl Dims {
    /// The sizes.
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }
}

impl Deref for Dims {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl DerefMut for Dims {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.0
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: AsRef<[usize]>> From<T> for Dims {
    fn from(sizes: T) -> Dims {
        Dims(SmallVec::from_slice(sizes.as_ref()))
    }
}

impl FromIterator<usize> for Dims {
    fn from_iter<T: IntoIterator<Item = usize>>(sizes: T) -> Dims {
        Dims(sizes.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Dims {
    type Item = &'a usize;
    type IntoIter = std::slice::Iter<'a, usize>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: AsRef<[usize]> + ?Sized> PartialEq<T> for Dims {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}
