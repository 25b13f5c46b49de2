//! Pooling kernels: a window (maximum or mean) and the mean over all pixels.

use bytemuck::{Pod, Zeroable};

use super::{Binding, KernelKey, Precision, Shader, ShaderId, fours};
use crate::{graph::PoolParams, tensor::Shape};

/// `shaders/pool2d.wgsl`: one invocation yields four channels of one output pixel.
pub const POOL2D: Shader = Shader {
    name: "pool2d",
    parts: &[include_str!("../../shaders/pool2d.wgsl")],
    bindings: &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Write],
};

/// `shaders/global_avg_pool.wgsl`: one invocation yields four channels of one image.
pub const GLOBAL_AVG_POOL: Shader = Shader {
    name: "global_avg_pool",
    parts: &[include_str!("../../shaders/global_avg_pool.wgsl")],
    bindings: &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Write],
};

/// Invocations of a workgroup of both kernels.
const WORKGROUP: usize = 64;

/// Uniform block of both kernels.
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
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: [u32; 2],
}

impl PoolDims {
    fn new(x: Shape, y: Shape) -> Self {
        PoolDims {
            h: x.h as u32,
            w: x.w as u32,
            c4: fours(x.c) as u32,
            oh: y.h as u32,
            ow: y.w as u32,
            n: x.n as u32,
            pad: [0; 2],
        }
    }
}

/// A kernel with what its dispatch needs.
pub type Dispatch = (KernelKey, PoolDims, [u32; 3]);

/// Maximum (`max`) or mean over a window, `x` to `y`. Padding never wins and is not counted.
pub fn window(stored: Precision, output: Precision, max: bool, params: PoolParams, x: Shape, y: Shape) -> Dispatch {
    let key = KernelKey {
        shader: ShaderId::Pool2d,
        stored,
        output,
        consts: Vec::new(),
        overrides: vec![
            ("KERNEL", params.kernel as u32),
            ("STRIDE", params.stride as u32),
            ("PADDING", params.padding as u32),
            ("MAX", max as u32),
        ],
    };
    let invocations = y.pixels() * fours(y.c);
    (key, PoolDims::new(x, y), [invocations.div_ceil(WORKGROUP) as u32, x.n as u32, 1])
}

/// Mean over all pixels of `x`.
pub fn global(stored: Precision, output: Precision, x: Shape) -> Dispatch {
    let key = KernelKey { shader: ShaderId::GlobalAvgPool, stored, output, consts: Vec::new(), overrides: Vec::new() };
    let y = Shape::new(x.n, x.c, 1, 1);
    (key, PoolDims::new(x, y), [fours(x.c).div_ceil(WORKGROUP) as u32, x.n as u32, 1])
}
