//! A graph made ready for a device, as data: `commute` and `fuse` make layers out of nodes, `select` chooses a kernel for each layer
//! with a reason, `block` makes one layer of two where one dispatch serves both, `place` gives every value a place in a buffer of
//! `memory`, `lower` turns layers into dispatches, `pixels` puts one in front for photos, `fold` packs the weights. Nothing here touches
//! a device, so a plan can be printed and tested without one.

mod alone;
mod block;
mod bytes;
mod candidates;
mod commute;
mod fold;
mod fuse;
mod lower;
mod memory;
mod pixels;
mod place;
mod select;
mod tuned;

use std::{fmt, sync::Arc};

pub use alone::Alone;
pub use candidates::Candidates;
pub use fuse::{Addend, ConvWeights, Epilogue, Fused, Layer, LayerOp, Norm, Subsample, fuse};
use half::f16;
pub use memory::{Footprint, Layout, Lifetime, assign, live};
use select::Choice;
pub use tuned::{Case, Reason, Table, Timing, bucket, shipped};

use crate::{
    Error, Result,
    checkpoint::Checkpoint,
    graph::{Graph, ValueId},
    kernels::{Caps, KernelKey, Packing, Precision, View, conv2d::Variant, winograd::Tile},
    tensor::Shape,
};

/// Rows of all images of a convolution's output: up to here `divide` of `shaders/lib/conv2d.wgsl` is exact.
const MAX_ROWS: u64 = 1 << 22;

/// Runs of a plan that may be under way at once: one on the device, and one whose input is written or whose results are read.
pub(crate) const RUNS: usize = 2;

/// How much larger than a 3x3 kernel's values its transform for [`crate::kernels::winograd`] can be: the largest row sum of
/// magnitudes in the matrix G of F(2, 3), squared.
const WINOGRAD_GROWTH: f64 = 1.5 * 1.5;

/// What a step binds to one of its kernel's bindings (after the uniform block).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operand {
    /// An activation buffer, by its index in [`Plan::buffers`].
    Buffer(usize),
    /// Packed weights.
    Weights(WeightsId),
    /// The kernel has the binding and, with this key, does not read it.
    Unused,
}

/// Names one packed array of weights: the same for every plan of a network, so that it is uploaded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WeightsId {
    /// Index of the layer.
    pub layer: usize,
    /// Which of its arrays.
    pub part: Part,
}

/// The arrays that a layer may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A matrix of `[kh][kw][cin / groups]` rows and `cout` columns, or of `inputs` and `outputs`, in the storage precision.
    Weights(Packing),
    /// `[points]` matrices of `cin` rows and `cout` columns: 3x3 kernels in the form of [`crate::kernels::winograd`].
    Winograd(Tile, Packing),
    /// One f32 an output channel.
    Bias,
    /// [`Part::Weights`] in rows, of a residual block's first convolution, which is layer `first`, then its second's.
    BlockWeights {
        /// Number of the first layer.
        first: usize,
    },
    /// [`Part::Bias`] of both likewise.
    BlockBias {
        /// Number of the first layer.
        first: usize,
    },
    /// Scales, then shifts, of a batch norm that is not folded into weights, f32.
    Affine,
}

impl Part {
    /// The type in which it is stored where activations and weights are `stored`.
    pub fn stored(self, stored: Precision) -> Precision {
        match self {
            Part::Weights(_) | Part::BlockWeights { .. } => stored,
            Part::Winograd(..) | Part::Bias | Part::BlockBias { .. } | Part::Affine => Precision::F32,
        }
    }
}

impl WeightsId {
    /// The two arrays that it is made of, if it is that of a block.
    fn halves(self) -> Option<[WeightsId; 2]> {
        let (first, part) = match self.part {
            Part::BlockWeights { first } => (first, Part::Weights(Packing::Rows)),
            Part::BlockBias { first } => (first, Part::Bias),
            _ => return None,
        };
        Some([first, self.layer].map(|layer| WeightsId { layer, part }))
    }
}

/// One dispatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name of the layer.
    pub name: String,
    /// The graph value it yields (a concatenation takes several steps for one value).
    pub value: ValueId,
    /// How its layer is computed, where there are several ways: for convolutions, what runs as one, and residual blocks.
    pub variant: Option<Variant>,
    /// The kernel.
    pub kernel: KernelKey,
    /// Why this kernel.
    pub reason: Reason,
    /// Contents of the uniform block, binding 0.
    pub uniform: Vec<u8>,
    /// Bindings 1, 2, ...
    pub operands: Vec<Operand>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of the values and weights that it reads or writes.
    pub bytes: u64,
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Index in [`Plan::buffers`].
    pub buffer: usize,
    /// Its shape, and where in the buffer its elements are.
    pub view: View,
    /// Its type.
    pub stored: Precision,
}

/// A network for one input shape on one kind of device: every dispatch with its operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Dispatches in order.
    pub steps: Vec<Step>,
    /// Sizes of the activation buffers in bytes.
    pub buffers: Vec<u64>,
    /// The network's input.
    pub input: Placed,
    /// The buffer that pixels come in through, where the first step makes the input of them.
    pub pixels: Option<usize>,
    /// The values that are there when the last step has run, in the order in which they were asked for. One that no step
    /// reads, such as the logits, is f32.
    pub kept: Vec<Placed>,
    /// Its memory.
    pub footprint: Footprint,
}

/// How to plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Type of stored activations and weights.
    pub stored: Precision,
    /// This kernel for every convolution, instead of the choice by shape and device.
    pub conv2d: Option<Variant>,
    /// Kernels are chosen as for a batch of so many images, whatever batch comes, so that the bits of an image do not depend on the
    /// batch it is in; `None` chooses them for each batch.
    pub chosen_for: Option<usize>,
    /// Kernels that are not chosen, with the storage precision in which they were found to be wrong on the device.
    pub faulty: Vec<(Variant, Precision)>,
    /// What was measured on the device; the first table that knows a convolution overrules the rules.
    pub tuned: Arc<Vec<Table>>,
}

impl Options {
    /// The ordinary plan: kernels are chosen.
    pub fn new(stored: Precision) -> Self {
        Options { stored, conv2d: None, chosen_for: None, faulty: Vec::new(), tuned: Arc::default() }
    }

    /// Whether `kernel` was found to be wrong.
    fn is_faulty(&self, kernel: Variant) -> bool {
        self.faulty.contains(&(kernel, self.stored))
    }
}

/// A checkpoint's graph with its layers: all of a network that does not depend on the input's size.
#[derive(Debug)]
pub struct Network {
    graph: Graph,
    checkpoint: Checkpoint,
    fused: Fused,
}

impl Network {
    /// Fuses `graph`, whose weights are in `checkpoint`.
    pub fn new(graph: Graph, checkpoint: Checkpoint) -> Self {
        let graph = commute::commute(&graph);
        let fused = fuse(&graph);
        Network { graph, checkpoint, fused }
    }

    /// The graph, with means pooled before the 1x1 convolutions that they followed.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The weights' source.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// One line for each fusion taken or refused.
    pub fn report(&self) -> &[String] {
        &self.fused.report
    }

    /// The layers, in execution order.
    pub fn layers(&self) -> &[Layer] {
        &self.fused.layers
    }

    /// The packed array that `id` names, in f32.
    ///
    /// # Errors
    /// What [`Checkpoint::tensor`] finds wrong.
    ///
    /// # Panics
    /// If `id` is of no plan of this network.
    pub fn pack(&self, id: WeightsId) -> Result<Vec<f32>> {
        if let Some([first, second]) = id.halves() {
            return Ok([self.pack(first)?, self.pack(second)?].concat());
        }
        let checkpoint = &self.checkpoint;
        match (&self.fused.layers[id.layer].op, id.part) {
            (LayerOp::Conv2d { weights, params, .. }, Part::Weights(packing)) => {
                fold::conv2d(checkpoint, weights, params, packing)
            }
            (LayerOp::Conv2d { weights, params, .. }, Part::Winograd(tile, packing)) => {
                fold::winograd(checkpoint, weights, params, tile, packing)
            }
            (LayerOp::Conv2d { weights, params, .. }, Part::Bias) => {
                fold::bias(checkpoint, weights, params.out_channels)
            }
            (LayerOp::Linear { weights, inputs, outputs }, Part::Weights(packing)) => {
                fold::linear(checkpoint, weights, *inputs, *outputs, packing)
            }
            (LayerOp::Linear { weights, outputs, .. }, Part::Bias) => fold::bias(checkpoint, weights, *outputs),
            (
                LayerOp::Conv2d { prologue: Some(norm), .. }
                | LayerOp::Pool2d { prologue: Some(norm), .. }
                | LayerOp::Elementwise { norm: Some(norm), .. },
                Part::Affine,
            ) => fold::affine(checkpoint, norm),
            (op, part) => unreachable!("no {part:?} for {op:?}"),
        }
    }

    /// A layer whose weights, batch norm folded in, do not fit into f16 in one of the forms that kernels take, with the largest of
    /// them.
    ///
    /// # Errors
    /// What [`Checkpoint::tensor`] finds wrong.
    pub(crate) fn beyond_f16(&self) -> Result<Option<(&str, f64)>> {
        for layer in &self.fused.layers {
            let (weights, shape) = match &layer.op {
                LayerOp::Conv2d { weights, params, .. } => (weights, params.weight_shape().to_vec()),
                LayerOp::Linear { weights, inputs, outputs } => (weights, vec![*outputs, *inputs]),
                _ => continue,
            };
            let largest = fold::largest(&self.checkpoint, weights, &shape)?;
            if largest * WINOGRAD_GROWTH > f64::from(f16::MAX) {
                return Ok(Some((&layer.name, largest)));
            }
        }
        Ok(None)
    }

    /// The values that layers yield, in execution order: those that a plan can keep.
    pub fn values(&self) -> Vec<ValueId> {
        self.fused.layers.iter().map(|layer| layer.output).collect()
    }

    /// The values that the layers of the plan for the logits yield, in execution order: all of [`Network::values`] but those inside of
    /// residual blocks that one dispatch does. With each the kernel, where the layer is a convolution, runs as one, or is such a block.
    ///
    /// # Errors
    /// [`Error::Shape`] if the network does not admit the shape.
    pub fn kernels(&self, input: Shape, options: &Options, caps: &Caps) -> Result<Vec<(ValueId, Option<Variant>)>> {
        let shapes = self.graph.infer_shapes(input)?;
        let layers = self.joined(&shapes, &[self.graph.output()], options, caps)?;
        let kernel = |layer: &Layer| select::choose(layer, &shapes, options, caps).map(|choice| choice.variant);
        Ok(layers.iter().map(|(_, layer)| (layer.output, kernel(layer))).collect())
    }

    /// Every layer that is a convolution or runs as one, as its kernels are timed.
    ///
    /// # Errors
    /// [`Error::Shape`] if the network does not admit the shape.
    pub fn cases(&self, input: Shape, stored: Precision) -> Result<Vec<Case>> {
        let shapes = self.graph.infer_shapes(input)?;
        let convolution = |layer| select::convolution(layer, &|id: ValueId| View::whole(shapes[id.0]));
        Ok(self.fused.layers.iter().filter_map(convolution).map(|conv| Case::of(&conv, stored)).collect())
    }

    /// Plans the network for an input of shape `input`: all layers that the values of `keep` depend on, and no others.
    ///
    /// # Errors
    /// [`Error::Shape`] if the network does not admit the shape, or if a value to keep is not one of [`Network::values`];
    /// [`Error::GpuLimits`] if a buffer or a dispatch is too large for the device, in which case a smaller batch may fit.
    pub fn plan(&self, input: Shape, keep: &[ValueId], options: &Options, caps: &Caps) -> Result<Plan> {
        let shapes = self.graph.infer_shapes(input)?;
        let joined = self.joined(&shapes, keep, options, caps)?;
        let layers: Vec<(usize, &Layer)> = joined.iter().map(|(index, layer)| (*index, layer.as_ref())).collect();
        let choices: Vec<Option<Choice>> =
            layers.iter().map(|(_, layer)| select::choose(layer, &shapes, options, caps)).collect();
        let scratch: Vec<Vec<u64>> =
            choices.iter().map(|choice| choice.map_or_else(Vec::new, Choice::scratch)).collect();
        let places = place::place(&self.graph, &layers, &shapes, &scratch, options.stored, keep);
        for choice in choices.iter().flatten() {
            let rows = (choice.conv.y.shape.n * choice.conv.y.shape.h) as u64;
            if rows > MAX_ROWS {
                return Err(limit(caps, "rows of a batch".into(), rows, MAX_ROWS));
            }
        }
        for (bytes, name) in &places.buffers {
            if *bytes > caps.max_binding_bytes {
                return Err(limit(caps, format!("layer {name}: bytes in a buffer"), *bytes, caps.max_binding_bytes));
            }
        }
        let mut steps = Vec::new();
        for (&(index, layer), (&choice, scratch)) in layers.iter().zip(choices.iter().zip(&places.scratch)) {
            let context = lower::Context { index, layer, choice, scratch, places: &places.values, options, caps };
            let first = steps.len();
            lower::lower(&context, &mut steps);
            let sizes = choice.map_or_else(Vec::new, Choice::scratch);
            let scratch: Vec<(usize, u64)> = scratch.iter().copied().zip(sizes).collect();
            for step in &mut steps[first..] {
                step.bytes = self.traffic(step, layer, &places, &scratch, options.stored);
            }
        }
        for step in &steps {
            if let Some(&groups) = step.grid.iter().find(|&&groups| groups > caps.max_workgroups) {
                let what = format!("layer {}: workgroups in a dispatch", step.name);
                return Err(limit(caps, what, groups.into(), caps.max_workgroups.into()));
            }
            let weights = step.operands.iter().filter_map(|operand| match operand {
                Operand::Weights(id) => Some(self.packed(*id, options.stored)),
                _ => None,
            });
            if let Some(bytes) = weights.max().filter(|&bytes| bytes > caps.max_binding_bytes) {
                let what = format!("layer {}: bytes of weights", step.name);
                return Err(limit(caps, what, bytes, caps.max_binding_bytes));
            }
        }
        let place = |id: ValueId| places.values[id.0].expect("the input and every needed layer's output are placed");
        let input = place(self.graph.input());
        let kept: Vec<Placed> = keep.iter().map(|id| place(*id)).collect();
        let exchanged: Vec<Placed> = kept.iter().copied().chain([input]).collect();
        let footprint = self.footprint(&steps, &places, &exchanged, options.stored);
        let buffers = places.buffers.iter().map(|(bytes, _)| *bytes).collect();
        Ok(Plan { steps, input, pixels: None, kept, buffers, footprint })
    }

    /// The layers of a plan: those of [`Network::needed`], and blocks in place of two where that pays.
    fn joined(
        &self,
        shapes: &[Shape],
        keep: &[ValueId],
        options: &Options,
        caps: &Caps,
    ) -> Result<Vec<block::Numbered<'_>>> {
        let pays = |block: &Layer| select::choose(block, shapes, options, caps).is_some();
        Ok(block::join(self.needed(keep)?, keep, pays))
    }

    /// The layers that the values of `keep` depend on, with their indices, in execution order.
    fn needed(&self, keep: &[ValueId]) -> Result<Vec<(usize, &Layer)>> {
        let mut wanted = vec![false; self.graph.nodes().len()];
        for id in keep {
            if !self.fused.layers.iter().any(|layer| layer.output == *id) {
                let node = self.graph.nodes().get(id.0).map_or_else(|| format!("%{}", id.0), |node| node.name.clone());
                let reason = "its value cannot be read: the device computes it only as a part of another".into();
                return Err(Error::Shape { node, reason });
            }
            wanted[id.0] = true;
        }
        let mut layers: Vec<(usize, &Layer)> = Vec::new();
        for (i, layer) in self.fused.layers.iter().enumerate().rev() {
            if wanted[layer.output.0] {
                layer.reads().for_each(|id| wanted[id.0] = true);
                layers.push((i, layer));
            }
        }
        layers.reverse();
        Ok(layers)
    }
}

fn limit(caps: &Caps, what: String, needed: u64, limit: u64) -> Error {
    Error::GpuLimits { device: caps.device.clone(), what, needed, limit }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let macs = step.macs as f64 / 1e6;
            writeln!(f, "{:<28} {:9.2} MMAC  {:?}  {}  ({})", step.name, macs, step.grid, step.kernel, step.reason)?;
        }
        writeln!(f, "{} dispatches, {} activation buffers", self.steps.len(), self.buffers.len())?;
        writeln!(f, "device memory {}", self.footprint)
    }
}
