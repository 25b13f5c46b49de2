//! Gates of efficient channel attention: the sigmoid of a convolution along the channels.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Array, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, Packing, Problem, Role, Setting, Shader,
    Types, Work,
};
use crate::graph::Plain;

/// `shaders/channel_gate.wgsl`: one invocation yields four gates of one image.
pub const SHADER: Shader = Shader::new(
    "channel_gate",
    &[include_str!("../../../../shaders/channel_gate.wgsl")],
    &[Binding::Uniform(size_of::<GateDims>() as u64), Binding::Read, Binding::Read, Binding::Write],
);

/// `channel-gate.taps`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

/// Uniform block of the kernel. Channels are plain, not in fours.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct GateDims {
    /// Channels, of the input and of the output.
    pub channels: u32,
    /// Channels that a gate depends on.
    pub taps: u32,
    /// Vectors from one image's input to the next's.
    pub x_stride: u32,
    /// Vector at which the input's channels start.
    pub x_offset: u32,
    /// Vectors from one image's gates to the next's.
    pub y_stride: u32,
    /// Vector at which the gates start.
    pub y_offset: u32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: [u32; 2],
}

pub(super) const KERNEL: Kernel = Kernel::new("channel-gate.taps", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op: Plain::ChannelGate { kernel }, x, y }) = *problem else { return None };
    let dims = GateDims {
        channels: y.shape.c as u32,
        taps: kernel as u32,
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        pad: [0; 2],
    };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: Vec::new() },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid: [y.c4().div_ceil(WORKGROUP), y.shape.n as u32, 1],
        operands: vec![Role::X, Role::Weights(Array::Weights(Packing::Rows)), Role::Y],
        macs: (y.shape.n * y.shape.c * kernel) as u64,
    };
    Some(dispatch.into())
}
