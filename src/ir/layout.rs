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
    /// R, S, G, where K and C of a group are 1: what all loops of depthwise convolutions read and write.
    Depthwise,
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
        /// Length of the innermost axis in memory, padded; if it is cut, that of one panel.
        row: usize,
        /// Panels that the innermost axis is cut into, so that a loop that takes a few columns of all rows reads memory in
        /// order. They stand outside all other axes of a group.
        panels: usize,
    },
}

/// A part of an axis that two maps with the same elements in C, H, W order share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// How many places it has.
    pub count: usize,
    /// Its axis in the one map, 0 to 2, and how many places of that one step of the part is.
    pub from: (usize, usize),
    /// The same in the other map.
    pub to: (usize, usize),
}

impl Layout {
    /// Axes along which both of two maps with equally many elements can be walked in C, H, W order,
    /// the outermost first; `None` if no sizes of the one divide those of the other.
    pub fn common_axes(from: [usize; 3], to: [usize; 3]) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        // The axis, how many of its places are taken, and how many are left.
        let (mut a, mut b) = ((2, 1, from[2]), (2, 1, to[2]));
        loop {
            for (side, sizes) in [(&mut a, from), (&mut b, to)] {
                while side.2 == 1 && side.0 > 0 {
                    *side = (side.0 - 1, 1, sizes[side.0 - 1]);
                }
            }
            let count = a.2.min(b.2);
            if count == 1 {
                parts.reverse();
                return (a.2 == b.2).then_some(parts);
            }
            if !a.2.is_multiple_of(count) || !b.2.is_multiple_of(count) {
                return None;
            }
            parts.push(Part {
                count,
                from: (a.0, a.1),
                to: (b.0, b.1),
            });
            a = (a.0, a.1 * count, a.2 / count);
            b = (b.0, b.1 * count, b.2 / count);
        }
    }

    /// Whether two maps have every element, by its number in C, H, W order, at the same place.
    pub fn same_places(&self, other: &Layout) -> bool {
        let (
            &Layout::Nhwc { map, pixel, .. },
            &Layout::Nhwc {
                map: to,
                pixel: to_pixel,
                ..
            },
        ) = (self, other)
        else {
            return self == other;
        };
        let steps = [1, self.row_stride(), pixel];
        let to_steps = [1, other.row_stride(), to_pixel];
        self.origin() == other.origin()
            && self.image_stride() == other.image_stride()
            && Layout::common_axes(map, to).is_some_and(|parts| {
                parts
                    .iter()
                    .all(|part| steps[part.from.0] * part.from.1 == to_steps[part.to.0] * part.to.1)
            })
    }

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
                panels,
            } => {
                let rows = match order {
                    FilterOrder::Forward => groups * c,
                    FilterOrder::Backward => groups * k,
                    FilterOrder::Depthwise => 1,
                };
                rows * r * s * row * panels
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
                panels,
                ..
            } => {
                let (gk, rest) = (logical / (c * r * s), logical % (c * r * s));
                let (g, k_idx) = (gk / k, gk % k);
                let (c_idx, tap) = (rest / (r * s), rest % (r * s));
                // The rows outside, the row within a tap, rows of a tap, and the place in the row.
                let (line, lines, place) = match order {
                    FilterOrder::Forward => (c_idx, c, k_idx),
                    FilterOrder::Backward => (k_idx, k, c_idx),
                    FilterOrder::Depthwise => return tap * row + g,
                };
                let panel = g * panels + place / row;
                ((panel * r * s + tap) * lines + line) * row + place % row
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
                panels,
            } => {
                let order = match order {
                    FilterOrder::Forward => "rsck",
                    FilterOrder::Backward => "rskc",
                    FilterOrder::Depthwise => "rsg",
                };
                write!(f, "filter({order} {k},{c},{r},{s}")?;
                if groups > 1 {
                    write!(f, " x{groups}")?;
                }
                write!(f, ", row {row}")?;
                if panels > 1 {
                    write!(f, " x{panels}")?;
                }
                f.write_str(")")
            }
        }
    }
}
