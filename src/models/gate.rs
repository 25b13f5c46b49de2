//! Gates of residual blocks: they scale each channel of each image before the addition.
//!
//! Sources: Hu et al. 2017, "Squeeze-and-Excitation Networks" (figure 3); Wang et al. 2020, "ECA-Net: Efficient Channel Attention for
//! Deep Convolutional Neural Networks" (section 3.2).

use super::{
    Shapes,
    majority::{most_frequent, rows},
};
use crate::graph::{Activation, Conv2dParams, Graph, Op, Plain, ValueId};

/// Gate of a block, computed from the means of its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gate {
    /// Two layers with an activation between them, usually ReLU, and a sigmoid after them.
    SqueezeExcite {
        /// Channels between the two layers.
        squeeze: usize,
        /// Whether the layers have a bias.
        bias: bool,
    },
    /// Efficient channel attention: a convolution along the channels and a sigmoid.
    Eca {
        /// Channels that a gate depends on.
        kernel: usize,
    },
}

impl Gate {
    /// Squeeze-and-excitation of `channels` channels with about `channels / reduction` squeezed ones, rounded as in timm: to a multiple of
    /// 8, at least 8.
    pub(super) fn squeeze_excite(channels: usize, reduction: usize) -> Self {
        Gate::SqueezeExcite { squeeze: ((channels / reduction + 4) / 8 * 8).max(8), bias: true }
    }

    /// Efficient channel attention of `channels` channels. The kernel is `(log2(channels) + 1) / 2`, rounded as in timm: down, then up to
    /// an odd number, at least 3.
    pub(super) fn eca(channels: usize) -> Self {
        let half = (channels.max(1).ilog2() as usize).div_ceil(2);
        Gate::Eca { kernel: (half | 1).max(3) }
    }

    /// Appends the gate `module` of a block to its value `x`.
    pub(super) fn push(
        self,
        graph: &mut Graph,
        module: &str,
        channels: usize,
        activation: Activation,
        x: ValueId,
    ) -> ValueId {
        let part = |part: &str| format!("{module}.{part}");
        let mean = graph.push(part("mean"), Plain::GlobalAvgPool, &[x]);
        let gate = match self {
            Gate::SqueezeExcite { squeeze, bias } => {
                let mut y = pointwise(graph, part("fc1"), Conv2dParams::pointwise(channels, squeeze), bias, mean);
                if let Some(op) = Op::activation(activation) {
                    y = graph.push(part("act"), op, &[y]);
                }
                let y = pointwise(graph, part("fc2"), Conv2dParams::pointwise(squeeze, channels), bias, y);
                graph.push(part("gate"), Op::Sigmoid, &[y])
            }
            Gate::Eca { kernel } => {
                graph.push(part("conv"), Plain::ChannelGate { kernel }.named(&part("conv")), &[mean])
            }
        };
        graph.push(part("scale"), Op::Scale, &[x, gate])
    }

    /// The gate's name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Gate::SqueezeExcite { .. } => "squeeze-and-excitation",
            Gate::Eca { .. } => "efficient channel attention",
        }
    }
}

/// The gates that the tensors of a network show.
pub(super) struct Gates<'a> {
    shapes: &'a Shapes,
    module: &'static str,
    /// Whether any block has efficient channel attention. Then all blocks have it.
    eca: bool,
    /// Whether any block has squeeze-and-excitation, and whether its layers have biases. Then all blocks have it.
    squeezes: Option<bool>,
}

impl<'a> Gates<'a> {
    /// Reads gates from the tensors, in the module `module` of each block.
    pub(super) fn read(shapes: &'a Shapes, module: &'static str) -> Self {
        let any = |part: &str| {
            let part = format!(".{module}.{part}");
            shapes.keys().any(|name| name.contains(&part))
        };
        let squeezes = (any("fc1.") || any("fc2.")).then(|| any("fc1.bias") || any("fc2.bias"));
        let eca = any("conv.") && shapes.keys().any(|name| name.starts_with("layer1."));
        Gates { shapes, module, eca, squeezes }
    }

    /// The gate of the block `name`, which yields `channels` channels.
    pub(super) fn of(&self, block: &str, channels: usize) -> Option<Gate> {
        let module = format!("{block}.{}.", self.module);
        if self.eca {
            // The kernel's size that the tensor shows. It may differ from timm's rule.
            let kernel = self.shapes.get(&format!("{module}conv.weight")).and_then(|shape| shape.get(2).copied());
            let is_kernel = |kernel: &usize| kernel % 2 == 1 && (3..1 << 16).contains(kernel);
            return Some(kernel.filter(is_kernel).map_or_else(|| Gate::eca(channels), |kernel| Gate::Eca { kernel }));
        }
        let bias = self.squeezes?;
        let part = |part: &str| format!("{module}{part}");
        let columns = self.shapes.get(&part("fc2.weight")).and_then(|shape| shape.get(1).copied());
        let squeezes = rows(self.shapes, [part("fc1.weight"), part("fc1.bias")]).chain(columns);
        let squeeze = most_frequent(squeezes).unwrap_or((channels / 16).max(1));
        Some(Gate::SqueezeExcite { squeeze, bias })
    }
}

/// A 1x1 convolution.
fn pointwise(graph: &mut Graph, name: String, params: Conv2dParams, bias: bool, x: ValueId) -> ValueId {
    let (weight, bias) = (format!("{name}.weight"), bias.then(|| format!("{name}.bias")));
    graph.push(name, Op::Conv2d { weight, bias, params }, &[x])
}

/// The unsupported gates that tensors show.
pub(super) const UNSUPPORTED: [(&[&str], &str); 2] = [
    (&[".se_layer."], "squeeze-and-excitation with other names than timm's se.fc1 and se.fc2"),
    (&[".eca."], "efficient channel attention with another name than timm's se.conv"),
];
