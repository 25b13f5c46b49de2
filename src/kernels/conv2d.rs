//! The convolution kernels: dense 2-D cross-correlation with bias, residual and ReLU in the epilogue.

use bytemuck::{Pod, Zeroable};

use super::{Binding, KernelKey, Precision, Shader, ShaderId, fours};
use crate::{graph::Conv2dParams, tensor::Shape};

const BINDINGS: &[Binding] = &[
    Binding::Uniform(size_of::<Conv2dDims>() as u64),
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Write,
];
const SHARED: &str = include_str!("../../shaders/lib/conv2d.wgsl");

/// `shaders/conv2d_registers.wgsl`: no workgroup memory, no barriers, no subgroups.
pub const REGISTERS: Shader = Shader {
    name: "conv2d_registers",
    parts: &[SHARED, include_str!("../../shaders/conv2d_registers.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_broadcast.wgsl`: each lane of a subgroup loads a different weight, a broadcast shares it.
pub const BROADCAST: Shader = Shader {
    name: "conv2d_broadcast",
    parts: &[SHARED, include_str!("../../shaders/conv2d_broadcast.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_tiled.wgsl`: implicit GEMM over tiles in workgroup memory.
pub const TILED: Shader = Shader {
    name: "conv2d_tiled",
    parts: &[SHARED, include_str!("../../shaders/conv2d_tiled.wgsl")],
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
    pub r_stride: u32,
    pub r_h: u32,
    pub r_w: u32,
    pub r_step: u32,
    pub r_before: u32,
    pub r_channels: u32,
    pub pad: [u32; 3],
}

/// A convolution kernel with its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
}

impl Variant {
    /// Every variant that is ever selected on a device with subgroups of `lanes` lanes.
    pub fn all(lanes: Option<u32>) -> Vec<Variant> {
        let mut all = vec![Variant::Registers { pixels: 1 }, Variant::Registers { pixels: 8 }];
        all.extend([(8, 4), (4, 4), (2, 2)].map(|(rows, columns)| Variant::Tiled { rows, columns }));
        all.extend(lanes.filter(|&lanes| lanes >= 8).map(|lanes| Variant::Broadcast { lanes }));
        all
    }
}

/// Second addend of the epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// None.
    None,
    /// A value of the output's shape.
    Same,
    /// A value of this shape, every `step`-th pixel of it, behind `before` zero channels.
    SubsamplePad {
        /// Shape of the value.
        shape: Shape,
        /// Step in rows and columns.
        step: usize,
        /// Zero channels in front.
        before: usize,
    },
}

/// A convolution to be served: shapes and epilogue, no data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2d {
    /// Extents of the kernel.
    pub params: Conv2dParams,
    /// Input shape.
    pub x: Shape,
    /// Output shape.
    pub y: Shape,
    /// Second addend.
    pub residual: Residual,
    /// Clamp at zero.
    pub relu: bool,
}

impl Conv2d {
    /// Output pixels of the whole batch: the rows of the implicit matrix product.
    pub fn pixels(&self) -> usize {
        self.y.n * self.y.pixels()
    }

    /// Multiply-accumulates.
    pub fn macs(&self) -> u64 {
        self.pixels() as u64 * self.params.weight_shape().iter().product::<usize>() as u64
    }

    /// The uniform block.
    pub fn dims(&self) -> Conv2dDims {
        let (r, r_step, r_before) = match self.residual {
            Residual::SubsamplePad { shape, step, before } => (shape, step, before),
            Residual::Same | Residual::None => (self.y, 1, 0),
        };
        let (c4, oc4) = (fours(self.x.c) as u32, fours(self.y.c) as u32);
        Conv2dDims {
            h: self.x.h as u32,
            w: self.x.w as u32,
            c4,
            x_stride: c4,
            oh: self.y.h as u32,
            ow: self.y.w as u32,
            oc4,
            y_stride: oc4,
            x_offset: 0,
            y_offset: 0,
            pixels: self.pixels() as u32,
            r_stride: fours(r.c) as u32,
            r_h: r.h as u32,
            r_w: r.w as u32,
            r_step: r_step as u32,
            r_before: r_before as u32,
            r_channels: r.c as u32,
            pad: [0; 3],
        }
    }

    fn overrides(&self) -> Vec<(&'static str, u32)> {
        let residual = match self.residual {
            Residual::None => 0,
            Residual::Same => 1,
            Residual::SubsamplePad { .. } => 2,
        };
        vec![
            ("KERNEL", self.params.kernel as u32),
            ("STRIDE", self.params.stride as u32),
            ("PADDING", self.params.padding as u32),
            ("RELU", self.relu as u32),
            ("RESIDUAL", residual),
        ]
    }

    /// The kernel `variant` for this convolution, and its grid.
    pub fn kernel(&self, variant: Variant, stored: Precision, output: Precision) -> (KernelKey, [u32; 3]) {
        let mut overrides = self.overrides();
        let (shader, consts, pixels, vectors) = match variant {
            Variant::Registers { pixels } => (ShaderId::Conv2dRegisters, vec![("PIXELS", pixels)], 8 * pixels, 8),
            Variant::Broadcast { lanes } => {
                overrides.push(("LANES", lanes));
                (ShaderId::Conv2dBroadcast, Vec::new(), 16, lanes)
            }
            Variant::Tiled { rows, columns } => {
                (ShaderId::Conv2dTiled, vec![("ROWS", rows), ("COLUMNS", columns)], 16 * rows, 4 * columns)
            }
        };
        let key = KernelKey { shader, stored, output, consts, overrides };
        let tiles = |extent: usize, tile: u32| extent.div_ceil(tile as usize) as u32;
        (key, [tiles(self.pixels(), pixels), tiles(fours(self.y.c), vectors), 1])
    }
}
