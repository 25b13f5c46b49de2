//! Translates the names in repositories of networks for CIFAR, which people copy and train, into torchvision's and timm's.

use std::collections::HashMap;

use super::index;
use crate::structure::{Activation, StrideIn, Structure};

/// The repository that a network is written after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repository {
    /// weiaicunzai's pytorch-cifar100: a block is a sequence of convolutions and norms beside a shortcut.
    Sequence,
    /// prlz77's ResNeXt.pytorch.
    Bottlenecks,
    /// Norms before convolutions: kuangliu's pytorch-cifar, xternalz's WideResNet-pytorch and others. `stem_norm` if `bn1` follows the first
    /// convolution instead of the last block. `raw` if a shortcut reads the input of its block instead of its first norm.
    PreAct { stem_norm: bool, raw: bool },
    /// DenseNets of kuangliu, bearpaw, andreasveit and weiaicunzai.
    Dense,
}

/// Beginnings of tensor names in the first blocks of DenseNets.
const DENSE: [&str; 3] = ["dense1.0.bn1.", "features.dense_block_layer_0.", "features.dense_block0."];

/// Names of the module of a block that holds its sequence of layers.
const SEQUENCES: [&str; 3] = ["residual_function", "split_transforms", "residual"];

impl Repository {
    /// The repository of the network whose first block has the tensor `prefix` + `rest`.
    pub(super) fn mark(prefix: &str, rest: &str, shapes: &HashMap<&str, &[usize]>) -> Option<Self> {
        let shape = |name: &str| shapes.get(format!("{prefix}{name}").as_str()).copied();
        if DENSE.iter().any(|start| rest.starts_with(start)) {
            return Some(Repository::Dense);
        }
        if rest.starts_with("block1.layer.0.") {
            if shape("trans1.conv1.weight").is_some() {
                return Some(Repository::Dense);
            }
            return is_preact(prefix, "block2.layer.0.", shapes).then(|| Self::preact(prefix, shapes));
        }
        if rest.starts_with("layer1.0.") {
            return is_preact(prefix, "layer2.0.", shapes).then(|| Self::preact(prefix, shapes));
        }
        if rest.starts_with("stage1.0.residual.") {
            return match shape("stage1.0.residual.0.weight")?.len() {
                1 => Some(Repository::PreAct { stem_norm: true, raw: true }),
                _ => Some(Repository::Sequence),
            };
        }
        if rest.starts_with("stage_1.stage_1_bottleneck_0.") {
            return Some(Repository::Bottlenecks);
        }
        let sequence =
            rest.starts_with("conv2_x.0.residual_function.") || rest.starts_with("conv2.0.split_transforms.");
        sequence.then_some(Repository::Sequence)
    }

    /// A network with norms before convolutions and a first convolution `conv1`. bearpaw's have a last norm `bn` and a head `fc`, and
    /// meliketoy's have biases: their shortcuts read the input of the block.
    fn preact(prefix: &str, shapes: &HashMap<&str, &[usize]>) -> Self {
        let shape = |name: &str| shapes.get(format!("{prefix}{name}").as_str()).copied();
        let first = |name: &str| shape(name).and_then(<[usize]>::first);
        let stem_norm = first("bn1.weight").is_some() && first("bn1.weight") == first("conv1.weight");
        let bearpaw = shape("bn.weight").is_some() && shape("fc.weight").is_some();
        Repository::PreAct { stem_norm, raw: bearpaw || shape("conv1.bias").is_some() }
    }

    /// The usual names of the head module, the canonical one first.
    pub(super) fn heads(self) -> &'static [&'static str] {
        if self == Repository::Dense { &["classifier"] } else { &["fc", "linear"] }
    }

    /// Names of the first convolution.
    pub(super) fn stems(self) -> &'static [&'static str] {
        match self {
            Repository::Sequence => &["conv1.0.weight", "pre.0.weight"],
            Repository::Bottlenecks => &["conv_1_3x3.weight"],
            Repository::PreAct { .. } => &["conv1.weight", "pre.0.weight"],
            Repository::Dense => &["conv1.weight"],
        }
    }

    /// Properties of the network that the names imply.
    pub(super) fn structure(self, prefix: &str, shapes: &HashMap<&str, &[usize]>) -> Structure {
        let has = |name: &str| shapes.contains_key(format!("{prefix}{name}").as_str());
        let stated_in = "the spelling of its tensors".to_string();
        let stated = Structure { stated_in, ..Structure::default() };
        match self {
            Repository::Sequence | Repository::Bottlenecks => Structure::default(),
            Repository::PreAct { raw, .. } => Structure {
                raw_shortcuts: Some(raw),
                stride_in: has("pre.0.weight").then_some(StrideIn::OneByOne),
                ..stated
            },
            Repository::Dense => Structure {
                newest_first: Some(has("trans1.bn.weight")),
                transition_activation: has("features.transition_layer_0.down_sample.0.weight")
                    .then_some(Activation::Identity),
                ..stated
            },
        }
    }

    /// The canonical name of the tensor called `name` below the prefix.
    pub(super) fn spell(self, name: &str) -> Option<String> {
        match self {
            Repository::Sequence => from_sequence(name),
            Repository::Bottlenecks => from_bottlenecks(name),
            Repository::PreAct { stem_norm, raw } => from_preact(name, stem_norm, raw),
            Repository::Dense => from_dense(name),
        }
    }
}

/// Whether a network has a stem of one 3x3 convolution, and norms before convolutions: in `block`, a norm has as many channels as the input
/// of the convolution with its number, and not as many as the output.
fn is_preact(prefix: &str, block: &str, shapes: &HashMap<&str, &[usize]>) -> bool {
    let shape = |name: String| shapes.get(format!("{prefix}{name}.weight").as_str()).copied();
    let before = |number| match (shape(format!("{block}bn{number}")), shape(format!("{block}conv{number}"))) {
        (Some([norm]), Some([outputs, inputs, ..])) => norm == inputs && inputs != outputs,
        _ => false,
    };
    matches!(shape("conv1".into()), Some([_, _, 3, 3])) && (1..=3).any(before)
}

/// Reads names such as `conv3_x.0.residual_function.3.weight` and `stage1.0.excitation.2.bias`: the modules of a sequence are convolution,
/// norm and ReLU in turn.
fn from_sequence(name: &str) -> Option<String> {
    if let Some(stem) = name.strip_prefix("conv1.").or(name.strip_prefix("pre.")) {
        return conv_or_norm(stem, "", 1);
    }
    let (stage, rest) = name.split_once('.')?;
    let stage = match stage.strip_prefix("conv") {
        Some(number) => index(number.strip_suffix("_x").unwrap_or(number))?.checked_sub(1)?,
        None => index(stage.strip_prefix("stage")?)?,
    };
    let (block, layer) = rest.split_once('.')?;
    let place = format!("layer{stage}.{}.", index(block)?);
    let (module, layer) = layer.split_once('.')?;
    let (number, part) = layer.split_once('.')?;
    match (module, index(number)?) {
        ("shortcut", number) => Some(format!("{place}downsample.{number}.{part}")),
        ("excitation", 0) => Some(format!("{place}excitation.fc1.{part}")),
        ("excitation", 2) => Some(format!("{place}excitation.fc2.{part}")),
        (module, number) if SEQUENCES.contains(&module) => {
            conv_or_norm(&format!("{}.{part}", number % 3), &place, number / 3 + 1)
        }
        _ => None,
    }
}

/// The tensor of module 0, a convolution, or 1, its norm, with their number in the module `place`.
fn conv_or_norm(layer: &str, place: &str, number: u16) -> Option<String> {
    match layer.split_once('.')? {
        ("0", part) => Some(format!("{place}conv{number}.{part}")),
        ("1", part) => Some(format!("{place}bn{number}.{part}")),
        _ => None,
    }
}

/// Reads names such as `stage_2.stage_2_bottleneck_0.conv_reduce.weight`.
fn from_bottlenecks(name: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    match module {
        "conv_1_3x3" => return Some(format!("conv1.{part}")),
        "bn_1" => return Some(format!("bn1.{part}")),
        _ => {}
    }
    let (stage, rest) = module.strip_prefix("stage_")?.split_once('.')?;
    let (block, layer) = rest.strip_prefix(&format!("stage_{stage}_bottleneck_"))?.split_once('.')?;
    let layer = match layer {
        "conv_reduce" => "conv1",
        "bn_reduce" => "bn1",
        "conv_conv" => "conv2",
        "bn" => "bn2",
        "conv_expand" => "conv3",
        "bn_expand" => "bn3",
        "shortcut.shortcut_conv" => "downsample.0",
        "shortcut.shortcut_bn" => "downsample.1",
        _ => return None,
    };
    Some(format!("layer{}.{}.{layer}.{part}", index(stage)?, index(block)?))
}

/// Reads names such as `layer1.0.bn1.weight`, `block1.layer.0.convShortcut.weight` and `stage1.0.residual.2.weight`. The result has the
/// names of timm's ResNetV2.
fn from_preact(name: &str, stem_norm: bool, raw: bool) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    let outer = match module {
        "conv1" | "pre.0" => Some("stem.conv"),
        "bn1" if stem_norm => Some("stem.norm"),
        "pre.1" => Some("stem.norm"),
        "bn1" | "bn" => Some("norm"),
        "linear" => Some("fc"),
        _ => None,
    };
    if let Some(outer) = outer {
        return Some(format!("{outer}.{part}"));
    }
    let (stage, rest) = match module.strip_prefix("block") {
        Some(rest) => rest.split_once(".layer.")?,
        None => module.strip_prefix("layer").or(module.strip_prefix("stage"))?.split_once('.')?,
    };
    let (block, layer) = rest.split_once('.')?;
    let place = format!("stages.{}.blocks.{}", index(stage)?.checked_sub(1)?, index(block)?);
    let layer = match layer {
        "shortcut" | "shortcut.0" | "convShortcut" => "downsample.conv".into(),
        "downsample.0" if raw => "downsample.conv".into(),
        "fc1" | "fc2" => format!("se.{layer}"),
        _ => match layer.strip_prefix("residual.") {
            Some(number) => norm_or_conv(index(number)?)?,
            None => layer.replacen("bn", "norm", 1),
        },
    };
    Some(format!("{place}.{layer}.{part}"))
}

/// The layer of this number in a sequence of norm, ReLU and convolution in turn.
fn norm_or_conv(number: u16) -> Option<String> {
    match number % 3 {
        0 => Some(format!("norm{}", number / 3 + 1)),
        2 => Some(format!("conv{}", number / 3 + 1)),
        _ => None,
    }
}

/// Reads names of DenseNets such as `dense1.0.bn1.weight`, `block1.layer.0.conv2.weight`, `trans1.bn.weight` and
/// `features.dense_block_layer_0.bottle_neck_layer_0.bottle_neck.2.weight`.
fn from_dense(name: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    match module {
        "conv1" => return Some(format!("features.conv0.{part}")),
        "bn" | "bn1" | "features.bn" => return Some(format!("features.norm5.{part}")),
        _ => {}
    }
    if let Some(rest) = module.strip_prefix("trans") {
        let (number, layer) = rest.split_once('.')?;
        let layer = match layer {
            "bn" | "bn1" => "norm",
            "conv" | "conv1" => "conv",
            _ => return None,
        };
        return Some(format!("features.transition{}.{layer}.{part}", index(number)?));
    }
    if let Some(rest) = module.strip_prefix("features.transition_layer_") {
        let (number, layer) = rest.split_once(".down_sample.")?;
        let layer = match layer {
            "0" => "norm",
            "1" => "conv",
            _ => return None,
        };
        return Some(format!("features.transition{}.{layer}.{part}", index(number)? + 1));
    }
    let (block, layer, inner) = if let Some(rest) = module.strip_prefix("features.dense_block") {
        let (block, rest) = rest.strip_prefix("_layer_").unwrap_or(rest).split_once(".bottle_neck_layer_")?;
        let (layer, number) = rest.split_once(".bottle_neck.")?;
        (index(block)? + 1, layer, norm_or_conv(index(number)?)?)
    } else {
        let (block, rest) = match module.strip_prefix("block") {
            Some(rest) => rest.split_once(".layer.")?,
            None => module.strip_prefix("dense")?.split_once('.')?,
        };
        let (layer, inner) = rest.split_once('.')?;
        (index(block)?, layer, inner.replacen("bn", "norm", 1))
    };
    Some(format!("features.denseblock{block}.denselayer{}.{inner}.{part}", index(layer)? + 1))
}
