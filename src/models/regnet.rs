//! RegNets: one builder for X, Y, Z and V.
//!
//! Sources: Radosavovic et al. 2020, "Designing Network Design Spaces" (figure 3, section 4: X; section 5: Y, with squeeze-and-excitation
//! in the middle of a block); Dollár et al. 2021, "Fast and Accurate Model Scaling" (appendix: Z, inverted bottlenecks without a last
//! activation). V is timm's Y with norms and activations before the convolutions, as in He et al. 2016, "Identity Mappings in Deep Residual
//! Networks". Names are timm's. [`Properties`] has what no tensor shows.

use super::{
    Bias, Biases, Gate, Head, Norm, Properties, Shortcut,
    head::pool_and_classify,
    resnet::{Stride, conv, dilated},
};
use crate::{
    graph::{Activation, Conv2dParams, Graph, Op, PoolParams, ValueId},
    structure::NormGroups,
};

/// A RegNet without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct RegNet {
    /// Channels of the image.
    pub inputs: usize,
    /// Output channels of the stem, a 3x3 convolution, usually with stride 2.
    pub stem_channels: usize,
    /// Whether norm and activation come before each convolution (V) instead of after it.
    pub preactivated: bool,
    /// Whether no activation follows the last convolution of a block, and blocks that change channels or resolution have no shortcut (Z).
    pub linear: bool,
    /// The norm of each convolution.
    pub norm: Norm,
    /// Blocks of each stage; the first block of every stage halves the resolution, unless the stage is dilated.
    pub stages: Vec<Vec<RegNetBlock>>,
    /// Channels of the 1x1 convolution after the last block, if there is one.
    pub final_channels: Option<usize>,
    /// The convolutions that have a bias.
    pub biases: Biases,
    /// The classifier, if there is one.
    pub head: Option<Head>,
    /// The properties that no tensor shows.
    pub properties: Properties,
}

/// One block: 1x1, grouped 3x3, gate, 1x1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegNetBlock {
    /// Channels of the 3x3 convolution.
    pub width: usize,
    /// Output channels.
    pub channels: usize,
    /// Groups of the 3x3 convolution.
    pub groups: usize,
    /// Gate of the channels of the 3x3 convolution, if there is one.
    pub gate: Option<Gate>,
    /// The shortcut, if there is one. It is the identity, or a projection with a 1x1 convolution.
    pub shortcut: Option<Shortcut>,
}

impl RegNet {
    /// The properties of the published networks of this form: a stem of stride 2 without pooling, and stride 2 in every stage. The
    /// activation is ReLU, or SiLU in Z and V and with group normalisation, which has groups of 16 channels.
    pub(super) fn usual(&self) -> Properties {
        let grouped = self.norm == Norm::Group;
        let activation = if self.preactivated || self.linear || grouped { Activation::Silu } else { Activation::Relu };
        Properties {
            stem_pool: false,
            layer1_stride: 2,
            activation,
            block_activation: activation,
            gate_activation: activation,
            norm_groups: Some(if grouped { NormGroups::Channels(16) } else { NormGroups::Groups(32) }),
            ..Properties::usual(false)
        }
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        let last = self.stages.last().and_then(|stage| stage.last());
        self.final_channels.unwrap_or(last.map_or(self.stem_channels, |block| block.channels))
    }
}

/// The network's graph.
pub(super) fn graph(net: &RegNet) -> Graph {
    let mut builder = Builder { graph: Graph::new(net.inputs), net };
    let input = builder.graph.input();
    let (mut x, mut channels) = (builder.stem(input), net.stem_channels);
    let mut dilation = 1;
    for (s, blocks) in (1..).zip(&net.stages) {
        for (b, block) in blocks.iter().enumerate() {
            let window = Stride::of(&net.properties, s, b, dilation);
            let name = format!("s{s}.b{}", b + 1);
            x = if net.preactivated {
                builder.preactivated(&name, block, channels, window, x)
            } else {
                builder.block(&name, block, channels, window, x)
            };
            (dilation, channels) = (window.rest, block.channels);
        }
        builder.graph.mark_stage(format!("s{s}"), x);
    }
    if let Some(outputs) = net.final_channels {
        x = builder.conv_norm("final_conv", conv(channels, outputs, 1, 1, 1), x);
        x = builder.activation(net.properties.activation, "final_conv.act".into(), x);
        builder.graph.mark_stage("final_conv", x);
        channels = outputs;
    } else if net.preactivated || net.linear {
        x = builder.activation(net.properties.activation, "final_conv".into(), x);
    }
    pool_and_classify(&mut builder.graph, &net.properties, net.head.as_ref(), channels, x);
    builder.graph
}

struct Builder<'a> {
    graph: Graph,
    net: &'a RegNet,
}

impl Builder<'_> {
    fn stem(&mut self, input: ValueId) -> ValueId {
        let net = self.net;
        let params = conv(net.inputs, net.stem_channels, 3, net.properties.stem_stride, 1);
        let x = if net.preactivated {
            self.conv("stem", params, input)
        } else {
            let x = self.conv_norm("stem", params, input);
            self.activation(net.properties.activation, "stem.act".into(), x)
        };
        self.graph.mark_stage("stem", x);
        x
    }

    /// Appends a block with `inputs` channels, in which norm and activation follow the convolutions.
    fn block(&mut self, name: &str, block: &RegNetBlock, inputs: usize, window: Stride, x: ValueId) -> ValueId {
        let [first, middle, last] = convolutions(block, inputs, window);
        let within = self.net.properties.block_activation;
        let mut y = self.conv_norm(&format!("{name}.conv1"), first, x);
        y = self.activation(within, format!("{name}.conv1.act"), y);
        y = self.conv_norm(&format!("{name}.conv2"), middle, y);
        y = self.activation(within, format!("{name}.conv2.act"), y);
        y = self.gate(name, block, y);
        y = self.conv_norm(&format!("{name}.conv3"), last, y);
        let place = format!("{name}.downsample");
        let around = match block.shortcut {
            None => return y,
            Some(Shortcut::Projection) => self.conv_norm(&place, around(block, inputs, window.stride), x),
            Some(Shortcut::PooledProjection) => {
                let x = self.pooled(&place, window.stride, x);
                self.conv_norm(&format!("{place}.1"), around(block, inputs, 1), x)
            }
            Some(Shortcut::Identity | Shortcut::SpatialProjection | Shortcut::SubsamplePad) => x,
        };
        let sum = self.graph.push(format!("{name}.add"), Op::Add, &[y, around]);
        match self.net.linear {
            true => sum,
            false => self.activation(self.net.properties.activation, format!("{name}.act3"), sum),
        }
    }

    /// Appends a block in which norm and activation come before the convolutions. The first ones also come before the shortcut.
    fn preactivated(&mut self, name: &str, block: &RegNetBlock, inputs: usize, window: Stride, x: ValueId) -> ValueId {
        let [first, middle, last] = convolutions(block, inputs, window);
        let x = self.norm_activation(&format!("{name}.norm1"), inputs, x);
        let mut y = self.conv(&format!("{name}.conv1"), first, x);
        y = self.norm_activation(&format!("{name}.norm2"), block.width, y);
        y = self.conv(&format!("{name}.conv2"), middle, y);
        y = self.gate(name, block, y);
        y = self.norm_activation(&format!("{name}.norm3"), block.width, y);
        y = self.conv(&format!("{name}.conv3"), last, y);
        let place = format!("{name}.downsample");
        let around = match block.shortcut {
            None => return y,
            Some(Shortcut::Projection) => self.conv(&place, around(block, inputs, window.stride), x),
            Some(Shortcut::PooledProjection) => {
                let x = self.pooled(&place, window.stride, x);
                self.conv(&format!("{place}.1"), around(block, inputs, 1), x)
            }
            Some(Shortcut::Identity | Shortcut::SpatialProjection | Shortcut::SubsamplePad) => x,
        };
        self.graph.push(format!("{name}.add"), Op::Add, &[y, around])
    }

    fn gate(&mut self, name: &str, block: &RegNetBlock, x: ValueId) -> ValueId {
        match block.gate {
            Some(gate) => {
                gate.push(&mut self.graph, &format!("{name}.se"), block.width, self.net.properties.gate_activation, x)
            }
            None => x,
        }
    }

    /// 2x2 average pooling where the block strides.
    fn pooled(&mut self, name: &str, stride: usize, x: ValueId) -> ValueId {
        let window = PoolParams { kernel: 2, stride, padding: 0, ceil: true };
        if stride == 1 { x } else { self.graph.push(format!("{name}.0"), Op::AvgPool2d(window), &[x]) }
    }

    fn norm_activation(&mut self, name: &str, channels: usize, x: ValueId) -> ValueId {
        let x = self.norm(name, channels, x);
        self.activation(self.net.properties.block_activation, format!("{name}.act"), x)
    }

    fn activation(&mut self, activation: Activation, name: String, x: ValueId) -> ValueId {
        match Op::activation(activation) {
            Some(op) => self.graph.push(name, op, &[x]),
            None => x,
        }
    }

    /// A convolution `<name>.conv` and the norm `<name>.bn`, unless the norm is folded into it.
    fn conv_norm(&mut self, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let x = self.conv(&format!("{name}.conv"), params, x);
        match self.net.biases.of(&format!("{name}.conv")) {
            Some(Bias::InPlaceOfNorm) => x,
            _ => self.norm(&format!("{name}.bn"), params.out_channels, x),
        }
    }

    fn conv(&mut self, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let bias = self.net.biases.of(name).map(|_| format!("{name}.bias"));
        self.graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias, params }, &[x])
    }

    fn norm(&mut self, name: &str, channels: usize, x: ValueId) -> ValueId {
        self.net.norm.push(&mut self.graph, &self.net.properties, name, channels, x)
    }
}

/// The convolutions of a block, without the shortcut's.
fn convolutions(block: &RegNetBlock, inputs: usize, window: Stride) -> [Conv2dParams; 3] {
    [
        conv(inputs, block.width, 1, 1, 1),
        dilated(conv(block.width, block.width, 3, window.stride, block.groups), window.first),
        conv(block.width, block.channels, 1, 1, 1),
    ]
}

/// The convolution of the shortcut.
fn around(block: &RegNetBlock, inputs: usize, stride: usize) -> Conv2dParams {
    conv(inputs, block.channels, 1, stride, 1)
}
