//! A window that moves over its input, maximum or mean.

use bytemuck::{Pod, Zeroable};

use super::{
    Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, NAN, Problem, Role, Setting, Shader, Types, View, Work,
    conv2d::AFFINE,
};

/// `shaders/pool2d.wgsl`: one invocation yields four channels of one output pixel.
pub const SHADER: Shader = Shader::new(
    "pool2d",
    &[NAN, include_str!("../../../../shaders/pool2d.wgsl")],
    &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Read, Binding::Write],
);

/// `pool2d.window`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Invocations of a workgroup.
const WORKGROUP: usize = 64;

/// Uniform block of the pooling kernels.
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
    /// The uniform block for `x` into `y`.
    pub(super) fn new(x: View, y: View) -> Self {
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

pub(super) const KERNEL: Kernel = Kernel::new("pool2d.window", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Pool2d(pool) = problem else { return None };
    let overrides = vec![
        ("KERNEL", pool.params.kernel as u32),
        ("STRIDE", pool.params.stride as u32),
        ("PADDING", pool.params.padding as u32),
        ("MAX", pool.max as u32),
        ("PROLOGUE", pool.prologue as u32),
    ];
    let invocations = pool.y.shape.pixels() * pool.y.c4() as usize;
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides },
        uniform: bytemuck::bytes_of(&PoolDims::new(pool.x, pool.y)).to_vec(),
        grid: [invocations.div_ceil(WORKGROUP) as u32, pool.x.shape.n as u32, 1],
        operands: vec![Role::X, AFFINE, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}
