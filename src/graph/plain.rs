//! Plain operators: each takes one value and is never fused with another, so each is a layer with its own kernels.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Activation;
use crate::tensor::Shape;

/// A plain operator with its parameters, but without the names of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Plain {
    /// Mean over all pixels: `[N, C, H, W]` to `[N, C, 1, 1]`.
    GlobalAvgPool,
    /// Maximum over all pixels: `[N, C, H, W]` to `[N, C, 1, 1]`.
    GlobalMaxPool,
    /// The mean of [`Plain::GlobalAvgPool`] and [`Plain::GlobalMaxPool`] (timm's `avgmax`).
    GlobalAvgMaxPool,
    /// An elementwise function. ReLU and the sigmoid are also variants of [`Op`](super::Op), because other operators are fused with them:
    /// see [`Op::activation`](super::Op::activation).
    Activation(Activation),
    /// Fully connected layer on `[N, in, 1, 1]`, weight `[out, in]`, bias `[out]`.
    Linear {
        /// Columns of the weight.
        in_features: usize,
        /// Rows of the weight.
        out_features: usize,
    },
    /// A gate for each channel, `[N, C, 1, 1]` to the same shape: a convolution along the channels, zero-padded and without bias, then a
    /// sigmoid; weight `[1, 1, kernel]` (Wang et al. 2020, "ECA-Net: Efficient Channel Attention", section 3.2).
    ChannelGate {
        /// Number of channels that a gate depends on, odd.
        kernel: usize,
    },
    /// `(x - mean) / sqrt(var + eps) * weight + bias` with mean and variance over all pixels of the channels of a group, weight and bias
    /// `[channels]` (Wu and He 2018, "Group Normalization", equations 1, 2 and 7).
    GroupNorm {
        /// Channels of the input.
        channels: usize,
        /// Number of groups, all of the same size.
        groups: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// `x * sigmoid(v * x) / sqrt(var + eps) * weight + bias` with the variance over all pixels of the channels of a group; weight, bias
    /// and `v` are `[channels]` (Liu et al. 2020, "Evolving Normalization-Activation Layers", table 2: EvoNorm-S0).
    EvoNorm {
        /// Channels of the input.
        channels: usize,
        /// Number of groups, all of the same size.
        groups: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// `max(x / sqrt(mean(x^2) + eps) * weight + bias, tau)` with the mean over all pixels of a channel; weight, bias and `tau` are
    /// `[channels]` (Singh and Krishnan 2019, "Filter Response Normalization Layer: Eliminating Batch Dependence in the Training of Deep
    /// Neural Networks", equations 1, 2 and 4).
    FilterResponseNorm {
        /// Channels of the input.
        channels: usize,
        /// Added to the mean of the squares.
        eps: f32,
    },
    /// A range of the channels.
    Slice {
        /// First channel.
        from: usize,
        /// Number of channels.
        channels: usize,
    },
    /// Rows and columns of zeros around the input.
    Pad(Padding),
    /// Repeats each pixel in rows and columns (`torch.nn.Upsample` with `mode="nearest"`).
    Upsample {
        /// Rows and columns of the output for each pixel.
        factor: usize,
    },
    /// Softmax over `groups` of the input `[N, C, 1, 1]`, read as `[N, outer, groups, C / (outer * groups)]`; the groups come first in the
    /// output (Zhang et al. 2020, "ResNeSt: Split-Attention Networks", equation 2).
    Softmax {
        /// Number of blocks of channels, each with all groups.
        outer: usize,
        /// Number of values in each softmax.
        groups: usize,
    },
    /// Attention over all pixels, `[N, keys + C, H, W]` to `[N, C, 1, 1]`, for one query that is already multiplied into the keys. In each
    /// head, a pixel's weight is the softmax over all pixels of `scale` times the sum of the head's keys; the output is the weighted sum of
    /// the channels after the keys (Vaswani et al. 2017, "Attention Is All You Need", equation 1).
    Attend {
        /// Number of heads, which divide the keys and the other channels evenly.
        heads: usize,
        /// Number of key channels, which come first.
        keys: usize,
        /// Factor of the sums of keys.
        scale: f32,
    },
    /// `[N, C, H, W]` to `[N, C, 1, 1 + H W]`: the mean of all pixels, then the pixels row by row, each with its position embedding added
    /// (Radford et al. 2021, section 2.4: attention pooling). The weight `[1 + side side, C]` holds the embedding of the mean, then those
    /// of the pixels of a map of `side` rows and columns. For maps of another size, the pixels' embeddings are resampled with Keys' cubic
    /// with parameter -1/2, widened if the map is smaller (`torch.nn.functional.interpolate` with `mode="bicubic"` and `antialias=True`).
    Tokens {
        /// Number of channels.
        channels: usize,
        /// Rows and columns of the map that the weight is for.
        side: usize,
    },
}

/// The sides that get rows and columns of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Padding {
    /// This many on each side.
    Sides(usize),
    /// As many as give a window of this kernel and stride `ceil(extent / stride)` positions; an odd one goes at the end (TensorFlow's
    /// `SAME`).
    Same {
        /// Rows and columns of the window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
    },
}

impl Padding {
    /// Zeros before and after `extent`.
    pub(crate) fn of(self, extent: usize) -> [usize; 2] {
        match self {
            Padding::Sides(side) => [side; 2],
            Padding::Same { kernel, stride } => {
                let covered =
                    (extent.div_ceil(stride.max(1)).saturating_sub(1)).saturating_mul(stride).saturating_add(kernel);
                let zeros = covered.saturating_sub(extent);
                [zeros / 2, zeros - zeros / 2]
            }
        }
    }
}

impl Plain {
    /// The operator's name in listings.
    #[doc(hidden)]
    pub fn name(self) -> &'static str {
        match self {
            Plain::GlobalAvgPool => "global_avg_pool",
            Plain::GlobalMaxPool => "global_max_pool",
            Plain::GlobalAvgMaxPool => "global_avg_max_pool",
            Plain::Activation(activation) => activation.name(),
            Plain::Linear { .. } => "linear",
            Plain::ChannelGate { .. } => "channel_gate",
            Plain::GroupNorm { .. } => "group_norm",
            Plain::EvoNorm { .. } => "evo_norm",
            Plain::FilterResponseNorm { .. } => "filter_response_norm",
            Plain::Slice { .. } => "slice",
            Plain::Pad(_) => "pad",
            Plain::Upsample { .. } => "upsample",
            Plain::Softmax { .. } => "softmax",
            Plain::Attend { .. } => "attend",
            Plain::Tokens { .. } => "tokens",
        }
    }

    /// The usual names and shapes of its tensors, if it has any: a weight, whose first dimension is its number of rows, then a bias, then
    /// the parameters of an activation.
    #[doc(hidden)]
    pub fn tensors(self) -> Vec<(&'static str, Vec<usize>)> {
        match self {
            Plain::Linear { in_features, out_features } => {
                vec![("weight", vec![out_features, in_features]), ("bias", vec![out_features])]
            }
            Plain::ChannelGate { kernel } => vec![("weight", vec![1, 1, kernel])],
            Plain::GroupNorm { channels, .. } => of_each(channels, &["weight", "bias"]),
            Plain::EvoNorm { channels, .. } => of_each(channels, &["weight", "bias", "v"]),
            Plain::FilterResponseNorm { channels, .. } => of_each(channels, &["weight", "bias", "tau"]),
            Plain::GlobalAvgPool | Plain::GlobalMaxPool | Plain::GlobalAvgMaxPool | Plain::Activation(_) => Vec::new(),
            Plain::Tokens { channels, side } => {
                vec![("weight", vec![side.saturating_mul(side).saturating_add(1), channels])]
            }
            Plain::Slice { .. } | Plain::Pad(_) | Plain::Upsample { .. } | Plain::Softmax { .. } => Vec::new(),
            Plain::Attend { .. } => Vec::new(),
        }
    }

    /// The output shape for an input of shape `x`.
    pub(super) fn output(self, x: Shape) -> Result<Shape, String> {
        match self {
            Plain::GlobalAvgPool | Plain::GlobalMaxPool | Plain::GlobalAvgMaxPool => Ok(Shape { h: 1, w: 1, ..x }),
            Plain::Activation(_) => Ok(x),
            Plain::Linear { in_features, out_features } => {
                of_channels(x, in_features).and_then(one_pixel).map(|x| Shape { c: out_features, ..x })
            }
            Plain::ChannelGate { kernel } if kernel % 2 == 0 => {
                Err(format!("has a kernel of {kernel}, which is not odd"))
            }
            Plain::ChannelGate { .. } => one_pixel(x),
            Plain::GroupNorm { channels, groups, .. } | Plain::EvoNorm { channels, groups, .. } => {
                match channels.checked_rem(groups) {
                    Some(0) => of_channels(x, channels),
                    _ => Err(format!("has {groups} groups of {channels} channels")),
                }
            }
            Plain::FilterResponseNorm { channels, .. } => of_channels(x, channels),
            Plain::Slice { from, channels } => match from.checked_add(channels) {
                Some(end) if end <= x.c => Ok(Shape { c: channels, ..x }),
                _ => Err(format!("takes {channels} channels of {x}, starting at channel {from}")),
            },
            Plain::Pad(Padding::Same { stride: 0, .. }) | Plain::Upsample { factor: 0 } => {
                Err("has a stride or factor of 0".into())
            }
            Plain::Pad(padding) => {
                let padded =
                    |extent: usize| padding.of(extent).iter().fold(extent, |all, zeros| all.saturating_add(*zeros));
                Ok(Shape { h: padded(x.h), w: padded(x.w), ..x })
            }
            Plain::Upsample { factor } => {
                Ok(Shape { h: x.h.saturating_mul(factor), w: x.w.saturating_mul(factor), ..x })
            }
            Plain::Softmax { outer, groups } => match x.c.checked_rem(outer.saturating_mul(groups)) {
                Some(0) => one_pixel(x),
                _ => Err(format!("has {outer} times {groups} groups of {} channels", x.c)),
            },
            Plain::Attend { heads, keys, .. } => {
                let values = x.c.saturating_sub(keys);
                let whole = |channels: usize| channels > 0 && channels.checked_rem(heads) == Some(0);
                if whole(keys) && whole(values) {
                    Ok(Shape { c: values, h: 1, w: 1, ..x })
                } else {
                    Err(format!("has {heads} heads of {keys} keys and {values} values"))
                }
            }
            Plain::Tokens { side: 0, .. } => Err("has no positions".into()),
            Plain::Tokens { channels, .. } => {
                of_channels(x, channels).map(|x| Shape { h: 1, w: x.pixels().saturating_add(1), ..x })
            }
        }
    }
}

/// `x`, if it has `expected` channels.
pub(super) fn of_channels(x: Shape, expected: usize) -> Result<Shape, String> {
    if x.c == expected { Ok(x) } else { Err(format!("takes {expected} channels, got {x} (NCHW)")) }
}

/// Tensors with one number for each channel.
fn of_each(channels: usize, names: &[&'static str]) -> Vec<(&'static str, Vec<usize>)> {
    names.iter().map(|name| (*name, vec![channels])).collect()
}

fn one_pixel(x: Shape) -> Result<Shape, String> {
    if x.pixels() == 1 { Ok(x) } else { Err(format!("takes one pixel, got {x}")) }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plain::GlobalAvgPool => f.write_str("mean over all pixels"),
            Plain::GlobalMaxPool => f.write_str("maximum over all pixels"),
            Plain::GlobalAvgMaxPool => f.write_str("mean of mean and maximum over all pixels"),
            Plain::Activation(activation) => activation.fmt(f),
            Plain::Linear { in_features, out_features } => write!(f, "linear {in_features} -> {out_features}"),
            Plain::ChannelGate { kernel } => write!(f, "convolution over {kernel} channels + sigmoid"),
            Plain::GroupNorm { channels, groups, .. } => write!(f, "group norm {channels} in {groups}"),
            Plain::EvoNorm { channels, groups, .. } => write!(f, "EvoNorm-S0 {channels} in {groups}"),
            Plain::FilterResponseNorm { channels, .. } => write!(f, "filter response norm {channels}"),
            Plain::Slice { from, channels } => write!(f, "channels {from} to {}", from + channels),
            Plain::Pad(Padding::Sides(side)) => write!(f, "{side} zeros on each side"),
            Plain::Pad(Padding::Same { kernel, stride }) => write!(f, "zeros for windows of {kernel} by {stride}"),
            Plain::Upsample { factor } => write!(f, "upsampling by {factor}"),
            Plain::Softmax { groups, .. } => write!(f, "softmax over {groups}"),
            Plain::Attend { heads, .. } => write!(f, "attention of {heads} heads over all pixels"),
            Plain::Tokens { side, .. } => write!(f, "mean and {side}x{side} pixels as tokens"),
        }
    }
}
