//! Preprocessing as transformers configures it (`preprocessor_config.json`, or the same inside `processor_config.json`).
//!
//! Source: transformers, `models/*/image_processing_*.py`, `models/auto/image_processing_auto.py`,
//! `image_processing_backends.py`.

use serde::Deserialize;

use serde_json::Value;

use super::{
    json::{invalid, json, numbers},
    preprocess_config::{self, Framing, PreprocessConfig},
};
use crate::{
    Result,
    image::{CropRounding, Filter, Resize},
};

/// Name of the file in messages.
const PLACE: &str = "preprocessor_config.json";

/// `ConvNextImageProcessor` crops if the side is smaller than this, and warps otherwise.
const CROP_BELOW: i64 = 384;

/// A class of transformers with its defaults.
struct Kind {
    /// Its name without `ImageProcessor` or `FeatureExtractor`.
    name: &'static str,
    /// Whether a size of one number stands for both sides; otherwise for the shorter one.
    square: bool,
    size: i64,
    /// Side of the crop, for those that crop.
    crop: Option<i64>,
    resample: i64,
    mean: [f64; 3],
    std: [f64; 3],
}

pub(super) const HALF: [f64; 3] = [0.5; 3];
pub(super) const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
pub(super) const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The classes that prepare photos for classifiers.
const KINDS: [Kind; 5] = [
    Kind { name: "ConvNext", square: false, size: 384, crop: None, resample: 3, mean: HALF, std: HALF },
    Kind { name: "ViT", square: true, size: 224, crop: None, resample: 2, mean: HALF, std: HALF },
    Kind { name: "DeiT", square: true, size: 256, crop: Some(224), resample: 3, mean: HALF, std: HALF },
    Kind { name: "CLIP", square: false, size: 224, crop: Some(224), resample: 3, mean: CLIP_MEAN, std: CLIP_STD },
    Kind { name: "Bit", square: false, size: 224, crop: Some(224), resample: 3, mean: CLIP_MEAN, std: CLIP_STD },
];

/// Classes that read the same fields in another way.
const OTHERS: [&str; 7] = ["EfficientNet", "Levit", "MobileViT", "Perceiver", "PoolFormer", "Siglip2", "TextNet"];

/// The fields of `preprocessor_config.json` that are read.
#[derive(Deserialize)]
struct RawProcessor {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    do_center_crop: Option<bool>,
    do_pad: Option<bool>,
    do_flip_channel_order: Option<bool>,
    size: Option<RawSize>,
    crop_size: Option<RawSize>,
    crop_pct: Option<f64>,
    resample: Option<i64>,
    rescale_factor: Option<f64>,
    #[serde(default, deserialize_with = "numbers")]
    image_mean: Option<Vec<f64>>,
    #[serde(default, deserialize_with = "numbers")]
    image_std: Option<Vec<f64>>,
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(untagged)]
enum RawSize {
    Side(i64),
    Pair([i64; 2]),
    Sides { height: i64, width: i64 },
    Shortest { shortest_edge: i64, longest_edge: Option<i64> },
}

/// The validated preprocessing from the file's text. A `processor_config.json` has the same fields under `image_processor`. If the file
/// names no class, `model_type` decides.
///
/// # Errors
/// [`crate::Error::ConfigValue`] if the text is not such a file, a value is out of range, or a step is not supported.
pub(super) fn preprocess(text: &str, model_type: Option<&str>) -> Result<PreprocessConfig> {
    let value: Value = json(PLACE, text)?;
    let (place, value) = match value.get("image_processor") {
        Some(inner) => ("processor_config.json", inner),
        None => (PLACE, &value),
    };
    let raw: RawProcessor = json(place, &value.to_string())?;
    let class = raw.image_processor_type.as_deref().or(raw.feature_extractor_type.as_deref());
    let name =
        class.map(|class| class.split("ImageProcessor").next().unwrap_or(class).trim_end_matches("FeatureExtractor"));
    if let Some(other) = name.filter(|name| OTHERS.contains(name)) {
        return Err(invalid(place, "image_processor_type", other, "ConvNext, ViT, DeiT, CLIP and Bit are supported"));
    }
    let name = name.or(match model_type {
        Some("resnet" | "regnet") => Some("ConvNext"),
        Some("bit") => Some("Bit"),
        _ => None,
    });
    Processor { place, kind: KINDS.iter().find(|kind| Some(kind.name) == name), raw }.read()
}

/// A file and its class, if known.
struct Processor {
    place: &'static str,
    kind: Option<&'static Kind>,
    raw: RawProcessor,
}

impl Processor {
    fn read(&self) -> Result<PreprocessConfig> {
        let Processor { place, kind, raw } = self;
        for (field, value) in [("do_resize", raw.do_resize), ("do_rescale", raw.do_rescale)] {
            if value == Some(false) {
                return Err(invalid(place, field, false, "only true is supported"));
            }
        }
        for (field, value) in [("do_pad", raw.do_pad), ("do_flip_channel_order", raw.do_flip_channel_order)] {
            if value == Some(true) {
                return Err(invalid(place, field, true, "only false is supported"));
            }
        }
        if let Some(factor) = raw.rescale_factor.filter(|factor| (factor * 255.0 - 1.0).abs() > 1e-6) {
            return Err(invalid(place, "rescale_factor", factor, "only 1/255 is supported"));
        }
        let filter = match raw.resample.or(kind.map(|kind| kind.resample)) {
            Some(2) => Filter::Bilinear,
            Some(3) => Filter::Bicubic,
            Some(other) => return Err(invalid(place, "resample", other, "2 (bilinear) or 3 (bicubic)")),
            None => return Err(self.missing("resample")),
        };
        let (mean, std) = if raw.do_normalize == Some(false) {
            ([0.0; 3], [1.0; 3])
        } else {
            let mean = raw.image_mean.as_deref().or(kind.map(|kind| kind.mean.as_slice()));
            let std = raw.image_std.as_deref().or(kind.map(|kind| kind.std.as_slice()));
            let mean = mean.ok_or_else(|| self.missing("image_mean"))?;
            let std = std.ok_or_else(|| self.missing("image_std"))?;
            (preprocess_config::mean(place, "image_mean", mean)?, preprocess_config::std(place, "image_std", std)?)
        };
        Ok(PreprocessConfig {
            stated_in: (*place).into(),
            framing: self.framing()?,
            test_framing: None,
            filter,
            rounding: CropRounding::Floor,
            mean,
            std,
        })
    }

    fn framing(&self) -> Result<Framing> {
        let Processor { kind, raw, .. } = self;
        let crops = raw.do_center_crop.unwrap_or(kind.is_some_and(|kind| kind.crop.is_some()));
        let size = raw.size.or(kind.map(|kind| RawSize::Side(kind.size))).ok_or_else(|| self.missing("size"))?;
        let convnext = kind.map_or(raw.crop_pct.is_some(), |kind| kind.name == "ConvNext");
        let square = kind.map_or(!crops, |kind| kind.square);
        let (height, width) = match size {
            RawSize::Side(side) | RawSize::Shortest { shortest_edge: side, longest_edge: None } if convnext => {
                return self.convnext(side, crops);
            }
            RawSize::Side(side) if square => (side, side),
            RawSize::Sides { height, width } | RawSize::Pair([height, width]) => (height, width),
            RawSize::Side(side) | RawSize::Shortest { shortest_edge: side, longest_edge: None } if crops => {
                let resize = Resize::Shorter(self.side("size", side)?);
                let (height, width) = self.crop()?;
                return Ok(Framing { height, width, resize });
            }
            other => {
                return Err(invalid(
                    self.place,
                    "size",
                    format!("{other:?}"),
                    "a size that determines the input's height and width",
                ));
            }
        };
        let (height, width) = (self.side("size", height)?, self.side("size", width)?);
        let resize = Resize::Squash { height, width };
        let (height, width) = if crops { self.crop()? } else { (height, width) };
        Ok(Framing { height, width, resize })
    }

    /// The framing of `ConvNextImageProcessor`: it crops in its own way, or not at all. `crops` adds the other classes' crop.
    fn convnext(&self, shorter: i64, crops: bool) -> Result<Framing> {
        let side = self.side("size", shorter)?;
        if crops && self.raw.crop_size.is_some() && self.crop()? != (side, side) {
            return Err(invalid(self.place, "do_center_crop", true, "only false is supported with this crop_size"));
        }
        let resize = if shorter < CROP_BELOW {
            // The class's default is 224 / 256.
            Resize::Shorter(preprocess_config::resized(
                self.place,
                "crop_pct",
                side,
                self.raw.crop_pct.unwrap_or(0.875),
            )?)
        } else {
            Resize::Squash { height: side, width: side }
        };
        Ok(Framing { height: side, width: side, resize })
    }

    fn crop(&self) -> Result<(usize, usize)> {
        let default = self.kind.and_then(|kind| kind.crop).map(RawSize::Side);
        let (height, width) = match self.raw.crop_size.or(default).ok_or_else(|| self.missing("crop_size"))? {
            RawSize::Side(side) | RawSize::Shortest { shortest_edge: side, .. } => (side, side),
            RawSize::Sides { height, width } | RawSize::Pair([height, width]) => (height, width),
        };
        Ok((self.side("crop_size", height)?, self.side("crop_size", width)?))
    }

    fn side(&self, field: &str, value: i64) -> Result<usize> {
        preprocess_config::side(self.place, field, value)
    }

    fn missing(&self, field: &str) -> crate::Error {
        invalid(self.place, field, "missing", "is needed")
    }
}
