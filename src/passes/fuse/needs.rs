//! Which groups need which, while groups grow.
//!
//! The groups are kept in an order in which they can run, and a new need moves only those that it puts the wrong way
//! round: Pearce and Kelly 2007, "A dynamic topological sort algorithm for directed acyclic graphs", section 3. A group
//! that stands before another cannot need it, which answers most questions at once, and the others are answered by
//! looking at what stands between the two. So memory grows with the needs alone.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

/// The groups at the other ends of a group's needs: few, which take no memory of their own.
type Edges = SmallVec<[usize; 4]>;

/// The needs of each group as they were noted, both ways.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    before: Vec<Edges>,
    after: Vec<Edges>,
    /// The place of each group in an order in which all can run.
    place: Vec<usize>,
}

impl Needs {
    /// One more group, which needs nothing.
    pub(super) fn push(&mut self) {
        self.before.push(Edges::new());
        self.after.push(Edges::new());
        self.place.push(self.place.len());
    }

    /// Whether `from` is `to`, or needs its results, directly or not.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        from == to || self.place[from] > self.place[to] && self.between(from, to).is_none()
    }

    /// Notes that `from` needs `to`.
    ///
    /// # Panics
    ///
    /// `to` needs `from`: the caller has not made sure of it.
    pub(super) fn link(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        if self.place[from] < self.place[to] {
            self.reorder(from, to);
        }
        self.before[from].push(to);
        self.after[to].push(from);
    }

    /// All that `from` needs and that stands after `to`, itself among them; none if `to` is needed.
    fn between(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let limit = self.place[to];
        walk(&self.before, from, to, |group| self.place[group] > limit)
    }

    /// Moves `to` and what it needs before `from` and what needs that.
    fn reorder(&mut self, from: usize, to: usize) {
        let (low, high) = (self.place[from], self.place[to]);
        let place = &self.place;
        let needed = walk(&self.before, to, from, |group| place[group] > low);
        let mut needed = needed.expect("groups form no cycle");
        let needing = walk(&self.after, from, to, |group| place[group] < high);
        let mut needing = needing.expect("groups form no cycle");
        needed.sort_unstable_by_key(|&group| place[group]);
        needing.sort_unstable_by_key(|&group| place[group]);
        needed.append(&mut needing);
        let mut places: Vec<usize> = needed.iter().map(|&group| place[group]).collect();
        places.sort_unstable();
        for (group, place) in needed.into_iter().zip(places) {
            self.place[group] = place;
        }
    }
}

/// The groups that are reached from one, itself first, through those that are within; none if `to` is.
fn walk(
    edges: &[Edges],
    from: usize,
    to: usize,
    is_within: impl Fn(usize) -> bool,
) -> Option<Vec<usize>> {
    let mut seen = FxHashSet::from_iter([from]);
    let mut found = vec![from];
    let mut next = 0;
    while let Some(&group) = found.get(next) {
        next += 1;
        for &other in &edges[group] {
            if other == to {
                return None;
            }
            if is_within(other) && seen.insert(other) {
                found.push(other);
            }
        }
    }
    Some(found)
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
        // Against the order in which the groups came.
        needs.link(3, 180);
        needs.link(180, 160);
        assert!(needs.reaches(199, 160) && needs.reaches(70, 180) && needs.reaches(3, 160));
        assert!(!needs.reaches(160, 3) && !needs.reaches(180, 199) && !needs.reaches(160, 150));
    }

    #[test]
    fn answers_are_those_of_a_search_through_all_needs() {
        use rand::{RngExt as _, SeedableRng as _};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        for _ in 0..50 {
            const GROUPS: usize = 30;
            let mut needs = Needs::default();
            let mut closed = [[false; GROUPS]; GROUPS];
            (0..GROUPS).for_each(|group| {
                needs.push();
                closed[group][group] = true;
            });
            for _ in 0..80 {
                let [from, to] = [(); 2].map(|()| random.random_range(0..GROUPS));
                if closed[to][from] {
                    continue;
                }
                needs.link(from, to);
                let needed = closed[to];
                for row in closed.iter_mut().filter(|row| row[from]) {
                    for (is_needed, also) in row.iter_mut().zip(needed) {
                        *is_needed |= also;
                    }
                }
            }
            for (from, row) in closed.iter().enumerate() {
                for (to, &is_needed) in row.iter().enumerate() {
                    assert_eq!(needs.reaches(from, to), is_needed, "{from} {to}");
                }
            }
        }
    }
}
