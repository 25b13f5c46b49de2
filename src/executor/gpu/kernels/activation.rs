//! Activations that could not be fused into another kernel's epilogue.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, NAN, Problem, Role, Setting, Shader, Types, Work,
    in_rows,
};
use crate::graph::{Activation, Plain};

/// `shaders/activation.wgsl`: one invocation yields four channels of one pixel.
pub const SHADER: Shader = Shader::new(
    "activation",
    &[NAN, include_str!("../../../../shaders/activation.wgsl")],
    &[Binding::Uniform(size_of::<ActivationDims>() as u64), Binding::Read, Binding::Write],
);

/// `activation.vectors`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

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
    /// The parameter of activations that have one, such as a leaky ReLU's slope.
    pub number: f32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: u32,
}

pub(super) const KERNEL: Kernel = Kernel::new("activation.vectors", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op: Plain::Activation(function), x, y }) = *problem else { return None };
    let dims = ActivationDims {
        pixels: y.pixels() as u32,
        c4: y.c4(),
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        number: function.parameter().unwrap_or(0.0),
        pad: 0,
    };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: vec![("FUNCTION", number(function))] },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid: in_rows((y.pixels() * y.c4() as usize).div_ceil(WORKGROUP)),
        operands: vec![Role::X, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}

/// The number by which the shader knows an activation.
fn number(function: Activation) -> u32 {
    match function {
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
