//! Decodes PNG; damage after the pixels is not an error.

use std::io::{Cursor, ErrorKind};

use png::{ColorType, Decoder, DecodingError, Info, InterlaceInfo, Limits, Reader, Transformations};

use super::{
    orientation::orientation,
    picture::{DECODER_BYTES, Picture, Sizes, from_samples},
};
use crate::{Error, Result};

/// Keyword of the chunk with an XMP packet, keyword of ImageMagick's text with EXIF, and the largest text to unpack in bytes.
const XMP: &str = "XML:com.adobe.xmp";
const RAW_EXIF: &str = "Raw profile type exif";
const TEXT_BYTES: usize = 1 << 20;

/// The pixels of a PNG with 8 bits per channel: the upper eight of 16, as in Pillow. The checksum of the unpacked pixels
/// counts only with `strict`.
pub(super) fn decode(bytes: &[u8], sizes: &Sizes, strict: bool) -> Result<Picture> {
    // Check the header first, so that nothing is allocated for an image that is too large.
    if let Some((width, height)) = announced(bytes) {
        sizes.check(width, height)?;
    }
    // The limit bounds a row and the compressed metadata, but not the pixels.
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: DECODER_BYTES });
    decoder.set_ignore_iccp_chunk(true);
    if strict {
        decoder.ignore_checksums(false);
    }
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(error)?;
    let (width, height) = reader.info().size();
    let (colour, _) = reader.output_color_type();
    let mut samples = vec![0; reader.output_buffer_size().ok_or_else(|| error(DecodingError::LimitsExceeded))?];
    read_rows(&mut reader, &mut samples)?;
    let damage = rest(&mut reader)?.map(|words| format!("after its pixels: {words}"));
    let channels = match colour {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb | ColorType::Indexed => 3,
        ColorType::Rgba => 4,
    };
    let image = from_samples(width, height, channels, samples)?;
    Ok(Picture { image, orientation: turn(reader.info()), damage, truncated: false })
}

/// Reads the chunks after the pixels, such as metadata, and returns their damage: an early end or a broken chunk there changes no
/// pixel. A wrong checksum of a chunk of pixels is an error.
fn rest(reader: &mut Reader<Cursor<&[u8]>>) -> Result<Option<String>> {
    match reader.next_interlaced_row() {
        Ok(_) => Ok(reader.finish().err().map(|error| error.to_string())),
        Err(DecodingError::IoError(early)) if early.kind() == ErrorKind::UnexpectedEof => Ok(Some(early.to_string())),
        Err(broken) => Err(error(broken)),
    }
}

/// Columns and rows from the header.
fn announced(bytes: &[u8]) -> Option<(u32, u32)> {
    let (width, rest) = bytes.get(16..)?.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*rest.first_chunk()?)))
}

/// Reads all rows and nothing more.
fn read_rows(reader: &mut Reader<Cursor<&[u8]>>, samples: &mut [u8]) -> Result<()> {
    let width = reader.info().width;
    let stride = reader.output_line_size(width).ok_or_else(|| error(DecodingError::LimitsExceeded))?;
    if !reader.info().interlaced {
        for row in samples.chunks_exact_mut(stride) {
            reader.read_row(row).map_err(error)?;
        }
        return Ok(());
    }
    let bits = 8 * (stride / width as usize) as u8;
    for _ in 0..interlaced_rows(width, reader.info().height) {
        let row = reader.next_interlaced_row().map_err(error)?;
        if let Some((InterlaceInfo::Adam7(pass), data)) = row.as_ref().map(|row| (row.interlace(), row.data())) {
            png::expand_interlaced_row(samples, stride, data, pass, bits);
        }
    }
    Ok(())
}

/// Number of rows in the seven passes of an interlaced image.
fn interlaced_rows(width: u32, height: u32) -> u32 {
    /// First column and row of each pass, and its step from row to row.
    const PASSES: [(u32, u32, u32); 7] = [(0, 0, 8), (4, 0, 8), (0, 4, 8), (2, 0, 4), (0, 2, 4), (1, 0, 2), (0, 1, 2)];
    let filled = PASSES.iter().filter(|(column, _, _)| *column < width);
    filled.map(|(_, row, step)| height.saturating_sub(*row).div_ceil(*step)).sum()
}

/// How to turn the image upright.
fn turn(info: &Info) -> ::image::metadata::Orientation {
    let xmp = info.utf8_text.iter().rev().find(|text| text.keyword == XMP);
    let xmp = xmp.and_then(|text| {
        let mut text = text.clone();
        text.decompress_text_with_limit(TEXT_BYTES).ok()?;
        text.get_text().ok()
    });
    let raw = if info.exif_metadata.is_none() { raw_exif(info) } else { None };
    orientation(info.exif_metadata.as_deref().or(raw.as_deref()), xmp.as_deref().map(str::as_bytes))
}

/// The EXIF block in ImageMagick's text: an empty line, a name, a length, and lines of hexadecimal digits.
fn raw_exif(info: &Info) -> Option<Vec<u8>> {
    let packed = info.compressed_latin1_text.iter().rev().find(|text| text.keyword == RAW_EXIF);
    let plain = info.uncompressed_latin1_text.iter().rev().find(|text| text.keyword == RAW_EXIF);
    let text = if let Some(packed) = packed {
        let mut packed = packed.clone();
        packed.decompress_text_with_limit(TEXT_BYTES).ok()?;
        packed.get_text().ok()?
    } else {
        plain?.text.clone()
    };
    let digits = text.split('\n').skip(3).flat_map(str::chars).filter(|c| !c.is_ascii_whitespace());
    let digits = digits.map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<Vec<u8>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn error(error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::image_truncated("the file ends early").because(error)
        }
        other => Error::image_decode(other.to_string().trim_end()).because(other),
    }
}
