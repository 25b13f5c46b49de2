//! The common output of all decoders, and their limits.

use std::io::ErrorKind;

use ::image::{DynamicImage, ImageBuffer, ImageError, error::UnsupportedErrorKind, metadata::Orientation};

use crate::{Error, Result};

/// Memory that a decoder may use beside the image, in bytes.
pub(super) const DECODER_BYTES: usize = 64 << 20;

/// An image as stored.
pub(super) struct Picture {
    pub(super) image: DynamicImage,
    /// How to turn it upright.
    pub(super) orientation: Orientation,
    pub(super) damage: Option<String>,
    pub(super) truncated: bool,
}

impl Picture {
    /// An undamaged image.
    pub(super) fn whole(image: DynamicImage, orientation: Orientation) -> Self {
        Picture { image, orientation, damage: None, truncated: false }
    }
}

/// Which sizes to accept.
pub(super) struct Sizes {
    pub(super) max_pixels: u64,
}

impl Sizes {
    pub(super) fn check(&self, width: u32, height: u32) -> Result<()> {
        if u64::from(width) * u64::from(height) <= self.max_pixels {
            return Ok(());
        }
        Err(Error::ImageTooLarge { width, height, limit: self.max_pixels })
    }
}

/// Checks a size in columns and rows, and may refuse it.
pub(super) type Check<'a> = &'a dyn Fn(u32, u32) -> Result<()>;

/// An image of one to four bytes per pixel: grey, grey and alpha, RGB, RGBA.
pub(super) fn from_samples(width: u32, height: u32, channels: usize, samples: Vec<u8>) -> Result<DynamicImage> {
    let image = match channels {
        1 => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
        2 => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8),
        3 => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
        _ => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba8),
    };
    image.ok_or_else(|| Error::image_decode("the decoder returned too few pixels"))
}

pub(super) fn error(error: ImageError) -> Error {
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::image_truncated("the file ends early").because(e)
        }
        ImageError::Unsupported(e) => {
            let reason = match e.kind() {
                UnsupportedErrorKind::GenericFeature(feature) => feature,
                _ => e.to_string(),
            };
            Error::image_unsupported(reason).because(e)
        }
        other => Error::image_decode(other.to_string().trim_end()).because(other),
    }
}
