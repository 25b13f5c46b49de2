//! Layer to dispatches: which kernel serves it, and why.

use super::{Epilogue, Layer, LayerOp, Operand, Options, Part, Placed, Step, WeightsId};
use crate::{
    graph::{Conv2dParams, ValueId},
    kernels::{
        Caps, KernelKey,
        conv2d::{Conv2d, Residual, Variant},
        elementwise::{self, ElementwiseDims, Flags},
        linear, pool,
    },
    tensor::Shape,
};

/// From this batch on the head's weights are worth reading once for several images.
const GEMM_BATCH: usize = 8;

/// Appends the dispatches of layer number `index`; `placed` tells where values lie.
pub(super) fn steps(
    index: usize,
    layer: &Layer,
    options: &Options,
    caps: &Caps,
    placed: &dyn Fn(ValueId) -> Placed,
    steps: &mut Vec<Step>,
) {
    let stored = options.stored;
    let y = placed(layer.output);
    let weights = |part| Operand::Weights(WeightsId { layer: index, part });
    let step = |kernel: KernelKey, reason, uniform: &[u8], operands, grid, macs| Step {
        name: layer.name.clone(),
        value: layer.output,
        kernel,
        reason,
        uniform: uniform.to_vec(),
        operands,
        grid,
        macs,
    };
    let buffer = |id| Operand::Buffer(placed(id).buffer);
    let out = Operand::Buffer(y.buffer);
    match &layer.op {
        LayerOp::Conv2d { params, epilogue, .. } => {
            let x = layer.inputs[0];
            let residual = residual(epilogue, placed);
            let conv = Conv2d { params: *params, x: placed(x).shape, y: y.shape, residual, relu: epilogue.relu };
            let (variant, reason) = conv2d(&conv, caps, options);
            let (kernel, grid) = conv.kernel(variant, stored, y.stored);
            let addend = epilogue.residual.as_ref().map_or(x, |addend| addend.value);
            let operands = vec![buffer(x), weights(Part::Weights), weights(Part::Bias), buffer(addend), out];
            steps.push(step(kernel, reason, bytemuck::bytes_of(&conv.dims()), operands, grid, conv.macs()));
        }
        LayerOp::Linear { inputs, outputs, .. } => {
            let x = layer.inputs[0];
            let macs = (y.shape.n * inputs * outputs) as u64;
            if y.shape.n < GEMM_BATCH {
                let (kernel, dims, grid) = linear::gemv(stored, caps, y.shape.n, *inputs, *outputs);
                let operands = vec![buffer(x), weights(Part::Weights), weights(Part::Bias), out];
                steps.push(step(
                    kernel,
                    "few images: matrix-vector product",
                    bytemuck::bytes_of(&dims),
                    operands,
                    grid,
                    macs,
                ));
            } else {
                // Images become the pixels of one image, and the layer a 1x1 convolution over them.
                let params = Conv2dParams {
                    in_channels: *inputs,
                    out_channels: *outputs,
                    kernel: 1,
                    stride: 1,
                    padding: 0,
                    groups: 1,
                };
                let row = |channels| Shape::new(1, channels, 1, y.shape.n);
                let conv = Conv2d { params, x: row(*inputs), y: row(*outputs), residual: Residual::None, relu: false };
                let (variant, reason) = conv2d(&conv, caps, options);
                let (kernel, grid) = conv.kernel(variant, stored, y.stored);
                let operands = vec![buffer(x), weights(Part::Weights), weights(Part::Bias), buffer(x), out];
                steps.push(step(kernel, reason, bytemuck::bytes_of(&conv.dims()), operands, grid, macs));
            }
        }
        LayerOp::Pool2d { max, params } => {
            let x = placed(layer.inputs[0]);
            let (kernel, dims, grid) = pool::window(stored, y.stored, *max, *params, x.shape, y.shape);
            let operands = vec![Operand::Buffer(x.buffer), out];
            steps.push(step(kernel, "the only kernel for it", bytemuck::bytes_of(&dims), operands, grid, 0));
        }
        LayerOp::GlobalAvgPool => {
            let x = placed(layer.inputs[0]);
            let (kernel, dims, grid) = pool::global(stored, y.stored, x.shape);
            let operands = vec![Operand::Buffer(x.buffer), out];
            steps.push(step(kernel, "the only kernel for it", bytemuck::bytes_of(&dims), operands, grid, 0));
        }
        LayerOp::Elementwise { norm, epilogue } => {
            let source = layer.inputs.first().copied();
            let addend = epilogue.residual.as_ref().map(|addend| addend.value);
            let mut dims = elementwise_dims(y.shape, y.shape.c, 0);
            match residual(epilogue, placed) {
                Residual::SubsamplePad { shape, step, before } => {
                    (dims.r_h, dims.r_w, dims.r_channels) = (shape.h as u32, shape.w as u32, shape.c as u32);
                    (dims.r_step, dims.r_before) = (step as u32, before as u32);
                }
                Residual::Same | Residual::None => {}
            }
            let flags = Flags {
                source: source.is_some(),
                affine: norm.is_some(),
                residual: addend.is_some(),
                relu: epilogue.relu,
            };
            // A binding that the flags leave unused still needs a buffer: any that is read anyway.
            let read = source.or(addend).expect("an elementwise layer reads something");
            let affine = |part| if norm.is_some() { weights(part) } else { buffer(read) };
            let operands = vec![
                buffer(source.unwrap_or(read)),
                affine(Part::Scale),
                affine(Part::Shift),
                buffer(addend.unwrap_or(read)),
                out,
            ];
            let (kernel, grid) = elementwise::kernel(stored, y.stored, flags, &dims);
            steps.push(step(kernel, "nothing to fuse it into", bytemuck::bytes_of(&dims), operands, grid, 0));
        }
        LayerOp::Unserved(op) => unreachable!("{op} is refused before"),
        LayerOp::Concat => {
            let mut offset = 0;
            for id in &layer.inputs {
                let x = placed(*id);
                let dims = elementwise_dims(y.shape, x.shape.c, offset);
                let (kernel, grid) =
                    elementwise::kernel(stored, y.stored, Flags { source: true, ..Flags::default() }, &dims);
                let read = Operand::Buffer(x.buffer);
                steps.push(step(
                    kernel,
                    "copied",
                    bytemuck::bytes_of(&dims),
                    vec![read, read, read, read, out],
                    grid,
                    0,
                ));
                offset += x.shape.c;
            }
        }
    }
}

fn residual(epilogue: &Epilogue, placed: &dyn Fn(ValueId) -> Placed) -> Residual {
    match &epilogue.residual {
        None => Residual::None,
        Some(addend) => match addend.subsample {
            None => Residual::Same,
            Some(s) => Residual::SubsamplePad { shape: placed(addend.value).shape, step: s.stride, before: s.before },
        },
    }
}

fn elementwise_dims(y: Shape, channels: usize, offset: usize) -> ElementwiseDims {
    ElementwiseDims {
        h: y.h as u32,
        w: y.w as u32,
        channels: channels as u32,
        offset: offset as u32,
        out_channels: y.c as u32,
        pixels: (y.n * y.pixels()) as u32,
        r_h: y.h as u32,
        r_w: y.w as u32,
        r_step: 1,
        r_before: 0,
        r_channels: y.c as u32,
        pad: 0,
    }
}

/// The variant for a convolution, and the reason.
fn conv2d(conv: &Conv2d, caps: &Caps, options: &Options) -> (Variant, &'static str) {
    if let Some(variant) = options.conv2d {
        return (variant, "asked for");
    }
    if caps.software {
        return match caps.subgroup {
            Some(lanes) if lanes >= 8 => {
                (Variant::Broadcast { lanes }, "software adapter: a broadcast is cheaper than a load")
            }
            _ => (Variant::Registers { pixels: 8 }, "software adapter: workgroup memory gains nothing"),
        };
    }
    // Enough workgroups to fill a large GPU matter more than the efficiency of a tile.
    let groups = |rows: usize, columns: usize| conv.pixels().div_ceil(16 * rows) * conv.y.c.div_ceil(16 * columns);
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
