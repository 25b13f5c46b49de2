//! Preprocessing of published weights, for a file that has its original name but no configuration beside it.
//!
//! Sources: timm 1.0.31, in `weights/timm_recipes.csv`; torchvision 0.29.2, `models/resnet.py`.

use super::{
    preprocess_config::PreprocessConfig,
    timm::{self, PretrainedCfg},
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

/// Endings of the names of weight files.
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
        let [tag, of, size, crop_pct, filter, test_size, test_crop_pct] = row.split(',').collect::<Vec<_>>()[..] else {
            continue;
        };
        let holds = of.is_empty() || of.split(' ').any(|one| one == architecture);
        if !holds || !named(&format!("{architecture}.{tag}")) {
            continue;
        }
        let square = |side: &str| side.parse().ok().map(|side| vec![3, side, side]);
        // Only the "r224" recipe normalises to -1..1.
        let half = tag.contains("_r224_").then(|| vec![0.5; 3]);
        let cfg = PretrainedCfg {
            input_size: square(size),
            test_input_size: square(test_size),
            interpolation: Some(filter.into()),
            crop_pct: crop_pct.parse().ok(),
            test_crop_pct: test_crop_pct.parse().ok(),
            mean: half.clone(),
            std: half,
            ..PretrainedCfg::default()
        };
        return timm::preprocess(&format!("the name: timm's {architecture}.{tag}"), &cfg).ok();
    }
    let file = TORCHVISION_232.iter().find(|file| named(file) && file.starts_with(&format!("{architecture}-")))?;
    let cfg = PretrainedCfg {
        crop_pct: Some(224.0 / 232.0),
        interpolation: Some("bilinear".into()),
        ..PretrainedCfg::default()
    };
    timm::preprocess(&format!("the name: torchvision's {file}"), &cfg).ok()
}
