//! Random changes of the samples that a net learns from.
//!
//! They are made on the numbers as they are stored, bytes divided by 255, before mean and standard
//! deviation are applied, one after the other in the order of the `train` section, and anew in every
//! epoch; samples to judge by are never changed. A sample is `[C, H, W]`, x its numbers:
//!
//! ```text
//! flip(p), flip_vertical(p)   left and right, top and bottom change places with probability p
//! crop(pad)                   x(c, y + dy, x + dx), dy and dx whole and uniform in -pad..=pad: a random
//!                             window of a picture with so much `fill` around it
//! rotate(degrees)             turned about the centre by an angle uniform in ±degrees; bilinear, `fill` outside
//! cutout(size, p)             with probability p, a square about a uniform pixel becomes `fill`, as far as it
//!                             lies inside (DeVries and Taylor 2017)
//! brightness(amount)          f x,                f uniform in 1 ± amount
//! contrast(amount)            m + f (x - m),      f as above, m the mean of the sample
//! noise(std)                  x + n,              n normal with that deviation, each by itself
//! ```
//!
//! The last three keep pictures in 0..1. What is drawn follows from the seed, the epoch, the sample and the
//! change alone: not from batches, threads or other changes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::shuffle::{Purpose, generator};
use super::{Column, DataError, Values};
use crate::sema::Augment;

/// The changes of a training, held against its samples.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    list: Vec<Augment>,
    seed: u64,
    dims: [usize; 3],
    /// Whether numbers stay in 0..1.
    bounded: bool,
}

impl Changes {
    /// Fails where a change makes no sense for samples of this shape.
    pub(super) fn new(list: &[Augment], seed: u64, column: &Column) -> Result<Changes, DataError> {
        let dims = match *column.shape.as_slice() {
            [c, h, w] => Some([c, h, w]),
            _ => None,
        };
        for change in list {
            check(change, dims).map_err(|problem| DataError::Augment {
                problem,
                shape: column.shape.clone(),
            })?;
        }
        Ok(Changes {
            list: list.to_vec(),
            seed,
            // What needs no places, noise and the like, sees one row.
            dims: dims.unwrap_or([1, 1, column.elements()]),
            bounded: matches!(column.values, Values::Bytes(_)),
        })
    }

    /// Changes a sample in place; `other` is room for another one.
    pub(super) fn apply(&self, image: &mut [f32], other: &mut [f32], epoch: u64, sample: u32) {
        for (index, change) in self.list.iter().enumerate() {
            let purpose = Purpose::Augment {
                change: index as u8,
                epoch,
                sample,
            };
            let mut draw = Draw(generator(self.seed, purpose));
            self.change(*change, image, other, &mut draw);
        }
    }

    fn change(&self, change: Augment, image: &mut [f32], other: &mut [f32], draw: &mut Draw) {
        let [_, h, w] = self.dims;
        match change {
            Augment::Flip { p } => {
                if draw.chance(p) {
                    image.chunks_exact_mut(w).for_each(<[f32]>::reverse);
                }
            }
            Augment::FlipVertical { p } => {
                if draw.chance(p) {
                    for plane in image.chunks_exact_mut(h * w) {
                        for y in 0..h / 2 {
                            let (top, bottom) = plane.split_at_mut((h - 1 - y) * w);
                            top[y * w..(y + 1) * w].swap_with_slice(&mut bottom[..w]);
                        }
                    }
                }
            }
            Augment::Crop { pad, fill } => {
                let (dy, dx) = (draw.shift(pad), draw.shift(pad));
                self.resample(image, other, |plane, y, x| {
                    at(plane, [h, w], y as isize + dy, x as isize + dx, fill as f32)
                });
            }
            Augment::Rotate { degrees, fill } => {
                let angle = ((2.0 * draw.unit() - 1.0) * degrees).to_radians();
                let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
                let centre = [h, w].map(|size| (size as f32 - 1.0) / 2.0);
                self.resample(image, other, |plane, y, x| {
                    let (y, x) = (y as f32 - centre[0], x as f32 - centre[1]);
                    let from = [cos * y - sin * x + centre[0], sin * y + cos * x + centre[1]];
                    bilinear(plane, [h, w], from, fill as f32)
                });
            }
            Augment::Cutout { size, p, fill } => {
                let is_wanted = draw.chance(p);
                let (y, x) = (draw.below(h), draw.below(w));
                if is_wanted {
                    let range = |centre: usize, end: usize| {
                        let from = centre.saturating_sub(size / 2);
                        from..(centre + size - size / 2).min(end)
                    };
                    let columns = range(x, w);
                    for plane in image.chunks_exact_mut(h * w) {
                        for row in range(y, h) {
                            plane[row * w..][columns.clone()].fill(fill as f32);
                        }
                    }
                }
            }
            Augment::Brightness { amount } => {
                let factor = draw.factor(amount);
                self.each(image, |x| factor * x);
            }
            Augment::Contrast { amount } => {
                let factor = draw.factor(amount);
                let sum: f64 = image.iter().copied().map(f64::from).sum();
                let mean = (sum / image.len() as f64) as f32;
                self.each(image, |x| mean + factor * (x - mean));
            }
            Augment::Noise { std } => self.each(image, |x| x + (draw.normal() * std) as f32),
        }
    }

    /// Makes every pixel anew from its plane.
    fn resample(
        &self,
        image: &mut [f32],
        other: &mut [f32],
        pixel: impl Fn(&[f32], usize, usize) -> f32,
    ) {
        let [_, h, w] = self.dims;
        let planes = image.chunks_exact(h * w);
        for (to, from) in other.chunks_exact_mut(h * w).zip(planes) {
            for (index, to) in to.iter_mut().enumerate() {
                *to = pixel(from, index / w, index % w);
            }
        }
        image.copy_from_slice(other);
    }

    fn each(&self, image: &mut [f32], mut changed: impl FnMut(f32) -> f32) {
        for x in image {
            *x = changed(*x);
            if self.bounded {
                *x = x.clamp(0.0, 1.0);
            }
        }
    }
}

/// What is wrong with a change for samples of these sizes.
fn check(change: &Augment, dims: Option<[usize; 3]>) -> Result<(), String> {
    let name = match change {
        Augment::Brightness { .. } | Augment::Contrast { .. } | Augment::Noise { .. } => {
            return Ok(());
        }
        Augment::Flip { .. } => "flip",
        Augment::FlipVertical { .. } => "flip_vertical",
        Augment::Crop { .. } => "crop",
        Augment::Rotate { .. } => "rotate",
        Augment::Cutout { .. } => "cutout",
    };
    let Some([_, h, w]) = dims else {
        return Err(format!(
            "`{name}` needs pictures of [channels, height, width]"
        ));
    };
    match *change {
        Augment::Crop { pad, .. } if pad >= h.min(w) => Err(format!(
            "`crop(pad = {pad})` could move a whole picture out: pad is at most {}",
            h.min(w) - 1
        )),
        Augment::Cutout { size, .. } if size > h.max(w) => Err(format!(
            "`cutout(size = {size})` is larger than a picture: size is at most {}",
            h.max(w)
        )),
        _ => Ok(()),
    }
}

/// A pixel, or what stands for those outside.
fn at(plane: &[f32], [h, w]: [usize; 2], y: isize, x: isize, outside: f32) -> f32 {
    match (usize::try_from(y), usize::try_from(x)) {
        (Ok(y), Ok(x)) if y < h && x < w => plane[y * w + x],
        _ => outside,
    }
}

fn bilinear(plane: &[f32], sizes: [usize; 2], [y, x]: [f32; 2], outside: f32) -> f32 {
    let (top, left) = (y.floor(), x.floor());
    let (down, right) = (y - top, x - left);
    let of =
        |dy: isize, dx: isize| at(plane, sizes, top as isize + dy, left as isize + dx, outside);
    let upper = of(0, 0) * (1.0 - right) + of(0, 1) * right;
    let lower = of(1, 0) * (1.0 - right) + of(1, 1) * right;
    upper * (1.0 - down) + lower * down
}

/// Draws of one change of one sample.
struct Draw(ChaCha8Rng);

impl Draw {
    /// From 0 up to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A whole number below another one.
    fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    fn shift(&mut self, most: usize) -> isize {
        self.below(2 * most + 1) as isize - most as isize
    }

    fn factor(&mut self, amount: f64) -> f32 {
        (1.0 + (2.0 * self.unit() - 1.0) * amount) as f32
    }

    /// A standard normal number by the method of Box and Muller (1958).
    fn normal(&mut self) -> f64 {
        // One minus a number below one is above zero, so its logarithm is finite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(shape: &[usize], values: Values) -> Column {
        Column {
            name: String::new(),
            shape: shape.to_vec(),
            values,
        }
    }

    fn changed(change: Augment, epoch: u64) -> Vec<f32> {
        // Two channels of 3 x 4 pixels that count up from 0.
        let two = column(&[2, 3, 4], Values::Floats(Vec::new()));
        let changes = Changes::new(&[change], 1, &two).unwrap();
        let mut image: Vec<f32> = (0..24).map(|x| x as f32).collect();
        changes.apply(&mut image, &mut [0.0; 24], epoch, 0);
        image
    }

    #[test]
    fn flips() {
        let flipped = changed(Augment::Flip { p: 1.0 }, 0);
        assert_eq!(flipped[..5], [3.0, 2.0, 1.0, 0.0, 7.0]);
        assert_eq!(flipped[12..16], [15.0, 14.0, 13.0, 12.0]);
        let flipped = changed(Augment::FlipVertical { p: 1.0 }, 0);
        assert_eq!(flipped[..5], [8.0, 9.0, 10.0, 11.0, 4.0]);
        assert_eq!(flipped[20..], [12.0, 13.0, 14.0, 15.0]);
        assert_eq!(changed(Augment::Flip { p: 0.0 }, 0)[0], 0.0);
        let often = (0..1000).filter(|&epoch| changed(Augment::Flip { p: 0.25 }, epoch)[0] != 0.0);
        // 250 are expected, with a standard deviation of 14.
        assert!((180..320).contains(&often.count()));
    }

    #[test]
    fn crops_move_every_channel_alike() {
        let crop = Augment::Crop { pad: 2, fill: 99.0 };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..400 {
            let moved = changed(crop, epoch);
            let place = |plane: &[f32], first: f32| {
                let found = plane.iter().position(|&x| x != 99.0).unwrap();
                (found, plane[found] - first)
            };
            let (one, two) = (place(&moved[..12], 0.0), place(&moved[12..], 12.0));
            assert_eq!(one, two);
            seen.insert((one.0, one.1 as i32));
        }
        // All of five times five moves, each of which begins elsewhere.
        assert_eq!(seen.len(), 25);
    }

    #[test]
    fn turns_about_the_centre() {
        let square = column(&[1, 3, 3], Values::Floats(Vec::new()));
        let turn = Augment::Rotate {
            degrees: 180.0,
            fill: 0.0,
        };
        let changes = Changes::new(&[turn], 1, &square).unwrap();
        for epoch in 0..20 {
            let mut image = [0.0; 9];
            (image[4], image[1]) = (5.0, 1.0);
            changes.apply(&mut image, &mut [0.0; 9], epoch, 0);
            assert!((image[4] - 5.0).abs() < 1e-5, "{image:?}");
        }
        let plane = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(bilinear(&plane, [2, 2], [0.5, 0.5], 0.0), 2.5);
        assert_eq!(
            bilinear(&plane, [2, 2], [0.0, 1.25], 7.0),
            0.75 * 2.0 + 0.25 * 7.0
        );
    }

    #[test]
    fn cuts_squares_out() {
        let cutout = Augment::Cutout {
            size: 2,
            p: 1.0,
            fill: -1.0,
        };
        for epoch in 0..50 {
            let image = changed(cutout, epoch);
            let gone = image[..12].iter().filter(|&&x| x == -1.0).count();
            assert!([1, 2, 4].contains(&gone), "{image:?}");
            let other = image[12..].iter().filter(|&&x| x == -1.0).count();
            assert_eq!(gone, other);
        }
    }

    #[test]
    fn changes_of_light() {
        let bright = changed(Augment::Brightness { amount: 0.5 }, 3);
        let factor = bright[1];
        assert!(factor != 1.0 && (0.5..=1.5).contains(&factor));
        assert!(
            bright
                .iter()
                .enumerate()
                .all(|(at, x)| (x - factor * at as f32).abs() < 1e-5)
        );
        let contrast = changed(Augment::Contrast { amount: 0.5 }, 3);
        let mean = contrast.iter().sum::<f32>() / 24.0;
        assert!((mean - 11.5).abs() < 1e-4 && (contrast[1] - contrast[0] - 1.0).abs() > 1e-4);
        let noisy = changed(Augment::Noise { std: 2.0 }, 3);
        let distances = noisy
            .iter()
            .enumerate()
            .map(|(at, x)| (x - at as f32).powi(2));
        let deviation = (distances.sum::<f32>() / 24.0).sqrt();
        // Twenty-four samples know a deviation to 14 percent; three deviations of that are left.
        assert!((1.1..2.9).contains(&deviation), "{deviation}");
        let bytes = column(&[2], Values::Bytes(Vec::new()));
        let changes = Changes::new(&[Augment::Noise { std: 9.0 }], 1, &bytes).unwrap();
        let mut image = [0.0, 1.0];
        changes.apply(&mut image, &mut [0.0; 2], 0, 0);
        assert!(image.iter().all(|x| (0.0..=1.0).contains(x)));
    }

    #[test]
    fn says_what_does_not_fit() {
        let message = |change, shape: Vec<usize>| {
            let column = column(&shape, Values::Floats(Vec::new()));
            Changes::new(&[change], 1, &column).unwrap_err().to_string()
        };
        assert_eq!(
            message(Augment::Flip { p: 0.5 }, vec![5]),
            "cannot augment samples of [5]: `flip` needs pictures of [channels, height, width]"
        );
        let crop = Augment::Crop { pad: 4, fill: 0.0 };
        assert!(message(crop, vec![1, 4, 9]).ends_with("pad is at most 3"));
    }
}
