//! The named residual networks: torchvision's and timm's.

use super::{
    Biases, Block, BlockKind, Head, Norm, Properties, ResNet, Shortcut, Stem,
    resnet_imagenet::{IMAGENET, Row, stage},
};
use crate::structure::AntiAliasing;
use BlockKind::{Basic, Bottleneck};

/// The supported networks, for messages.
pub(super) const SUPPORTED: &str =
    "ResNet (plain, wide, -C, -D, -S, -T, -RS), ResNeXt, SENet, SE-ResNet, SE-ResNeXt, ECA-ResNet and ECA-ResNeXt";

/// Depths of the CIFAR networks, 6n + 2 (He et al. 2015, section 4.2).
const CIFAR: [usize; 6] = [20, 32, 44, 56, 110, 1202];

/// timm's network for its own tests, with both kinds of blocks.
const MIXED: &str = "test_resnet";

/// `option` is the shortcut of blocks that change the number of channels.
fn cifar(depth: usize, option: Shortcut) -> ResNet {
    let of_stage = |channels: usize| {
        let block = |shortcut| Block { kind: Basic, first: channels, width: channels, channels, gate: None, shortcut };
        stage((depth - 2) / 6, channels == 16, option, block)
    };
    ResNet {
        inputs: 3,
        stem: Stem::Cifar,
        stem_channels: 16,
        stem_pool_conv: false,
        legacy: false,
        excitation: false,
        groups: 1,
        first_groups: 1,
        norm: Norm::Batch,
        stages: [16, 32, 64].map(of_stage).to_vec(),
        biases: Biases::default(),
        head: Some(Head::linear("linear", 10)),
        properties: Properties::usual(true),
    }
}

/// timm's `test_resnet`: one block in each stage, basic or bottleneck.
fn mixed() -> ResNet {
    let mut inputs = 32;
    let stages = [(Basic, 32), (Basic, 48), (Bottleneck, 48), (Basic, 96)].map(|(kind, width)| {
        let channels = if kind == Basic { width } else { 4 * width };
        let keeps = inputs == channels;
        inputs = channels;
        let block = |shortcut| Block { kind, first: width, width, channels, gate: None, shortcut };
        stage(1, keeps, Shortcut::PooledProjection, block)
    });
    ResNet {
        inputs: 3,
        stem: Stem::Deep([16, 16]),
        stem_channels: 32,
        stem_pool_conv: false,
        legacy: false,
        excitation: false,
        groups: 1,
        first_groups: 1,
        norm: Norm::Batch,
        stages: stages.to_vec(),
        biases: Biases::default(),
        head: Some(Head::linear("fc", 1000)),
        properties: Properties::usual(false),
    }
}

fn cifar_names() -> impl Iterator<Item = (String, usize, Shortcut)> {
    CIFAR.into_iter().flat_map(|depth| {
        [("a", Shortcut::SubsamplePad), ("b", Shortcut::Projection)]
            .map(|(letter, option)| (format!("cifar_resnet{depth}{letter}"), depth, option))
    })
}

/// All names of the table, except the names of networks whose tensors equal another's.
pub(super) fn names() -> Vec<String> {
    let shown = IMAGENET.iter().filter(|row| row.anti_aliasing == AntiAliasing::None);
    let imagenet = shown.map(|row| row.name.to_string());
    imagenet.chain(cifar_names().map(|(name, ..)| name)).chain([MIXED.into()]).collect()
}

/// The network with this name.
pub(super) fn by_name(name: &str) -> Option<ResNet> {
    if name == MIXED {
        return Some(mixed());
    }
    let imagenet = IMAGENET.iter().find(|row| row.name == name).map(Row::network);
    imagenet.or_else(|| cifar_names().find(|(n, ..)| n == name).map(|(_, depth, option)| cifar(depth, option)))
}

/// The network's name in the table, or else a description.
pub(super) fn name(net: &ResNet) -> String {
    // A name does not depend on the image's channels, the head, biases, or properties that no tensor shows.
    let plain = |net: &ResNet| ResNet {
        inputs: 3,
        biases: Biases::default(),
        head: None,
        properties: Properties { anti_aliasing: net.properties.anti_aliasing, ..net.usual() },
        ..net.clone()
    };
    let same = |other: &ResNet| plain(net) == plain(other);
    let mut all = IMAGENET
        .iter()
        .map(|row| row.name.to_string())
        .chain(cifar_names().map(|(name, ..)| name))
        .chain([MIXED.into()]);
    let known = all.find(|name| by_name(name).is_some_and(|other| same(&other)));
    known.unwrap_or_else(|| describe(net))
}

fn describe(net: &ResNet) -> String {
    let depths: Vec<usize> = net.stages.iter().map(Vec::len).collect();
    let blocks = || net.stages.iter().flatten();
    let legacy = if net.legacy { "legacy_" } else { "" };
    let prefix = if net.small_stem() { "cifar_" } else { "" };
    let kind = if net.has_bottlenecks() { "bottleneck" } else { "basic" };
    let width = blocks().next().map_or(0, |block| block.width);
    let mut text = format!("{legacy}{prefix}resnet {depths:?} {kind} width {width}").replace(", ", ",");
    let features = [
        (net.groups > 1, format!(" groups {}", net.groups)),
        (matches!(net.stem, Stem::Deep(_)), " deep stem".into()),
        (blocks().any(|block| block.shortcut == Shortcut::PooledProjection), " pooled shortcuts".into()),
        (net.properties.anti_aliasing != AntiAliasing::None, " anti-aliased".into()),
        (net.norm == Norm::Group, " group norm".into()),
    ];
    features.into_iter().filter(|(has, _)| *has).for_each(|(_, feature)| text.push_str(&feature));
    if let Some(gate) = blocks().find_map(|block| block.gate) {
        text = format!("{text} {}", gate.name());
    }
    text
}
