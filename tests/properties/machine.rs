//! A simulated device that computes nothing: each step of a plan marks its output, and must find the right marks in its input. The places
//! that a step reads and writes come only from its operands and its block of extents.

use std::collections::HashMap;

use residua::{
    executor::gpu::{
        kernels::{
            Binding, activation::ActivationDims, channel_gate::GateDims, conv2d::Conv2dDims,
            elementwise::ElementwiseDims, fours, gather::GatherDims, gemv::LinearDims, group_norm::NormDims,
            pool2d::PoolDims,
        },
        plan::{Operand, Placed, Plan, Step},
    },
    graph::ValueId,
    network::{Layer, LayerOp, Network},
    tensor::{Shape, StorageType},
};

/// The mark on two bytes: an element of a value, or of an array between two dispatches of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    what: What,
    pixel: usize,
    channel: usize,
    stored: StorageType,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Value(ValueId),
    /// The array that the step with this number wrote, within the layer that computes the value.
    Scratch(ValueId, usize),
}

/// Vectors of four channels in a buffer: for each of `pixels`, `count` from `offset` on; pixels are `stride` apart.
#[derive(Debug, Clone, Copy)]
struct Region {
    buffer: usize,
    pixels: usize,
    stride: usize,
    offset: usize,
    count: usize,
    stored: StorageType,
}

impl Region {
    /// Index, pixel and channel of every two bytes.
    fn units(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let units = self.stored.bytes() / 2;
        let elements = (0..self.pixels).flat_map(move |p| (0..4 * self.count).map(move |c| (p, c)));
        elements.flat_map(move |(p, c)| {
            let element = 4 * (p * self.stride + self.offset) + c;
            (0..units).map(move |unit| (element * units + unit, p, c))
        })
    }
}

/// Runs `plan`, which keeps the values `kept`, on marks.
///
/// # Errors
/// A sentence about the first step that does not find its input.
pub(crate) fn run(network: &Network, plan: &Plan, kept: &[ValueId]) -> Result<(), String> {
    let layers: HashMap<ValueId, &Layer> = network.layers().iter().map(|layer| (layer.output, layer)).collect();
    let buffers = plan.buffers.iter().map(|bytes| vec![None; (*bytes / 2) as usize]).collect();
    let shapes = network.graph().infer_shapes(plan.input.view.shape).map_err(|error| error.to_string())?;
    let mut machine = Machine { layers, shapes, buffers };
    let input = network.graph().input();
    machine.write(whole(&plan.input), |pixel, channel| (What::Value(input), pixel, channel))?;
    for (i, step) in plan.steps.iter().enumerate() {
        let first = plan.steps.iter().position(|other| other.value == step.value).unwrap_or(i);
        machine
            .step(step, i - first)
            .map_err(|reason| format!("step {i}, {} ({}): {reason}", step.name, step.label()))?;
    }
    for (id, placed) in kept.iter().zip(&plan.kept) {
        machine.read(whole(placed), *id).map_err(|reason| format!("in the end, {id:?}: {reason}"))?;
    }
    Ok(())
}

/// Place of a value.
fn whole(placed: &Placed) -> Region {
    let view = placed.view;
    let (stride, offset, count) = (view.stride as usize, view.offset as usize, view.c4() as usize);
    Region { buffer: placed.buffer, pixels: view.pixels(), stride, offset, count, stored: placed.stored }
}

struct Machine<'a> {
    layers: HashMap<ValueId, &'a Layer>,
    shapes: Vec<Shape>,
    buffers: Vec<Vec<Option<Mark>>>,
}

impl Machine<'_> {
    fn step(&mut self, step: &Step, index: usize) -> Result<(), String> {
        let bindings = &step.key.shader.bindings[1..];
        let bound = |kind: Binding| {
            let of = move |(operand, binding): (&Operand, &Binding)| match operand {
                Operand::Buffer(buffer) if *binding == kind => Some(*buffer),
                _ => None,
            };
            step.operands.iter().zip(bindings).filter_map(of).collect::<Vec<_>>()
        };
        if bound(Binding::Write).iter().any(|buffer| bound(Binding::Read).contains(buffer)) {
            return Err("reads and writes the same buffer".into());
        }
        match step.key.shader.name {
            "elementwise" => self.elementwise(step),
            "pool2d" | "global_avg_pool" | "global_avg_pool_slices" | "global_max_pool" => {
                let dims: PoolDims = block(step);
                let [n, c4] = [dims.n, dims.c4].map(|extent| extent as usize);
                let (pixels, outputs) = (n * (dims.h * dims.w) as usize, n * (dims.oh * dims.ow) as usize);
                let x = region(step, 1, pixels, [dims.x_stride, dims.x_offset], c4)?;
                self.read(x, self.layers[&step.value].inputs[0])?;
                let y = bindings.len();
                self.yields(region(step, y, outputs, [dims.y_stride, dims.y_offset], c4)?, step.value)
            }
            "activation" => {
                let dims: ActivationDims = block(step);
                let [pixels, c4] = [dims.pixels, dims.c4].map(|extent| extent as usize);
                let x = region(step, 1, pixels, [dims.x_stride, dims.x_offset], c4)?;
                self.read(x, self.layers[&step.value].inputs[0])?;
                self.yields(region(step, 2, pixels, [dims.y_stride, dims.y_offset], c4)?, step.value)
            }
            "channel_gate" => {
                let dims: GateDims = block(step);
                let (images, c4) = (step.grid[1] as usize, fours(dims.channels as usize));
                let x = region(step, 1, images, [dims.x_stride, dims.x_offset], c4)?;
                self.read(x, self.layers[&step.value].inputs[0])?;
                self.yields(region(step, 3, images, [dims.y_stride, dims.y_offset], c4)?, step.value)
            }
            "group_norm_channels" | "group_norm_groups" | "group_norm" => self.norm(step, index),
            "gather" => {
                let dims: GatherDims = block(step);
                let (outputs, per_image) = (dims.pixels as usize, (dims.oh * dims.ow) as usize);
                let (pixels, count) = (outputs / per_image * (dims.h * dims.w) as usize, dims.from + dims.channels);
                let x = region(step, 1, pixels, [dims.x_stride, dims.x_offset], fours(count as usize))?;
                self.read(x, self.layers[&step.value].inputs[0])?;
                let c4 = fours(dims.channels as usize);
                self.yields(region(step, 2, outputs, [dims.y_stride, dims.y_offset], c4)?, step.value)
            }
            "linear_gemv" => {
                let dims: LinearDims = block(step);
                let images = step.grid[1] as usize;
                let x = region(step, 1, images, [dims.x_stride, dims.x_offset], dims.in4 as usize)?;
                self.read(x, self.layers[&step.value].inputs[0])?;
                self.yields(region(step, 4, images, [dims.y_stride, dims.y_offset], dims.out4 as usize)?, step.value)
            }
            _ => self.convolution(step, index),
        }
    }

    /// Statistics of channels, statistics of groups, and the norm.
    fn norm(&mut self, step: &Step, index: usize) -> Result<(), String> {
        let dims: NormDims = block(step);
        let [images, c4] = [dims.images, dims.c4].map(|extent| extent as usize);
        let pixels = images * dims.pixels as usize;
        let input = self.layers[&step.value].inputs[0];
        // Two numbers for each image and channel.
        let statistics = |binding: usize| {
            let packed = region(step, binding, 2 * images, [dims.c4, 0], c4)?;
            Ok::<_, String>(Region { stored: StorageType::F32, ..packed })
        };
        let x = || region(step, 1, pixels, [dims.x_stride, dims.x_offset], c4);
        match step.key.shader.name {
            "group_norm_channels" => {
                self.read(x()?, input)?;
                self.scratch(statistics(2)?, step.value, index)
            }
            "group_norm_groups" => {
                self.exchanged(statistics(1)?, step.value, index)?;
                self.scratch(statistics(3)?, step.value, index)
            }
            _ => {
                self.read(x()?, input)?;
                self.exchanged(statistics(2)?, step.value, index)?;
                self.yields(region(step, 5, pixels, [dims.y_stride, dims.y_offset], c4)?, step.value)
            }
        }
    }

    fn elementwise(&mut self, step: &Step) -> Result<(), String> {
        let dims: ElementwiseDims = block(step);
        let layer = self.layers[&step.value];
        let (pixels, channels) = (dims.pixels as usize, dims.channels as usize);
        let images = pixels / (dims.h * dims.w) as usize;
        if compiled(step, "SOURCE") == 1 {
            let mut start = 0;
            let copied = layer.inputs.iter().find(|input| {
                start += self.shapes[input.0].c;
                start - self.shapes[input.0].c == dims.offset as usize
            });
            let source = if layer.op == LayerOp::Concat { copied } else { layer.inputs.first() };
            let source = *source.ok_or("copies a value that is not an input of the concatenation")?;
            self.read(region(step, 1, pixels, [dims.x_stride, dims.x_offset], fours(channels))?, source)?;
        }
        if compiled(step, "RESIDUAL") == 1 {
            let (r_pixels, count) = (images * (dims.r_h * dims.r_w) as usize, fours(dims.r_channels as usize));
            self.read(region(step, 3, r_pixels, [dims.r_stride, dims.r_offset], count)?, addend(layer)?)?;
        }
        if compiled(step, "GATE") > 0 {
            let gates = region(step, 4, images, [dims.g_stride, dims.g_offset], fours(channels))?;
            self.read(gates, layer.inputs[1])?;
        }
        // A vector that an earlier copy began is completed; any other is written as a whole.
        let (first, end) = (dims.offset as usize, dims.offset as usize + channels);
        let y = region(step, 5, pixels, [dims.y_stride, dims.y_offset], fours(dims.out_channels as usize))?;
        for (unit, pixel, channel) in y.units() {
            let vector = channel / 4 * 4;
            if (first..end).contains(&channel) || (vector >= first && vector < end) {
                let mark = Mark { what: What::Value(step.value), pixel, channel, stored: y.stored };
                *self.buffers[y.buffer].get_mut(unit).ok_or_else(|| format!("writes beyond {y:?}"))? = Some(mark);
            }
        }
        Ok(())
    }

    fn convolution(&mut self, step: &Step, index: usize) -> Result<(), String> {
        let dims: Conv2dDims = block(step);
        let layer = self.layers[&step.value];
        let [c4, oc4, pixels, tiles] = [dims.c4, dims.oc4, dims.pixels, dims.tiles].map(|extent| extent as usize);
        let images = pixels / (dims.oh * dims.ow) as usize;
        let deep = step.grid[2] as usize;
        let x = |step| {
            let pixels = images * (dims.h * dims.w) as usize;
            region(step, 1, pixels, [dims.x_stride, dims.x_offset], c4)
        };
        let array = |binding: usize, pixels: usize, count: usize| {
            let packed = region(step, binding, pixels, [count as u32, 0], count)?;
            Ok::<_, String>(Region { stored: StorageType::F32, ..packed })
        };
        let whole = match step.key.shader.name {
            "conv2d_registers"
            | "conv2d_broadcast"
            | "conv2d_grouped"
            | "conv2d_grouped_rows"
            | "conv2d_cooperative" => true,
            "conv2d_tiled" if compiled(step, "PARTS") == 0 => true,
            "conv2d_tiled" if compiled(step, "PARTS") == 1 => {
                self.read(x(step)?, layer.inputs[0])?;
                return self.scratch(array(6, deep * pixels, oc4)?, step.value, index);
            }
            "conv2d_tiled" | "conv2d_winograd_gemm" => {
                let rows = if tiles > 0 { tiles } else { pixels };
                self.exchanged(array(1, deep * rows, c4)?, step.value, index)?;
                return self.scratch(array(6, deep * rows, oc4)?, step.value, index);
            }
            "conv2d_winograd2_input" | "conv2d_winograd4_input" | "conv2d_winograd_tiled_input" => {
                self.read(x(step)?, layer.inputs[0])?;
                return self.scratch(array(6, points(step) * tiles, c4)?, step.value, index);
            }
            "conv2d_winograd_output" | "conv2d_winograd_tiled_output" => {
                self.exchanged(array(1, points(step) * tiles, oc4)?, step.value, index)?;
                false
            }
            "conv2d_reduce" => {
                let slices = (dims.kernel * dims.kernel * dims.c4).div_ceil(dims.slice) as usize;
                self.exchanged(array(5, slices * pixels, oc4)?, step.value, index)?;
                false
            }
            // Both convolutions of a residual block: the second one's addend is the input.
            "block_broadcast" | "block_threads" => {
                self.read(x(step)?, addend(layer)?)?;
                false
            }
            other => return Err(format!("the reads and writes of {other:?} are unknown here")),
        };
        if whole {
            self.read(x(step)?, layer.inputs[0])?;
        }
        if dims.r_step != 0 {
            let (r_pixels, count) = (images * (dims.r_h * dims.r_w) as usize, fours(dims.r_channels as usize));
            self.read(region(step, 4, r_pixels, [dims.r_stride, dims.r_offset], count)?, addend(layer)?)?;
        }
        self.yields(region(step, 6, pixels, [dims.y_stride, dims.y_offset], oc4)?, step.value)
    }

    /// Writes the value `id`.
    fn yields(&mut self, region: Region, id: ValueId) -> Result<(), String> {
        self.write(region, |pixel, channel| (What::Value(id), pixel, channel))
    }

    /// Writes an array for a later step in the same layer.
    fn scratch(&mut self, region: Region, id: ValueId, index: usize) -> Result<(), String> {
        self.write(region, |pixel, channel| (What::Scratch(id, index), pixel, channel))
    }

    /// Requires the array of the previous step.
    fn exchanged(&self, region: Region, id: ValueId, index: usize) -> Result<(), String> {
        let what = What::Scratch(id, index - 1);
        self.check(region, |mark, pixel, channel| (mark.what, mark.pixel, mark.channel) == (what, pixel, channel))
    }

    fn write(&mut self, region: Region, mark: impl Fn(usize, usize) -> (What, usize, usize)) -> Result<(), String> {
        for (unit, pixel, channel) in region.units() {
            let (what, pixel, channel) = mark(pixel, channel);
            let cell = self.buffers[region.buffer].get_mut(unit).ok_or_else(|| format!("writes beyond {region:?}"))?;
            *cell = Some(Mark { what, pixel, channel, stored: region.stored });
        }
        Ok(())
    }

    /// Requires the whole value `id` in `region`.
    fn read(&self, region: Region, id: ValueId) -> Result<(), String> {
        self.check(region, |mark, pixel, channel| self.stands_for(mark, id, pixel, channel))
    }

    fn check(&self, region: Region, wanted: impl Fn(Mark, usize, usize) -> bool) -> Result<(), String> {
        for (unit, pixel, channel) in region.units() {
            let found = self.buffers[region.buffer].get(unit).ok_or_else(|| format!("reads beyond {region:?}"))?;
            if !found.is_some_and(|mark| mark.stored == region.stored && wanted(mark, pixel, channel)) {
                return Err(format!("pixel {pixel}, channel {channel} of {region:?} is {found:?}"));
            }
        }
        Ok(())
    }

    /// Whether `mark` is the given element of `id`, or of the concatenation's input there.
    fn stands_for(&self, mark: Mark, id: ValueId, pixel: usize, channel: usize) -> bool {
        if mark == (Mark { what: What::Value(id), pixel, channel, ..mark }) {
            return true;
        }
        let Some(layer) = self.layers.get(&id).filter(|layer| layer.op == LayerOp::Concat) else { return false };
        let mut start = 0;
        for input in &layer.inputs {
            let channels = self.shapes[input.0].c;
            if (start..start + channels).contains(&channel) {
                return self.stands_for(mark, *input, pixel, channel - start);
            }
            start += channels;
        }
        false
    }
}

/// The block of extents of a step.
fn block<T: bytemuck::AnyBitPattern>(step: &Step) -> T {
    bytemuck::pod_read_unaligned(&step.uniform)
}

/// The constant compiled into a step's kernel under this name.
fn compiled(step: &Step, name: &str) -> u32 {
    step.key.overrides.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value)
}

/// Numbers in a Winograd tile.
fn points(step: &Step) -> usize {
    if step.kernel.to_string().starts_with("conv2d.winograd.2") { 16 } else { 36 }
}

/// The second addend.
fn addend(layer: &Layer) -> Result<ValueId, String> {
    match &layer.op {
        LayerOp::Conv2d { epilogue, .. } | LayerOp::Elementwise { epilogue, .. } => {
            epilogue.residual.as_ref().map(|addend| addend.value).ok_or("adds a value that the layer does not".into())
        }
        _ => Err("a layer that adds nothing".into()),
    }
}

/// Vectors in the buffer at `binding`: `count` for each pixel, with this stride and offset.
fn region(step: &Step, binding: usize, pixels: usize, at: [u32; 2], count: usize) -> Result<Region, String> {
    let Some(Operand::Buffer(buffer)) = step.operands.get(binding - 1) else {
        return Err(format!("binding {binding} is not a buffer"));
    };
    let written = step.key.shader.bindings[binding] == Binding::Write;
    let stored = if written { step.key.types.output } else { step.key.types.stored };
    let [stride, offset] = at.map(|vectors| vectors as usize);
    Ok(Region { buffer: *buffer, pixels, stride, offset, count, stored })
}
