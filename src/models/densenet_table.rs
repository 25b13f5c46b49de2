//! The named densely connected networks.

use super::{Biases, DenseNet, Head, Properties};
use crate::structure::AntiAliasing;

/// For ImageNet: table 1 of Huang et al. 2016. Name, output channels of the stem, growth, dense layers in each block.
const IMAGENET: [(&str, usize, usize, [usize; 4]); 4] = [
    ("densenet121", 64, 32, [6, 12, 24, 16]),
    ("densenet161", 96, 48, [6, 12, 36, 24]),
    ("densenet169", 64, 32, [6, 12, 32, 32]),
    ("densenet201", 64, 32, [6, 12, 48, 32]),
];

/// timm's networks with three 3x3 convolutions in their stem: name, growth, dense layers in each block, anti-aliasing.
const DEEP: [(&str, usize, [usize; 4], AntiAliasing); 2] = [
    ("densenet264d", 48, [6, 12, 64, 48], AntiAliasing::None),
    ("densenetblur121d", 32, [6, 12, 24, 16], AntiAliasing::Blur),
];

/// For CIFAR-10: DenseNet-BC with L = 100 and k = 12 (table 2).
const CIFAR: &str = "cifar_densenet_bc_100_12";

/// All names of the table, except the names of networks whose tensors equal another's.
pub(super) fn names() -> impl Iterator<Item = String> {
    let shown = DEEP.into_iter().filter(|(.., anti_aliasing)| *anti_aliasing == AntiAliasing::None);
    let deep = shown.map(|(name, ..)| name);
    IMAGENET.into_iter().map(|(name, ..)| name).chain([CIFAR]).chain(deep).map(String::from)
}

/// The network with this name.
pub(super) fn by_name(name: &str) -> Option<DenseNet> {
    if name == CIFAR {
        return Some(network(false, 24, 12, &[16; 3], "norm4", 10));
    }
    if let Some((_, growth, blocks, anti_aliasing)) = DEEP.iter().find(|(known, ..)| *known == name) {
        let plain = network(true, 2 * growth, *growth, blocks, "norm5", 1000);
        let properties = Properties { anti_aliasing: *anti_aliasing, ..plain.properties };
        return Some(DenseNet { deep_stem: Some([*growth; 2]), properties, ..plain });
    }
    let (_, stem_channels, growth, blocks) = IMAGENET.iter().find(|(known, ..)| *known == name)?;
    Some(network(true, *stem_channels, *growth, blocks, "norm5", 1000))
}

/// Bottlenecks are four times as wide as the growth, and transitions halve the channels.
fn network(
    pooled_stem: bool,
    stem_channels: usize,
    growth: usize,
    blocks: &[usize],
    last_norm: &str,
    classes: usize,
) -> DenseNet {
    let mut channels = stem_channels;
    let transition = |layers: &usize| {
        channels = (channels + layers * growth) / 2;
        channels
    };
    DenseNet {
        inputs: 3,
        pooled_stem,
        deep_stem: None,
        stem_channels,
        growth,
        bottleneck: Some(4 * growth),
        transitions: blocks[..blocks.len() - 1].iter().map(transition).collect(),
        blocks: blocks.to_vec(),
        last_norm: last_norm.into(),
        biases: Biases::default(),
        head: Some(Head::linear("classifier", classes)),
        properties: Properties::usual(!pooled_stem),
    }
}

/// The network's name in the table, whatever its head, or else a description.
pub(super) fn name(net: &DenseNet) -> String {
    let plain = |net: &DenseNet| DenseNet {
        inputs: 3,
        biases: Biases::default(),
        head: None,
        last_norm: String::new(),
        properties: Properties { anti_aliasing: net.properties.anti_aliasing, ..Properties::usual(!net.pooled_stem) },
        ..net.clone()
    };
    let all = names().chain(DEEP.into_iter().map(|(name, ..)| name.to_string()));
    let known = all.into_iter().find(|name| by_name(name).is_some_and(|other| plain(&other) == plain(net)));
    known.unwrap_or_else(|| {
        let stem = if net.pooled_stem { "" } else { "cifar_" };
        let deep = if net.deep_stem.is_some() { " deep stem" } else { "" };
        let bottleneck = net.bottleneck.map_or(String::new(), |width| format!(" bottleneck {width}"));
        format!("{stem}densenet {:?} growth {}{bottleneck}{deep}", net.blocks, net.growth).replace(", ", ",")
    })
}
