//! Group normalisation, EvoNorm-S0 and filter response normalisation, in three dispatches: statistics of channels, statistics of groups,
//! and the norm itself.

use bytemuck::{Pod, Zeroable};

use super::{
    Applied, Array, Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, NAN, Packing, Problem, Role, Setting, Shader,
    Types, Work, conv2d::BIAS, in_rows,
};
use crate::graph::Plain;

/// `shaders/group_norm_channels.wgsl`: a workgroup takes 16 channels of one image.
pub const CHANNELS: Shader = Shader::new(
    "group_norm_channels",
    &[include_str!("../../../../shaders/group_norm_channels.wgsl")],
    &[Binding::Uniform(size_of::<NormDims>() as u64), Binding::Read, Binding::Write],
);

/// `shaders/group_norm_groups.wgsl`: an invocation takes four channels of one image.
pub const GROUPS: Shader = Shader::new(
    "group_norm_groups",
    &[include_str!("../../../../shaders/group_norm_groups.wgsl")],
    &[Binding::Uniform(size_of::<NormDims>() as u64), Binding::Read, Binding::Read, Binding::Write],
);

/// `shaders/group_norm.wgsl`: an invocation yields four channels of one pixel.
pub const NORM: Shader = Shader::new(
    "group_norm",
    &[NAN, include_str!("../../../../shaders/group_norm.wgsl")],
    &[
        Binding::Uniform(size_of::<NormDims>() as u64),
        Binding::Read,
        Binding::Read,
        Binding::Read,
        Binding::Read,
        Binding::Write,
    ],
);

/// `group-norm.channels`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

const WORKGROUP: usize = 64;

/// Uniform block of all three steps.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct NormDims {
    /// Pixels of one image.
    pub pixels: u32,
    /// Channels in fours.
    pub c4: u32,
    /// Channels.
    pub channels: u32,
    /// Channels of a group.
    pub of_group: u32,
    /// Images of the batch.
    pub images: u32,
    /// Vectors from one input pixel to the next.
    pub x_stride: u32,
    /// Vector at which the input's channels start.
    pub x_offset: u32,
    /// Vectors from one output pixel to the next.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// Added to the variance, or to the mean of the squares.
    pub eps: f32,
    /// Fills the block up to a multiple of 16 bytes.
    pub pad: [u32; 2],
}

pub(super) const KERNEL: Kernel =
    Kernel { is_exact: false, tolerance, ..Kernel::new("group-norm.channels", &[&CHANNELS, &GROUPS, &NORM], work) };

/// Sums of 64 pixels side by side, then of the channels of a group, twice; an exponential is off by a few eps.
fn tolerance(_: Setting, problem: &Problem) -> f32 {
    let Problem::Plain(Applied { x, .. }) = problem else { return 0.0 };
    f32::EPSILON * (x.shape.pixels() / 64 + x.shape.c + 64) as f32
}

/// A norm as the shaders know it.
struct Form {
    groups: usize,
    eps: f32,
    /// Whether its statistics describe distances from the mean.
    centred: bool,
    /// The number of its formula.
    number: u32,
}

impl Form {
    fn of(op: Plain) -> Option<Self> {
        match op {
            Plain::GroupNorm { groups, eps, .. } => Some(Form { groups, eps, centred: true, number: 0 }),
            Plain::EvoNorm { groups, eps, .. } => Some(Form { groups, eps, centred: true, number: 1 }),
            Plain::FilterResponseNorm { channels, eps } => {
                Some(Form { groups: channels, eps, centred: false, number: 2 })
            }
            _ => None,
        }
    }
}

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Plain(Applied { op, x, y }) = *problem else { return None };
    let Form { groups, eps, centred, number } = Form::of(op)?;
    let channels = x.shape.c;
    let dims = NormDims {
        pixels: x.shape.pixels() as u32,
        c4: y.c4(),
        channels: channels as u32,
        of_group: (channels / groups) as u32,
        images: x.shape.n as u32,
        x_stride: x.stride,
        x_offset: x.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        eps,
        pad: [0; 2],
    };
    let step = |shader, overrides, grid, operands| Dispatch {
        key: KernelKey { shader, types, consts: Vec::new(), overrides },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid,
        operands,
        macs: 0,
    };
    let weights = Role::Weights(Array::Weights(Packing::Rows));
    let parameters = if number == 0 { Role::Unused } else { Role::Weights(Array::Parameters) };
    let dispatches = vec![
        step(
            &CHANNELS,
            vec![("CENTRED", centred as u32)],
            [dims.c4.div_ceil(4), dims.images, 1],
            vec![Role::X, Role::Scratch(0)],
        ),
        step(
            &GROUPS,
            Vec::new(),
            [dims.c4.div_ceil(WORKGROUP as u32), dims.images, 1],
            vec![Role::Scratch(0), weights, Role::Scratch(1)],
        ),
        step(
            &NORM,
            vec![("FORM", number)],
            in_rows((y.pixels() * dims.c4 as usize).div_ceil(WORKGROUP)),
            vec![Role::X, Role::Scratch(1), BIAS, parameters, Role::Y],
        ),
    ];
    Some(Work { dispatches, scratch: vec![8 * dims.c4 as usize * x.shape.n; 2] })
}
