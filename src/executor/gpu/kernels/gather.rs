//! Layers that only move values: slices of channels, zero padding, upsampling.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, Problem, Role, Setting, Shader, Types, Work, in_rows,
};
use crate::graph::Plain;

/// `shaders/gather.wgsl`: one invocation yields four channels of one pixel.
pub const SHADER: Shader = Shader::new(
    "gather",
    &[include_str!("../../../../shaders/gather.wgsl")],
    &[Binding::Uniform(size_of::<GatherDims>() as u64), Binding::Read, Binding::Write],
);

/// `gather.vectors`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

const WORKGROUP: usize = 64;

/// Uniform block of the kernel. Channels are plain, not in fours.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct GatherDims {
    /// Rows of the input.
    pub h: u32,
    /// Columns of the input.
    pub w: u32,
    /// Rows of the output.
    pub oh: u32,
    /// Columns of the output.
    pub ow: u32,
    /// Pixels of the whole batch of outputs.
    pub pixels: u32,
    /// Channels of the output.
    pub channels: u32,
    /// Channel of the input that is the output's first.
    pub from: u32,
    /// Rows of zeros above.
    pub top: u32,
    /// Columns of zeros before the first column.
    pub left: u32,
    /// Rows and columns of the output for each pixel.
    pub factor: u32,
    /// Vectors from one input pixel to the next.
    pub x_stride: u32,
    /// Vector at which the input's channels start.
    pub x_offset: u32,
    /// Vectors from one output pixel to the next.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: [u32; 2],
}

pub(super) const KERNEL: Kernel = Kernel::new("gather.vectors", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op, x, y }) = *problem else { return None };
    let (from, [top, left], factor) = match op {
        Plain::Slice { from, .. } => (from, [0; 2], 1),
        Plain::Pad(padding) => (0, [x.shape.h, x.shape.w].map(|extent| padding.of(extent)[0]), 1),
        Plain::Upsample { factor } => (0, [0; 2], factor),
        _ => return None,
    };
    let dims = GatherDims {
        h: x.shape.h as u32,
        w: x.shape.w as u32,
        oh: y.shape.h as u32,
        ow: y.shape.w as u32,
        pixels: y.pixels() as u32,
        channels: y.shape.c as u32,
        from: from as u32,
        top: top as u32,
        left: left as u32,
        factor: factor as u32,
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        pad: [0; 2],
    };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: Vec::new() },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid: in_rows((y.pixels() * y.c4() as usize).div_ceil(WORKGROUP)),
        operands: vec![Role::X, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}
