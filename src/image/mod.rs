//! From the bytes of a photo to what a network reads: decode, resize, crop, normalise.
//!
//! [`decode`] turns the bytes of an image file of any [`Format`] that is read into an image; [`Preprocess::pixels`] resizes and
//! crops it to [`Pixels`], bit for bit as Pillow does; [`Preprocess::batch`] says what number each of their values stands
//! for, and the device looks them up.

mod cmyk;
mod crop;
mod decode;
mod format;
mod gif;
#[cfg(any(feature = "avif", feature = "heic"))]
mod heif;
mod jpeg;
#[cfg(feature = "libjpeg")]
mod libjpeg;
mod orientation;
mod picture;
mod png;
mod preprocess;
mod resample;
mod sniff;
mod tiff;

/// What images are in memory.
pub use ::image::{DynamicImage, RgbImage};
pub use crop::CropRounding;
pub use decode::{DecodeOptions, Decoded, decode, open, read};
pub use format::Format;
pub use preprocess::{IMAGENET_MEAN, IMAGENET_STD, Preprocess, Region, Resize};
pub use resample::Filter;

/// An 8-bit RGB image of the size that a network takes, before normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` values: rows from top to bottom, pixels from left to right, red, green and blue
    /// interleaved.
    pub data: Vec<u8>,
}
