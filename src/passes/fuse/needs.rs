//! Which groups need which, kept closed under "needs what that needs" while groups grow.

/// For each group those that it needs, directly or not, a bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    rows: Vec<Vec<u64>>,
}

impl Needs {
    /// One more group, which needs nothing.
    pub(super) fn push(&mut self) {
        self.rows.push(Vec::new());
    }

    /// Whether `from` is `to`, or needs its results, directly or not.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        from == to || has(&self.rows[from], to)
    }

    /// Notes that `from` needs `to`. The caller has made sure that `to` does not need `from`.
    pub(super) fn link(&mut self, from: usize, to: usize) {
        if self.reaches(from, to) {
            return;
        }
        let mut new = self.rows[to].clone();
        new.resize(new.len().max(to / 64 + 1), 0);
        new[to / 64] |= 1 << (to % 64);
        for (group, row) in self.rows.iter_mut().enumerate() {
            if group == from || has(row, from) {
                row.resize(row.len().max(new.len()), 0);
                for (word, new) in row.iter_mut().zip(&new) {
                    *word |= new;
                }
            }
        }
    }
}

/// Whether a bit is set.
fn has(row: &[u64], bit: usize) -> bool {
    row.get(bit / 64)
        .is_some_and(|word| word >> (bit % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_needed_by_those_behind_too() {
        let mut needs = Needs::default();
        (0..200).for_each(|_| needs.push());
        needs.link(150, 70);
        needs.link(199, 150);
        // The later half of the chain first: 70 gets its need when others have theirs of it already.
        needs.link(70, 3);
        assert!(needs.reaches(199, 3) && needs.reaches(150, 3) && needs.reaches(199, 70));
        assert!(!needs.reaches(3, 199) && !needs.reaches(70, 150) && needs.reaches(5, 5));
    }
}
