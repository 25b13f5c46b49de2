//! The mean of all pixels and then the pixels in one row, with a vector added to each.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Array, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, Packing, Problem, Role, Setting, Shader,
    Types, Work, fours,
};
use crate::graph::Plain;

/// `shaders/tokens.wgsl`: a workgroup yields 64 channels of one image.
pub const SHADER: Shader = Shader::new(
    "tokens",
    &[include_str!("../../../../shaders/tokens.wgsl")],
    &[Binding::Uniform(size_of::<TokensDims>() as u64), Binding::Read, Binding::Read, Binding::Write],
);

/// `tokens.slices`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Uniform block of the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct TokensDims {
    /// Rows of one image.
    pub h: u32,
    /// Columns of one image.
    pub w: u32,
    /// Rows and columns of the map that the weights are for.
    pub side: u32,
    /// Channels in fours.
    pub c4: u32,
    /// Vectors of a row of weights.
    pub columns: u32,
    /// Vectors from one input pixel to the next.
    pub x_stride: u32,
    /// Vector at which the input's channels start.
    pub x_offset: u32,
    /// Vectors from one output pixel to the next.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: [u32; 3],
}

pub(super) const KERNEL: Kernel = Kernel::new("tokens.slices", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op: Plain::Tokens { side, .. }, x, y }) = *problem else { return None };
    let dims = TokensDims {
        h: x.shape.h as u32,
        w: x.shape.w as u32,
        side: side as u32,
        c4: x.c4(),
        columns: fours(1 + side * side) as u32,
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        pad: [0; 3],
    };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: Vec::new() },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid: [dims.c4.div_ceil(16), x.shape.n as u32, 1],
        operands: vec![Role::X, Role::Weights(Array::Weights(Packing::Rows)), Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}
