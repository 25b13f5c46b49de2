//! A graph made ready for a device, as data: `fuse` makes layers out of nodes, `select` chooses a kernel for each layer
//! with a reason, `memory` gives every value a buffer, `fold` packs the weights. Nothing here touches a device, so a plan can
//! be printed and tested without one.

mod fold;
mod fuse;
mod memory;
mod select;

use std::fmt;

pub use fuse::{Addend, ConvWeights, Epilogue, Fused, Layer, LayerOp, Norm, Subsample, fuse};
pub use memory::{Layout, Lifetime, assign};

use crate::{
    Error, Result,
    checkpoint::Checkpoint,
    graph::{Graph, ValueId},
    kernels::{Caps, KernelKey, Precision, conv2d::Variant, fours},
    tensor::Shape,
};

/// What a step binds to one of its kernel's bindings (after the uniform block).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// An activation buffer, by its index in [`Plan::buffers`].
    Buffer(usize),
    /// Packed weights.
    Weights(WeightsId),
}

/// Names one packed array of weights: the same for every plan of a network, so that it is uploaded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WeightsId {
    /// Index of the layer.
    pub layer: usize,
    /// Which of its arrays.
    pub part: Part,
}

/// The arrays that a layer may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// `[kh][kw][cin][cout]` or `[inputs][outputs]`, in the storage precision.
    Weights,
    /// One f32 an output channel.
    Bias,
    /// Scale of a stand-alone batch norm, f32.
    Scale,
    /// Shift of a stand-alone batch norm, f32.
    Shift,
}

/// One dispatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name of the layer.
    pub name: String,
    /// The graph value it yields (a concatenation takes several steps for one value).
    pub value: ValueId,
    /// The kernel.
    pub kernel: KernelKey,
    /// Why this kernel.
    pub reason: &'static str,
    /// Contents of the uniform block, binding 0.
    pub uniform: Vec<u8>,
    /// Bindings 1, 2, ...
    pub operands: Vec<Operand>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// Multiply-accumulates.
    pub macs: u64,
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Index in [`Plan::buffers`].
    pub buffer: usize,
    /// Its shape; stored NHWC with channels padded to four.
    pub shape: Shape,
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
    /// The values that are there when the last step has run, in the order in which they were asked for. One that no step
    /// reads, such as the logits, is f32.
    pub kept: Vec<Placed>,
}

/// How to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Type of stored activations and weights.
    pub stored: Precision,
    /// This kernel for every convolution, instead of the choice by shape and device.
    pub conv2d: Option<Variant>,
}

impl Options {
    /// The ordinary plan: kernels are chosen.
    pub fn new(stored: Precision) -> Self {
        Options { stored, conv2d: None }
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
        let fused = fuse(&graph);
        Network { graph, checkpoint, fused }
    }

    /// The graph.
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

    /// The packed array that `id` names, in f32.
    ///
    /// # Errors
    /// What [`Checkpoint::tensor`] finds wrong.
    pub(crate) fn pack(&self, id: WeightsId) -> Result<Vec<f32>> {
        let checkpoint = &self.checkpoint;
        match (&self.fused.layers[id.layer].op, id.part) {
            (LayerOp::Conv2d { weights, params, .. }, Part::Weights) => fold::conv2d(checkpoint, weights, params),
            (LayerOp::Conv2d { weights, params, .. }, _) => fold::bias(checkpoint, weights, params.out_channels),
            (LayerOp::Linear { weights, inputs, outputs }, Part::Weights) => {
                fold::linear(checkpoint, weights, *inputs, *outputs)
            }
            (LayerOp::Linear { weights, outputs, .. }, _) => fold::bias(checkpoint, weights, *outputs),
            (LayerOp::Elementwise { norm: Some(norm), .. }, Part::Scale) => Ok(fold::norm(checkpoint, norm)?.0),
            (LayerOp::Elementwise { norm: Some(norm), .. }, _) => Ok(fold::norm(checkpoint, norm)?.1),
            (op, part) => unreachable!("no {part:?} for {op:?}"),
        }
    }

    fn refuse_unserved(&self) -> Result<()> {
        for layer in &self.fused.layers {
            match &layer.op {
                LayerOp::Conv2d { params, .. } if params.groups > 1 => {
                    let reason = format!("there is no kernel for {} groups yet; --device cpu runs them", params.groups);
                    return Err(Error::Shape { node: layer.name.clone(), reason });
                }
                LayerOp::Unserved(op) => {
                    let reason = format!("there is no kernel for {op} yet; --device cpu runs it");
                    return Err(Error::Shape { node: layer.name.clone(), reason });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The values that layers yield, in execution order: those that a plan can keep.
    pub fn values(&self) -> Vec<ValueId> {
        self.fused.layers.iter().map(|layer| layer.output).collect()
    }

    /// Plans the network for an input of shape `input`: all layers that the values of `keep` depend on, and no others.
    ///
    /// # Errors
    /// [`Error::Shape`] if the network does not admit the shape, or if a value to keep is not one of [`Network::values`];
    /// [`Error::GpuLimits`] if a buffer or a dispatch is too large for the device, in which case a smaller batch may fit.
    pub fn plan(&self, input: Shape, keep: &[ValueId], options: &Options, caps: &Caps) -> Result<Plan> {
        let shapes = self.graph.infer_shapes(input)?;
        self.refuse_unserved()?;
        let layers = self.needed(keep)?;
        let values = Values::new(self, &layers, keep, &shapes, options, caps)?;
        let mut steps = Vec::new();
        for &(i, layer) in &layers {
            let placed = |id: ValueId| values.placed[id.0].expect("a layer reads values of earlier layers");
            select::steps(i, layer, options, caps, &placed, &mut steps);
        }
        for step in &steps {
            if let Some(&groups) = step.grid.iter().find(|&&groups| groups > caps.max_workgroups) {
                return Err(limit(
                    caps,
                    format!("layer {}: workgroups in a dispatch", step.name),
                    groups.into(),
                    caps.max_workgroups.into(),
                ));
            }
        }
        Ok(Plan {
            steps,
            input: values.placed[self.graph.input().0].expect("the input is placed"),
            kept: keep.iter().map(|id| values.placed[id.0].expect("a needed layer's output is placed")).collect(),
            buffers: values.buffers,
        })
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

/// Places of all values that layers exchange.
struct Values {
    placed: Vec<Option<Placed>>,
    buffers: Vec<u64>,
}

impl Values {
    fn new(
        network: &Network,
        layers: &[(usize, &Layer)],
        keep: &[ValueId],
        shapes: &[Shape],
        options: &Options,
        caps: &Caps,
    ) -> Result<Self> {
        let mut exchanged = vec![network.graph.input()];
        exchanged.extend(layers.iter().map(|(_, layer)| layer.output));
        let mut last_read = vec![None; shapes.len()];
        for (step, (_, layer)) in layers.iter().enumerate() {
            for id in layer.reads() {
                last_read[id.0] = Some(step + 1);
            }
        }
        let stored = |id: ValueId| if last_read[id.0].is_none() { Precision::F32 } else { options.stored };
        let mut lifetimes = Vec::with_capacity(exchanged.len());
        for (step, id) in exchanged.iter().enumerate() {
            let shape = shapes[id.0];
            let bytes = (shape.n * shape.pixels() * 4 * fours(shape.c) * stored(*id).bytes()) as u64;
            if bytes > caps.max_binding_bytes {
                let what = format!("layer {}: bytes in a buffer", network.graph.nodes()[id.0].name);
                return Err(limit(caps, what, bytes, caps.max_binding_bytes));
            }
            let last = if keep.contains(id) { usize::MAX } else { last_read[id.0].unwrap_or(step) };
            lifetimes.push(Lifetime { first: step, last, bytes });
        }
        let layout = assign(&lifetimes);
        let mut placed = vec![None; shapes.len()];
        for (id, &buffer) in exchanged.iter().zip(&layout.buffer_of) {
            placed[id.0] = Some(Placed { buffer, shape: shapes[id.0], stored: stored(*id) });
        }
        Ok(Values { placed, buffers: layout.buffers })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let macs = step.macs as f64 / 1e6;
            writeln!(f, "{:<28} {:9.2} MMAC  {:?}  {}  ({})", step.name, macs, step.grid, step.kernel, step.reason)?;
        }
        let mib = self.buffers.iter().sum::<u64>() as f64 / (1 << 20) as f64;
        writeln!(f, "{} dispatches, {} activation buffers, {mib:.1} MiB", self.steps.len(), self.buffers.len())
    }
}
