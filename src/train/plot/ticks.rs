//! Round numbers along an axis.

/// The most steps between the ends of a value axis.
const MAX_STEPS: f64 = 6.0;

/// The most epochs that are numbered.
const MAX_EPOCHS: usize = 10;

/// The places of an axis that carry a number: multiples of one step, of which the first and the
/// last are the ends of the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ticks {
    first: f64,
    last: f64,
    step: f64,
}

impl Ticks {
    /// Round numbers around all of `values`, but not beyond `limits` unless a value is. Without
    /// values, the axis goes from 0 to 1.
    pub(super) fn around(values: impl Iterator<Item = f64>, limits: (f64, f64)) -> Self {
        let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(low, high)| {
                (low.min(value), high.max(value))
            }))
        });
        let (mut low, mut high) = ends.unwrap_or((0.0, 1.0));
        // Values that are (nearly) the same get a range around them.
        let size = low.abs().max(high.abs());
        if high - low <= 1e-9 * size || size == 0.0 {
            let room = if size == 0.0 { 0.1 } else { 0.1 * size };
            // A loss that is not negative gets no negative range, and no share one beyond 100 %.
            let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
            low = (low - room).max(limits.0.max(floor).min(low));
            high = (high + room).min(limits.1.max(high));
        }
        let step = round_up((high - low) / MAX_STEPS);
        Self {
            first: (low / step).floor(),
            last: (high / step).ceil(),
            step,
        }
    }

    /// The low end of the axis.
    pub(super) fn low(&self) -> f64 {
        self.first * self.step
    }

    /// The high end of the axis.
    pub(super) fn high(&self) -> f64 {
        self.last * self.step
    }

    /// All places, from the low end to the high end.
    pub(super) fn places(&self) -> Vec<f64> {
        let count = (self.last - self.first) as usize;
        (0..=count)
            .map(|i| (self.first + i as f64) * self.step)
            .collect()
    }

    /// The number at a place, with the decimals that the step needs.
    pub(super) fn label(&self, value: f64) -> String {
        let size = self.low().abs().max(self.high().abs());
        if size >= 1e6 || self.step < 1e-4 {
            return if value == 0.0 {
                "0".to_owned()
            } else {
                format!("{value:.1e}")
            };
        }
        let decimals = (-self.step.log10()).ceil().max(0.0) as usize;
        format!("{value:.decimals$}")
    }
}

/// The next larger number of the form 1, 2 or 5 times a power of ten.
fn round_up(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let choices = [1.0, 2.0, 5.0, 10.0];
    let factor = choices
        .into_iter()
        .find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// A value with about three digits.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The epochs that are numbered: all if there are few, else every 2nd, 5th, 10th and so on.
pub(super) fn of_epochs(count: usize) -> Vec<f64> {
    if count <= MAX_EPOCHS {
        return (1..=count).map(|epoch| epoch as f64).collect();
    }
    let step = round_up(count as f64 / MAX_EPOCHS as f64);
    (1..=MAX_EPOCHS)
        .map(|i| i as f64 * step)
        .filter(|&epoch| epoch <= count as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMITS: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

    #[test]
    fn an_axis_has_round_numbers_around_its_values() {
        let check = |values: &[f64], limits, expected: &[&str]| {
            let ticks = Ticks::around(values.iter().copied(), limits);
            let labels: Vec<_> = ticks
                .places()
                .iter()
                .map(|&place| ticks.label(place))
                .collect();
            assert_eq!(labels, expected, "{values:?}");
        };
        check(
            &[0.31, 0.9],
            NO_LIMITS,
            &["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"],
        );
        check(
            &[2.3, 0.1],
            NO_LIMITS,
            &["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"],
        );
        check(&[], NO_LIMITS, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(
            &[2.5, 2.5],
            NO_LIMITS,
            &["2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8"],
        );
        check(
            &[0.0],
            NO_LIMITS,
            &["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"],
        );
        check(
            &[100.0],
            (0.0, 100.0),
            &["90", "92", "94", "96", "98", "100"],
        );
        check(
            &[1e9, 0.0],
            NO_LIMITS,
            &["0", "2.0e8", "4.0e8", "6.0e8", "8.0e8", "1.0e9"],
        );
        check(
            &[-1.0, 1.0],
            NO_LIMITS,
            &["-1.0", "-0.5", "0.0", "0.5", "1.0"],
        );
    }

    #[test]
    fn extreme_values_keep_the_number_of_places_small() {
        let sizes = [1e-300, 1e-12, 1.0, 1e12, 1e38, 1e99];
        for (&low, &high) in sizes
            .iter()
            .flat_map(|low| sizes.iter().map(move |high| (low, high)))
        {
            let ticks = Ticks::around([low, high].into_iter(), NO_LIMITS);
            assert!(
                (2..=9).contains(&ticks.places().len()),
                "{low} {high}: {ticks:?}"
            );
            assert!(
                ticks.low() < ticks.high() && ticks.low() <= low.min(high),
                "{ticks:?}"
            );
        }
    }

    #[test]
    fn epochs_are_whole_numbers() {
        assert_eq!(of_epochs(1), [1.0]);
        assert_eq!(of_epochs(3), [1.0, 2.0, 3.0]);
        assert_eq!(of_epochs(12), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        assert_eq!(of_epochs(100).last(), Some(&100.0));
        assert_eq!(of_epochs(90)[0], 10.0);
    }

    #[test]
    fn values_have_about_three_digits() {
        let texts = [0.0, 0.31249, 88.26, 1234.4, 2.5e-5, 3.2e38].map(short);
        assert_eq!(texts, ["0", "0.312", "88.3", "1234", "2.50e-5", "3.20e38"]);
    }
}
