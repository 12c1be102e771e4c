//! Places buffers in one arena so that those alive at the same time do not overlap.

use smallvec::SmallVec;

/// The steps during which a buffer must keep what it holds, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetime {
    /// The step that writes it first.
    pub first: usize,
    /// The last step that touches it.
    pub last: usize,
}

/// Offsets and the arena's size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The offset of each buffer, in bytes.
    pub offsets: Vec<usize>,
    /// The bytes of all.
    pub bytes: usize,
}

/// Places buffers of given sizes. Those without a lifetime are kept for ever and come first, in
/// order. The others go largest first, each to the lowest gap between those alive with it: the
/// greedy-by-size rule of Pisarchyk and Lee ("Efficient Memory Management for Deep Neural Net
/// Inference", 2020), which stays within a few percent of the lower bound on convolutional nets.
pub fn place(buffers: &[(usize, Option<Lifetime>)]) -> Placed {
    let mut offsets = vec![0; buffers.len()];
    let mut kept = 0;
    for (offset, (size, lifetime)) in offsets.iter_mut().zip(buffers) {
        if lifetime.is_none() {
            *offset = kept;
            kept += size;
        }
    }
    let mut order: Vec<usize> = (0..buffers.len())
        .filter(|&index| buffers[index].1.is_some())
        .collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(buffers[index].0), index));
    let mut bytes = kept;
    let mut taken = Taken::new(buffers.iter().filter_map(|(_, life)| *life));
    for index in order {
        let (size, Some(life)) = buffers[index] else {
            continue;
        };
        let at = taken.lowest_gap(life, kept, size);
        taken.take(life, at, at + size);
        offsets[index] = at;
        bytes = bytes.max(at + size);
    }
    Placed { offsets, bytes }
}

/// The bytes that are taken at each step: a tree over the steps, so that no buffer is held against all others.
#[derive(Debug)]
struct Taken {
    /// The leaves, a power of two; leaf `step` is node `leaves + step`, and the parent of node `n` is `n / 2`.
    leaves: usize,
    /// For each node the bytes that are taken in all of its steps by buffers whose lives its own steps cut up no
    /// further.
    whole: Vec<Ranges>,
    /// The bytes that are taken in some of its steps by such buffers and by those of the nodes below; none for nodes that
    /// nobody asks for them, which no lifetime is made of.
    some: Vec<Option<Ranges>>,
}

impl Taken {
    /// Nothing is taken yet. The lifetimes are those of all buffers that will be.
    fn new(lives: impl Iterator<Item = Lifetime> + Clone) -> Taken {
        let steps = lives.clone().map(|life| life.last + 1).max().unwrap_or(0);
        let leaves = steps.next_power_of_two();
        let mut taken = Taken {
            leaves,
            whole: vec![Ranges::default(); 2 * leaves],
            some: vec![None; 2 * leaves],
        };
        for life in lives {
            for node in taken.nodes(life) {
                taken.some[node] = Some(Ranges::default());
            }
        }
        taken
    }

    /// The fewest nodes whose steps are those of a lifetime.
    fn nodes(&self, life: Lifetime) -> SmallVec<[usize; 32]> {
        let mut nodes = SmallVec::new();
        let (mut first, mut end) = (self.leaves + life.first, self.leaves + life.last + 1);
        while first < end {
            if first % 2 == 1 {
                nodes.push(first);
                first += 1;
            }
            if end % 2 == 1 {
                end -= 1;
                nodes.push(end);
            }
            first /= 2;
            end /= 2;
        }
        nodes
    }

    /// The nodes above those of a lifetime, each once: they are on the ways up from its first and its last step. Ways
    /// begin within the lifetime's own nodes, where they meet nodes that these speak for; those do no harm.
    fn above(&self, life: Lifetime) -> impl Iterator<Item = usize> + use<> {
        let [first, last] = [life.first, life.last].map(|step| (self.leaves + step) / 2);
        let up = |from: usize| std::iter::successors(Some(from), |node| Some(node / 2));
        // Where the ways have met they are one.
        let beside = up(first).zip(up(last)).take_while(|(a, b)| a != b);
        let common = up(first).zip(up(last)).find(|(a, b)| a == b);
        let common = up(common.map_or(0, |(node, _)| node)).take_while(|&node| node > 0);
        beside.flat_map(|(a, b)| [a, b]).chain(common)
    }

    /// The lowest place from `least` on where as many bytes are free in all steps of a lifetime.
    fn lowest_gap(&self, life: Lifetime, least: usize, size: usize) -> usize {
        // Bytes that are taken in all steps of a node above are taken in these, too.
        let own = self
            .nodes(life)
            .into_iter()
            .filter_map(|node| self.some[node].as_ref());
        let above = self.above(life).map(|node| &self.whole[node]);
        let ranges: SmallVec<[&Ranges; 64]> = own
            .chain(above)
            .filter(|ranges| !ranges.0.is_empty())
            .collect();
        // A place is free when all agree on it, one after the other.
        let (mut at, mut agreed) = (least, 0);
        for one in ranges.iter().cycle() {
            let free = one.lowest_gap(at, size);
            agreed = if free == at { agreed + 1 } else { 1 };
            at = free;
            if agreed == ranges.len() {
                break;
            }
        }
        at
    }

    fn take(&mut self, life: Lifetime, start: usize, end: usize) {
        for node in self.nodes(life) {
            self.whole[node].add(start, end);
            self.note(node, start, end);
        }
        for node in self.above(life) {
            self.note(node, start, end);
        }
    }

    /// Notes what is taken in some steps of a node, if anybody will ask for it.
    fn note(&mut self, node: usize, start: usize, end: usize) {
        if let Some(ranges) = &mut self.some[node] {
            ranges.add(start, end);
        }
    }
}

/// Ranges of bytes in ascending order that neither overlap nor touch.
#[derive(Clone, Debug, Default)]
struct Ranges(Vec<(usize, usize)>);

impl Ranges {
    fn add(&mut self, start: usize, end: usize) {
        let first = self.0.partition_point(|&(_, other)| other < start);
        let last = self.0.partition_point(|&(other, _)| other <= end);
        if first == last {
            self.0.insert(first, (start, end));
            return;
        }
        let (from, to) = (self.0[first].0, self.0[last - 1].1);
        self.0[first] = (start.min(from), end.max(to));
        self.0.drain(first + 1..last);
    }

    /// The lowest place from `least` on with so many free bytes.
    fn lowest_gap(&self, least: usize, size: usize) -> usize {
        let first = self.0.partition_point(|&(_, end)| end <= least);
        let mut at = least;
        for &(start, end) in &self.0[first..] {
            if start >= at + size {
                break;
            }
            at = end;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(first: usize, last: usize) -> Option<Lifetime> {
        Some(Lifetime { first, last })
    }

    #[test]
    fn kept_buffers_come_first_and_dead_ones_are_reused() {
        let placed = place(&[
            (64, life(0, 1)),
            (128, None),
            (64, life(2, 3)),
            (256, life(1, 2)),
            (64, None),
        ]);
        assert_eq!(placed.offsets, [448, 0, 448, 192, 128]);
        assert_eq!(placed.bytes, 512);
    }

    /// The rule as it reads: each buffer is held against all that have a place.
    fn placed_one_by_one(buffers: &[(usize, Option<Lifetime>)]) -> Vec<usize> {
        let kept: usize = buffers
            .iter()
            .filter(|(_, life)| life.is_none())
            .map(|(size, _)| size)
            .sum();
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&index| (std::cmp::Reverse(buffers[index].0), index));
        let mut offsets = vec![0; buffers.len()];
        let mut placed: Vec<(usize, usize, Lifetime)> = Vec::new();
        for index in order {
            let (size, Some(life)) = buffers[index] else {
                continue;
            };
            let together = |&&(.., other): &&(usize, usize, Lifetime)| {
                life.first <= other.last && other.first <= life.last
            };
            let at = placed
                .iter()
                .filter(together)
                .map(|&(_, end, _)| end)
                .chain([kept]);
            let is_free = |&at: &usize| {
                let mut others = placed.iter().filter(together);
                others.all(|&(start, end, _)| start >= at + size || end <= at)
            };
            let at = at
                .filter(is_free)
                .min()
                .expect("behind all others is a place");
            offsets[index] = at;
            placed.push((at, at + size, life));
        }
        offsets
    }

    #[test]
    fn buffers_alive_together_never_overlap() {
        let mut state = 7_u64;
        let mut next = |bound: u64| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) % bound
        };
        for _ in 0..50 {
            let buffers: Vec<(usize, Option<Lifetime>)> = (0..40)
                .map(|_| {
                    let first = next(30) as usize;
                    let last = first + next(8) as usize;
                    (64 * (1 + next(20) as usize), life(first, last))
                })
                .collect();
            let placed = place(&buffers);
            assert_eq!(placed.offsets, placed_one_by_one(&buffers));
            for (a, &(size_a, life_a)) in buffers.iter().enumerate() {
                for (b, &(size_b, life_b)) in buffers.iter().enumerate().skip(a + 1) {
                    let (Some(x), Some(y)) = (life_a, life_b) else {
                        continue;
                    };
                    let together = x.first <= y.last && y.first <= x.last;
                    let apart = placed.offsets[a] + size_a <= placed.offsets[b]
                        || placed.offsets[b] + size_b <= placed.offsets[a];
                    assert!(apart || !together, "{a} and {b}");
                }
            }
        }
    }
}
