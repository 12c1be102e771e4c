//! Resizing pictures of bytes, to the bit as Pillow's `Image.resize` does up to version 12. (Version 13 takes columns first
//! where that is less work, which rounds some bytes to the neighbour.)
//!
//! Nets whose published weights were trained through torchvision saw pictures that Pillow had resized; a filter that
//! rounds differently gives them pictures that they have never seen. The method is separable convolution: first along
//! rows, then along columns, with weights as 22-bit fixed-point numbers and a result rounded to bytes after each pass.
//! Where a picture shrinks, the filter is stretched by the same factor, so every pixel counts.

/// A filter: its weight at a distance from its middle, in pixels, and how far it reaches.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// The weight at a distance.
    pub weight: fn(f64) -> f64,
    /// Beyond this distance the weight is 0.
    pub reach: f64,
}

/// A triangle: linear interpolation.
pub const BILINEAR: Kernel = Kernel {
    weight: |x| (1.0 - x.abs()).max(0.0),
    reach: 1.0,
};

/// Cubic convolution with a = -0.5 (Keys 1981, equation 15).
pub const BICUBIC: Kernel = Kernel {
    weight: |x| {
        const A: f64 = -0.5;
        let x = x.abs();
        if x < 1.0 {
            ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
        } else if x < 2.0 {
            (((x - 5.0) * x + 8.0) * x - 4.0) * A
        } else {
            0.0
        }
    },
    reach: 2.0,
};

/// Where along one axis the result comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    /// The pixels that there are.
    pub from: usize,
    /// The pixels of the whole result.
    pub to: usize,
    /// The first pixel of the result that is wanted.
    pub start: usize,
    /// How many are wanted.
    pub count: usize,
}

/// Fractional bits of weights: a byte times a weight of 1, and a sign, fill 32 bits.
const BITS: u32 = 32 - 8 - 2;

/// The weights that make one pixel.
struct Taps {
    first: usize,
    weights: Vec<i64>,
}

/// Resizes `pixels`, rows of pixels of interleaved channels, and gives the wanted part of the result.
///
/// Only what that part needs is computed, so memory follows from the wanted part, not from the resized whole.
///
/// # Panics
///
/// If `pixels` has not `rows.from * columns.from * channels` bytes, or the wanted part is not inside the result.
#[must_use]
pub fn resample(
    pixels: &[u8],
    channels: usize,
    rows: Axis,
    columns: Axis,
    kernel: Kernel,
) -> Vec<u8> {
    assert_eq!(pixels.len(), rows.from * columns.from * channels);
    for axis in [rows, columns] {
        assert!(axis.start + axis.count <= axis.to && axis.from > 0);
    }
    let (down, across) = (taps(rows, kernel), taps(columns, kernel));
    // The rows that the second pass reads.
    let first = down.iter().map(|taps| taps.first).min().unwrap_or(0);
    let end = down
        .iter()
        .map(|taps| taps.first + taps.weights.len())
        .max()
        .unwrap_or(0);
    let pitch = columns.from * channels;
    let mut narrow = Vec::with_capacity((end - first) * columns.count * channels);
    for row in pixels[first * pitch..end * pitch].chunks_exact(pitch) {
        for taps in &across {
            for channel in 0..channels {
                let from = row[taps.first * channels + channel..].iter();
                narrow.push(sum(from.step_by(channels), &taps.weights));
            }
        }
    }
    let pitch = columns.count * channels;
    let mut result = Vec::with_capacity(rows.count * pitch);
    for taps in &down {
        for place in 0..pitch {
            let from = narrow[(taps.first - first) * pitch + place..].iter();
            result.push(sum(from.step_by(pitch), &taps.weights));
        }
    }
    result
}

fn sum<'a>(pixels: impl Iterator<Item = &'a u8>, weights: &[i64]) -> u8 {
    let half = 1_i64 << (BITS - 1);
    let products = pixels
        .zip(weights)
        .map(|(&pixel, weight)| i64::from(pixel) * weight);
    let sum = (half + products.sum::<i64>()) >> BITS;
    sum.clamp(0, 255) as u8
}

fn taps(axis: Axis, kernel: Kernel) -> Vec<Taps> {
    if axis.from == axis.to {
        // Nothing to do along this axis; the filter would only confirm it.
        let one = |at| Taps {
            first: at,
            weights: vec![1 << BITS],
        };
        return (axis.start..axis.start + axis.count).map(one).collect();
    }
    let scale = axis.from as f64 / axis.to as f64;
    let stretch = scale.max(1.0);
    let reach = kernel.reach * stretch;
    let one = |at: usize| {
        let middle = (at as f64 + 0.5) * scale;
        // Conversions of negative numbers give 0, which is the first pixel.
        let first = (middle - reach + 0.5) as usize;
        let end = ((middle + reach + 0.5) as usize).min(axis.from);
        let weights: Vec<f64> = (first..end)
            .map(|pixel| (kernel.weight)((pixel as f64 - middle + 0.5) * (1.0 / stretch)))
            .collect();
        let all: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / all * f64::from(1_u32 << BITS)).round() as i64;
        Taps {
            first,
            weights: weights.iter().map(fixed).collect(),
        }
    };
    (axis.start..axis.start + axis.count).map(one).collect()
}

#[cfg(test)]
mod tests;
