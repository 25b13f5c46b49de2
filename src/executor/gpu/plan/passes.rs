//! The passes that make a plan of a network, in order: join, select, place, lower.

use std::collections::HashSet;

use super::{
    Case, Operand, Options, Placed, Plan, RUNS, Step, block, lower,
    packing::packed,
    place::{self, Placement},
    problem,
    select::{self, Choice},
    types::limit,
};
use crate::{
    Result,
    executor::{
        Footprint,
        gpu::kernels::{Caps, KernelId, Problem},
    },
    graph::ValueId,
    network::{Layer, Network},
    tensor::{Shape, StorageType},
};

/// Largest number of output rows of a convolution, over all images, for which `divide` of `shaders/lib/conv2d.wgsl` is exact.
const MAX_ROWS: u64 = 1 << 22;

impl Plan {
    /// Plans `network` for an input of shape `input`: exactly the layers that the values of `keep` depend on.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the network does not admit the shape, or if a value to keep is not one of [`Network::values`];
    /// [`Error::GpuLimits`](crate::Error::GpuLimits) if a buffer or a dispatch is too large for the device, in which case a smaller batch may fit.
    pub fn new(network: &Network, input: Shape, keep: &[ValueId], options: &Options, caps: &Caps) -> Result<Plan> {
        let shapes = network.graph().infer_shapes(input)?;
        let joined = joined(network, &shapes, keep, options, caps)?;
        let layers: Vec<(usize, &Layer)> = joined.iter().map(|(index, layer)| (*index, layer.as_ref())).collect();
        let choices: Vec<Choice> = layers.iter().map(|(_, layer)| choose(layer, &shapes, options, caps)).collect();
        let scratch: Vec<Vec<u64>> = choices.iter().map(|choice| choice.scratch(options, caps)).collect();
        let places = place::place(network.graph(), &layers, &shapes, &scratch, options.stored, keep);
        for choice in &choices {
            if let Problem::Conv2d(conv) | Problem::Block(conv) = choice.problem {
                let rows = (conv.y.shape.n * conv.y.shape.h) as u64;
                if rows > MAX_ROWS {
                    return Err(limit(caps, "rows of a batch".into(), rows, MAX_ROWS));
                }
            }
        }
        for (bytes, name) in &places.buffers {
            if *bytes > caps.max_binding_bytes {
                return Err(limit(caps, format!("layer {name}: bytes in a buffer"), *bytes, caps.max_binding_bytes));
            }
        }
        let mut steps = Vec::new();
        for (i, &(index, layer)) in layers.iter().enumerate() {
            let (choice, buffers) = (choices[i], &places.scratch[i]);
            let context =
                lower::Context { index, layer, choice, scratch: buffers, places: &places.values, options, caps };
            let first = steps.len();
            lower::lower(&context, &mut steps);
            let scratch: Vec<(usize, u64)> = buffers.iter().copied().zip(scratch[i].iter().copied()).collect();
            for step in &mut steps[first..] {
                step.bytes = traffic(network, step, layer, &places, &scratch, options.stored);
            }
        }
        for step in &steps {
            if let Some(&groups) = step.grid.iter().find(|&&groups| groups > caps.max_workgroups) {
                let what = format!("layer {}: workgroups in a dispatch", step.name);
                return Err(limit(caps, what, groups.into(), caps.max_workgroups.into()));
            }
            let weights = step.operands.iter().filter_map(|operand| match operand {
                Operand::Weights(id) => Some(packed(network, *id, options.stored)),
                _ => None,
            });
            if let Some(bytes) = weights.max().filter(|&bytes| bytes > caps.max_binding_bytes) {
                let what = format!("layer {}: bytes of weights", step.name);
                return Err(limit(caps, what, bytes, caps.max_binding_bytes));
            }
        }
        let place = |id: ValueId| places.values[id.0].expect("the input and every needed layer's output are placed");
        let input = place(network.graph().input());
        let kept: Vec<Placed> = keep.iter().map(|id| place(*id)).collect();
        let exchanged: Vec<Placed> = kept.iter().copied().chain([input]).collect();
        let footprint = footprint(network, &steps, &places, &exchanged, options.stored);
        let buffers = places.buffers.iter().map(|(bytes, _)| *bytes).collect();
        Ok(Plan { steps, input, pixels: None, kept, buffers, footprint })
    }
}

/// The values that the layers of the plan for the logits yield, in execution order, each with its kernel. These are all of
/// [`Network::values`] except those inside residual blocks that one dispatch computes.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the network does not admit the shape.
pub fn kernels(network: &Network, input: Shape, options: &Options, caps: &Caps) -> Result<Vec<(ValueId, KernelId)>> {
    let shapes = network.graph().infer_shapes(input)?;
    let layers = joined(network, &shapes, &[network.graph().output()], options, caps)?;
    let kernel = |layer: &Layer| choose(layer, &shapes, options, caps).kernel;
    Ok(layers.iter().map(|(_, layer)| (layer.output, kernel(layer))).collect())
}

/// A [`Case`] for every layer that can be timed.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the network does not admit the shape.
pub fn cases(network: &Network, input: Shape, stored: StorageType) -> Result<Vec<Case>> {
    let shapes = network.graph().infer_shapes(input)?;
    let case = |layer| Case::of(&problem::of(layer, &shapes), stored);
    Ok(network.layers().iter().filter_map(case).collect())
}

/// The layers of a plan: [`Network::needed`], with two layers joined into a block if that is faster.
fn joined<'a>(
    network: &'a Network,
    shapes: &[Shape],
    keep: &[ValueId],
    options: &Options,
    caps: &Caps,
) -> Result<Vec<block::Numbered<'a>>> {
    let pays = |block: &Layer| select::choose(block, shapes, options, caps).is_some();
    Ok(block::join(network.needed(keep)?, keep, pays))
}

/// Bytes of the values and weights that a dispatch of `layer` reads or writes, each counted once. `scratch` has the buffers of
/// the layer's scratch arrays, with their sizes.
fn traffic(
    network: &Network,
    step: &Step,
    layer: &Layer,
    places: &Placement,
    scratch: &[(usize, u64)],
    stored: StorageType,
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
        Operand::Weights(id) => packed(network, id, stored),
        Operand::Unused => 0,
    };
    operands.into_iter().map(bytes).sum()
}

/// Memory of a plan with these `steps`.
fn footprint(
    network: &Network,
    steps: &[Step],
    places: &Placement,
    exchanged: &[Placed],
    stored: StorageType,
) -> Footprint {
    let operands: HashSet<Operand> = steps.iter().flat_map(|step| step.operands.iter().copied()).collect();
    let arrays = operands.iter().filter_map(|o| if let Operand::Weights(id) = o { Some(*id) } else { None });
    Footprint {
        weights: arrays.map(|id| packed(network, id, stored)).sum(),
        activations: places.buffers.iter().map(|(bytes, _)| bytes).sum(),
        staging: RUNS as u64 * exchanged.iter().map(Placed::buffer_bytes).sum::<u64>(),
        live: places.live,
    }
}

/// The choice for a layer of a plan. Blocks that are slower in one dispatch are already split.
fn choose(layer: &Layer, shapes: &[Shape], options: &Options, caps: &Caps) -> Choice {
    select::choose(layer, shapes, options, caps).expect("every layer has a kernel, and a block that pays")
}
