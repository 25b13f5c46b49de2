//! Classifies and embeds image files, which it reads and decodes as the command does.

use std::path::Path;

use crate::{
    Classifier, Error, Prediction, Result,
    image::{self, Decoded, Pixels},
};

/// The result for each image of a batch.
type Each<T> = Result<Vec<Result<T>>>;

impl Classifier {
    /// Returns the classes of the image file at `path`, decoded by [`image::open`] with the settings of
    /// [`Builder::decode`](crate::Builder::decode) and turned upright. Damage is logged as a warning.
    ///
    /// # Errors
    /// The errors of [`image::open`] and [`Classifier::infer`].
    pub fn infer_path(&self, path: impl AsRef<Path>) -> Result<Prediction> {
        one(self.predict(&[self.pixels_of_path(path.as_ref())?])?)
    }

    /// Returns the classes of an image file given as bytes, as [`Classifier::infer_path`] returns them.
    ///
    /// # Errors
    /// The errors of [`image::decode`] and [`Classifier::infer`].
    pub fn infer_bytes(&self, bytes: &[u8]) -> Result<Prediction> {
        one(self.predict(&[self.pixels_of_bytes(bytes)?])?)
    }

    /// Returns the classes of each image file, or its error. All good images run in one batch.
    ///
    /// # Errors
    /// As [`Classifier::infer_batch`]; the error of a single file takes the place of its result.
    #[doc(hidden)]
    pub fn infer_path_batch(&self, paths: &[impl AsRef<Path>]) -> Each<Prediction> {
        let pixels = paths.iter().map(|path| self.pixels_of_path(path.as_ref()));
        each(pixels, |pixels| self.predict(pixels))
    }

    /// Returns the classes of each image file given as bytes, as [`Classifier::infer_path_batch`] returns them.
    ///
    /// # Errors
    /// As [`Classifier::infer_path_batch`].
    #[doc(hidden)]
    pub fn infer_bytes_batch(&self, files: &[impl AsRef<[u8]>]) -> Each<Prediction> {
        let pixels = files.iter().map(|bytes| self.pixels_of_bytes(bytes.as_ref()));
        each(pixels, |pixels| self.predict(pixels))
    }

    /// Returns the features of the image file at `path`, as [`Classifier::embed`] returns them.
    ///
    /// # Errors
    /// The errors of [`image::open`] and [`Classifier::embed`].
    pub fn embed_path(&self, path: impl AsRef<Path>) -> Result<Vec<f32>> {
        one(self.features(&[self.pixels_of_path(path.as_ref())?])?)
    }

    /// Returns the features of an image file given as bytes, as [`Classifier::embed`] returns them.
    ///
    /// # Errors
    /// The errors of [`image::decode`] and [`Classifier::embed`].
    pub fn embed_bytes(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        one(self.features(&[self.pixels_of_bytes(bytes)?])?)
    }

    /// Returns the features of each image file, or its error. All good images run in one batch.
    ///
    /// # Errors
    /// As [`Classifier::embed_batch`]; the error of a single file takes the place of its result.
    #[doc(hidden)]
    pub fn embed_path_batch(&self, paths: &[impl AsRef<Path>]) -> Each<Vec<f32>> {
        let pixels = paths.iter().map(|path| self.pixels_of_path(path.as_ref()));
        each(pixels, |pixels| self.features(pixels))
    }

    /// Returns the features of each image file given as bytes, as [`Classifier::embed_path_batch`] returns them.
    ///
    /// # Errors
    /// As [`Classifier::embed_path_batch`].
    #[doc(hidden)]
    pub fn embed_bytes_batch(&self, files: &[impl AsRef<[u8]>]) -> Each<Vec<f32>> {
        let pixels = files.iter().map(|bytes| self.pixels_of_bytes(bytes.as_ref()));
        each(pixels, |pixels| self.features(pixels))
    }

    fn pixels_of_path(&self, path: &Path) -> Result<Pixels> {
        self.pixels_of(image::open(path, self.decode_options())?, &path.display())
    }

    fn pixels_of_bytes(&self, bytes: &[u8]) -> Result<Pixels> {
        self.pixels_of(image::decode(bytes, self.decode_options())?, &"an image")
    }

    fn pixels_of(&self, decoded: Decoded, name: &dyn std::fmt::Display) -> Result<Pixels> {
        if let Some(flaw) = decoded.flaw() {
            log::warn!("{name}: {flaw}");
        }
        self.preprocess(&decoded.image)
    }
}

fn one<T>(mut results: Vec<T>) -> Result<T> {
    Ok(results.remove(0))
}

/// Runs the good images together and puts the errors of the others in their places.
fn each<T>(pixels: impl Iterator<Item = Result<Pixels>>, run: impl FnOnce(&[Pixels]) -> Result<Vec<T>>) -> Each<T> {
    let mut good = Vec::new();
    let places: Vec<Result<()>> = pixels.map(|pixels| pixels.map(|pixels| good.push(pixels))).collect();
    let mut results = run(&good)?.into_iter();
    let missing = || Error::Shape { node: "output".into(), reason: "fewer rows than images".into() };
    Ok(places.into_iter().map(|place| place.and_then(|()| results.next().ok_or_else(missing))).collect())
}
