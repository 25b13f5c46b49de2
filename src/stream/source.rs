//! Sources of images for a stream.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    Classifier, Pixels, Result,
    image::{self, DecodeOptions, DynamicImage},
};

/// An image, decoded or not.
#[non_exhaustive]
pub enum ImageSource {
    /// A file, to read when its turn comes.
    Path(PathBuf),
    /// The bytes of a file.
    Bytes(Vec<u8>),
    /// A reader of a file's bytes, read to the end when its turn comes.
    Reader(Box<dyn Read + Send>),
    /// Pixels.
    Image(DynamicImage),
}

/// An image ready for the network.
pub(super) struct Prepared {
    pub(super) pixels: Pixels,
    /// The sentence of [`Decoded::flaw`](image::Decoded::flaw).
    pub(super) flaw: Option<String>,
}

impl ImageSource {
    /// Decodes and preprocesses the image for `classifier`.
    ///
    /// # Errors
    /// The errors of [`image::open`], and of [`Classifier::preprocess`].
    pub(super) fn prepare(self, classifier: &Classifier, options: &DecodeOptions) -> Result<Prepared> {
        let decoded = match self {
            ImageSource::Path(path) => image::open(&path, options)?,
            ImageSource::Bytes(bytes) => image::decode(&bytes, options)?,
            ImageSource::Reader(reader) => image::decode(&image::read(reader, Path::new("stream"))?, options)?,
            ImageSource::Image(image) => return Ok(Prepared { pixels: classifier.preprocess(&image)?, flaw: None }),
        };
        Ok(Prepared { pixels: classifier.preprocess(&decoded.image)?, flaw: decoded.flaw() })
    }
}

impl fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::Path(path) => write!(f, "Path({path:?})"),
            ImageSource::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            ImageSource::Reader(_) => f.write_str("Reader"),
            ImageSource::Image(image) => write!(f, "Image({}x{})", image.width(), image.height()),
        }
    }
}
