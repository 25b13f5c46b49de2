//! Softmax over groups of channels.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, Problem, Role, Setting, Shader, Types, Work,
};
use crate::graph::Plain;

/// `shaders/softmax.wgsl`: one invocation yields four channels of one image.
pub const SHADER: Shader = Shader::new(
    "softmax",
    &[include_str!("../../../../shaders/softmax.wgsl")],
    &[Binding::Uniform(size_of::<SoftmaxDims>() as u64), Binding::Read, Binding::Write],
);

/// `softmax.groups`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

/// Uniform block of the kernel. Channels are plain, not in fours.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct SoftmaxDims {
    /// Number of blocks of channels, each with all groups.
    pub outer: u32,
    /// Number of values in each softmax.
    pub groups: u32,
    /// Channels of a group in one block.
    pub inner: u32,
    /// Vectors from one image's input to the next's.
    pub x_stride: u32,
    /// Vector at which the input's channels start.
    pub x_offset: u32,
    /// Vectors from one image's output to the next's.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: u32,
}

pub(super) const KERNEL: Kernel = Kernel::new("softmax.groups", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op: Plain::Softmax { outer, groups }, x, y }) = *problem else { return None };
    let dims = SoftmaxDims {
        outer: outer as u32,
        groups: groups as u32,
        inner: (x.shape.c / (outer * groups)) as u32,
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        pad: 0,
    };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: Vec::new() },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid: [y.c4().div_ceil(WORKGROUP), y.shape.n as u32, 1],
        operands: vec![Role::X, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}
