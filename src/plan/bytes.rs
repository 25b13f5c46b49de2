//! How many bytes weights take, and dispatches move.

use std::collections::HashSet;

use super::{Footprint, Layer, LayerOp, Network, Operand, Part, Placed, RUNS, Step, WeightsId, place::Placement};
use crate::{
    graph::ValueId,
    kernels::{Precision, conv2d::blocks, fours, winograd},
};

impl Network {
    /// Bytes of a packed array.
    pub(super) fn packed(&self, id: WeightsId, stored: Precision) -> u64 {
        let padded = |channels: usize| 4 * fours(channels);
        if let Some(parts) = id.halves() {
            return parts.into_iter().map(|id| self.packed(id, stored)).sum();
        }
        let elements = match (&self.fused.layers[id.layer].op, id.part) {
            (LayerOp::Conv2d { params, .. }, Part::Weights(packing)) => {
                let merged = params.groups / blocks(params);
                let inputs = padded(params.in_channels / params.groups * merged);
                params.kernel * params.kernel * inputs * packing.columns(params.out_channels)
            }
            (LayerOp::Conv2d { params, .. }, Part::Winograd(tile, packing)) => winograd::weights(params, tile, packing),
            (LayerOp::Conv2d { params, .. }, Part::Bias) => padded(params.out_channels),
            (LayerOp::Linear { inputs, outputs, .. }, Part::Weights(packing)) => {
                padded(*inputs) * packing.columns(*outputs)
            }
            (LayerOp::Linear { outputs, .. }, Part::Bias) => padded(*outputs),
            (
                LayerOp::Conv2d { prologue: Some(norm), .. }
                | LayerOp::Pool2d { prologue: Some(norm), .. }
                | LayerOp::Elementwise { norm: Some(norm), .. },
                Part::Affine,
            ) => 2 * padded(norm.channels),
            (op, part) => unreachable!("no {part:?} for {op:?}"),
        };
        (elements * id.part.stored(stored).bytes()) as u64
    }

    /// Bytes of the values and weights that a dispatch of `layer` reads or writes, each counted once; `scratch` are the buffers of
    /// the layer's scratch arrays with their sizes.
    pub(super) fn traffic(
        &self,
        step: &Step,
        layer: &Layer,
        places: &Placement,
        scratch: &[(usize, u64)],
        stored: Precision,
    ) -> u64 {
        let values: HashSet<ValueId> = layer.reads().chain([layer.output]).collect();
        let held = |buffer: usize| -> u64 {
            let values = values.iter().filter_map(|id| places.values[id.0]).filter(|placed| placed.buffer == buffer);
            let scratch = scratch.iter().filter(|(b, _)| *b == buffer).map(|(_, bytes)| *bytes);
            values.map(|placed| placed.bytes()).chain(scratch).sum()
        };
        let mut operands = step.operands.clone();
        operands.sort();
        operands.dedup();
        let bytes = |operand: Operand| match operand {
            Operand::Buffer(buffer) => held(buffer),
            Operand::Weights(id) => self.packed(id, stored),
            Operand::Unused => 0,
        };
        operands.into_iter().map(bytes).sum()
    }

    /// Memory of a plan with these `steps`.
    pub(super) fn footprint(
        &self,
        steps: &[Step],
        places: &Placement,
        exchanged: &[Placed],
        stored: Precision,
    ) -> Footprint {
        let operands: HashSet<Operand> = steps.iter().flat_map(|step| step.operands.iter().copied()).collect();
        let arrays = operands.iter().filter_map(|o| if let Operand::Weights(id) = o { Some(*id) } else { None });
        Footprint {
            weights: arrays.map(|id| self.packed(id, stored)).sum(),
            activations: places.buffers.iter().map(|(bytes, _)| bytes).sum(),
            staging: RUNS as u64 * exchanged.iter().map(Placed::buffer_bytes).sum::<u64>(),
            live: places.live,
        }
    }
}

impl Placed {
    /// Bytes of the value.
    fn bytes(&self) -> u64 {
        (self.view.pixels() * 4 * fours(self.view.shape.c) * self.stored.bytes()) as u64
    }

    /// Bytes of the buffer that it lies in.
    pub fn buffer_bytes(&self) -> u64 {
        (self.view.buffer_elements() * self.stored.bytes()) as u64
    }
}
