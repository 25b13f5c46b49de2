//! Reads the first image of a TIFF, of the kinds that cameras, scanners and programs write. Colours become RGB as in Pillow.

mod layout;

use std::io::{Cursor, ErrorKind};

use ::image::{DynamicImage, RgbImage, metadata::Orientation};
use tiff::{
    TiffError,
    decoder::{ChunkType, Decoder, Limits, ifd::Value},
    tags::Tag,
};

use self::layout::{Colours, Layout};
use super::{
    jpeg, orientation,
    picture::{Picture, Sizes},
};
use crate::{Error, Result};

/// Tags without a name in the `tiff` crate.
const XMP: Tag = Tag::Unknown(700);
const DNG_VERSION: Tag = Tag::Unknown(50_706);

type Reader<'a> = Decoder<Cursor<&'a [u8]>>;

/// The place of a strip or tile in the image, in pixels, and its plane.
struct Place {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    plane: u16,
}

/// The pixels of the first image, with 8 bits per channel: the upper eight of 16.
pub(super) fn decode(bytes: &[u8], sizes: &Sizes, allow_truncated: bool) -> Result<Picture> {
    if bytes.get(8..10) == Some(b"CR") {
        return Err(raw_photo());
    }
    let mut reader = open(bytes)?;
    let (width, height) = reader.dimensions().map_err(error)?;
    sizes.check(width, height)?;
    let layout = Layout::read(&mut reader)?;
    let orientation = turn(&mut reader)?;
    // The crate does not support palettes, so read their indices as grey.
    let grey = if layout.is_palette() { Some(layout::as_grey(bytes)?) } else { None };
    if let Some(grey) = &grey {
        reader = open(grey)?;
    }
    let places = places(&mut reader, &layout, sizes)?;
    let mut picture = Picture::whole(DynamicImage::new_rgb8(0, 0), orientation);
    let mut image = RgbImage::new(width, height);
    let coded = if layout.jpeg { Some(Coded::read(&mut reader, bytes, &layout)?) } else { None };
    for (index, place) in (0..).zip(&places) {
        let samples = match &coded {
            Some(coded) => {
                let part = coded.part(index, reader.chunk_dimensions(), allow_truncated)?;
                picture.damage = picture.damage.or(part.damage);
                picture.truncated |= part.truncated;
                layout::cut(&part.image, place)?
            }
            None => layout.samples(reader.read_chunk(index as u32).map_err(error)?, place)?,
        };
        layout.paste(&samples, place, &mut image);
    }
    picture.image = DynamicImage::ImageRgb8(image);
    Ok(picture)
}

fn open(bytes: &[u8]) -> Result<Reader<'_>> {
    let mut limits = Limits::unlimited();
    limits.ifd_value_size = 4 << 20;
    Ok(Decoder::new(Cursor::new(bytes)).map_err(error)?.with_limits(limits))
}

/// The strips or tiles to read, in the order of the file.
fn places(reader: &mut Reader<'_>, layout: &Layout, sizes: &Sizes) -> Result<Vec<Place>> {
    let (width, height) = reader.dimensions().map_err(error)?;
    let (chunk_width, chunk_height) = match reader.get_chunk_type() {
        ChunkType::Strip => (width, reader.chunk_dimensions().1.min(height)),
        ChunkType::Tile => reader.chunk_dimensions(),
    };
    if chunk_width == 0 || chunk_height == 0 {
        return Err(Error::image_decode("TIFF: strips or tiles without pixels"));
    }
    let (across, down) = (width.div_ceil(chunk_width), height.div_ceil(chunk_height));
    // Pixels beyond the edge are decoded too.
    sizes.check(across.saturating_mul(chunk_width), down.saturating_mul(chunk_height))?;
    let count = match reader.get_chunk_type() {
        ChunkType::Strip => reader.strip_count(),
        ChunkType::Tile => reader.tile_count(),
    };
    if count.map_err(error)? < across * down * u32::from(layout.planes) {
        return Err(Error::image_truncated("the TIFF has fewer strips or tiles than its image"));
    }
    let mut places = Vec::new();
    for plane in 0..layout.planes {
        for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
            let (left, top) = (column * chunk_width, row * chunk_height);
            let (width, height) = (chunk_width.min(width - left), chunk_height.min(height - top));
            places.push(Place { left, top, width, height, plane });
        }
    }
    Ok(places)
}

/// How to turn the image upright: by its own tag, or by the one in its XMP packet.
fn turn(reader: &mut Reader<'_>) -> Result<Orientation> {
    if reader.find_tag(DNG_VERSION).map_err(error)?.is_some() {
        return Err(raw_photo());
    }
    if let Ok(Some(value)) = reader.find_tag(Tag::Orientation) {
        let value = match value {
            Value::Byte(value) => Some(value),
            Value::SignedByte(value) => u8::try_from(value).ok(),
            Value::Short(value) => u8::try_from(value).ok(),
            Value::SignedShort(value) => u8::try_from(value).ok(),
            Value::Unsigned(value) => u8::try_from(value).ok(),
            Value::Signed(value) => u8::try_from(value).ok(),
            Value::UnsignedBig(value) => u8::try_from(value).ok(),
            Value::SignedBig(value) => u8::try_from(value).ok(),
            _ => None,
        };
        return Ok(value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms));
    }
    let xmp = reader.get_tag_u8_vec(XMP).ok();
    Ok(orientation::orientation(None, xmp.as_deref()))
}

/// Strips or tiles that are JPEG files with shared tables.
struct Coded<'a> {
    bytes: &'a [u8],
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    /// The start of every file: its first marker, its colours and the tables.
    start: Vec<u8>,
}

impl<'a> Coded<'a> {
    fn read(reader: &mut Reader<'_>, bytes: &'a [u8], layout: &Layout) -> Result<Self> {
        let (offsets, lengths) = match reader.get_chunk_type() {
            ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
            ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
        };
        let offsets = reader.get_tag_u64_vec(offsets).map_err(error)?;
        let lengths = reader.get_tag_u64_vec(lengths).map_err(error)?;
        let mut start = b"\xff\xd8".to_vec();
        // Only the TIFF tags state the components; an Adobe segment passes them to the JPEG decoder.
        match layout.colours {
            Colours::Rgb => start.extend(b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"),
            Colours::YCbCr => start.extend(b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01"),
            _ => {}
        }
        if let Some(tables) = reader.find_tag(Tag::JPEGTables).map_err(error)? {
            let tables = tables.into_u8_vec().map_err(error)?;
            start.extend(
                tables.strip_prefix(b"\xff\xd8").and_then(|rest| rest.strip_suffix(b"\xff\xd9")).unwrap_or(&[]),
            );
        }
        Ok(Coded { bytes, offsets, lengths, start })
    }

    /// Decodes one strip or tile of at most `most` columns and rows.
    fn part(&self, index: usize, most: (u32, u32), allow_truncated: bool) -> Result<jpeg::Photo> {
        let part = self.offsets.get(index).zip(self.lengths.get(index)).and_then(|(offset, length)| {
            let start = usize::try_from(*offset).ok()?;
            self.bytes.get(start..start.checked_add(usize::try_from(*length).ok()?)?)?.strip_prefix(b"\xff\xd8")
        });
        let part = part.ok_or_else(|| Error::image_truncated("the TIFF ends before its last strip"))?;
        let check = |width: u32, height: u32| {
            if width <= most.0 && height <= most.1 {
                return Ok(());
            }
            let reason = format!("TIFF: a JPEG of {width}x{height} in a strip or tile of {}x{}", most.0, most.1);
            Err(Error::image_decode(reason))
        };
        let whole = [&self.start, part].concat();
        jpeg::decode(&whole, &jpeg::Segments::read(&whole), allow_truncated, &check)
    }
}

fn raw_photo() -> Error {
    Error::image_unsupported("a camera's raw photo; develop it into a JPEG, PNG or TIFF first")
}

fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::image_unsupported(format!("TIFF: {what}; convert it to PNG first"))
}

fn error(error: TiffError) -> Error {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::image_truncated("the TIFF ends early").because(error)
        }
        TiffError::UnsupportedError(what) => unsupported(&what).because(what),
        other => Error::image_decode(format!("TIFF: {other}")).because(other),
    }
}
