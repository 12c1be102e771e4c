//! Pictures in PNG and JPEG files, as bytes per pixel and channel.
//!
//! The header's sizes are held against limits before a pixel is decoded, so that a small hostile
//! file cannot ask for gigabytes. What a picture becomes in a network is decided above.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use super::{Guess, InFile};

/// The most pixels of a picture. Decoding a progressive JPEG of that size takes up to 180 MB: two
/// bytes for each coefficient and one for each value of three channels.
const MAX_PIXELS: u64 = 20_000_000;
/// The longest side.
const MAX_SIDE: u32 = 32_768;
/// The largest file: more than twice as large as the pixels of a picture without any compression.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1: grey; 3: red, green, blue.
    pub channels: usize,
    /// Rows from the top, pixels from the left, the channels of a pixel side by side; 255 is full.
    pub pixels: Vec<u8>,
}

/// Why a picture could not be had.
#[derive(Debug, Error)]
pub enum ImageProblem {
    /// The system refused to open or read it.
    #[error("cannot read")]
    Read {
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It is neither format.
    #[error("is not a PNG or JPEG picture{guess}")]
    Format {
        /// What it may be instead.
        guess: Guess,
    },
    /// The file is larger than any picture that is taken.
    #[error("holds more than the {} MB that are read of a picture", MAX_FILE_BYTES >> 20)]
    FileTooLarge,
    /// The picture is too large.
    #[error(
        "claims {width} x {height} pixels; at most {} million and {MAX_SIDE} a side are read: \
         make it smaller first",
        MAX_PIXELS / 1_000_000
    )]
    TooLarge {
        /// Pixels of a row, as the header says.
        width: u32,
        /// Rows, as the header says.
        height: u32,
    },
    /// The file is damaged, or cut off.
    #[error("is a damaged {format} picture: {reason}")]
    Damaged {
        /// The format that its first bytes promise.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// Reads a picture file; [`decode`] says how.
///
/// # Errors
///
/// The file cannot be read or is no picture that can be taken.
pub fn read(path: &Path) -> Result<Picture, InFile<ImageProblem>> {
    let read = || {
        let failed = |source| ImageProblem::Read { source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        decode(&bytes)
    };
    read().map_err(|problem| InFile::new(path, problem))
}

/// Decodes the bytes of a PNG or JPEG file; which of the two is told by the first bytes, not by a
/// name.
///
/// A picture of shades of grey has one channel, every other three. Transparency is dropped and the
/// colour below it kept, as `convert("RGB")` of Pillow does; of 16 bits a value, the nearest 8 are
/// kept. The orientation that cameras note beside a picture is not applied.
///
/// # Errors
///
/// The bytes are no such picture, damaged, or claim more pixels than are read.
pub fn decode(bytes: &[u8]) -> Result<Picture, ImageProblem> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImageProblem::FileTooLarge);
    }
    let (format, name) = match image::guess_format(bytes) {
        Ok(format @ ImageFormat::Png) => (format, "PNG"),
        Ok(format @ ImageFormat::Jpeg) => (format, "JPEG"),
        _ => {
            let guess = Guess::from_start(bytes.get(..16).unwrap_or(bytes));
            return Err(ImageProblem::Format { guess });
        }
    };
    let damaged = |error: image::ImageError| ImageProblem::Damaged {
        format: name,
        reason: error.to_string(),
    };
    let mut limits = Limits::default();
    // Twice 16 bits in four channels: what decoding and the conversion below hold at once.
    limits.max_alloc = Some(MAX_PIXELS * 8);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || width > MAX_SIDE || height > MAX_SIDE {
        return Err(ImageProblem::TooLarge { width, height });
    }
    let grey = matches!(
        decoder.color_type(),
        ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16
    );
    let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    let pixels = if grey {
        image.into_luma8().into_raw()
    } else {
        image.into_rgb8().into_raw()
    };
    Ok(Picture {
        width: width as usize,
        height: height as usize,
        channels: if grey { 1 } else { 3 },
        pixels,
    })
}

impl Picture {
    /// The picture with one channel or three: grey pixels get three equal channels, and colours
    /// their luma by ITU-R recommendation 601, `0.299 R + 0.587 G + 0.114 B`, rounded as Pillow does.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Picture {
        let pixels = match (self.channels, channels) {
            (1, 3) => self.pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => self.pixels.chunks_exact(3).map(luma).collect(),
            _ => return self,
        };
        Picture {
            channels,
            pixels,
            ..self
        }
    }

    /// The pixels in channel, row, column order, as networks take them.
    #[must_use]
    pub fn planes(&self) -> Vec<u8> {
        let of = |channel| {
            let pixels = self.pixels.chunks_exact(self.channels);
            pixels.map(move |pixel| pixel[channel])
        };
        (0..self.channels).flat_map(of).collect()
    }
}

/// The luma in fixed point of 16 bits.
fn luma(pixel: &[u8]) -> u8 {
    let of = |channel: usize, part: u32| u32::from(pixel[channel]) * part;
    ((of(0, 19_595) + of(1, 38_470) + of(2, 7_471) + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, RgbImage, RgbaImage};

    fn png(image: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn reads_grey_and_colours_and_drops_transparency() {
        let grey = GrayImage::from_raw(2, 1, vec![7, 200]).unwrap();
        let found = decode(&png(&grey.into())).unwrap();
        assert_eq!((found.width, found.height, found.channels), (2, 1, 1));
        assert_eq!(found.pixels, [7, 200]);
        let clear = RgbaImage::from_raw(1, 2, vec![1, 2, 3, 0, 4, 5, 6, 9]).unwrap();
        let found = decode(&png(&clear.into())).unwrap();
        assert_eq!((found.width, found.height, found.channels), (1, 2, 3));
        assert_eq!(found.pixels, [1, 2, 3, 4, 5, 6]);
        assert_eq!(found.planes(), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn reads_jpeg_nearly_as_it_was() {
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|at| (at / 6) as u8).collect();
        let mut bytes = Vec::new();
        let image = RgbImage::from_raw(16, 16, pixels.clone()).unwrap();
        image
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 100))
            .unwrap();
        let found = decode(&bytes).unwrap();
        assert_eq!(found.pixels.len(), pixels.len());
        let most = found.pixels.iter().zip(&pixels);
        let most = most.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most <= 4, "{most}");
    }

    #[test]
    fn grey_is_pillows() {
        let picture = Picture {
            width: 4,
            height: 1,
            channels: 3,
            pixels: vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30],
        };
        // 76.245, 149.685, 29.07 and 18.15, rounded.
        let grey = picture.with_channels(1);
        assert_eq!(grey.pixels, [76, 150, 29, 18]);
        assert_eq!(grey.with_channels(3).pixels[..3], [76, 76, 76]);
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "is not a PNG or JPEG picture");
        assert_eq!(
            message(b"\x1f\x8b\x08\x00"),
            "is not a PNG or JPEG picture (it looks like a gzip file)"
        );
        let grey = GrayImage::from_raw(40, 40, (0..1600).map(|at| at as u8).collect()).unwrap();
        let mut bytes = png(&grey.into());
        let found = message(&bytes[..bytes.len() / 2]);
        assert!(found.starts_with("is a damaged PNG picture: "), "{found}");
        // The header's width and its checksum, as of a picture of 60,000 by 40.
        bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let found = message(&bytes);
        assert!(found.starts_with("claims 60000 x 40 pixels; at most 20 million and"));
        let folder = tempfile::tempdir().unwrap();
        let message = read(&folder.path().join("a.png")).unwrap_err().to_string();
        assert!(message.ends_with("a.png`: cannot read"), "{message}");
    }
}
