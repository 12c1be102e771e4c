//! Shuffles that mean the same on every machine and with every version.
//!
//! The generator is ChaCha with eight rounds, whose stream is specified, and the key is spelled out
//! here. The shuffle itself is spelled out too, because libraries improve theirs now and then, and
//! a seed would get another meaning.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a shuffle is for: shuffles with one seed and different purposes are independent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The order of the samples in an epoch.
    Epoch(u64),
    /// Drawing the samples of a validation set.
    HoldOut,
    /// A random change of a sample.
    Augment {
        /// Which of the changes.
        change: u8,
        /// The epoch.
        epoch: u64,
        /// The sample.
        sample: u32,
    },
}

/// The generator of a seed for one purpose.
pub(super) fn generator(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let (word, number, other) = match purpose {
        Purpose::Epoch(epoch) => (*b"shuffle ", epoch, 0),
        Purpose::HoldOut => (*b"hold out", 0, 0),
        Purpose::Augment {
            change,
            epoch,
            sample,
        } => {
            let [a, b, c, d, e, f, g, _] = *b"augment ";
            ([a, b, c, d, e, f, g, change], epoch, u64::from(sample))
        }
    };
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&word);
    key[16..24].copy_from_slice(&number.to_le_bytes());
    key[24..].copy_from_slice(&other.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Shuffles as Fisher and Yates do: from the end, every place is swapped with one at or before it.
///
/// A number below `n` is the upper half of a 32-bit draw times `n`; it favours some numbers by less
/// than `n` in 2^32, which no training can notice.
pub(super) fn shuffle(order: &mut [u32], seed: u64, purpose: Purpose) {
    let mut rng = generator(seed, purpose);
    for last in (1..order.len()).rev() {
        let other = (u64::from(rng.next_u32()) * (last as u64 + 1)) >> 32;
        order.swap(last, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(n: u32, seed: u64, purpose: Purpose) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        shuffle(&mut order, seed, purpose);
        order
    }

    #[test]
    fn a_seed_keeps_its_meaning() {
        // These orders come from a ChaCha8 of their own, written from its specification in Python.
        // They are promised: a change of them changes what every seed means.
        assert_eq!(
            shuffled(10, 1, Purpose::Epoch(0)),
            [7, 4, 8, 6, 0, 5, 3, 1, 2, 9]
        );
        assert_eq!(
            shuffled(10, 1, Purpose::Epoch(1)),
            [4, 7, 0, 9, 8, 2, 6, 5, 1, 3]
        );
        assert_eq!(
            shuffled(10, 2, Purpose::Epoch(0)),
            [7, 5, 9, 3, 4, 6, 0, 2, 1, 8]
        );
        assert_eq!(
            shuffled(10, 1, Purpose::HoldOut),
            [0, 7, 8, 2, 6, 1, 5, 4, 3, 9]
        );
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut counts = [[0; 4]; 4];
        for epoch in 0..4000 {
            for (place, value) in shuffled(4, 7, Purpose::Epoch(epoch))
                .into_iter()
                .enumerate()
            {
                counts[place][value as usize] += 1;
            }
        }
        // 1000 are expected, with a standard deviation of 27.
        assert!(
            counts
                .iter()
                .flatten()
                .all(|count| (865..=1135).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn short_orders_are_fine() {
        assert_eq!(shuffled(0, 1, Purpose::Epoch(0)), [0; 0]);
        assert_eq!(shuffled(1, 1, Purpose::Epoch(0)), [0]);
    }
}
