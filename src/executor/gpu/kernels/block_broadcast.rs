//! Residual blocks on subgroups whose lanes share inputs by broadcast.

use super::{
    Caps, Kernel, KernelId, Problem, Setting, Shader, Types, Work,
    block_parts::{Parts, SHARED_BLOCK},
    conv2d::{BINDINGS, SHARED},
};

/// `shaders/block_broadcast.wgsl`.
pub const SHADER: Shader = Shader::new(
    "block_broadcast",
    &[SHARED, SHARED_BLOCK, include_str!("../../../../shaders/block_broadcast.wgsl")],
    BINDINGS,
);

/// `block.broadcast.LANES`, for subgroups of exactly this size, at least 8.
pub const fn id(lanes: u32) -> KernelId {
    KernelId::new(&KERNEL, [lanes, 0, 0])
}

/// Largest number of channel vectors.
const VECTORS: u32 = 16;

pub(super) const KERNEL: Kernel = Kernel {
    settings: |caps| caps.lanes().map(|lanes| [lanes, 0, 0]).into_iter().collect(),
    ..Kernel::new("block.broadcast", &[&SHADER], work)
};

fn work([lanes, ..]: Setting, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
    let parts = Parts::new(problem, types, caps, VECTORS).filter(|_| lanes >= 8)?;
    let (dims, rows) = (parts.dims, parts.rows);
    let vectors = dims.c4.next_power_of_two().max(4);
    let first = (rows + 2.min(parts.count - 1)).min(dims.h) * dims.w;
    let consts = [("GROUPS", groups(vectors, [first, rows * dims.w])), ("VECTORS", vectors)];
    Some(parts.dispatch(&SHADER, types, &consts, vec![("LANES", lanes)]).into())
}

/// Pixels to sum up at a time, in eights, for two convolutions of `pixels` pixels each. Costs are counted in tenths of a vector
/// load from storage: for the weights, and for each eight pixels a load from workgroup memory and the products.
fn groups(vectors: u32, pixels: [u32; 2]) -> u32 {
    let (most, weights) = if vectors == 16 { (5, 80) } else { (7, 40) };
    let cost = |groups: &u32| {
        let times: u32 = pixels.iter().map(|pixels| pixels.div_ceil(8 * groups)).sum();
        times * (weights + groups * (3 + 2 * vectors))
    };
    (1..=most).min_by_key(cost).unwrap_or(1)
}
