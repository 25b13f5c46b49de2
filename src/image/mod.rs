//! From the bytes of a photo to the network's input: decode, resize, crop, normalise.
//!
//! [`decode`] reads an image file of any supported [`Format`]; [`Preprocess::pixels`] resizes and crops the image to
//! [`Pixels`], bit for bit as Pillow does; [`Preprocess::batch`] adds a table with the normalised number for each value, and
//! the device looks the values up.

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

/// The type of images in memory.
pub use ::image::{DynamicImage, RgbImage};
pub use crop::CropRounding;
pub use decode::{DecodeOptions, Decoded, decode, open, read};
pub use format::Format;
pub use preprocess::{IMAGENET_MEAN, IMAGENET_STD, Preprocess, Region, Resize};
pub use resample::Filter;

/// An 8-bit RGB image in the network's input size, before normalisation.
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
