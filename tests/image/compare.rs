//! Test files, and the difference between two images.

use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use residua::image::{DecodeOptions, Pixels, decode};

/// A path under `tests/golden/`.
pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// The files of `folder` with their names, in order. Panics if there are none.
pub(crate) fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.into_iter().map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), p)).collect()
}

/// Decodes a file with the default options.
pub(crate) fn open(path: &Path) -> DynamicImage {
    let bytes = std::fs::read(path).unwrap();
    decode(&bytes, &DecodeOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display())).image
}

/// The image as the code under test returns it.
pub(crate) fn pixels(image: &RgbImage) -> Pixels {
    Pixels { width: image.width() as usize, height: image.height() as usize, data: image.as_raw().clone() }
}

/// Differences between two images of the same size, over all samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Difference {
    pub(crate) max: u8,
    pub(crate) mean: f64,
}

/// Compares sample by sample.
pub(crate) fn difference(name: &str, got: &Pixels, want: &Pixels) -> Difference {
    assert_eq!((got.width, got.height), (want.width, want.height), "{name}: width and height");
    assert_eq!(got.data.len(), want.data.len(), "{name}: samples");
    assert!(!got.data.is_empty(), "{name}: nothing to compare");
    let apart = || got.data.iter().zip(&want.data).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = apart().map(f64::from).sum();
    Difference { max: apart().max().unwrap_or(0), mean: sum / got.data.len() as f64 }
}

/// Fails unless the images are equal bit for bit.
pub(crate) fn assert_equal(name: &str, got: &Pixels, want: &Pixels) {
    let apart = difference(name, got, want);
    assert_eq!(apart.max, 0, "{name}: {apart:?}");
}

fn ramp() -> Pixels {
    Pixels { width: 4, height: 5, data: (0..60).collect() }
}

#[test]
fn one_sample_off_by_one_is_seen() {
    let mut other = ramp();
    other.data[59] -= 1;
    assert_eq!(difference("ramp", &ramp(), &other), Difference { max: 1, mean: 1.0 / 60.0 });
    assert_equal("ramp", &ramp(), &ramp());
}

#[test]
#[should_panic(expected = "ramp: Difference")]
fn assert_equal_can_fail() {
    let mut other = ramp();
    other.data[0] = 1;
    assert_equal("ramp", &ramp(), &other);
}

#[test]
#[should_panic(expected = "width and height")]
fn a_transposed_image_is_another() {
    assert_equal("ramp", &ramp(), &Pixels { width: 5, height: 4, ..ramp() });
}
