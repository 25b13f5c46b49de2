//! The first frame of a GIF on its background, as Pillow shows it.

use std::borrow::Cow;

use ::image::{DynamicImage, RgbImage, metadata::Orientation};
use gif::{DecodeOptions, DecodingError, MemoryLimit};

use super::picture::{Picture, Sizes};
use crate::{Error, Result};

/// Offset of the header byte that announces a global palette, its flag, and the bits for a palette of 256 colours.
const FLAGS: usize = 10;
const HEADER: usize = 13;
const HAS_PALETTE: u8 = 0x80;
const ALL_COLOURS: u8 = 0x07;

/// The first frame, on a canvas of the transparent colour or else of the palette's first one: no viewer uses the header's
/// background colour. A frame that reaches beyond the canvas enlarges it.
pub(super) fn decode(bytes: &[u8], sizes: &Sizes) -> Result<Picture> {
    let bytes = with_palette(bytes);
    let mut options = DecodeOptions::new();
    options.set_memory_limit(MemoryLimit::Unlimited);
    options.allow_unknown_blocks(true);
    let mut decoder = options.read_info(&*bytes).map_err(error)?;
    let (width, height) = (decoder.width(), decoder.height());
    sizes.check(width.into(), height.into())?;
    let frame = decoder.next_frame_info().map_err(error)?;
    let frame = frame.ok_or_else(|| Error::image_decode("the GIF has no image"))?.clone();
    let canvas_width = u32::from(width).max(u32::from(frame.left) + u32::from(frame.width));
    let canvas_height = u32::from(height).max(u32::from(frame.top) + u32::from(frame.height));
    sizes.check(canvas_width, canvas_height)?;
    let mut indices = vec![0; usize::from(frame.width) * usize::from(frame.height)];
    decoder.read_into_buffer(&mut indices).map_err(error)?;
    let colours = colours(decoder.palette().map_err(error)?);
    let colour = |index: u8| ::image::Rgb(colours[usize::from(index)]);
    let mut image = RgbImage::from_pixel(canvas_width, canvas_height, colour(frame.transparent.unwrap_or(0)));
    let rows = indices.chunks_exact(usize::from(frame.width).max(1));
    for (y, row) in (u32::from(frame.top)..).zip(rows) {
        for (x, index) in (u32::from(frame.left)..).zip(row) {
            image.put_pixel(x, y, colour(*index));
        }
    }
    Ok(Picture::whole(DynamicImage::ImageRgb8(image), Orientation::NoTransforms))
}

/// The bytes of the file, with a grey palette added if it has none: such a GIF is grey.
fn with_palette(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes.split_at_checked(HEADER) {
        Some((header, rest)) if header[FLAGS] & HAS_PALETTE == 0 => {
            let mut whole = header.to_vec();
            whole[FLAGS] |= HAS_PALETTE | ALL_COLOURS;
            whole.extend((0..=u8::MAX).flat_map(|grey| [grey; 3]));
            whole.extend(rest);
            Cow::Owned(whole)
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// The palette extended to 256 colours: with greys if it is a grey ramp so far, else with black.
fn colours(palette: &[u8]) -> [[u8; 3]; 256] {
    let (given, _) = palette.as_chunks::<3>();
    let grey = given.iter().enumerate().all(|(i, colour)| colour.iter().all(|&value| usize::from(value) == i));
    std::array::from_fn(|i| given.get(i).copied().unwrap_or(if grey { [i as u8; 3] } else { [0; 3] }))
}

fn error(error: DecodingError) -> Error {
    match error {
        DecodingError::UnexpectedEof => Error::image_truncated("the file ends early"),
        other => Error::image_decode(format!("GIF: {other}")).because(other),
    }
}
