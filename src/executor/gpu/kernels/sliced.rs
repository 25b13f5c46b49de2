//! For few pixels and long sums: the tiled kernel over slices of each sum, then a kernel that adds up the slices.

use super::{
    Caps, Dispatch, Kernel, KernelId, KernelKey, Problem, Role, Setting, Shader, Types, Work,
    conv2d::{BIAS, BINDINGS, SHARED},
    tiled::{self, Parts, Tile, terms},
};
use crate::tensor::StorageType;

/// `shaders/conv2d_reduce.wgsl`: adds up slices of a sum.
pub const REDUCE: Shader =
    Shader::new("conv2d_reduce", &[SHARED, include_str!("../../../../shaders/conv2d_reduce.wgsl")], BINDINGS);

/// `conv2d.sliced.PIXELSxCHANNELSxSLICES`: each sum is cut into at most SLICES slices.
pub const fn id(tile: Tile, slices: u32) -> KernelId {
    KernelId::new(&KERNEL, [tile.pixels, tile.channels, slices])
}

pub(super) const KERNEL: Kernel = Kernel {
    settings: |_| vec![[Tile::P32C32.pixels, Tile::P32C32.channels, 3]],
    ..Kernel::new("conv2d.sliced", &[&tiled::SHADER, &REDUCE], work)
};

fn work(setting: Setting, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
    let [.., slices] = setting;
    let (tile, conv) = (Tile::of(setting)?, problem.dense().filter(|_| slices > 0)?);
    // Round up to whole steps of the kernel.
    let slice = terms(&conv).div_ceil(slices).next_multiple_of(tile.depth);
    let vectors = conv.pixels() * conv.y.c4() as usize;
    let sums = tile.dispatch(&conv, Types { output: StorageType::F32, ..types }, Parts::Slices(slice), caps)?;
    let reduce = Dispatch {
        key: KernelKey { shader: &REDUCE, types, consts: Vec::new(), overrides: vec![conv.subsampled()] },
        uniform: sums.uniform.clone(),
        grid: [vectors.div_ceil(64) as u32, 1, 1],
        operands: vec![Role::Unused, Role::Unused, BIAS, Role::Residual, Role::Scratch(0), Role::Y],
        macs: 0,
    };
    let scratch = vec![4 * terms(&conv).div_ceil(slice) as usize * vectors];
    Some(Work { dispatches: vec![sums, reduce], scratch })
}
