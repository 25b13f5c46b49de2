//! Convolution as an implicit matrix product over tiles in workgroup memory. The same kernel also computes slices of such a product, and
//! batches of products.

use std::fmt;

use super::{
    Array, Caps, Dispatch, Kernel, KernelId, KernelKey, Packing, Problem, Role, Setting, Shader, Types, Work,
    conv2d::{AFFINE, BIAS, BINDINGS, Conv2d, SHARED},
};

pub(super) const SHARED_GEMM: &str = include_str!("../../../../shaders/lib/gemm.wgsl");

/// `shaders/conv2d_tiled.wgsl`.
pub const SHADER: Shader = Shader::new(
    "conv2d_tiled",
    &[SHARED, SHARED_GEMM, include_str!("../../../../shaders/conv2d_tiled.wgsl")],
    BINDINGS,
);

/// `conv2d.tiled.PIXELSxCHANNELS`.
pub const fn id(tile: Tile) -> KernelId {
    KernelId::new(&KERNEL, tile.setting())
}

/// Threads of a workgroup: as many as every WebGPU device has.
const MOST_THREADS: u32 = 256;

/// The outputs of a workgroup, and how its threads share the work; see `shaders/conv2d_tiled.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Output pixels.
    pub pixels: u32,
    /// Output channels.
    pub channels: u32,
    /// Pixels and vectors of four channels per thread.
    thread: [u32; 2],
    /// Input vectors held in workgroup memory at a time.
    pub(super) depth: u32,
    /// Number of blocks of threads among which each sum is shared.
    split: u32,
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.pixels, self.channels)
    }
}

/// Meaning of the z axis of the grid.
#[derive(Clone, Copy)]
pub(super) enum Parts {
    /// Unused: a workgroup computes whole sums.
    Whole,
    /// Slices of the sum, each this many vectors long.
    Slices(u32),
    /// This many matrix products, with weights from this array.
    Matrices(usize, Array),
}

impl Tile {
    /// Eight pixels and eight channels per thread: 16 loads from workgroup memory for 256 multiply-adds. These tiles give a thread the most
    /// work that any device can hold; [`Tile::on`] reduces it.
    pub const P128C128: Tile = Tile { pixels: 128, channels: 128, thread: [8, 2], depth: 4, split: 1 };
    /// The same tile for 64 channels.
    pub const P128C64: Tile = Tile { channels: 64, ..Tile::P128C128 };
    /// The same tile for 32 channels, the growth rate of DenseNets.
    pub const P128C32: Tile = Tile { channels: 32, thread: [8, 1], ..Tile::P128C128 };
    /// Half the work per thread, for more workgroups.
    pub const P64C64: Tile = Tile { pixels: 64, channels: 64, thread: [8, 1], ..Tile::P128C128 };
    /// The smallest, with four times the threads that its outputs need: each takes a quarter of the sum. Four pixels per thread leave
    /// registers for more threads.
    pub const P32C32: Tile = Tile { pixels: 32, channels: 32, thread: [4, 1], depth: 8, split: 4 };
    /// All tiles.
    pub const ALL: [Tile; 5] = [Tile::P128C128, Tile::P128C64, Tile::P128C32, Tile::P64C64, Tile::P32C32];

    /// This tile with as much work for each thread as the device's registers hold; `None` if that takes too many threads, or if
    /// they cannot share the loads evenly. Where registers cannot be left to other threads, the smallest tile has eight pixels per
    /// thread too: 12 loads from workgroup memory for 128 multiply-adds instead of 8 for 64.
    pub fn on(self, caps: &Caps) -> Option<Self> {
        let [rows, columns] = if caps.fixed_registers { [8, self.thread[1]] } else { self.thread };
        let threads = [[8, 2], [8, 1], [4, 1]].into_iter().filter(|thread| thread[0] <= rows && thread[1] <= columns);
        threads.map(|thread| Tile { thread, ..self }).find(|tile| {
            let threads = tile.threads();
            // Every thread must load the same number of vectors.
            let shares = |vectors: u32| vectors.is_multiple_of(threads);
            tile.registers() <= caps.registers
                && threads <= MOST_THREADS
                && shares(tile.depth * tile.pixels)
                && shares(tile.depth * tile.channels)
        })
    }

    /// Registers that a thread's sums and weights take.
    fn registers(self) -> u32 {
        let [rows, columns] = self.thread;
        4 * rows * columns + 16 * columns
    }

    fn threads(self) -> u32 {
        let [rows, columns] = self.thread;
        self.pixels / rows * (self.channels / 4 / columns) * self.split
    }

    /// The numbers in the kernel's id.
    pub(super) const fn setting(self) -> Setting {
        [self.pixels, self.channels, 0]
    }

    /// The tile of a kernel's id.
    pub(super) fn of([pixels, channels, _]: Setting) -> Option<Self> {
        Tile::ALL.into_iter().find(|tile| (tile.pixels, tile.channels) == (pixels, channels))
    }

    /// Number of workgroups along channels and along pixels.
    fn grid(self, conv: &Conv2d) -> [u32; 2] {
        [conv.y.c4().div_ceil(self.channels / 4), (conv.pixels() as u32).div_ceil(self.pixels)]
    }

    /// Number of workgroups for a convolution.
    pub fn workgroups(self, conv: &Conv2d) -> u32 {
        self.grid(conv).iter().product()
    }

    /// The dispatch for a convolution; `None` if the device cannot run the tile.
    pub(super) fn dispatch(self, conv: &Conv2d, types: Types, parts: Parts, caps: &Caps) -> Option<Dispatch> {
        let [rows, columns] = self.on(caps)?.thread;
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
        let weights = Role::Weights(Array::Weights(Packing::Rows));
        let (unused, sums) = (Role::Unused, Role::Scratch(0));
        let (kind, count, operands) = match parts {
            Parts::Whole => {
                overrides.push(conv.subsampled());
                (0, 1, vec![Role::X, weights, BIAS, Role::Residual, AFFINE, Role::Y])
            }
            Parts::Slices(slice) => {
                dims.slice = slice;
                (1, terms(conv).div_ceil(slice), vec![Role::X, weights, unused, unused, AFFINE, sums])
            }
            Parts::Matrices(count, array) => {
                (2, count as u32, vec![sums, Role::Weights(array), unused, unused, unused, Role::Scratch(1)])
            }
        };
        overrides.push(("PARTS", kind));
        let key = KernelKey { shader: &SHADER, types, consts, overrides };
        let [x, y] = self.grid(conv);
        let macs = if kind == 2 { conv.macs() * u64::from(count) } else { conv.macs() };
        Some(Dispatch { key, uniform: bytemuck::bytes_of(&dims).to_vec(), grid: [x, y, count], operands, macs })
    }
}

/// Number of terms in a sum, in vectors of four.
pub(super) fn terms(conv: &Conv2d) -> u32 {
    (conv.params.kernel * conv.params.kernel) as u32 * conv.x.c4()
}

pub(super) const KERNEL: Kernel = Kernel {
    settings: |caps| Tile::ALL.into_iter().filter(|tile| tile.on(caps).is_some()).map(Tile::setting).collect(),
    ..Kernel::new("conv2d.tiled", &[&SHADER], work)
};

fn work(setting: Setting, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
    Some(Tile::of(setting)?.dispatch(&problem.dense()?, types, Parts::Whole, caps)?.into())
}
