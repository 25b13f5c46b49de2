//! From the bytes of a file to an upright image, within limits.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{
    Format, gif, jpeg,
    orientation::orientation,
    picture::{DECODER_BYTES, Picture, Sizes, error},
    png, sniff, tiff,
};
use crate::error::{Error, Result};

/// What to accept, and whether to turn the image upright.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Largest number of pixels that a header may announce. 178,956,970 unless changed, the point at which Pillow refuses an image.
    pub max_pixels: u64,
    /// Turn a photo upright by the orientation in its EXIF block or XMP packet (the default). torchvision's and timm's data sets do
    /// not. A TIFF and a HEIC are turned in any case, as Pillow does.
    pub exif: bool,
    /// Take a JPEG that ends early, whose last rows are then made up. Off by default.
    pub allow_truncated: bool,
    /// Refuse an image with damage that its decoder can work around, and one that ends early. Off by default.
    pub strict: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions { max_pixels: 178_956_970, exif: true, allow_truncated: false, strict: false }
    }
}

/// A decoded image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// The pixels, upright: grey, RGB or RGBA of 8 bits. The first frame of an animation, the first page of a TIFF.
    pub image: DynamicImage,
    /// The format that the content has, whatever the file is called.
    pub format: Format,
    /// The file ends early and the last rows are made up; only with [`DecodeOptions::allow_truncated`].
    pub truncated: bool,
    /// What the decoder found damaged and worked around, in its words; never with [`DecodeOptions::strict`]. Some of the pixels may
    /// be wrong.
    pub damage: Option<String>,
}

impl Decoded {
    /// The damage that the decoder worked around, as a sentence about the image.
    pub fn flaw(&self) -> Option<String> {
        if self.truncated {
            return Some("it is truncated, and its last rows are made up".into());
        }
        self.damage.as_ref().map(|damage| format!("it is damaged and decoded all the same: {damage}"))
    }
}

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Decodes the image file at `path`, which may have up to 1 GiB, as [`decode`] does.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, and those of [`decode`].
pub fn open(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Decoded> {
    let path = path.as_ref();
    let bytes = File::open(path).map_err(|error| Error::io(path, &error)).and_then(|file| read(file, path))?;
    decode(&bytes, options)
}

/// All bytes of an image file, `path` by name.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::ImageUnsupported`] if it has more than 1 GiB.
pub fn read(file: impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::image_unsupported(format!("the file has more than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Decodes the bytes of an image file of one of the [formats](Format) that are read.
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
    let Picture { mut image, orientation, damage, truncated } = contain(format, || decode_as(format, bytes, options))?;
    if let Some(damage) = damage.as_ref().filter(|_| options.strict) {
        return Err(Error::image_decode(format!("it is damaged: {damage}")));
    }
    // Pillow gives no TIFF as it is stored.
    if options.exif || format == Format::Tiff {
        image.apply_orientation(orientation);
    }
    Ok(Decoded { image, format, truncated, damage })
}

/// Runs a decoder, of which a panic becomes an error.
fn contain<T>(format: Format, decoder: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panicking decoder leaves behind is dropped with it, so nothing broken is seen afterwards.
    catch_unwind(AssertUnwindSafe(decoder))
        .unwrap_or_else(|_| Err(Error::image_decode(format!("the {} decoder panicked", format.name()))))
}

fn decode_as(format: Format, bytes: &[u8], options: &DecodeOptions) -> Result<Picture> {
    let sizes = Sizes { max_pixels: options.max_pixels };
    let allow_truncated = options.allow_truncated && !options.strict;
    match format {
        Format::Jpeg => {
            let segments = jpeg::Segments::read(bytes);
            let check = |width, height| sizes.check(width, height);
            let jpeg::Photo { image, damage, truncated } = jpeg::decode(bytes, &segments, allow_truncated, &check)?;
            let orientation = orientation(segments.exif.as_deref(), segments.xmp);
            Ok(Picture { image: image.into(), orientation, damage, truncated })
        }
        Format::Png => png::decode(bytes, &sizes, options.strict),
        Format::Gif => gif::decode(bytes, &sizes),
        Format::Tiff => tiff::decode(bytes, &sizes, allow_truncated),
        Format::Bmp => by_crate(ImageFormat::Bmp, bytes, &sizes),
        Format::WebP => by_crate(ImageFormat::WebP, bytes, &sizes),
        #[cfg(any(feature = "avif", feature = "heic"))]
        // Pillow gives no HEIC as it is stored.
        Format::Avif | Format::Heic => super::heif::decode(bytes, &sizes, options.exif || format == Format::Heic),
        #[cfg(not(any(feature = "avif", feature = "heic")))]
        Format::Avif | Format::Heic => Err(sniff::not_in_this_build(format)),
    }
}

/// Decodes with the `image` crate alone.
fn by_crate(format: ImageFormat, bytes: &[u8], sizes: &Sizes) -> Result<Picture> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some((4 * sizes.max_pixels).saturating_add(DECODER_BYTES as u64));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(error)?;
    let (width, height) = decoder.dimensions();
    sizes.check(width, height)?;
    let exif = decoder.exif_metadata().ok().flatten();
    let xmp = decoder.xmp_metadata().ok().flatten();
    let orientation = orientation(exif.as_deref(), xmp.as_deref());
    Ok(Picture::whole(DynamicImage::from_decoder(decoder).map_err(error)?, orientation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_30_a_panicking_decoder_is_an_error() {
        let error = contain::<()>(Format::Gif, || panic!("as a fuzzed file may make it")).unwrap_err();
        assert_eq!(error, Error::image_decode("the GIF decoder panicked"));
        assert_eq!(contain(Format::Gif, || Ok(1)), Ok(1));
    }
}
