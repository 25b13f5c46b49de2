//! Helpers that build the graphs of all these families.

use crate::{
    graph::{Conv2dParams, Graph, Op, Padding, Plain, PoolParams, ValueId},
    models::Properties,
};

/// A graph under construction, and the properties that no tensor shows.
pub(super) struct Net<'a> {
    pub(super) graph: Graph,
    pub(super) properties: &'a Properties,
}

/// A convolution that is padded so that only its stride changes the resolution.
pub(super) fn window(in_channels: usize, out_channels: usize, kernel: usize, stride: usize) -> Conv2dParams {
    Conv2dParams { in_channels, out_channels, kernel, stride, padding: kernel / 2, dilation: 1, groups: 1 }
}

/// The same convolution in groups.
pub(super) fn grouped(params: Conv2dParams, groups: usize) -> Conv2dParams {
    Conv2dParams { groups, ..params }
}

/// The stem's pooling: the maximum of 3x3 windows with stride 2. Padding is never the maximum.
pub(super) const STEM_POOL: PoolParams = PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false };

impl Net<'_> {
    pub(super) fn push(&mut self, name: impl Into<String>, op: impl Into<Op>, x: ValueId) -> ValueId {
        self.graph.push(name, op, &[x])
    }

    /// A convolution without bias.
    pub(super) fn conv(&mut self, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        self.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, x)
    }

    /// A convolution with bias.
    pub(super) fn biased_conv(&mut self, name: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let (weight, bias) = (format!("{name}.weight"), Some(format!("{name}.bias")));
        self.push(name, Op::Conv2d { weight, bias, params }, x)
    }

    /// Batch normalisation.
    pub(super) fn norm(&mut self, name: &str, channels: usize, x: ValueId) -> ValueId {
        self.push(name, Op::BatchNorm { prefix: name.into(), channels, eps: self.properties.norm_eps }, x)
    }

    /// The network's activation.
    pub(super) fn act(&mut self, name: impl Into<String>, x: ValueId) -> ValueId {
        match Op::activation(self.properties.activation) {
            Some(op) => self.push(name, op, x),
            None => x,
        }
    }

    pub(super) fn conv_norm(&mut self, conv: &str, norm: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let x = self.conv(conv, params, x);
        self.norm(norm, params.out_channels, x)
    }

    pub(super) fn conv_norm_act(&mut self, conv: &str, norm: &str, params: Conv2dParams, x: ValueId) -> ValueId {
        let x = self.conv_norm(conv, norm, params, x);
        self.act(format!("{norm}.act"), x)
    }

    pub(super) fn add(&mut self, name: impl Into<String>, a: ValueId, b: ValueId) -> ValueId {
        self.graph.push(name, Op::Add, &[a, b])
    }

    /// Splits `x` into parts of `channels` channels each.
    pub(super) fn split(&mut self, name: &str, parts: usize, channels: usize, x: ValueId) -> Vec<ValueId> {
        let slice = |part: usize| Plain::Slice { from: part * channels, channels };
        (0..parts).map(|part| self.push(format!("{name}.part{part}"), slice(part), x)).collect()
    }

    /// The mean of 3x3 windows, which counts the zeros around the image (`torch.nn.AvgPool2d(3, stride, 1)`).
    pub(super) fn zero_padded_mean(&mut self, name: &str, stride: usize, x: ValueId) -> ValueId {
        let x = self.push(format!("{name}.pad"), Plain::Pad(Padding::Sides(1)), x);
        self.push(name, Op::AvgPool2d(PoolParams { kernel: 3, stride, padding: 0, ceil: false }), x)
    }

    /// The mean of 2x2 windows, which may reach over the edge.
    pub(super) fn half(&mut self, name: &str, x: ValueId) -> ValueId {
        self.push(name, Op::AvgPool2d(PoolParams { kernel: 2, stride: 2, padding: 0, ceil: true }), x)
    }

    /// The shortcut of a block that changes channels or resolution, as in timm's ResNet: a 1x1 convolution and batch normalisation. A
    /// `pooled` one takes the mean of 2x2 windows first.
    pub(super) fn projection(&mut self, block: &str, params: Conv2dParams, pooled: bool, x: ValueId) -> ValueId {
        let part = |number: usize| format!("{block}.downsample.{number}");
        if !pooled {
            return self.conv_norm(&part(0), &part(1), params, x);
        }
        let mean = PoolParams { kernel: 2, stride: params.stride, padding: 0, ceil: true };
        let x = if params.stride == 1 { x } else { self.push(part(0), Op::AvgPool2d(mean), x) };
        self.conv_norm(&part(1), &part(2), Conv2dParams { stride: 1, ..params }, x)
    }
}

/// Rounds a number of channels as timm does: to the nearest multiple of `divisor` that is at least `least` and more than nine tenths of the
/// number.
pub(super) fn make_divisible(channels: f64, divisor: usize, least: usize) -> usize {
    let rounded = ((channels + divisor as f64 / 2.0) as usize / divisor * divisor).max(least);
    if (rounded as f64) < 0.9 * channels { rounded + divisor } else { rounded }
}
