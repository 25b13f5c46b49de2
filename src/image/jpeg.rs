//! The segments of a JPEG: its coding, its metadata, and whether it is complete.
//!
//! A JPEG is a chain of segments, each `FF`, a marker and, for most, a length; after a start of scan comes entropy-coded data, in which
//! `FF` is followed by `00` (a data byte) or a restart marker. The image ends at the first end-of-image marker on that walk. A marker
//! inside a segment, such as a thumbnail's, does not count, and bytes after the image are ignored. Only the decoder judges whether the
//! segments form an image.

use std::ops::RangeInclusive;

use ::image::RgbImage;

use super::picture::Check;
use crate::{Error, Result};

const PADDING: u8 = 0xff;
const STUFFING: u8 = 0x00;
const TEMPORARY: u8 = 0x01;
const RESTARTS: RangeInclusive<u8> = 0xd0..=0xd7;
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
const METADATA: u8 = 0xe1;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// The header of the image.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// The marker, which shows how the image is coded.
    marker: u8,
    width: u32,
    height: u32,
    #[cfg_attr(
        not(feature = "libjpeg"),
        expect(dead_code, reason = "the decoder in Rust does not report missing data")
    )]
    components: u8,
}

/// Facts from the segments of a JPEG.
#[derive(Debug, Default)]
pub(super) struct Segments<'a> {
    /// Whether there is an end-of-image marker.
    ended: bool,
    frame: Option<Frame>,
    /// Number of scans.
    scans: usize,
    /// Number of components of the first scan.
    first_scan: u8,
    /// The EXIF block: all of its segments joined.
    pub(super) exif: Option<Vec<u8>>,
    /// The XMP packet.
    pub(super) xmp: Option<&'a [u8]>,
}

impl<'a> Segments<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut segments = Segments::default();
        let mut at = 0;
        while let Some(marker) = next_marker(bytes, &mut at) {
            match marker {
                END_OF_IMAGE => {
                    segments.ended = true;
                    break;
                }
                START_OF_IMAGE | TEMPORARY => continue,
                _ => {}
            }
            let Some(&[high, low]) = bytes.get(at..at + 2) else { break };
            let end = at + usize::from(u16::from_be_bytes([high, low]));
            let body = bytes.get(at + 2..end).unwrap_or_default();
            segments.segment(marker, body);
            at = end;
        }
        segments
    }

    fn segment(&mut self, marker: u8, body: &'a [u8]) {
        match marker {
            START_OF_SCAN => {
                if self.scans == 0 {
                    self.first_scan = body.first().copied().unwrap_or(0);
                }
                self.scans += 1;
            }
            METADATA if self.scans == 0 => {
                if let Some(more) = body.strip_prefix(EXIF) {
                    self.exif.get_or_insert_default().extend(more);
                } else if let Some(packet) = body.strip_prefix(XMP) {
                    self.xmp = Some(packet);
                }
            }
            // C0 to CF are frame headers, except for three other tables.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) && self.frame.is_none() => {
                if let &[_, high, low, left, right, components, ..] = body {
                    let (width, height) = (u16::from_be_bytes([left, right]), u16::from_be_bytes([high, low]));
                    self.frame = Some(Frame { marker, width: width.into(), height: height.into(), components });
                }
            }
            _ => {}
        }
    }

    /// Whether the samples are coded arithmetically.
    fn arithmetic(&self) -> bool {
        self.frame.is_some_and(|frame| frame.marker > 0xc8)
    }

    /// Whether samples are predicted from their neighbours instead of transformed in blocks.
    #[cfg(not(feature = "libjpeg"))]
    fn lossless(&self) -> bool {
        self.frame.is_some_and(|frame| frame.marker & 3 == 3)
    }

    /// Whether one pass of Huffman codes holds everything, so that a decoder runs out of data if rows are missing. With several
    /// passes, an early end silently costs detail; with arithmetic coding, the decoder reads zeros after the end.
    #[cfg(feature = "libjpeg")]
    fn one_pass(&self) -> bool {
        let sequential =
            |frame: Frame| matches!(frame.marker, 0xc0 | 0xc1 | 0xc3) && frame.components == self.first_scan;
        self.scans == 1 && self.frame.is_some_and(sequential)
    }

    /// Where a JPEG without an end-of-image marker ends.
    fn missing(&self) -> &'static str {
        match self.scans {
            0 => "the file ends before the first scan",
            _ => "the file ends without an end-of-image marker",
        }
    }

    /// The error of `check` if it fails, else the decoder's, which may have a size limit of its own.
    fn too_large(&self, error: Error, check: Check<'_>) -> Error {
        self.frame.and_then(|frame| check(frame.width, frame.height).err()).unwrap_or(error)
    }

    /// Whether `len` bytes can hold an image of this size: each 8x8 block takes at least one bit, whatever the Huffman codes.
    fn check_room(&self, len: usize, width: u32, height: u32) -> Result<()> {
        let blocks = u64::from(width.div_ceil(8)) * u64::from(height.div_ceil(8));
        if self.arithmetic() || blocks <= 8 * len as u64 {
            return Ok(());
        }
        Err(Error::image_truncated(format!("{len} bytes cannot hold {width}x{height} pixels")))
    }
}

/// A decoded JPEG.
pub(super) struct Photo {
    pub(super) image: RgbImage,
    /// The damage that the decoder reports.
    pub(super) damage: Option<String>,
    /// Some rows are made up.
    pub(super) truncated: bool,
}

/// The pixels of a JPEG as RGB, whether stored as grey, colours or inks.
///
/// A JPEG that ends early is an error unless `allow_truncated`. If only the end marker is missing, all rows are present and
/// the image merely counts as damaged.
///
/// # Errors
/// [`Error::ImageTruncated`], the error of `check`, and [`Error::ImageDecode`] or [`Error::ImageUnsupported`] in the decoder's words.
#[cfg(feature = "libjpeg")]
pub(super) fn decode(bytes: &[u8], segments: &Segments<'_>, allow_truncated: bool, check: Check<'_>) -> Result<Photo> {
    let truncated = || Err(Error::image_truncated(segments.missing()));
    let check = |width, height| check(width, height).and_then(|()| segments.check_room(bytes.len(), width, height));
    if segments.ended {
        let (image, damage) =
            super::libjpeg::decode(bytes, &check).map_err(|error| segments.too_large(error, &check))?;
        return Ok(Photo { image, damage, truncated: false });
    }
    if !segments.one_pass() && !allow_truncated {
        return truncated();
    }
    // With an end marker appended, the decoder warns only if rows are missing. It also reports extra bytes before the marker,
    // such as a camera maker's data; they are not missing rows.
    let ended = [bytes, &[PADDING, END_OF_IMAGE]].concat();
    let (image, warning) = super::libjpeg::decode(&ended, &check)?;
    let whole = warning.is_none_or(|words| words.ends_with("extraneous bytes before marker 0xd9"));
    match segments.one_pass() && whole {
        false if !allow_truncated => truncated(),
        whole => Ok(Photo { image, damage: Some("the end-of-image marker is missing".into()), truncated: !whole }),
    }
}

/// As with the feature `libjpeg`, but with the decoder of the `image` crate: it reads fewer kinds, and its pixels differ by a unit or two.
#[cfg(not(feature = "libjpeg"))]
pub(super) fn decode(bytes: &[u8], segments: &Segments<'_>, allow_truncated: bool, check: Check<'_>) -> Result<Photo> {
    use ::image::{DynamicImage, ImageDecoder, codecs::jpeg::JpegDecoder};
    if !segments.ended && !allow_truncated {
        return Err(Error::image_truncated(segments.missing()));
    }
    let kind = if segments.arithmetic() { Some("arithmetic") } else { segments.lossless().then_some("lossless") };
    if let Some(kind) = kind {
        let reason = format!("a JPEG with {kind} coding, which needs the feature libjpeg");
        return Err(Error::image_unsupported(reason));
    }
    let failed = |error| segments.too_large(super::picture::error(error), check);
    let decoder = JpegDecoder::new(std::io::Cursor::new(bytes)).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check(width, height)?;
    segments.check_room(bytes.len(), width, height)?;
    let image = DynamicImage::from_decoder(decoder).map_err(super::picture::error)?.into_rgb8();
    let damage = (!segments.ended).then(|| "the end-of-image marker is missing".into());
    Ok(Photo { image, damage, truncated: !segments.ended })
}

/// The next marker at or after `at`, which moves past it. Skips entropy-coded data, and garbage between segments.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        *at += bytes.get(*at..)?.iter().position(|&b| b == PADDING)?;
        let marker = loop {
            *at += 1;
            match *bytes.get(*at)? {
                PADDING => {}
                other => break other,
            }
        };
        *at += 1;
        if marker != STUFFING && !RESTARTS.contains(&marker) {
            return Some(marker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SOI, an APP1 that holds a whole thumbnail, a scan with stuffing, a restart and padding, a second scan, EOI,
    /// garbage.
    const WHOLE: &[u8] =
        b"\xff\xd8\xff\xe1\0\x0a\xff\xd8\xff\xd9\xff\xff\x01\x02\xff\xda\0\x02\x11\xff\0\x12\xff\xd0\x13\
        \xff\xff\xda\0\x02\x14\xff\xd9trailing";

    #[test]
    fn the_end_is_found_after_thumbnails_stuffing_restarts_and_scans() {
        assert!(Segments::read(WHOLE).ended);
        let end = WHOLE.len() - b"trailing".len();
        assert!(Segments::read(&WHOLE[..end]).ended);
        for cut in 0..end {
            assert!(!Segments::read(&WHOLE[..cut]).ended, "cut at {cut}");
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_an_early_end() {
        assert!(!Segments::read(b"\xff\xd8\xff\xe1\xff\xff\xff\xd9").ended);
        assert!(!Segments::read(b"\xff\xd8\xff\xe1\0\0\xff").ended);
    }
}
