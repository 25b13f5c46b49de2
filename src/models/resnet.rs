//! Residual networks: one builder for ResNet, Wide ResNet, ResNeXt, their variants with deep stems, pooled shortcuts and gates, and the
//! CIFAR networks.
//!
//! Sources: He et al. 2015, "Deep Residual Learning for Image Recognition" (section 3.3 and table 1 for ImageNet,
//! section 4.2 for CIFAR-10); Zagoruyko and Komodakis 2016, "Wide Residual Networks"; Xie et al. 2016, "Aggregated
//! Residual Transformations" (grouped 3x3 convolutions, figure 3c); He et al. 2018, "Bag of Tricks for Image Classification" (ResNet-C
//! and -D, section 4.1); Bello et al. 2021, "Revisiting ResNets" (ResNet-RS, section 7); Yu et al. 2017, "Dilated Residual Networks" (section 2); as timm
//! builds them. [`Properties`] has what no tensor shows.

use super::{Bias, Biases, Gate, Head, Norm, Properties, anti_aliasing, head::pool_and_classify};
use crate::{
    graph::{Activation, Conv2dParams, Graph, Op, PoolParams, ValueId},
    structure::{AntiAliasing, StrideIn},
};

/// A residual network without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ResNet {
    /// Channels of the image.
    pub inputs: usize,
    /// The convolutions before the first block.
    pub stem: Stem,
    /// Output channels of the stem.
    pub stem_channels: usize,
    /// Whether the max pooling of the stem is replaced by a 3x3 convolution with stride 2 (ResNet-RS).
    pub stem_pool_conv: bool,
    /// Whether it is Cadene's SENet (timm's `legacy_`). The stem and the gates have other names, the stem's pooling is not padded and may
    /// reach over the edge, and the gates of basic blocks follow another activation.
    pub legacy: bool,
    /// Whether an activation follows the last norm of a block, before its gate, which is called `excitation` (weiaicunzai's SE-ResNets).
    pub excitation: bool,
    /// Groups of the 3x3 convolutions of bottlenecks (the cardinality of ResNeXt).
    pub groups: usize,
    /// Groups of the first convolutions of bottlenecks, as a rule 1.
    pub first_groups: usize,
    /// The norm of each convolution.
    pub norm: Norm,
    /// Blocks of each stage. The first block of every later stage halves the resolution, unless the stage is dilated.
    pub stages: Vec<Vec<Block>>,
    /// The convolutions that have a bias.
    pub biases: Biases,
    /// The classifier, if there is one.
    pub head: Option<Head>,
    /// The properties that no tensor shows.
    pub properties: Properties,
}

/// The layers before the first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// 7x7 convolution, usually with stride 2, then usually 3x3 max pooling with stride 2.
    ImageNet,
    /// Three 3x3 convolutions, the first usually with stride 2, then pooling as for ImageNet (ResNet-C). The first two have these output
    /// channels.
    Deep([usize; 2]),
    /// 3x3 convolution, usually with stride 1 and without pooling.
    Cifar,
    /// 1x1 convolution, usually with stride 1 and without pooling (kuangliu's ResNeXts for CIFAR).
    Pointwise,
}

impl Stem {
    /// Whether it is one small convolution, as for CIFAR.
    pub(super) fn is_small(self) -> bool {
        matches!(self, Stem::Cifar | Stem::Pointwise)
    }
}

/// The convolutions of a block, without the shortcut's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3 (which may be grouped), 1x1.
    Bottleneck,
}

/// One residual block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its convolutions, the same in all blocks of a stage.
    pub kind: BlockKind,
    /// Output channels of its first convolution: `width`, or half of it (SENet-154).
    pub first: usize,
    /// Input channels of its last convolution.
    pub width: usize,
    /// Output channels.
    pub channels: usize,
    /// Gate of its channels before the addition, if there is one.
    pub gate: Option<Gate>,
    /// The shortcut.
    pub shortcut: Shortcut,
}

/// The shortcut of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// The input itself.
    Identity,
    /// 1x1 convolution and batch normalisation (option B).
    Projection,
    /// 3x3 convolution and batch normalisation (SENet-154).
    SpatialProjection,
    /// 2x2 average pooling where the block strides, 1x1 convolution and batch normalisation (ResNet-D).
    PooledProjection,
    /// Every `stride`-th pixel with zero channels around (option A).
    SubsamplePad,
}

impl ResNet {
    /// Whether the stem is one small convolution.
    pub(super) fn small_stem(&self) -> bool {
        self.stem.is_small()
    }

    /// The properties of the published networks of this kind. Cadene's SE-ResNets stride as Caffe's ResNets do.
    pub(super) fn usual(&self) -> Properties {
        let reduced = self.stages.iter().flatten().any(|block| block.first != block.width);
        let in_first = self.legacy && self.has_bottlenecks() && self.groups == 1 && !reduced;
        let stride_in = if in_first { StrideIn::OneByOne } else { StrideIn::ThreeByThree };
        Properties { stride_in, ..Properties::usual(self.small_stem()) }
    }

    pub(super) fn has_bottlenecks(&self) -> bool {
        self.stages.iter().flatten().any(|block| block.kind == BlockKind::Bottleneck)
    }

    /// The name of a block's gate.
    pub(super) fn gate_module(&self) -> &'static str {
        match (self.legacy, self.excitation) {
            (true, _) => "se_module",
            (_, true) => "excitation",
            _ => "se",
        }
    }

    /// Whether an activation follows the last norm of such a block, before its gate.
    fn activates_last(&self, kind: BlockKind) -> bool {
        self.excitation || (self.legacy && kind == BlockKind::Basic)
    }
}

/// The network's graph.
pub(super) fn graph(net: &ResNet) -> Graph {
    let mut builder = Builder { graph: Graph::new(net.inputs), net };
    let input = builder.graph.input();
    let (mut x, mut channels) = (builder.stem(input), net.stem_channels);
    let mut dilation = 1;
    for (s, blocks) in (1..).zip(&net.stages) {
        let stage = format!("layer{s}");
        for (b, block) in blocks.iter().enumerate() {
            let window = Stride::of(&net.properties, s, b, dilation);
            x = builder.block(&format!("{stage}.{b}"), block, channels, window, x);
            dilation = window.rest;
            channels = block.channels;
        }
        builder.graph.mark_stage(stage, x);
    }
    pool_and_classify(&mut builder.graph, &net.properties, net.head.as_ref(), channels, x);
    builder.graph
}

struct Builder<'a> {
    graph: Graph,
    net: &'a ResNet,
}

impl Builder<'_> {
    fn stem(&mut self, input: ValueId) -> ValueId {
        let (image, channels, stride) = (self.net.inputs, self.net.stem_channels, self.net.properties.stem_stride);
        let mut x = match self.net.stem {
            Stem::ImageNet if self.net.legacy => {
                let params = conv(image, channels, 7, stride, 1);
                self.conv_norm_relu("layer0.conv1", "layer0.bn1", "layer0.relu1", params, input)
            }
            Stem::Deep([a, b]) if self.net.legacy => {
                let mut x = input;
                let layers = [conv(image, a, 3, stride, 1), conv(a, b, 3, 1, 1), conv(b, channels, 3, 1, 1)];
                for (i, params) in (1..).zip(layers) {
                    let [conv, norm, relu] = ["conv", "bn", "relu"].map(|part| format!("layer0.{part}{i}"));
                    x = self.conv_norm_relu(&conv, &norm, &relu, params, x);
                }
                x
            }
            Stem::ImageNet => self.conv_norm_relu("conv1", "bn1", "relu", conv(image, channels, 7, stride, 1), input),
            Stem::Deep([a, b]) => {
                let x = self.conv_norm_relu("conv1.0", "conv1.1", "conv1.2", conv(image, a, 3, stride, 1), input);
                let x = self.conv_norm_relu("conv1.3", "conv1.4", "conv1.5", conv(a, b, 3, 1, 1), x);
                self.conv_norm_relu("conv1.6", "bn1", "relu", conv(b, channels, 3, 1, 1), x)
            }
            Stem::Cifar => self.conv_norm_relu("conv1", "bn1", "relu", conv(image, channels, 3, stride, 1), input),
            Stem::Pointwise => self.conv_norm_relu("conv1", "bn1", "relu", conv(image, channels, 1, stride, 1), input),
        };
        if self.net.stem_pool_conv {
            let params = conv(channels, channels, 3, 2, 1);
            x = self.conv_norm_relu("maxpool.0", "maxpool.1", "maxpool.2", params, x);
        } else if self.net.properties.stem_pool && self.net.legacy {
            let window = PoolParams { kernel: 3, stride: 2, padding: 0, ceil: true };
            x = self.graph.push("maxpool", Op::MaxPool2d(window), &[x]);
        } else if self.net.properties.stem_pool {
            x = anti_aliasing::pool(&mut self.graph, self.net.properties.anti_aliasing, "maxpool", x);
        } else {
            return x;
        }
        self.graph.mark_stage("maxpool", x);
        x
    }

    /// Appends a block with `inputs` channels.
    fn block(&mut self, name: &str, block: &Block, inputs: usize, window: Stride, x: ValueId) -> ValueId {
        let layers = convolutions(self.net, block, inputs, window);
        let last = layers.len();
        let anti_aliasing = self.net.properties.anti_aliasing;
        let mut y = x;
        for (i, params) in (1..).zip(layers) {
            let halves = anti_aliasing != AntiAliasing::None && params.stride == 2;
            let params = Conv2dParams { stride: if halves { 1 } else { params.stride }, ..params };
            y = self.conv_norm(&format!("{name}.conv{i}"), &format!("{name}.bn{i}"), params, y);
            if i < last || self.net.activates_last(block.kind) {
                y = self.activation(self.net.properties.block_activation, format!("{name}.relu{i}"), y);
            }
            if halves {
                y = anti_aliasing::halve(&mut self.graph, anti_aliasing, &format!("{name}.aa"), y);
            }
        }
        if let Some(gate) = block.gate {
            y = gate.push(
                &mut self.graph,
                &format!("{name}.{}", self.net.gate_module()),
                block.channels,
                self.net.properties.gate_activation,
                y,
            );
        }
        let around = self.shortcut(name, block, inputs, window.stride, x);
        let sum = self.graph.push(format!("{name}.add"), Op::Add, &[y, around]);
        self.activation(self.net.properties.activation, format!("{name}.relu"), sum)
    }

    fn shortcut(&mut self, name: &str, block: &Block, inputs: usize, stride: usize, x: ValueId) -> ValueId {
        match block.shortcut {
            Shortcut::Identity => x,
            Shortcut::Projection | Shortcut::SpatialProjection => {
                let kernel = if block.shortcut == Shortcut::Projection { 1 } else { 3 };
                let params = conv(inputs, block.channels, kernel, stride, 1);
                self.conv_norm(&format!("{name}.downsample.0"), &format!("{name}.downsample.1"), params, x)
            }
            Shortcut::PooledProjection => {
                let window = PoolParams { kernel: 2, stride, padding: 0, ceil: true };
                let x = match stride {
                    1 => x,
                    _ => self.graph.push(format!("{name}.downsample.0"), Op::AvgPool2d(window), &[x]),
                };
                let params = conv(inputs, block.channels, 1, 1, 1);
                self.conv_norm(&format!("{name}.downsample.1"), &format!("{name}.downsample.2"), params, x)
            }
            Shortcut::SubsamplePad => {
                let zeros = block.channels.saturating_sub(inputs);
                let op = Op::SubsamplePad { stride, before: zeros / 2, after: zeros - zeros / 2 };
                self.graph.push(format!("{name}.shortcut"), op, &[x])
            }
        }
    }

    fn conv_norm_relu(&mut self, name: &str, norm: &str, relu: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let x = self.conv_norm(name, norm, params, x);
        self.activation(self.net.properties.activation, relu.into(), x)
    }

    fn activation(&mut self, activation: Activation, name: String, x: ValueId) -> ValueId {
        match Op::activation(activation) {
            Some(op) => self.graph.push(name, op, &[x]),
            None => x,
        }
    }

    /// A convolution and the norm that follows, unless the norm is folded into it.
    fn conv_norm(&mut self, name: &str, norm: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let biased = self.net.biases.of(name);
        let bias = biased.map(|_| format!("{name}.bias"));
        let x = self.graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias, params }, &[x]);
        if biased == Some(Bias::InPlaceOfNorm) {
            return x;
        }
        self.net.norm.push(&mut self.graph, &self.net.properties, norm, params.out_channels, x)
    }
}

/// Strides and dilations of a block.
#[derive(Clone, Copy)]
pub(super) struct Stride {
    /// Stride of the block.
    pub(super) stride: usize,
    /// Dilation of its first 3x3 convolution.
    pub(super) first: usize,
    /// Dilation of the convolutions that follow, in the next block too.
    pub(super) rest: usize,
}

impl Stride {
    /// The stride of block `b`, from 0, in `stage`, from 1, whose input is dilated by `dilation`.
    pub(super) fn of(properties: &Properties, stage: usize, b: usize, dilation: usize) -> Self {
        let step = match (b, stage) {
            (0, 1) => properties.layer1_stride,
            (0, _) => 2,
            _ => 1,
        };
        let dilated = properties.dilated.contains(&stage);
        Stride {
            stride: if dilated { 1 } else { step },
            // The first convolution that would stride reads an input that is as dense as before.
            first: dilation,
            rest: if dilated { dilation * step } else { dilation },
        }
    }
}

/// The convolutions of a block, without the shortcut's.
fn convolutions(net: &ResNet, block: &Block, inputs: usize, window: Stride) -> Vec<Conv2dParams> {
    let Stride { stride, first, rest } = window;
    match block.kind {
        BlockKind::Basic => vec![
            dilated(conv(inputs, block.width, 3, stride, 1), first),
            dilated(conv(block.width, block.channels, 3, 1, 1), rest),
        ],
        BlockKind::Bottleneck => {
            let [one, three] = match net.properties.stride_in {
                StrideIn::OneByOne => [stride, 1],
                StrideIn::ThreeByThree => [1, stride],
            };
            vec![
                conv(inputs, block.first, 1, one, net.first_groups),
                dilated(conv(block.first, block.width, 3, three, net.groups), first),
                conv(block.width, block.channels, 1, 1, 1),
            ]
        }
    }
}

/// The same convolution with its taps `dilation` pixels apart, padded to keep the resolution.
pub(super) fn dilated(params: Conv2dParams, dilation: usize) -> Conv2dParams {
    Conv2dParams { dilation, padding: params.padding * dilation, ..params }
}

/// A convolution padded so that only its stride changes the resolution.
pub(super) fn conv(
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Conv2dParams {
    Conv2dParams { in_channels, out_channels, kernel, stride, padding: kernel / 2, dilation: 1, groups }
}
