//! Dealing samples out in batches.

use std::num::NonZeroUsize;

use super::augment::Changes;
use super::shuffle::{Purpose, shuffle};
use super::{Answers, Column, DataError, Part, Values};
use crate::runtime::rows;
use crate::sema::Augment;

/// How samples are dealt out.
#[derive(Debug, Clone, Copy)]
pub struct BatchConfig {
    /// The samples of a full batch.
    pub size: NonZeroUsize,
    /// The seed of the order, which differs from epoch to epoch; without one, the stored order is
    /// kept.
    pub seed: Option<u64>,
    /// Whether a last batch that is not full is left out. Normally it is used, so that every sample
    /// counts; batch normalisation cannot train on a batch of one sample.
    pub drop_last: bool,
}

/// What is done to every number of a sample, after bytes have been divided by 255: the mean is
/// taken off, and the rest is divided by the standard deviation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// One mean for each channel, or one for all.
    pub mean: Vec<f32>,
    /// One standard deviation for each channel, or one for all.
    pub std: Vec<f32>,
}

/// Deals the samples of a part out in batches, epoch by epoch, into the caller's buffers.
///
/// The order of an epoch depends on the seed and the epoch's number only, so a training that is
/// resumed at epoch 5 sees the batches that it would have seen. Nothing is allocated after
/// [`Batches::new`].
#[derive(Debug)]
pub struct Batches<'a> {
    part: &'a Part,
    config: BatchConfig,
    inputs: Vec<Input<'a>>,
    order: Vec<u32>,
    next: usize,
    epoch: u64,
}

/// One input of the batches.
#[derive(Debug)]
struct Input<'a> {
    column: &'a Column,
    channels: Vec<Channel>,
    changes: Option<Changes>,
    /// Room for two samples each of a batch, where they are changed.
    room: Vec<f32>,
}

/// One channel's scaling, with the result for every byte.
#[derive(Debug)]
struct Channel {
    mean: f32,
    std: f32,
    of_byte: [f32; 256],
}

impl<'a> Batches<'a> {
    /// Prepares to deal out the first input of `part`, beginning with epoch 0.
    pub fn new(
        part: &'a Part,
        scaling: Option<&Scaling>,
        config: BatchConfig,
    ) -> Result<Self, DataError> {
        Self::of_inputs(part, &[(0, scaling)], config)
    }

    /// Prepares to deal out several inputs of `part`, each given by its place among those of the part,
    /// with its scaling.
    ///
    /// # Errors
    ///
    /// A scaling does not fit its input.
    ///
    /// # Panics
    ///
    /// The part has no such input.
    pub fn of_inputs(
        part: &'a Part,
        inputs: &[(usize, Option<&Scaling>)],
        config: BatchConfig,
    ) -> Result<Self, DataError> {
        let input = |&(place, scaling): &(usize, Option<&Scaling>)| {
            let column = &part.columns[place];
            let count = column.shape.first().copied().unwrap_or(1);
            Ok(Input {
                column,
                channels: channels(count, scaling)?,
                changes: None,
                room: Vec::new(),
            })
        };
        let inputs = inputs.iter().map(input).collect::<Result<_, DataError>>()?;
        let mut batches = Self {
            part,
            config,
            inputs,
            order: Vec::with_capacity(part.len()),
            next: 0,
            epoch: 0,
        };
        batches.start_epoch(0);
        Ok(batches)
    }

    /// Changes every sample at random before it is scaled, each epoch anew; see
    /// [`augment`](super::augment). All inputs of a sample are changed alike. Without a seed of the order,
    /// that of the changes is 0.
    ///
    /// # Errors
    ///
    /// A change makes no sense for samples of this shape.
    pub fn augment(&mut self, changes: &[Augment]) -> Result<(), DataError> {
        if changes.is_empty() {
            return Ok(());
        }
        let seed = self.config.seed.unwrap_or(0);
        for input in &mut self.inputs {
            input.changes = Some(Changes::new(changes, seed, input.column)?);
            let samples = 2 * self.config.size.get();
            input.room = vec![0.0; samples * input.column.elements()];
        }
        Ok(())
    }

    /// Goes to the beginning of an epoch, counted from 0.
    pub fn start_epoch(&mut self, epoch: u64) {
        self.next = 0;
        self.epoch = epoch;
        self.order.clear();
        self.order.extend(0..self.part.len() as u32);
        if let Some(seed) = self.config.seed {
            shuffle(&mut self.order, seed, Purpose::Epoch(epoch));
        }
    }

    /// What a net should say of the samples, by their places in the part.
    #[must_use]
    pub fn answers(&self) -> &'a Answers {
        &self.part.answers
    }

    /// Leaves out the next batches of an epoch, which have been seen before.
    pub fn skip(&mut self, batches: usize) {
        let samples = batches.saturating_mul(self.config.size.get());
        self.next = self.next.saturating_add(samples).min(self.order.len());
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn per_epoch(&self) -> usize {
        let (samples, size) = (self.part.len(), self.config.size.get());
        if self.config.drop_last {
            samples / size
        } else {
            samples.div_ceil(size)
        }
    }

    /// Writes the next batch and returns its number of samples, or `None` at the end of the epoch.
    ///
    /// The samples go to the front of `samples`, in N, C, H, W order, and their labels to the front
    /// of `labels`; what lies behind a short batch stays as it is.
    ///
    /// # Panics
    ///
    /// If a buffer is too small for a full batch, there are several inputs, or there are no labels.
    pub fn fill(&mut self, samples: &mut [f32], labels: &mut [u32]) -> Option<usize> {
        let part = self.part;
        let chosen = self.fill_inputs(&mut [samples])?;
        for (label, &sample) in labels[..chosen.len()].iter_mut().zip(chosen) {
            *label = part.labels()[sample as usize];
        }
        Some(chosen.len())
    }

    /// Writes each input of the next batch to the front of its buffer, as [`Batches::fill`] does, and
    /// returns which samples they are, or `None` at the end of the epoch.
    ///
    /// # Panics
    ///
    /// If a buffer is too small for a full batch, or there are others than inputs.
    pub fn fill_inputs<B: AsMut<[f32]>>(&mut self, buffers: &mut [B]) -> Option<&[u32]> {
        let size = self.config.size.get();
        assert_eq!(
            buffers.len(),
            self.inputs.len(),
            "each input has its buffer"
        );
        let count = size.min(self.order.len() - self.next);
        if count == 0 || (count < size && self.config.drop_last) {
            return None;
        }
        let chosen = &self.order[self.next..self.next + count];
        for (input, buffer) in self.inputs.iter_mut().zip(buffers) {
            let (buffer, len) = (buffer.as_mut(), input.column.elements());
            assert!(
                buffer.len() >= size * len,
                "the buffer of samples holds a full batch"
            );
            input.fill(chosen, self.epoch, &mut buffer[..count * len]);
        }
        self.next += count;
        Some(chosen)
    }
}

impl Input<'_> {
    fn fill(&mut self, chosen: &[u32], epoch: u64, out: &mut [f32]) {
        let len = self.column.elements();
        let (column, channels) = (self.column, &self.channels);
        let Some(changes) = &self.changes else {
            for (&sample, out) in chosen.iter().zip(out.chunks_exact_mut(len)) {
                column.scaled(sample, channels, out);
            }
            return;
        };
        let room = &mut self.room[..chosen.len() * 2 * len];
        rows::for_each((out, len), (room, 2 * len), |index, out, room| {
            let sample = chosen[index];
            let (image, other) = room.split_at_mut(len);
            column.raw(sample, image);
            changes.apply(image, other, epoch, sample);
            let planes = out.chunks_exact_mut(len / channels.len()).zip(channels);
            scale(image, planes, |float, channel| {
                (float - channel.mean) / channel.std
            });
        });
    }
}

impl Column {
    fn range(&self, sample: u32) -> std::ops::Range<usize> {
        let len = self.elements();
        sample as usize * len..(sample as usize + 1) * len
    }

    /// The numbers of a sample as they enter a net.
    fn scaled(&self, sample: u32, channels: &[Channel], out: &mut [f32]) {
        let range = self.range(sample);
        let planes = out
            .chunks_exact_mut(range.len() / channels.len())
            .zip(channels);
        match &self.values {
            Values::Bytes(bytes) => scale(&bytes[range], planes, |byte, channel| {
                channel.of_byte[usize::from(byte)]
            }),
            Values::Floats(floats) => scale(&floats[range], planes, |float, channel| {
                (float - channel.mean) / channel.std
            }),
        }
    }

    /// The numbers of a sample before they are scaled; 255 is 1.
    fn raw(&self, sample: u32, out: &mut [f32]) {
        let range = self.range(sample);
        match &self.values {
            Values::Bytes(bytes) => {
                for (out, &byte) in out.iter_mut().zip(&bytes[range]) {
                    *out = f32::from(byte) / 255.0;
                }
            }
            Values::Floats(floats) => out.copy_from_slice(&floats[range]),
        }
    }
}

fn scale<'a, T: Copy>(
    values: &[T],
    planes: impl Iterator<Item = (&'a mut [f32], &'a Channel)>,
    scaled: impl Fn(T, &Channel) -> f32,
) {
    let mut values = values.iter();
    for (plane, channel) in planes {
        for (out, &value) in plane.iter_mut().zip(&mut values) {
            *out = scaled(value, channel);
        }
    }
}

fn channels(count: usize, scaling: Option<&Scaling>) -> Result<Vec<Channel>, DataError> {
    let neutral = Scaling {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let Scaling { mean, std } = scaling.unwrap_or(&neutral);
    let fits = |values: &[f32]| values.len() == 1 || values.len() == count;
    let usable =
        mean.iter().all(|m| m.is_finite()) && std.iter().all(|&s| s.is_finite() && s > 0.0);
    if !fits(mean) || !fits(std) || !usable {
        let (mean, std) = (mean.clone(), std.clone());
        return Err(DataError::Scaling {
            channels: count,
            mean,
            std,
        });
    }
    let channel = |index: usize| {
        let of = |values: &[f32]| values[if values.len() == 1 { 0 } else { index }];
        let (mean, std) = (of(mean), of(std));
        let of_byte = std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        Channel { mean, std, of_byte }
    };
    Ok((0..count).map(channel).collect())
}
