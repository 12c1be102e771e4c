//! What differs from step to step: the learning rate, Adam's corrections, the seed of dropout.

use crate::ir::StepScalar;
use crate::sema::{OptimizerConfig, RateCurve, Schedule, UpdateRule};

/// The numbers of the steps of a training.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// The optimizer, with its learning rate before the schedule.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Steps of an epoch.
    pub per_epoch: usize,
    /// Epochs of the whole training.
    pub epochs: usize,
    /// The seed of the training.
    pub seed: u64,
    /// What [`RateCurve::Plateau`] has made of the learning rate so far.
    pub plateau: f64,
}

impl Rates {
    /// The learning rate of a step, counted from 0.
    ///
    /// With `e` the step divided by the steps of an epoch, `lr` that of the optimizer, `E` the epochs of
    /// the training and `w` those of the warm-up:
    ///
    /// ```text
    /// constant      lr
    /// step          lr · factor^⌊e / every⌋                                   (changes with an epoch)
    /// exponential   lr · factor^⌊e⌋                                           (changes with an epoch)
    /// cosine        lr · (last + (1 - last) · (1 + cos(π t)) / 2)             (changes with every step)
    /// polynomial    lr · (last + (1 - last) · (1 - t)^power)                  (changes with every step)
    ///               t = (e - w) / (E - w), from 0 to 1
    /// plateau       what the losses so far have made of it: see [`Plateau`](super::judge::Plateau)
    /// ```
    ///
    /// A warm-up multiplies that with (step + 1) / (w · steps of an epoch) while this is below 1: it rises
    /// in a straight line and reaches the full rate with its last step (Goyal et al. 2017, section 2.2).
    /// The cosine is that of Loshchilov and Hutter 2017, without restarts.
    #[must_use]
    pub fn learning_rate(&self, step: usize) -> f64 {
        let base = self.optimizer.lr();
        let per_epoch = self.per_epoch.max(1);
        let Schedule { warmup, curve } = self.schedule;
        let falling = || {
            let epoch = step as f64 / per_epoch as f64;
            let all = (self.epochs as f64 - warmup).max(f64::EPSILON);
            ((epoch - warmup) / all).clamp(0.0, 1.0)
        };
        let between = |last: f64, part: f64| base * (last + (1.0 - last) * part);
        let rate = match curve {
            RateCurve::Constant => base,
            RateCurve::Step { every, factor } => {
                base * factor.powf((step / (per_epoch * every.max(1))) as f64)
            }
            RateCurve::Exponential { factor } => base * factor.powf((step / per_epoch) as f64),
            RateCurve::Cosine { last } => {
                between(last, 0.5 * (1.0 + (std::f64::consts::PI * falling()).cos()))
            }
            RateCurve::Polynomial { power, last } => between(last, (1.0 - falling()).powf(power)),
            RateCurve::Plateau { .. } => self.plateau,
        };
        let rising = warmup * per_epoch as f64;
        if (step as f64) < rising {
            rate * ((step + 1) as f64 / rising).min(1.0)
        } else {
            rate
        }
    }

    /// The scalars of an update, counted from 0.
    #[must_use]
    pub fn scalars(&self, step: usize) -> [(StepScalar, f64); 4] {
        let mut rate = self.learning_rate(step);
        let (mut beta1, mut beta2, mut velocity_share) = (0.0, 0.0, 1.0);
        match self.optimizer.rule {
            UpdateRule::Adam {
                beta1: first,
                beta2: second,
                ..
            } => (beta1, beta2) = (first, second),
            // The velocity starts as the whole first gradient.
            UpdateRule::Sgd { dampening, .. } if step > 0 => velocity_share = 1.0 - dampening,
            UpdateRule::Adagrad { lr_decay, .. } => rate /= 1.0 + step as f64 * lr_decay,
            UpdateRule::Sgd { .. } | UpdateRule::RmsProp { .. } => {}
        }
        let correction = |beta: f64| 1.0 / (1.0 - beta.powf((step + 1) as f64));
        [
            (StepScalar::LearningRate, rate),
            (StepScalar::FirstMomentCorrection, correction(beta1)),
            (StepScalar::SecondMomentCorrection, correction(beta2)),
            (StepScalar::VelocityShare, velocity_share),
        ]
    }

    /// The seed of a step's dropout masks: of 24 bits, which an f32 holds exactly.
    #[must_use]
    pub fn dropout_seed(&self, step: usize) -> u32 {
        dropout_seed(self.seed, step)
    }
}

/// The upper 24 bits of the step's number in SplitMix64 (Steele et al. 2014), started at the seed.
#[must_use]
pub fn dropout_seed(seed: u64, step: usize) -> u32 {
    let mut z = seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::WeightDecay;

    fn rates(warmup: f64, curve: RateCurve) -> Rates {
        let optimizer = OptimizerConfig {
            lr: 0.1,
            rule: UpdateRule::Adam {
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                amsgrad: false,
            },
            weight_decay: WeightDecay::NONE,
        };
        Rates {
            optimizer,
            schedule: Schedule { warmup, curve },
            per_epoch: 10,
            epochs: 5,
            seed: 1,
            plateau: 0.04,
        }
    }

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-12, "{found}, not {wanted}");
    }

    #[test]
    fn a_cosine_warms_up_and_ends_at_its_last_part() {
        let rates = rates(1.0, RateCurve::Cosine { last: 0.1 });
        close(rates.learning_rate(0), 0.01);
        close(rates.learning_rate(9), 0.1);
        close(rates.learning_rate(10), 0.1);
        close(rates.learning_rate(30), 0.1 * 0.55);
        close(rates.learning_rate(50), 0.01);
        close(rates.learning_rate(1000), 0.01);
    }

    #[test]
    fn a_warm_up_of_part_of_a_step_changes_nothing() {
        let rates = rates(0.01, RateCurve::Cosine { last: 0.0 });
        close(rates.learning_rate(0), 0.1);
    }

    #[test]
    fn curves_that_change_with_the_epoch() {
        close(rates(0.0, RateCurve::Constant).learning_rate(49), 0.1);
        let step = RateCurve::Step {
            every: 2,
            factor: 0.5,
        };
        close(rates(0.0, step).learning_rate(19), 0.1);
        close(rates(0.0, step).learning_rate(20), 0.05);
        close(rates(0.0, step).learning_rate(40), 0.025);
        // A warm-up goes over a step: the third part of 30 steps of a rate that has been halved once.
        close(rates(3.0, step).learning_rate(20), 0.05 * 0.7);
        let exponential = RateCurve::Exponential { factor: 0.9 };
        close(rates(0.0, exponential).learning_rate(29), 0.081);
        let plateau = RateCurve::Plateau {
            factor: 0.1,
            patience: 1,
            min: 0.0,
            threshold: 0.0,
        };
        close(rates(0.0, plateau).learning_rate(29), 0.04);
        close(rates(1.0, plateau).learning_rate(4), 0.02);
    }

    #[test]
    fn a_polynomial_falls_after_its_warm_up() {
        let line = RateCurve::Polynomial {
            power: 1.0,
            last: 0.2,
        };
        close(rates(1.0, line).learning_rate(4), 0.05);
        close(rates(1.0, line).learning_rate(10), 0.1);
        close(rates(1.0, line).learning_rate(30), 0.06);
        close(rates(1.0, line).learning_rate(50), 0.02);
        let square = RateCurve::Polynomial {
            power: 2.0,
            last: 0.0,
        };
        close(rates(0.0, square).learning_rate(25), 0.025);
        // A warm-up that never ends leaves nothing to fall, and no division by zero.
        close(rates(5.0, square).learning_rate(49), 0.1);
    }

    #[test]
    fn corrections_undo_the_start_at_zero() {
        let [_, first, second, _] = rates(0.0, RateCurve::Constant).scalars(0);
        close(first.1, 10.0);
        close(second.1, 100.0);
        let [_, first, _, _] = rates(0.0, RateCurve::Constant).scalars(1);
        close(first.1, 1.0 / 0.19);
    }

    #[test]
    fn some_rules_change_their_rate() {
        let with = |rule| Rates {
            optimizer: OptimizerConfig {
                rule,
                ..rates(0.0, RateCurve::Constant).optimizer
            },
            ..rates(0.0, RateCurve::Constant)
        };
        let adagrad = with(UpdateRule::Adagrad {
            lr_decay: 0.5,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
        });
        close(adagrad.scalars(0)[0].1, 0.1);
        close(adagrad.scalars(2)[0].1, 0.05);
        let damped = with(UpdateRule::Sgd {
            momentum: 0.9,
            dampening: 0.3,
            nesterov: false,
        });
        close(damped.scalars(0)[3].1, 1.0);
        close(damped.scalars(1)[3].1, 0.7);
    }

    #[test]
    fn dropout_seeds_are_small_and_differ() {
        let seeds: std::collections::BTreeSet<u32> =
            (0..1000).map(|step| dropout_seed(1, step)).collect();
        assert!(seeds.iter().all(|&seed| seed < 1 << 24));
        assert!(seeds.len() > 990, "{}", seeds.len());
        assert_ne!(dropout_seed(1, 0), dropout_seed(2, 0));
    }
}
