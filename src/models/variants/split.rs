//! ResNets whose blocks split their channels into parts: Res2Net, ResNeSt and SKNet, as timm builds them.
//!
//! Sources: Gao et al. 2019, "Res2Net"; Zhang et al. 2020, "ResNeSt: Split-Attention Networks" (section 3, figure 2); Li et al. 2019,
//! "Selective Kernel Networks" (section 3.1).

use super::{
    build::{Net, STEM_POOL, grouped, make_divisible, window},
    res2::Parts,
};
use crate::graph::{Conv2dParams, Op, Plain, ValueId};

/// One of these networks without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Output channels of the stem's three 3x3 convolutions; None if the stem is one 7x7 convolution with 64.
    pub deep_stem: Option<[usize; 3]>,
    /// Whether shortcuts pool instead of striding. The names of their tensors are then ResNet-D's.
    pub pooled: bool,
    /// Whether a block has two 3x3 convolutions; otherwise it has 1x1, 3x3 and 1x1.
    pub basic: bool,
    /// The kind of its 3x3 convolution, or of the first one if it has two.
    pub unit: Unit,
    /// Channels of this convolution in the first stage; each further stage doubles them.
    pub width: usize,
    /// Groups of its convolutions, in addition to the parts.
    pub groups: usize,
    /// Blocks of each stage.
    pub depths: [usize; 4],
}

/// How a block combines its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Res2Net: each part reads the output of the one before.
    Chain {
        /// Number of parts.
        scale: usize,
    },
    /// ResNeSt: attention weights the parts.
    Attention {
        /// Number of parts, each with the width.
        radix: usize,
        /// Whether the pooling of a block that strides comes before its convolution.
        pool_first: bool,
    },
    /// SKNet: two dilations, weighted by attention.
    Kernels {
        /// Whether each takes half of the channels.
        halves: bool,
        /// Divisor of the channels for the attention's inner layer.
        reduction: usize,
        /// The attention's inner channels are a multiple of this.
        divisor: usize,
    },
}

impl Unit {
    pub(super) fn family(self) -> &'static str {
        match self {
            Unit::Chain { .. } => "res2net",
            Unit::Attention { .. } => "resnest",
            Unit::Kernels { .. } => "skresnet",
        }
    }
}

/// A block's position and parameters.
#[derive(Clone, Copy)]
struct Block {
    inputs: usize,
    width: usize,
    channels: usize,
    stride: usize,
    first: bool,
}

impl Split {
    fn expansion(&self) -> usize {
        if self.basic { 64 } else { 256 }
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.expansion() << 3
    }

    /// Appends the network up to its last feature map, for an image with `image` channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let (mut x, mut inputs) = self.stem(net, image);
        for (s, depth) in self.depths.into_iter().enumerate() {
            for b in 0..depth {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                let (width, channels) = (self.width << s, self.expansion() << s);
                let block = Block { inputs, width, channels, stride, first: b == 0 };
                x = self.block(net, &format!("layer{}.{b}", s + 1), block, x);
                inputs = channels;
            }
            net.graph.mark_stage(format!("layer{}", s + 1), x);
        }
        x
    }

    fn stem(&self, net: &mut Net<'_>, image: usize) -> (ValueId, usize) {
        let input = net.graph.input();
        let (x, channels) = match self.deep_stem {
            Some([a, b, c]) => {
                let x = net.conv_norm_act("conv1.0", "conv1.1", window(image, a, 3, 2), input);
                let x = net.conv_norm_act("conv1.3", "conv1.4", window(a, b, 3, 1), x);
                (net.conv_norm_act("conv1.6", "bn1", window(b, c, 3, 1), x), c)
            }
            None => (net.conv_norm_act("conv1", "bn1", window(image, 64, 7, 2), input), 64),
        };
        let x = net.push("maxpool", Op::MaxPool2d(STEM_POOL), x);
        net.graph.mark_stage("maxpool", x);
        (x, channels)
    }

    fn block(&self, net: &mut Net<'_>, name: &str, block: Block, x: ValueId) -> ValueId {
        let Block { inputs, width, channels, stride, .. } = block;
        let part = |part: &str| format!("{name}.{part}");
        let y = match self.unit {
            Unit::Chain { scale } => {
                let params = window(inputs, width * scale, 1, 1);
                let y = net.conv_norm_act(&part("conv1"), &part("bn1"), params, x);
                let parts = Parts { width, scale, groups: self.groups, stride, apart: block.first };
                let y = parts.push(net, name, y);
                net.conv_norm(&part("conv3"), &part("bn3"), window(width * scale, channels, 1, 1), y)
            }
            Unit::Attention { radix, pool_first } => {
                let y = net.conv_norm_act(&part("conv1"), &part("bn1"), window(inputs, width, 1, 1), x);
                let pools = |net: &mut Net<'_>, y| {
                    if stride > 1 { net.zero_padded_mean(&part("avd"), stride, y) } else { y }
                };
                let y = if pool_first { pools(net, y) } else { y };
                let y = self.attention(net, &part("conv2"), width, radix, y);
                let y = if pool_first { y } else { pools(net, y) };
                net.conv_norm(&part("conv3"), &part("bn3"), window(width, channels, 1, 1), y)
            }
            Unit::Kernels { .. } if self.basic => {
                let y = self.kernels(net, &part("conv1"), window(inputs, width, 3, stride), x);
                net.conv_norm(&part("conv2.conv"), &part("conv2.bn"), window(width, channels, 3, 1), y)
            }
            Unit::Kernels { .. } => {
                let params = window(inputs, width, 1, 1);
                let y = net.conv_norm_act(&part("conv1.conv"), &part("conv1.bn"), params, x);
                let y = self.kernels(net, &part("conv2"), window(width, width, 3, stride), y);
                net.conv_norm(&part("conv3.conv"), &part("conv3.bn"), window(width, channels, 1, 1), y)
            }
        };
        let around = if stride > 1 || inputs != channels {
            net.projection(name, window(inputs, channels, 1, stride), self.pooled, x)
        } else {
            x
        };
        let sum = net.add(part("add"), y, around);
        net.act(part("act"), sum)
    }

    /// ResNeSt's convolution of `width` channels to `width` channels: it computes `radix` times as many, and attention weights them.
    fn attention(&self, net: &mut Net<'_>, name: &str, width: usize, radix: usize, x: ValueId) -> ValueId {
        let part = |part: &str| format!("{name}.{part}");
        let params = Conv2dParams { out_channels: width * radix, ..window(width, width, 3, 1) };
        let x = net.conv_norm_act(&part("conv"), &part("bn0"), grouped(params, self.groups * radix), x);
        // The mean of the sum equals the sum of the means, which has fewer values.
        let means = net.push(part("mean"), Plain::GlobalAvgPool, x);
        let mut mean = means;
        if radix > 1 {
            let parts = net.split(&part("mean"), radix, width, means);
            mean = parts[0];
            for (i, other) in parts.iter().enumerate().skip(1) {
                mean = net.add(part(&format!("mean.add{i}")), mean, *other);
            }
        }
        let inner = make_divisible((width * radix) as f64 / 4.0, 8, 32);
        let y = net.biased_conv(&part("fc1"), grouped(window(width, inner, 1, 1), self.groups), mean);
        let y = net.norm(&part("bn1"), inner, y);
        let y = net.act(part("act1"), y);
        let y = net.biased_conv(&part("fc2"), grouped(window(inner, width * radix, 1, 1), self.groups), y);
        let shares = match radix {
            1 => net.push(part("gate"), Op::Sigmoid, y),
            _ => net.push(part("rsoftmax"), Plain::Softmax { outer: self.groups, groups: radix }, y),
        };
        let scaled = net.graph.push(part("scale"), Op::Scale, &[x, shares]);
        if radix == 1 {
            return scaled;
        }
        let parts = net.split(&part("scale"), radix, width, scaled);
        let add = |net: &mut Net<'_>, i: usize, a, b| net.add(part(&format!("add{i}")), a, b);
        (1..).zip(&parts[1..]).fold(parts[0], |sum, (i, other)| add(net, i, sum, *other))
    }

    /// SKNet's convolution: two convolutions, weighted by attention. The second has a dilation of two.
    fn kernels(&self, net: &mut Net<'_>, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let Unit::Kernels { halves, reduction, divisor } = self.unit else { return x };
        let part = |part: &str| format!("{name}.{part}");
        let (inputs, channels) = (params.in_channels, params.out_channels);
        let sources = if halves { net.split(name, 2, inputs / 2, x) } else { vec![x; 2] };
        let in_channels = if halves { inputs / 2 } else { inputs };
        let groups = self.groups.min(channels);
        let paths: Vec<ValueId> = (1..)
            .zip(sources)
            .map(|(dilation, source)| {
                let path = part(&format!("paths.{}", dilation - 1));
                let params = Conv2dParams { in_channels, dilation, padding: dilation, groups, ..params };
                net.conv_norm_act(&format!("{path}.conv"), &format!("{path}.bn"), params, source)
            })
            .collect();
        let sum = net.add(part("sum"), paths[0], paths[1]);
        let mean = net.push(part("mean"), Plain::GlobalAvgPool, sum);
        let inner = make_divisible(channels as f64 / reduction as f64, divisor, divisor);
        let (reduce, norm) = (part("attn.fc_reduce"), part("attn.bn"));
        let y = net.conv_norm_act(&reduce, &norm, window(channels, inner, 1, 1), mean);
        let y = net.conv(&part("attn.fc_select"), window(inner, 2 * channels, 1, 1), y);
        let shares = net.push(part("attn.softmax"), Plain::Softmax { outer: 1, groups: 2 }, y);
        let shares = net.split(&part("attn"), 2, channels, shares);
        let scaled: Vec<ValueId> = paths
            .iter()
            .zip(shares)
            .enumerate()
            .map(|(i, (path, share))| net.graph.push(part(&format!("scale{i}")), Op::Scale, &[*path, share]))
            .collect();
        net.add(part("add"), scaled[0], scaled[1])
    }
}

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, Split)> {
    let (d, e) = (Some([32, 32, 64]), Some([64, 64, 128]));
    let res2 = |name, deep_stem: Option<[usize; 3]>, width, scale, depths| {
        let unit = Unit::Chain { scale };
        (name, Split { deep_stem, pooled: deep_stem.is_some(), basic: false, unit, width, groups: 1, depths })
    };
    let nest = |name, deep_stem, depths| {
        let unit = Unit::Attention { radix: 2, pool_first: false };
        (name, Split { deep_stem, pooled: true, basic: false, unit, width: 64, groups: 1, depths })
    };
    let sk = |name, basic, deep_stem: Option<[usize; 3]>, depths| {
        let (reduction, divisor) = if basic { (8, 16) } else { (16, 8) };
        let unit = Unit::Kernels { halves: true, reduction, divisor };
        (name, Split { deep_stem, pooled: deep_stem.is_some(), basic, unit, width: 64, groups: 1, depths })
    };
    let (fifty, hundred) = ([3, 4, 6, 3], [3, 4, 23, 3]);
    let (_, fast) = nest("", d, fifty);
    let fast = |radix, width, groups| Split {
        unit: Unit::Attention { radix, pool_first: true },
        width,
        groups,
        ..fast.clone()
    };
    let (_, next) = res2("", None, 32, 4, fifty);
    let (_, sk_next) = sk("", false, None, fifty);
    let whole = Unit::Kernels { halves: false, reduction: 16, divisor: 32 };
    [
        res2("res2net50_26w_4s", None, 26, 4, fifty),
        res2("res2net50_48w_2s", None, 48, 2, fifty),
        res2("res2net50_14w_8s", None, 14, 8, fifty),
        res2("res2net50_26w_6s", None, 26, 6, fifty),
        res2("res2net50_26w_8s", None, 26, 8, fifty),
        res2("res2net101_26w_4s", None, 26, 4, hundred),
        res2("res2net50d", d, 26, 4, fifty),
        res2("res2net101d", d, 26, 4, hundred),
        ("res2next50", Split { groups: 8, ..next }),
        nest("resnest14d", d, [1; 4]),
        nest("resnest26d", d, [2; 4]),
        nest("resnest50d", d, fifty),
        nest("resnest101e", e, hundred),
        nest("resnest200e", e, [3, 24, 36, 3]),
        nest("resnest269e", e, [3, 30, 48, 8]),
        ("resnest50d_4s2x40d", fast(4, 80, 2)),
        ("resnest50d_1s4x24d", fast(1, 96, 4)),
        sk("skresnet18", true, None, [2; 4]),
        sk("skresnet34", true, None, fifty),
        sk("skresnet50", false, None, fifty),
        sk("skresnet50d", false, d, fifty),
        ("skresnext50_32x4d", Split { unit: whole, width: 128, groups: 32, ..sk_next }),
    ]
    .into_iter()
}
