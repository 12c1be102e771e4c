//! How a picture becomes a sample: the steps of `from image(…)`, the same for `run`, `eval` and `train`.
//!
//! In this order, as torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize` do to a Pillow image:
//!
//! 1. The picture becomes grey (for an input of 1 channel) or red, green and blue (for 3):
//!    [`Picture::with_channels`].
//! 2. It is resized with antialiasing ([`crate::io::resample`]). With a single size the shorter side gets it, and the
//!    longer one becomes `size * long / short`, rounded down.
//! 3. The middle is cut out. Where the margins cannot be equal, the top one is `(height - crop) / 2` rounded to the even
//!    neighbour, and so is the left one.
//! 4. Bytes are divided by 255; the mean is taken off, and the rest is divided by the standard deviation.
//!
//! [`fit`] does the first three; the last is done where batches are made ([`super::data::Scaling`]).

use crate::io::image::Picture;
use crate::io::resample::{self, Axis};
use crate::sema::{Filter, PictureInput, Resize};

/// A picture that is too small for its input.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a picture of {found_height} x {found_width} pixels (height x width){resized} is too small for the input, which takes {height} x {width}; \
     `resize = cover` makes it large enough"
)]
pub struct FitPictureError {
    found_height: usize,
    found_width: usize,
    resized: String,
    height: usize,
    width: usize,
}

/// The size of a picture after resizing.
fn resized([height, width]: [usize; 2], input: &PictureInput) -> [usize; 2] {
    let [_, wanted_height, wanted_width] = input.input;
    let proportional = |short: usize| {
        if height <= width {
            [short, short * width / height]
        } else {
            [short * height / width, short]
        }
    };
    match input.resize {
        Resize::Keep => [height, width],
        Resize::Exact(size) => size,
        Resize::Short(short) => proportional(short),
        // The side that needs the greater factor decides; the other is rounded down, but covers.
        Resize::Cover => {
            if wanted_height * width >= wanted_width * height {
                let across = (wanted_height * width / height).max(wanted_width);
                [wanted_height, across]
            } else {
                [
                    (wanted_width * height / width).max(wanted_height),
                    wanted_width,
                ]
            }
        }
    }
}

/// Whether a picture of this size would be changed.
pub(super) fn changes(channels: usize, size: [usize; 2], input: &PictureInput) -> bool {
    let [wanted_channels, height, width] = input.input;
    channels != wanted_channels || size != [height, width] || resized(size, input) != size
}

/// The bytes of an input of `[channels, height, width]`, plane by plane.
///
/// # Errors
///
/// The picture is too small for what is cut out of it.
pub fn fit(picture: Picture, input: &PictureInput) -> Result<Vec<u8>, FitPictureError> {
    let [channels, height, width] = input.input;
    let size = [picture.height, picture.width];
    let [tall, wide] = resized(size, input);
    if tall < height || wide < width {
        let resized = match [tall, wide] == size {
            true => String::new(),
            false => format!(", resized to {tall} x {wide},"),
        };
        return Err(FitPictureError {
            found_height: picture.height,
            found_width: picture.width,
            resized,
            height,
            width,
        });
    }
    let picture = picture.with_channels(channels);
    let kernel = match input.filter {
        Filter::Bilinear => resample::BILINEAR,
        Filter::Bicubic => resample::BICUBIC,
    };
    let axis = |from, to, count| Axis {
        from,
        to,
        start: margin(to - count),
        count,
    };
    let (rows, columns) = (
        axis(picture.height, tall, height),
        axis(picture.width, wide, width),
    );
    let cut = Picture {
        width,
        height,
        channels,
        pixels: resample::resample(&picture.pixels, channels, rows, columns, kernel),
    };
    Ok(cut.planes())
}

/// Half of what is left over, rounded to the even neighbour.
fn margin(over: usize) -> usize {
    let half = over / 2;
    if over % 4 == 3 { half + 1 } else { half }
}

#[cfg(test)]
mod tests;
