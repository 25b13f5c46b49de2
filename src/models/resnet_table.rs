//! The residual networks that have a name.

use super::{Block, BlockKind, Head, ResNet, Shortcut, Stem};

/// Depths of the CIFAR nets, 6n + 2 (He et al. 2015, section 4.2).
const CIFAR: [usize; 6] = [20, 32, 44, 56, 110, 1202];

/// A network for ImageNet: table 1 of He et al. 2015, and torchvision's wider and grouped kin.
struct Row {
    name: &'static str,
    kind: BlockKind,
    depths: [usize; 4],
    groups: usize,
    /// Channels of the 3x3 convolution in the first stage; they double with every stage.
    width: usize,
}

const fn row(name: &'static str, kind: BlockKind, depths: [usize; 4], groups: usize, width: usize) -> Row {
    Row { name, kind, depths, groups, width }
}

const IMAGENET: [Row; 10] = [
    row("resnet18", BlockKind::Basic, [2, 2, 2, 2], 1, 64),
    row("resnet34", BlockKind::Basic, [3, 4, 6, 3], 1, 64),
    row("resnet50", BlockKind::Bottleneck, [3, 4, 6, 3], 1, 64),
    row("resnet101", BlockKind::Bottleneck, [3, 4, 23, 3], 1, 64),
    row("resnet152", BlockKind::Bottleneck, [3, 8, 36, 3], 1, 64),
    row("wide_resnet50_2", BlockKind::Bottleneck, [3, 4, 6, 3], 1, 128),
    row("wide_resnet101_2", BlockKind::Bottleneck, [3, 4, 23, 3], 1, 128),
    row("resnext50_32x4d", BlockKind::Bottleneck, [3, 4, 6, 3], 32, 128),
    row("resnext101_32x8d", BlockKind::Bottleneck, [3, 4, 23, 3], 32, 256),
    row("resnext101_64x4d", BlockKind::Bottleneck, [3, 4, 23, 3], 64, 256),
];

impl Row {
    fn network(&self) -> ResNet {
        let mut inputs = 64;
        let mut stages = Vec::new();
        for (s, depth) in self.depths.into_iter().enumerate() {
            let channels = match self.kind {
                BlockKind::Basic => 64 << s,
                BlockKind::Bottleneck => 256 << s,
            };
            let block = |shortcut| Block { width: self.width << s, channels, shortcut };
            stages.push(stage(depth, inputs, channels, Shortcut::Projection, block));
            inputs = channels;
        }
        let head = Some(Head { name: "fc".into(), classes: 1000 });
        ResNet {
            stem: Stem::ImageNet,
            stem_channels: 64,
            kind: self.kind,
            groups: self.groups,
            stages,
            head,
            downsample_in_bottleneck: false,
        }
    }
}

/// `option` is the shortcut of blocks that change the number of channels.
fn cifar(depth: usize, option: Shortcut) -> ResNet {
    let mut inputs = 16;
    let mut stages = Vec::new();
    for channels in [16, 32, 64] {
        let block = |shortcut| Block { width: channels, channels, shortcut };
        stages.push(stage((depth - 2) / 6, inputs, channels, option, block));
        inputs = channels;
    }
    let head = Some(Head { name: "linear".into(), classes: 10 });
    let (stem, kind) = (Stem::Cifar, BlockKind::Basic);
    ResNet { stem, stem_channels: 16, kind, groups: 1, stages, head, downsample_in_bottleneck: false }
}

/// `depth` blocks, the first of which changes the number of channels if they differ.
fn stage(
    depth: usize,
    inputs: usize,
    channels: usize,
    change: Shortcut,
    block: impl Fn(Shortcut) -> Block,
) -> Vec<Block> {
    let first = if inputs == channels { Shortcut::Identity } else { change };
    (0..depth).map(|b| block(if b == 0 { first } else { Shortcut::Identity })).collect()
}

fn cifar_names() -> impl Iterator<Item = (String, usize, Shortcut)> {
    CIFAR.into_iter().flat_map(|depth| {
        [("a", Shortcut::SubsamplePad), ("b", Shortcut::Projection)]
            .map(|(letter, option)| (format!("cifar_resnet{depth}{letter}"), depth, option))
    })
}

/// All names of the table.
pub(super) fn names() -> Vec<String> {
    let imagenet = IMAGENET.iter().map(|row| row.name.to_string());
    imagenet.chain(cifar_names().map(|(name, ..)| name)).collect()
}

/// The network of a name.
pub(super) fn by_name(name: &str) -> Option<ResNet> {
    let imagenet = IMAGENET.iter().find(|row| row.name == name).map(Row::network);
    imagenet.or_else(|| cifar_names().find(|(n, ..)| n == name).map(|(_, depth, option)| cifar(depth, option)))
}

/// The name in the table of a network with these blocks, or a description.
pub(super) fn name(net: &ResNet) -> String {
    // The name says nothing of the head and of the stride.
    let plain = |net: &ResNet| ResNet { head: None, downsample_in_bottleneck: false, ..net.clone() };
    let same = |other: &ResNet| plain(net) == plain(other);
    let known = names().into_iter().find(|name| by_name(name).is_some_and(|other| same(&other)));
    let name = known.unwrap_or_else(|| describe(net));
    let v1 = net.downsample_in_bottleneck && net.kind == BlockKind::Bottleneck;
    if v1 { format!("{name} (stride in the 1x1 convolutions)") } else { name }
}

fn describe(net: &ResNet) -> String {
    let depths: Vec<usize> = net.stages.iter().map(Vec::len).collect();
    let (kind, stem) = match (net.kind, net.stem) {
        (BlockKind::Basic, Stem::ImageNet) => ("basic", ""),
        (BlockKind::Bottleneck, Stem::ImageNet) => ("bottleneck", ""),
        (BlockKind::Basic, Stem::Cifar) => ("basic", "cifar_"),
        (BlockKind::Bottleneck, Stem::Cifar) => ("bottleneck", "cifar_"),
    };
    let width = net.stages.iter().flatten().next().map_or(0, |block| block.width);
    let groups = if net.groups == 1 { String::new() } else { format!(" groups {}", net.groups) };
    format!("{stem}resnet {depths:?} {kind} width {width}{groups}").replace(", ", ",")
}
