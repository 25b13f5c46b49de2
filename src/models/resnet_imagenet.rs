//! Named residual networks for ImageNet, torchvision's and timm's: one row each.

use super::{Biases, Block, BlockKind, Gate, Head, Norm, Properties, ResNet, Shortcut, Stem};
use crate::structure::AntiAliasing;
use BlockKind::{Basic, Bottleneck};

/// A network for ImageNet: table 1 of He et al. 2015, and its wider, grouped and refined variants.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    kind: BlockKind,
    depths: [usize; 4],
    groups: usize,
    /// Channels of the 3x3 convolution in the first stage; they double with every stage.
    width: usize,
    stem: Stem,
    stem_channels: usize,
    stem_pool_conv: bool,
    legacy: bool,
    /// Divisor of `width` for the output channels of a block's first convolution.
    reduction: usize,
    /// The shortcut of blocks that change channels or resolution.
    shortcut: Shortcut,
    /// The gate of a block with this number of channels.
    gate: Option<fn(usize) -> Gate>,
    pub(super) anti_aliasing: AntiAliasing,
    norm: Norm,
}

const fn row(name: &'static str, kind: BlockKind, depths: [usize; 4]) -> Row {
    Row {
        name,
        kind,
        depths,
        groups: 1,
        width: 64,
        stem: Stem::ImageNet,
        stem_channels: 64,
        stem_pool_conv: false,
        legacy: false,
        reduction: 1,
        shortcut: Shortcut::Projection,
        gate: None,
        anti_aliasing: AntiAliasing::None,
        norm: Norm::Batch,
    }
}

impl Row {
    const fn wide(self, width: usize) -> Row {
        Row { width, ..self }
    }

    /// ResNeXt: `groups` groups of `channels` channels.
    const fn grouped(self, groups: usize, channels: usize) -> Row {
        Row { groups, width: groups * channels, ..self }
    }

    /// The deep stem of 32, 32 and 64 channels.
    const fn c(self) -> Row {
        Row { stem: Stem::Deep([32, 32]), ..self }
    }

    /// Pooled shortcuts.
    const fn pooled(self) -> Row {
        Row { shortcut: Shortcut::PooledProjection, ..self }
    }

    /// The deep stem and pooled shortcuts.
    const fn d(self) -> Row {
        self.c().pooled()
    }

    /// The deep stem of 64, 64 and 128 channels.
    const fn s(self) -> Row {
        Row { stem: Stem::Deep([64, 64]), stem_channels: 128, ..self }
    }

    /// The tiered deep stem of 24, 32 and 64 channels, and pooled shortcuts.
    const fn t(self) -> Row {
        Row { stem: Stem::Deep([24, 32]), ..self.d() }
    }

    /// Average pooling instead of strides.
    const fn aa(self) -> Row {
        Row { anti_aliasing: AntiAliasing::Avg, ..self }
    }

    /// Group normalisation.
    const fn gn(self) -> Row {
        Row { norm: Norm::Group, ..self }
    }

    /// Blur pooling instead of strides.
    const fn blur(self) -> Row {
        Row { anti_aliasing: AntiAliasing::Blur, ..self }
    }

    const fn se(self) -> Row {
        Row { gate: Some(|channels| Gate::squeeze_excite(channels, 16)), ..self }
    }

    const fn eca(self) -> Row {
        Row { gate: Some(Gate::eca), ..self }
    }

    /// SENet-154: the first convolution of a block has half the channels, and shortcuts that stride have 3x3 convolutions.
    const fn senet(self) -> Row {
        Row { reduction: 2, shortcut: Shortcut::SpatialProjection, ..self.s().se() }
    }

    /// Cadene's SENets, with his number of squeezed channels.
    const fn legacy(self) -> Row {
        let gate: Option<fn(usize) -> Gate> =
            Some(|channels| Gate::SqueezeExcite { squeeze: channels / 16, bias: true });
        Row { legacy: true, gate, ..self }
    }

    const fn rs(self) -> Row {
        let gate: Option<fn(usize) -> Gate> = Some(|channels| Gate::squeeze_excite(channels, 4));
        Row { stem_pool_conv: true, gate, ..self.d() }
    }
}

/// The networks, by name.
pub(super) const IMAGENET: &[Row] = &[
    row("resnet18", Basic, [2, 2, 2, 2]),
    row("resnet34", Basic, [3, 4, 6, 3]),
    row("resnet26", Bottleneck, [2, 2, 2, 2]),
    row("resnet50", Bottleneck, [3, 4, 6, 3]),
    row("resnet50_gn", Bottleneck, [3, 4, 6, 3]).gn(),
    row("resnet101", Bottleneck, [3, 4, 23, 3]),
    row("resnet152", Bottleneck, [3, 8, 36, 3]),
    row("resnet200", Bottleneck, [3, 24, 36, 3]),
    row("wide_resnet50_2", Bottleneck, [3, 4, 6, 3]).wide(128),
    row("wide_resnet101_2", Bottleneck, [3, 4, 23, 3]).wide(128),
    row("resnext50_32x4d", Bottleneck, [3, 4, 6, 3]).grouped(32, 4),
    row("resnext101_32x4d", Bottleneck, [3, 4, 23, 3]).grouped(32, 4),
    row("resnext101_32x8d", Bottleneck, [3, 4, 23, 3]).grouped(32, 8),
    row("resnext101_32x16d", Bottleneck, [3, 4, 23, 3]).grouped(32, 16),
    row("resnext101_32x32d", Bottleneck, [3, 4, 23, 3]).grouped(32, 32),
    row("resnext101_64x4d", Bottleneck, [3, 4, 23, 3]).grouped(64, 4),
    row("resnet50c", Bottleneck, [3, 4, 6, 3]).c(),
    row("resnet101c", Bottleneck, [3, 4, 23, 3]).c(),
    row("resnet152c", Bottleneck, [3, 8, 36, 3]).c(),
    row("resnet50s", Bottleneck, [3, 4, 6, 3]).s(),
    row("resnet101s", Bottleneck, [3, 4, 23, 3]).s(),
    row("resnet152s", Bottleneck, [3, 8, 36, 3]).s(),
    row("resnet10t", Basic, [1, 1, 1, 1]).t(),
    row("resnet14t", Bottleneck, [1, 1, 1, 1]).t(),
    row("resnet26t", Bottleneck, [2, 2, 2, 2]).t(),
    row("resnet50t", Bottleneck, [3, 4, 6, 3]).t(),
    row("resnet18d", Basic, [2, 2, 2, 2]).d(),
    row("resnet34d", Basic, [3, 4, 6, 3]).d(),
    row("resnet26d", Bottleneck, [2, 2, 2, 2]).d(),
    row("resnet50d", Bottleneck, [3, 4, 6, 3]).d(),
    row("resnet101d", Bottleneck, [3, 4, 23, 3]).d(),
    row("resnet152d", Bottleneck, [3, 8, 36, 3]).d(),
    row("resnet200d", Bottleneck, [3, 24, 36, 3]).d(),
    row("resnext50d_32x4d", Bottleneck, [3, 4, 6, 3]).grouped(32, 4).d(),
    row("seresnet18", Basic, [2, 2, 2, 2]).se(),
    row("seresnet34", Basic, [3, 4, 6, 3]).se(),
    row("seresnet50", Bottleneck, [3, 4, 6, 3]).se(),
    row("seresnet50t", Bottleneck, [3, 4, 6, 3]).t().se(),
    row("seresnet101", Bottleneck, [3, 4, 23, 3]).se(),
    row("seresnet152", Bottleneck, [3, 8, 36, 3]).se(),
    row("seresnet152d", Bottleneck, [3, 8, 36, 3]).d().se(),
    row("seresnet200d", Bottleneck, [3, 24, 36, 3]).d().se(),
    row("seresnet269d", Bottleneck, [3, 30, 48, 8]).d().se(),
    row("seresnext26t_32x4d", Bottleneck, [2, 2, 2, 2]).grouped(32, 4).t().se(),
    row("seresnext26d_32x4d", Bottleneck, [2, 2, 2, 2]).grouped(32, 4).d().se(),
    row("seresnext50_32x4d", Bottleneck, [3, 4, 6, 3]).grouped(32, 4).se(),
    row("seresnext101_32x4d", Bottleneck, [3, 4, 23, 3]).grouped(32, 4).se(),
    row("seresnext101_32x8d", Bottleneck, [3, 4, 23, 3]).grouped(32, 8).se(),
    row("seresnext101d_32x8d", Bottleneck, [3, 4, 23, 3]).grouped(32, 8).d().se(),
    row("seresnext101_64x4d", Bottleneck, [3, 4, 23, 3]).grouped(64, 4).se(),
    row("ecaresnet26t", Bottleneck, [2, 2, 2, 2]).t().eca(),
    row("ecaresnet50d", Bottleneck, [3, 4, 6, 3]).d().eca(),
    row("ecaresnet50t", Bottleneck, [3, 4, 6, 3]).t().eca(),
    row("ecaresnet101d", Bottleneck, [3, 4, 23, 3]).d().eca(),
    row("ecaresnet200d", Bottleneck, [3, 24, 36, 3]).d().eca(),
    row("ecaresnet269d", Bottleneck, [3, 30, 48, 8]).d().eca(),
    row("ecaresnetlight", Bottleneck, [1, 1, 11, 3]).pooled().eca(),
    row("ecaresnext26t_32x4d", Bottleneck, [2, 2, 2, 2]).grouped(32, 4).t().eca(),
    row("ecaresnext50t_32x4d", Bottleneck, [3, 4, 6, 3]).grouped(32, 4).t().eca(),
    row("resnetaa34d", Basic, [3, 4, 6, 3]).d().aa(),
    row("resnetaa50", Bottleneck, [3, 4, 6, 3]).aa(),
    row("resnetaa50d", Bottleneck, [3, 4, 6, 3]).d().aa(),
    row("resnetaa101d", Bottleneck, [3, 4, 23, 3]).d().aa(),
    row("seresnetaa50d", Bottleneck, [3, 4, 6, 3]).d().se().aa(),
    row("seresnextaa101d_32x8d", Bottleneck, [3, 4, 23, 3]).grouped(32, 8).d().se().aa(),
    row("seresnextaa201d_32x8d", Bottleneck, [3, 24, 36, 4]).grouped(32, 8).s().pooled().se().aa(),
    row("resnetblur18", Basic, [2, 2, 2, 2]).blur(),
    row("resnetblur50", Bottleneck, [3, 4, 6, 3]).blur(),
    row("resnetblur50d", Bottleneck, [3, 4, 6, 3]).d().blur(),
    row("resnetblur101d", Bottleneck, [3, 4, 23, 3]).d().blur(),
    row("senet154", Bottleneck, [3, 8, 36, 3]).grouped(64, 4).senet(),
    row("legacy_seresnet18", Basic, [2, 2, 2, 2]).legacy(),
    row("legacy_seresnet34", Basic, [3, 4, 6, 3]).legacy(),
    row("legacy_seresnet50", Bottleneck, [3, 4, 6, 3]).legacy(),
    row("legacy_seresnet101", Bottleneck, [3, 4, 23, 3]).legacy(),
    row("legacy_seresnet152", Bottleneck, [3, 8, 36, 3]).legacy(),
    row("legacy_seresnext26_32x4d", Bottleneck, [2, 2, 2, 2]).grouped(32, 4).legacy(),
    row("legacy_seresnext50_32x4d", Bottleneck, [3, 4, 6, 3]).grouped(32, 4).legacy(),
    row("legacy_seresnext101_32x4d", Bottleneck, [3, 4, 23, 3]).grouped(32, 4).legacy(),
    row("legacy_senet154", Bottleneck, [3, 8, 36, 3]).grouped(64, 4).senet().legacy(),
    row("resnetrs50", Bottleneck, [3, 4, 6, 3]).rs(),
    row("resnetrs101", Bottleneck, [3, 4, 23, 3]).rs(),
    row("resnetrs152", Bottleneck, [3, 8, 36, 3]).rs(),
    row("resnetrs200", Bottleneck, [3, 24, 36, 3]).rs(),
    row("resnetrs270", Bottleneck, [4, 29, 53, 4]).rs(),
    row("resnetrs350", Bottleneck, [4, 36, 72, 4]).rs(),
    row("resnetrs420", Bottleneck, [4, 44, 87, 4]).rs(),
];

impl Row {
    /// The network, with the usual properties and 1000 classes.
    pub(super) fn network(&self) -> ResNet {
        let mut inputs = self.stem_channels;
        let mut stages = Vec::new();
        for (s, depth) in self.depths.into_iter().enumerate() {
            let channels = match self.kind {
                Basic => 64 << s,
                Bottleneck => 256 << s,
            };
            let gate = self.gate.map(|gate| gate(channels));
            let width = self.width << s;
            let block =
                |shortcut| Block { kind: self.kind, first: width / self.reduction, width, channels, gate, shortcut };
            // A shortcut that does not stride has a 1x1 convolution.
            let spatial = self.shortcut == Shortcut::SpatialProjection;
            let change = if spatial && s == 0 { Shortcut::Projection } else { self.shortcut };
            stages.push(stage(depth, inputs == channels, change, block));
            inputs = channels;
        }
        let net = ResNet {
            inputs: 3,
            stem: self.stem,
            stem_channels: self.stem_channels,
            stem_pool_conv: self.stem_pool_conv,
            legacy: self.legacy,
            excitation: false,
            groups: self.groups,
            first_groups: 1,
            norm: self.norm,
            stages,
            biases: Biases::default(),
            head: Some(Head::linear("fc", 1000)),
            properties: Properties::usual(false),
        };
        ResNet { properties: Properties { anti_aliasing: self.anti_aliasing, ..net.usual() }, ..net }
    }
}

/// `depth` blocks. The first has the shortcut `change`, unless it `keeps` channels and resolution.
pub(super) fn stage(depth: usize, keeps: bool, change: Shortcut, block: impl Fn(Shortcut) -> Block) -> Vec<Block> {
    let first = if keeps { Shortcut::Identity } else { change };
    (0..depth).map(|b| block(if b == 0 { first } else { Shortcut::Identity })).collect()
}
