//! How an operand is reached from a position of the iteration space.

use super::ELEMENT;
use crate::ir::{Dims, Graph, Layout, Shape, ValueId};
use crate::kernel::{Index, Lanes};

/// A stride that is a multiple of so many bytes maps neighbouring pixels to few cache sets: measured,
/// a tile falls to a fifth of its speed at 4 KB and loses 5 to 30 % at 1 KB.
pub const CONFLICT_BYTES: usize = 1024;

/// Elements of a cache line.
pub const LINE: usize = 16;

/// The distance of neighbouring rows of so many elements: the next cache line's, if theirs is a multiple of so many bytes.
pub fn apart(elements: usize, conflict: usize) -> usize {
    let conflicts = (elements * size_of::<f32>()).is_multiple_of(conflict);
    if conflicts { elements + LINE } else { elements }
}

/// What a group iterates over: a map an image, or one map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Space {
    /// Channels, height, width, as they lie in memory.
    pub map: [usize; 3],
    /// Whether there is one for each image.
    pub batched: bool,
    /// The sizes of the logical shape.
    pub dims: Dims,
}

impl Space {
    /// The space of a value. A filter is one run of elements.
    pub fn of(graph: &Graph, value: ValueId) -> Space {
        let value = &graph.values[value];
        let map = match &value.layout {
            Layout::Nhwc { map, .. } | Layout::Blocked { map, .. } => *map,
            layout @ Layout::Filter { .. } => [layout.image_stride(), 1, 1],
        };
        Space {
            map,
            batched: value.ty.shape.batched,
            dims: value.ty.shape.dims.clone(),
        }
    }

    /// Elements of one image.
    pub fn elements(&self) -> usize {
        self.map.iter().product()
    }
}

/// Byte distances of an operand along each axis of a space; zero where it is stretched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// From the start of the buffer to the first element.
    pub origin: i64,
    /// Between images.
    pub image: i64,
    /// Between rows.
    pub row: i64,
    /// Between pixels.
    pub pixel: i64,
    /// Between channels.
    pub channel: i64,
}

/// Whether a shape's elements can be reached from a space that it stretches to by one distance for
/// each of channels, rows and pixels. Axes beyond the third are pixels, too, so there all must stretch
/// or none.
pub fn reaches(shape: &Shape, space: &Shape) -> bool {
    let [own, wide] = [shape, space].map(|shape| shape.dims.get(2..).unwrap_or_default());
    own == wide || own.iter().all(|&size| size == 1)
}

impl Access {
    /// How a value is reached from a space that its shape stretches to.
    pub fn new(graph: &Graph, value: ValueId, space: &Space) -> Access {
        let entry = &graph.values[value];
        let shape = &entry.ty.shape;
        let layout = &entry.layout;
        let image = if shape.batched {
            layout.image_stride() as i64 * ELEMENT
        } else {
            0
        };
        let Layout::Nhwc { map, pixel, .. } = layout else {
            assert!(
                matches!(layout, Layout::Filter { .. }) && shape.dims == space.dims,
                "{value} in {layout} is no operand of an element-wise group"
            );
            return Access {
                origin: 0,
                image,
                row: 0,
                pixel: 0,
                channel: ELEMENT,
            };
        };
        let stride = |axis: usize, elements: usize| {
            if map[axis] == 1 && space.map[axis] != 1 {
                0
            } else {
                elements as i64 * ELEMENT
            }
        };
        Access {
            origin: layout.origin() as i64 * ELEMENT,
            image,
            row: stride(1, layout.row_stride()),
            pixel: stride(2, *pixel),
            channel: stride(0, 1),
        }
    }

    /// The offset of a position.
    pub fn at(&self, image: Index, row: Index, pixel: Index, channel: Index) -> Index {
        let mut offset = Index::Const(self.origin);
        for (position, stride) in [
            (image, self.image),
            (row, self.row),
            (pixel, self.pixel),
            (channel, self.channel),
        ] {
            if stride != 0 {
                offset = add(offset, position * stride);
            }
        }
        offset
    }

    /// The constant distance of a position from another.
    pub fn delta(&self, image: i64, row: i64, pixel: i64, channel: i64) -> i32 {
        let bytes =
            image * self.image + row * self.row + pixel * self.pixel + channel * self.channel;
        i32::try_from(bytes).expect("a tile stays within two gigabytes")
    }

    /// Whether rows follow one another as pixels do, `width` pixels a row.
    pub fn rows_merge(&self, width: usize) -> bool {
        self.row == self.pixel * width as i64
    }
}

/// A sum that keeps constants apart from nothing: `0 + x` is `x`.
pub fn add(a: Index, b: Index) -> Index {
    if a == Index::Const(0) { b } else { a + b }
}

/// The vectors that hold `count` lanes-worth of channels: their number and the last one's lanes.
pub fn vectors(count: usize, lanes: usize) -> (usize, Lanes) {
    let rest = count % lanes;
    let last = match u8::try_from(rest) {
        Ok(rest) if rest > 0 => Lanes::First(rest),
        _ => Lanes::All,
    };
    (count.div_ceil(lanes), last)
}
