//! The operators of the supported networks, each with its parameters. Weights are named, not held.

use serde::{Deserialize, Serialize};

use super::{
    Activation,
    plain::{Plain, of_channels},
};
use crate::tensor::Shape;

/// One operator. Weight names are the checkpoint's, in torchvision spelling.
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
    /// Elementwise sum of two values of one shape: the shortcut of He et al. 2015, equation 1.
    Add,
    /// `x * gate`: a value `[N, C, H, W]` times one gate per image and channel `[N, C, 1, 1]`, the excitation of Hu et al. 2017,
    /// "Squeeze-and-Excitation Networks", equation 4.
    Scale,
    /// `x + shift`, a value `[N, C, H, W]` and one number per image and channel `[N, C, 1, 1]`: the transform of Cao et al. 2019, "GCNet:
    /// Non-local Networks Meet Squeeze-Excitation Networks and Beyond", equation 5.
    Shift,
    /// Maximum over a window; padding is never the maximum (`torch.nn.MaxPool2d`).
    MaxPool2d(PoolParams),
    /// Mean over a window, padding not counted (`torch.nn.AvgPool2d` with `count_include_pad=False`).
    AvgPool2d(PoolParams),
    /// The parameter-free shortcut "A" of He et al. 2015, section 4.2: every `stride`-th pixel, with zero channels `before` and `after` the
    /// input's channels.
    SubsamplePad {
        /// Step in rows and columns.
        stride: usize,
        /// Zero channels before the input's.
        before: usize,
        /// Zero channels after the input's.
        after: usize,
    },
    /// Concatenates the channels of all inputs (DenseNet, Huang et al. 2016, equation 2).
    Concat,
    /// An operator with one input that is never fused with another. See [`Plain::named`] and `Op::from(Plain)`.
    Plain {
        /// What it computes.
        op: Plain,
        /// Names of its tensors, in the order of [`Plain::tensors`]; the bias of a linear layer may be left out.
        weights: Vec<String>,
    },
}

/// Parameters of a convolution.
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
    /// Distance in pixels between adjacent taps of the kernel (1: no dilation).
    pub dilation: usize,
    /// Independent channel groups (1 = dense).
    pub groups: usize,
}

impl Conv2dParams {
    /// Parameters of a 1x1 convolution.
    #[doc(hidden)]
    pub fn pointwise(in_channels: usize, out_channels: usize) -> Self {
        Conv2dParams { in_channels, out_channels, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 }
    }

    /// Shape of the weight tensor, `[out, in / groups, kh, kw]`.
    #[doc(hidden)]
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels / self.groups.max(1), self.kernel, self.kernel]
    }

    /// Rows and columns of input that the kernel spans.
    #[doc(hidden)]
    pub fn span(&self) -> usize {
        self.kernel + self.kernel.saturating_sub(1) * self.dilation.saturating_sub(1)
    }
}

/// Parameters of a pooling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolParams {
    /// Window rows and columns (square).
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Padding on each side.
    pub padding: usize,
    /// Whether the last window may extend past the edge (`ceil_mode`); pixels outside count as padding.
    pub ceil: bool,
}

impl Op {
    /// The operator of an activation; `None` for [`Activation::Identity`].
    #[doc(hidden)]
    pub fn activation(activation: Activation) -> Option<Op> {
        match activation {
            Activation::Identity => None,
            Activation::Relu => Some(Op::Relu),
            Activation::Sigmoid => Some(Op::Sigmoid),
            other => Some(Plain::Activation(other).into()),
        }
    }

    /// The operator's name in listings.
    #[doc(hidden)]
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Conv2d { .. } => "conv2d",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Relu => "relu",
            Op::Sigmoid => "sigmoid",
            Op::Add => "add",
            Op::Scale => "scale",
            Op::Shift => "shift",
            Op::MaxPool2d(_) => "max_pool2d",
            Op::AvgPool2d(_) => "avg_pool2d",
            Op::SubsamplePad { .. } => "subsample_pad",
            Op::Concat => "concat",
            Op::Plain { op, .. } => op.name(),
        }
    }

    /// Names and shapes of the weight tensors that the operator reads.
    #[doc(hidden)]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Op::Conv2d { weight, bias, params } => {
                let bias = bias.iter().map(|bias| (bias.clone(), vec![params.out_channels]));
                [(weight.clone(), params.weight_shape().into())].into_iter().chain(bias).collect()
            }
            Op::BatchNorm { prefix, channels, .. } => ["weight", "bias", "running_mean", "running_var"]
                .iter()
                .map(|part| (format!("{prefix}.{part}"), vec![*channels]))
                .collect(),
            Op::Plain { op, weights } => {
                weights.iter().zip(op.tensors()).map(|(name, (_, shape))| (name.clone(), shape)).collect()
            }
            Op::Input { .. } | Op::Relu | Op::Sigmoid | Op::Add | Op::Scale | Op::Shift => Vec::new(),
            Op::MaxPool2d(_) | Op::AvgPool2d(_) | Op::SubsamplePad { .. } | Op::Concat => Vec::new(),
        }
    }

    /// Whether it takes this number of inputs, and names the tensors that it needs.
    #[doc(hidden)]
    pub fn takes(&self, inputs: usize) -> bool {
        match self {
            Op::Input { .. } => inputs == 0,
            Op::Add | Op::Scale | Op::Shift => inputs == 2,
            Op::Concat => inputs > 0,
            Op::Plain { op: Plain::Linear { .. }, weights } => inputs == 1 && (1..=2).contains(&weights.len()),
            Op::Plain { op, weights } => inputs == 1 && weights.len() == op.tensors().len(),
            Op::Conv2d { .. } | Op::BatchNorm { .. } | Op::Relu | Op::Sigmoid => inputs == 1,
            Op::MaxPool2d(_) | Op::AvgPool2d(_) | Op::SubsamplePad { .. } => inputs == 1,
        }
    }

    /// The output shape for inputs of these shapes; `image` is the shape of the network's input.
    pub(super) fn output(&self, inputs: &[Shape], image: Shape) -> Result<Shape, String> {
        let x = inputs.first().copied().unwrap_or(image);
        match self {
            Op::Input { channels } | Op::BatchNorm { channels, .. } => of_channels(x, *channels),
            Op::Conv2d { params, .. } => {
                let Conv2dParams { in_channels, out_channels, stride, padding, dilation, groups, .. } = *params;
                if [in_channels, out_channels].iter().any(|channels| channels.checked_rem(groups) != Some(0)) {
                    return Err(format!("has {groups} groups of {in_channels} and {out_channels} channels"));
                }
                if dilation == 0 {
                    return Err("has a dilation of 0".into());
                }
                let window = PoolParams { kernel: params.span(), stride, padding, ceil: false };
                moved(of_channels(x, params.in_channels)?, &window, params.out_channels)
            }
            Op::MaxPool2d(window) | Op::AvgPool2d(window) if window.padding >= window.kernel.max(1) => Err(format!(
                "pools windows of {} with padding {}, so that some windows hold only padding",
                window.kernel, window.padding
            )),
            Op::MaxPool2d(window) | Op::AvgPool2d(window) => moved(x, window, x.c),
            Op::Relu | Op::Sigmoid => Ok(x),
            Op::Add if x == inputs[1] => Ok(x),
            Op::Add => Err(format!("adds {x} and {}, which differ", inputs[1])),
            Op::Scale | Op::Shift if inputs[1] == Shape::new(x.n, x.c, 1, 1) => Ok(x),
            Op::Scale | Op::Shift => Err(format!("has {} for the channels of {x}", inputs[1])),
            Op::SubsamplePad { stride: 0, .. } => Err("has a stride of 0".into()),
            Op::SubsamplePad { stride, before, after } => {
                Ok(Shape::new(x.n, before + x.c + after, x.h.div_ceil(*stride), x.w.div_ceil(*stride)))
            }
            Op::Concat => match inputs.iter().find(|other| (other.n, other.h, other.w) != (x.n, x.h, x.w)) {
                Some(other) => Err(format!("concatenates {x} and {other}, which differ in more than channels")),
                None => Ok(Shape { c: inputs.iter().map(|x| x.c).sum(), ..x }),
            },
            Op::Plain { op, .. } => op.output(x),
        }
    }

    /// Multiply-accumulates with weights, for an output of this shape: one per output and weight of its row.
    #[doc(hidden)]
    pub fn macs(&self, output: Shape) -> u64 {
        // The weight of `Tokens` is added, not multiplied.
        let multiplies = !matches!(self, Op::Plain { op: Plain::Tokens { .. }, .. });
        let rows = self.tensors().into_iter().filter(|(_, shape)| multiplies && shape.len() > 1);
        output.elements() as u64 * rows.map(|(_, shape)| shape[1..].iter().product::<usize>() as u64).sum::<u64>()
    }
}

impl Plain {
    /// The operator with tensors of the usual names, `<prefix>.weight` and so on.
    pub fn named(self, prefix: &str) -> Op {
        let weights = self.tensors().into_iter().map(|(part, _)| format!("{prefix}.{part}")).collect();
        Op::Plain { op: self, weights }
    }
}

impl From<Plain> for Op {
    /// An operator without tensors.
    fn from(op: Plain) -> Op {
        Op::Plain { op, weights: Vec::new() }
    }
}

/// The output shape, with `channels` channels, of a window that moves over `x`.
fn moved(x: Shape, window: &PoolParams, channels: usize) -> Result<Shape, String> {
    Ok(Shape::new(x.n, channels, windows(x.h, window)?, windows(x.w, window)?))
}

/// The number of positions of a window that moves over `extent` plus padding on both sides.
fn windows(extent: usize, window: &PoolParams) -> Result<usize, String> {
    let &PoolParams { kernel, stride, padding, ceil } = window;
    if kernel == 0 || stride == 0 {
        return Err(format!("has a window of {kernel} and a stride of {stride}"));
    }
    let overhang = if ceil { stride - 1 } else { 0 };
    match (extent + 2 * padding + overhang).checked_sub(kernel) {
        // The last window starts inside the extent or in the padding before it, as in PyTorch.
        Some(room) if ceil && room / stride * stride >= extent + padding => Ok(room / stride),
        Some(room) => Ok(room / stride + 1),
        None => Err(format!("a window of {kernel} does not fit into {extent} with padding {padding}")),
    }
}
