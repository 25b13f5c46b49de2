//! Convolutions of more than one group: neighbours read neighbouring channels.

use super::{
    Caps, Kernel, KernelId, Packing, Problem, Setting, Shader, Types, Work,
    conv2d::{BINDINGS, SHARED},
};

/// `shaders/conv2d_grouped.wgsl`.
pub const SHADER: Shader =
    Shader::new("conv2d_grouped", &[SHARED, include_str!("../../../../shaders/conv2d_grouped.wgsl")], BINDINGS);

/// `conv2d.grouped`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

pub(super) const KERNEL: Kernel = Kernel::new("conv2d.grouped", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let conv = problem.grouped()?;
    let dims = conv.dims();
    let divides = |vectors: &u32| dims.group_oc4.is_multiple_of(*vectors);
    let vectors = [8, 4, 2].into_iter().find(divides).unwrap_or(1);
    let grid = [dims.pixels.div_ceil(8), dims.oc4.div_ceil(8 * vectors), 1];
    Some(conv.whole(&SHADER, types, Packing::Rows, vec![("VECTORS", vectors)], &[], grid).into())
}
