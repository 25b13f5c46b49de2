//! Plain operators: each takes one value, and is never fused with another. So each is a layer of its own, and has kernels of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Activation;
use crate::tensor::Shape;

/// An operator of one input as its extents, without the names of its tensors.
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
    /// A function of each element. ReLU and the sigmoid are operators of their own, as others take them in: see [`Op::activation`](super::Op::activation).
    Activation(Activation),
    /// Fully connected layer on `[N, in, 1, 1]`, weight `[out, in]`, bias `[out]`.
    Linear {
        /// Columns of the weight.
        in_features: usize,
        /// Rows of the weight.
        out_features: usize,
    },
    /// A gate for each channel, `[N, C, 1, 1]` to the same: the sigmoid of a convolution along the channels, which has zeros around
    /// them and no bias, weight `[1, 1, kernel]` (Wang et al. 2020, "ECA-Net: Efficient Channel Attention", section 3.2).
    ChannelGate {
        /// Channels that a gate depends on, an odd number.
        kernel: usize,
    },
}

impl Plain {
    /// The operator's name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Plain::GlobalAvgPool => "global_avg_pool",
            Plain::GlobalMaxPool => "global_max_pool",
            Plain::GlobalAvgMaxPool => "global_avg_max_pool",
            Plain::Activation(activation) => activation.name(),
            Plain::Linear { .. } => "linear",
            Plain::ChannelGate { .. } => "channel_gate",
        }
    }

    /// Usual names and shapes of its tensors: a weight, whose first extent counts its rows, then a bias, as far as it has them.
    pub fn tensors(self) -> Vec<(&'static str, Vec<usize>)> {
        match self {
            Plain::Linear { in_features, out_features } => {
                vec![("weight", vec![out_features, in_features]), ("bias", vec![out_features])]
            }
            Plain::ChannelGate { kernel } => vec![("weight", vec![1, 1, kernel])],
            Plain::GlobalAvgPool | Plain::GlobalMaxPool | Plain::GlobalAvgMaxPool | Plain::Activation(_) => Vec::new(),
        }
    }

    /// The shape of its value for an input of shape `x`.
    pub(super) fn output(self, x: Shape) -> Result<Shape, String> {
        match self {
            Plain::GlobalAvgPool | Plain::GlobalMaxPool | Plain::GlobalAvgMaxPool => Ok(Shape { h: 1, w: 1, ..x }),
            Plain::Activation(_) => Ok(x),
            Plain::Linear { in_features, out_features } => {
                of_channels(x, in_features).and_then(one_pixel).map(|x| Shape { c: out_features, ..x })
            }
            Plain::ChannelGate { kernel } if kernel % 2 == 0 => Err(format!("a kernel of {kernel} has no middle")),
            Plain::ChannelGate { .. } => one_pixel(x),
        }
    }
}

/// `x`, if it has so many channels.
pub(super) fn of_channels(x: Shape, expected: usize) -> Result<Shape, String> {
    if x.c == expected { Ok(x) } else { Err(format!("takes {expected} channels, got {x} (NCHW)")) }
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
            Plain::ChannelGate { kernel } => write!(f, "gate of {kernel} channels + sigmoid"),
        }
    }
}
