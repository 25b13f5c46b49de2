//! The algorithms of convolution, and the dispatches that each of them takes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Caps, KernelKey, Packing, Precision, ShaderId,
    conv2d::{Conv2d, Conv2dDims, blocks, broadcast_consts, eights},
    cooperative,
    tiled::Tile,
    winograd,
};
use crate::graph::Conv2dParams;

/// A convolution kernel with its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// `conv2d_registers`.
    Registers {
        /// Output pixels of an invocation.
        pixels: u32,
    },
    /// `conv2d_broadcast` for subgroups of exactly this size.
    Broadcast {
        /// Lanes of a subgroup, at least 8.
        lanes: u32,
    },
    /// `conv2d_tiled`.
    Tiled(Tile),
    /// `conv2d_tiled` over slices of the sum, then `conv2d_reduce`.
    Sliced {
        /// What a workgroup yields.
        tile: Tile,
        /// Most slices.
        slices: u32,
    },
    /// `conv2d_cooperative`, in f16.
    Cooperative,
    /// `conv2d_grouped`, for more than one group.
    Grouped,
    /// `conv2d_grouped_rows`, for more than one group.
    GroupedRows,
    /// The three steps of [`super::winograd`], for subgroups of exactly this size.
    Winograd {
        /// Lanes of a subgroup, at least 8.
        lanes: u32,
        /// Rows and columns of outputs of a tile.
        tile: winograd::Tile,
    },
    /// F(4x4, 3x3) without subgroups, with this tile for the products.
    WinogradTiled(Tile),
    /// `block_threads`, for two convolutions at once: see [`super::block`].
    Block,
    /// `block_broadcast`, likewise, for subgroups of exactly this size.
    BlockBroadcast {
        /// Lanes of a subgroup, at least 8.
        lanes: u32,
    },
}

impl Variant {
    /// Every variant that is ever selected on a device like this. Not each serves every convolution: see [`Conv2d::admits`].
    pub fn all(caps: &Caps) -> Vec<Variant> {
        let mut all = vec![Variant::Registers { pixels: 8 }];
        all.extend(Tile::ALL.map(Variant::Tiled));
        all.extend([Variant::Sliced { tile: Tile::P32C32, slices: 3 }, Variant::WinogradTiled(Tile::P64C64)]);
        all.extend([Variant::Grouped, Variant::GroupedRows, Variant::Block]);
        if caps.cooperative {
            all.push(Variant::Cooperative);
        }
        if let Some(lanes) = caps.subgroup.filter(|&lanes| lanes >= 8) {
            all.extend([Variant::Broadcast { lanes }, Variant::BlockBroadcast { lanes }]);
            all.extend(winograd::Tile::ALL.map(|tile| Variant::Winograd { lanes, tile }));
        }
        all
    }

    /// It serves residual blocks, not single convolutions.
    pub fn is_block(self) -> bool {
        matches!(self, Variant::Block | Variant::BlockBroadcast { .. })
    }

    /// It multiplies in Winograd's form, where integers are not exact.
    pub fn is_winograd(self) -> bool {
        matches!(self, Variant::Winograd { .. } | Variant::WinogradTiled(_))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Registers { pixels } => write!(f, "registers, {pixels} pixels"),
            Variant::Broadcast { lanes } => write!(f, "broadcast, {lanes} lanes"),
            Variant::Tiled(tile) => write!(f, "tiled {tile}"),
            Variant::Sliced { tile, slices } => write!(f, "tiled {tile}, {slices} slices"),
            Variant::Cooperative => f.write_str("cooperative matrices"),
            Variant::Grouped => write!(f, "grouped"),
            Variant::GroupedRows => write!(f, "grouped, along rows"),
            Variant::Winograd { lanes, tile } => write!(f, "winograd F({tile}), {lanes} lanes"),
            Variant::WinogradTiled(tile) => write!(f, "winograd F(4,3), tiled {tile}"),
            Variant::Block => f.write_str("residual block"),
            Variant::BlockBroadcast { lanes } => write!(f, "residual block, broadcast, {lanes} lanes"),
        }
    }
}

impl Conv2d {
    /// Whether `variant` computes this convolution.
    pub fn admits(&self, variant: Variant, stored: Precision) -> bool {
        let grouped = blocks(&self.params) > 1;
        let Conv2dParams { kernel, stride, padding, dilation, groups, .. } = self.params;
        match variant {
            Variant::Grouped => grouped,
            Variant::GroupedRows => grouped && (kernel, padding, dilation) == (3, 1, 1) && stride <= 2,
            Variant::Cooperative => !grouped && stored == Precision::F16,
            _ if variant.is_block() => false,
            _ if variant.is_winograd() => {
                let neighbours = (kernel, stride, padding, dilation) == (3, 1, 1, 1);
                groups == 1 && neighbours && !self.prologue && stored == Precision::F32
            }
            _ => !grouped,
        }
    }

    /// The dispatches of a `variant` that serves it (see [`Conv2d::admits`]), in order; none for a variant that serves blocks.
    pub fn dispatches(&self, variant: Variant, stored: Precision, output: Precision) -> Vec<Dispatch> {
        let mut overrides = self.overrides();
        let dims = self.dims();
        let (shader, consts, pixels, vectors) = match variant {
            Variant::Registers { pixels } => (ShaderId::Conv2dRegisters, vec![("PIXELS", pixels)], 8 * pixels, 8),
            Variant::Broadcast { lanes } => {
                overrides.push(("LANES", lanes));
                let groups = eights(self.pixels());
                let consts = broadcast_consts(groups, self.params.in_channels, self.params.out_channels);
                let key = KernelKey { shader: ShaderId::Conv2dBroadcast, stored, output, consts, overrides };
                // Devices take 65535 workgroups along an axis.
                let workgroups = dims.pixels.div_ceil(8 * groups);
                let rows = workgroups.div_ceil(1 << 15);
                let grid = [workgroups.div_ceil(rows), dims.oc4.div_ceil(lanes), rows];
                return vec![Dispatch { key, dims, grid, operands: Role::whole(Packing::Strips), macs: self.macs() }];
            }
            Variant::Grouped => {
                let divides = |vectors: &u32| dims.group_oc4.is_multiple_of(*vectors);
                let vectors = [8, 4, 2].into_iter().find(divides).unwrap_or(1);
                (ShaderId::Conv2dGrouped, vec![("VECTORS", vectors)], 8, 8 * vectors)
            }
            Variant::GroupedRows => {
                let outputs = if dims.stride == 1 && dims.ow > 7 { 14 } else { 7 };
                overrides.push(("STRIDE", dims.stride));
                let consts = vec![("PIXELS", outputs)];
                let key = KernelKey { shader: ShaderId::Conv2dGroupedRows, stored, output, consts, overrides };
                let grid = [dims.ow.div_ceil(outputs), dims.oc4.div_ceil(8), dims.pixels / dims.ow];
                return vec![Dispatch { key, dims, grid, operands: Role::WHOLE, macs: self.macs() }];
            }
            Variant::Cooperative => return vec![cooperative::dispatch(self, output)],
            Variant::Tiled(tile) => return vec![tile.whole(self, stored, output)],
            Variant::Sliced { tile, slices } => return tile.sliced(slices, self, stored, output).into(),
            Variant::Winograd { lanes, tile } => return winograd::dispatches(self, lanes, tile).into(),
            Variant::WinogradTiled(tile) => return winograd::tiled(self, tile).into(),
            Variant::Block | Variant::BlockBroadcast { .. } => return Vec::new(),
        };
        let key = KernelKey { shader, stored, output, consts, overrides };
        let grid = [dims.pixels.div_ceil(pixels), dims.oc4.div_ceil(vectors), 1];
        vec![Dispatch { key, dims, grid, operands: Role::WHOLE, macs: self.macs() }]
    }

    /// Elements, all f32, of each array that the dispatches of `variant` exchange.
    pub fn scratch(&self, variant: Variant) -> Vec<usize> {
        match variant {
            Variant::Sliced { tile, slices } => vec![tile.scratch(slices, self)],
            Variant::Winograd { tile, .. } => winograd::scratch(self, tile).into(),
            Variant::WinogradTiled(_) => winograd::scratch(self, winograd::Tile::Four).into(),
            _ => Vec::new(),
        }
    }
}

/// One dispatch of a convolution.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The kernel.
    pub key: KernelKey,
    /// Its uniform block.
    pub dims: Conv2dDims,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// What bindings 1 to 6 are.
    pub operands: [Role; 6],
    /// Multiply-accumulates.
    pub macs: u64,
}

/// What a binding of a convolution kernel is in the convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the bindings of shaders/lib/conv2d.wgsl")]
pub enum Role {
    X,
    Weights(Packing),
    /// Weights in the form of [`super::winograd`].
    WinogradWeights(winograd::Tile, Packing),
    Bias,
    /// Weights of both convolutions of a block.
    BlockWeights,
    /// Biases of both convolutions of a block.
    BlockBias,
    Residual,
    Affine,
    Y,
    /// One of the arrays of [`Conv2d::scratch`].
    Scratch(usize),
    Unused,
}

impl Role {
    /// A convolution in one dispatch.
    pub(super) const WHOLE: [Role; 6] = Role::whole(Packing::Rows);
    /// Winograd's input transform.
    pub(super) const WINDOWS: [Role; 6] =
        [Role::X, Role::Unused, Role::Unused, Role::Unused, Role::Unused, Role::Scratch(0)];
    /// Winograd's output transform.
    pub(super) const OUTPUTS: [Role; 6] =
        [Role::Scratch(1), Role::Unused, Role::Bias, Role::Residual, Role::Unused, Role::Y];

    /// A convolution in one dispatch, with its weights in this packing.
    const fn whole(packing: Packing) -> [Role; 6] {
        [Role::X, Role::Weights(packing), Role::Bias, Role::Residual, Role::Affine, Role::Y]
    }

    /// Winograd's matrix products.
    pub(super) fn products(tile: winograd::Tile, packing: Packing) -> [Role; 6] {
        let unused = Role::Unused;
        [Role::Scratch(0), Role::WinogradWeights(tile, packing), unused, unused, unused, Role::Scratch(1)]
    }
}
