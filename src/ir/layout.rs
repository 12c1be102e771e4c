//! How a value lies in memory.

use std::fmt;

use super::types::Shape;

/// Rows and columns of zeros around a feature map, so that a padded convolution reads them instead
/// of testing for the edge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Halo {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Halo {
    /// The smallest halo that holds both.
    pub fn union(self, other: Halo) -> Halo {
        Halo {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Halo::default()
    }
}

/// The order of a filter's axes in memory; the last is padded to whole vectors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FilterOrder {
    /// G, R, S, C, K: what forward and weight-gradient loops read and write.
    Forward,
    /// G, R, S, K, C: what the input-gradient loops read.
    Backward,
}

/// The layout of a value. All strides and sizes are in elements of four bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Layout {
    /// A map in N, H, W, C order: channels are adjacent, pixels `pixel` apart. A vector `[F]` is a
    /// map of one pixel with F channels, a scalar one with one channel.
    Nhwc {
        /// The map's channels, height and width. They differ from the value's shape where the value
        /// is a flattened map: its elements then lie in H, W, C order though they count in C, H, W.
        map: [usize; 3],
        /// Distance of neighbouring pixels, at least the channels.
        pixel: usize,
        /// Zeros around the map.
        halo: Halo,
    },
    /// Channels in blocks: N, C / block, H, W, block.
    Blocked {
        /// The map's channels, height and width.
        map: [usize; 3],
        /// Channels in a block.
        block: usize,
    },
    /// A filter `[K, C / G, R, S]`, or a dense layer's `[K, F]` whose F axis is a flattened map of
    /// R, S, C.
    Filter {
        /// The order of the axes.
        order: FilterOrder,
        /// Groups; K and C below are those of one group.
        groups: usize,
        /// K, C, R, S of one group.
        kcrs: [usize; 4],
        /// Length of the innermost axis in memory, padded.
        row: usize,
    },
}

impl Layout {
    /// The plain layout of a shape: no gaps, no halo.
    pub fn plain(shape: &Shape) -> Layout {
        let (c, h, w) = shape.chw();
        Layout::Nhwc {
            map: [c, h, w],
            pixel: c,
            halo: Halo::default(),
        }
    }

    /// Distance of neighbouring rows of a map.
    pub fn row_stride(&self) -> usize {
        match *self {
            Layout::Nhwc {
                map: [_, _, w],
                pixel,
                halo,
            } => (w + halo.left + halo.right) * pixel,
            Layout::Blocked {
                map: [_, _, w],
                block,
            } => w * block,
            Layout::Filter { row, .. } => row,
        }
    }

    /// Distance of neighbouring images; for a filter its whole size.
    pub fn image_stride(&self) -> usize {
        match *self {
            Layout::Nhwc {
                map: [_, h, _],
                halo,
                ..
            } => (h + halo.top + halo.bottom) * self.row_stride(),
            Layout::Blocked {
                map: [c, h, w],
                block,
            } => c.div_ceil(block) * block * h * w,
            Layout::Filter {
                order,
                groups,
                kcrs: [k, c, r, s],
                row,
            } => {
                let middle = match order {
                    FilterOrder::Forward => c,
                    FilterOrder::Backward => k,
                };
                groups * r * s * middle * row
            }
        }
    }

    /// Distance from the start of an image to its first pixel.
    pub fn origin(&self) -> usize {
        match *self {
            Layout::Nhwc { pixel, halo, .. } => halo.top * self.row_stride() + halo.left * pixel,
            Layout::Blocked { .. } | Layout::Filter { .. } => 0,
        }
    }

    /// Whether an image is one run of elements with neither gaps nor halo.
    pub fn is_dense(&self) -> bool {
        match *self {
            Layout::Nhwc {
                map: [c, ..],
                pixel,
                halo,
            } => c == pixel && halo.is_empty(),
            Layout::Blocked {
                map: [c, ..],
                block,
            } => c % block == 0,
            // The padding of a filter is zero and stays zero under every update rule.
            Layout::Filter { .. } => true,
        }
    }

    /// The place of the element with a given row-major (C, H, W) position in one image.
    pub fn position(&self, logical: usize) -> usize {
        match *self {
            Layout::Nhwc {
                map: [_, h, w],
                pixel,
                ..
            } => {
                let (c, y, x) = (logical / (h * w), logical / w % h, logical % w);
                self.origin() + y * self.row_stride() + x * pixel + c
            }
            Layout::Blocked {
                map: [_, h, w],
                block,
            } => {
                let (c, pixel) = (logical / (h * w), logical % (h * w));
                ((c / block) * h * w + pixel) * block + c % block
            }
            Layout::Filter {
                order,
                kcrs: [k, c, r, s],
                row,
                ..
            } => {
                let (gk, rest) = (logical / (c * r * s), logical % (c * r * s));
                let (g, k_idx) = (gk / k, gk % k);
                let (c_idx, tap) = (rest / (r * s), rest % (r * s));
                match order {
                    FilterOrder::Forward => ((g * r * s + tap) * c + c_idx) * row + k_idx,
                    FilterOrder::Backward => ((g * r * s + tap) * k + k_idx) * row + c_idx,
                }
            }
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Layout::Nhwc {
                map: [c, h, w],
                pixel,
                halo,
            } => {
                write!(f, "nhwc({h}x{w}x{c}")?;
                if pixel != c {
                    write!(f, ", pixel {pixel}")?;
                }
                if !halo.is_empty() {
                    let Halo {
                        top,
                        left,
                        bottom,
                        right,
                    } = halo;
                    write!(f, ", halo {top},{left},{bottom},{right}")?;
                }
                f.write_str(")")
            }
            Layout::Blocked {
                map: [c, h, w],
                block,
            } => write!(f, "blocked({c}/{block}x{h}x{w})"),
            Layout::Filter {
                order,
                groups,
                kcrs: [k, c, r, s],
                row,
            } => {
                let order = match order {
                    FilterOrder::Forward => "rsck",
                    FilterOrder::Backward => "rskc",
                };
                write!(f, "filter({order} {k},{c},{r},{s}")?;
                if groups > 1 {
                    write!(f, " x{groups}")?;
                }
                write!(f, ", row {row})")
            }
        }
    }
}
