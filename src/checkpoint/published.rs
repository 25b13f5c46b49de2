//! Preprocessing of published weights, for a file that has its original name but no configuration beside it.
//!
//! Sources: timm 1.0.31, in `weights/timm_recipes.csv`; torchvision 0.29.2, `models/resnet.py` and `models/regnet.py`.

use super::{
    preprocess_config::PreprocessConfig,
    timm::{self, PretrainedCfg},
    transformers::{CLIP_MEAN, CLIP_STD, HALF},
};

/// How timm's weights were trained, and how timm's authors test them.
const TIMM: &str = include_str!("../../weights/timm_recipes.csv");

/// torchvision's files whose photos are resized to 232 pixels instead of 256: its `IMAGENET1K_V2` weights, and the only weights
/// of the last network.
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

/// Files of torchvision's RegNets, each with timm's name of the network, the side of the input and the shorter side before the crop. If
/// both sides are equal, the filter is bicubic.
const TORCHVISION_REGNET: [(&str, &str, i64, i64); 20] = [
    ("regnet_x_400mf-62229a5f", "regnetx_004_tv", 224, 232),
    ("regnet_x_800mf-94a99ebd", "regnetx_008", 224, 232),
    ("regnet_x_1_6gf-a12f2b72", "regnetx_016", 224, 232),
    ("regnet_x_3_2gf-7071aa85", "regnetx_032", 224, 232),
    ("regnet_x_8gf-2b70d774", "regnetx_080", 224, 232),
    ("regnet_x_16gf-ba3796d7", "regnetx_160", 224, 232),
    ("regnet_x_32gf-6eb8fdc6", "regnetx_320", 224, 232),
    ("regnet_y_400mf-e6988f5f", "regnety_004", 224, 232),
    ("regnet_y_800mf-58fc7688", "regnety_008_tv", 224, 232),
    ("regnet_y_1_6gf-0d7bc02a", "regnety_016", 224, 232),
    ("regnet_y_3_2gf-9180c971", "regnety_032", 224, 232),
    ("regnet_y_8gf-dc2b1b54", "regnety_080_tv", 224, 232),
    ("regnet_y_16gf-3e4a00f9", "regnety_160", 224, 232),
    ("regnet_y_16gf_swag-43afe44d", "regnety_160", 384, 384),
    ("regnet_y_16gf_lc_swag-f3ec0043", "regnety_160", 224, 224),
    ("regnet_y_32gf-8db6d4b5", "regnety_320", 224, 232),
    ("regnet_y_32gf_swag-04fdfa75", "regnety_320", 384, 384),
    ("regnet_y_32gf_lc_swag-e1583746", "regnety_320", 224, 224),
    ("regnet_y_128gf_swag-c8ce3e52", "regnety_1280", 384, 384),
    ("regnet_y_128gf_lc_swag-cbe8ce12", "regnety_1280", 224, 224),
];
/// Means and deviations of the table's norms: name, mean, deviation.
const NORMS: [(&str, [f64; 3], [f64; 3]); 3] =
    [("half", HALF, HALF), ("clip", CLIP_MEAN, CLIP_STD), ("none", [0.0; 3], [1.0; 3])];

/// The endings of the names of weight files.
const ENDINGS: [&str; 6] = [".safetensors", ".pth.tar", ".pth", ".pt", ".th", ".bin"];

/// The preprocessing of the weights at `path`, if the file or one of its folders is named like published weights of
/// `architecture`: `resnet50.a1_in1k.safetensors`, `models--timm--resnet50.a1_in1k`, `resnet50-11ad3fa6.pth`.
#[doc(hidden)]
pub fn published(path: &str, architecture: &str) -> Option<PreprocessConfig> {
    let named = |name: &str| {
        path.split(['/', '\\']).any(|part| {
            let stem = ENDINGS.iter().find_map(|ending| part.strip_suffix(ending)).unwrap_or(part);
            let front = stem.strip_suffix(name);
            front.is_some_and(|front| !front.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    };
    for row in TIMM.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = row.split(',').collect();
        let [tag, of, size, crop_pct, filter, test_size, test_crop_pct, norm @ ..] = &cells[..] else { continue };
        let holds = of.is_empty() || of.split(' ').any(|one| one == architecture);
        if !holds || !named(&format!("{architecture}.{tag}")) {
            continue;
        }
        let square = |side: &str| side.parse().ok().map(|side| vec![3, side, side]);
        let norm = norm.first().and_then(|norm| NORMS.iter().find(|(name, ..)| name == norm));
        let cfg = PretrainedCfg {
            input_size: square(size),
            test_input_size: square(test_size),
            interpolation: Some((*filter).into()),
            crop_pct: crop_pct.parse().ok(),
            test_crop_pct: test_crop_pct.parse().ok(),
            mean: norm.map(|(_, mean, _)| mean.to_vec()),
            std: norm.map(|(_, _, std)| std.to_vec()),
            ..PretrainedCfg::default()
        };
        return timm::preprocess(&format!("the name: timm's {architecture}.{tag}"), &cfg).ok();
    }
    if let Some((file, _, side, shorter)) = TORCHVISION_REGNET.iter().find(|row| row.1 == architecture && named(row.0))
    {
        let cfg = PretrainedCfg {
            input_size: Some(vec![3, *side, *side]),
            crop_pct: Some(*side as f64 / *shorter as f64),
            interpolation: Some(if side == shorter { "bicubic" } else { "bilinear" }.into()),
            ..PretrainedCfg::default()
        };
        return timm::preprocess(&format!("the name: torchvision's {file}"), &cfg).ok();
    }
    let file = TORCHVISION_232.iter().find(|file| named(file) && file.starts_with(&format!("{architecture}-")))?;
    let cfg = PretrainedCfg {
        crop_pct: Some(224.0 / 232.0),
        interpolation: Some("bilinear".into()),
        ..PretrainedCfg::default()
    };
    timm::preprocess(&format!("the name: torchvision's {file}"), &cfg).ok()
}
