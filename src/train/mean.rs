//! Means over an epoch whose last batch is short.

/// A mean of per-batch means in which every *sample* counts the same.
///
/// The plain mean of batch means would give the samples of a short last batch more weight than the
/// others, and the loss of an epoch would depend on the batch size.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WeightedMean {
    sum: f64,
    count: u64,
}

impl WeightedMean {
    /// Takes in the mean over one batch of `count` samples.
    pub fn add(&mut self, mean: f64, count: usize) {
        self.sum += mean * count as f64;
        self.count += count as u64;
    }

    /// The mean over all samples, or `None` before the first.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_short_batch_count_as_much_as_others() {
        let mut mean = WeightedMean::default();
        assert_eq!(mean.value(), None);
        mean.add(1.2, 5);
        mean.add(1.3, 3);
        let value = mean.value().unwrap();
        assert!(
            (value - 1.2375).abs() < 1e-12,
            "{value} (the mean of the means is 1.25)"
        );
    }
}
