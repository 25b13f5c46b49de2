//! Densely connected networks: one builder for ImageNet and CIFAR.
//!
//! Source: Huang et al. 2016, "Densely Connected Convolutional Networks" (section 3 and table 1). Names are torchvision's.

use super::{Bias, Biases, Head, Properties, anti_aliasing, head::pool_and_classify};
use crate::graph::{Activation, Conv2dParams, Graph, Op, PoolParams, ValueId};

/// A densely connected network without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseNet {
    /// Channels of the image.
    pub inputs: usize,
    /// Whether the stem is ImageNet's: a 7x7 convolution, batch normalisation and ReLU, usually with stride 2 and 3x3 max pooling of stride
    /// 2. Otherwise it is CIFAR's: a 3x3 convolution, usually without anything else.
    pub pooled_stem: bool,
    /// Output channels of the first two 3x3 convolutions, if a pooled stem has three of them instead of one 7x7.
    pub deep_stem: Option<[usize; 2]>,
    /// Output channels of the stem.
    pub stem_channels: usize,
    /// Channels that each dense layer adds (k).
    pub growth: usize,
    /// Output channels of the 1x1 convolution before each 3x3 one, if there is one (the "B" in DenseNet-BC).
    pub bottleneck: Option<usize>,
    /// Number of dense layers in each block.
    pub blocks: Vec<usize>,
    /// Output channels of each transition; there is one between every two blocks.
    pub transitions: Vec<usize>,
    /// Name of the last batch normalisation; `norm5` in torchvision, whatever the number of blocks.
    pub last_norm: String,
    /// The convolutions that have a bias.
    pub biases: Biases,
    /// The classifier, if there is one.
    pub head: Option<Head>,
    /// Properties that tensors do not show. DenseNets have no striding bottlenecks and no stages that can be dilated.
    pub properties: Properties,
}

/// The network as nodes.
///
/// Every dense layer ends in a concatenation of its input and its own output, so each concatenation extends the last. All values
/// of a block are thus the first channels of its output, or the last ones, if the newest come first.
pub(super) fn graph(net: &DenseNet) -> Graph {
    let mut builder = Builder { graph: Graph::new(net.inputs), net };
    let mut x = builder.stem();
    let mut channels = net.stem_channels;
    for (i, layers) in (1..).zip(&net.blocks) {
        let block = format!("features.denseblock{i}");
        for l in 1..=*layers {
            x = builder.dense_layer(&format!("{block}.denselayer{l}"), channels, x);
            channels += net.growth;
        }
        builder.graph.mark_stage(block, x);
        if let Some(outputs) = net.transitions.get(i - 1) {
            x = builder.transition(&format!("features.transition{i}"), channels, *outputs, x);
            channels = *outputs;
        }
    }
    x = builder.norm_relu(&format!("features.{}", net.last_norm), "features.relu", channels, x);
    pool_and_classify(&mut builder.graph, &net.properties, net.head.as_ref(), channels, x);
    builder.graph
}

struct Builder<'a> {
    graph: Graph,
    net: &'a DenseNet,
}

impl Builder<'_> {
    fn stem(&mut self) -> ValueId {
        let (input, image, channels) = (self.graph.input(), self.net.inputs, self.net.stem_channels);
        let Properties { stem_stride, stem_pool, .. } = self.net.properties;
        let x = if let Some([a, b]) = self.net.deep_stem {
            let x = self.stem_layer(0, [image, a], 3, stem_stride, input);
            let x = self.stem_layer(1, [a, b], 3, 1, x);
            self.stem_layer(2, [b, channels], 3, 1, x)
        } else if self.net.pooled_stem {
            self.stem_layer(0, [image, channels], 7, stem_stride, input)
        } else {
            self.conv("features.conv0", [image, channels], 3, stem_stride, input)
        };
        if !stem_pool {
            return x;
        }
        let x = anti_aliasing::pool(&mut self.graph, self.net.properties.anti_aliasing, "features.pool0", x);
        self.graph.mark_stage("features.pool0", x);
        x
    }

    fn stem_layer(&mut self, i: usize, channels: [usize; 2], kernel: usize, stride: usize, x: ValueId) -> ValueId {
        let [conv, norm, relu] = ["conv", "norm", "relu"].map(|part| format!("features.{part}{i}"));
        let x = self.conv(&conv, channels, kernel, stride, x);
        self.norm_relu_of(&conv, &norm, &relu, channels[1], x)
    }

    /// Appends a dense layer: concatenates `x` and the channels that it computes from `x`.
    fn dense_layer(&mut self, name: &str, channels: usize, x: ValueId) -> ValueId {
        let growth = self.net.growth;
        let mut y = self.norm_relu(&format!("{name}.norm1"), &format!("{name}.relu1"), channels, x);
        y = match self.net.bottleneck {
            None => self.conv(&format!("{name}.conv1"), [channels, growth], 3, 1, y),
            Some(width) => {
                y = self.conv(&format!("{name}.conv1"), [channels, width], 1, 1, y);
                let [conv, norm, relu] = ["conv1", "norm2", "relu2"].map(|part| format!("{name}.{part}"));
                y = self.norm_relu_of(&conv, &norm, &relu, width, y);
                self.conv(&format!("{name}.conv2"), [width, growth], 3, 1, y)
            }
        };
        let both = if self.net.properties.newest_first { [y, x] } else { [x, y] };
        self.graph.push(format!("{name}.concat"), Op::Concat, &both)
    }

    fn transition(&mut self, name: &str, channels: usize, outputs: usize, x: ValueId) -> ValueId {
        let properties = &self.net.properties;
        let (eps, activation) =
            (properties.norm_eps, properties.transition_activation.unwrap_or(properties.activation));
        let norm = format!("{name}.norm");
        let x = self.graph.push(norm.clone(), Op::BatchNorm { prefix: norm, channels, eps }, &[x]);
        let x = self.act(activation, &format!("{name}.relu"), x);
        let x = self.conv(&format!("{name}.conv"), [channels, outputs], 1, 1, x);
        let window = PoolParams { kernel: 2, stride: 2, padding: 0, ceil: false };
        let x = self.graph.push(format!("{name}.pool"), Op::AvgPool2d(window), &[x]);
        self.graph.mark_stage(name, x);
        x
    }

    /// Appends the norm of the convolution `conv`, unless it is folded into the convolution, and the activation.
    fn norm_relu_of(&mut self, conv: &str, norm: &str, relu: &str, channels: usize, x: ValueId) -> ValueId {
        match self.net.biases.of(conv) {
            Some(Bias::InPlaceOfNorm) => self.relu(relu, x),
            _ => self.norm_relu(norm, relu, channels, x),
        }
    }

    fn norm_relu(&mut self, norm: &str, relu: &str, channels: usize, x: ValueId) -> ValueId {
        let eps = self.net.properties.norm_eps;
        let x = self.graph.push(norm, Op::BatchNorm { prefix: norm.into(), channels, eps }, &[x]);
        self.relu(relu, x)
    }

    fn relu(&mut self, relu: &str, x: ValueId) -> ValueId {
        self.act(self.net.properties.activation, relu, x)
    }

    fn act(&mut self, activation: Activation, relu: &str, x: ValueId) -> ValueId {
        match Op::activation(activation) {
            Some(op) => self.graph.push(relu, op, &[x]),
            None => x,
        }
    }

    fn conv(&mut self, name: &str, channels: [usize; 2], kernel: usize, stride: usize, x: ValueId) -> ValueId {
        let [in_channels, out_channels] = channels;
        let params =
            Conv2dParams { in_channels, out_channels, kernel, stride, padding: kernel / 2, dilation: 1, groups: 1 };
        let bias = self.net.biases.of(name).map(|_| format!("{name}.bias"));
        self.graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias, params }, &[x])
    }
}
