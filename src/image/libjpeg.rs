//! JPEG by libjpeg-turbo's decoder (the `mozjpeg` crate, whose decoder is the same code), which Pillow uses too: the pixels are
//! Pillow's bit for bit. The decoder of the `image` crate rounds otherwise, which moves the scores of small images.

use ::image::{DynamicImage, RgbImage};
use mozjpeg::{ColorSpace, Decompress};

use crate::{Error, Result};

/// The pixels of a JPEG as 8-bit RGB; nothing for a colour space that libjpeg does not turn into RGB (CMYK, YCCK). Panics inside
/// libjpeg's error handler are for the caller to catch.
///
/// # Errors
/// [`Error::ImageDecode`] in libjpeg's words.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<DynamicImage>> {
    let failed = |error: std::io::Error| Error::ImageDecode { reason: error.to_string() };
    let decompress = Decompress::new_mem(bytes).map_err(failed)?;
    match decompress.color_space() {
        ColorSpace::JCS_YCbCr | ColorSpace::JCS_RGB | ColorSpace::JCS_GRAYSCALE => {}
        _ => return Ok(None),
    }
    let mut started = decompress.rgb().map_err(failed)?;
    let (width, height) = (started.width() as u32, started.height() as u32);
    let pixels: Vec<u8> = started.read_scanlines().map_err(failed)?;
    match RgbImage::from_raw(width, height, pixels) {
        Some(image) => Ok(Some(DynamicImage::ImageRgb8(image))),
        None => Err(Error::ImageDecode { reason: "the JPEG decoder gave too few rows".into() }),
    }
}
