//! Convolution without workgroup memory, barriers or subgroups: each invocation sums up several pixels in registers.

use super::{
    Caps, Kernel, KernelId, Packing, Problem, Setting, Shader, Types, Work,
    conv2d::{BINDINGS, SHARED},
};

/// `shaders/conv2d_registers.wgsl`.
pub const SHADER: Shader =
    Shader::new("conv2d_registers", &[SHARED, include_str!("../../../../shaders/conv2d_registers.wgsl")], BINDINGS);

/// `conv2d.registers`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

/// Output pixels of an invocation.
const PIXELS: u32 = 8;

pub(super) const KERNEL: Kernel = Kernel::new("conv2d.registers", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let conv = problem.dense()?;
    let grid = [(conv.pixels() as u32).div_ceil(8 * PIXELS), conv.y.c4().div_ceil(8), 1];
    Some(conv.whole(&SHADER, types, Packing::Rows, vec![("PIXELS", PIXELS)], &[], grid).into())
}
