//! AVIF and HEIC through the system's libheif.
//!
//! libheif 1.15 does not widen the range of grey images stored with values from 16 to 235: they have less contrast than in
//! Pillow.

use ::image::{DynamicImage, metadata::Orientation};
use libheif_rs::{ColorSpace, HeifContext, HeifError, HeifErrorCode, HeifErrorSubCode, RgbChroma};

use super::picture::{Picture, Sizes, from_samples};
use crate::{Error, Result};

/// The pixels of the main image, 8 bits per channel. `upright` turns, mirrors and crops it as the file states.
pub(super) fn decode(bytes: &[u8], sizes: &Sizes, upright: bool) -> Result<Picture> {
    let context = HeifContext::read_from_bytes(bytes).map_err(error)?;
    let handle = context.primary_image_handle().map_err(error)?;
    // The size of the decoded image; the file may show only a part of it.
    sizes.check(handle.ispe_width().unsigned_abs(), handle.ispe_height().unsigned_abs())?;
    let image = handle.decode(ColorSpace::Rgb(RgbChroma::Rgb), !upright).map_err(error)?;
    let planes = image.planes();
    let plane = planes.interleaved.ok_or_else(|| Error::image_decode("libheif returned no pixels"))?;
    let rows = plane.data.chunks(plane.stride).take(plane.height as usize);
    let samples = rows.filter_map(|row| row.get(..3 * plane.width as usize)).flatten().copied().collect();
    let image: DynamicImage = from_samples(plane.width, plane.height, 3, samples)?;
    Ok(Picture::whole(image, Orientation::NoTransforms))
}

fn error(error: HeifError) -> Error {
    let reason = format!("libheif: {}", error.message.trim_end());
    match (error.code, error.sub_code) {
        (_, HeifErrorSubCode::EndOfData) => Error::image_truncated(reason),
        (HeifErrorCode::UnsupportedFileType | HeifErrorCode::UnsupportedFeature, _) => Error::image_unsupported(reason),
        _ => Error::image_decode(reason),
    }
}
