//! The arena: one aligned allocation that all buffers of a program lie in.
#![allow(
    unsafe_code,
    reason = "owns raw memory whose parts are handed to generated code"
)]

use memmap2::{MmapOptions, MmapRaw};

/// A page as the system hands them out: every buffer keeps the alignment its offset has.
const PAGE: usize = 4096;
/// A huge page of the common processors. Filters and maps are walked in strides of kilobytes, often a page a step;
/// with small pages, finding them costs as much as the arithmetic.
const HUGE_PAGE: usize = 2 << 20;

/// A zeroed, aligned block of bytes.
#[derive(Debug)]
pub struct Arena {
    map: MmapRaw,
    /// Where the block starts in the mapping, and its size.
    start: usize,
    bytes: usize,
}

impl Arena {
    /// A block of so many bytes, all zero; none if there is no such memory.
    pub fn new(bytes: usize) -> Option<Arena> {
        let bytes = bytes.max(PAGE);
        // A smaller block would not fill a huge page.
        let is_large = bytes >= HUGE_PAGE;
        let spare = if is_large { HUGE_PAGE } else { 0 };
        let length = bytes.checked_add(spare)?;
        let map = MmapRaw::from(MmapOptions::new().len(length).map_anon().ok()?);
        #[cfg(target_os = "linux")]
        if is_large {
            // A wish: where the system has no huge pages, small ones serve.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        let address = map.as_ptr().addr();
        let start = match is_large {
            true => address.next_multiple_of(HUGE_PAGE) - address,
            false => 0,
        };
        Some(Arena { map, start, bytes })
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.bytes
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
        unsafe { self.map.as_mut_ptr().add(self.start + offset) }
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
    fn a_large_block_starts_at_a_huge_page() {
        let bytes = 3 * HUGE_PAGE + PAGE;
        let mut arena = Arena::new(bytes).unwrap();
        assert!(arena.at(0).addr().is_multiple_of(HUGE_PAGE));
        let count = bytes / size_of::<f32>();
        arena.floats_mut(0, count).fill(1.0);
        assert_eq!(arena.floats(bytes - 4, 1), [1.0]);
    }

    #[test]
    fn too_much_memory_is_refused() {
        assert!(Arena::new(usize::MAX - 10).is_none());
    }
}
