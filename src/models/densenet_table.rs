//! The densely connected networks that have a name.

use super::{Biases, DenseNet, Head, Properties};

/// For ImageNet: table 1 of Huang et al. 2016. Name, output channels of the stem, growth, dense layers in each block.
const IMAGENET: [(&str, usize, usize, [usize; 4]); 4] = [
    ("densenet121", 64, 32, [6, 12, 24, 16]),
    ("densenet161", 96, 48, [6, 12, 36, 24]),
    ("densenet169", 64, 32, [6, 12, 32, 32]),
    ("densenet201", 64, 32, [6, 12, 48, 32]),
];

/// For CIFAR-10: DenseNet-BC with L = 100 and k = 12 (table 2).
const CIFAR: &str = "cifar_densenet_bc_100_12";

/// All names of the table.
pub(super) fn names() -> impl Iterator<Item = String> {
    IMAGENET.into_iter().map(|(name, ..)| name).chain([CIFAR]).map(String::from)
}

/// The network of a name.
pub(super) fn by_name(name: &str) -> Option<DenseNet> {
    if name == CIFAR {
        return Some(network(false, 24, 12, &[16; 3], "norm4", 10));
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

/// The name in the table of a network like this with any head, or else a description.
pub(super) fn name(net: &DenseNet) -> String {
    let plain = |net: &DenseNet| DenseNet {
        inputs: 3,
        biases: Biases::default(),
        head: None,
        last_norm: String::new(),
        properties: Properties::usual(!net.pooled_stem),
        ..net.clone()
    };
    let known = names().find(|name| by_name(name).is_some_and(|other| plain(&other) == plain(net)));
    known.unwrap_or_else(|| {
        let stem = if net.pooled_stem { "" } else { "cifar_" };
        let bottleneck = net.bottleneck.map_or(String::new(), |width| format!(" bottleneck {width}"));
        format!("{stem}densenet {:?} growth {}{bottleneck}", net.blocks, net.growth).replace(", ", ",")
    })
}
