//! Matrix-vector product for linear layers. Batches go through the 1x1 convolution instead, which is a GEMM.

use bytemuck::{Pod, Zeroable};

use super::{Binding, Caps, KernelKey, Precision, Shader, ShaderId, View};

/// `shaders/linear_gemv.wgsl`: a workgroup yields `4 * LANES` outputs of one image.
pub const GEMV: Shader = Shader {
    name: "linear_gemv",
    parts: &[include_str!("../../shaders/linear_gemv.wgsl")],
    bindings: &[
        Binding::Uniform(size_of::<LinearDims>() as u64),
        Binding::Read,
        Binding::Read,
        Binding::Read,
        Binding::Write,
    ],
};

/// Output vectors side by side in a workgroup (fixed in the shader).
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

/// `y[n][out] = x[n][in] W + b` for the images of `x`, `W` packed `[in][out]`.
pub fn gemv(stored: Precision, output: Precision, caps: &Caps, x: View, y: View) -> (KernelKey, LinearDims, [u32; 3]) {
    // Slices of the sum run side by side and meet in workgroup memory; a software adapter gains nothing from that.
    let slices = if caps.software { 1 } else { 16 };
    let key = KernelKey {
        shader: ShaderId::LinearGemv,
        stored,
        output,
        consts: Vec::new(),
        overrides: vec![("SLICES", slices)],
    };
    let dims = LinearDims {
        in4: x.c4(),
        out4: y.c4(),
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        pad: [0; 2],
    };
    (key, dims, [y.c4().div_ceil(LANES), x.shape.n as u32, 1])
}
