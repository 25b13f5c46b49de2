//! The names that libraries and wrappers give to the same tensor, brought to torchvision's spelling.
//!
//! | writer | example | becomes |
//! |---|---|---|
//! | DataParallel, `torch.compile`, wrappers, training checkpoints | `module._orig_mod.conv1.weight` | `conv1.weight` |
//! | transformers ResNet | `resnet.encoder.stages.0.layers.1.layer.2.convolution.weight` | `layer1.1.conv3.weight` |
//! | DenseNet before 2018 | `features.denseblock1.denselayer1.norm.1.weight` | `features.denseblock1.denselayer1.norm1.weight` |
//! | CIFAR ResNets with a named shortcut | `layer2.0.shortcut.0.weight` | `layer2.0.downsample.0.weight` |

use std::{borrow::Cow, collections::HashMap};

/// Prefixes that say who held the network and nothing about it.
const WRAPPERS: [&str; 6] = ["module.", "_orig_mod.", "model.", "backbone.", "timm_model.", "state_dict."];

/// How the names of the supported networks begin, besides `layer` and a digit.
const ROOTS: [&str; 9] =
    ["conv1.", "bn1.", "fc.", "linear.", "features.", "classifier.", "resnet.", "embedder.", "encoder."];

/// Ends of the names of tensors that only count: batches in training, and the operations that a profiler found.
const COUNTERS: [&str; 3] = ["num_batches_tracked", "total_ops", "total_params"];

/// The canonical name of each tensor in the order given; nothing for [`COUNTERS`].
///
/// # Errors
/// A sentence, if two tensors come to one name.
pub(super) fn canonical<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize])> + Clone,
) -> Result<Vec<Option<String>>, String> {
    let counts = |name: &str| !COUNTERS.iter().any(|counter| name.ends_with(counter));
    let all_wrapped = tensors.clone().filter(|(name, _)| counts(name)).all(|(name, _)| unwrapped(name) != name);
    let strip = |name: &'a str| {
        let inner = unwrapped(name);
        if all_wrapped || is_rooted(inner) { inner } else { name }
    };
    let transformers = tensors.clone().any(|(name, shape)| is_transformers_stem(strip(name), shape));

    let mut taken = HashMap::new();
    tensors
        .map(|(name, _)| {
            if !counts(name) {
                return Ok(None);
            }
            let stripped = strip(name);
            let spelled = if transformers { from_transformers(stripped) } else { None };
            let canonical = spelled
                .or_else(|| from_old_densenet(stripped))
                .or_else(|| from_named_shortcut(stripped))
                .map_or(Cow::Borrowed(stripped), Cow::Owned)
                .into_owned();
            match taken.insert(canonical.clone(), name) {
                Some(other) => Err(format!("{other} and {name} both mean {canonical}")),
                None => Ok(Some(canonical)),
            }
        })
        .collect()
}

/// The name without any wrapper's prefix.
fn unwrapped(mut name: &str) -> &str {
    while let Some(inner) = WRAPPERS.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = inner;
    }
    name
}

fn is_rooted(name: &str) -> bool {
    ROOTS.iter().any(|root| name.starts_with(root))
        || name.strip_prefix("layer").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether this is the stem of a ResNet as transformers writes it. RegNet and ConvNeXt have the name too; only
/// ResNet has seven rows and columns.
fn is_transformers_stem(name: &str, shape: &[usize]) -> bool {
    name.strip_prefix("resnet.").unwrap_or(name) == "embedder.embedder.convolution.weight"
        && matches!(shape, [_, _, 7, 7])
}

/// `ResNetForImageClassification`, and `ResNetModel`, which has no `resnet.` in front and no head.
fn from_transformers(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("classifier.1.") {
        return Some(format!("fc.{part}"));
    }
    let name = name.strip_prefix("resnet.").unwrap_or(name);
    if let Some(layer) = name.strip_prefix("embedder.embedder.") {
        return conv_and_norm(layer, "conv1", "bn1");
    }
    let (stage, rest) = name.strip_prefix("encoder.stages.")?.split_once(".layers.")?;
    let (block, layer) = rest.split_once('.')?;
    let place = format!("layer{}.{}", index(stage)? + 1, index(block)?);
    if let Some(layer) = layer.strip_prefix("shortcut.") {
        return conv_and_norm(layer, &format!("{place}.downsample.0"), &format!("{place}.downsample.1"));
    }
    let (position, layer) = layer.strip_prefix("layer.")?.split_once('.')?;
    let position = index(position)? + 1;
    conv_and_norm(layer, &format!("{place}.conv{position}"), &format!("{place}.bn{position}"))
}

fn conv_and_norm(layer: &str, conv: &str, norm: &str) -> Option<String> {
    match layer.split_once('.')? {
        ("convolution", part) => Some(format!("{conv}.{part}")),
        ("normalization", part) => Some(format!("{norm}.{part}")),
        _ => None,
    }
}

/// A small number in plain digits.
fn index(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok().filter(|i| *i < u16::MAX) } else { None }
}

/// `denselayer3.norm.1.weight` and `denselayer3.conv.2.weight`.
fn from_old_densenet(name: &str) -> Option<String> {
    let (front, layer) = name.split_once(".denselayer")?;
    let (number, layer) = layer.split_once('.')?;
    let (kind, rest) = layer.split_once('.')?;
    let (position, part) = rest.split_once('.')?;
    (matches!(kind, "norm" | "relu" | "conv") && matches!(position, "1" | "2"))
        .then(|| format!("{front}.denselayer{number}.{kind}{position}.{part}"))
}

/// `layer2.0.shortcut.0.weight`: a 1x1 convolution and a batch normalisation, as `downsample` in torchvision.
fn from_named_shortcut(name: &str) -> Option<String> {
    let (block, part) = name.split_once(".shortcut.")?;
    (block.starts_with("layer") && (part.starts_with("0.") || part.starts_with("1.")))
        .then(|| format!("{block}.downsample.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Result<Vec<Option<String>>, String> {
        let seven = [64, 3, 7, 7];
        canonical(of.iter().map(|name| (*name, seven.as_slice())))
    }

    fn one(name: &str) -> String {
        names(&[name]).unwrap().remove(0).unwrap()
    }

    #[test]
    fn wrappers_are_stripped_in_any_order() {
        for name in [
            "module.conv1.weight",
            "model._orig_mod.module.backbone.conv1.weight",
            "timm_model.conv1.weight",
            "state_dict.module.conv1.weight",
        ] {
            assert_eq!(one(name), "conv1.weight");
        }
    }

    #[test]
    fn a_prefix_goes_where_a_known_name_follows_or_all_have_it() {
        let mixed = names(&["backbone.layer1.0.conv1.weight", "fc.weight", "model.odd.weight"]).unwrap();
        assert_eq!(mixed, ["layer1.0.conv1.weight", "fc.weight", "model.odd.weight"].map(|n| Some(n.into())));
        assert_eq!(
            names(&["model.odd.weight", "model.even.bias"]).unwrap(),
            [Some("odd.weight".into()), Some("even.bias".into())]
        );
    }

    #[test]
    fn two_names_for_one_tensor_are_an_error() {
        let reason = names(&["module.conv1.weight", "conv1.weight"]).unwrap_err();
        assert_eq!(reason, "module.conv1.weight and conv1.weight both mean conv1.weight");
    }

    #[test]
    fn counters_are_left_out() {
        let counters = ["bn1.num_batches_tracked", "total_ops", "layer1.0.conv1.total_params", "bn1.weight"];
        assert_eq!(names(&counters).unwrap(), [None, None, None, Some("bn1.weight".into())]);
    }

    #[test]
    fn transformers_names_with_and_without_the_head() {
        let stem = "resnet.embedder.embedder.convolution.weight";
        let of = |name: &str| names(&[stem, name]).unwrap().remove(1).unwrap();
        assert_eq!(one(stem), "conv1.weight");
        assert_eq!(of("resnet.embedder.embedder.normalization.running_var"), "bn1.running_var");
        assert_eq!(of("resnet.encoder.stages.3.layers.2.layer.1.convolution.weight"), "layer4.2.conv2.weight");
        assert_eq!(of("encoder.stages.0.layers.0.layer.2.normalization.bias"), "layer1.0.bn3.bias");
        assert_eq!(of("resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"), "layer2.0.downsample.0.weight");
        assert_eq!(of("resnet.encoder.stages.1.layers.0.shortcut.normalization.bias"), "layer2.0.downsample.1.bias");
        assert_eq!(of("classifier.1.weight"), "fc.weight");
        assert_eq!(one("classifier.1.weight"), "classifier.1.weight");
    }

    #[test]
    fn a_regnet_stem_is_left_alone() {
        let name = "embedder.embedder.convolution.weight";
        let shape = [32, 3, 3, 3];
        assert_eq!(canonical([(name, shape.as_slice())].into_iter()).unwrap(), [Some(name.into())]);
    }

    #[test]
    fn old_densenet_and_named_shortcuts() {
        assert_eq!(
            one("features.denseblock4.denselayer16.norm.2.running_mean"),
            "features.denseblock4.denselayer16.norm2.running_mean"
        );
        assert_eq!(
            one("module.features.denseblock1.denselayer1.conv.1.weight"),
            "features.denseblock1.denselayer1.conv1.weight"
        );
        assert_eq!(
            one("features.denseblock1.denselayer1.conv1.weight"),
            "features.denseblock1.denselayer1.conv1.weight"
        );
        assert_eq!(one("layer2.0.shortcut.0.weight"), "layer2.0.downsample.0.weight");
    }
}
