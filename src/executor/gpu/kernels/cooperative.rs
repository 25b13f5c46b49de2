//! Convolution on cooperative matrices (tensor cores), in f16 with sums in f32. Implicit GEMM; a workgroup computes 64 pixels x
//! 64 channels.

use super::{
    Caps, Kernel, KernelId, Packing, Problem, Setting, Shader, Types, Work,
    conv2d::{BINDINGS, Conv2d, SHARED},
    tiled::SHARED_GEMM,
};
use crate::tensor::StorageType;

/// `shaders/conv2d_cooperative.wgsl`.
pub const SHADER: Shader = Shader {
    enable: Some("wgpu_cooperative_matrix"),
    ..Shader::new(
        "conv2d_cooperative",
        &[
            SHARED,
            SHARED_GEMM,
            include_str!("../../../../shaders/lib/cooperative.wgsl"),
            include_str!("../../../../shaders/conv2d_cooperative.wgsl"),
        ],
        BINDINGS,
    )
};

/// `conv2d.cooperative`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Bytes of workgroup memory of the kernel.
pub const WORKGROUP_BYTES: u32 = 64 * 10 * 8 + 32 * 18 * 8 + 64 * 17 * 16;

/// Number of workgroups for a convolution.
pub fn workgroups(conv: &Conv2d) -> u32 {
    grid(conv).iter().product()
}

fn grid(conv: &Conv2d) -> [u32; 3] {
    [conv.y.c4().div_ceil(16), (conv.pixels() as u32).div_ceil(64), 1]
}

pub(super) const KERNEL: Kernel = Kernel {
    settings: |caps| {
        if caps.cooperative { vec![[0; 3]] } else { Vec::new() }
    },
    ..Kernel::new("conv2d.cooperative", &[&SHADER], work)
};

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let conv = problem.dense().filter(|_| types.stored == StorageType::F16)?;
    Some(conv.whole(&SHADER, types, Packing::Rows, Vec::new(), &[("PARTS", 0)], grid(&conv)).into())
}
