//! Parts made from parts: chosen samples, pictures of another size.

use super::{Answers, Column, Part, Values};
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
        let columns = self.columns.iter().map(|column| {
            let len = column.elements();
            let values = match &column.values {
                Values::Bytes(bytes) => Values::Bytes(pick(bytes, len, samples)),
                Values::Floats(floats) => Values::Floats(pick(floats, len, samples)),
            };
            Column {
                values,
                name: column.name.clone(),
                shape: column.shape.clone(),
            }
        });
        let answers = match &self.answers {
            Answers::Labels(labels) => Answers::Labels(pick(labels, 1, samples)),
            Answers::Targets { shape, values } => Answers::Targets {
                shape: shape.clone(),
                values: pick(values, shape.iter().product(), samples),
            },
        };
        Self {
            columns: columns.collect(),
            answers,
        }
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
            let columns = joined.columns.iter_mut().zip(&part.columns);
            for (all, more) in columns {
                assert_eq!(
                    more.shape, all.shape,
                    "parts that are joined have one shape"
                );
                match (&mut all.values, &more.values) {
                    (Values::Bytes(all), Values::Bytes(more)) => all.extend(more),
                    (Values::Floats(all), Values::Floats(more)) => all.extend(more),
                    _ => unreachable!("parts that are joined hold the same kind of numbers"),
                }
            }
            match (&mut joined.answers, &part.answers) {
                (Answers::Labels(all), Answers::Labels(more)) => all.extend(more),
                (Answers::Targets { values: all, .. }, Answers::Targets { values: more, .. }) => {
                    all.extend(more);
                }
                _ => unreachable!("parts that are joined hold the same kind of answers"),
            }
        }
        joined
    }

    /// Makes pictures what the input of that name says of them; a single input of samples needs no name.
    /// Samples that are no pictures stay as they are.
    ///
    /// # Errors
    ///
    /// The pictures are too small for the input.
    pub fn fit(&mut self, name: &str, input: &PictureInput) -> Result<(), FitPictureError> {
        let is_only = self.columns.len() == 1;
        let mut columns = self.columns.iter_mut();
        let Some(column) = columns.find(|column| is_only || column.name == name) else {
            return Ok(());
        };
        let &[channels @ (1 | 3), height, width] = column.shape.as_slice() else {
            return Ok(());
        };
        let Values::Bytes(bytes) = &column.values else {
            return Ok(());
        };
        if !picture::changes(channels, [height, width], input) {
            return Ok(());
        }
        let plane = height * width;
        let samples = bytes.len() / (plane * channels).max(1);
        let mut fitted = Vec::with_capacity(samples * input.input.iter().product::<usize>());
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
        column.shape = input.input.to_vec();
        column.values = Values::Bytes(fitted);
        Ok(())
    }
}
