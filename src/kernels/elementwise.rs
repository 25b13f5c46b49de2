//! What no convolution could take in: a stand-alone batch norm, gate, addition, activation, shortcut A, or copy into a concatenation.

use bytemuck::{Pod, Zeroable};

use super::{Activation, Binding, KernelKey, Precision, Shader, ShaderId};

/// `shaders/elementwise.wgsl`: one invocation yields four channels of one pixel.
pub const ELEMENTWISE: Shader = Shader {
    name: "elementwise",
    parts: &[include_str!("../../shaders/elementwise.wgsl")],
    bindings: &[
        Binding::Uniform(size_of::<ElementwiseDims>() as u64),
        Binding::Read,
        Binding::Read,
        Binding::Read,
        Binding::Read,
        Binding::Write,
    ],
};

const WORKGROUP: usize = 64;

/// Uniform block of the kernel. Channel counts are plain, not in fours: a concatenation may start at any channel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct ElementwiseDims {
    /// Output rows.
    pub h: u32,
    /// Output columns.
    pub w: u32,
    /// Channels that the operator computes.
    pub channels: u32,
    /// Channel of the output at which they start.
    pub offset: u32,
    /// Channels of the whole output.
    pub out_channels: u32,
    /// Pixels of the whole batch.
    pub pixels: u32,
    /// Rows and columns of the second addend.
    pub r_h: u32,
    /// Columns of the second addend.
    pub r_w: u32,
    /// Subsampling step of the second addend.
    pub r_step: u32,
    /// Zero channels in front of the second addend.
    pub r_before: u32,
    /// Channels of the second addend.
    pub r_channels: u32,
    /// Vectors from one pixel of the first addend to the next.
    pub x_stride: u32,
    /// Vector at which the first addend's channels start.
    pub x_offset: u32,
    /// Vectors from one pixel of the second addend to the next.
    pub r_stride: u32,
    /// Vector at which the second addend's channels start.
    pub r_offset: u32,
    /// Vectors from one output pixel to the next.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// Vectors from the gates of one image to those of the next.
    pub g_stride: u32,
    /// Vector at which the gates' channels start.
    pub g_offset: u32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: u32,
}

/// What the kernel does besides copying; all false is a copy into channels `offset ..` of the output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    /// Read the first addend (else it is zero).
    pub source: bool,
    /// Multiply it by a scale and add a shift, a pair for each channel.
    pub affine: bool,
    /// Multiply it by a gate, one for each image and channel.
    pub gate: bool,
    /// Add the second addend.
    pub residual: bool,
    /// What happens last.
    pub activation: Activation,
}

/// The kernel's key and grid.
pub fn kernel(stored: Precision, output: Precision, flags: Flags, dims: &ElementwiseDims) -> (KernelKey, [u32; 3]) {
    let key = KernelKey {
        shader: ShaderId::Elementwise,
        stored,
        output,
        consts: Vec::new(),
        overrides: vec![
            ("SOURCE", flags.source as u32),
            ("AFFINE", flags.affine as u32),
            ("GATE", flags.gate as u32),
            ("RESIDUAL", flags.residual as u32),
            ("ACTIVATION", flags.activation as u32),
        ],
    };
    let invocations = dims.pixels as usize * (dims.out_channels as usize).div_ceil(4);
    // A row of workgroups is at most 32768 long, so that any size fits into the limits of a dispatch.
    let groups = invocations.div_ceil(WORKGROUP);
    let rows = groups.div_ceil(32768);
    (key, [groups.div_ceil(rows) as u32, rows as u32, 1])
}
