//! 3x3 convolutions of more than one group for software adapters: each input of a row is loaded once.

use super::{
    Caps, Kernel, KernelId, Packing, Problem, Setting, Shader, Types, Work,
    conv2d::{BINDINGS, SHARED},
};

/// `shaders/conv2d_grouped_rows.wgsl`.
pub const SHADER: Shader = Shader::new(
    "conv2d_grouped_rows",
    &[SHARED, include_str!("../../../../shaders/conv2d_grouped_rows.wgsl")],
    BINDINGS,
);

/// `conv2d.grouped-rows`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

pub(super) const KERNEL: Kernel = Kernel::new("conv2d.grouped-rows", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let conv = problem.grouped()?;
    let dims = conv.dims();
    if (dims.kernel, dims.padding, dims.dilation) != (3, 1, 1) || dims.stride > 2 {
        return None;
    }
    let outputs = if dims.stride == 1 && dims.ow > 7 { 14 } else { 7 };
    let grid = [dims.ow.div_ceil(outputs), dims.oc4.div_ceil(8), dims.pixels / dims.ow];
    let (consts, overrides) = (vec![("PIXELS", outputs)], [("STRIDE", dims.stride)]);
    Some(conv.whole(&SHADER, types, Packing::Rows, consts, &overrides, grid).into())
}
