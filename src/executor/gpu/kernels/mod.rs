//! The catalogue of WGSL kernels, as data: what each computes, its id, its shader with constants, its bindings, extents and grid.
//! Nothing here touches a device; `tests/shaders` validates every kernel with every key with naga.
//!
//! Activations are NHWC with channels padded to a multiple of four and stored as `vec4` along C; dense weights are
//! `[kh][kw][cin][cout]`, both channel axes padded to four, in one of two [`Packing`]s. Padding channels hold zeros.
//!
//! # To add a kernel
//!
//! 1. Its shader, `shaders/<op>_<algorithm>.wgsl`.
//! 2. Its file in this folder, with a [`Kernel`]: the name, what it computes and how, the settings worth trying.
//! 3. Its `mod` and its line in [`KERNELS`], in this file.
//!
//! Everything else follows: users can force it ([`Options::forced`](crate::executor::gpu::plan::Options::forced)), `verify`
//! compares it with the reference, `tune` times it, tests cover it, and another kernel replaces it if it is wrong or refused.
//! `plan::rules` decides when it is chosen without measurements.

pub mod activation;
mod array;
pub mod attend;
pub mod block_broadcast;
mod block_parts;
pub mod block_threads;
pub mod broadcast;
mod caps;
mod catalogue;
pub mod channel_gate;
pub mod conv2d;
pub mod cooperative;
mod dispatch;
pub mod elementwise;
pub mod gather;
pub mod gemv;
pub mod global_avg_pool;
pub mod global_avg_pool_slices;
pub mod global_max_pool;
pub mod group_norm;
pub mod grouped;
pub mod grouped_rows;
mod kernel;
pub mod pixels;
pub mod pool2d;
mod problem;
pub mod registers;
mod shader;
pub mod sliced;
pub mod softmax;
pub mod tiled;
pub mod tokens;
mod value;
pub mod winograd;
pub mod winograd_tiled;

pub use array::{Array, Packing, kernel_groups};
pub use caps::Caps;
pub use catalogue::{candidates, checksum, shaders};
pub use dispatch::{Dispatch, Role, Work};
pub use kernel::{Kernel, KernelId, Setting};
pub use problem::{Applied, Elementwise, Pool2d, Problem};
use shader::NAN;
pub use shader::{Binding, KernelKey, Shader, checksum_of};
use value::in_rows;
pub use value::{Residual, Types, View, fours};

pub use crate::network::winograd_tile;

/// Every kernel. If the kernel that the rules choose may not be used, the first in this list that serves takes its place.
pub const KERNELS: &[&Kernel] = &[
    &registers::KERNEL,
    &tiled::KERNEL,
    &sliced::KERNEL,
    &winograd_tiled::KERNEL,
    &grouped::KERNEL,
    &grouped_rows::KERNEL,
    &block_threads::KERNEL,
    &cooperative::KERNEL,
    &broadcast::KERNEL,
    &block_broadcast::KERNEL,
    &winograd::KERNEL,
    &gemv::KERNEL,
    &pool2d::KERNEL,
    &global_avg_pool::KERNEL,
    &global_avg_pool_slices::KERNEL,
    &global_max_pool::KERNEL,
    &activation::KERNEL,
    &channel_gate::KERNEL,
    &group_norm::KERNEL,
    &gather::KERNEL,
    &softmax::KERNEL,
    &attend::KERNEL,
    &tokens::KERNEL,
    &elementwise::KERNEL,
    &pixels::KERNEL,
];
