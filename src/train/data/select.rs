//! Parts made from parts: chosen samples, pictures of another size.

use super::{Part, Values};
use crate::io::image::Picture;
use crate::sema::PictureInput;
use crate::train::picture::{self, FitPictureError};

impl Part {
    /// The samples of these numbers, in that order.
    ///
    /// # Panics
    ///
    /// If there is no such sample.
    #[must_use]
    pub fn pick(&self, samples: &[usize]) -> Self {
        fn pick<T: Copy>(values: &[T], len: usize, samples: &[usize]) -> Vec<T> {
            let one = |&sample: &usize| &values[sample * len..(sample + 1) * len];
            samples.iter().flat_map(one).copied().collect()
        }
        let len = self.sample_len();
        let values = match &self.values {
            Values::Bytes(bytes) => Values::Bytes(pick(bytes, len, samples)),
            Values::Floats(floats) => Values::Floats(pick(floats, len, samples)),
        };
        Self::new(self.shape.clone(), values, pick(&self.labels, 1, samples))
    }

    /// A picture as the sample of an input; it has no label, which is written as class 0.
    ///
    /// # Errors
    ///
    /// The picture is too small for the input.
    pub fn of_picture(picture: Picture, input: &PictureInput) -> Result<Self, FitPictureError> {
        let bytes = picture::fit(picture, input)?;
        Ok(Self::new(
            input.input.to_vec(),
            Values::Bytes(bytes),
            vec![0],
        ))
    }

    /// The samples of several parts of one shape, in order.
    ///
    /// # Panics
    ///
    /// If there is no part, or they differ in shape or in the kind of their numbers.
    #[must_use]
    pub fn joined(parts: &[Self]) -> Self {
        let mut joined = parts[0].clone();
        for part in &parts[1..] {
            assert_eq!(
                part.shape, joined.shape,
                "parts that are joined have one shape"
            );
            match (&mut joined.values, &part.values) {
                (Values::Bytes(all), Values::Bytes(more)) => all.extend(more),
                (Values::Floats(all), Values::Floats(more)) => all.extend(more),
                _ => unreachable!("parts that are joined hold the same kind of numbers"),
            }
            joined.labels.extend(&part.labels);
        }
        joined
    }

    /// Makes pictures what an input says of them. Samples that are no pictures stay as they are.
    ///
    /// # Errors
    ///
    /// The pictures are too small for the input.
    pub fn fit(&mut self, input: &PictureInput) -> Result<(), FitPictureError> {
        let &[channels @ (1 | 3), height, width] = self.shape() else {
            return Ok(());
        };
        let Values::Bytes(bytes) = &self.values else {
            return Ok(());
        };
        if !picture::changes(channels, [height, width], input) {
            return Ok(());
        }
        let plane = height * width;
        let mut fitted = Vec::with_capacity(self.len() * input.input.iter().product::<usize>());
        for sample in bytes.chunks_exact(plane * channels) {
            let pixel = |place| (0..channels).map(move |channel| sample[channel * plane + place]);
            let picture = Picture {
                width,
                height,
                channels,
                pixels: (0..plane).flat_map(pixel).collect(),
            };
            fitted.extend(picture::fit(picture, input)?);
        }
        *self = Self::new(
            input.input.to_vec(),
            Values::Bytes(fitted),
            std::mem::take(&mut self.labels),
        );
        Ok(())
    }
}
