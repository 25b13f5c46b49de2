//! Decodes a file to an upright image, within limits.

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

/// Which images to accept, and whether to turn them upright.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Largest number of pixels that a header may announce. The default is Pillow's limit, 178,956,970.
    pub max_pixels: u64,
    /// Turn a photo upright by the orientation in its EXIF block or XMP packet. On by default; torchvision's and timm's data sets
    /// do not turn photos. TIFF and HEIC files are always turned, as in Pillow.
    pub exif: bool,
    /// Accept a JPEG that ends early; the decoder makes up its last rows. Off by default.
    pub allow_truncated: bool,
    /// Refuse an image that ends early, and one whose damage the decoder could work around. Off by default.
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
    /// The format of the content, whatever the file's name.
    pub format: Format,
    /// The file ends early and its last rows are made up. Only with [`DecodeOptions::allow_truncated`].
    pub truncated: bool,
    /// Damage that the decoder worked around, as it describes it: some pixels may be wrong. Always `None` with
    /// [`DecodeOptions::strict`].
    pub damage: Option<String>,
}

impl Decoded {
    /// The damage that the decoder worked around, as a sentence about the image.
    pub fn flaw(&self) -> Option<String> {
        if self.truncated {
            return Some("it is truncated, and its last rows are made up".into());
        }
        self.damage.as_ref().map(|damage| format!("it is damaged but was decoded: {damage}"))
    }
}

/// Largest file to read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Decodes the image file at `path`, of at most 1 GiB, like [`decode`].
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, and the errors of [`decode`].
pub fn open(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Decoded> {
    let path = path.as_ref();
    let bytes = File::open(path).map_err(|error| Error::io(path, &error)).and_then(|file| read(file, path))?;
    decode(&bytes, options)
}

/// All bytes of an image file; `path` is for messages.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::ImageUnsupported`] if it is larger than 1 GiB.
#[doc(hidden)]
pub fn read(file: impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::image_unsupported(format!("the file has more than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Decodes the bytes of an image file in a supported [format](Format).
///
/// The content decides the format. The size in the header is checked before memory for the pixels is allocated.
/// No input causes a panic, provided that panics unwind.
///
/// # Errors
/// * [`Error::ImageDecode`]: not an image, or a broken one;
/// * [`Error::ImageUnsupported`]: a recognised kind of image that is not supported;
/// * [`Error::ImageTooLarge`]: over [`DecodeOptions::max_pixels`];
/// * [`Error::ImageTruncated`]: the file ends early.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded> {
    let format = sniff::sniff(bytes)?;
    let Picture { mut image, orientation, damage, truncated } = contain(format, || decode_as(format, bytes, options))?;
    if let Some(damage) = damage.as_ref().filter(|_| options.strict) {
        return Err(Error::image_decode(format!("it is damaged: {damage}")));
    }
    // Pillow always turns a TIFF upright.
    if options.exif || format == Format::Tiff {
        image.apply_orientation(orientation);
    }
    Ok(Decoded { image, format, truncated, damage })
}

/// Runs a decoder and turns a panic into an error.
fn contain<T>(format: Format, decoder: impl FnOnce() -> Result<T>) -> Result<T> {
    // A panicking decoder drops all of its state, so no broken value is seen afterwards.
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
        // Pillow always turns a HEIC upright.
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
