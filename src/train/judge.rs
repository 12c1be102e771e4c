//! What the scores of epochs decide: when the learning rate falls, when a training ends.

use serde::{Deserialize, Serialize};

use crate::sema::{EarlyStop, RateCurve};

/// The learning rate of [`RateCurve::Plateau`] and what it has seen.
///
/// The rule is that of PyTorch's `ReduceLROnPlateau` in its mode `min`: a loss below
/// `(1 - threshold) · best` is the new best; after more than `patience` epochs in a row without one,
/// the rate becomes `max(rate · factor, min)`, and the count begins anew. The loss is that of the
/// samples that were held out, or where there are none, of the training.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plateau {
    /// The learning rate now.
    pub rate: f64,
    /// The best loss so far.
    pub best: Option<f64>,
    /// Epochs in a row without a better one.
    pub stale: usize,
}

impl Plateau {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(rate: f64) -> Plateau {
        Plateau {
            rate,
            best: None,
            stale: 0,
        }
    }

    /// Takes the loss of an epoch in; other curves do not mind it.
    pub fn judge(&mut self, curve: RateCurve, loss: f64) {
        let RateCurve::Plateau {
            factor,
            patience,
            min,
            threshold,
        } = curve
        else {
            return;
        };
        // A loss that is no number is never better.
        if self.best.is_none_or(|best| loss < best * (1.0 - threshold)) && !loss.is_nan() {
            self.best = Some(loss);
            self.stale = 0;
            return;
        }
        self.stale += 1;
        if self.stale > patience {
            // A floor above the rate does not raise it.
            self.rate = (self.rate * factor).max(min.min(self.rate));
            self.stale = 0;
        }
    }
}

/// Which epoch was the best so far.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, from 1, and its value.
    pub epoch: Option<(usize, f64)>,
    /// Epochs since then.
    pub stale: usize,
}

impl Best {
    /// Takes the value of an epoch in; whether it is the best so far, by more than `min_delta`.
    pub fn judge(&mut self, rule: &EarlyStop, epoch: usize, value: f64) -> bool {
        let better = self.epoch.is_none_or(|(_, best)| {
            let gain = if rule.metric.rises() {
                value - best
            } else {
                best - value
            };
            gain > rule.min_delta
        });
        if better && !value.is_nan() {
            self.epoch = Some((epoch, value));
            self.stale = 0;
            return true;
        }
        self.stale += 1;
        false
    }

    /// Whether patience is at its end.
    #[must_use]
    pub fn is_over(&self, rule: &EarlyStop) -> bool {
        self.stale >= rule.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::Metric;

    #[test]
    fn a_plateau_follows_pytorch() {
        // ReduceLROnPlateau(patience=1, factor=0.1, threshold=0.1, min_lr=0.004) of PyTorch on these losses.
        let curve = RateCurve::Plateau {
            factor: 0.1,
            patience: 1,
            min: 0.004,
            threshold: 0.1,
        };
        let mut plateau = Plateau::new(0.5);
        let losses = [1.0, 0.95, 0.92, 0.8, 0.8, f64::NAN, 0.8, 0.8, 0.71];
        let rates = [0.5, 0.5, 0.05, 0.05, 0.05, 0.005, 0.005, 0.004, 0.004];
        for (loss, rate) in losses.into_iter().zip(rates) {
            plateau.judge(curve, loss);
            assert!((plateau.rate - rate).abs() < 1e-12, "{loss}: {plateau:?}");
        }
        assert_eq!(plateau.best, Some(0.71));
        let before = plateau;
        plateau.judge(RateCurve::Constant, 0.1);
        assert_eq!(plateau, before);
    }

    #[test]
    fn the_best_epoch_is_better_by_enough() {
        let rule = |metric| EarlyStop {
            patience: 2,
            min_delta: 0.1,
            metric,
        };
        let falling = rule(Metric::ValidationLoss);
        let mut best = Best::default();
        let better: Vec<bool> = [1.0, 0.95, 0.5, f64::NAN, 0.45]
            .iter()
            .enumerate()
            .map(|(at, &loss)| best.judge(&falling, at + 1, loss))
            .collect();
        assert_eq!(better, [true, false, true, false, false]);
        assert_eq!(best.epoch, Some((3, 0.5)));
        assert!(best.is_over(&falling));
        let rising = rule(Metric::TrainAccuracy);
        let mut best = Best::default();
        assert!(best.judge(&rising, 1, 0.2) && !best.judge(&rising, 2, 0.3));
        assert!(!best.is_over(&rising));
        assert!(best.judge(&rising, 3, 0.31));
    }
}
