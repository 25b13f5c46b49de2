//! The preprocessing that a model's configuration states, as plain data.

use super::json::invalid;
use crate::{
    Result,
    image::{CropRounding, Filter, Preprocess, Resize},
};

/// Accepted sides of an input, in pixels.
const SIDES: std::ops::RangeInclusive<i64> = 32..=2048;

/// Longest side to which a configuration may resize an image before the crop.
const MAX_RESIZE: f64 = 8192.0;

/// How pixels become the network's input: resize, crop the centre, divide by 255, subtract `mean`, divide by `std`.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessConfig {
    /// The file that states it, or another source.
    pub stated_in: String,
    /// The training size, which timm and transformers use by default.
    pub framing: Framing,
    /// The size at which the authors evaluate the model, if it differs.
    pub test_framing: Option<Framing>,
    /// Resampling filter, antialiased.
    pub filter: Filter,
    /// How the crop's offset is rounded if the margin is odd.
    pub rounding: CropRounding,
    /// Subtracted from red, green and blue in 0..1.
    pub mean: [f32; 3],
    /// Divisors of the result: standard deviations.
    pub std: [f32; 3],
}

/// Size of the input and the resize before the centre crop.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Resize before the crop.
    pub resize: Resize,
}

impl PreprocessConfig {
    /// The preprocessing at the training size or, with `test_size`, at the evaluation size if one is stated.
    pub fn preprocess(&self, test_size: bool) -> Preprocess {
        let Framing { height, width, resize } = self.test_framing.filter(|_| test_size).unwrap_or(self.framing);
        let PreprocessConfig { filter, rounding, mean, std, .. } = *self;
        Preprocess { height, width, resize, filter, rounding, mean, std, ..Preprocess::torchvision() }
    }
}

/// Checks a side of the input, in pixels.
pub(super) fn side(place: &str, field: &str, value: i64) -> Result<usize> {
    if SIDES.contains(&value) {
        Ok(value as usize)
    } else {
        Err(invalid(place, field, value, format!("a side is {} to {} pixels", SIDES.start(), SIDES.end())))
    }
}

/// The side before the crop: `floor(side / crop_pct)`.
pub(super) fn resized(place: &str, field: &str, side: usize, crop_pct: f64) -> Result<usize> {
    if !(crop_pct > 0.0 && crop_pct <= 1.0) {
        return Err(invalid(place, field, crop_pct, "above 0 and at most 1"));
    }
    let resized = (side as f64 / crop_pct).floor();
    if resized > MAX_RESIZE {
        return Err(invalid(
            place,
            field,
            crop_pct,
            format!("a value that resizes to at most {MAX_RESIZE} pixels, not {resized}"),
        ));
    }
    Ok(resized as usize)
}

/// Three means in `0..=1`, or one for all.
pub(super) fn mean(place: &str, field: &str, values: &[f64]) -> Result<[f32; 3]> {
    triple(place, field, values, "one number or three, from 0 to 1", |v| (0.0..=1.0).contains(&v))
}

/// Three standard deviations, above 0 and at most 1, or one for all.
pub(super) fn std(place: &str, field: &str, values: &[f64]) -> Result<[f32; 3]> {
    triple(place, field, values, "one number or three, above 0 and at most 1", |v| v as f32 > 0.0 && v <= 1.0)
}

fn triple(place: &str, field: &str, values: &[f64], expected: &str, fits: impl Fn(f64) -> bool) -> Result<[f32; 3]> {
    match values {
        [all] if fits(*all) => Ok([*all as f32; 3]),
        [r, g, b] if values.iter().all(|v| fits(*v)) => Ok([*r as f32, *g as f32, *b as f32]),
        _ => Err(invalid(place, field, format!("{values:?}"), expected)),
    }
}
