//! Pooling kernels: a window (maximum or mean), and mean and maximum over all pixels.

use bytemuck::{Pod, Zeroable};

use super::{Binding, KernelKey, Precision, Shader, ShaderId, View};
use crate::graph::PoolParams;

/// `shaders/pool2d.wgsl`: one invocation yields four channels of one output pixel.
pub const POOL2D: Shader = Shader {
    name: "pool2d",
    parts: &[include_str!("../../shaders/pool2d.wgsl")],
    bindings: &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Read, Binding::Write],
};

/// `shaders/global_avg_pool.wgsl`: one invocation yields four channels of one image.
pub const GLOBAL_AVG_POOL: Shader = Shader {
    name: "global_avg_pool",
    parts: &[include_str!("../../shaders/global_avg_pool.wgsl")],
    bindings: &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Write],
};

/// `shaders/global_max_pool.wgsl`: one invocation yields four channels of one image.
pub const GLOBAL_MAX_POOL: Shader = Shader {
    name: "global_max_pool",
    parts: &[include_str!("../../shaders/global_max_pool.wgsl")],
    bindings: &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Write],
};

/// Invocations of a workgroup of the kernels.
const WORKGROUP: usize = 64;

/// Uniform block of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct PoolDims {
    /// Input rows.
    pub h: u32,
    /// Input columns.
    pub w: u32,
    /// Channels in fours.
    pub c4: u32,
    /// Output rows.
    pub oh: u32,
    /// Output columns.
    pub ow: u32,
    /// Images.
    pub n: u32,
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

impl PoolDims {
    fn new(x: View, y: View) -> Self {
        PoolDims {
            h: x.shape.h as u32,
            w: x.shape.w as u32,
            c4: x.c4(),
            oh: y.shape.h as u32,
            ow: y.shape.w as u32,
            n: x.shape.n as u32,
            x_stride: x.stride,
            x_offset: x.offset,
            y_stride: y.stride,
            y_offset: y.offset,
            pad: [0; 2],
        }
    }
}

/// A kernel with what its dispatch needs.
pub type Dispatch = (KernelKey, PoolDims, [u32; 3]);

/// A window that moves over its input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Maximum, else mean. Padding never wins and is not counted.
    pub max: bool,
    /// Extents.
    pub params: PoolParams,
    /// Scale, shift and ReLU on the input.
    pub prologue: bool,
}

/// `window` over `x`, into `y`.
pub fn window(stored: Precision, output: Precision, window: Window, x: View, y: View) -> Dispatch {
    let key = KernelKey {
        shader: ShaderId::Pool2d,
        stored,
        output,
        consts: Vec::new(),
        overrides: vec![
            ("KERNEL", window.params.kernel as u32),
            ("STRIDE", window.params.stride as u32),
            ("PADDING", window.params.padding as u32),
            ("MAX", window.max as u32),
            ("PROLOGUE", window.prologue as u32),
        ],
    };
    let invocations = y.shape.pixels() * y.c4() as usize;
    (key, PoolDims::new(x, y), [invocations.div_ceil(WORKGROUP) as u32, x.shape.n as u32, 1])
}

/// Mean over all pixels of `x`, into `y` of one pixel.
pub fn global(stored: Precision, output: Precision, x: View, y: View) -> Dispatch {
    let key = KernelKey { shader: ShaderId::GlobalAvgPool, stored, output, consts: Vec::new(), overrides: Vec::new() };
    (key, PoolDims::new(x, y), [x.c4().div_ceil(WORKGROUP as u32), x.shape.n as u32, 1])
}

/// Maximum over all pixels of `x`, or the mean of that and their `mean`, into `y` of one pixel.
pub fn global_max(stored: Precision, output: Precision, mean: bool, x: View, y: View) -> Dispatch {
    let (shader, overrides) = (ShaderId::GlobalMaxPool, vec![("MEAN", mean as u32)]);
    let (_, dims, grid) = global(stored, output, x, y);
    (KernelKey { shader, stored, output, consts: Vec::new(), overrides }, dims, grid)
}
