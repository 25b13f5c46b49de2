//! Winograd's minimal filtering for 3x3 convolutions of stride 1 in f32, in three dispatches with two arrays between them (Lavin and
//! Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4): F(4x4, 3x3) with a quarter of the multiplications, F(2x2,
//! 3x3) with 4/9 of them for outputs that tiles of 4x4 would overlap too far.
//!
//! The points of F(4x4, 3x3) are 0, +-sqrt(1/2), +-sqrt(2) and infinity, which keep the rounding error near that of the direct sum; those
//! of F(2x2, 3x3) are the usual 0, +-1 and infinity.

use std::{array, fmt};

use serde::{Deserialize, Serialize};

use super::{
    Activation, KernelKey, Packing, Precision, Shader, ShaderId, View,
    conv2d::{
        BINDINGS, Conv2d, Conv2dDims, Dispatch, Residual, Role, SHARED, SHARED_BROADCAST, broadcast_consts, eights,
    },
    fours, tiled,
};
use crate::{graph::Conv2dParams, tensor::Shape};

macro_rules! transform_shader {
    ($name:literal $(, after $lib:literal)?) => {
        Shader {
            name: $name,
            parts: &[
                SHARED,
                $(include_str!(concat!("../../shaders/lib/", $lib, ".wgsl")),)?
                include_str!(concat!("../../shaders/", $name, ".wgsl")),
            ],
            bindings: BINDINGS,
        }
    };
}

/// `shaders/conv2d_winograd2_input.wgsl`: 4x4 windows of the input to their 16 numbers.
pub const INPUT2: Shader = transform_shader!("conv2d_winograd2_input");
/// `shaders/conv2d_winograd4_input.wgsl`: 6x6 windows of the input to their 36 numbers.
pub const INPUT4: Shader = transform_shader!("conv2d_winograd4_input");
/// `shaders/conv2d_winograd_tiled_input.wgsl`: as [`INPUT4`], an invocation a window and vector.
pub const TILED_INPUT: Shader = transform_shader!("conv2d_winograd_tiled_input");
/// `shaders/conv2d_winograd_output.wgsl`: 16 numbers to the 2x2 outputs, with the epilogue.
pub const OUTPUT2: Shader = transform_shader!("conv2d_winograd_output", after "winograd2");
/// The same file: 36 numbers to the 4x4 outputs.
pub const OUTPUT4: Shader = transform_shader!("conv2d_winograd_output", after "winograd4");

/// `shaders/conv2d_winograd_gemm.wgsl`: a matrix product for each number of a tile.
pub const GEMM: Shader = Shader {
    name: "conv2d_winograd_gemm",
    parts: &[SHARED, SHARED_BROADCAST, include_str!("../../shaders/conv2d_winograd_gemm.wgsl")],
    bindings: BINDINGS,
};

/// Rows and columns of outputs that a tile yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tile {
    /// F(2x2, 3x3): 16 numbers a tile.
    Two,
    /// F(4x4, 3x3): 36 numbers a tile.
    Four,
}

impl Tile {
    /// Both of them.
    pub const ALL: [Tile; 2] = [Tile::Two, Tile::Four];

    /// Rows and columns of outputs.
    pub const fn outputs(self) -> usize {
        match self {
            Tile::Two => 2,
            Tile::Four => 4,
        }
    }

    /// Numbers of a tile, and of a kernel.
    pub const fn points(self) -> usize {
        (self.outputs() + 2) * (self.outputs() + 2)
    }

    /// `G`.
    const fn rows(self) -> &'static [[f64; 3]] {
        const S: f64 = std::f64::consts::SQRT_2;
        match self {
            Tile::Two => &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
            Tile::Four => &[
                [1.0, 0.0, 0.0],
                [-2.0 / 3.0, -S / 3.0, -1.0 / 3.0],
                [-2.0 / 3.0, S / 3.0, -1.0 / 3.0],
                [1.0 / 6.0, S / 6.0, 1.0 / 3.0],
                [1.0 / 6.0, -S / 6.0, 1.0 / 3.0],
                [0.0, 0.0, 1.0],
            ],
        }
    }

    /// `G g G'` of `N` 3x3 kernels `g` (row-major) side by side, row-major, [`Tile::points`] times `N` numbers.
    pub fn transform<const N: usize>(self, g: [[f64; N]; 9]) -> impl Iterator<Item = [f64; N]> {
        let dot = |row: [f64; 3], v: [[f64; N]; 3]| {
            array::from_fn(|n| row[0] * v[0][n] + row[1] * v[1][n] + row[2] * v[2][n])
        };
        self.rows().iter().flat_map(move |row| {
            let half = [0, 1, 2].map(|j| dot(*row, [g[j], g[3 + j], g[6 + j]]));
            self.rows().iter().map(move |other| dot(*other, half))
        })
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},3", self.outputs())
    }
}

/// Input vectors that a workgroup of [`INPUT2`] and [`INPUT4`] takes one after the other (fixed in the shaders).
const CHANNELS: u32 = 16;

/// The uniform block of all three steps.
pub fn dims(conv: &Conv2d, tile: Tile) -> Conv2dDims {
    let across = |extent: usize| extent.div_ceil(tile.outputs()) as u32;
    let (tiles_h, tiles_w) = (across(conv.y.shape.h), across(conv.y.shape.w));
    Conv2dDims { tiles_w, tiles_h, tiles: conv.y.shape.n as u32 * tiles_h * tiles_w, ..conv.dims() }
}

/// Elements of the weights in Winograd's form, `[points][cin][cout]`, both channel axes padded.
pub fn weights(params: &Conv2dParams, tile: Tile, packing: Packing) -> usize {
    tile.points() * 4 * fours(params.in_channels) * packing.columns(params.out_channels)
}

/// Elements of the two arrays between the steps, `[points][tiles][c4]` and `[points][tiles][oc4]` vectors of four.
pub fn scratch(conv: &Conv2d, tile: Tile) -> [usize; 2] {
    let dims = dims(conv, tile);
    [dims.c4, dims.oc4].map(|vectors| tile.points() * 4 * dims.tiles as usize * vectors as usize)
}

/// The three dispatches on subgroups of `lanes` lanes: input transform, matrix products, output transform.
pub(super) fn dispatches(conv: &Conv2d, lanes: u32, tile: Tile) -> [Dispatch; 3] {
    let dims = dims(conv, tile);
    let (input, output) = match tile {
        Tile::Two => (ShaderId::Conv2dWinograd2Input, ShaderId::Conv2dWinograd2Output),
        Tile::Four => (ShaderId::Conv2dWinograd4Input, ShaderId::Conv2dWinograd4Output),
    };
    let lanes_only = vec![("LANES", lanes)];
    let groups = eights(dims.tiles as usize);
    let consts = broadcast_consts(groups, conv.params.in_channels, conv.params.out_channels);
    let step = |shader, consts, overrides, grid, operands| {
        let key = KernelKey { shader, stored: Precision::F32, output: Precision::F32, consts, overrides };
        Dispatch { key, dims, grid, operands, macs: 0 }
    };
    let windows = [dims.tiles, dims.c4.div_ceil(CHANNELS), 1];
    let grid = [dims.tiles.div_ceil(8 * groups), dims.oc4.div_ceil(lanes), tile.points() as u32];
    let roles = Role::products(tile, Packing::Strips);
    let products = step(ShaderId::Conv2dWinogradGemm, consts, lanes_only.clone(), grid, roles);
    let macs = (tile.points() * conv.params.in_channels * conv.params.out_channels) as u64 * u64::from(dims.tiles);
    [
        step(input, Vec::new(), lanes_only, windows, Role::WINDOWS),
        Dispatch { macs, ..products },
        step(output, Vec::new(), vec![conv.subsampled()], per_invocation(dims.tiles * dims.oc4), Role::OUTPUTS),
    ]
}

/// The grid of a transform that takes an invocation for each tile and vector.
fn per_invocation(count: u32) -> [u32; 3] {
    let groups = count.div_ceil(64);
    [groups.min(32768), groups.div_ceil(32768), 1]
}

/// The three dispatches without subgroups, F(4x4, 3x3): the products are those of a tiled 1x1 convolution over tiles.
pub(super) fn tiled(conv: &Conv2d, tile: tiled::Tile) -> [Dispatch; 3] {
    let dims = dims(conv, Tile::Four);
    let step = |shader, overrides, vectors: u32, operands| {
        let (stored, output) = (Precision::F32, Precision::F32);
        let key = KernelKey { shader, stored, output, consts: Vec::new(), overrides };
        Dispatch { key, dims, grid: per_invocation(dims.tiles * vectors), operands, macs: 0 }
    };
    [
        step(ShaderId::Conv2dWinogradTiledInput, Vec::new(), dims.c4, Role::WINDOWS),
        tile.matrices(Tile::Four, &product(conv)),
        step(ShaderId::Conv2dWinograd4Output, vec![conv.subsampled()], dims.oc4, Role::OUTPUTS),
    ]
}

/// One of the matrix products of F(4x4, 3x3), as a convolution: tiles are its pixels.
pub fn product(conv: &Conv2d) -> Conv2d {
    let row = |channels| View::whole(Shape::new(1, channels, 1, dims(conv, Tile::Four).tiles as usize));
    Conv2d {
        params: Conv2dParams { kernel: 1, padding: 0, ..conv.params },
        x: row(conv.params.in_channels),
        y: row(conv.params.out_channels),
        prologue: false,
        residual: Residual::None,
        activation: Activation::None,
    }
}
