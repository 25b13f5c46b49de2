//! Linear layers as matrix-vector products, one for each image.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Array, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, Packing, Problem, Role, Setting, Shader,
    Types, Work, conv2d::BIAS,
};
use crate::graph::Plain;

/// `shaders/linear_gemv.wgsl`: a workgroup yields `4 * LANES` outputs of one image.
pub const SHADER: Shader = Shader::new(
    "linear_gemv",
    &[include_str!("../../../../shaders/linear_gemv.wgsl")],
    &[Binding::Uniform(size_of::<LinearDims>() as u64), Binding::Read, Binding::Read, Binding::Read, Binding::Write],
);

/// `linear.gemv.SLICES`: each sum is cut into slices that run in parallel and are added up in workgroup memory.
pub const fn id(slices: u32) -> KernelId {
    KernelId::new(&KERNEL, [slices, 0, 0])
}

/// The numbers of slices that the rules choose: 1 on software adapters, which gain nothing from more, and 16 on others.
pub const SLICES: [u32; 2] = [1, 16];

/// Output vectors of a workgroup (fixed in the shader).
const LANES: u32 = 16;

/// Uniform block of the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct LinearDims {
    /// Input features in fours.
    pub in4: u32,
    /// Output features in fours.
    pub out4: u32,
    /// Vectors from one image's features to the next's.
    pub x_stride: u32,
    /// Vector at which the features start.
    pub x_offset: u32,
    /// Vectors from one image's outputs to the next's.
    pub y_stride: u32,
    /// Vector at which the outputs start.
    pub y_offset: u32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: [u32; 2],
}

pub(super) const KERNEL: Kernel =
    Kernel { settings: |_| SLICES.map(|slices| [slices, 0, 0]).into(), ..Kernel::new("linear.gemv", &[&SHADER], work) };

fn work([slices, ..]: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op: Plain::Linear { in_features, out_features }, x, y }) = *problem else {
        return None;
    };
    if !SLICES.contains(&slices) {
        return None;
    }
    let dims = LinearDims {
        in4: x.c4(),
        out4: y.c4(),
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        pad: [0; 2],
    };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: vec![("SLICES", slices)] },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid: [y.c4().div_ceil(LANES), x.shape.n as u32, 1],
        operands: vec![Role::X, Role::Weights(Array::Weights(Packing::Rows)), BIAS, Role::Y],
        macs: (y.shape.n * in_features * out_features) as u64,
    };
    Some(dispatch.into())
}
