//! Where the window of a convolution or a pool stands, and how often it fits.
//!
//! Along an axis of `I` cells with padding `p` before and `q` after, a kernel of `k` taps that are
//! `d` apart spans `e = (k - 1) d + 1` cells, and stands at
//!
//! ```text
//! O = floor((I + p + q - e) / s) + 1
//! ```
//!
//! places, `s` apart. With `ceil` the division rounds up, so that no cell is left out, but a last
//! window that would start beyond the input and the padding before it is dropped (the rule of Caffe
//! and PyTorch): it would hold nothing.

use std::fmt;

/// Rows and columns of padding around a map.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Pads {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Pads {
    /// The same on all four sides.
    pub fn all(pad: usize) -> Pads {
        Pads {
            top: pad,
            left: pad,
            bottom: pad,
            right: pad,
        }
    }

    /// Before and after the cells of an axis.
    pub fn along(self, axis: Axis) -> (usize, usize) {
        match axis {
            Axis::Height => (self.top, self.bottom),
            Axis::Width => (self.left, self.right),
        }
    }
}

impl fmt::Display for Pads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pads {
            top,
            left,
            bottom,
            right,
        } = self;
        write!(f, "{top},{left},{bottom},{right}")
    }
}

/// An axis that a window moves along.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Axis {
    /// Rows.
    Height,
    /// Columns.
    Width,
}

impl Axis {
    /// Both, in the order of sizes.
    pub const BOTH: [Axis; 2] = [Axis::Height, Axis::Width];

    /// The place among sizes.
    pub fn index(self) -> usize {
        match self {
            Axis::Height => 0,
            Axis::Width => 1,
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::Height => "height",
            Axis::Width => "width",
        })
    }
}

/// A window that moves over a map. Sizes are height, then width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Cells from one place to the next.
    pub stride: [usize; 2],
    /// Cells from one tap to the next.
    pub dilation: [usize; 2],
    /// Padding.
    pub pads: Pads,
    /// Whether the number of places rounds up.
    pub ceil: bool,
}

/// A window that does not fit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WindowError {
    /// A kernel, stride or dilation of nothing.
    #[error("the {what} must be at least 1, but is 0 along the {axis}")]
    Zero {
        /// `kernel`, `stride` or `dilation`.
        what: &'static str,
        /// Along which axis.
        axis: Axis,
    },
    /// A window wider than the padded input.
    #[error("the window spans {effective} along the {axis}{}, but the padded input only {}{}", dilated(*.kernel, *.dilation), .input + .before + .after, padded(*.input, *.before, *.after))]
    TooBig {
        /// Along which axis.
        axis: Axis,
        /// Taps.
        kernel: usize,
        /// Cells from one tap to the next.
        dilation: usize,
        /// The cells that the window spans.
        effective: usize,
        /// The input's size.
        input: usize,
        /// Padding before it.
        before: usize,
        /// Padding after it.
        after: usize,
    },
    /// A pool whose padding is more than half its window.
    #[error("padding of {pad} along the {axis} is more than half the window, which spans {effective}{}", dilated(*.kernel, *.dilation))]
    PadTooBig {
        /// Along which axis.
        axis: Axis,
        /// The larger of the two paddings.
        pad: usize,
        /// Taps.
        kernel: usize,
        /// Cells from one tap to the next.
        dilation: usize,
        /// The cells that the window spans.
        effective: usize,
    },
    /// A pool's window that holds nothing but padding.
    #[error(
        "window {place} along the {axis} holds no cell of the input: its {kernel} taps, {dilation} apart, fall on padding"
    )]
    Empty {
        /// Along which axis.
        axis: Axis,
        /// Which window, from 1.
        place: usize,
        /// Taps.
        kernel: usize,
        /// Cells from one tap to the next.
        dilation: usize,
    },
}

fn dilated(kernel: usize, dilation: usize) -> String {
    if dilation == 1 {
        String::new()
    } else {
        format!(" ({kernel} taps, {dilation} apart)")
    }
}

fn padded(input: usize, before: usize, after: usize) -> String {
    if before + after == 0 {
        String::new()
    } else {
        format!(" ({input} + {before} + {after})")
    }
}

impl Window {
    /// A kernel that moves cell by cell, without dilation or padding.
    pub fn new(kernel: [usize; 2]) -> Window {
        Window {
            kernel,
            stride: [1, 1],
            dilation: [1, 1],
            pads: Pads::default(),
            ceil: false,
        }
    }

    /// The cells that the window spans.
    pub fn effective(&self) -> [usize; 2] {
        Axis::BOTH.map(|axis| {
            let axis = axis.index();
            self.kernel[axis].saturating_sub(1) * self.dilation[axis] + 1
        })
    }

    /// The same window, padded so that there is one place for each `stride` cells of the input. An
    /// odd cell of padding goes to the end, as in TensorFlow.
    pub fn same(self, input: [usize; 2]) -> Window {
        let [(top, bottom), (left, right)] = Axis::BOTH.map(|axis| {
            let at = axis.index();
            let places = input[at].div_ceil(self.stride[at].max(1));
            let reach = places.saturating_sub(1) * self.stride[at] + self.effective()[at];
            let total = reach.saturating_sub(input[at]);
            (total / 2, total - total / 2)
        });
        Window {
            pads: Pads {
                top,
                left,
                bottom,
                right,
            },
            ..self
        }
    }

    /// The number of places along each axis.
    ///
    /// # Errors
    ///
    /// A kernel, stride or dilation is zero, or the window spans more than the padded input.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2], WindowError> {
        self.refuse_zeros()?;
        let [height, width] = Axis::BOTH.map(|axis| {
            let at = axis.index();
            let (before, after) = self.pads.along(axis);
            let (input, effective) = (input[at], self.effective()[at]);
            let (kernel, dilation) = (self.kernel[at], self.dilation[at]);
            match (input + before + after).checked_sub(effective) {
                Some(room) => Ok(self.places(axis, input, room)),
                None => Err(WindowError::TooBig {
                    axis,
                    kernel,
                    dilation,
                    effective,
                    input,
                    before,
                    after,
                }),
            }
        });
        Ok([height?, width?])
    }

    /// The number of places along an axis where the window has so much room to move.
    fn places(&self, axis: Axis, input: usize, room: usize) -> usize {
        let stride = self.stride[axis.index()];
        let places = room / stride + 1;
        let starts_inside = places * stride < input + self.pads.along(axis).0;
        places + usize::from(self.ceil && !room.is_multiple_of(stride) && starts_inside)
    }

    fn refuse_zeros(&self) -> Result<(), WindowError> {
        let sizes = [
            ("kernel", self.kernel),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ];
        for (what, sizes) in sizes {
            if let Some(axis) = Axis::BOTH.into_iter().find(|axis| sizes[axis.index()] == 0) {
                return Err(WindowError::Zero { what, axis });
            }
        }
        Ok(())
    }

    /// The number of places of a pool, whose windows must not be empty.
    ///
    /// # Errors
    ///
    /// As for [`Window::output`]; or padding is more than half the window, or a window holds
    /// nothing but padding.
    pub fn pool_output(&self, input: [usize; 2]) -> Result<[usize; 2], WindowError> {
        self.refuse_zeros()?;
        for axis in Axis::BOTH {
            let at = axis.index();
            let (before, after) = self.pads.along(axis);
            let (kernel, dilation) = (self.kernel[at], self.dilation[at]);
            let effective = self.effective()[at];
            let pad = before.max(after);
            if pad > effective / 2 {
                return Err(WindowError::PadTooBig {
                    axis,
                    pad,
                    kernel,
                    dilation,
                    effective,
                });
            }
        }
        let output = self.output(input)?;
        for axis in Axis::BOTH {
            let at = axis.index();
            let empty = |&place: &usize| self.cells(axis, place, input[at]).next().is_none();
            if let Some(place) = (0..output[at]).find(empty) {
                let (kernel, dilation) = (self.kernel[at], self.dilation[at]);
                return Err(WindowError::Empty {
                    axis,
                    place: place + 1,
                    kernel,
                    dilation,
                });
            }
        }
        Ok(output)
    }

    /// How the number of places comes about, for messages: `(15 + 2 - 3) / 2 + 1 = 8`.
    pub fn arithmetic(&self, axis: Axis, input: usize) -> String {
        let at = axis.index();
        let (before, after) = self.pads.along(axis);
        let (effective, stride) = (self.effective()[at], self.stride[at]);
        let pad = before + after;
        let padded = if pad == 0 {
            format!("{input}")
        } else {
            format!("{input} + {pad}")
        };
        let Some(room) = (input + pad).checked_sub(effective).filter(|_| stride > 0) else {
            return format!("{padded} - {effective} is less than 0");
        };
        let places = self.places(axis, input, room);
        if stride == 1 {
            return format!("{padded} - {effective} + 1 = {places}");
        }
        let rounded = match (room % stride, self.ceil) {
            (0, _) => "",
            (_, false) => ", rounded down",
            (_, true) if places > room / stride + 1 => ", rounded up",
            (_, true) => ", rounded down: one more window would start beyond the input",
        };
        format!("({padded} - {effective}) / {stride} + 1 = {places}{rounded}")
    }

    /// The taps of the window at a place that fall on the input, and the cells that they fall on.
    pub fn cells(
        &self,
        axis: Axis,
        place: usize,
        input: usize,
    ) -> impl Iterator<Item = (usize, usize)> + use<> {
        let at = axis.index();
        let (dilation, start) = (self.dilation[at], place * self.stride[at]);
        let before = self.pads.along(axis).0;
        (0..self.kernel[at]).filter_map(move |tap| {
            let cell = (start + tap * dilation).checked_sub(before)?;
            (cell < input).then_some((tap, cell))
        })
    }

    /// The taps of the window at a place, row by row, that fall on the input, and the positions in
    /// the map that they fall on.
    pub fn taps(
        &self,
        place: [usize; 2],
        input: [usize; 2],
    ) -> impl Iterator<Item = (usize, usize)> + use<> {
        let window = *self;
        self.cells(Axis::Height, place[0], input[0])
            .flat_map(move |(r, y)| {
                let columns = window.cells(Axis::Width, place[1], input[1]);
                columns.map(move |(s, x)| (r * window.kernel[1] + s, y * input[1] + x))
            })
    }

    /// The taps of the window at a place that fall on the input or on declared padding: what an
    /// average over padding divides by. What `ceil` adds beyond is not counted.
    pub fn taps_with_padding(&self, place: [usize; 2], input: [usize; 2]) -> usize {
        let along = Axis::BOTH.map(|axis| {
            let at = axis.index();
            let (before, after) = self.pads.along(axis);
            let end = before + input[at] + after;
            let start = place[at] * self.stride[at];
            (0..self.kernel[at])
                .filter(|tap| start + tap * self.dilation[at] < end)
                .count()
        });
        along[0] * along[1]
    }

    /// The kernel and what is not at its default, in the words of the language: `3x3, stride 2, pad 0,0,1,1`. Padding
    /// that is not the same on all sides is told as top, left, bottom, right.
    pub fn brief(&self) -> String {
        let pair = |[height, width]: [usize; 2]| match height == width {
            true => height.to_string(),
            false => format!("{height},{width}"),
        };
        let [height, width] = self.kernel;
        let mut text = format!("{height}x{width}");
        if self.stride != [1; 2] {
            text.push_str(&format!(", stride {}", pair(self.stride)));
        }
        if self.dilation != [1; 2] {
            text.push_str(&format!(", dilation {}", pair(self.dilation)));
        }
        let pads = self.pads;
        if pads == Pads::all(pads.top) {
            if pads.top > 0 {
                text.push_str(&format!(", pad {}", pads.top));
            }
        } else {
            text.push_str(&format!(", pad {pads}"));
        }
        if self.ceil {
            text.push_str(", ceil");
        }
        text
    }

    /// The attributes that convolutions and pools have, for dumps: all of them, defaults too, as frameworks differ in
    /// these. A convolution's filter tells its kernel.
    pub(crate) fn attributes(&self) -> String {
        let [height, width] = self.dilation;
        format!("{} dilation {height},{width}", self.stride_and_pad())
    }

    /// How it moves.
    pub(crate) fn stride_and_pad(&self) -> String {
        let [height, width] = self.stride;
        format!("stride {height},{width} pad {}", self.pads)
    }
}

#[cfg(test)]
mod tests;
