//! Winograd's minimal filtering for 3x3 convolutions of stride 1 in f32, in three dispatches with two arrays between them (Lavin
//! and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4), on subgroups. [`super::winograd_tiled`] needs
//! no subgroups.

use super::{
    Array, Caps, Dispatch, Kernel, KernelId, KernelKey, Packing, Problem, Role, Setting, Shader, Types, Work,
    broadcast::{self, SHARED_BROADCAST, eights},
    conv2d::{BIAS, BINDINGS, Conv2d, Conv2dDims, SHARED},
    winograd_tile::Tile,
};

macro_rules! transform_shader {
    ($name:literal $(, after $lib:literal)?) => {
        Shader::new(
            $name,
            &[
                SHARED,
                $(include_str!(concat!("../../../../shaders/lib/", $lib, ".wgsl")),)?
                include_str!(concat!("../../../../shaders/", $name, ".wgsl")),
            ],
            BINDINGS,
        )
    };
}

/// `shaders/conv2d_winograd2_input.wgsl`: transforms 4x4 windows of the input to 16 numbers each.
pub const INPUT2: Shader = transform_shader!("conv2d_winograd2_input");
/// `shaders/conv2d_winograd4_input.wgsl`: transforms 6x6 windows of the input to 36 numbers each.
pub const INPUT4: Shader = transform_shader!("conv2d_winograd4_input");
/// `shaders/conv2d_winograd_output.wgsl`: transforms 16 numbers to 2x2 outputs, with the epilogue.
pub const OUTPUT2: Shader = transform_shader!("conv2d_winograd_output", after "winograd2");
/// The same file: transforms 36 numbers to 4x4 outputs.
pub const OUTPUT4: Shader = transform_shader!("conv2d_winograd_output", after "winograd4");

/// `shaders/conv2d_winograd_gemm.wgsl`: a matrix product for each number of a tile.
pub const GEMM: Shader = Shader::new(
    "conv2d_winograd_gemm",
    &[SHARED, SHARED_BROADCAST, include_str!("../../../../shaders/conv2d_winograd_gemm.wgsl")],
    BINDINGS,
);

/// Input vectors that a workgroup of [`INPUT2`] or [`INPUT4`] transforms in turn (fixed in the shaders).
const CHANNELS: u32 = 16;

/// `conv2d.winograd.OUTPUTSxLANES`: rows and columns of outputs of a tile, for subgroups of exactly this size, at least 8.
pub const fn id(tile: Tile, lanes: u32) -> KernelId {
    KernelId::new(&KERNEL, setting(tile, lanes))
}

const fn setting(tile: Tile, lanes: u32) -> Setting {
    [tile.outputs() as u32, lanes, 0]
}

/// The convolution, if the problem is one that Winograd's algorithm can compute.
pub(super) fn form(problem: &Problem, types: Types) -> Option<Conv2d> {
    let conv = problem.convolution().filter(|conv| types == Types::F32 && !conv.prologue)?;
    let params = conv.params;
    let window = (params.kernel, params.stride, params.padding, params.dilation);
    (params.groups == 1 && window == (3, 1, 1, 1)).then_some(conv)
}

/// The uniform block of all three steps.
pub fn dims(conv: &Conv2d, tile: Tile) -> Conv2dDims {
    let across = |extent: usize| extent.div_ceil(tile.outputs()) as u32;
    let (tiles_h, tiles_w) = (across(conv.y.shape.h), across(conv.y.shape.w));
    Conv2dDims { tiles_w, tiles_h, tiles: conv.y.shape.n as u32 * tiles_h * tiles_w, ..conv.dims() }
}

/// Number of elements of the two arrays between the steps: `[points][tiles][c4]` and `[points][tiles][oc4]` vectors of four.
pub(super) fn scratch(dims: &Conv2dDims, tile: Tile) -> Vec<usize> {
    [dims.c4, dims.oc4].map(|vectors| tile.points() * 4 * dims.tiles as usize * vectors as usize).into()
}

/// Largest error of an output, relative to the largest output.
pub(super) fn tolerance(tile: Tile, problem: &Problem) -> f32 {
    f32::EPSILON * (problem.terms() / 9 + 32) as f32 * tile.growth()
}

/// The first step: `shader` transforms the input.
pub(super) fn input(shader: &'static Shader, dims: &Conv2dDims, lanes: Option<u32>, grid: [u32; 3]) -> Dispatch {
    let unused = Role::Unused;
    let overrides = lanes.map(|lanes| ("LANES", lanes)).into_iter().collect();
    step(shader, dims, Vec::new(), overrides, grid, vec![Role::X, unused, unused, unused, unused, Role::Scratch(0)])
}

/// The last step: `shader` transforms the products to outputs.
pub(super) fn output(shader: &'static Shader, dims: &Conv2dDims, conv: &Conv2d) -> Dispatch {
    let operands = vec![Role::Scratch(1), Role::Unused, BIAS, Role::Residual, Role::Unused, Role::Y];
    step(
        shader,
        dims,
        Vec::new(),
        vec![conv.subsampled()],
        per_invocation(dims.tiles.saturating_mul(dims.oc4)),
        operands,
    )
}

/// The grid of a transform with one invocation for each tile and vector.
pub(super) fn per_invocation(count: u32) -> [u32; 3] {
    let groups = count.div_ceil(64);
    [groups.min(32768), groups.div_ceil(32768), 1]
}

fn step(
    shader: &'static Shader,
    dims: &Conv2dDims,
    consts: Vec<(&'static str, u32)>,
    overrides: Vec<(&'static str, u32)>,
    grid: [u32; 3],
    operands: Vec<Role>,
) -> Dispatch {
    let key = KernelKey { shader, types: Types::F32, consts, overrides };
    Dispatch { key, uniform: bytemuck::bytes_of(dims).to_vec(), grid, operands, macs: 0 }
}

pub(super) const KERNEL: Kernel = Kernel {
    settings: |caps| {
        let lanes = caps.lanes().into_iter();
        lanes.flat_map(|lanes| Tile::ALL.map(|tile| setting(tile, lanes))).collect()
    },
    is_exact: false,
    tolerance: |[outputs, ..], problem| tolerance(Tile::of(outputs).unwrap_or(Tile::Four), problem),
    ..Kernel::new("conv2d.winograd", &[&INPUT2, &INPUT4, &GEMM, &OUTPUT2, &OUTPUT4], work)
};

fn work([outputs, lanes, _]: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let tile = Tile::of(outputs).filter(|_| lanes >= 8)?;
    let conv = form(problem, types)?;
    let dims = dims(&conv, tile);
    let (first, last) = match tile {
        Tile::Two => (&INPUT2, &OUTPUT2),
        Tile::Four => (&INPUT4, &OUTPUT4),
    };
    let groups = eights(dims.tiles as usize);
    let consts = broadcast::consts(groups, conv.params.in_channels, conv.params.out_channels);
    let grid = [dims.tiles.div_ceil(8 * groups), dims.oc4.div_ceil(lanes), tile.points() as u32];
    let (weights, unused) = (Role::Weights(Array::Winograd(tile, Packing::Strips)), Role::Unused);
    let operands = vec![Role::Scratch(0), weights, unused, unused, unused, Role::Scratch(1)];
    let products = step(&GEMM, &dims, consts, vec![("LANES", lanes)], grid, operands);
    let terms = (tile.points() * conv.params.in_channels * conv.params.out_channels) as u64;
    let dispatches = vec![
        input(first, &dims, Some(lanes), [dims.tiles, dims.c4.div_ceil(CHANNELS), 1]),
        Dispatch { macs: terms * u64::from(dims.tiles), ..products },
        output(last, &dims, &conv),
    ];
    Some(Work { dispatches, scratch: scratch(&dims, tile) })
}
