//! The convolution kernels: 2-D cross-correlation with bias, residual and ReLU in the epilogue, and optionally the batch norm and ReLU
//! that come before it in the prologue.

use std::fmt;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use super::{Activation, Binding, KernelKey, Precision, Shader, ShaderId, View, winograd};
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

/// `shaders/conv2d_tiled.wgsl`: implicit GEMM over tiles in workgroup memory.
pub const TILED: Shader = Shader {
    name: "conv2d_tiled",
    parts: &[SHARED, include_str!("../../shaders/conv2d_tiled.wgsl")],
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
    pub pad: u32,
}

/// A convolution kernel with its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// `conv2d_registers`.
    Registers {
        /// Output pixels of an invocation.
        pixels: u32,
    },
    /// `conv2d_broadcast` for subgroups of exactly this size.
    Broadcast {
        /// Lanes of a subgroup, at least 8.
        lanes: u32,
    },
    /// `conv2d_tiled`: a workgroup yields `16 rows` pixels x `16 columns` channels.
    Tiled {
        /// Output pixels of a thread.
        rows: u32,
        /// Output vectors of a thread.
        columns: u32,
    },
    /// `conv2d_grouped`, for more than one group.
    Grouped,
    /// `conv2d_grouped_rows`, for more than one group.
    GroupedRows,
    /// The three steps of [`super::winograd`], for subgroups of exactly this size.
    Winograd {
        /// Lanes of a subgroup, at least 8.
        lanes: u32,
        /// Rows and columns of outputs of a tile.
        tile: winograd::Tile,
    },
}

/// Largest number of output pixels that an invocation of `conv2d_broadcast` sums up, in eights.
const MAX_GROUPS: usize = 7;

impl Variant {
    /// Every variant that is ever selected on a device with subgroups of `lanes` lanes. Not each serves every convolution:
    /// see [`Conv2d::admits`].
    pub fn all(lanes: Option<u32>) -> Vec<Variant> {
        let mut all = vec![Variant::Registers { pixels: 1 }, Variant::Registers { pixels: 8 }];
        all.extend([(8, 4), (4, 4), (2, 2)].map(|(rows, columns)| Variant::Tiled { rows, columns }));
        all.extend([Variant::Grouped, Variant::GroupedRows]);
        if let Some(lanes) = lanes.filter(|&lanes| lanes >= 8) {
            all.push(Variant::Broadcast { lanes });
            all.extend(winograd::Tile::ALL.map(|tile| Variant::Winograd { lanes, tile }));
        }
        all
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Registers { pixels } => write!(f, "registers, {pixels} pixels"),
            Variant::Broadcast { lanes } => write!(f, "broadcast, {lanes} lanes"),
            Variant::Tiled { rows, columns } => write!(f, "tiled {rows}x{columns}"),
            Variant::Grouped => write!(f, "grouped"),
            Variant::GroupedRows => write!(f, "grouped, along rows"),
            Variant::Winograd { lanes, tile } => write!(f, "winograd F({tile}), {lanes} lanes"),
        }
    }
}

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

    /// Whether `variant` computes this convolution.
    pub fn admits(&self, variant: Variant, stored: Precision) -> bool {
        let grouped = blocks(&self.params) > 1;
        let Conv2dParams { kernel, stride, padding, .. } = self.params;
        match variant {
            Variant::Grouped => grouped,
            Variant::GroupedRows => grouped && (kernel, padding) == (3, 1) && stride <= 2,
            Variant::Winograd { .. } => {
                !grouped && (kernel, stride, padding) == (3, 1, 1) && !self.prologue && stored == Precision::F32
            }
            _ => !grouped,
        }
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
            pad: 0,
        }
    }

    pub(super) fn overrides(&self) -> Vec<(&'static str, u32)> {
        let subsampled = matches!(self.residual, Residual::SubsamplePad { .. });
        vec![("PROLOGUE", self.prologue as u32), ("SUBSAMPLED", subsampled as u32)]
    }

    /// The kernel of a `variant` that takes one dispatch, and its grid.
    ///
    /// # Panics
    /// For [`Variant::Winograd`], which takes three: see [`super::winograd::steps`].
    pub fn kernel(&self, variant: Variant, stored: Precision, output: Precision) -> (KernelKey, [u32; 3]) {
        let mut overrides = self.overrides();
        let dims = self.dims();
        let (shader, consts, pixels, vectors) = match variant {
            Variant::Registers { pixels } => (ShaderId::Conv2dRegisters, vec![("PIXELS", pixels)], 8 * pixels, 8),
            Variant::Broadcast { lanes } => {
                overrides.push(("LANES", lanes));
                let groups = eights(self.pixels());
                (ShaderId::Conv2dBroadcast, vec![("GROUPS", groups)], 8 * groups, lanes)
            }
            Variant::Tiled { rows, columns } => {
                (ShaderId::Conv2dTiled, vec![("ROWS", rows), ("COLUMNS", columns)], 16 * rows, 4 * columns)
            }
            Variant::Grouped => {
                let divides = |vectors: &u32| dims.group_oc4.is_multiple_of(*vectors);
                let vectors = [8, 4, 2].into_iter().find(divides).unwrap_or(1);
                (ShaderId::Conv2dGrouped, vec![("VECTORS", vectors)], 8, 8 * vectors)
            }
            Variant::GroupedRows => {
                let outputs = if dims.stride == 1 && dims.ow > 7 { 14 } else { 7 };
                overrides.push(("STRIDE", dims.stride));
                let consts = vec![("PIXELS", outputs)];
                let key = KernelKey { shader: ShaderId::Conv2dGroupedRows, stored, output, consts, overrides };
                return (key, [dims.ow.div_ceil(outputs), dims.oc4.div_ceil(8), dims.pixels / dims.ow]);
            }
            Variant::Winograd { .. } => panic!("Winograd convolution takes three dispatches"),
        };
        let key = KernelKey { shader, stored, output, consts, overrides };
        (key, [dims.pixels.div_ceil(pixels), dims.oc4.div_ceil(vectors), 1])
    }
}

/// Pixels (or tiles) of a workgroup of the broadcast kernels, in eights: as many as registers hold, and no more than needed to spread
/// them evenly over the workgroups.
pub(super) fn eights(pixels: usize) -> u32 {
    let workgroups = pixels.div_ceil(8 * MAX_GROUPS);
    pixels.div_ceil(8 * workgroups) as u32
}
