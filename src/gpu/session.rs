//! A plan on a device: its buffers, its bind groups, and running it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_lock::Semaphore;

use super::{
    Executor,
    connection::{Connection, Submission},
    lock,
    pace::Portion,
    prepare::prepare,
    transfer,
};
use crate::{
    Result,
    plan::{Operand, Plan, RUNS},
    tensor::{Input, Tensor},
};

/// Everything that is needed to run a plan again and again; nothing is allocated on the device after it is made.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    pub(super) plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    pub(super) dispatches: Vec<Dispatch>,
    /// Those that no run has. A run that fails, or is dropped half-way, may leave its lane mapped, and does not give it back.
    lanes: Mutex<Vec<Lane>>,
    turns: Semaphore,
    /// Held while the commands of a run are submitted: those of two runs, which share the activations, do not mix.
    order: Mutex<()>,
    has_run: AtomicBool,
}

/// The way of a run onto the device and back.
#[derive(Debug)]
struct Lane {
    upload: wgpu::Buffer,
    /// One for each value that the plan keeps.
    readbacks: Vec<wgpu::Buffer>,
}

impl Lane {
    fn new(connection: &Connection, plan: &Plan) -> Result<Self> {
        let from_host = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let size = plan.pixels.map_or_else(|| plan.input.buffer_bytes(), |buffer| plan.buffers[buffer]);
        let upload = connection.buffer("upload", size, from_host)?;
        let to_host = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = |placed| connection.buffer("readback", transfer::bytes(placed) as u64, to_host);
        Ok(Lane { upload, readbacks: plan.kept.iter().map(readback).collect::<Result<_>>()? })
    }
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
        let lanes = (0..RUNS).map(|_| Lane::new(connection, &plan)).collect::<Result<_>>()?;
        prepare(executor, connection, &plan)?;
        // As large as any element of a kernel's arrays.
        let unused = connection.buffer("unused", 16, wgpu::BufferUsages::STORAGE)?;
        let uniforms = Uniforms::new(connection, &plan)?;
        let mut dispatches = Vec::with_capacity(plan.steps.len());
        for (i, step) in plan.steps.iter().enumerate() {
            let (pipeline, layout) = connection.pipeline(&step.key)?;
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
        Ok(Session {
            connection: connection.clone(),
            plan,
            buffers,
            dispatches,
            lanes: Mutex::new(lanes),
            turns: Semaphore::new(RUNS),
            order: Mutex::default(),
            has_run: AtomicBool::new(false),
        })
    }

    /// The input in, every dispatch, the kept values out: in one submission, or in several where one would take long.
    pub(super) async fn run(&self, input: Input<'_>) -> Result<Vec<Tensor>> {
        let connection = &self.connection;
        let bytes = transfer::to_device(input, &self.plan.input);
        let _turn = self.turns.acquire().await;
        let free = lock(&self.lanes).pop();
        let lane = free.map_or_else(|| Lane::new(connection, &self.plan), Ok)?;
        connection.map(&lane.upload, wgpu::MapMode::Write, None).await?;
        let range = lane.upload.get_mapped_range_mut(..);
        range.map_err(|error| connection.lose(error))?.copy_from_slice(&bytes);
        lane.upload.unmap();
        let portions = connection.pace.portions(&self.plan.steps);
        let submissions = self.submit(&portions, &lane)?;
        for submission in &submissions {
            connection.wait(Some(submission.index.clone()))?;
        }
        self.learn(&portions, &submissions);
        let last = submissions.last().map(|submission| &submission.index);
        let mut values = Vec::with_capacity(lane.readbacks.len());
        for (placed, readback) in self.plan.kept.iter().zip(&lane.readbacks) {
            connection.map(readback, wgpu::MapMode::Read, last.cloned()).await?;
            let view = readback.get_mapped_range(..).map_err(|error| connection.lose(error))?;
            values.push(transfer::to_host(&view, placed));
            drop(view);
            readback.unmap();
        }
        lock(&self.lanes).push(lane);
        Ok(values)
    }

    fn submit(&self, portions: &[Portion], lane: &Lane) -> Result<Vec<Submission>> {
        let _order = lock(&self.order);
        portions
            .iter()
            .map(|portion| self.connection.submit("batch", |encoder| self.record(encoder, portion, lane)))
            .collect()
    }

    fn learn(&self, portions: &[Portion], submissions: &[Submission]) {
        let Some(times) = submissions.iter().map(Submission::time).collect::<Option<Vec<Duration>>>() else { return };
        log::debug!("a batch of {} in submissions of {times:.3?}", self.plan.input.view.shape.n);
        // The first run may have waited for the driver's compiler.
        if self.has_run.swap(true, Ordering::Relaxed) {
            self.connection.pace.learn(portions, &times);
        }
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, portion: &Portion, lane: &Lane) {
        if portion.steps.start == 0 {
            let first = &self.buffers[self.plan.pixels.unwrap_or(self.plan.input.buffer)];
            encoder.copy_buffer_to_buffer(&lane.upload, 0, first, 0, lane.upload.size());
        }
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.dispatches[portion.steps.clone()].iter().for_each(|dispatch| dispatch.record(&mut pass));
        }
        if portion.steps.end == self.dispatches.len() {
            for (placed, readback) in self.plan.kept.iter().zip(&lane.readbacks) {
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
