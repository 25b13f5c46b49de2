//! The convolution kernels: 2-D cross-correlation with bias, residual and ReLU in the epilogue, and optionally the batch norm and ReLU
//! that come before it in the prologue.

use bytemuck::{Pod, Zeroable};

pub use super::variant::{Dispatch, Role, Variant};
use super::{Activation, Binding, Packing, Shader, View};
use crate::graph::Conv2dParams;

pub(super) const BINDINGS: &[Binding] = &[
    Binding::Uniform(size_of::<Conv2dDims>() as u64),
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Write,
];
pub(super) const SHARED: &str = include_str!("../../shaders/lib/conv2d.wgsl");
pub(super) const SHARED_BROADCAST: &str = include_str!("../../shaders/lib/broadcast.wgsl");

/// `shaders/conv2d_registers.wgsl`: no workgroup memory, no barriers, no subgroups.
pub const REGISTERS: Shader = Shader {
    name: "conv2d_registers",
    parts: &[SHARED, include_str!("../../shaders/conv2d_registers.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_broadcast.wgsl`: each lane of a subgroup loads a different input, a broadcast shares it.
pub const BROADCAST: Shader = Shader {
    name: "conv2d_broadcast",
    parts: &[SHARED, SHARED_BROADCAST, include_str!("../../shaders/conv2d_broadcast.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_grouped.wgsl`: grouped convolutions.
pub const GROUPED: Shader = Shader {
    name: "conv2d_grouped",
    parts: &[SHARED, include_str!("../../shaders/conv2d_grouped.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_grouped_rows.wgsl`: grouped 3x3 convolutions on software adapters.
pub const GROUPED_ROWS: Shader = Shader {
    name: "conv2d_grouped_rows",
    parts: &[SHARED, include_str!("../../shaders/conv2d_grouped_rows.wgsl")],
    bindings: BINDINGS,
};

/// Uniform block of the kernels; see `shaders/lib/conv2d.wgsl`. Channel counts are in fours unless said otherwise.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are those of the WGSL block of the same name, described there")]
pub struct Conv2dDims {
    pub h: u32,
    pub w: u32,
    pub c4: u32,
    pub x_stride: u32,
    pub oh: u32,
    pub ow: u32,
    pub oc4: u32,
    pub y_stride: u32,
    pub x_offset: u32,
    pub y_offset: u32,
    pub pixels: u32,
    pub kernel: u32,
    pub stride: u32,
    pub padding: u32,
    pub activation: u32,
    pub r_stride: u32,
    pub r_offset: u32,
    pub r_h: u32,
    pub r_w: u32,
    pub r_step: u32,
    pub r_before: u32,
    pub r_channels: u32,
    pub group_c4: u32,
    pub group_oc4: u32,
    pub tiles_w: u32,
    pub tiles_h: u32,
    pub tiles: u32,
    pub slice: u32,
    pub dilation: u32,
    pub pad: [u32; 3],
}

/// Largest number of output pixels that an invocation of `conv2d_broadcast` sums up, in eights: measured on llvmpipe, whose code for more
/// outgrows the instruction cache.
const MAX_GROUPS: usize = 4;

/// Second addend of the epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// None.
    None,
    /// A value of the output's shape.
    Same(View),
    /// Every `step`-th pixel of a value, behind `before` zero channels.
    SubsamplePad {
        /// The value.
        view: View,
        /// Step in rows and columns.
        step: usize,
        /// Zero channels in front.
        before: usize,
    },
}

/// A convolution to be served: shapes, places, prologue and epilogue, no data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2d {
    /// Extents of the kernel. With several groups, a group's input and output channels are multiples of four (see [`blocks`]).
    pub params: Conv2dParams,
    /// Input.
    pub x: View,
    /// Output.
    pub y: View,
    /// Scale, shift and ReLU on the input.
    pub prologue: bool,
    /// Second addend.
    pub residual: Residual,
    /// What happens last.
    pub activation: Activation,
}

/// The groups that kernels see: as few groups as needed are taken together, with zero weights between them, so that the channels of each
/// are multiples of four. One for a dense convolution, and where no smaller number serves.
pub fn blocks(params: &Conv2dParams) -> usize {
    let Conv2dParams { in_channels, out_channels, groups, .. } = *params;
    let whole = |merged: usize| {
        let blocks = groups / merged;
        groups.is_multiple_of(merged)
            && (in_channels / blocks).is_multiple_of(4)
            && (out_channels / blocks).is_multiple_of(4)
    };
    (1..groups).find(|&merged| whole(merged)).map_or(1, |merged| groups / merged)
}

impl Conv2d {
    /// Output pixels of the whole batch: the rows of the implicit matrix product.
    pub fn pixels(&self) -> usize {
        self.y.pixels()
    }

    /// Multiply-accumulates of the definition.
    pub fn macs(&self) -> u64 {
        self.pixels() as u64 * self.params.weight_shape().iter().product::<usize>() as u64
    }

    /// The uniform block.
    pub fn dims(&self) -> Conv2dDims {
        let (r, r_step, r_before) = match self.residual {
            Residual::SubsamplePad { view, step, before } => (view, step, before),
            Residual::Same(view) => (view, 1, 0),
            Residual::None => (View::whole(self.y.shape), 0, 0),
        };
        let (x, y, params) = (self.x.shape, self.y.shape, self.params);
        let blocks = blocks(&params) as u32;
        Conv2dDims {
            h: x.h as u32,
            w: x.w as u32,
            c4: self.x.c4(),
            x_stride: self.x.stride,
            oh: y.h as u32,
            ow: y.w as u32,
            oc4: self.y.c4(),
            y_stride: self.y.stride,
            x_offset: self.x.offset,
            y_offset: self.y.offset,
            pixels: self.pixels() as u32,
            kernel: params.kernel as u32,
            stride: params.stride as u32,
            padding: params.padding as u32,
            activation: self.activation as u32,
            r_stride: r.stride,
            r_offset: r.offset,
            r_h: r.shape.h as u32,
            r_w: r.shape.w as u32,
            r_step: r_step as u32,
            r_before: r_before as u32,
            r_channels: r.shape.c as u32,
            group_c4: self.x.c4() / blocks,
            group_oc4: self.y.c4() / blocks,
            tiles_w: 0,
            tiles_h: 0,
            tiles: 0,
            slice: 0,
            dilation: params.dilation as u32,
            pad: [0; 3],
        }
    }

    pub(super) fn overrides(&self) -> Vec<(&'static str, u32)> {
        vec![("PROLOGUE", self.prologue as u32), self.subsampled()]
    }

    /// The shaders' SUBSAMPLED.
    pub(super) fn subsampled(&self) -> (&'static str, u32) {
        ("SUBSAMPLED", matches!(self.residual, Residual::SubsamplePad { .. }) as u32)
    }
}

/// Pixels (or tiles) of a workgroup of the broadcast kernels, in eights: as many as pay, and no more than needed to spread them evenly
/// over the workgroups.
pub(super) fn eights(pixels: usize) -> u32 {
    let workgroups = pixels.div_ceil(8 * MAX_GROUPS);
    pixels.div_ceil(8 * workgroups) as u32
}

/// The constants of `shaders/lib/broadcast.wgsl` for `inputs` to `outputs` channels, with that many sums, in eights.
pub(super) fn broadcast_consts(groups: u32, inputs: usize, outputs: usize) -> Vec<(&'static str, u32)> {
    let strip = Packing::Strips.width(outputs) / 4;
    vec![("GROUPS", groups), ("INPUTS", inputs.min(4) as u32), ("STRIP", strip as u32)]
}
