//! Deep layer aggregation, as timm builds it.
//!
//! Source: Yu et al. 2017, "Deep Layer Aggregation" (figure 3; section 3.2 for trees of blocks). The blocks of Res2Net and ResNeXt are
//! timm's.

use super::{
    build::{Net, grouped, window},
    res2::Parts,
};
use crate::graph::{Op, PoolParams, ValueId};

/// A DLA without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dla {
    /// Depth of the tree of each level; for the first two levels, the number of convolutions.
    pub levels: [usize; 6],
    /// Channels of each level.
    pub channels: [usize; 6],
    /// The kind of blocks.
    pub block: DlaBlock,
    /// Groups of the 3x3 convolutions.
    pub groups: usize,
    /// Channels between convolutions in each group, per 64 channels.
    pub base_width: usize,
    /// Whether a root adds its first child to its output.
    pub shortcut_root: bool,
}

/// The convolutions of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DlaBlock {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3, 1x1.
    Bottleneck,
    /// 1x1, Res2Net's four parts, 1x1.
    Res2,
}

/// Parts of Res2Net's blocks.
const SCALE: usize = 4;

/// A tree of blocks, or a single block.
struct Tree {
    levels: usize,
    inputs: usize,
    outputs: usize,
    stride: usize,
    /// Whether its root reads the tree's input too.
    level_root: bool,
}

impl Dla {
    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.channels[5]
    }

    /// Appends the network up to its last feature map, for an image with `image` channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let channels = self.channels;
        let input = net.graph.input();
        let mut x = net.conv_norm_act("base_layer.0", "base_layer.1", window(image, channels[0], 7, 1), input);
        let mut inputs = channels[0];
        for (level, outputs) in channels.into_iter().enumerate().take(2) {
            for i in 0..self.levels[level] {
                let part = |number: usize| format!("level{level}.{}", 3 * i + number);
                let stride = if level == 1 && i == 0 { 2 } else { 1 };
                x = net.conv_norm_act(&part(0), &part(1), window(inputs, outputs, 3, stride), x);
                inputs = outputs;
            }
        }
        for (level, outputs) in channels.into_iter().enumerate().skip(2) {
            let levels = self.levels[level];
            let tree = Tree { levels, inputs, outputs, stride: 2, level_root: level > 2 };
            x = self.tree(net, &format!("level{level}"), &tree, Vec::new(), x);
            net.graph.mark_stage(format!("level{level}"), x);
            inputs = outputs;
        }
        x
    }

    /// Appends a tree, whose root also reads the `children`.
    fn tree(&self, net: &mut Net<'_>, name: &str, tree: &Tree, mut children: Vec<ValueId>, x: ValueId) -> ValueId {
        let Tree { levels, inputs, outputs, stride, level_root } = *tree;
        let part = |part: &str| format!("{name}.{part}");
        let bottom = if stride > 1 && (level_root || levels == 1) {
            let pool = PoolParams { kernel: stride, stride, padding: 0, ceil: false };
            net.push(part("downsample"), Op::MaxPool2d(pool), x)
        } else {
            x
        };
        if level_root {
            children.push(bottom);
        }
        if levels > 1 {
            let first = Tree { levels: levels - 1, level_root: false, ..*tree };
            let x1 = self.tree(net, &part("tree1"), &first, Vec::new(), x);
            children.push(x1);
            let second = Tree { inputs: outputs, stride: 1, ..first };
            return self.tree(net, &part("tree2"), &second, children, x1);
        }
        let around = if inputs == outputs {
            bottom
        } else {
            net.conv_norm(&part("project.0"), &part("project.1"), window(inputs, outputs, 1, 1), bottom)
        };
        let x1 = self.block(net, &part("tree1"), [inputs, outputs], stride, around, x);
        let x2 = self.block(net, &part("tree2"), [outputs, outputs], 1, x1, x1);
        let shapes = |net: &Net<'_>, id: ValueId| channels_of(net, id);
        let joined: Vec<ValueId> = [x2, x1].into_iter().chain(children).collect();
        let all = joined.iter().map(|id| shapes(net, *id)).sum();
        let x = net.graph.push(part("root.concat"), Op::Concat, &joined);
        let mut x = net.conv_norm(&part("root.conv"), &part("root.bn"), window(all, outputs, 1, 1), x);
        if self.shortcut_root {
            x = net.add(part("root.add"), x, x2);
        }
        net.act(part("root.relu"), x)
    }

    fn block(
        &self,
        net: &mut Net<'_>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        stride: usize,
        around: ValueId,
        x: ValueId,
    ) -> ValueId {
        let part = |part: &str| format!("{name}.{part}");
        let width = outputs * self.base_width / 64 * self.groups / 2;
        let y = match self.block {
            DlaBlock::Basic => {
                let y = net.conv_norm_act(&part("conv1"), &part("bn1"), window(inputs, outputs, 3, stride), x);
                net.conv_norm(&part("conv2"), &part("bn2"), window(outputs, outputs, 3, 1), y)
            }
            DlaBlock::Bottleneck => {
                let y = net.conv_norm_act(&part("conv1"), &part("bn1"), window(inputs, width, 1, 1), x);
                let params = grouped(window(width, width, 3, stride), self.groups);
                let y = net.conv_norm_act(&part("conv2"), &part("bn2"), params, y);
                net.conv_norm(&part("conv3"), &part("bn3"), window(width, outputs, 1, 1), y)
            }
            DlaBlock::Res2 => {
                let y = net.conv_norm_act(&part("conv1"), &part("bn1"), window(inputs, SCALE * width, 1, 1), x);
                let parts = Parts { width, scale: SCALE, groups: self.groups, stride, apart: stride > 1 };
                let y = parts.push(net, name, y);
                net.conv_norm(&part("conv3"), &part("bn3"), window(SCALE * width, outputs, 1, 1), y)
            }
        };
        let sum = net.add(part("add"), y, around);
        net.act(part("relu"), sum)
    }
}

/// Channels of a value: the output channels of the last operator that changes them.
fn channels_of(net: &Net<'_>, id: ValueId) -> usize {
    let node = &net.graph.nodes()[id.0];
    match &node.op {
        Op::Input { channels } | Op::BatchNorm { channels, .. } => *channels,
        Op::Conv2d { params, .. } => params.out_channels,
        Op::Concat => node.inputs.iter().map(|id| channels_of(net, *id)).sum(),
        _ => channels_of(net, node.inputs[0]),
    }
}

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, Dla)> {
    use DlaBlock::{Basic, Bottleneck, Res2};
    let large = [16, 32, 128, 256, 512, 1024];
    let compact = [16, 32, 64, 64, 128, 256];
    let net =
        |block, levels, channels| Dla { levels, channels, block, groups: 1, base_width: 64, shortcut_root: false };
    let rooted = |levels| Dla { shortcut_root: true, ..net(Bottleneck, levels, large) };
    let next = |net: Dla, groups| Dla { groups, base_width: 4, ..net };
    let (sixty, hundred) = ([1, 1, 1, 2, 3, 1], [1, 1, 1, 3, 4, 1]);
    [
        ("dla34", net(Basic, [1, 1, 1, 2, 2, 1], [16, 32, 64, 128, 256, 512])),
        ("dla46_c", net(Bottleneck, [1, 1, 1, 2, 2, 1], compact)),
        ("dla46x_c", next(net(Bottleneck, [1, 1, 1, 2, 2, 1], compact), 32)),
        ("dla60x_c", next(net(Bottleneck, sixty, compact), 32)),
        ("dla60", net(Bottleneck, sixty, large)),
        ("dla60x", next(net(Bottleneck, sixty, large), 32)),
        ("dla102", rooted(hundred)),
        ("dla102x", next(rooted(hundred), 32)),
        ("dla102x2", next(rooted(hundred), 64)),
        ("dla169", rooted([1, 1, 2, 3, 5, 1])),
        ("dla60_res2net", Dla { base_width: 28, ..net(Res2, sixty, large) }),
        ("dla60_res2next", next(net(Res2, sixty, large), 8)),
    ]
    .into_iter()
}
