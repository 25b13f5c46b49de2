//! ResNets of timm's `byobnet`, with tiered stems, SiLU, gates between the convolutions of a block, or a convolution before the head.
//! CLIP's ResNets are among them, with attention pooling or the mean over all pixels.
//!
//! Sources: timm 1.0.31, `models/byobnet.py`; Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
//! Supervision" (section 2.4: ResNet-D, pooling in place of strides, attention pooling).

use super::build::{Net, STEM_POOL, grouped, window};
use crate::{
    graph::{Activation, Conv2dParams, Op, Plain, PoolParams, ValueId},
    models::{Gate, Properties},
};

/// One of these networks without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Byob {
    /// Channels of the stem's 3x3 convolutions.
    pub stem: Vec<usize>,
    /// Number of those convolutions, from the first, that have neither norm nor activation.
    pub bare: usize,
    /// Pooling after them. Without pooling, the last convolution strides.
    pub stem_pool: ByobPool,
    /// Stages.
    pub stages: Vec<ByobStage>,
    /// Gate between the last two convolutions of a block.
    pub gate: ByobGate,
    /// Whether blocks and their shortcuts pool instead of striding (CLIP).
    pub pools: bool,
    /// Whether a block has a second 3x3 convolution.
    pub extra_conv: bool,
    /// Channels of the convolution after the last stage, if there is one.
    pub last: Option<usize>,
    /// Whether the activation is SiLU, else ReLU.
    pub silu: bool,
    /// How the last map becomes features.
    pub features: ByobFeatures,
}

/// How the last map becomes features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByobFeatures {
    /// Global pooling.
    Pooled,
    /// Attention pooling.
    Attended(Attention),
    /// Batch normalisation of the means over all pixels, a linear layer with this number of outputs, and ReLU.
    Hidden(usize),
}

/// Attention pooling: the map's mean attends to all pixels, in heads of 64 channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Rows and columns of the map for which it has position embeddings.
    pub side: usize,
    /// Number of features: the outputs of its last layer. None if that layer is the head of a classifier.
    pub outputs: Option<usize>,
}

/// A stage of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByobStage {
    /// Number of blocks.
    pub depth: usize,
    /// Output channels of a block.
    pub channels: usize,
    /// Channels between their convolutions.
    pub width: usize,
    /// Channels in each group of a 3x3 convolution; 0 for one group.
    pub group: usize,
    /// Whether a block consists of a 3x3 and a 1x1 convolution.
    pub edge: bool,
    /// Stride of its first block.
    pub stride: usize,
}

/// The pooling of a stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByobPool {
    /// No pooling.
    None,
    /// The maximum of 3x3 windows.
    Max,
    /// The mean of 2x2 windows.
    Mean,
}

/// The gate of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByobGate {
    /// No gate.
    None,
    /// Squeeze-and-excitation with a sixteenth of the channels inside.
    SqueezeExcite,
    /// Efficient channel attention.
    Eca,
    /// Global context, which adds a number to each channel instead of scaling it, with an eighth of the channels inside.
    GlobalContext,
}

impl Byob {
    /// The usual properties.
    pub(super) fn usual(&self) -> Properties {
        let activation = if self.silu { Activation::Silu } else { Activation::Relu };
        Properties { activation, ..Properties::usual(false) }
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.last.unwrap_or(self.stages.last().map_or(0, |stage| stage.channels))
    }

    /// The same network with attention pooling whose last layer is a head.
    pub(super) fn classifying(mut self) -> Self {
        if let ByobFeatures::Attended(attention) = &mut self.features {
            attention.outputs = None;
        }
        self
    }

    /// Appends the network up to its last feature map, for an image with `image` channels.
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

    /// Appends the features of the last map `x`, and returns their number. None if global pooling makes them.
    pub(super) fn push_features(&self, net: &mut Net<'_>, x: ValueId) -> Option<(usize, ValueId)> {
        let channels = self.channels();
        match self.features {
            ByobFeatures::Pooled => None,
            ByobFeatures::Attended(attention) => Some(attention.push(net, channels, x)),
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
        // Instead of a stride, CLIP pools after the activation.
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

/// Appends global context: adds to each channel two layers of the mean of `x`, weighted by attention over its pixels.
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
    /// Appends the features of a map with `channels` channels, and returns their number.
    fn push(self, net: &mut Net<'_>, channels: usize, x: ValueId) -> (usize, ValueId) {
        let Attention { side, outputs } = self;
        let weights = vec!["head.pos_embed".to_string()];
        let tokens = net.push("head.tokens", Op::Plain { op: Plain::Tokens { channels, side }, weights }, x);
        // A stride larger than any map keeps only the first pixel.
        let first = Op::SubsamplePad { stride: 1 << 24, before: 0, after: 0 };
        let mean = net.push("head.mean", first, tokens);
        let linear = |out_features| Plain::Linear { in_features: channels, out_features };
        let query = net.push("head.q", linear(channels).named("head.q"), mean);
        let keys = net.biased_conv("head.k", window(channels, channels, 1, 1), tokens);
        let values = net.biased_conv("head.v", window(channels, channels, 1, 1), tokens);
        let asked = net.graph.push("head.asked", Op::Scale, &[keys, query]);
        let both = net.graph.push("head.concat", Op::Concat, &[asked, values]);
        // Divide by the root of a head's channels, which are 64.
        let attend = Plain::Attend { heads: channels / 64, keys: channels, scale: 0.125 };
        let pooled = net.push("head.attend", attend, both);
        match outputs {
            Some(outputs) => (outputs, net.push(PROJECTION, linear(outputs).named(PROJECTION), pooled)),
            None => (channels, pooled),
        }
    }
}

/// The last layer of attention pooling.
pub(super) const PROJECTION: &str = "head.proj";

/// The mean of 2x2 windows.
const HALF: PoolParams = PoolParams { kernel: 2, stride: 2, padding: 0, ceil: false };

fn layer(net: &mut Net<'_>, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
    net.conv_norm_act(&format!("{name}.conv"), &format!("{name}.bn"), params, x)
}
