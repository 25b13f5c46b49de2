//! The mean over all pixels, in slices that run in parallel.

use super::{
    Applied, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, Problem, Role, Setting, Shader, Types, Work,
    pool2d::PoolDims,
};
use crate::graph::Plain;

/// `shaders/global_avg_pool_slices.wgsl`: a workgroup yields 64 channels of one image.
pub const SHADER: Shader = Shader::new(
    "global_avg_pool_slices",
    &[include_str!("../../../../shaders/global_avg_pool_slices.wgsl")],
    &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Write],
);

/// `global-avg-pool.slices`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

pub(super) const KERNEL: Kernel = Kernel::new("global-avg-pool.slices", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(pool @ Applied { op: Plain::GlobalAvgPool, .. }) = problem else { return None };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: Vec::new() },
        uniform: bytemuck::bytes_of(&PoolDims::new(pool.x, pool.y)).to_vec(),
        grid: [pool.x.c4().div_ceil(16), pool.x.shape.n as u32, 1],
        operands: vec![Role::X, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}
