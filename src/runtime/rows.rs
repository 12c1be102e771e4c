//! Work on rows of a buffer, each by itself.

use rayon::prelude::*;

use super::float::FlushToZero;

/// Calls `work` with the index of each row of `rows` and the row of the same index in `others`, on the
/// threads of the current pool if this is one of them. The rows depend on nothing but their index, so
/// any number of threads gives the same bits. Nothing is allocated.
///
/// # Panics
///
/// A row has no elements.
pub fn for_each(
    (rows, len): (&mut [f32], usize),
    (others, other_len): (&mut [f32], usize),
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    if rayon::current_thread_index().is_none() || rayon::current_num_threads() == 1 {
        let _mode = FlushToZero::set();
        let pairs = rows
            .chunks_exact_mut(len)
            .zip(others.chunks_exact_mut(other_len));
        for (index, (row, other)) in pairs.enumerate() {
            work(index, row, other);
        }
        return;
    }
    rows.par_chunks_exact_mut(len)
        .zip(others.par_chunks_exact_mut(other_len))
        .enumerate()
        .for_each(|(index, (row, other))| work(index, row, other));
}
