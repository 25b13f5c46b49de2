//! Convolution on subgroups: each lane loads a different input, a broadcast shares it.

use super::{
    Caps, Kernel, KernelId, Packing, Problem, Setting, Shader, Types, Work,
    conv2d::{BINDINGS, SHARED},
};

pub(super) const SHARED_BROADCAST: &str = include_str!("../../../../shaders/lib/broadcast.wgsl");

/// `shaders/conv2d_broadcast.wgsl`.
pub const SHADER: Shader = Shader::new(
    "conv2d_broadcast",
    &[SHARED, SHARED_BROADCAST, include_str!("../../../../shaders/conv2d_broadcast.wgsl")],
    BINDINGS,
);

/// Largest number of output pixels that an invocation sums up, in eights. Measured on llvmpipe: code for more outgrows the
/// instruction cache.
const MAX_GROUPS: usize = 4;

/// `conv2d.broadcast.LANES`, for subgroups of exactly this size, at least 8.
pub const fn id(lanes: u32) -> KernelId {
    KernelId::new(&KERNEL, [lanes, 0, 0])
}

pub(super) const KERNEL: Kernel = Kernel {
    settings: |caps| caps.lanes().map(|lanes| [lanes, 0, 0]).into_iter().collect(),
    ..Kernel::new("conv2d.broadcast", &[&SHADER], work)
};

fn work([lanes, ..]: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let conv = problem.convolution().filter(|_| lanes >= 8)?;
    let groups = eights(conv.pixels());
    let dims = conv.dims();
    let consts = consts(groups, conv.params.in_channels, conv.params.out_channels);
    // Devices take 65535 workgroups along an axis.
    let workgroups = (conv.pixels() as u32).div_ceil(8 * groups);
    let rows = workgroups.div_ceil(1 << 15);
    let grid = [workgroups.div_ceil(rows), dims.oc4 / dims.group_oc4 * dims.group_oc4.div_ceil(lanes), rows];
    let grouped = (dims.group_oc4 < dims.oc4).then_some(("GROUPED", 1));
    let overrides: Vec<(&str, u32)> = [("LANES", lanes)].into_iter().chain(grouped).collect();
    Some(conv.whole(&SHADER, types, Packing::Strips, consts, &overrides, grid).into())
}

/// Pixels (or tiles) of a workgroup of the broadcast kernels, in eights: as many as are worth it, spread evenly over the
/// workgroups.
pub(super) fn eights(pixels: usize) -> u32 {
    let workgroups = pixels.div_ceil(8 * MAX_GROUPS);
    pixels.div_ceil(8 * workgroups) as u32
}

/// The constants of `shaders/lib/broadcast.wgsl` for `inputs` input and `outputs` output channels, and `groups` times eight
/// pixels.
pub(super) fn consts(groups: u32, inputs: usize, outputs: usize) -> Vec<(&'static str, u32)> {
    let strip = Packing::Strips.width(outputs) / 4;
    vec![("GROUPS", groups), ("INPUTS", inputs.min(4) as u32), ("STRIP", strip as u32)]
}
