//! The configuration that residua writes into a checkpoint's metadata. It has timm's form; [`super::own`] adds the facts that this form
//! cannot state.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    config::{METADATA_KEY, ProblemType},
    own::{Backbone, OwnNeighbours, OwnPreprocess, name_of},
};
use crate::{
    image::{Preprocess, Resize},
    labels::Neighbours,
};

/// Describes a checkpoint, to be written into its metadata.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Description<'a> {
    /// Name of the architecture in timm, if it has one.
    pub architecture: Option<&'a str>,
    /// Class names by class index.
    pub labels: &'a [String],
    /// How logits become scores.
    pub problem_type: ProblemType,
    /// The preprocessing of photos.
    pub preprocess: &'a Preprocess,
    /// Properties that tensors do not show, in the text form of [`Structure`]; left out if empty.
    pub structure: String,
    /// Licence of the weights.
    pub license: Option<&'a str>,
    /// For a file that holds only the head: the model that the head belongs to.
    pub backbone: Option<Backbone>,
    /// The images of a head whose outputs are similarities to them.
    pub neighbours: Option<&'a Neighbours>,
    /// How the weights were made, for readers.
    pub made: Value,
}

impl Description<'_> {
    /// The metadata for the file.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let Description {
            architecture,
            labels,
            problem_type,
            preprocess,
            structure,
            license,
            backbone,
            neighbours,
            made,
        } = self;
        let outputs = neighbours.map_or(labels.len(), |neighbours| neighbours.of.len());
        let config = json!({
            "architecture": architecture,
            "num_classes": outputs,
            "label_names": labels,
            "problem_type": problem_type,
            "pretrained_cfg": timm(preprocess, outputs, *license),
            "residua": {
                "preprocess": OwnPreprocess::from(*preprocess), "structure": structure, "backbone": backbone,
                "neighbours": neighbours.map(OwnNeighbours::from), "made": made,
            },
        });
        // transformers refuses safetensors files without `format`.
        [("format", "pt".to_string()), (METADATA_KEY, config.to_string())].map(|(key, text)| (key.into(), text)).into()
    }
}

/// The preprocessing in timm's form. It is approximate, because timm states the crop as a share of the shorter side.
fn timm(preprocess: &Preprocess, classes: usize, license: Option<&str>) -> Value {
    let Preprocess { height, width, resize, filter, mean, std, .. } = preprocess;
    let (mode, resized) = match resize {
        Resize::Shorter(side) => ("center", *side),
        Resize::Squash { height, .. } => ("squash", *height),
        Resize::None => ("center", *height),
    };
    json!({
        "input_size": [3, height, width], "num_classes": classes, "crop_pct": crop_share(*height, resized), "crop_mode": mode,
        "interpolation": name_of(*filter), "mean": mean, "std": std, "license": license,
    })
}

/// `side / resized`, with the fewest digits from which timm's `floor(side / share)` still gives `resized`.
fn crop_share(side: usize, resized: usize) -> f64 {
    let exact = side as f64 / resized as f64;
    let rounded = (1..=9).map(|digits| (exact * 10_f64.powi(digits)).ceil() / 10_f64.powi(digits));
    let gives_back = |share: &f64| *share <= 1.0 && (side as f64 / share).floor() as usize == resized;
    std::iter::once(exact).filter(gives_back).chain(rounded.filter(gives_back)).next().unwrap_or(exact.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::ModelConfig,
        image::{CropRounding, Filter},
        structure::Structure,
    };

    #[test]
    fn what_is_written_is_read_back() {
        let labels: Vec<String> = ["a \"b\"", "\u{e9}"].map(String::from).into();
        let backbone = Backbone { model: "resnet18".into(), fingerprint: "0123456789abcdef".into() };
        let neighbours = Neighbours { k: 3, of: [1, 0, 0].into() };
        let preprocess = Preprocess::torchvision();
        let mut floor = Preprocess::centre_crop(224, 235, Filter::Bicubic);
        floor.rounding = CropRounding::Floor;
        for preprocess in [preprocess, floor, Preprocess::square(32, [0.49139968, 0.5, 0.1], [0.2, 0.2, 0.3])] {
            let metadata = Description {
                architecture: Some("resnet18"),
                labels: &labels,
                problem_type: ProblemType::MultiLabelClassification,
                preprocess: &preprocess,
                structure: "stem-pool=max,layer1-stride=2,norm-eps=1e-3".into(),
                license: Some("cc-by-nc-4.0"),
                backbone: Some(backbone.clone()),
                neighbours: Some(&neighbours),
                made: json!({"by": "a test"}),
            }
            .metadata();
            let config = ModelConfig::from_metadata(&metadata).unwrap().unwrap();
            assert_eq!((config.backbone.as_ref(), config.neighbours.as_ref()), (Some(&backbone), Some(&neighbours)));
            assert_eq!(config.preprocess.unwrap().preprocess(false), preprocess);
            assert_eq!(config.labels.as_ref(), Some(&labels));
            assert_eq!(config.problem_type, Some(ProblemType::MultiLabelClassification));
            let mut structure: Structure = "stem-pool=max,layer1-stride=2,norm-eps=1e-3".parse().unwrap();
            structure.stated_in.clone_from(&config.structure.stated_in);
            assert_eq!(config.structure, structure);
            assert_eq!((config.claims.classes, config.license.as_deref()), (Some(3), Some("cc-by-nc-4.0")));
        }
    }

    #[test]
    fn timm_finds_the_size_before_the_crop() {
        assert_eq!(crop_share(224, 256), 0.875);
        for (side, resized) in [(224, 235), (224, 248), (288, 303), (32, 32), (299, 341), (7, 8191)] {
            let share = crop_share(side, resized);
            assert_eq!((side as f64 / share).floor() as usize, resized, "{share}");
        }
    }
}
