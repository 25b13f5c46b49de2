//! Translates the names that libraries give to the tensors of one network into torchvision's.

use std::collections::HashMap;

use super::{
    cifar::Repository,
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
    /// A network of one of the repositories for CIFAR.
    Cifar(Repository),
    /// A ResNet with attention pooling, as in OpenAI's CLIP and open_clip.
    Clip,
    /// detectron2's ResNet.
    Detectron,
}

impl Kind {
    /// The usual names of the head module.
    pub(super) fn heads(self) -> &'static [&'static str] {
        match self {
            Kind::DenseNet | Kind::BareDenseNet { .. } => &["classifier"],
            Kind::ResNet | Kind::Sequential { .. } | Kind::Transformers | Kind::Detectron => &["fc", "linear"],
            Kind::Cifar(repository) => repository.heads(),
            Kind::Variant | Kind::Bit | Kind::Clip => &["fc"],
            Kind::RegNet(Writer::Timm) => &["head.fc"],
            Kind::RegNet(Writer::Torchvision | Writer::Transformers) => &["fc"],
        }
    }

    /// Whether the library that writes it stores the head separately, or it has none.
    pub(super) fn has_own_head(self) -> bool {
        matches!(self, Kind::Transformers | Kind::Bit | Kind::Clip | Kind::RegNet(Writer::Transformers))
    }

    /// The canonical name of the head module.
    pub(super) fn head(self) -> &'static str {
        if let Kind::RegNet(_) = self { regnet::HEAD } else { self.heads()[0] }
    }

    /// Whether the tensors of the first convolution exist.
    pub(super) fn has_stem(self, prefix: &str, shapes: &HashMap<&str, &[usize]>) -> bool {
        let stems: &[&str] = match self {
            Kind::ResNet => &["conv1.weight", "conv1.0.weight", "layer0.conv1.weight"],
            Kind::Cifar(repository) => repository.stems(),
            Kind::DenseNet => &["features.conv0.weight"],
            Kind::BareDenseNet { before: "" } => &["conv0.weight"],
            Kind::BareDenseNet { .. } => &["features_conv0.weight"],
            Kind::RegNet(Writer::Timm) => &["stem.conv.weight", "stem.weight"],
            Kind::RegNet(Writer::Torchvision) => &["stem.0.weight"],
            Kind::Sequential { .. }
            | Kind::Transformers
            | Kind::Variant
            | Kind::Bit
            | Kind::Clip
            | Kind::Detectron
            | Kind::RegNet(Writer::Transformers) => return true,
        };
        stems.iter().any(|stem| shapes.contains_key(format!("{prefix}{stem}").as_str()))
    }

    /// The torchvision name of the tensor called `name` below the prefix.
    pub(super) fn spell(self, name: &str) -> String {
        let spelled = match self {
            Kind::ResNet => from_resnet(name),
            Kind::Sequential { first } => from_sequential(name, first),
            Kind::Transformers => from_transformers(name),
            Kind::DenseNet => from_old_densenet(name),
            Kind::BareDenseNet { before } => from_bare_densenet(name, before),
            Kind::RegNet(writer) => writer.spell(name),
            Kind::Variant => None,
            Kind::Bit => from_bit(name),
            Kind::Cifar(repository) => repository.spell(name),
            Kind::Clip => from_clip(name),
            Kind::Detectron => from_detectron(name),
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
                from_resnet(&stage).unwrap_or(stage)
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

/// Reads names such as `layer1.0.conv2.weight` and `attnpool.q_proj.weight`. The result has the names of timm's `resnet50_clip`.
fn from_clip(name: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    if name == "attnpool.positional_embedding" {
        return Some("head.pos_embed".into());
    }
    if let Some(layer) = module.strip_prefix("attnpool.") {
        let layer = layer.strip_suffix("_proj")?;
        return Some(format!("head.{}.{part}", if layer == "c" { "proj" } else { layer }));
    }
    let layer_of =
        |module: &str| ["conv", "bn"].into_iter().find_map(|kind| Some((kind, index(module.strip_prefix(kind)?)?)));
    if let Some((kind, number)) = layer_of(module) {
        return Some(format!("stem.conv{number}.{kind}.{part}"));
    }
    let (stage, rest) = module.strip_prefix("layer")?.split_once('.')?;
    let (block, layer) = rest.split_once('.')?;
    let place = format!("stages.{}.{}", index(stage)?.checked_sub(1)?, index(block)?);
    let layer = match (layer, layer_of(layer)) {
        ("downsample.0", _) => "shortcut.conv.conv".into(),
        ("downsample.1", _) => "shortcut.conv.bn".into(),
        (_, Some((kind, number @ (1 | 3)))) => format!("conv{number}_1x1.{kind}"),
        (_, Some((kind, 2))) => format!("conv2_kxk.{kind}"),
        _ => return None,
    };
    Some(format!("{place}.{layer}.{part}"))
}

/// Reads names such as `stem.conv1.norm.weight`, `res2.0.conv1.weight` and `res2.0.shortcut.norm.bias`.
fn from_detectron(name: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    let (module, normed) = module.strip_suffix(".norm").map_or((module, false), |module| (module, true));
    if module == "stem.conv1" {
        return Some(format!("{}.{part}", if normed { "bn1" } else { "conv1" }));
    }
    let (stage, rest) = module.strip_prefix("res")?.split_once('.')?;
    let (block, layer) = rest.split_once('.')?;
    let layer = match layer.strip_prefix("conv") {
        Some(number) => format!("{}{}", if normed { "bn" } else { "conv" }, index(number)?),
        None if layer == "shortcut" => format!("downsample.{}", u8::from(normed)),
        None => return None,
    };
    Some(format!("layer{}.{}.{layer}.{part}", index(stage)?.checked_sub(1)?, index(block)?))
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

/// Modules of blocks whose names differ from torchvision's and timm's: kuangliu's shortcuts and gates, moskomule's gates, and efficient
/// channel attention as its authors name it.
const MODULES: [(&str, &str); 7] = [
    ("shortcut.0", "downsample.0"),
    ("shortcut.1", "downsample.1"),
    ("fc1", "se.fc1"),
    ("fc2", "se.fc2"),
    ("se.fc.0", "se.fc1"),
    ("se.fc.2", "se.fc2"),
    ("eca.conv", "se.conv"),
];

/// Reads names such as `layer2.0.shortcut.0.weight` and `layer2.0.se.fc.0.weight`.
fn from_resnet(name: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    let (stage, rest) = module.split_once('.')?;
    let (block, layer) = rest.split_once('.')?;
    index(stage.strip_prefix("layer")?)?;
    let (_, layer) = MODULES.iter().find(|(other, _)| *other == layer)?;
    Some(format!("{stage}.{block}.{layer}.{part}"))
}
