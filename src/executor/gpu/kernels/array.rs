//! Packed arrays of weights: their layout and length. `plan::packing` fills them.

use super::{fours, winograd_tile::Tile};
use crate::{graph::Conv2dParams, tensor::StorageType};

/// A packed array of weights, as kernels read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Array {
    /// A matrix of `[kh][kw][cin / groups]` rows and `cout` columns, in the storage precision; `groups` comes from
    /// [`kernel_groups`].
    Weights(Packing),
    /// `[points]` matrices of `cin` rows and `cout` columns: 3x3 kernels transformed for [`super::winograd`], f32.
    Winograd(Tile, Packing),
    /// One f32 per output channel.
    Bias,
    /// One f32 per channel: parameters of the activation in a norm.
    Parameters,
    /// Scales, then shifts, of a batch norm that is not folded into weights; f32.
    Affine,
}

impl Array {
    /// The type in which the array is stored, if activations and weights are `stored`.
    pub fn stored(self, stored: StorageType) -> StorageType {
        match self {
            Array::Weights(_) => stored,
            Array::Winograd(..) | Array::Bias | Array::Parameters | Array::Affine => StorageType::F32,
        }
    }

    /// Number of elements for a convolution with these extents; a linear layer has the extents of [`Conv2dParams::pointwise`].
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
            Array::Bias | Array::Parameters => padded(params.out_channels),
            Array::Affine => 2 * padded(params.in_channels),
        }
    }
}

/// The layout of a matrix of packed weights. It has a row for each input of a sum and a column for each output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    /// Row by row.
    Rows,
    /// In strips of up to 32 columns; within a strip row by row. A workgroup of the broadcast kernels then reads one stretch of memory;
    /// from whole rows it would read a cache line or two of each page.
    Strips,
}

impl Packing {
    /// Columns of a strip for `channels` output channels; all columns if the packing has no strips.
    pub fn width(self, channels: usize) -> usize {
        match self {
            Packing::Rows => 4 * fours(channels),
            Packing::Strips => (4 * fours(channels)).min(32),
        }
    }

    /// Number of columns, padding of the last strip included.
    pub fn columns(self, channels: usize) -> usize {
        channels.next_multiple_of(self.width(channels))
    }
}

/// Number of groups that kernels see. Merges as few groups as needed, with zero weights between them, to make the channels of
/// each a multiple of four. Returns 1 for a dense convolution, and if nothing less than merging all groups helps.
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
