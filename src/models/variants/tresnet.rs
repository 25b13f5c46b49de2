//! TResNet: a stem of blocks of 4x4 pixels, anti-aliasing instead of strides, leaky ReLUs.
//!
//! Sources: Ridnik et al. 2020, "TResNet: High Performance GPU-Dedicated Architecture" (section 2); timm 1.0.31, `models/tresnet.py`. The
//! original normalises in place (`InPlaceABN`); timm has batch normalisation and an activation, and converts the original's weights.

use super::build::{Net, window};
use crate::{
    graph::{Activation, Conv2dParams, Op, ValueId},
    models::{Gate, Shapes, anti_aliasing},
    structure::AntiAliasing,
    tensor::Rewrite,
};

/// One of these networks without its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TResNet {
    /// Blocks of each stage.
    pub depths: [usize; 4],
    /// Channels between the convolutions of the first stage; each further stage doubles them.
    pub width: usize,
    /// Number of stages, from the first, with basic blocks: two, or none in the second version.
    pub basic: usize,
}

/// Rows and columns of a block of pixels in the stem.
const BLOCK: usize = 4;

/// Activation after the stem's convolution.
const STEM: Activation = Activation::LeakyRelu(1e-2);

/// Activation between the convolutions of a block.
const WITHIN: Activation = Activation::LeakyRelu(1e-3);

impl TResNet {
    /// Output channels of a stage, from 0.
    fn yields(&self, stage: usize) -> usize {
        let width = self.width << stage;
        if stage < self.basic { width } else { 4 * width }
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.yields(3)
    }

    /// Appends the network up to its last feature map, for an image with `image` channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        // A 3x3 convolution of blocks of pixels equals a larger convolution of the pixels, which strides by a block.
        let params = Conv2dParams { padding: BLOCK, ..window(image, self.width, 3 * BLOCK, BLOCK) };
        net.graph.rewrite("body.conv1.conv.weight", Rewrite::Blocks { block: BLOCK });
        let mut x = layer(net, "body.conv1", params, Some(STEM), net.graph.input());
        net.graph.mark_stage("body.conv1", x);
        let mut inputs = self.width;
        for (stage, depth) in self.depths.into_iter().enumerate() {
            for b in 0..depth {
                let stride = if stage > 0 && b == 0 { 2 } else { 1 };
                x = self.block(net, &format!("body.layer{}.{b}", stage + 1), stage, [inputs, stride], x);
                inputs = self.yields(stage);
            }
            net.graph.mark_stage(format!("body.layer{}", stage + 1), x);
        }
        x
    }

    /// Appends a block with `inputs` channels.
    fn block(&self, net: &mut Net<'_>, name: &str, stage: usize, [inputs, stride]: [usize; 2], x: ValueId) -> ValueId {
        let part = |part: &str| format!("{name}.{part}");
        let (width, channels) = (self.width << stage, self.yields(stage));
        let gate = |net: &mut Net<'_>, squeeze: usize, y: ValueId| {
            let gate = Gate::SqueezeExcite { squeeze, bias: true };
            gate.push(&mut net.graph, &part("se"), width, Activation::Relu, y)
        };
        let y = if stage < self.basic {
            let y = strided(net, &part("conv1"), window(inputs, width, 3, stride), x);
            let y = layer(net, &part("conv2"), window(width, width, 3, 1), None, y);
            gate(net, (width / 4).max(64), y)
        } else {
            let y = layer(net, &part("conv1"), window(inputs, width, 1, 1), Some(WITHIN), x);
            let y = strided(net, &part("conv2"), window(width, width, 3, stride), y);
            // The last stage has no gate.
            let y = if stage < 3 { gate(net, (channels / 8).max(64), y) } else { y };
            layer(net, &part("conv3"), window(width, channels, 1, 1), None, y)
        };
        let around = if stride > 1 {
            let mean = net.half(&part("downsample.0"), x);
            layer(net, &part("downsample.1"), window(inputs, channels, 1, 1), None, mean)
        } else if inputs != channels {
            layer(net, &part("downsample.0"), window(inputs, channels, 1, 1), None, x)
        } else {
            x
        };
        let sum = net.add(part("add"), y, around);
        net.push(part("act"), Op::Relu, sum)
    }
}

/// A 3x3 convolution with its norm and activation. A blur replaces the stride.
fn strided(net: &mut Net<'_>, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
    let y = layer(net, name, Conv2dParams { stride: 1, ..params }, Some(WITHIN), x);
    if params.stride == 1 {
        y
    } else {
        anti_aliasing::halve(&mut net.graph, AntiAliasing::Blur, &format!("{name}.aa"), y)
    }
}

fn layer(net: &mut Net<'_>, name: &str, params: Conv2dParams, act: Option<Activation>, x: ValueId) -> ValueId {
    let y = net.conv_norm(&format!("{name}.conv"), &format!("{name}.bn"), params, x);
    match act.and_then(Op::activation) {
        Some(op) => net.push(format!("{name}.act"), op, y),
        None => y,
    }
}

/// Whether the names belong to this family.
pub(super) fn resembles(shapes: &Shapes) -> bool {
    shapes.contains_key("body.conv1.conv.weight")
}

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, TResNet)> {
    [
        ("tresnet_m", TResNet { depths: [3, 4, 11, 3], width: 64, basic: 2 }),
        ("tresnet_l", TResNet { depths: [4, 5, 18, 3], width: 76, basic: 2 }),
        ("tresnet_xl", TResNet { depths: [4, 5, 24, 3], width: 83, basic: 2 }),
        ("tresnet_v2_l", TResNet { depths: [3, 4, 23, 3], width: 64, basic: 0 }),
    ]
    .into_iter()
}
