//! The maximum over all pixels, or the mean of that and the mean over all pixels.

use super::{
    Applied, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, NAN, Problem, Role, Setting, Shader, Types, Work,
    pool2d::PoolDims,
};
use crate::graph::Plain;

/// `shaders/global_max_pool.wgsl`: one invocation yields four channels of one image.
pub const SHADER: Shader = Shader::new(
    "global_max_pool",
    &[NAN, include_str!("../../../../shaders/global_max_pool.wgsl")],
    &[Binding::Uniform(size_of::<PoolDims>() as u64), Binding::Read, Binding::Write],
);

/// `global-max-pool.serial`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

pub(super) const KERNEL: Kernel = Kernel::new("global-max-pool.serial", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(pool @ Applied { op: Plain::GlobalMaxPool | Plain::GlobalAvgMaxPool, .. }) = problem else {
        return None;
    };
    let mean = pool.op == Plain::GlobalAvgMaxPool;
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: vec![("MEAN", mean as u32)] },
        uniform: bytemuck::bytes_of(&PoolDims::new(pool.x, pool.y)).to_vec(),
        grid: [pool.x.c4().div_ceil(WORKGROUP), pool.x.shape.n as u32, 1],
        operands: vec![Role::X, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}
