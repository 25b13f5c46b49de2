//! A network made ready for devices, and its plan for one of them.

use std::collections::HashSet;

use super::{
    Case, Footprint, Fused, Layer, Operand, Options, Placed, Plan, RUNS, Step, block, commute, fuse, lower,
    place::{self, Placement},
    problem,
    select::{self, Choice},
    types::limit,
};
use crate::{
    Error, Result,
    checkpoint::Checkpoint,
    graph::{Graph, ValueId},
    kernels::{Caps, KernelId, Precision, Problem},
    tensor::Shape,
};

/// Rows of all images of a convolution's output: up to here `divide` of `shaders/lib/conv2d.wgsl` is exact.
const MAX_ROWS: u64 = 1 << 22;

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

    /// The values that layers yield, in execution order: those that a plan can keep.
    pub fn values(&self) -> Vec<ValueId> {
        self.fused.layers.iter().map(|layer| layer.output).collect()
    }

    /// The values that the layers of the plan for the logits yield, in execution order: all of [`Network::values`] but those inside of
    /// residual blocks that one dispatch does. With each the kernel.
    ///
    /// # Errors
    /// [`Error::Shape`] if the network does not admit the shape.
    pub fn kernels(&self, input: Shape, options: &Options, caps: &Caps) -> Result<Vec<(ValueId, KernelId)>> {
        let shapes = self.graph.infer_shapes(input)?;
        let layers = self.joined(&shapes, &[self.graph.output()], options, caps)?;
        let kernel = |layer: &Layer| choose(layer, &shapes, options, caps).kernel;
        Ok(layers.iter().map(|(_, layer)| (layer.output, kernel(layer))).collect())
    }

    /// Every layer that is timed, as its kernels are.
    ///
    /// # Errors
    /// [`Error::Shape`] if the network does not admit the shape.
    pub fn cases(&self, input: Shape, stored: Precision) -> Result<Vec<Case>> {
        let shapes = self.graph.infer_shapes(input)?;
        let case = |layer| Case::of(&problem::of(layer, &shapes), stored);
        Ok(self.fused.layers.iter().filter_map(case).collect())
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
        let choices: Vec<Choice> = layers.iter().map(|(_, layer)| choose(layer, &shapes, options, caps)).collect();
        let scratch: Vec<Vec<u64>> = choices.iter().map(|choice| choice.scratch(options, caps)).collect();
        let places = place::place(&self.graph, &layers, &shapes, &scratch, options.stored, keep);
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

/// The choice for a layer of a plan, in which there are only blocks that pay.
fn choose(layer: &Layer, shapes: &[Shape], options: &Options, caps: &Caps) -> Choice {
    select::choose(layer, shapes, options, caps).expect("every layer has a kernel, and a block that pays")
}
