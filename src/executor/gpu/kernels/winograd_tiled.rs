//! Winograd's F(4x4, 3x3) without subgroups: the tiled kernel computes the matrix products.

use super::{
    Array, Caps, Kernel, KernelId, Packing, Problem, Residual, Setting, Shader, Types, View, Work,
    conv2d::{BINDINGS, Conv2d, SHARED},
    tiled::{self, Parts, Tile},
    winograd::{dims, form, input, output, per_invocation, scratch, tolerance},
    winograd_tile::Tile::Four,
};
use crate::{graph::Conv2dParams, network::Activation, tensor::Shape};

/// `shaders/conv2d_winograd_tiled_input.wgsl`: transforms 6x6 windows of the input to 36 numbers each; an invocation takes half a
/// vector of one window.
pub const INPUT: Shader = Shader::new(
    "conv2d_winograd_tiled_input",
    &[SHARED, include_str!("../../../../shaders/conv2d_winograd_tiled_input.wgsl")],
    BINDINGS,
);

/// `shaders/conv2d_winograd_tiled_output.wgsl`: transforms 36 numbers to 4x4 outputs, with the epilogue.
pub const OUTPUT: Shader = Shader::new(
    "conv2d_winograd_tiled_output",
    &[
        SHARED,
        include_str!("../../../../shaders/lib/winograd4.wgsl"),
        include_str!("../../../../shaders/conv2d_winograd_tiled_output.wgsl"),
    ],
    BINDINGS,
);

/// `conv2d.winograd-tiled.PIXELSxCHANNELS`, with the tile of the matrix products.
pub const fn id(tile: Tile) -> KernelId {
    KernelId::new(&KERNEL, tile.setting())
}

/// One of the matrix products, as a 1x1 convolution whose pixels are tiles.
pub fn product(conv: &Conv2d) -> Conv2d {
    let row = |channels| View::whole(Shape::new(1, channels, 1, dims(conv, Four).tiles as usize));
    Conv2d {
        params: Conv2dParams::pointwise(conv.params.in_channels, conv.params.out_channels),
        x: row(conv.params.in_channels),
        y: row(conv.params.out_channels),
        prologue: false,
        residual: Residual::None,
        activation: Activation::None,
    }
}

pub(super) const KERNEL: Kernel = Kernel {
    settings: |_| vec![Tile::P64C64.setting()],
    is_exact: false,
    tolerance: |_, problem| tolerance(Four, problem),
    ..Kernel::new("conv2d.winograd-tiled", &[&INPUT, &tiled::SHADER, &OUTPUT], work)
};

fn work(setting: Setting, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
    let (tile, conv) = (Tile::of(setting)?, form(problem, types)?);
    let dims = dims(&conv, Four);
    let matrices = Parts::Matrices(Four.points(), Array::Winograd(Four, Packing::Rows));
    let dispatches = vec![
        input(&INPUT, &dims, None, per_invocation(dims.tiles.saturating_mul(2 * dims.c4))),
        tile.dispatch(&product(&conv), types, matrices, caps)?,
        output(&OUTPUT, &dims, &conv),
    ];
    Some(Work { dispatches, scratch: scratch(&dims, Four) })
}
