//! Preprocessing of published weights, for a file that lies without its configuration under the name that its authors
//! gave it.
//!
//! Sources: timm 1.0.31, `default_cfgs` of `models/resnet.py` and `models/densenet.py`; torchvision 0.29.2,
//! `models/resnet.py`.

use super::{
    preprocess_config::PreprocessConfig,
    timm::{self, PretrainedCfg},
};

/// How weights of timm were trained, and how its authors test them.
struct Row {
    tag: &'static str,
    /// The architectures that it holds for; all, if none is given.
    of: &'static [&'static str],
    size: i64,
    crop_pct: f64,
    filter: &'static str,
    test: Option<(i64, f64)>,
}

const fn row(tag: &'static str, size: i64, crop_pct: f64, test: Option<(i64, f64)>) -> Row {
    Row { tag, of: &[], size, crop_pct, filter: "bicubic", test }
}

impl Row {
    const fn of(self, of: &'static [&'static str]) -> Row {
        Row { of, ..self }
    }

    const fn bilinear(self) -> Row {
        Row { filter: "bilinear", ..self }
    }
}

const AT_288: Option<(i64, f64)> = Some((288, 1.0));
const AT_288_CROPPED: Option<(i64, f64)> = Some((288, 0.95));

/// The first row that fits holds.
const TIMM: &[Row] = &[
    row("a1_in1k", 224, 0.95, AT_288),
    row("a1h_in1k", 176, 0.9, Some((224, 1.0))).of(&["resnet50"]),
    row("a1h_in1k", 224, 0.95, AT_288),
    row("a2_in1k", 224, 0.95, AT_288),
    row("a3_in1k", 160, 0.95, Some((224, 0.95))),
    row("ah_in1k", 224, 0.95, AT_288),
    row("am_in1k", 224, 0.875, None),
    row("b1k_in1k", 224, 0.95, AT_288),
    row("b2k_in1k", 224, 0.95, AT_288),
    row("bt_in1k", 224, 0.875, AT_288_CROPPED),
    row("c1_in1k", 224, 0.95, AT_288),
    row("c2_in1k", 224, 0.95, AT_288),
    row("c3_in1k", 176, 0.875, Some((224, 0.95))),
    row("d_in1k", 224, 0.95, AT_288),
    row("fb_ssl_yfcc100m_ft_in1k", 224, 0.875, None).bilinear(),
    row("fb_swsl_ig1b_ft_in1k", 224, 0.875, None).bilinear(),
    row("fb_wsl_ig1b_ft_in1k", 224, 0.875, None).bilinear(),
    row("gluon_in1k", 224, 0.875, None),
    row("ra_in1k", 224, 0.875, AT_288_CROPPED),
    row("ra2_in1k", 256, 0.94, Some((320, 1.0))).of(&["resnet26t"]),
    row("ra2_in1k", 256, 0.95, Some((320, 1.0))).of(&["resnet101d", "resnet152d", "resnet200d", "seresnet152d"]),
    row("ra2_in1k", 224, 0.875, AT_288_CROPPED),
    row("ra4_e3600_r224_in1k", 224, 0.95, AT_288).of(&["resnet50d"]),
    row("ra4_e3600_r224_in1k", 224, 0.9, AT_288),
    row("racm_in1k", 224, 0.875, AT_288_CROPPED),
    row("ram_in1k", 224, 0.875, AT_288_CROPPED),
    row("tf_in1k", 160, 0.91, Some((224, 0.91))).of(&["resnetrs50"]),
    row("tf_in1k", 192, 0.94, Some((288, 0.94))).of(&["resnetrs101"]),
    row("tf_in1k", 256, 1.0, Some((320, 1.0))).of(&["resnetrs152", "resnetrs200"]),
    row("tf_in1k", 256, 1.0, Some((352, 1.0))).of(&["resnetrs270"]),
    row("tf_in1k", 288, 1.0, Some((384, 1.0))).of(&["resnetrs350"]),
    row("tf_in1k", 320, 1.0, Some((416, 1.0))).of(&["resnetrs420"]),
    row("tv2_in1k", 176, 0.875, Some((224, 0.965))).bilinear(),
    row("tv_in1k", 224, 0.875, None).of(&["densenet121", "densenet161", "densenet169", "densenet201"]),
    row("tv_in1k", 224, 0.875, None).bilinear(),
];

/// Files of torchvision whose photos are resized to 232 pixels in place of 256 (its `IMAGENET1K_V2`, and the only
/// weights of the last).
const TORCHVISION_232: [&str; 8] = [
    "resnet50-11ad3fa6",
    "resnet101-cd907fc2",
    "resnet152-f82ba261",
    "resnext50_32x4d-1a0047aa",
    "resnext101_32x8d-110c445d",
    "wide_resnet50_2-9ba9bcbe",
    "wide_resnet101_2-d733dc28",
    "resnext101_64x4d-173b62eb",
];

/// The preprocessing of the weights at `path`, if its file or one of its folders has the name of published weights of
/// `architecture`: `resnet50.a1_in1k.safetensors`, `models--timm--resnet50.a1_in1k`, `resnet50-11ad3fa6.safetensors`.
pub fn published(path: &str, architecture: &str) -> Option<PreprocessConfig> {
    let named = |name: &str| {
        path.split(['/', '\\']).any(|part| {
            let front = part.strip_suffix(".safetensors").unwrap_or(part).strip_suffix(name);
            front.is_some_and(|front| !front.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    };
    let of = |row: &&Row| row.of.is_empty() || row.of.contains(&architecture);
    if let Some(row) = TIMM.iter().filter(of).find(|row| named(&format!("{architecture}.{}", row.tag))) {
        // The "r224" recipe alone normalises to -1..1.
        let half = row.tag.contains("_r224_").then(|| vec![0.5; 3]);
        let cfg = PretrainedCfg {
            input_size: Some(vec![3, row.size, row.size]),
            test_input_size: row.test.map(|(size, _)| vec![3, size, size]),
            interpolation: Some(row.filter.into()),
            crop_pct: Some(row.crop_pct),
            test_crop_pct: row.test.map(|(_, crop_pct)| crop_pct),
            mean: half.clone(),
            std: half,
            ..PretrainedCfg::default()
        };
        return timm::preprocess(&format!("the name: timm's {architecture}.{}", row.tag), &cfg).ok();
    }
    let file = TORCHVISION_232.iter().find(|file| named(file) && file.starts_with(&format!("{architecture}-")))?;
    let cfg = PretrainedCfg {
        crop_pct: Some(224.0 / 232.0),
        interpolation: Some("bilinear".into()),
        ..PretrainedCfg::default()
    };
    timm::preprocess(&format!("the name: torchvision's {file}"), &cfg).ok()
}
