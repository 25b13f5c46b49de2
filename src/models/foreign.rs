//! Recognises networks of other tasks and families by the names of their tensors.

use super::Shapes;
use crate::{Error, Result};

/// Number of names to look at: the first ones suffice to recognise another family.
const LOOKED_AT: usize = 20_000;

/// Tasks other than classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Finding objects and their boxes.
    Detection,
    /// Finding a class for each pixel.
    Segmentation,
}

/// Parts of names that occur only in networks for these tasks.
const TASKS: [(Task, &[&str]); 18] = [
    (Task::Detection, &["rpn."]),
    (Task::Detection, &["roi_heads."]),
    (Task::Detection, &["proposal_generator."]),
    (Task::Detection, &["bbox_head."]),
    (Task::Detection, &["bbox_embed."]),
    (Task::Detection, &["bbox_predictor."]),
    (Task::Detection, &["query_position_embeddings"]),
    (Task::Detection, &["head.regression_head."]),
    (Task::Detection, &["regressionModel."]),
    (Task::Detection, &["fpn.inner_blocks."]),
    (Task::Segmentation, &["segmentation_head."]),
    (Task::Segmentation, &["decode_head."]),
    (Task::Segmentation, &["sem_seg_head."]),
    (Task::Segmentation, &["mask_head."]),
    (Task::Segmentation, &["decoder.blocks."]),
    (Task::Segmentation, &["classifier.0.convs."]),
    (Task::Segmentation, &["aux_classifier."]),
    (Task::Segmentation, &["classifier.1.running_mean", "classifier.4.weight"]),
];

/// Families, by parts of names that must all occur.
const FAMILIES: [(&str, &[&str]); 31] = [
    ("an adapter (LoRA) without the network that it adapts", &["lora_"]),
    ("a diffusion model", &["diffusion_model."]),
    ("a diffusion model", &["down_blocks.0.resnets."]),
    ("a Swin transformer", &["relative_position_bias_table"]),
    ("a vision transformer (ViT)", &["blocks.0.attn.qkv."]),
    ("a vision transformer (ViT)", &["encoder.layers.encoder_layer_0."]),
    ("a vision transformer (ViT)", &["vit.encoder.layer.0."]),
    ("a vision transformer (ViT)", &["transformer.resblocks.0."]),
    ("a vision transformer (ViT)", &["cls_token"]),
    ("a language model or another transformer", &["self_attn.q_proj."]),
    ("a language model or another transformer", &["attention.self.query."]),
    ("a language model or another transformer", &["lm_head."]),
    ("a ConvNeXt", &["convnext"]),
    ("a ConvNeXt", &["stages.0.blocks.0.conv_dw."]),
    ("a ConvNeXt", &["features.1.0.layer_scale"]),
    ("a ConvNeXt", &["stages.0.0.dwconv."]),
    ("an EfficientNet or MobileNet", &["conv_stem.weight"]),
    ("an EfficientNet or MobileNet", &["blocks.0.0.conv_dw."]),
    ("an EfficientNet or MobileNet", &["features.1.0.block.0.0."]),
    ("a MobileNetV2", &["features.1.conv.0.0."]),
    ("a MobileNetV3", &["features.1.block.0.0."]),
    ("an MNASNet", &["layers.8.0.layers."]),
    ("a SqueezeNet", &["features.3.squeeze."]),
    ("a ShuffleNet", &["stage2.0.branch2."]),
    ("a VGG or AlexNet", &["features.0.weight", "classifier.6.weight"]),
    ("a VGG", &["pre_logits.fc1."]),
    ("an Inception", &["Mixed_5b."]),
    ("a GoogLeNet", &["inception3a."]),
    ("a YOLO, a detector", &["model.0.conv.weight", "model.1.conv.weight"]),
    ("a quantised network", &["_packed_params"]),
    ("a normaliser-free ResNet (NF-ResNet)", &["stages.0.0.conv1.gain"]),
];

/// Whether each of the `parts` occurs in some name.
fn has_all(names: &[&str], parts: &[&str]) -> bool {
    parts.iter().all(|part| names.iter().any(|name| name.contains(part)))
}

/// The family of an unsupported network, if it is known.
pub(super) fn family(shapes: &Shapes) -> Option<&'static str> {
    let names: Vec<&str> = shapes.keys().take(LOOKED_AT).map(String::as_str).collect();
    FAMILIES.iter().find(|(_, parts)| has_all(&names, parts)).map(|(family, _)| *family)
}

/// The task of a network that does not classify, by the names of all its tensors.
pub(crate) fn task(names: &[&str]) -> Option<Task> {
    let names = &names[..names.len().min(LOOKED_AT)];
    TASKS.iter().find(|(_, parts)| has_all(names, parts)).map(|(task, _)| *task)
}

impl Task {
    /// Refuses the model, and names the network `part` to use instead. If that part was `asked` for, only one case is refused: a network
    /// for segmentation whose dilation is not `stated`, because such networks often dilate.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`], and [`Error::ConfigValue`] for the dilation.
    pub(crate) fn refuse(self, model: &str, part: Option<&str>, asked: bool, stated: bool) -> Result<()> {
        let what = match self {
            Task::Detection => "a network that detects objects",
            Task::Segmentation if asked && !stated => {
                let expected = "networks that segment often dilate their last stages, which no tensor shows: state \
                                `dilation=layer3+layer4` (torchvision's) or `dilation=none`";
                return Err(Error::config_value(model, "dilation", "not stated", expected));
            }
            Task::Segmentation => "a network that segments images",
        };
        if asked {
            return Ok(());
        }
        let instead = match part {
            Some(part) => format!("; the part {part} alone gives embeddings"),
            None => String::new(),
        };
        let reason = format!("{what} is not supported, only image classification{instead}");
        Err(Error::UnknownArchitecture { model: model.into(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_named_for_what_they_are() {
        let family = |name: &str| family(&Shapes::from([(name.to_string(), vec![8])]));
        for (name, expected) in [
            ("blocks.0.attn.qkv.weight", "ViT"),
            ("model.layers.0.self_attn.q_proj.weight", "language model"),
            ("stages.0.blocks.0.conv_dw.weight", "ConvNeXt"),
            ("features.1.conv.0.0.weight", "MobileNetV2"),
        ] {
            assert!(family(name).unwrap().contains(expected), "{name}");
        }
        assert_eq!(family("features.0.weight"), None, "only half of a VGG");
        assert_eq!(task(&["backbone.body.conv1.weight", "rpn.head.conv.0.0.weight"]), Some(Task::Detection));
        assert_eq!(task(&["encoder.conv1.weight", "segmentation_head.0.weight"]), Some(Task::Segmentation));
        assert_eq!(task(&["backbone.conv1.weight", "projector.0.weight"]), None);
    }

    #[test]
    fn a_part_that_is_asked_for_is_taken_if_it_is_known_what_it_computes() {
        let refused = |task: Task, asked, stated| task.refuse("m", Some("backbone"), asked, stated).is_err();
        assert!(refused(Task::Detection, false, false) && !refused(Task::Detection, true, false));
        assert!(refused(Task::Segmentation, true, false) && !refused(Task::Segmentation, true, true));
    }
}
