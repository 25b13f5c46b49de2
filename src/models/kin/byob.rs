//! ResNets of timm's `byobnet`: tiered stems, SiLU, gates between the convolutions of a block, a convolution before the head; and CLIP's,
//! with attention pooling or the mean over all pixels.
//!
//! Sources: timm 1.0.31, `models/byobnet.py`; Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
//! Supervision" (section 2.4: ResNet-D, pooling in place of strides, attention pooling).

use super::build::{Net, STEM_POOL, grouped, window};
use crate::{
    graph::{Activation, Conv2dParams, Op, Plain, PoolParams, ValueId},
    models::{Gate, Properties},
};

/// A network of these without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Byob {
    /// Channels of the stem's 3x3 convolutions.
    pub stem: Vec<usize>,
    /// How many of those, from the first, have neither norm nor activation.
    pub bare: usize,
    /// What follows them. Without pooling the last one strides.
    pub stem_pool: ByobPool,
    /// Stages.
    pub stages: Vec<ByobStage>,
    /// What scales the channels between the last two convolutions of a block.
    pub gate: ByobGate,
    /// Whether blocks pool where others stride, and so do their shortcuts (CLIP).
    pub pools: bool,
    /// Whether a block has a second 3x3 convolution.
    pub extra_conv: bool,
    /// Channels of the convolution after the last stage, if there is one.
    pub last: Option<usize>,
    /// Whether the activation is SiLU, else ReLU.
    pub silu: bool,
    /// What makes features of the last map.
    pub features: ByobFeatures,
}

/// What makes features of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByobFeatures {
    /// Global pooling.
    Pooled,
    /// Attention pooling. Its features are the output: there is no head.
    Attended(Attention),
    /// Batch normalisation of the means of all pixels, a linear layer with so many outputs, and ReLU.
    Hidden(usize),
}

/// Attention pooling: the map's mean asks all its pixels, in heads of 64 channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Rows and columns of the map that it has positions for.
    pub side: usize,
    /// Features.
    pub outputs: usize,
}

/// A stage of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByobStage {
    /// Blocks.
    pub depth: usize,
    /// Channels that each yields.
    pub channels: usize,
    /// Channels between their convolutions.
    pub width: usize,
    /// Channels of a group of a 3x3 convolution, all of them if it is zero.
    pub group: usize,
    /// Whether a block is a 3x3 and a 1x1 convolution.
    pub edge: bool,
    /// Step of its first block.
    pub stride: usize,
}

/// The pooling of a stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByobPool {
    /// None.
    None,
    /// The maximum of windows of 3x3.
    Max,
    /// The mean of windows of 2x2.
    Mean,
}

/// The gate of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByobGate {
    /// None.
    None,
    /// Squeeze-and-excitation, with one squeezed channel for 16.
    SqueezeExcite,
    /// Efficient channel attention.
    Eca,
    /// Global context: a number that is added to each channel in place of one that scales it, with one squeezed channel for 8.
    GlobalContext,
}

impl Byob {
    /// What is usual of what no tensor shows.
    pub(super) fn usual(&self) -> Properties {
        let activation = if self.silu { Activation::Silu } else { Activation::Relu };
        Properties { activation, ..Properties::usual(false) }
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.last.unwrap_or(self.stages.last().map_or(0, |stage| stage.channels))
    }

    /// The network up to its last feature map, of an image of so many channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let mut x = self.stem(net, image);
        let mut inputs = self.stem.last().copied().unwrap_or(image);
        for (s, stage) in self.stages.iter().enumerate() {
            for b in 0..stage.depth {
                let stride = if b == 0 { stage.stride } else { 1 };
                x = self.block(net, &format!("stages.{s}.{b}"), stage, inputs, stride, x);
                inputs = stage.channels;
            }
            net.graph.mark_stage(format!("stages.{s}"), x);
        }
        match self.last {
            Some(last) => layer(net, "final_conv", window(inputs, last, 1, 1), x),
            None => x,
        }
    }

    /// The number of features, and they themselves, of the last map `x`, unless global pooling makes them.
    pub(super) fn push_features(&self, net: &mut Net<'_>, x: ValueId) -> Option<(usize, ValueId)> {
        let channels = self.channels();
        match self.features {
            ByobFeatures::Pooled => None,
            ByobFeatures::Attended(attention) => Some((attention.outputs, attention.push(net, channels, x))),
            ByobFeatures::Hidden(outputs) => {
                let mean = net.push("head.global_pool", Plain::GlobalAvgPool, x);
                let normed = net.norm("head.norm", channels, mean);
                let linear = Plain::Linear { in_features: channels, out_features: outputs };
                let hidden = net.push("head.pre_logits.fc", linear.named("head.pre_logits.fc"), normed);
                Some((outputs, net.act("head.pre_logits.act", hidden)))
            }
        }
    }

    fn stem(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let (mut x, mut inputs) = (net.graph.input(), image);
        let last = self.stem.len() - 1;
        for (i, channels) in self.stem.iter().enumerate() {
            let strides = i == 0 || (i == last && self.stem_pool == ByobPool::None);
            let params = window(inputs, *channels, 3, if strides { 2 } else { 1 });
            let name = format!("stem.conv{}", i + 1);
            x = if i < self.bare { net.conv(&name, params, x) } else { layer(net, &name, params, x) };
            inputs = *channels;
        }
        let x = match self.stem_pool {
            ByobPool::None => x,
            ByobPool::Max => net.push("stem.pool", Op::MaxPool2d(STEM_POOL), x),
            ByobPool::Mean => net.push("stem.pool", Op::AvgPool2d(HALF), x),
        };
        net.graph.mark_stage("stem", x);
        x
    }

    fn block(
        &self,
        net: &mut Net<'_>,
        name: &str,
        stage: &ByobStage,
        inputs: usize,
        stride: usize,
        x: ValueId,
    ) -> ValueId {
        let part = |part: &str| format!("{name}.{part}");
        let ByobStage { channels, width, group, edge, .. } = *stage;
        let groups = width.checked_div(group).unwrap_or(1);
        // In the place of a stride, CLIP's convolutions are pooled after their activation.
        let pooled = self.pools && stride > 1;
        let step = if pooled { 1 } else { stride };
        let (mut y, last) = if edge {
            (layer(net, &part("conv1_kxk"), grouped(window(inputs, width, 3, step), groups), x), "conv2_1x1")
        } else {
            let y = layer(net, &part("conv1_1x1"), window(inputs, width, 1, 1), x);
            (layer(net, &part("conv2_kxk"), grouped(window(width, width, 3, step), groups), y), "conv3_1x1")
        };
        if pooled {
            y = net.push(part("conv2_kxk.aa"), Op::AvgPool2d(HALF), y);
        }
        if self.extra_conv && !edge {
            y = layer(net, &part("conv2b_kxk"), grouped(window(width, width, 3, 1), groups), y);
        }
        y = self.gate(net, &part("attn"), width, y);
        let (conv, norm) = (part(&format!("{last}.conv")), part(&format!("{last}.bn")));
        y = net.conv_norm(&conv, &norm, window(width, channels, 1, 1), y);
        let around = if stride > 1 || inputs != channels {
            self.shortcut(net, &part("shortcut"), window(inputs, channels, 1, stride), x)
        } else {
            x
        };
        let sum = net.add(part("add"), y, around);
        net.act(part("act"), sum)
    }

    fn shortcut(&self, net: &mut Net<'_>, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        if !self.pools {
            return net.conv_norm(&format!("{name}.conv"), &format!("{name}.bn"), params, x);
        }
        let mean = PoolParams { ceil: true, ..HALF };
        let x = if params.stride == 1 { x } else { net.push(format!("{name}.pool"), Op::AvgPool2d(mean), x) };
        let params = Conv2dParams { stride: 1, ..params };
        net.conv_norm(&format!("{name}.conv.conv"), &format!("{name}.conv.bn"), params, x)
    }

    fn gate(&self, net: &mut Net<'_>, name: &str, channels: usize, x: ValueId) -> ValueId {
        let gate = match self.gate {
            ByobGate::None => return x,
            ByobGate::GlobalContext => return global_context(net, name, channels, x),
            ByobGate::Eca => Gate::eca(channels),
            ByobGate::SqueezeExcite => Gate::squeeze_excite(channels, 16),
        };
        gate.push(&mut net.graph, name, channels, Activation::Relu, x)
    }
}

/// The sum of a map and, for each channel, two layers of the mean that the map itself weights.
fn global_context(net: &mut Net<'_>, name: &str, channels: usize, x: ValueId) -> ValueId {
    let part = |part: &str| format!("{name}.{part}");
    let key = net.biased_conv(&part("conv_attn"), window(channels, 1, 1, 1), x);
    let both = net.graph.push(part("concat"), Op::Concat, &[key, x]);
    let context = net.push(part("context"), Plain::Attend { heads: 1, keys: 1, scale: 1.0 }, both);
    let squeeze = channels.div_ceil(8);
    let y = net.biased_conv(&part("mlp_add.fc1"), window(channels, squeeze, 1, 1), context);
    let norm = Plain::GroupNorm { channels: squeeze, groups: 1, eps: 1e-6 };
    let y = net.push(part("mlp_add.norm"), norm.named(&part("mlp_add.norm")), y);
    let y = net.push(part("mlp_add.act"), Op::Relu, y);
    let y = net.biased_conv(&part("mlp_add.fc2"), window(squeeze, channels, 1, 1), y);
    net.graph.push(part("shift"), Op::Shift, &[x, y])
}

impl Attention {
    /// The features of a map of so many channels.
    fn push(self, net: &mut Net<'_>, channels: usize, x: ValueId) -> ValueId {
        let Attention { side, outputs } = self;
        let weights = vec!["head.pos_embed".to_string()];
        let tokens = net.push("head.tokens", Op::Plain { op: Plain::Tokens { channels, side }, weights }, x);
        // No map has so many pixels.
        let first = Op::SubsamplePad { stride: 1 << 24, before: 0, after: 0 };
        let mean = net.push("head.mean", first, tokens);
        let linear = |out_features| Plain::Linear { in_features: channels, out_features };
        let query = net.push("head.q", linear(channels).named("head.q"), mean);
        let keys = net.biased_conv("head.k", window(channels, channels, 1, 1), tokens);
        let values = net.biased_conv("head.v", window(channels, channels, 1, 1), tokens);
        let asked = net.graph.push("head.asked", Op::Scale, &[keys, query]);
        let both = net.graph.push("head.concat", Op::Concat, &[asked, values]);
        // The root of the channels of a head, which are 64.
        let attend = Plain::Attend { heads: channels / 64, keys: channels, scale: 0.125 };
        let pooled = net.push("head.attend", attend, both);
        net.push("head.proj", linear(outputs).named("head.proj"), pooled)
    }
}

/// The mean of windows of 2x2.
const HALF: PoolParams = PoolParams { kernel: 2, stride: 2, padding: 0, ceil: false };

fn layer(net: &mut Net<'_>, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
    net.conv_norm_act(&format!("{name}.conv"), &format!("{name}.bn"), params, x)
}

/// Four stages of bottlenecks, a quarter as wide between their convolutions.
fn bottlenecks(depths: [usize; 4], channels: [usize; 4], group: usize) -> Vec<ByobStage> {
    let stage = |(s, (depth, channels)): (usize, (usize, usize))| {
        let (width, stride) = (channels / 4, if s == 0 { 1 } else { 2 });
        ByobStage { depth, channels, width, group, edge: false, stride }
    };
    depths.into_iter().zip(channels).enumerate().map(stage).collect()
}

type ClipRow = ([&'static str; 2], usize, [usize; 4], usize, usize);

/// Names with attention pooling and without, wide by eighths, depths, rows of the last map, features of attention.
const CLIP: [ClipRow; 5] = [
    (["resnet50_clip", "resnet50_clip_gap"], 8, [3, 4, 6, 3], 7, 1024),
    (["resnet101_clip", "resnet101_clip_gap"], 8, [3, 4, 23, 3], 7, 512),
    (["resnet50x4_clip", "resnet50x4_clip_gap"], 10, [4, 6, 10, 6], 9, 640),
    (["resnet50x16_clip", "resnet50x16_clip_gap"], 12, [6, 8, 18, 8], 12, 768),
    (["resnet50x64_clip", "resnet50x64_clip_gap"], 16, [3, 15, 36, 10], 14, 1024),
];

/// The networks that have a name.
pub(super) fn table() -> impl Iterator<Item = (&'static str, Byob)> {
    use ByobGate::{Eca, GlobalContext, SqueezeExcite};
    let usual = [256, 512, 1024, 2048];
    let short = [256, 512, 1536, 1536];
    let tiered = Byob {
        stem: vec![24, 32, 64],
        bare: 0,
        stem_pool: ByobPool::Max,
        stages: bottlenecks([2; 4], usual, 32),
        gate: ByobGate::None,
        pools: false,
        extra_conv: false,
        last: None,
        silu: true,
        features: ByobFeatures::Pooled,
    };
    let thirty_two = Byob { stages: bottlenecks([2, 3, 3, 2], short, 0), stem_pool: ByobPool::None, ..tiered.clone() };
    let thirty_three = Byob { last: Some(1280), ..thirty_two.clone() };
    let wide_last = |first: ByobStage, depths: [usize; 4]| {
        let mut stages = bottlenecks(depths, short, 32);
        stages[0] = ByobStage { depth: depths[0], ..first };
        stages[3] = ByobStage { width: 1536, group: 1, ..stages[3] };
        stages
    };
    let first = ByobStage { depth: 2, channels: 256, width: 64, group: 32, edge: false, stride: 1 };
    let quad = Byob {
        stem: vec![16, 32, 64, 128],
        bare: 2,
        stages: wide_last(first, [2, 4, 6, 4]),
        last: Some(2048),
        ..thirty_two.clone()
    };
    let edge = ByobStage { width: 256, group: 0, edge: true, ..first };
    let sixty_one = Byob { bare: 0, stages: wide_last(edge, [1, 4, 6, 4]), extra_conv: true, ..quad.clone() };
    let clip = move |eighths: usize, depths| Byob {
        stem: [32, 32, 64].map(|channels| channels * eighths / 8).into(),
        bare: 0,
        stem_pool: ByobPool::Mean,
        stages: bottlenecks(depths, usual.map(|channels| channels * eighths / 8), 0),
        gate: ByobGate::None,
        pools: true,
        extra_conv: false,
        last: None,
        silu: false,
        features: ByobFeatures::Pooled,
    };
    let clips = CLIP.into_iter().flat_map(move |([asking, plain], eighths, depths, side, outputs)| {
        let mean = clip(eighths, depths);
        let features = ByobFeatures::Attended(Attention { side, outputs });
        [(asking, Byob { features, ..mean.clone() }), (plain, mean)]
    });
    let hidden = Byob { features: ByobFeatures::Hidden(1024), ..clip(8, [3, 4, 6, 3]) };
    [
        ("resnet50_mlp", hidden),
        ("resnet51q", quad),
        ("resnet61q", sixty_one),
        ("resnext26ts", tiered.clone()),
        ("seresnext26ts", Byob { gate: SqueezeExcite, ..tiered.clone() }),
        ("eca_resnext26ts", Byob { gate: Eca, ..tiered.clone() }),
        ("gcresnext26ts", Byob { gate: GlobalContext, ..tiered.clone() }),
        ("gcresnext50ts", Byob { gate: GlobalContext, stages: bottlenecks([3, 4, 6, 3], usual, 32), ..tiered }),
        ("resnet32ts", thirty_two.clone()),
        (
            "gcresnet50t",
            Byob { gate: GlobalContext, silu: false, stages: bottlenecks([3, 4, 6, 3], usual, 0), ..thirty_two },
        ),
        ("resnet33ts", thirty_three.clone()),
        ("seresnet33ts", Byob { gate: SqueezeExcite, ..thirty_three.clone() }),
        ("gcresnet33ts", Byob { gate: GlobalContext, ..thirty_three.clone() }),
        ("eca_resnet33ts", Byob { gate: Eca, ..thirty_three }),
    ]
    .into_iter()
    .chain(clips)
}
