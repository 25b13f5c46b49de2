//! Where an image of a stream comes from.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use ::image::DynamicImage;

use crate::{
    Error, Result,
    image::{self, DecodeOptions},
};

/// Largest image file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// An image that is not decoded yet, or is.
#[non_exhaustive]
pub enum ImageSource {
    /// A file, read when its turn comes.
    Path(PathBuf),
    /// The bytes of a file.
    Bytes(Vec<u8>),
    /// The bytes of a file, read to their end when their turn comes.
    Reader(Box<dyn Read + Send>),
    /// Pixels.
    Image(DynamicImage),
}

impl ImageSource {
    /// The image, upright unless `options` say otherwise.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, `image.*` if it cannot be decoded or has more than 1 GiB.
    pub fn decode(self, options: &DecodeOptions) -> Result<DynamicImage> {
        let bytes = match self {
            ImageSource::Image(image) => return Ok(image),
            ImageSource::Bytes(bytes) => bytes,
            ImageSource::Path(path) => {
                let file = File::open(&path).map_err(|error| Error::io(&path, &error))?;
                read(file, &path)?
            }
            ImageSource::Reader(reader) => read(reader, Path::new("stream"))?,
        };
        Ok(image::decode(&bytes, options)?.image)
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

/// All bytes of `reader`, which is called `name` in errors.
fn read(reader: impl Read, name: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Error::io(name, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::ImageUnsupported { reason: format!("the file has more than {MAX_BYTES} bytes") });
    }
    Ok(bytes)
}
