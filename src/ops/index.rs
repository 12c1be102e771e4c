//! Channels taken by a constant list, and its transpose, which adds them back.
//!
//! `y[c] = x[items[c]]`; an item may come more than once, and its gradient is then the sum over all
//! its uses. Shuffled channels (Zhang et al. 2018, "ShuffleNet", 3.1) are a list, too.

pub mod lower;

use std::sync::Arc;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// [N, C, …] → [N, items, …].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Index {
    /// The channel of the input for each of the output.
    pub items: Arc<[usize]>,
}

/// Gradient of the output [N, items, …] → gradient of the input [N, C, …].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IndexGrad {
    /// The channel of the input for each of the output.
    pub items: Arc<[usize]>,
    /// The input's channels.
    pub channels: usize,
}

impl From<Index> for Op {
    fn from(op: Index) -> Op {
        Op::Index(op)
    }
}

impl From<IndexGrad> for Op {
    fn from(op: IndexGrad) -> Op {
        Op::IndexGrad(op)
    }
}

impl Index {
    /// The list that deals `channels` out to `groups` groups in turn: channel `i` of group `g` becomes
    /// channel `i · groups + g`.
    ///
    /// # Errors
    ///
    /// The groups do not divide the channels.
    pub fn shuffle(channels: usize, groups: usize) -> Result<Index, ShapeError> {
        if groups == 0 {
            return Err(ShapeError::NoGroups);
        }
        if !channels.is_multiple_of(groups) {
            return Err(ShapeError::Shuffle { channels, groups });
        }
        let in_group = channels / groups;
        let items = (0..channels).map(|c| c % groups * in_group + c / groups);
        Ok(Index {
            items: items.collect(),
        })
    }
}

fn channels_of(x: &Type, input: &'static str) -> Result<usize, ShapeError> {
    error::floats(x, input)?;
    x.shape
        .dims
        .first()
        .copied()
        .ok_or_else(|| ShapeError::Rank {
            input,
            expected: "[C, …]",
            found: Vec::new(),
        })
}

fn with_channels(shape: &Shape, channels: usize) -> Shape {
    let mut shape = shape.clone();
    shape.dims[0] = channels;
    shape
}

/// Short lists in full, long ones by their ends.
fn text(items: &[usize]) -> String {
    const SHOWN: usize = 16;
    if items.len() <= SHOWN {
        return error::list(items);
    }
    let (first, last) = (&items[..SHOWN - 1], items[items.len() - 1]);
    format!("{},…,{last} ({} in all)", error::list(first), items.len())
}

impl OpRules for Index {
    fn name(&self) -> &'static str {
        "index"
    }

    fn attributes(&self) -> String {
        format!("items {}", text(&self.items))
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        let channels = channels_of(x, "input")?;
        if let Some(place) = self.items.iter().position(|&item| item >= channels) {
            let item = self.items[place];
            return Err(ShapeError::Item {
                item,
                place,
                channels,
            });
        }
        if self.items.is_empty() {
            return Err(ShapeError::NoItems);
        }
        let shape = with_channels(&x.shape, self.items.len());
        Ok(vec![Type::f32(shape)])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (channels, pixels) = x.channels_and_pixels();
        let images = x.data().chunks((channels * pixels).max(1));
        let data = images.flat_map(|image| {
            let channel = |&item: &usize| &image[item * pixels..][..pixels];
            self.items.iter().flat_map(channel)
        });
        let data = data.copied().collect();
        vec![Array::new(with_channels(x.shape(), self.items.len()), data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        let grad = IndexGrad {
            items: self.items.clone(),
            channels: builder.graph().dims(at.inputs[0])[0],
        };
        vec![Grad::Value(builder.op(grad, &[dy]))]
    }
}

impl OpRules for IndexGrad {
    fn name(&self) -> &'static str {
        "index_grad"
    }

    fn attributes(&self) -> String {
        format!("items {} of {}", text(&self.items), self.channels)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [dy] = error::exactly(inputs)?;
        channels_of(dy, "gradient")?;
        let expected = with_channels(&dy.shape, self.items.len());
        error::same_shape(&dy.shape, &expected, "gradient")?;
        Ok(vec![Type::f32(with_channels(&dy.shape, self.channels))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let dy = inputs[0];
        let (items, pixels) = dy.channels_and_pixels();
        let mut dx = Array::zeros(with_channels(dy.shape(), self.channels), batch);
        for (position, &value) in dy.data().iter().enumerate() {
            let (image, pixel) = (position / (items * pixels), position % pixels);
            let channel = self.items[dy.channel(position)];
            dx.data_mut()[(image * self.channels + channel) * pixels + pixel] += value;
        }
        vec![dx]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(grad)] = at.grads else {
            unreachable!("one output")
        };
        let items = self.items.clone();
        vec![Grad::Value(builder.op(Index { items }, &[grad]))]
    }
}

#[cfg(test)]
mod tests;
