//! Means over an epoch whose last batch is short.

/// A mean of per-batch means in which every *sample* counts the same, or by its class's weight.
///
/// The plain mean of batch means would give the samples of a short last batch more weight than the
/// others, and the loss of an epoch would depend on the batch size.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WeightedMean {
    sum: f64,
    weight: f64,
}

impl WeightedMean {
    /// Takes in the mean over one batch of that weight: its number of samples where all count the
    /// same.
    pub fn add(&mut self, mean: f64, weight: f64) {
        self.sum += mean * weight;
        self.weight += weight;
    }

    /// The mean over all samples, or `None` before the first that counts.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_short_batch_count_as_much_as_others() {
        let mut mean = WeightedMean::default();
        assert_eq!(mean.value(), None);
        mean.add(1.2, 5.0);
        mean.add(1.3, 3.0);
        let value = mean.value().unwrap();
        assert!(
            (value - 1.2375).abs() < 1e-12,
            "{value} (the mean of the means is 1.25)"
        );
    }
}
