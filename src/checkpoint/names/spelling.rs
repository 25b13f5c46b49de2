//! Translates the names that libraries give to the tensors of one network into torchvision's.

use std::collections::HashMap;

use super::{
    index,
    regnet::{self, Writer},
};

/// The spelling of a network's tensor names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// torchvision's ResNet.
    ResNet,
    /// `Sequential(*network.children())` of torchvision's ResNet, in which the module of this number is `layer1`.
    Sequential { first: usize },
    /// transformers' ResNet.
    Transformers,
    /// torchvision's DenseNet.
    DenseNet,
    /// torchvision's DenseNet without the outermost module `features`; `before` precedes the names of its children.
    BareDenseNet { before: &'static str },
    /// A RegNet.
    RegNet(Writer),
    /// timm's ResNet variants. Each family has its own names.
    Variant,
    /// transformers' BiT.
    Bit,
    /// A ResNet whose blocks have a module `residual_function`, as in weiaicunzai's pytorch-cifar100.
    ResidualFunction,
    /// A ResNet for CIFAR with norms before convolutions, as in kuangliu's pytorch-cifar and xternalz's WideResNet-pytorch.
    PreAct,
}

impl Kind {
    /// The usual names of the head module.
    pub(super) fn heads(self) -> &'static [&'static str] {
        match self {
            Kind::DenseNet | Kind::BareDenseNet { .. } => &["classifier"],
            Kind::ResNet | Kind::Sequential { .. } | Kind::Transformers | Kind::ResidualFunction | Kind::PreAct => {
                &["fc", "linear"]
            }
            Kind::Variant | Kind::Bit => &["fc"],
            Kind::RegNet(Writer::Timm) => &["head.fc"],
            Kind::RegNet(Writer::Torchvision | Writer::Transformers) => &["fc"],
        }
    }

    /// Whether the library that writes it stores the head separately.
    pub(super) fn has_own_head(self) -> bool {
        matches!(self, Kind::Transformers | Kind::Bit | Kind::RegNet(Writer::Transformers))
    }

    /// The canonical name of the head module.
    pub(super) fn head(self) -> &'static str {
        if let Kind::RegNet(_) = self { regnet::HEAD } else { self.heads()[0] }
    }

    /// Whether the tensors of the first convolution exist.
    pub(super) fn has_stem(self, prefix: &str, shapes: &HashMap<&str, &[usize]>) -> bool {
        let stems: &[&str] = match self {
            Kind::ResNet => &["conv1.weight", "conv1.0.weight", "layer0.conv1.weight"],
            Kind::ResidualFunction => &["conv1.0.weight"],
            Kind::DenseNet => &["features.conv0.weight"],
            Kind::BareDenseNet { before: "" } => &["conv0.weight"],
            Kind::BareDenseNet { .. } => &["features_conv0.weight"],
            Kind::RegNet(Writer::Timm) => &["stem.conv.weight", "stem.weight"],
            Kind::RegNet(Writer::Torchvision) => &["stem.0.weight"],
            Kind::Sequential { .. }
            | Kind::Transformers
            | Kind::Variant
            | Kind::Bit
            | Kind::PreAct
            | Kind::RegNet(Writer::Transformers) => return true,
        };
        stems.iter().any(|stem| shapes.contains_key(format!("{prefix}{stem}").as_str()))
    }

    /// The torchvision name of the tensor called `name` below the prefix.
    pub(super) fn spell(self, name: &str) -> String {
        let spelled = match self {
            Kind::ResNet => from_named_shortcut(name),
            Kind::Sequential { first } => from_sequential(name, first),
            Kind::Transformers => from_transformers(name),
            Kind::DenseNet => from_old_densenet(name),
            Kind::BareDenseNet { before } => from_bare_densenet(name, before),
            Kind::RegNet(writer) => writer.spell(name),
            Kind::Variant => None,
            Kind::Bit => from_bit(name),
            Kind::ResidualFunction => from_residual_function(name),
            Kind::PreAct => from_preact(name),
        };
        spelled.unwrap_or_else(|| name.to_string())
    }
}

/// Reads names such as `4.0.conv1.weight`, with `first` = 4: convolution, norm, ReLU and pooling come before the stages, pooling
/// and head after them.
fn from_sequential(name: &str, first: usize) -> Option<String> {
    let (number, rest) = name.split_once('.')?;
    let number = usize::from(index(number)?);
    match number {
        0 => Some(format!("conv1.{rest}")),
        1 => Some(format!("bn1.{rest}")),
        // Pooling by a convolution comes right before the stages.
        _ if number + 1 == first => Some(format!("maxpool.{rest}")),
        _ if number < first => None,
        _ => Some(match rest.split_once('.') {
            // The head is one layer, or a sequence of layers.
            None => format!("fc.{name}"),
            Some((layer, part)) if !part.contains('.') && index(layer).is_some() => format!("fc.{rest}"),
            Some(_) => {
                let stage = format!("layer{}.{rest}", number - first + 1);
                from_named_shortcut(&stage).unwrap_or(stage)
            }
        }),
    }
}

/// Reads names of `ResNetForImageClassification`, and of `ResNetModel`, which has no prefix `resnet.` and no head.
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

/// Reads names of `BitForImageClassification`, and of `BitModel`. The result has the names of timm's ResNetV2.
fn from_bit(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("classifier.1.") {
        return Some(format!("fc.{part}"));
    }
    let name = name.strip_prefix("bit.").unwrap_or(name);
    if name.starts_with("norm.") {
        return Some(name.into());
    }
    if let Some(layer) = name.strip_prefix("embedder.") {
        return Some(format!("stem.{}", layer.replacen("convolution.", "conv.", 1)));
    }
    let (stage, rest) = name.strip_prefix("encoder.stages.")?.split_once(".layers.")?;
    Some(format!("stages.{stage}.blocks.{rest}"))
}

/// Reads names such as `conv3_x.0.residual_function.3.weight`: the modules are convolution, norm and ReLU in turn.
fn from_residual_function(name: &str) -> Option<String> {
    if let Some(stem) = name.strip_prefix("conv1.") {
        return conv_or_norm(stem, "", 1);
    }
    let (stage, rest) = name.strip_prefix("conv")?.split_once("_x.")?;
    let (block, layer) = rest.split_once('.')?;
    let place = format!("layer{}.{}.", index(stage)?.checked_sub(1)?, index(block)?);
    if let Some(layer) = layer.strip_prefix("shortcut.") {
        return Some(format!("{place}downsample.{layer}"));
    }
    let (number, part) = layer.strip_prefix("residual_function.")?.split_once('.')?;
    let number = index(number)?;
    conv_or_norm(&format!("{}.{part}", number % 3), &place, number / 3 + 1)
}

/// Reads names such as `layer1.0.bn1.weight` and `block1.layer.0.convShortcut.weight`. The result has the names of timm's ResNetV2.
fn from_preact(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("conv1.") {
        return Some(format!("stem.conv.{part}"));
    }
    if let Some(part) = name.strip_prefix("bn1.") {
        return Some(format!("norm.{part}"));
    }
    if let Some(part) = name.strip_prefix("linear.") {
        return Some(format!("fc.{part}"));
    }
    let (stage, rest) = match name.strip_prefix("block") {
        Some(rest) => rest.split_once(".layer.")?,
        None => name.strip_prefix("layer")?.split_once('.')?,
    };
    let (block, layer) = rest.split_once('.')?;
    let place = format!("stages.{}.blocks.{}", index(stage)?.checked_sub(1)?, index(block)?);
    let layer = match layer.split_once('.')? {
        ("shortcut", part) => format!("downsample.conv.{}", part.strip_prefix("0.")?),
        ("convShortcut", part) => format!("downsample.conv.{part}"),
        (module, part) => format!("{}.{part}", module.replacen("bn", "norm", 1)),
    };
    Some(format!("{place}.{layer}"))
}

/// The tensor of module 0, a convolution, or 1, its norm, with their number in the module `place`.
fn conv_or_norm(layer: &str, place: &str, number: u16) -> Option<String> {
    match layer.split_once('.')? {
        ("0", part) => Some(format!("{place}conv{number}.{part}")),
        ("1", part) => Some(format!("{place}bn{number}.{part}")),
        _ => None,
    }
}

fn conv_and_norm(layer: &str, conv: &str, norm: &str) -> Option<String> {
    match layer.split_once('.')? {
        ("convolution", part) => Some(format!("{conv}.{part}")),
        ("normalization", part) => Some(format!("{norm}.{part}")),
        _ => None,
    }
}

/// Reads names of the children of `features`.
fn from_bare_densenet(name: &str, before: &str) -> Option<String> {
    let child = name.strip_prefix(before)?;
    let parts = ["conv", "norm", "denseblock", "transition"];
    let is_part = |part: &&str| {
        child.strip_prefix(*part).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '_'))
    };
    parts.iter().any(is_part).then(|| {
        let whole = format!("features.{child}");
        from_old_densenet(&whole).unwrap_or(whole)
    })
}

/// Reads names such as `denselayer3.norm.1.weight` and `denselayer3.conv.2.weight`.
fn from_old_densenet(name: &str) -> Option<String> {
    let (front, layer) = name.split_once(".denselayer")?;
    let (number, layer) = layer.split_once('.')?;
    let (kind, rest) = layer.split_once('.')?;
    let (position, part) = rest.split_once('.')?;
    (matches!(kind, "norm" | "relu" | "conv") && matches!(position, "1" | "2"))
        .then(|| format!("{front}.denselayer{number}.{kind}{position}.{part}"))
}

/// Reads names such as `layer2.0.shortcut.0.weight`: a 1x1 convolution and a batch normalisation, `downsample` in torchvision.
fn from_named_shortcut(name: &str) -> Option<String> {
    let (block, part) = name.split_once(".shortcut.")?;
    (block.starts_with("layer") && (part.starts_with("0.") || part.starts_with("1.")))
        .then(|| format!("{block}.downsample.{part}"))
}
