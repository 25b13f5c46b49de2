//! AVIF and HEIC through the system's libheif, which turns them upright as the file says.

use ::image::{DynamicImage, metadata::Orientation};
use libheif_rs::{ColorSpace, HeifContext, HeifError, RgbChroma};

use super::decode::{Picture, Sizes, from_samples};
use crate::{Error, Result};

/// The pixels of the main image, with 8 bits a channel.
pub(super) fn decode(bytes: &[u8], sizes: &Sizes) -> Result<Picture> {
    let context = HeifContext::read_from_bytes(bytes).map_err(error)?;
    let handle = context.primary_image_handle().map_err(error)?;
    sizes.check(handle.width(), handle.height())?;
    let image = handle.decode(ColorSpace::Rgb(RgbChroma::Rgb), false).map_err(error)?;
    let planes = image.planes();
    let plane = planes.interleaved.ok_or_else(|| Error::ImageDecode { reason: "libheif gave no pixels".into() })?;
    let rows = plane.data.chunks(plane.stride).take(plane.height as usize);
    let samples = rows.filter_map(|row| row.get(..3 * plane.width as usize)).flatten().copied().collect();
    let image: DynamicImage = from_samples(plane.width, plane.height, 3, samples)?;
    Ok(Picture::whole(image, Orientation::NoTransforms))
}

fn error(error: HeifError) -> Error {
    Error::ImageDecode { reason: format!("libheif: {}", error.message) }
}
