//! Sums over all pixels, weighted by attention, in two dispatches: the weights, and the sums.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, NAN, Problem, Role, Setting, Shader, Types, Work,
};
use crate::graph::Plain;

/// `shaders/attend_shares.wgsl`: a workgroup takes one head of one image.
pub const SHARES: Shader = Shader::new(
    "attend_shares",
    &[NAN, include_str!("../../../../shaders/attend_shares.wgsl")],
    &[Binding::Uniform(size_of::<AttendDims>() as u64), Binding::Read, Binding::Write],
);

/// `shaders/attend.wgsl`: a workgroup yields 16 channels of one image.
pub const SUMS: Shader = Shader::new(
    "attend",
    &[include_str!("../../../../shaders/attend.wgsl")],
    &[Binding::Uniform(size_of::<AttendDims>() as u64), Binding::Read, Binding::Read, Binding::Write],
);

/// `attend.pixels`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Uniform block of both steps. Channels are plain, not in fours.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct AttendDims {
    /// Pixels of one image.
    pub pixels: u32,
    /// Number of heads: each has its part of the keys and of the values.
    pub heads: u32,
    /// Channels of keys.
    pub keys: u32,
    /// Channels of values.
    pub channels: u32,
    /// Vectors from one input pixel to the next.
    pub x_stride: u32,
    /// Vector at which the input's channels start.
    pub x_offset: u32,
    /// Vectors from one image's output to the next's.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// Factor of the sums of keys.
    pub scale: f32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: [u32; 3],
}

pub(super) const KERNEL: Kernel =
    Kernel { is_exact: false, tolerance, ..Kernel::new("attend.pixels", &[&SHARES, &SUMS], work) };

/// Errors come from the sums of keys, of exponentials and of pixels. An exponential is off by a few units in the last place, plus the error
/// of its argument.
fn tolerance(_: Setting, problem: &Problem) -> f32 {
    let Problem::Plain(Applied { op: Plain::Attend { heads, keys, .. }, x, .. }) = *problem else { return 0.0 };
    f32::EPSILON * (2 * x.shape.pixels() + keys / heads + 64) as f32
}

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op: Plain::Attend { heads, keys, scale }, x, y }) = *problem else { return None };
    let dims = AttendDims {
        pixels: x.shape.pixels() as u32,
        heads: heads as u32,
        keys: keys as u32,
        channels: y.shape.c as u32,
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        scale,
        pad: [0; 3],
    };
    let images = x.shape.n as u32;
    let step = |shader, grid, operands| Dispatch {
        key: KernelKey { shader, types, consts: Vec::new(), overrides: Vec::new() },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid,
        operands,
        macs: 0,
    };
    let dispatches = vec![
        step(&SHARES, [dims.heads, images, 1], vec![Role::X, Role::Scratch(0)]),
        step(&SUMS, [y.c4().div_ceil(4), images, 1], vec![Role::X, Role::Scratch(0), Role::Y]),
    ];
    Some(Work { dispatches, scratch: vec![x.shape.n * heads * x.shape.pixels()] })
}
