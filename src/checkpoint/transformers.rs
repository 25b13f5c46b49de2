//! Preprocessing as transformers configures it (`preprocessor_config.json`).
//!
//! Source: transformers, `models/convnext/image_processing_convnext.py`, `image_processing_utils.py`.

use serde::Deserialize;

use super::{
    config::{invalid, json},
    preprocess::{self, Framing, PreprocessConfig},
};
use crate::{
    Result,
    image::{CropRounding, Filter, Resize},
};

/// Name of the file in messages.
const PLACE: &str = "preprocessor_config.json";

/// `ConvNextImageProcessor` crops below this side, and warps from it on.
const CROP_BELOW: usize = 384;

/// `preprocessor_config.json`, as far as it is used.
#[derive(Deserialize)]
struct RawProcessor {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    do_center_crop: Option<bool>,
    size: Option<RawSize>,
    crop_size: Option<RawSize>,
    crop_pct: Option<f64>,
    resample: Option<i64>,
    rescale_factor: Option<f64>,
    image_mean: Option<Vec<f64>>,
    image_std: Option<Vec<f64>>,
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(untagged)]
enum RawSize {
    Side(i64),
    Sides { height: i64, width: i64 },
    Shortest { shortest_edge: i64 },
}

/// The validated preprocessing of the file's text.
///
/// # Errors
/// [`crate::Error::ConfigValue`] for text that is no such file, for a value out of its range, and for a step that
/// is not supported.
pub(super) fn preprocess(text: &str) -> Result<PreprocessConfig> {
    let raw: RawProcessor = json(PLACE, text)?;
    for (field, value) in [("do_resize", raw.do_resize), ("do_rescale", raw.do_rescale)] {
        if value == Some(false) {
            return Err(invalid(PLACE, field, false, "only true is supported"));
        }
    }
    if let Some(factor) = raw.rescale_factor.filter(|factor| (factor * 255.0 - 1.0).abs() > 1e-6) {
        return Err(invalid(PLACE, "rescale_factor", factor, "only 1/255 is supported"));
    }
    let filter = match raw.resample {
        Some(2) => Filter::Bilinear,
        Some(3) => Filter::Bicubic,
        Some(other) => return Err(invalid(PLACE, "resample", other, "2 (bilinear) or 3 (bicubic)")),
        None => return Err(missing("resample")),
    };
    let (mean, std) = if raw.do_normalize == Some(false) {
        ([0.0; 3], [1.0; 3])
    } else {
        let mean = raw.image_mean.as_deref().ok_or_else(|| missing("image_mean"))?;
        let std = raw.image_std.as_deref().ok_or_else(|| missing("image_std"))?;
        (preprocess::mean(PLACE, "image_mean", mean)?, preprocess::std(PLACE, "image_std", std)?)
    };
    let framing = raw.framing()?;
    Ok(PreprocessConfig {
        stated_in: PLACE.into(),
        framing,
        test_framing: None,
        filter,
        rounding: CropRounding::Floor,
        mean,
        std,
    })
}

impl RawProcessor {
    fn framing(&self) -> Result<Framing> {
        let size = self.size.ok_or_else(|| missing("size"))?;
        let kind = self.image_processor_type.as_deref().or(self.feature_extractor_type.as_deref());
        let convnext = kind.map_or(self.crop_pct.is_some(), |kind| kind.starts_with("ConvNext"));
        let side = |value| preprocess::side(PLACE, "size", value);
        match size {
            RawSize::Side(value) | RawSize::Shortest { shortest_edge: value } if convnext => {
                let side = side(value)?;
                let resize = if side < CROP_BELOW {
                    // The default of the class is 224 / 256.
                    let crop_pct = self.crop_pct.unwrap_or(0.875);
                    Resize::Shorter(preprocess::resized(PLACE, "crop_pct", side, crop_pct)?)
                } else {
                    Resize::Squash { height: side, width: side }
                };
                Ok(Framing { height: side, width: side, resize })
            }
            RawSize::Side(value) | RawSize::Shortest { shortest_edge: value } if self.do_center_crop == Some(true) => {
                let resize = Resize::Shorter(side(value)?);
                let (height, width) = match self.crop_size.ok_or_else(|| missing("crop_size"))? {
                    RawSize::Side(side) | RawSize::Shortest { shortest_edge: side } => (side, side),
                    RawSize::Sides { height, width } => (height, width),
                };
                let side = |value| preprocess::side(PLACE, "crop_size", value);
                Ok(Framing { height: side(height)?, width: side(width)?, resize })
            }
            RawSize::Side(value) => squash(side(value)?, side(value)?),
            RawSize::Sides { height, width } if self.do_center_crop != Some(true) => {
                squash(side(height)?, side(width)?)
            }
            other => Err(invalid(PLACE, "size", format!("{other:?}"), "leaves the size of the input open")),
        }
    }
}

fn squash(height: usize, width: usize) -> Result<Framing> {
    Ok(Framing { height, width, resize: Resize::Squash { height, width } })
}

fn missing(field: &str) -> crate::Error {
    invalid(PLACE, field, "missing", "is needed")
}
