//! Preprocessing as timm configures it (`pretrained_cfg`).
//!
//! Source: timm, `data/config.py` (`resolve_data_config`) and `data/transforms_factory.py` (`transforms_imagenet_eval`).

use serde::Deserialize;
use serde_json::Value;

use super::{
    json::{invalid, json, numbers},
    preprocess_config::{self, Framing, PreprocessConfig},
};
use crate::{
    Result,
    image::{CropRounding, Filter, Resize},
    structure::{Activation, AntiAliasing, Dilation, GlobalPool, Structure, norm_eps, output_stride},
};

/// timm's default.
const DEFAULT_CROP_PCT: f64 = 0.875;
const DEFAULT_SIZE: [i64; 3] = [3, 224, 224];
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// The fields of `pretrained_cfg` that are used.
#[derive(Deserialize, Default)]
pub(super) struct PretrainedCfg {
    pub(super) input_size: Option<Vec<i64>>,
    pub(super) test_input_size: Option<Vec<i64>>,
    pub(super) interpolation: Option<String>,
    pub(super) crop_pct: Option<f64>,
    pub(super) test_crop_pct: Option<f64>,
    pub(super) crop_mode: Option<String>,
    #[serde(default, deserialize_with = "numbers")]
    pub(super) mean: Option<Vec<f64>>,
    #[serde(default, deserialize_with = "numbers")]
    pub(super) std: Option<Vec<f64>>,
    pub(super) license: Option<String>,
    pub(super) label_names: Option<Value>,
    pub(super) label_descriptions: Option<Value>,
}

/// The fields of `pretrained_cfg` from a `config.json` that has them at its top level, as timm wrote it before 0.8. `None` if it has none
/// of them, or neither an architecture nor an input size: then it may be another program's.
///
/// # Errors
/// [`crate::Error::ConfigValue`] if one of them has another type.
pub(super) fn flat(place: &str, config: &str) -> Result<Option<PretrainedCfg>> {
    let fields: Value = json(place, config)?;
    let stated = |names: &[&str]| names.iter().any(|name| fields.get(name).is_some_and(|value| !value.is_null()));
    let fields_of_it = ["input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std"];
    if stated(&["architecture", "input_size"]) && stated(&fields_of_it) {
        json(place, config).map(Some)
    } else {
        Ok(None)
    }
}

/// The fields of `model_args` that change properties which no tensor shows. Older configurations have some of them at the top level.
#[derive(Deserialize)]
pub(super) struct ModelArgs {
    global_pool: Option<String>,
    output_stride: Option<i64>,
    act_layer: Option<String>,
    aa_layer: Option<String>,
    norm_layer: Option<String>,
    linear_out: Option<bool>,
    #[serde(alias = "bn_eps", alias = "batch_norm_eps")]
    norm_eps: Option<f64>,
}

impl ModelArgs {
    /// Adds the stated properties to `structure`, and replaces those that differ.
    ///
    /// # Errors
    /// [`crate::Error::ConfigValue`] for a value that is unknown or not supported.
    pub(super) fn state(&self, place: &str, structure: &mut Structure) -> Result<()> {
        if let Some(aa) = &self.aa_layer {
            let known = AntiAliasing::parse(aa);
            structure.anti_aliasing = Some(known.ok_or_else(|| invalid(place, "aa_layer", aa, "avg or blur"))?);
        }
        if let Some(norm) = self.norm_layer.as_deref().filter(|norm| !is_batch_norm(norm)) {
            return Err(invalid(place, "norm_layer", norm, "only batch normalisation is supported"));
        }
        if let Some(linear) = self.linear_out {
            return Err(invalid(
                place,
                "linear_out",
                linear,
                "only the value that belongs to the network's name is supported",
            ));
        }
        // Attention pooling yields a token, as the tensors show.
        if let Some(pool) = self.global_pool.as_deref().filter(|pool| *pool != "token") {
            let known = if pool.is_empty() { Some(GlobalPool::None) } else { GlobalPool::parse(pool) };
            let kinds =
                "avg, max, avgmax, catavgmax or catmaxavg, each with or without fast before it, or an empty text";
            structure.global_pool = Some(known.ok_or_else(|| invalid(place, "global_pool", pool, kinds))?);
        }
        if let Some(stride) = self.output_stride {
            let known = output_stride(stride).map(Dilation::OutputStride);
            structure.dilation = Some(known.ok_or_else(|| invalid(place, "output_stride", stride, "8, 16 or 32"))?);
        }
        if let Some(name) = &self.act_layer {
            structure.activation = Some(activation(place, "act_layer", name)?);
        }
        if let Some(eps) = self.norm_eps {
            let known = norm_eps(eps);
            structure.norm_eps = Some(known.ok_or_else(|| invalid(place, "norm_eps", eps, "from 1e-12 to 1"))?);
        }
        Ok(())
    }
}

fn is_batch_norm(norm: &str) -> bool {
    ["batchnorm", "batchnorm2d", "frozenbatchnorm2d"].contains(&norm.to_lowercase().as_str())
}

/// The activation with a name from timm or transformers.
///
/// # Errors
/// [`crate::Error::ConfigValue`] if it is unknown or not supported.
pub(super) fn activation(place: &str, field: &str, name: &str) -> Result<Activation> {
    Activation::parse(name).ok_or_else(|| invalid(place, field, name, "this activation is not supported"))
}

/// The validated preprocessing.
///
/// # Errors
/// [`crate::Error::ConfigValue`] for the first value out of range.
pub(super) fn preprocess(place: &str, cfg: &PretrainedCfg) -> Result<PreprocessConfig> {
    let mode = cfg.crop_mode.as_deref().unwrap_or("center");
    let size = cfg.input_size.as_deref().unwrap_or(&DEFAULT_SIZE);
    let crop_pct = cfg.crop_pct.unwrap_or(DEFAULT_CROP_PCT);
    let framing = framing(place, mode, ("input_size", size), ("crop_pct", crop_pct))?;
    let test_framing = match (&cfg.test_input_size, cfg.test_crop_pct) {
        (None, None) => None,
        (test_size, test_pct) => {
            let size = test_size.as_deref().map_or(("input_size", size), |size| ("test_input_size", size));
            let pct = test_pct.map_or(("crop_pct", crop_pct), |pct| ("test_crop_pct", pct));
            Some(self::framing(place, mode, size, pct)?)
        }
    };
    let filter = match cfg.interpolation.as_deref() {
        None | Some("bicubic") => Filter::Bicubic,
        Some("bilinear") => Filter::Bilinear,
        Some(other) => return Err(invalid(place, "interpolation", other, "bilinear or bicubic")),
    };
    Ok(PreprocessConfig {
        stated_in: place.into(),
        framing,
        test_framing,
        filter,
        rounding: CropRounding::HalfEven,
        mean: preprocess_config::mean(place, "mean", cfg.mean.as_deref().unwrap_or(&IMAGENET_MEAN))?,
        std: preprocess_config::std(place, "std", cfg.std.as_deref().unwrap_or(&IMAGENET_STD))?,
    })
}

fn framing(place: &str, mode: &str, size: (&str, &[i64]), crop_pct: (&str, f64)) -> Result<Framing> {
    // Ignore the number of channels: the tensors show it.
    let [1..=i64::MAX, height, width] = *size.1 else {
        return Err(invalid(place, size.0, format!("{:?}", size.1), "[channels, height, width]"));
    };
    let (height, width) =
        (preprocess_config::side(place, size.0, height)?, preprocess_config::side(place, size.0, width)?);
    let resized = |side| preprocess_config::resized(place, crop_pct.0, side, crop_pct.1);
    let resize = match mode {
        "center" if height == width => Resize::Shorter(resized(height)?),
        "center" => {
            return Err(invalid(place, size.0, format!("{:?}", size.1), "must be square with crop_mode center"));
        }
        "squash" => Resize::Squash { height: resized(height)?, width: resized(width)? },
        other => return Err(invalid(place, "crop_mode", other, "center or squash")),
    };
    Ok(Framing { height, width, resize })
}
