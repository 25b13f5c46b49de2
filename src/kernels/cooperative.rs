//! Convolution on cooperative matrices (tensor cores), f16 with sums in f32: `conv2d_cooperative`.

use super::{
    KernelKey, Precision, Shader, ShaderId,
    conv2d::{BINDINGS, Conv2d, Dispatch, Role, SHARED},
    tiled::SHARED_GEMM,
};

/// `shaders/conv2d_cooperative.wgsl`: implicit GEMM, 64 pixels x 64 channels a workgroup.
pub const COOPERATIVE: Shader = Shader {
    name: "conv2d_cooperative",
    parts: &[
        SHARED,
        SHARED_GEMM,
        include_str!("../../shaders/lib/cooperative.wgsl"),
        include_str!("../../shaders/conv2d_cooperative.wgsl"),
    ],
    bindings: BINDINGS,
};

/// Bytes of workgroup memory of the kernel.
pub const WORKGROUP_BYTES: u32 = 64 * 10 * 8 + 32 * 18 * 8 + 64 * 17 * 16;

/// Workgroups for a convolution.
pub fn workgroups(conv: &Conv2d) -> u32 {
    grid(conv).iter().product()
}

fn grid(conv: &Conv2d) -> [u32; 3] {
    [conv.y.c4().div_ceil(16), (conv.pixels() as u32).div_ceil(64), 1]
}

/// The whole convolution in one dispatch, stored in f16.
pub(super) fn dispatch(conv: &Conv2d, output: Precision) -> Dispatch {
    let mut overrides = conv.overrides();
    overrides.push(("PARTS", 0));
    let shader = ShaderId::Conv2dCooperative;
    Dispatch {
        key: KernelKey { shader, stored: Precision::F16, output, consts: Vec::new(), overrides },
        dims: conv.dims(),
        grid: grid(conv),
        operands: Role::WHOLE,
        macs: conv.macs(),
    }
}
