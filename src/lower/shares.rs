//! Channels in shares, for maps of too few rows for all threads.

use super::access::vectors;
use crate::kernel::{Cond, Index, Lanes, NestBuilder};

/// How channels, or the columns of a matrix, are shared out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    /// How many there are.
    pub count: usize,
    /// Channels of a share; the last has what is left.
    pub size: usize,
    all: usize,
}

/// The channels of some neighbouring shares.
#[derive(Debug)]
pub struct Within {
    /// The first.
    pub first: Index,
    /// The end.
    pub end: Index,
    /// Whether the last of all channels is among them.
    pub has_last: Cond,
}

impl Shares {
    /// About so many shares, each of whole blocks of so many channels.
    pub fn new(all: usize, block: usize, count: usize) -> Shares {
        let blocks = all.div_ceil(block).max(1);
        let size = blocks.div_ceil(count.clamp(1, blocks)) * block;
        Shares {
            count: all.div_ceil(size).max(1),
            size,
            all,
        }
    }

    /// The channels of one share; none if all are one share, which needs no arithmetic.
    pub fn one(&self, nest: &mut NestBuilder, number: Index) -> Option<Within> {
        (self.count > 1).then(|| {
            let number = nest.let_(number);
            let end = nest.let_(number.clone() + 1);
            self.within(nest, number, end)
        })
    }

    /// The channels of the shares from one number up to another.
    pub fn within(&self, nest: &mut NestBuilder, first: Index, end: Index) -> Within {
        let size = self.size as i64;
        Within {
            first: nest.let_(first * size),
            end: nest.let_((end.clone() * size).min(self.all as i64)),
            has_last: Cond::Eq(end, Index::Const(self.count as i64)),
        }
    }
}

/// Visits the vectors that hold the channels of some shares, each with its first channel and the lanes in use; of all channels
/// if there are no shares.
pub fn over_channels_within(
    nest: &mut NestBuilder,
    channels: usize,
    lanes: usize,
    within: Option<&Within>,
    mut visit: impl FnMut(&mut NestBuilder, Index, Lanes),
) {
    let Some(within) = within else {
        return super::over_channels(nest, channels, lanes, visit);
    };
    let (count, last) = vectors(channels, lanes);
    let whole = (count - usize::from(last != Lanes::All)) * lanes;
    let end = within.end.clone().min(whole as i64);
    nest.for_(within.first.clone(), end, lanes as i64, |nest, channel| {
        visit(nest, channel, Lanes::All);
    });
    if last != Lanes::All {
        nest.if_(within.has_last.clone(), |nest| {
            visit(nest, Index::Const(whole as i64), last);
        });
    }
}
