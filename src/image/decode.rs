//! From the bytes of a file to an upright image, within limits.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::error::UnsupportedErrorKind;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::{jpeg, sniff};
use crate::error::{Error, Result};

/// What to accept, and whether to turn the image upright.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Largest number of pixels that a header may announce; also, at four bytes a pixel, the largest decoded size in
    /// bytes. 178,956,970 unless changed, the point at which Pillow refuses an image.
    pub max_pixels: u64,
    /// Apply the EXIF orientation (the default). torchvision's and timm's data sets do not.
    pub exif: bool,
    /// Take a JPEG that ends early, whose last rows are then made up. Off by default.
    pub allow_truncated: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions { max_pixels: 178_956_970, exif: true, allow_truncated: false }
    }
}

/// A decoded image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// The pixels as stored, upright: grey, RGB or RGBA of 8 or 16 bits. The first frame of an animation.
    pub image: DynamicImage,
    /// The format that the content has, whatever the file is called.
    pub format: ImageFormat,
    /// The file ends early and the last rows are made up; only with [`DecodeOptions::allow_truncated`].
    pub truncated: bool,
}

/// Bytes of one pixel that count against the limit, and room for what the decoder needs beside the image.
const PIXEL_BYTES: u64 = 4;
const DECODER_BYTES: u64 = 64 << 20;

/// Decodes a JPEG, PNG, WebP, GIF or BMP file.
///
/// The format is told by the content. The size is checked from the header, before anything is allocated for the pixels.
/// No input makes this panic, as long as panics unwind.
///
/// # Errors
/// * [`Error::ImageDecode`]: no image, or a broken one;
/// * [`Error::ImageUnsupported`]: a kind of image that is recognised but not read;
/// * [`Error::ImageTooLarge`]: over [`DecodeOptions::max_pixels`];
/// * [`Error::ImageTruncated`]: the file ends early.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded> {
    let format = sniff::sniff(bytes)?;
    let missing = if format == ImageFormat::Jpeg { jpeg::missing(bytes) } else { None };
    if let Some(missing) = missing.filter(|_| !options.allow_truncated) {
        return Err(Error::ImageTruncated { reason: missing.into() });
    }
    let image = contain(format, || decode_as(format, bytes, options))?;
    Ok(Decoded { image, format, truncated: missing.is_some() })
}

/// Runs a decoder, of which a panic becomes an error.
fn contain<T>(format: ImageFormat, decoder: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panicking decoder leaves behind is dropped with it, so nothing broken is seen afterwards.
    catch_unwind(AssertUnwindSafe(decoder)).unwrap_or_else(|_| {
        Err(Error::ImageDecode { reason: format!("the {} decoder panicked", format.to_mime_type()) })
    })
}

fn decode_as(format: ImageFormat, bytes: &[u8], options: &DecodeOptions) -> Result<DynamicImage> {
    let most_bytes = options.max_pixels.saturating_mul(PIXEL_BYTES);
    let check = |width: u32, height: u32, pixel_bytes: u64| {
        let limit = options.max_pixels.min(most_bytes / pixel_bytes);
        if u64::from(width) * u64::from(height) <= limit {
            return Ok(());
        }
        Err(Error::ImageTooLarge { width, height, limit })
    };
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(most_bytes.saturating_add(DECODER_BYTES));
    if let (ImageFormat::Png, Some((width, height))) = (format, png_size(bytes)) {
        check(width, height, 1)?;
        // It bounds a row and what is packed beside the pixels, such as a colour profile, and not the pixels.
        limits.max_alloc = Some(DECODER_BYTES);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);

    let mut decoder = reader.into_decoder().map_err(error)?;
    let (width, height) = decoder.dimensions();
    check(width, height, decoder.color_type().bytes_per_pixel().into())?;
    if format == ImageFormat::Jpeg && !jpeg::can_hold(bytes, width, height) {
        let reason = format!("{} bytes cannot hold {width}x{height} pixels", bytes.len());
        return Err(Error::ImageTruncated { reason });
    }
    let orientation = match options.exif {
        true => decoder.orientation().unwrap_or(Orientation::NoTransforms),
        false => Orientation::NoTransforms,
    };
    #[cfg(feature = "libjpeg")]
    let exact = if format == ImageFormat::Jpeg { super::libjpeg::decode(bytes)? } else { None };
    #[cfg(not(feature = "libjpeg"))]
    let exact = None;
    let mut image = match exact {
        Some(image) => image,
        None => DynamicImage::from_decoder(decoder).map_err(error)?,
    };
    image.apply_orientation(orientation);
    Ok(image)
}

/// Columns and rows out of the header of a PNG, which comes first.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let (width, rest) = bytes.get(16..)?.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*rest.first_chunk()?)))
}

fn error(error: ImageError) -> Error {
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::ImageTruncated { reason: "the file ends early".into() }
        }
        ImageError::Unsupported(e) => Error::ImageUnsupported {
            reason: match e.kind() {
                UnsupportedErrorKind::GenericFeature(feature) => feature,
                _ => e.to_string(),
            },
        },
        other => Error::ImageDecode { reason: other.to_string().trim_end().into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_30_a_panicking_decoder_is_an_error() {
        let error = contain::<()>(ImageFormat::Gif, || panic!("as a fuzzed file may make it")).unwrap_err();
        assert_eq!(error, Error::ImageDecode { reason: "the image/gif decoder panicked".into() });
        assert_eq!(contain(ImageFormat::Gif, || Ok(1)), Ok(1));
    }
}
