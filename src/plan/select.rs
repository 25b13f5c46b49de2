//! Which kernel serves a convolution on a device, and why.

use super::{Addend, Epilogue, Layer, LayerOp, Options};
use crate::{
    graph::{Conv2dParams, ValueId},
    kernels::{
        Activation, Caps, View,
        conv2d::{Conv2d, Residual, Variant, blocks},
        winograd::{self, Tile},
    },
    tensor::Shape,
};

/// From this batch on the head's weights are worth reading once for several images.
const GEMM_BATCH: usize = 8;

/// The kernel for a layer that is a convolution or runs as one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// The convolution, each value with a buffer to itself.
    pub(super) conv: Conv2d,
    /// The kernel.
    pub(super) variant: Variant,
    /// Why this one.
    pub(super) reason: &'static str,
}

impl Choice {
    /// Bytes of each array that the kernel needs besides its operands.
    pub(super) fn scratch(self) -> Vec<u64> {
        match self.variant {
            Variant::Winograd { tile, .. } => {
                winograd::scratch(&self.conv, tile).map(|elements| 4 * elements as u64).into()
            }
            _ => Vec::new(),
        }
    }
}

/// The choice for `layer`; nothing where it is no convolution.
pub(super) fn choose(layer: &Layer, shapes: &[Shape], options: &Options, caps: &Caps) -> Option<Choice> {
    let conv = convolution(layer, &|id| View::whole(shapes[id.0]))?;
    if !options.deterministic {
        let (variant, reason) = conv2d(&conv, caps, options);
        return Some(Choice { conv, variant, reason });
    }
    let one = |id: ValueId| View::whole(Shape { n: 1, ..shapes[id.0] });
    let (variant, reason) = conv2d(&convolution(layer, &one)?, caps, options);
    Some(Choice { conv, variant, reason })
}

/// `layer` as a convolution between `view`s, if it is one, or a linear layer over enough images.
pub(super) fn convolution(layer: &Layer, view: &dyn Fn(ValueId) -> View) -> Option<Conv2d> {
    match &layer.op {
        LayerOp::Conv2d { prologue, params, epilogue, .. } => Some(Conv2d {
            params: *params,
            x: view(layer.inputs[0]),
            y: view(layer.output),
            prologue: prologue.is_some(),
            residual: residual(epilogue, view),
            activation: epilogue.activation,
        }),
        LayerOp::Linear { inputs, outputs, .. } if view(layer.output).shape.n >= GEMM_BATCH => {
            // Images become the pixels of one image, and the layer a 1x1 convolution over them.
            let params = Conv2dParams {
                in_channels: *inputs,
                out_channels: *outputs,
                kernel: 1,
                stride: 1,
                padding: 0,
                groups: 1,
            };
            let row = |id: ValueId| {
                let view = view(id);
                View { shape: Shape::new(1, view.shape.c, 1, view.shape.n), ..view }
            };
            let (x, y) = (row(layer.inputs[0]), row(layer.output));
            Some(Conv2d { params, x, y, prologue: false, residual: Residual::None, activation: Activation::None })
        }
        _ => None,
    }
}

/// The second addend of an epilogue.
pub(super) fn residual(epilogue: &Epilogue, view: &dyn Fn(ValueId) -> View) -> Residual {
    match &epilogue.residual {
        None => Residual::None,
        Some(Addend { value, subsample: None }) => Residual::Same(view(*value)),
        Some(Addend { value, subsample: Some(subsample) }) => {
            Residual::SubsamplePad { view: view(*value), step: subsample.stride, before: subsample.before }
        }
    }
}

/// The variant for a convolution, and the reason.
fn conv2d(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, &'static str) {
    let admits = |variant: &Variant| conv.admits(*variant, options.stored);
    if let Some(variant) = options.conv2d.filter(admits) {
        return (variant, "asked for");
    }
    let faulty = |variant: &Variant| options.faulty.contains(&(*variant, options.stored));
    let (variant, reason) = fastest(conv, caps, options);
    match Variant::all(caps.subgroup).into_iter().find(|other| admits(other) && !faulty(other)) {
        Some(other) if faulty(&variant) => (other, "the faster one is wrong on this device, as verify found"),
        _ => (variant, reason),
    }
}

/// The variant that is thought to be the fastest.
fn fastest(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, &'static str) {
    if blocks(&conv.params) > 1 {
        let rows = conv.y.shape.n * conv.y.shape.h;
        let admitted = conv.admits(Variant::GroupedRows, options.stored) && rows <= caps.max_workgroups as usize;
        return if caps.software && admitted {
            (Variant::GroupedRows, "groups, software adapter: each input of a row is loaded once")
        } else {
            (Variant::Grouped, "groups: neighbours read neighbouring channels")
        };
    }
    if caps.software {
        return software(conv, caps, options);
    }
    // Enough workgroups to fill a large GPU matter more than the efficiency of a tile.
    let groups =
        |rows: usize, columns: usize| conv.pixels().div_ceil(16 * rows) * conv.y.shape.c.div_ceil(16 * columns);
    if groups(8, 4) >= 256 {
        (Variant::Tiled { rows: 8, columns: 4 }, "many pixels: the largest tile")
    } else if groups(4, 4) >= 128 {
        (Variant::Tiled { rows: 4, columns: 4 }, "the largest tile would leave processors idle")
    } else if conv.pixels() >= 32 {
        (Variant::Tiled { rows: 2, columns: 2 }, "few pixels: small tiles make more workgroups")
    } else {
        (Variant::Registers { pixels: 1 }, "fewer pixels than the smallest tile")
    }
}

/// From this many channels on the transforms of Winograd's convolution cost less than they save, and from this many tiles of 4x4 on
/// those are better than tiles of 2x2: measured on llvmpipe.
const WINOGRAD_CHANNELS: usize = 64;
const WINOGRAD_TILES: u32 = 16;

fn software(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, &'static str) {
    let Some(lanes) = caps.subgroup.filter(|&lanes| lanes >= 8) else {
        return (Variant::Registers { pixels: 8 }, "software adapter: workgroup memory gains nothing");
    };
    let many = winograd::dims(conv, Tile::Four).tiles >= WINOGRAD_TILES;
    let (tile, reason) = if many {
        (Tile::Four, "software adapter, many channels and tiles: a quarter of the multiplications")
    } else {
        (Tile::Two, "software adapter, many channels, few pixels: 4/9 of the multiplications")
    };
    let winograd = Variant::Winograd { lanes, tile };
    let fits = |&elements: &usize| 4 * elements as u64 <= caps.max_binding_bytes;
    if conv.x.shape.c.min(conv.y.shape.c) >= WINOGRAD_CHANNELS
        && conv.admits(winograd, options.stored)
        && winograd::dims(conv, tile).tiles <= caps.max_workgroups
        && winograd::scratch(conv, tile).iter().all(fits)
    {
        return (winograd, reason);
    }
    (Variant::Broadcast { lanes }, "software adapter: a broadcast is cheaper than a load")
}
