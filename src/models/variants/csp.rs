//! Cross-stage partial ResNets and ResNeXts, as timm builds them.
//!
//! Source: Wang et al. 2019, "CSPNet: A New Backbone that can Enhance Learning Capability of CNN" (section 3.1, figure 3b).

use super::build::{Net, STEM_POOL, grouped, window};
use crate::graph::{Conv2dParams, Op, ValueId};

/// A CSPResNet without its head. Its stages have 3, 3, 5 and 2 blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csp {
    /// Whether the stem has three 3x3 convolutions; otherwise it is one 7x7 convolution.
    pub deep_stem: bool,
    /// Output channels of the first stage; each further stage doubles them.
    pub channels: usize,
    /// Channels of both paths through a stage, per output channel.
    pub expansion: usize,
    /// Channels between the convolutions of a block, in quarters of its output channels.
    pub quarters: usize,
    /// Groups of the 3x3 convolutions in stages.
    pub groups: usize,
}

const DEPTHS: [usize; 4] = [3, 3, 5, 2];

impl Csp {
    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.channels << 3
    }

    /// Appends the network up to its last feature map, for an image with `image` channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let input = net.graph.input();
        let mut x = if self.deep_stem {
            let x = layer(net, "stem.conv1", window(image, 32, 3, 2), input);
            let x = layer(net, "stem.conv2", window(32, 32, 3, 1), x);
            layer(net, "stem.conv3", window(32, 64, 3, 1), x)
        } else {
            layer(net, "stem.conv1", window(image, 64, 7, 2), input)
        };
        x = net.push("stem.pool", Op::MaxPool2d(STEM_POOL), x);
        net.graph.mark_stage("stem", x);
        let mut inputs = 64;
        for (s, depth) in DEPTHS.into_iter().enumerate() {
            x = self.stage(net, s, depth, inputs, x);
            inputs = self.channels << s;
            net.graph.mark_stage(format!("stages.{s}"), x);
        }
        x
    }

    fn stage(&self, net: &mut Net<'_>, s: usize, depth: usize, inputs: usize, mut x: ValueId) -> ValueId {
        let part = |part: &str| format!("stages.{s}.{part}");
        let channels = self.channels << s;
        if s > 0 {
            x = layer(net, &part("conv_down"), grouped(window(inputs, inputs, 3, 2), self.groups), x);
        }
        let both = channels * self.expansion;
        let (conv, norm) = (part("conv_exp.conv"), part("conv_exp.bn"));
        x = net.conv_norm(&conv, &norm, window(inputs, both, 1, 1), x);
        let ways = net.split(&part("split"), 2, both / 2, x);
        let mut y = ways[1];
        for b in 0..depth {
            y = self.block(net, &part(&format!("blocks.{b}")), both / 2, y);
        }
        y = layer(net, &part("conv_transition_b"), window(both / 2, both / 2, 1, 1), y);
        let joined = net.graph.push(part("concat"), Op::Concat, &[ways[0], y]);
        layer(net, &part("conv_transition"), window(both, channels, 1, 1), joined)
    }

    fn block(&self, net: &mut Net<'_>, name: &str, channels: usize, x: ValueId) -> ValueId {
        let part = |part: &str| format!("{name}.{part}");
        let width = channels * self.quarters / 4;
        let y = layer(net, &part("conv1"), window(channels, width, 1, 1), x);
        let y = layer(net, &part("conv2"), grouped(window(width, width, 3, 1), self.groups), y);
        let y = net.conv_norm(&part("conv3.conv"), &part("conv3.bn"), window(width, channels, 1, 1), y);
        let sum = net.add(part("add"), y, x);
        net.act(part("act3"), sum)
    }
}

fn layer(net: &mut Net<'_>, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
    net.conv_norm_act(&format!("{name}.conv"), &format!("{name}.bn"), params, x)
}

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, Csp)> {
    let plain = Csp { deep_stem: false, channels: 128, expansion: 2, quarters: 2, groups: 1 };
    let wide = Csp { deep_stem: true, channels: 256, expansion: 1, quarters: 1, groups: 1 };
    [
        ("cspresnet50", plain.clone()),
        ("cspresnet50d", Csp { deep_stem: true, ..plain }),
        ("cspresnext50", Csp { deep_stem: false, quarters: 4, groups: 32, ..wide.clone() }),
        ("cspresnet50w", wide),
    ]
    .into_iter()
}
