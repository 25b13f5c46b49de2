//! Layer to dispatches: each kernel with its uniform block, operands and grid.

use super::{
    Epilogue, Layer, LayerOp, Norm, Operand, Options, Part, Placed, Reason, Step, WeightsId,
    select::{self, Choice},
};
use crate::{
    graph::ValueId,
    kernels::{
        Caps, KernelKey, Packing, View, block,
        conv2d::{Residual, Role},
        elementwise::{self, ElementwiseDims, Flags},
        linear, pool,
    },
};

/// A layer with all that its dispatches depend on.
pub(super) struct Context<'a> {
    /// Number of the layer in the network.
    pub(super) index: usize,
    pub(super) layer: &'a Layer,
    /// The kernel, where it is a convolution.
    pub(super) choice: Option<Choice>,
    /// Buffers of the kernel's scratch arrays.
    pub(super) scratch: &'a [usize],
    /// Place of each value.
    pub(super) places: &'a [Option<Placed>],
    pub(super) options: &'a Options,
    pub(super) caps: &'a Caps,
}

/// Appends the dispatches of a layer.
pub(super) fn lower(context: &Context<'_>, steps: &mut Vec<Step>) {
    let layer = context.layer;
    let stored = context.options.stored;
    let y = context.placed(layer.output);
    if let Some(choice) = context.choice {
        return context.convolution(choice, steps);
    }
    match &layer.op {
        // Always a choice.
        LayerOp::Conv2d { .. } | LayerOp::Block { .. } => {}
        LayerOp::Linear { inputs, outputs, .. } => {
            let x = context.placed(layer.inputs[0]);
            let (kernel, dims, grid) = linear::gemv(stored, y.stored, context.caps, x.view, y.view);
            let macs = (y.view.shape.n * inputs * outputs) as u64;
            let weights = context.weights(Part::Weights(Packing::Rows));
            let operands = vec![x.operand(), weights, context.weights(Part::Bias), y.operand()];
            let reason = "few images: matrix-vector product";
            steps.push(context.step(kernel, reason, bytemuck::bytes_of(&dims), operands, grid, macs));
        }
        LayerOp::Pool2d { prologue, max, params } => {
            let x = context.placed(layer.inputs[0]);
            let window = pool::Window { max: *max, params: *params, prologue: prologue.is_some() };
            let (kernel, dims, grid) = pool::window(stored, y.stored, window, x.view, y.view);
            let operands = vec![x.operand(), context.affine(prologue), y.operand()];
            steps.push(context.step(kernel, ONLY, bytemuck::bytes_of(&dims), operands, grid, 0));
        }
        LayerOp::GlobalAvgPool => {
            let x = context.placed(layer.inputs[0]);
            let (kernel, dims, grid) = pool::global(stored, y.stored, x.view, y.view);
            steps.push(context.step(kernel, ONLY, bytemuck::bytes_of(&dims), vec![x.operand(), y.operand()], grid, 0));
        }
        LayerOp::Elementwise { norm, gated, epilogue } => context.elementwise(norm, *gated, epilogue, steps),
        LayerOp::Concat => context.concat(steps),
    }
}

const ONLY: &str = "the only kernel for it";

impl Context<'_> {
    fn placed(&self, id: ValueId) -> Placed {
        self.places[id.0].expect("a layer reads values of earlier layers")
    }

    fn weights(&self, part: Part) -> Operand {
        Operand::Weights(WeightsId { layer: self.index, part })
    }

    /// Scales and shifts of `norm`.
    fn affine(&self, norm: &Option<Norm>) -> Operand {
        if norm.is_some() { self.weights(Part::Affine) } else { Operand::Unused }
    }

    fn step(
        &self,
        kernel: KernelKey,
        reason: impl Into<Reason>,
        uniform: &[u8],
        operands: Vec<Operand>,
        grid: [u32; 3],
        macs: u64,
    ) -> Step {
        let (name, value, reason) = (self.layer.name.clone(), self.layer.output, reason.into());
        let variant = self.choice.map(|choice| choice.variant);
        Step { name, value, variant, kernel, reason, uniform: uniform.to_vec(), operands, grid, macs, bytes: 0 }
    }

    fn convolution(&self, choice: Choice, steps: &mut Vec<Step>) {
        let conv = select::as_convolution(self.layer, &|id| self.placed(id).view).unwrap_or(choice.conv);
        let Choice { variant, reason, .. } = choice;
        let (epilogue, prologue) = match &self.layer.op {
            LayerOp::Conv2d { epilogue, prologue, .. } => (Some(epilogue), prologue),
            _ => (None, &None),
        };
        let (x, y) = (self.placed(self.layer.inputs[0]), self.placed(self.layer.output));
        let addend = epilogue.and_then(|epilogue| epilogue.residual.as_ref()).map(|addend| addend.value);
        let (addend, first) = match &self.layer.op {
            LayerOp::Block { first, .. } => (Some(self.layer.inputs[0]), *first),
            _ => (addend, self.index),
        };
        let residual = addend.map_or(Operand::Unused, |id| self.placed(id).operand());
        let stored = self.options.stored;
        let dispatches = if variant.is_block() {
            block::dispatch(&conv, variant, stored, y.stored, self.caps).into_iter().collect()
        } else {
            conv.dispatches(variant, stored, y.stored)
        };
        for dispatch in dispatches {
            let operands = dispatch.operands.map(|role| match role {
                Role::X => x.operand(),
                Role::Weights(packing) => self.weights(Part::Weights(packing)),
                Role::WinogradWeights(tile, packing) => self.weights(Part::Winograd(tile, packing)),
                Role::Bias => self.weights(Part::Bias),
                Role::BlockWeights => self.weights(Part::BlockWeights { first }),
                Role::BlockBias => self.weights(Part::BlockBias { first }),
                Role::Residual => residual,
                Role::Affine => self.affine(prologue),
                Role::Y => y.operand(),
                Role::Scratch(array) => Operand::Buffer(self.scratch[array]),
                Role::Unused => Operand::Unused,
            });
            let uniform = bytemuck::bytes_of(&dispatch.dims);
            steps.push(self.step(dispatch.key, reason, uniform, operands.into(), dispatch.grid, dispatch.macs));
        }
    }

    fn elementwise(&self, norm: &Option<Norm>, gated: bool, epilogue: &Epilogue, steps: &mut Vec<Step>) {
        let y = self.placed(self.layer.output);
        let source = self.layer.inputs.first().map(|id| self.placed(*id));
        let gate = self.layer.inputs.get(1).filter(|_| gated).map(|id| self.placed(*id));
        let addend = epilogue.residual.as_ref().map(|addend| self.placed(addend.value));
        let mut dims = extents(source.unwrap_or(y).view, y.view, y.view.shape.c, 0);
        let residual = select::residual(epilogue, &|id| self.placed(id).view);
        if let Residual::SubsamplePad { view, .. } | Residual::Same(view) = residual {
            (dims.r_stride, dims.r_offset) = (view.stride, view.offset);
        }
        if let Residual::SubsamplePad { view, step, before } = residual {
            (dims.r_h, dims.r_w, dims.r_channels) = (view.shape.h as u32, view.shape.w as u32, view.shape.c as u32);
            (dims.r_step, dims.r_before) = (step as u32, before as u32);
        }
        if let Some(gate) = gate {
            (dims.g_stride, dims.g_offset) = (gate.view.stride, gate.view.offset);
        }
        let flags = Flags {
            source: source.is_some(),
            affine: norm.is_some(),
            gate: gated,
            residual: addend.is_some(),
            activation: epilogue.activation,
        };
        let read = |placed: Option<Placed>| placed.map_or(Operand::Unused, |placed| placed.operand());
        let operands = vec![read(source), self.affine(norm), read(addend), read(gate), y.operand()];
        let (kernel, grid) = elementwise::kernel(self.options.stored, y.stored, flags, &dims);
        steps.push(self.step(kernel, "nothing to fuse it into", bytemuck::bytes_of(&dims), operands, grid, 0));
    }

    /// Copies the inputs that do not lie in the output's buffer already.
    fn concat(&self, steps: &mut Vec<Step>) {
        let y = self.placed(self.layer.output);
        let mut channel = 0;
        for id in &self.layer.inputs {
            let x = self.placed(*id);
            if x.buffer != y.buffer {
                let dims = extents(x.view, y.view, x.view.shape.c, channel);
                let flags = Flags { source: true, ..Flags::default() };
                let (kernel, grid) = elementwise::kernel(self.options.stored, y.stored, flags, &dims);
                let unused = Operand::Unused;
                let operands = vec![x.operand(), unused, unused, unused, y.operand()];
                steps.push(self.step(kernel, "copied", bytemuck::bytes_of(&dims), operands, grid, 0));
            }
            channel += x.view.shape.c;
        }
    }
}

impl Placed {
    fn operand(&self) -> Operand {
        Operand::Buffer(self.buffer)
    }
}

/// Extents of an elementwise kernel that yields `channels` channels of `y` from `offset` on, out of `x`.
fn extents(x: View, y: View, channels: usize, offset: usize) -> ElementwiseDims {
    let shape = y.shape;
    ElementwiseDims {
        h: shape.h as u32,
        w: shape.w as u32,
        channels: channels as u32,
        offset: offset as u32,
        out_channels: shape.c as u32,
        pixels: y.pixels() as u32,
        r_h: shape.h as u32,
        r_w: shape.w as u32,
        r_step: 1,
        r_before: 0,
        r_channels: shape.c as u32,
        x_stride: x.stride,
        x_offset: x.offset,
        r_stride: y.stride,
        r_offset: y.offset,
        y_stride: y.stride,
        y_offset: y.offset,
        g_stride: 0,
        g_offset: 0,
        pad: 0,
    }
}
