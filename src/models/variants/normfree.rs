//! ResNets without normalisation: weights are standardised, and constants keep the variance of all values near one.
//!
//! Sources: Brock et al. 2021, "Characterizing signal propagation to close the performance gap in unnormalized ResNets" (sections 3.1 and
//! 4.2); timm 1.0.31, `models/nfnet.py`.
//!
//! The constants scale weights and biases, so that the network needs no more operators than another ResNet.

use super::build::{Net, STEM_POOL, window};
use crate::{
    graph::{Activation, Conv2dParams, Op, ValueId},
    models::Gate,
    tensor::{Gain, Rewrite},
};

/// One of these networks without its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormFree {
    /// Blocks of each stage.
    pub depths: [usize; 4],
    /// Gate of the channels that a block adds, if there is one.
    pub gate: NormFreeGate,
}

/// The gate of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormFreeGate {
    /// No gate.
    None,
    /// Squeeze-and-excitation with a sixteenth of the channels inside.
    SqueezeExcite,
    /// Efficient channel attention.
    Eca,
}

/// Gain that gives the ReLU of normally distributed values a variance of one.
const GAMMA: f64 = 1.713_958_859_443_664_6;

/// Share of a block's output that is added to its input.
const ALPHA: f64 = 0.2;

/// Factor of gates, which halve values on average.
const GATE_GAIN: f64 = 2.0;

impl NormFree {
    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        2048
    }

    /// Appends the network up to its last feature map, for an image with `image` channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let x = conv(net, "stem.conv", window(image, 64, 7, 2), [1.0; 2], net.graph.input());
        let mut x = net.push("stem.pool", Op::MaxPool2d(STEM_POOL), x);
        net.graph.mark_stage("stem", x);
        let (mut inputs, mut variance) = (64, 1.0_f64);
        for (s, depth) in self.depths.into_iter().enumerate() {
            for b in 0..depth {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                x = self.block(net, &format!("stages.{s}.{b}"), [inputs, 256 << s, stride], variance.sqrt(), x);
                inputs = 256 << s;
                // The shortcut of a stage's first block resets the variance to one.
                variance = if b == 0 { 1.0 } else { variance } + ALPHA * ALPHA;
            }
            net.graph.mark_stage(format!("stages.{s}"), x);
        }
        net.push("final_act", Op::Relu, x)
    }

    /// Appends a block whose input has the standard deviation `deviation`.
    fn block(
        &self,
        net: &mut Net<'_>,
        name: &str,
        [inputs, channels, stride]: [usize; 3],
        deviation: f64,
        x: ValueId,
    ) -> ValueId {
        let part = |part: &str| format!("{name}.{part}");
        let width = channels / 4;
        let gate = match self.gate {
            NormFreeGate::None => None,
            NormFreeGate::SqueezeExcite => Some((Gate::squeeze_excite(channels, 16), "attn_last.fc1.weight")),
            NormFreeGate::Eca => Some((Gate::eca(channels), "attn_last.conv.weight")),
        };
        let share = if gate.is_some() { ALPHA * GATE_GAIN } else { ALPHA };
        let normed = net.push(part("act1"), Op::Relu, x);
        let around = if stride > 1 || inputs != channels {
            let mean = if stride > 1 { net.half(&part("downsample.pool"), normed) } else { normed };
            conv(net, &part("downsample.conv"), window(inputs, channels, 1, 1), [1.0 / deviation, 1.0], mean)
        } else {
            x
        };
        let y = conv(net, &part("conv1"), window(inputs, width, 1, 1), [1.0 / deviation, 1.0], normed);
        let y = net.push(part("act2"), Op::Relu, y);
        let y = conv(net, &part("conv2"), window(width, width, 3, stride), [1.0; 2], y);
        let y = net.push(part("act3"), Op::Relu, y);
        let mut y = conv(net, &part("conv3"), window(width, channels, 1, 1), [share; 2], y);
        if let Some((gate, first)) = gate {
            // The gate depends on the unscaled output of the convolution.
            net.graph.rewrite(part(first), Rewrite::Times((1.0 / share) as f32));
            y = gate.push(&mut net.graph, &part("attn_last"), channels, Activation::Relu, y);
        }
        net.add(part("add"), y, around)
    }
}

/// A convolution with standardised weights, gains and a bias. `[weight, bias]` are factors of both.
fn conv(net: &mut Net<'_>, name: &str, params: Conv2dParams, [weight, bias]: [f64; 2], x: ValueId) -> ValueId {
    let terms: usize = params.weight_shape()[1..].iter().product();
    let gain = Gain { name: format!("{name}.gain"), times: weight * GAMMA / (terms as f64).sqrt() };
    net.graph.rewrite(format!("{name}.weight"), Rewrite::Standardise { eps: 1e-5, gain: Some(gain) });
    if bias != 1.0 {
        net.graph.rewrite(format!("{name}.bias"), Rewrite::Times(bias as f32));
    }
    net.biased_conv(name, params, x)
}

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, NormFree)> {
    use NormFreeGate::{Eca, None, SqueezeExcite};
    let net = |name, last, gate| (name, NormFree { depths: last, gate });
    let (small, middle, large) = ([2, 2, 2, 2], [3, 4, 6, 3], [3, 4, 23, 3]);
    [
        net("nf_resnet26", small, None),
        net("nf_resnet50", middle, None),
        net("nf_resnet101", large, None),
        net("nf_seresnet26", small, SqueezeExcite),
        net("nf_seresnet50", middle, SqueezeExcite),
        net("nf_seresnet101", large, SqueezeExcite),
        net("nf_ecaresnet26", small, Eca),
        net("nf_ecaresnet50", middle, Eca),
        net("nf_ecaresnet101", large, Eca),
    ]
    .into_iter()
}
