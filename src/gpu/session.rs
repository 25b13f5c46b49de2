//! A plan on a device: its buffers, its bind groups, and running it.

use std::{sync::Arc, time::Instant};

use super::{Executor, connection::Connection, pace::Portion, prepare::prepare, transfer};
use crate::{
    Result,
    plan::{Operand, Plan},
    tensor::Tensor,
};

/// Everything that is needed to run a plan again and again; nothing is allocated on the device after it is made.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    pub(super) plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    upload: wgpu::Buffer,
    /// One for each value that the plan keeps.
    readbacks: Vec<wgpu::Buffer>,
    pub(super) dispatches: Vec<Dispatch>,
    has_run: bool,
}

#[derive(Debug)]
pub(super) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Dispatch {
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        let [x, y, z] = self.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}

impl Session {
    /// Makes buffers, pipelines and bind groups for `plan`.
    pub(super) fn new(executor: &Executor, connection: &Arc<Connection>, plan: Plan) -> Result<Self> {
        let activation = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let activations = plan.buffers.iter().map(|&size| connection.buffer("activations", size, activation));
        let buffers: Vec<wgpu::Buffer> = activations.collect::<Result<_>>()?;
        let from_host = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let upload = connection.buffer("upload", transfer::bytes(&plan.input) as u64, from_host)?;
        let to_host = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = |placed| connection.buffer("readback", transfer::bytes(placed) as u64, to_host);
        let readbacks: Vec<wgpu::Buffer> = plan.kept.iter().map(readback).collect::<Result<_>>()?;
        prepare(executor, connection, &plan)?;
        // As large as any element of a kernel's arrays.
        let unused = connection.buffer("unused", 16, wgpu::BufferUsages::STORAGE)?;
        let uniforms = Uniforms::new(connection, &plan)?;
        let mut dispatches = Vec::with_capacity(plan.steps.len());
        for (i, step) in plan.steps.iter().enumerate() {
            let (pipeline, layout) = connection.pipeline(&step.kernel)?;
            let weights: Vec<Option<wgpu::Buffer>> = step
                .operands
                .iter()
                .map(|operand| match operand {
                    Operand::Buffer(_) | Operand::Unused => Ok(None),
                    Operand::Weights(id) => executor.weights(connection, *id).map(Some),
                })
                .collect::<Result<_>>()?;
            let mut entries =
                vec![wgpu::BindGroupEntry { binding: 0, resource: uniforms.binding(i, step.uniform.len()) }];
            for (binding, (operand, weights)) in step.operands.iter().zip(&weights).enumerate() {
                let resource = match (operand, weights) {
                    (Operand::Buffer(b), _) => buffers[*b].as_entire_binding(),
                    (Operand::Weights(_), Some(weights)) => weights.as_entire_binding(),
                    (Operand::Unused, _) => unused.as_entire_binding(),
                    (Operand::Weights(_), None) => continue,
                };
                entries.push(wgpu::BindGroupEntry { binding: binding as u32 + 1, resource });
            }
            let descriptor = wgpu::BindGroupDescriptor { label: Some(&step.name), layout: &layout, entries: &entries };
            let bind_group = connection.guarded(&step.name, || connection.device.create_bind_group(&descriptor))?;
            dispatches.push(Dispatch { pipeline, bind_group, grid: step.grid });
        }
        Ok(Session { connection: connection.clone(), plan, buffers, upload, readbacks, dispatches, has_run: false })
    }

    /// The input in, every dispatch, the kept values out: in one submission, or in several where one would take long.
    pub(super) async fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>> {
        let connection = &self.connection;
        connection.map(&self.upload, wgpu::MapMode::Write, None).await?;
        let range = self.upload.get_mapped_range_mut(..);
        range.map_err(|error| connection.lose(error))?.copy_from_slice(&transfer::to_device(input, &self.plan.input));
        self.upload.unmap();
        let (before, done) = connection.counts();
        let portions = connection.pace.portions(&self.plan.steps);
        let submit = |portion: &Portion| connection.submit("batch", |encoder| self.record(encoder, portion));
        let mut began = Instant::now();
        let submissions: Vec<_> = portions.iter().map(submit).collect::<Result<_>>()?;
        let mut times = Vec::with_capacity(portions.len());
        for submission in &submissions {
            connection.wait(Some(submission.clone()))?;
            let now = Instant::now();
            times.push(now - began);
            began = now;
        }
        log::debug!("a batch of {} in submissions of {times:.3?}", input.shape.n);
        // The first run may have waited for the driver's compiler.
        let alone = done == before && connection.counts().0 == before + submissions.len() as u64;
        if alone && self.has_run {
            connection.pace.learn(&portions, &times);
        }
        let mut values = Vec::with_capacity(self.readbacks.len());
        for (placed, readback) in self.plan.kept.iter().zip(&self.readbacks) {
            connection.map(readback, wgpu::MapMode::Read, submissions.last().cloned()).await?;
            let view = readback.get_mapped_range(..).map_err(|error| connection.lose(error))?;
            values.push(transfer::to_host(&view, placed));
            drop(view);
            readback.unmap();
        }
        self.has_run = true;
        Ok(values)
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, portion: &Portion) {
        if portion.steps.start == 0 {
            let first = &self.buffers[self.plan.input.buffer];
            encoder.copy_buffer_to_buffer(&self.upload, 0, first, 0, self.upload.size());
        }
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.dispatches[portion.steps.clone()].iter().for_each(|dispatch| dispatch.record(&mut pass));
        }
        if portion.steps.end == self.dispatches.len() {
            for (placed, readback) in self.plan.kept.iter().zip(&self.readbacks) {
                encoder.copy_buffer_to_buffer(&self.buffers[placed.buffer], 0, readback, 0, readback.size());
            }
        }
    }
}

/// The uniform blocks of all steps in one buffer.
struct Uniforms {
    buffer: wgpu::Buffer,
    stride: usize,
}

impl Uniforms {
    fn new(connection: &Connection, plan: &Plan) -> Result<Self> {
        let align = connection.device.limits().min_uniform_buffer_offset_alignment as usize;
        let largest = plan.steps.iter().map(|step| step.uniform.len()).max().unwrap_or(16);
        let stride = largest.next_multiple_of(align);
        let mut blocks = vec![0; stride * plan.steps.len()];
        for (block, step) in blocks.chunks_exact_mut(stride).zip(&plan.steps) {
            block[..step.uniform.len()].copy_from_slice(&step.uniform);
        }
        Ok(Uniforms { buffer: connection.filled("extents", &blocks, wgpu::BufferUsages::UNIFORM)?, stride })
    }

    fn binding(&self, step: usize, len: usize) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: (step * self.stride) as u64,
            size: std::num::NonZero::new(len as u64),
        })
    }
}
