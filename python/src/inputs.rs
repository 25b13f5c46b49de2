//! Images as Python gives them: a path, the bytes of a file, or pixels.

use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyBytes, PyString},
};
use residua::{
    Result,
    image::{self, DecodeOptions, DynamicImage, RgbImage},
    stream::ImageSource,
};

use crate::errors::of_package;

/// The image that `given` stands for, and the approximate number of its bytes in memory. `exif` turns a Pillow image upright.
///
/// # Errors
/// An exception of the package if it cannot be an image.
pub(crate) fn source(given: &Bound<'_, PyAny>, exif: bool) -> PyResult<(ImageSource, usize)> {
    match plain(given) {
        Some(source) => source,
        None => {
            let py = given.py();
            let made = py.import("residua._inputs")?.call_method1("source", (given, exif))?;
            plain(&made).unwrap_or_else(|| pixels(&made))
        }
    }
}

/// A path or the bytes of a file.
fn plain(given: &Bound<'_, PyAny>) -> Option<PyResult<(ImageSource, usize)>> {
    if let Ok(text) = given.cast::<PyString>() {
        return Some(path(text));
    }
    let bytes = given.cast::<PyBytes>().ok()?.as_bytes();
    Some(Ok((ImageSource::Bytes(bytes.to_vec()), bytes.len())))
}

fn path(text: &Bound<'_, PyString>) -> PyResult<(ImageSource, usize)> {
    let path = text.extract::<std::path::PathBuf>()?;
    let is_address = ["http://", "https://", "data:"].iter().any(|scheme| path.to_string_lossy().starts_with(scheme));
    if is_address {
        let message = format!("{}: addresses are not fetched; give the bytes of the image", path.display());
        return Err(of_package(text.py(), "input.value", &message));
    }
    Ok((ImageSource::Path(path), 0))
}

/// Pixels of an array `[H, W]` or `[H, W, 1 to 4]` of uint8 in C order, as the package makes them.
fn pixels(made: &Bound<'_, PyAny>) -> PyResult<(ImageSource, usize)> {
    let array = made.cast::<PyArrayDyn<u8>>().map_err(|_| PyTypeError::new_err("not an array of uint8"))?;
    let (rows, columns, channels) = match *array.shape() {
        [rows, columns] => (rows, columns, 1),
        [rows, columns, channels @ 1..=4] => (rows, columns, channels),
        ref other => return Err(PyTypeError::new_err(format!("not an image: {other:?}"))),
    };
    let array = array.try_readonly()?;
    let samples = array.as_slice()?;
    // Drop alpha, as the library does.
    let samples: Vec<u8> = match channels {
        1 | 2 => samples.iter().step_by(channels).flat_map(|&grey| [grey; 3]).collect(),
        3 => samples.to_vec(),
        _ => samples.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
    };
    let bytes = samples.len();
    let image = u32::try_from(columns).ok().zip(u32::try_from(rows).ok());
    let image = image.and_then(|(columns, rows)| RgbImage::from_raw(columns, rows, samples));
    let image = image.ok_or_else(|| {
        of_package(made.py(), "input.shape", &format!("an array of {rows} x {columns} pixels is too large"))
    })?;
    Ok((ImageSource::Image(image.into()), bytes))
}

/// The whole image, upright.
pub(crate) fn decoded(source: ImageSource, options: &DecodeOptions) -> Result<DynamicImage> {
    match source {
        ImageSource::Path(path) => Ok(image::open(path, options)?.image),
        ImageSource::Bytes(bytes) => Ok(image::decode(&bytes, options)?.image),
        ImageSource::Image(image) => Ok(image),
        _ => unreachable!("a reader is not made here"),
    }
}
