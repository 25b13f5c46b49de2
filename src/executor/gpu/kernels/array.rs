//! Packed arrays of weights: their layout and length. `plan::packing` fills them.

use super::{fours, winograd_tile::Tile};
use crate::{graph::Conv2dParams, tensor::StorageType};

/// An array of weights in the form in which kernels read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Array {
    /// A matrix of `[kh][kw][cin / groups]` rows and `cout` columns, in the storage precision. The groups are those of [`kernel_groups`].
    Weights(Packing),
    /// `[points]` matrices of `cin` rows and `cout` columns: 3x3 kernels in the form of [`super::winograd`], f32.
    Winograd(Tile, Packing),
    /// One f32 an output channel.
    Bias,
    /// Scales, then shifts, of a batch norm that is not folded into weights, f32.
    Affine,
}

impl Array {
    /// The type in which it is stored where activations and weights are `stored`.
    pub fn stored(self, stored: StorageType) -> StorageType {
        match self {
            Array::Weights(_) => stored,
            Array::Winograd(..) | Array::Bias | Array::Affine => StorageType::F32,
        }
    }

    /// Elements of it for a convolution with these extents; a linear layer's are those of [`Conv2dParams::pointwise`].
    pub fn elements(self, params: &Conv2dParams) -> usize {
        let padded = |channels: usize| 4 * fours(channels);
        match self {
            Array::Weights(packing) => {
                let inputs = padded(params.in_channels / kernel_groups(params));
                params.kernel * params.kernel * inputs * packing.columns(params.out_channels)
            }
            Array::Winograd(tile, packing) => {
                tile.points() * padded(params.in_channels) * packing.columns(params.out_channels)
            }
            Array::Bias => padded(params.out_channels),
            Array::Affine => 2 * padded(params.in_channels),
        }
    }
}

/// How a matrix of packed weights lies in memory, a row for each input of a sum, a column for each output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    /// Row by row.
    Rows,
    /// In strips of up to 32 columns, each row by row: what a workgroup of the broadcast kernels reads is one stretch of memory, where rows
    /// would be a cache line or two out of each page.
    Strips,
}

impl Packing {
    /// Columns of a strip (of all rows, where there are none) for `channels` output channels.
    pub fn width(self, channels: usize) -> usize {
        match self {
            Packing::Rows => 4 * fours(channels),
            Packing::Strips => (4 * fours(channels)).min(32),
        }
    }

    /// Columns with those that pad the last strip.
    pub fn columns(self, channels: usize) -> usize {
        channels.next_multiple_of(self.width(channels))
    }
}

/// The groups that kernels see: as few groups as needed are taken together, with zero weights between them, so that the channels of each
/// are multiples of four. One for a dense convolution, and where no smaller number serves.
pub fn kernel_groups(params: &Conv2dParams) -> usize {
    let Conv2dParams { in_channels, out_channels, groups, .. } = *params;
    let whole = |merged: usize| {
        let count = groups / merged;
        groups.is_multiple_of(merged)
            && (in_channels / count).is_multiple_of(4)
            && (out_channels / count).is_multiple_of(4)
    };
    (1..groups).find(|&merged| whole(merged)).map_or(1, |merged| groups / merged)
}
