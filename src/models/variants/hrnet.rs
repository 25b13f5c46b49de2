//! HRNet: networks that keep feature maps of several resolutions side by side, as timm builds them.
//!
//! Source: Sun et al. 2019, "High-Resolution Representations for Labeling Pixels and Regions" (section 3; HRNet-W*C for classification).

use super::build::{Net, window};
use crate::graph::{Plain, ValueId};

/// An HRNet without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HrNet {
    /// Number of bottlenecks in the first stage, and the channels between their convolutions.
    pub first: [usize; 2],
    /// Channels of the finest map in the further stages; each coarser one has twice as many.
    pub width: usize,
    /// Number of modules of the further stages; each exchanges the maps once.
    pub modules: [usize; 3],
    /// Blocks of each map in a module.
    pub blocks: usize,
    /// Whether the convolutions before the features have a bias in addition to their norm.
    pub biased: bool,
}

/// Channels of the last feature map.
pub(super) const CHANNELS: usize = 2048;

impl HrNet {
    /// Appends the network up to its last feature map, for an image with `image` channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let input = net.graph.input();
        let x = net.conv_norm_act("conv1", "bn1", window(image, 64, 3, 2), input);
        let mut x = net.conv_norm_act("conv2", "bn2", window(64, 64, 3, 2), x);
        let [depth, width] = self.first;
        for b in 0..depth {
            x = bottleneck(net, &format!("layer1.{b}"), if b == 0 { 64 } else { 4 * width }, width, x);
        }
        net.graph.mark_stage("layer1", x);
        let (mut maps, mut channels) = (vec![x], vec![4 * width]);
        for (s, modules) in (2..).zip(self.modules) {
            self.transition(net, &format!("transition{}", s - 1), &mut channels, &mut maps);
            for m in 0..modules {
                maps = self.module(net, &format!("stage{s}.{m}"), &channels, maps);
            }
            net.graph.mark_stage(format!("stage{s}"), maps[0]);
        }
        self.features(net, &channels, &maps)
    }

    /// Adds a map, made from the coarsest one, and gives all maps the stage's channels.
    fn transition(&self, net: &mut Net<'_>, name: &str, channels: &mut Vec<usize>, maps: &mut Vec<ValueId>) {
        let coarsest = *maps.last().expect("there is a map");
        let before = *channels.last().expect("there is a map");
        for i in 0..channels.len() {
            let wanted = self.width << i;
            if channels[i] != wanted {
                let part = |number: usize| format!("{name}.{i}.{number}");
                maps[i] = net.conv_norm_act(&part(0), &part(1), window(channels[i], wanted, 3, 1), maps[i]);
                channels[i] = wanted;
            }
        }
        let (i, wanted) = (channels.len(), self.width << channels.len());
        let part = |number: usize| format!("{name}.{i}.0.{number}");
        maps.push(net.conv_norm_act(&part(0), &part(1), window(before, wanted, 3, 2), coarsest));
        channels.push(wanted);
    }

    /// Appends the blocks of each map; then each map becomes a sum of all maps.
    fn module(&self, net: &mut Net<'_>, name: &str, channels: &[usize], mut maps: Vec<ValueId>) -> Vec<ValueId> {
        for (i, map) in maps.iter_mut().enumerate() {
            for b in 0..self.blocks {
                *map = basic(net, &format!("{name}.branches.{i}.{b}"), channels[i], *map);
            }
        }
        let fused = |net: &mut Net<'_>, i: usize| {
            let place = format!("{name}.fuse_layers.{i}");
            let terms: Vec<ValueId> =
                (0..maps.len()).map(|j| exchanged(net, &place, channels, [j, i], maps[j])).collect();
            let mut sum = terms[0];
            for (j, term) in terms.iter().enumerate().skip(1) {
                sum = net.add(format!("{place}.add{j}"), sum, *term);
            }
            net.act(format!("{place}.relu"), sum)
        };
        (0..maps.len()).map(|i| fused(net, i)).collect()
    }

    /// Joins all maps into one, from the finest to the coarsest.
    fn features(&self, net: &mut Net<'_>, channels: &[usize], maps: &[ValueId]) -> ValueId {
        let mut y = maps[0];
        for (i, map) in maps.iter().enumerate() {
            let increased = bottleneck(net, &format!("incre_modules.{i}.0"), channels[i], 32 << i, *map);
            y = if i == 0 {
                increased
            } else {
                let name = format!("downsamp_modules.{}", i - 1);
                let down = self.conv_norm_act(net, &name, [64 << i, 128 << i], [3, 2], y);
                net.add(format!("{name}.add"), increased, down)
            };
        }
        self.conv_norm_act(net, "final_layer", [1024, CHANNELS], [1, 1], y)
    }

    fn conv_norm_act(
        &self,
        net: &mut Net<'_>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        [kernel, stride]: [usize; 2],
        x: ValueId,
    ) -> ValueId {
        let params = window(inputs, outputs, kernel, stride);
        let conv = format!("{name}.0");
        let x = if self.biased { net.biased_conv(&conv, params, x) } else { net.conv(&conv, params, x) };
        let x = net.norm(&format!("{name}.1"), outputs, x);
        net.act(format!("{name}.2"), x)
    }
}

/// The summand of map `i` from map `j`: the map itself, a finer map with strides, or a coarser map upsampled.
fn exchanged(net: &mut Net<'_>, place: &str, channels: &[usize], [j, i]: [usize; 2], mut x: ValueId) -> ValueId {
    let name = format!("{place}.{j}");
    if j > i {
        let params = window(channels[j], channels[i], 1, 1);
        x = net.conv_norm(&format!("{name}.0"), &format!("{name}.1"), params, x);
        return net.push(format!("{name}.2"), Plain::Upsample { factor: 1 << (j - i) }, x);
    }
    for k in 0..i - j {
        let part = |number: usize| format!("{name}.{k}.{number}");
        let last = k + 1 == i - j;
        let params = window(channels[j], if last { channels[i] } else { channels[j] }, 3, 2);
        x = net.conv_norm(&part(0), &part(1), params, x);
        x = if last { x } else { net.act(part(2), x) };
    }
    x
}

/// 3x3, 3x3, with the identity as shortcut.
fn basic(net: &mut Net<'_>, name: &str, channels: usize, x: ValueId) -> ValueId {
    let part = |part: &str| format!("{name}.{part}");
    let y = net.conv_norm_act(&part("conv1"), &part("bn1"), window(channels, channels, 3, 1), x);
    let y = net.conv_norm(&part("conv2"), &part("bn2"), window(channels, channels, 3, 1), y);
    let sum = net.add(part("add"), y, x);
    net.act(part("relu"), sum)
}

/// 1x1, 3x3, 1x1 with four times `width` output channels, and a projection if the number of channels changes.
fn bottleneck(net: &mut Net<'_>, name: &str, inputs: usize, width: usize, x: ValueId) -> ValueId {
    let part = |part: &str| format!("{name}.{part}");
    let y = net.conv_norm_act(&part("conv1"), &part("bn1"), window(inputs, width, 1, 1), x);
    let y = net.conv_norm_act(&part("conv2"), &part("bn2"), window(width, width, 3, 1), y);
    let y = net.conv_norm(&part("conv3"), &part("bn3"), window(width, 4 * width, 1, 1), y);
    let projects = inputs != 4 * width;
    let around = if projects { net.projection(name, window(inputs, 4 * width, 1, 1), false, x) } else { x };
    let sum = net.add(part("add"), y, around);
    net.act(part("relu"), sum)
}

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, HrNet)> {
    let net = |width| HrNet { first: [4, 64], width, modules: [1, 4, 3], blocks: 4, biased: true };
    [
        ("hrnet_w18_small", HrNet { first: [1, 32], modules: [1; 3], blocks: 2, ..net(16) }),
        ("hrnet_w18_small_v2", HrNet { first: [2, 64], modules: [1, 3, 2], blocks: 2, ..net(18) }),
        ("hrnet_w18", net(18)),
        ("hrnet_w30", net(30)),
        ("hrnet_w32", net(32)),
        ("hrnet_w40", net(40)),
        ("hrnet_w44", net(44)),
        ("hrnet_w48", net(48)),
        ("hrnet_w64", net(64)),
        ("hrnet_w18_ssld", HrNet { biased: false, ..net(18) }),
        ("hrnet_w48_ssld", HrNet { biased: false, ..net(48) }),
    ]
    .into_iter()
}
