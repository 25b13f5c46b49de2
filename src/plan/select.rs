//! Which kernel serves a convolution on a device, and why.

use super::{Addend, Epilogue, Layer, LayerOp, Options, Reason, candidates};
use crate::{
    graph::{Conv2dParams, ValueId},
    kernels::{
        Activation, Caps, Packing, View, block,
        conv2d::{Conv2d, Residual, Variant, blocks},
        cooperative,
        tiled::Tile,
        winograd,
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
    pub(super) reason: Reason,
}

impl Choice {
    /// Bytes of each array that the kernel needs besides its operands.
    pub(super) fn scratch(self) -> Vec<u64> {
        self.conv.scratch(self.variant).into_iter().map(|elements| 4 * elements as u64).collect()
    }
}

/// The choice for `layer`; nothing where it is no convolution, and nothing for a block that is better done as two convolutions.
pub(super) fn choose(layer: &Layer, shapes: &[Shape], options: &Options, caps: &Caps) -> Option<Choice> {
    let conv = as_convolution(layer, &|id| View::whole(shapes[id.0]))?;
    let batch = |shape: Shape| Shape { n: options.chosen_for.unwrap_or(shape.n), ..shape };
    let decided = convolution(layer, &|id| View::whole(batch(shapes[id.0])))?;
    let (variant, reason) = match layer.op {
        LayerOp::Block { .. } => block(&decided, caps, options).filter(|(kernel, _)| {
            // Cut into parts, a batch is more workgroups than an image.
            block::admits(&conv, *kernel, options.stored, caps)
        })?,
        _ => conv2d(&decided, caps, options),
    };
    Some(Choice { conv, variant, reason })
}

/// `layer` as a convolution between `view`s, if it is one, or a linear layer over enough images to run as one.
pub(super) fn convolution(layer: &Layer, view: &dyn Fn(ValueId) -> View) -> Option<Conv2d> {
    let few = matches!(layer.op, LayerOp::Linear { .. }) && view(layer.output).shape.n < GEMM_BATCH;
    if few { None } else { as_convolution(layer, view) }
}

/// `layer` as a convolution between `view`s, if it is one, or a linear layer.
pub(super) fn as_convolution(layer: &Layer, view: &dyn Fn(ValueId) -> View) -> Option<Conv2d> {
    match &layer.op {
        LayerOp::Conv2d { prologue, params, epilogue, .. } => Some(Conv2d {
            params: *params,
            x: view(layer.inputs[0]),
            y: view(layer.output),
            prologue: prologue.is_some(),
            residual: residual(epilogue, view),
            activation: epilogue.activation,
        }),
        LayerOp::Block { params, .. } => {
            let x = view(layer.inputs[0]);
            let (residual, activation) = (Residual::Same(x), Activation::Relu);
            Some(Conv2d { params: *params, x, y: view(layer.output), prologue: false, residual, activation })
        }
        LayerOp::Linear { inputs, outputs, .. } => {
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

/// Multiply-accumulates of each of a block's convolutions up to which one dispatch for both is faster. On llvmpipe, measured: that is one
/// image of the CIFAR networks, while more of them keep the CPU busy with less to recompute. On hardware, by counts: 2 to 4 us for a
/// dispatch against a third more of one convolution, and a kernel with less in registers than the tiled one's.
const SOFTWARE_BLOCK: u64 = 1 << 22;
const HARDWARE_BLOCK: u64 = 1 << 25;

/// The variant for a residual block whose second convolution is `conv`, and the reason; nothing where two convolutions are better.
fn block(conv: &Conv2d, caps: &Caps, options: &Options) -> Option<(Variant, Reason)> {
    let serves =
        |variant: &Variant| block::admits(conv, *variant, options.stored, caps) && !options.is_faulty(*variant);
    if let Some(variant) = options.conv2d {
        return Some((variant, "asked for".into())).filter(|(variant, _)| variant.is_block() && serves(variant));
    }
    let lanes = caps.subgroup.filter(|&lanes| lanes >= 8);
    let (most, variant, reason) = match lanes.filter(|_| caps.software) {
        Some(lanes) => {
            let reason = "software adapter, few pixels: a dispatch costs more than what is recomputed";
            (SOFTWARE_BLOCK, Variant::BlockBroadcast { lanes }, reason)
        }
        None => (HARDWARE_BLOCK, Variant::Block, "few pixels: a dispatch costs more than what is recomputed"),
    };
    Some((variant, reason.into())).filter(|(variant, _)| conv.macs() <= most && serves(variant))
}

/// The variant for a convolution, and the reason.
fn conv2d(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, Reason) {
    let admits = |variant: &Variant| conv.admits(*variant, options.stored);
    if let Some(variant) = options.conv2d.filter(admits) {
        return (variant, "asked for".into());
    }
    if let Some(choice) = candidates::measured(conv, caps, options) {
        return choice;
    }
    let (variant, reason) = fastest(conv, caps, options);
    match Variant::all(caps).into_iter().find(|other| admits(other) && !options.is_faulty(*other)) {
        Some(other) if options.is_faulty(variant) => {
            (other, "the faster one is wrong on this device, as verify found, or refused by its driver".into())
        }
        _ => (variant, reason.into()),
    }
}

/// The variant that is thought to be the fastest.
pub(super) fn fastest(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, &'static str) {
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
    if caps.cooperative
        && conv.admits(Variant::Cooperative, options.stored)
        && !options.is_faulty(Variant::Cooperative)
        && cooperative::workgroups(conv) >= ENOUGH / 4
    {
        return (Variant::Cooperative, "tensor cores");
    }
    hardware(conv, caps, options)
}

/// Workgroups that keep a large GPU busy: two for each of the 132 processors of an H200.
const ENOUGH: u32 = 264;
/// Terms of a sum that are worth a workgroup of their own, and terms that slicing must save a workgroup to pay for the second dispatch
/// (2 to 4 us; 32 terms are a step of the kernel, taken to be a fifth of a microsecond).
const SLICE: u32 = 256;
const SAVED: u32 = 512;
/// Multiply-accumulates from which on Winograd's two more dispatches (2 to 4 us each) are a fraction of the three quarters that it saves
/// (at 20 TFLOP/s, 20 us), and channels from which on its arrays, which are 4.5 times the input and output, do not take longer.
const HARDWARE_WINOGRAD: (u64, usize) = (1 << 28, 64);

/// Rules by counts; no GPU has measured them.
fn hardware(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, &'static str) {
    let (macs, channels) = HARDWARE_WINOGRAD;
    let product = winograd::product(conv);
    let (tile, _) = tile(&product, winograd::Tile::Four.points() as u32);
    let winograd = Variant::WinogradTiled(tile);
    if conv.admits(winograd, options.stored)
        && conv.macs() >= macs
        && conv.x.shape.c.min(conv.y.shape.c) >= channels
        && product.pixels() >= tile.pixels as usize
        && fits(conv, winograd, caps)
    {
        return (winograd, "many channels and tiles: a quarter of the multiplications");
    }
    let (tile, reason) = self::tile(conv, 1);
    let terms = (conv.params.kernel * conv.params.kernel * conv.params.in_channels) as u32;
    let slices = (ENOUGH / tile.workgroups(conv)).min(terms / SLICE).min(8);
    let sliced = Variant::Sliced { tile, slices };
    if slices > 1 && terms - terms / slices >= SAVED && fits(conv, sliced, caps) {
        return (sliced, "few pixels, long sums: slices of the sums fill the processors");
    }
    (Variant::Tiled(tile), reason)
}

/// The largest tile that makes enough workgroups out of `count` products like `conv`.
fn tile(conv: &Conv2d, count: u32) -> (Tile, &'static str) {
    let channels = conv.y.shape.c;
    let wide = match channels {
        0..=32 => Tile::P128C32,
        33..=64 => Tile::P128C64,
        _ => Tile::P128C128,
    };
    let fill =
        |tile: Tile, enough: u32| conv.pixels() >= tile.pixels as usize && count * tile.workgroups(conv) >= enough;
    if fill(wide, ENOUGH) {
        (wide, "many pixels: the largest tile of this width")
    } else if channels > 32 && fill(Tile::P64C64, ENOUGH / 2) {
        (Tile::P64C64, "the largest tile would leave processors idle")
    } else {
        (Tile::P32C32, "few pixels: the smallest tile, each sum shared out in the workgroup")
    }
}

/// Whether the device can bind the arrays of f32 that `variant` needs besides its operands, and Winograd's form of the weights.
pub(super) fn fits(conv: &Conv2d, variant: Variant, caps: &Caps) -> bool {
    let mut arrays = conv.scratch(variant);
    arrays.extend(match variant {
        Variant::Winograd { tile, .. } => Some(winograd::weights(&conv.params, tile, Packing::Strips)),
        Variant::WinogradTiled(_) => Some(winograd::weights(&conv.params, winograd::Tile::Four, Packing::Rows)),
        _ => None,
    });
    arrays.iter().all(|&elements| 4 * elements as u64 <= caps.max_binding_bytes)
}

/// From this many channels on the transforms of Winograd's convolution cost less than they save, and from this many tiles of 4x4 on
/// those are better than tiles of 2x2: measured on llvmpipe.
const WINOGRAD_CHANNELS: usize = 64;
const WINOGRAD_TILES: u32 = 16;

fn software(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, &'static str) {
    let Some(lanes) = caps.subgroup.filter(|&lanes| lanes >= 8) else {
        return (Variant::Registers { pixels: 8 }, "software adapter: workgroup memory gains nothing");
    };
    let candidates = [
        (winograd::Tile::Four, "software adapter, many channels and tiles: a quarter of the multiplications"),
        (winograd::Tile::Two, "software adapter, many channels, few pixels: 4/9 of the multiplications"),
    ];
    let many = winograd::dims(conv, winograd::Tile::Four).tiles >= WINOGRAD_TILES;
    for (tile, reason) in candidates.into_iter().skip(usize::from(!many)) {
        let winograd = Variant::Winograd { lanes, tile };
        if conv.x.shape.c.min(conv.y.shape.c) >= WINOGRAD_CHANNELS
            && conv.admits(winograd, options.stored)
            && winograd::dims(conv, tile).tiles <= caps.max_workgroups
            && fits(conv, winograd, caps)
        {
            return (winograd, reason);
        }
    }
    (Variant::Broadcast { lanes }, "software adapter: a broadcast is cheaper than a load")
}
