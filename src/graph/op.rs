//! The operators of the supported networks, each with its parameters. Weights are named, not held.

use serde::{Deserialize, Serialize};

use super::Activation;
use crate::tensor::Shape;

/// One operator. Weight names are those of the checkpoint in torchvision spelling.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// The normalised image, `[N, channels, H, W]`.
    Input {
        /// Channels of the input.
        channels: usize,
    },
    /// 2-D cross-correlation (`torch.nn.Conv2d`), weight `[out, in / groups, kh, kw]`, zero padding.
    Conv2d {
        /// Name of the weight tensor.
        weight: String,
        /// Name of the bias tensor `[out]`, if there is one.
        bias: Option<String>,
        /// Extents.
        params: Conv2dParams,
    },
    /// Batch normalisation at inference: `(x - mean) / sqrt(var + eps) * weight + bias` per channel; the tensors are
    /// `<prefix>.weight`, `.bias`, `.running_mean`, `.running_var`, each `[channels]` (Ioffe and Szegedy 2015, algorithm 2).
    BatchNorm {
        /// Name before the four suffixes.
        prefix: String,
        /// Number of channels.
        channels: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Any other function of each element. See [`Op::activation`].
    Activation(Activation),
    /// Elementwise sum of two values of one shape: the shortcut of He et al. 2015, equation 1.
    Add,
    /// `x * gate`, a value `[N, C, H, W]` and one gate an image and channel `[N, C, 1, 1]`: the excitation of Hu et al.
    /// 2017, "Squeeze-and-Excitation Networks", equation 4.
    Scale,
    /// Maximum over a window; padding never wins (`torch.nn.MaxPool2d`).
    MaxPool2d(PoolParams),
    /// Mean over a window, padding not counted (`torch.nn.AvgPool2d` with `count_include_pad=False`).
    AvgPool2d(PoolParams),
    /// Mean over all pixels: `[N, C, H, W]` to `[N, C, 1, 1]`.
    GlobalAvgPool,
    /// Maximum over all pixels: `[N, C, H, W]` to `[N, C, 1, 1]`.
    GlobalMaxPool,
    /// The mean of [`Op::GlobalAvgPool`] and [`Op::GlobalMaxPool`] (timm's `avgmax`).
    GlobalAvgMaxPool,
    /// Fully connected layer on `[N, in, 1, 1]`, weight `[out, in]`, bias `[out]`.
    Linear {
        /// Name of the weight tensor.
        weight: String,
        /// Name of the bias tensor, if there is one.
        bias: Option<String>,
        /// Columns of the weight.
        in_features: usize,
        /// Rows of the weight.
        out_features: usize,
    },
    /// The parameter-free shortcut "A" of He et al. 2015, section 4.2: every `stride`-th pixel, and zero channels
    /// `before` and `after` the input's own.
    SubsamplePad {
        /// Step in rows and columns.
        stride: usize,
        /// Zero channels in front.
        before: usize,
        /// Zero channels behind.
        after: usize,
    },
    /// Channels of all inputs one after the other (DenseNet, Huang et al. 2016, equation 2).
    Concat,
}

/// Extents of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conv2dParams {
    /// Input channels, all groups together.
    pub in_channels: usize,
    /// Output channels, all groups together.
    pub out_channels: usize,
    /// Kernel rows and columns (square).
    pub kernel: usize,
    /// Step of the window in rows and columns.
    pub stride: usize,
    /// Zero rows and columns on each side.
    pub padding: usize,
    /// Pixels from one tap of the kernel to the next (1: neighbours).
    pub dilation: usize,
    /// Independent channel groups (1 = dense).
    pub groups: usize,
}

impl Conv2dParams {
    /// Extents of a 1x1 convolution.
    pub fn pointwise(in_channels: usize, out_channels: usize) -> Self {
        Conv2dParams { in_channels, out_channels, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 }
    }

    /// Shape of the weight tensor, `[out, in / groups, kh, kw]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels / self.groups, self.kernel, self.kernel]
    }

    /// Rows and columns of input that the kernel spans.
    pub fn span(&self) -> usize {
        self.kernel + self.kernel.saturating_sub(1) * self.dilation.saturating_sub(1)
    }
}

/// Extents of a pooling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolParams {
    /// Window rows and columns (square).
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Padding on each side.
    pub padding: usize,
    /// Whether a last window may hang over the edge (`ceil_mode`); what is outside is as padding.
    pub ceil: bool,
}

impl Op {
    /// The operator of an activation; nothing for [`Activation::Identity`].
    pub fn activation(activation: Activation) -> Option<Op> {
        match activation {
            Activation::Identity => None,
            Activation::Relu => Some(Op::Relu),
            Activation::Sigmoid => Some(Op::Sigmoid),
            other => Some(Op::Activation(other)),
        }
    }

    /// The operator's name in listings.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Conv2d { .. } => "conv2d",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Relu => "relu",
            Op::Sigmoid => "sigmoid",
            Op::Activation(activation) => activation.name(),
            Op::Add => "add",
            Op::Scale => "scale",
            Op::MaxPool2d(_) => "max_pool2d",
            Op::AvgPool2d(_) => "avg_pool2d",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::GlobalMaxPool => "global_max_pool",
            Op::GlobalAvgMaxPool => "global_avg_max_pool",
            Op::Linear { .. } => "linear",
            Op::SubsamplePad { .. } => "subsample_pad",
            Op::Concat => "concat",
        }
    }

    /// Names and shapes of the weight tensors that the operator reads.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Op::Conv2d { weight, bias, params } => {
                let mut tensors = vec![(weight.clone(), params.weight_shape().to_vec())];
                tensors.extend(bias.iter().map(|b| (b.clone(), vec![params.out_channels])));
                tensors
            }
            Op::BatchNorm { prefix, channels, .. } => ["weight", "bias", "running_mean", "running_var"]
                .iter()
                .map(|part| (format!("{prefix}.{part}"), vec![*channels]))
                .collect(),
            Op::Linear { weight, bias, in_features, out_features } => {
                let mut tensors = vec![(weight.clone(), vec![*out_features, *in_features])];
                tensors.extend(bias.iter().map(|b| (b.clone(), vec![*out_features])));
                tensors
            }
            Op::Input { .. }
            | Op::Relu
            | Op::Sigmoid
            | Op::Activation(_)
            | Op::Add
            | Op::Scale
            | Op::MaxPool2d(_)
            | Op::AvgPool2d(_)
            | Op::GlobalAvgPool
            | Op::GlobalMaxPool
            | Op::GlobalAvgMaxPool
            | Op::SubsamplePad { .. }
            | Op::Concat => Vec::new(),
        }
    }

    /// Whether it takes so many inputs.
    pub fn takes(&self, inputs: usize) -> bool {
        match self {
            Op::Input { .. } => inputs == 0,
            Op::Add | Op::Scale => inputs == 2,
            Op::Concat => inputs > 0,
            Op::Conv2d { .. }
            | Op::BatchNorm { .. }
            | Op::Relu
            | Op::Sigmoid
            | Op::Activation(_)
            | Op::MaxPool2d(_)
            | Op::AvgPool2d(_)
            | Op::GlobalAvgPool
            | Op::GlobalMaxPool
            | Op::GlobalAvgMaxPool
            | Op::Linear { .. }
            | Op::SubsamplePad { .. } => inputs == 1,
        }
    }

    /// Multiply-accumulates by weights, for an output of this shape: each output by each weight of its row.
    pub fn macs(&self, output: Shape) -> u64 {
        let rows = self.tensors().into_iter().filter(|(_, shape)| shape.len() > 1);
        output.elements() as u64 * rows.map(|(_, shape)| shape[1..].iter().product::<usize>() as u64).sum::<u64>()
    }
}
