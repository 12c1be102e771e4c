//! The arena: one aligned allocation that all buffers of a program lie in.
#![allow(
    unsafe_code,
    reason = "owns raw memory whose parts are handed to generated code"
)]

use std::alloc::{self, Layout};
use std::ptr::NonNull;

/// A zeroed, aligned block of bytes.
#[derive(Debug)]
pub struct Arena {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is owned; access through `&mut self` or raw pointers obeys the caller's contract.
unsafe impl Send for Arena {}
// SAFETY: `&Arena` gives out only copies of the address and slices that the borrow protects.
unsafe impl Sync for Arena {}

/// Alignment of the block: a page, so that every buffer keeps the alignment its offset has.
const PAGE: usize = 4096;

impl Arena {
    /// A block of so many bytes, all zero; none if there is no such memory.
    pub fn new(bytes: usize) -> Option<Arena> {
        let layout = Layout::from_size_align(bytes.max(PAGE), PAGE).ok()?;
        // SAFETY: the layout's size is at least a page, so not zero.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        Some(Arena {
            start: NonNull::new(start)?,
            layout,
        })
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.layout.size()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The address of an offset.
    ///
    /// # Panics
    ///
    /// The offset is beyond the block.
    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(
            offset <= self.len(),
            "offset {offset} in an arena of {}",
            self.len()
        );
        // SAFETY: the offset was just checked to be within the allocation or at its end.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// `count` floats at an offset.
    ///
    /// # Panics
    ///
    /// They are not all within the block, or the offset is not aligned to a float.
    pub fn floats(&self, offset: usize, count: usize) -> &[f32] {
        self.check(offset, count);
        // SAFETY: `check` has ascertained range and alignment; any bits are a float.
        unsafe { std::slice::from_raw_parts(self.at(offset).cast::<f32>(), count) }
    }

    /// `count` floats at an offset, to be written.
    ///
    /// # Panics
    ///
    /// They are not all within the block, or the offset is not aligned to a float.
    pub fn floats_mut(&mut self, offset: usize, count: usize) -> &mut [f32] {
        self.check(offset, count);
        // SAFETY: as in `floats`, and the exclusive borrow of the arena lasts as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset).cast::<f32>(), count) }
    }

    fn check(&self, offset: usize, count: usize) {
        let end = count
            .checked_mul(size_of::<f32>())
            .and_then(|bytes| bytes.checked_add(offset));
        assert!(
            end.is_some_and(|end| end <= self.len()) && offset.is_multiple_of(align_of::<f32>()),
            "{count} floats at {offset} in an arena of {}",
            self.len()
        );
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this layout and is freed once.
        unsafe { alloc::dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_as_zeros_and_keeps_what_is_written() {
        let mut arena = Arena::new(10_000).unwrap();
        assert!(arena.floats(0, 2_500).iter().all(|&x| x == 0.0));
        arena.floats_mut(64, 3).copy_from_slice(&[1.0, 2.0, 3.0]);
        assert_eq!(arena.floats(60, 5), [0.0, 1.0, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn too_much_memory_is_refused() {
        assert!(Arena::new(usize::MAX - 10).is_none());
    }
}
