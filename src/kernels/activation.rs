//! Activations that no other kernel does in its epilogue.

use bytemuck::{Pod, Zeroable};

use super::{Binding, KernelKey, Precision, Shader, ShaderId, View};
use crate::graph::Activation;

/// `shaders/activation.wgsl`: one invocation yields four channels of one pixel.
pub const ACTIVATION: Shader = Shader {
    name: "activation",
    parts: &[include_str!("../../shaders/activation.wgsl")],
    bindings: &[Binding::Uniform(size_of::<ActivationDims>() as u64), Binding::Read, Binding::Write],
};

const WORKGROUP: usize = 64;

/// Uniform block of the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct ActivationDims {
    /// Pixels of the whole batch.
    pub pixels: u32,
    /// Channels in fours.
    pub c4: u32,
    /// Vectors from one input pixel to the next.
    pub x_stride: u32,
    /// Vector at which the input's channels start.
    pub x_offset: u32,
    /// Vectors from one output pixel to the next.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// The number of those activations that have one.
    pub number: f32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: u32,
}

/// The kernel's key, uniform block and grid for `activation` of each element of `x`, into `y`.
pub fn kernel(
    stored: Precision,
    output: Precision,
    activation: Activation,
    x: View,
    y: View,
) -> (KernelKey, ActivationDims, [u32; 3]) {
    let overrides = vec![("FUNCTION", function(activation))];
    let key = KernelKey { shader: ShaderId::Activation, stored, output, consts: Vec::new(), overrides };
    let dims = ActivationDims {
        pixels: y.pixels() as u32,
        c4: y.c4(),
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        number: activation.parameter().unwrap_or(0.0),
        pad: 0,
    };
    // A row of workgroups is at most 32768 long, so that any size fits into the limits of a dispatch.
    let groups = (y.pixels() * y.c4() as usize).div_ceil(WORKGROUP);
    let rows = groups.div_ceil(32768).max(1);
    (key, dims, [groups.div_ceil(rows) as u32, rows as u32, 1])
}

/// The shader's number of an activation.
fn function(activation: Activation) -> u32 {
    match activation {
        Activation::Relu6 => 0,
        Activation::LeakyRelu(_) => 1,
        Activation::Silu => 2,
        Activation::Mish => 3,
        Activation::Gelu => 4,
        Activation::GeluTanh => 5,
        Activation::QuickGelu => 6,
        Activation::Tanh => 7,
        Activation::HardSigmoid => 8,
        Activation::HardSwish => 9,
        Activation::HardMish => 10,
        Activation::Elu(_) => 11,
        Activation::Celu(_) => 12,
        Activation::Selu => 13,
        Activation::Relu => 14,
        Activation::Sigmoid => 15,
        Activation::Identity => 16,
    }
}
