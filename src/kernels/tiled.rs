//! The tiled matrix-product kernel, whole, over slices of the sum, and over the matrices of Winograd's convolution: `conv2d_tiled`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    KernelKey, Packing, Precision, Shader, ShaderId,
    conv2d::{BINDINGS, Conv2d, Dispatch, Role, SHARED},
    winograd,
};

pub(super) const SHARED_GEMM: &str = include_str!("../../shaders/lib/gemm.wgsl");

/// `shaders/conv2d_tiled.wgsl`: implicit GEMM over tiles in workgroup memory.
pub const TILED: Shader = Shader {
    name: "conv2d_tiled",
    parts: &[SHARED, SHARED_GEMM, include_str!("../../shaders/conv2d_tiled.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_reduce.wgsl`: adds up slices of a sum.
pub const REDUCE: Shader = Shader {
    name: "conv2d_reduce",
    parts: &[SHARED, include_str!("../../shaders/conv2d_reduce.wgsl")],
    bindings: BINDINGS,
};

/// What a workgroup yields, and how its threads share it out; see `shaders/conv2d_tiled.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tile {
    /// Output pixels.
    pub pixels: u32,
    /// Output channels.
    pub channels: u32,
    /// Pixels and vectors of four channels of a thread.
    thread: [u32; 2],
    /// Input vectors in workgroup memory at a time.
    depth: u32,
    /// Blocks of threads that share out the sum.
    split: u32,
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.pixels, self.channels)
    }
}

impl Tile {
    /// Eight pixels and eight channels a thread: 16 loads from workgroup memory for 256 multiply-adds.
    pub const P128C128: Tile = Tile { pixels: 128, channels: 128, thread: [8, 2], depth: 4, split: 1 };
    /// The same for 64 channels.
    pub const P128C64: Tile = Tile { channels: 64, ..Tile::P128C128 };
    /// For 32 channels, as DenseNets grow by.
    pub const P128C32: Tile = Tile { channels: 32, thread: [8, 1], ..Tile::P128C128 };
    /// Half of the threads' work, for more workgroups.
    pub const P64C64: Tile = Tile { pixels: 64, channels: 64, thread: [8, 1], ..Tile::P128C128 };
    /// The smallest, with four times the threads that its outputs need: each takes a quarter of the sum.
    pub const P32C32: Tile = Tile { pixels: 32, channels: 32, thread: [4, 1], depth: 8, split: 4 };
    /// All of them.
    pub const ALL: [Tile; 5] = [Tile::P128C128, Tile::P128C64, Tile::P128C32, Tile::P64C64, Tile::P32C32];

    /// Workgroups along channels and pixels.
    fn grid(self, conv: &Conv2d) -> [u32; 2] {
        [conv.y.c4().div_ceil(self.channels / 4), (conv.pixels() as u32).div_ceil(self.pixels)]
    }

    /// Workgroups for a convolution.
    pub fn workgroups(self, conv: &Conv2d) -> u32 {
        self.grid(conv).iter().product()
    }

    fn dispatch(self, conv: &Conv2d, stored: Precision, output: Precision, parts: Parts) -> Dispatch {
        let [rows, columns] = self.thread;
        let consts = vec![
            ("TILE_PIXELS", self.pixels),
            ("TILE_VECTORS", self.channels / 4),
            ("ROWS", rows),
            ("COLUMNS", columns),
            ("DEPTH", self.depth),
            ("SPLIT", self.split),
        ];
        let mut dims = conv.dims();
        let mut overrides = vec![("PROLOGUE", conv.prologue as u32)];
        let (unused, sums) = (Role::Unused, Role::Scratch(0));
        let (kind, count, operands) = match parts {
            Parts::Whole => {
                overrides.push(conv.subsampled());
                (0, 1, Role::WHOLE)
            }
            Parts::Slices(slice) => {
                dims.slice = slice;
                (
                    1,
                    vectors(conv).div_ceil(slice),
                    [Role::X, Role::Weights(Packing::Rows), unused, unused, Role::Affine, sums],
                )
            }
            Parts::Matrices(tile) => (2, tile.points() as u32, Role::products(tile, Packing::Rows)),
        };
        overrides.push(("PARTS", kind));
        let key = KernelKey { shader: ShaderId::Conv2dTiled, stored, output, consts, overrides };
        let [x, y] = self.grid(conv);
        let macs = if kind == 2 { conv.macs() * u64::from(count) } else { conv.macs() };
        Dispatch { key, dims, grid: [x, y, count], operands, macs }
    }

    /// The whole convolution in one dispatch.
    pub(super) fn whole(self, conv: &Conv2d, stored: Precision, output: Precision) -> Dispatch {
        self.dispatch(conv, stored, output, Parts::Whole)
    }

    /// The products of Winograd's convolution with `tile`, each of which is `conv`, in f32, without an epilogue.
    pub(super) fn matrices(self, tile: winograd::Tile, conv: &Conv2d) -> Dispatch {
        self.dispatch(conv, Precision::F32, Precision::F32, Parts::Matrices(tile))
    }

    /// The convolution with its sum cut into at most `slices` slices: their sums, then what adds those up.
    pub(super) fn sliced(self, slices: u32, conv: &Conv2d, stored: Precision, output: Precision) -> [Dispatch; 2] {
        let sums = self.dispatch(conv, stored, Precision::F32, Parts::Slices(self.slice(slices, conv)));
        let overrides = vec![conv.subsampled()];
        let reduce = Dispatch {
            key: KernelKey { shader: ShaderId::Conv2dReduce, stored, output, consts: Vec::new(), overrides },
            dims: sums.dims,
            grid: [(conv.pixels() as u32 * conv.y.c4()).div_ceil(64), 1, 1],
            operands: [Role::Unused, Role::Unused, Role::Bias, Role::Residual, Role::Scratch(0), Role::Y],
            macs: 0,
        };
        [sums, reduce]
    }

    /// Elements of the array between the two dispatches of [`Tile::sliced`], in f32.
    pub(super) fn scratch(self, slices: u32, conv: &Conv2d) -> usize {
        let slices = vectors(conv).div_ceil(self.slice(slices, conv));
        4 * slices as usize * conv.pixels() * conv.y.c4() as usize
    }

    /// Input vectors of a slice: whole steps of the kernel.
    fn slice(self, slices: u32, conv: &Conv2d) -> u32 {
        vectors(conv).div_ceil(slices).next_multiple_of(self.depth)
    }
}

/// Terms of the sum, in vectors of four.
fn vectors(conv: &Conv2d) -> u32 {
    (conv.params.kernel * conv.params.kernel) as u32 * conv.x.c4()
}

/// What the z axis of the grid means.
#[derive(Clone, Copy)]
enum Parts {
    Whole,
    /// Slices of the sum, so many vectors long.
    Slices(u32),
    /// The products of Winograd's convolution.
    Matrices(winograd::Tile),
}
