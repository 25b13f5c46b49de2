//! Residual blocks in which each thread computes four pixels of one output vector.

use super::{
    Caps, Kernel, KernelId, Problem, Setting, Shader, Types, Work,
    block_parts::{Parts, SHARED_BLOCK},
    conv2d::{BINDINGS, SHARED},
};

/// `shaders/block_threads.wgsl`.
pub const SHADER: Shader = Shader::new(
    "block_threads",
    &[SHARED, SHARED_BLOCK, include_str!("../../../../shaders/block_threads.wgsl")],
    BINDINGS,
);

/// `block.threads`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Threads of a workgroup: as many as every WebGPU device has.
const WORKGROUP: u32 = 256;

pub(super) const KERNEL: Kernel = Kernel::new("block.threads", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
    let parts = Parts::new(problem, types, caps, WORKGROUP)?;
    Some(parts.dispatch(&SHADER, types, &[("THREADS", WORKGROUP)], Vec::new()).into())
}
