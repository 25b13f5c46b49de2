//! Translates the names that libraries give to the tensors of a RegNet into timm's, the only names that all its forms have.

use super::index;

/// The head module.
pub(super) const HEAD: &str = "head.fc";

/// The library that writes these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Timm,
    Torchvision,
    Transformers,
}

impl Writer {
    /// timm's name of the tensor called `name` below the prefix.
    pub(super) fn spell(self, name: &str) -> Option<String> {
        match self {
            Writer::Timm => None,
            Writer::Torchvision => from_torchvision(name),
            Writer::Transformers => from_transformers(name),
        }
    }
}

fn from_torchvision(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("fc.") {
        return Some(format!("{HEAD}.{part}"));
    }
    if let Some(layer) = name.strip_prefix("stem.") {
        return numbered(layer, "stem");
    }
    let (stage, rest) = name.strip_prefix("trunk_output.block")?.split_once(".block")?;
    let (block, layer) = rest.strip_prefix(stage)?.strip_prefix('-')?.split_once('.')?;
    let place = format!("s{}.b{}", index(stage)?, index(block)? + 1);
    if let Some(layer) = layer.strip_prefix("proj.") {
        return numbered(layer, &format!("{place}.downsample"));
    }
    match layer.strip_prefix("f.")?.split_once('.')? {
        ("a", layer) => numbered(layer, &format!("{place}.conv1")),
        ("b", layer) => numbered(layer, &format!("{place}.conv2")),
        ("c", layer) => numbered(layer, &format!("{place}.conv3")),
        ("se", layer) => Some(format!("{place}.se.{layer}")),
        _ => None,
    }
}

/// Reads names of a convolution and its norm, which are the modules 0 and 1.
fn numbered(layer: &str, place: &str) -> Option<String> {
    match layer.split_once('.')? {
        ("0", part) => Some(format!("{place}.conv.{part}")),
        ("1", part) => Some(format!("{place}.bn.{part}")),
        _ => None,
    }
}

/// Reads names of `RegNetForImageClassification`, and of `RegNetModel`, which has no prefix `regnet.` and no head.
fn from_transformers(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("classifier.1.") {
        return Some(format!("{HEAD}.{part}"));
    }
    let name = name.strip_prefix("regnet.").unwrap_or(name);
    if let Some(layer) = name.strip_prefix("embedder.embedder.") {
        return worded(layer, "stem");
    }
    let (stage, rest) = name.strip_prefix("encoder.stages.")?.split_once(".layers.")?;
    let (block, layer) = rest.split_once('.')?;
    let place = format!("s{}.b{}", index(stage)? + 1, index(block)? + 1);
    if let Some(layer) = layer.strip_prefix("shortcut.") {
        return worded(layer, &format!("{place}.downsample"));
    }
    let (position, layer) = layer.strip_prefix("layer.")?.split_once('.')?;
    if let Some(layer) = layer.strip_prefix("attention.") {
        return match layer.split_once('.')? {
            ("0", part) => Some(format!("{place}.se.fc1.{part}")),
            ("2", part) => Some(format!("{place}.se.fc2.{part}")),
            _ => None,
        };
    }
    // Squeeze-and-excitation takes place 2, and moves the last convolution to place 3.
    match position {
        "0" => worded(layer, &format!("{place}.conv1")),
        "1" => worded(layer, &format!("{place}.conv2")),
        "2" | "3" => worded(layer, &format!("{place}.conv3")),
        _ => None,
    }
}

fn worded(layer: &str, place: &str) -> Option<String> {
    match layer.split_once('.')? {
        ("convolution", part) => Some(format!("{place}.conv.{part}")),
        ("normalization", part) => Some(format!("{place}.bn.{part}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_libraries_become_those_of_timm() {
        for (writer, name, expected) in [
            (Writer::Torchvision, "stem.1.running_var", "stem.bn.running_var"),
            (Writer::Torchvision, "trunk_output.block4.block4-11.proj.0.weight", "s4.b12.downsample.conv.weight"),
            (Writer::Torchvision, "trunk_output.block1.block1-0.f.c.1.bias", "s1.b1.conv3.bn.bias"),
            (Writer::Torchvision, "trunk_output.block2.block2-0.f.se.fc1.bias", "s2.b1.se.fc1.bias"),
            (Writer::Torchvision, "fc.weight", "head.fc.weight"),
            (Writer::Transformers, "regnet.embedder.embedder.convolution.weight", "stem.conv.weight"),
            (Writer::Transformers, "embedder.embedder.normalization.bias", "stem.bn.bias"),
            (Writer::Transformers, "encoder.stages.0.layers.0.shortcut.normalization.bias", "s1.b1.downsample.bn.bias"),
            (Writer::Transformers, "encoder.stages.3.layers.1.layer.2.convolution.weight", "s4.b2.conv3.conv.weight"),
            (Writer::Transformers, "encoder.stages.3.layers.1.layer.3.convolution.weight", "s4.b2.conv3.conv.weight"),
            (Writer::Transformers, "encoder.stages.0.layers.0.layer.2.attention.2.bias", "s1.b1.se.fc2.bias"),
            (Writer::Transformers, "classifier.1.bias", "head.fc.bias"),
        ] {
            assert_eq!(writer.spell(name).as_deref(), Some(expected), "{name}");
        }
        for name in
            ["trunk_output.block1.block2-0.proj.0.weight", "trunk_output.block1.block1-0.f.d.0.weight", "stem.2.bias"]
        {
            assert_eq!(Writer::Torchvision.spell(name), None, "{name}");
        }
    }
}
