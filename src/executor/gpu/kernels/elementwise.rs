//! Elementwise work that could not be fused into a convolution: a batch norm, a scale or shift of each channel, an addition, activation,
//! shortcut A, or copy into a concatenation.

use bytemuck::{Pod, Zeroable};

use super::{
    Binding, Caps, Dispatch, Elementwise, Kernel, KernelId, KernelKey, Problem, Residual, Role, Setting, Shader, Types,
    Work, conv2d::AFFINE, in_rows,
};
use crate::network::Gate;

/// `shaders/elementwise.wgsl`: one invocation yields four channels of one pixel.
pub const SHADER: Shader = Shader::new(
    "elementwise",
    &[include_str!("../../../../shaders/elementwise.wgsl")],
    &[
        Binding::Uniform(size_of::<ElementwiseDims>() as u64),
        Binding::Read,
        Binding::Read,
        Binding::Read,
        Binding::Read,
        Binding::Write,
    ],
);

/// `elementwise.vectors`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

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
    /// Rows of the second addend.
    pub r_h: u32,
    /// Columns of the second addend.
    pub r_w: u32,
    /// Subsampling step of the second addend.
    pub r_step: u32,
    /// Zero channels before the second addend's channels.
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
    /// Vectors from the gates of one image to the gates of the next.
    pub g_stride: u32,
    /// Vector at which the gates' channels start.
    pub g_offset: u32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: u32,
}

impl ElementwiseDims {
    fn new(work: &Elementwise) -> Self {
        let (x, y) = (work.x.unwrap_or(work.y), work.y);
        let (r, step, before) = match work.residual {
            Residual::None => (y, 1, 0),
            Residual::Same(view) => (view, 1, 0),
            Residual::SubsamplePad { view, step, before } => (view, step, before),
        };
        ElementwiseDims {
            h: y.shape.h as u32,
            w: y.shape.w as u32,
            channels: work.channels[1] as u32,
            offset: work.channels[0] as u32,
            out_channels: y.shape.c as u32,
            pixels: y.pixels() as u32,
            r_h: r.shape.h as u32,
            r_w: r.shape.w as u32,
            r_step: step as u32,
            r_before: before as u32,
            r_channels: r.shape.c as u32,
            x_stride: x.stride,
            x_offset: x.offset,
            r_stride: r.stride,
            r_offset: r.offset,
            y_stride: y.stride,
            y_offset: y.offset,
            g_stride: work.gate.map_or(0, |(_, gate)| gate.stride),
            g_offset: work.gate.map_or(0, |(_, gate)| gate.offset),
            pad: 0,
        }
    }
}

pub(super) const KERNEL: Kernel = Kernel::new("elementwise.vectors", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Elementwise(work) = problem else { return None };
    let adds = work.residual != Residual::None;
    let overrides = vec![
        ("SOURCE", work.x.is_some() as u32),
        ("AFFINE", work.affine as u32),
        ("GATE", work.gate.map_or(0, |(gate, _)| if gate == Gate::Scale { 1 } else { 2 })),
        ("RESIDUAL", adds as u32),
        ("ACTIVATION", work.activation as u32),
    ];
    let invocations = work.y.pixels() * work.y.c4() as usize;
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides },
        uniform: bytemuck::bytes_of(&ElementwiseDims::new(work)).to_vec(),
        grid: in_rows(invocations.div_ceil(WORKGROUP)),
        operands: vec![Role::X, AFFINE, Role::Residual, Role::Gate, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}
