//! `residua preprocess`: writes the network's view of an image.

use std::{
    io::{self, Cursor},
    path::Path,
};

use ::image::{ImageFormat, RgbImage};
use residua::Error;

use crate::cli::{io::files::write_file, options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, model: &str, path: &Path, output: &Path) -> Outcome {
    let classifier = global.open(model)?;
    let decoded = global.photo(path);
    let pixels = match decoded.and_then(|decoded| classifier.preprocess(&decoded.image)) {
        Ok(pixels) => pixels,
        Err(error) => {
            global.complain_of(path, &error);
            return Ok(false);
        }
    };
    let mut png = Cursor::new(Vec::new());
    let invalid = |reason: String| Error::io(output, &io::Error::other(reason));
    RgbImage::from_raw(pixels.width as u32, pixels.height as u32, pixels.data)
        .ok_or_else(|| invalid("the crop has the wrong size".into()))?
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| invalid(error.to_string()))?;
    write_file(output, png.get_ref())?;
    Ok(true)
}
