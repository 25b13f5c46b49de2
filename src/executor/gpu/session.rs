//! A plan on a device: makes its buffers and bind groups, and runs it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_lock::Semaphore;

use super::{
    connection::{Connection, Submission},
    inject::Moment,
    lock,
    pace::Portion,
    pipelines,
    prepare::prepare,
    staging::{STAMP_BYTES, StagingBuffers},
    transfer,
    weights::Weights,
};
use crate::{
    Result,
    executor::gpu::plan::{Operand, Plan, RUNS},
    tensor::{Input, Tensor},
};

/// Everything that a plan needs to run again and again. Runs allocate nothing more on the device.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    pub(super) plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    pub(super) dispatches: Vec<Dispatch>,
    /// Idle buffers. A run that fails or is dropped half-way does not return its own, which may still be mapped.
    staging: Mutex<Vec<StagingBuffers>>,
    turns: Semaphore,
    /// Held while a run submits its commands, so that the commands of two runs, which share the activations, do not mix.
    order: async_lock::Mutex<()>,
    has_run: AtomicBool,
    canary: wgpu::Buffer,
    runs: AtomicU32,
}

/// When a run begins, this many bytes at the start and at the end of each kept value's buffer hold the canary.
const CANARY_BYTES: u64 = 16 << 10;

#[derive(Debug)]
pub(super) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Dispatch {
    /// Records the dispatch, unless an injected failure skips it.
    pub(super) fn record(&self, connection: &Connection, pass: &mut wgpu::ComputePass<'_>) {
        if connection.at(Moment::Dispatch, "dispatch").unwrap_or(false) {
            return;
        }
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        let [x, y, z] = self.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}

impl Session {
    /// Makes buffers, pipelines and bind groups for `plan`.
    pub(super) async fn new(weights: &Weights, connection: &Arc<Connection>, plan: Plan) -> Result<Self> {
        let activation = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let mut buffers = Vec::with_capacity(plan.buffers.len());
        for &size in &plan.buffers {
            buffers.push(connection.buffer("activations", size, activation).await?);
        }
        let mut staging = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            staging.push(StagingBuffers::new(connection, &plan).await?);
        }
        prepare(weights, connection, &plan).await?;
        // As large as the largest element of any kernel's arrays.
        let unused = connection.buffer("unused", 16, wgpu::BufferUsages::STORAGE).await?;
        let largest = plan.kept.iter().map(|placed| plan.buffers[placed.buffer]).max().unwrap_or(0);
        let canary = transfer::canary(largest.min(CANARY_BYTES));
        let canary = connection.filled("canary", &canary, wgpu::BufferUsages::COPY_SRC).await?;
        let uniforms = Uniforms::new(connection, &plan).await?;
        let mut dispatches = Vec::with_capacity(plan.steps.len());
        for (i, step) in plan.steps.iter().enumerate() {
            let (pipeline, layout) = pipelines::compiled(connection, &step.key).await?;
            let mut arrays = Vec::with_capacity(step.operands.len());
            for operand in &step.operands {
                arrays.push(match operand {
                    Operand::Buffer(_) | Operand::Unused => None,
                    Operand::Weights(id) => Some(weights.get(connection, *id, &mut Vec::new()).await?),
                });
            }
            let mut entries =
                vec![wgpu::BindGroupEntry { binding: 0, resource: uniforms.binding(i, step.uniform.len()) }];
            for (binding, (operand, array)) in step.operands.iter().zip(&arrays).enumerate() {
                let resource = match (operand, array) {
                    (Operand::Buffer(b), _) => buffers[*b].as_entire_binding(),
                    (Operand::Weights(_), Some(array)) => array.as_entire_binding(),
                    (Operand::Unused, _) => unused.as_entire_binding(),
                    (Operand::Weights(_), None) => continue,
                };
                entries.push(wgpu::BindGroupEntry { binding: binding as u32 + 1, resource });
            }
            let descriptor = wgpu::BindGroupDescriptor { label: Some(&step.name), layout: &layout, entries: &entries };
            let bind_group =
                connection.guarded(&step.name, || connection.device.create_bind_group(&descriptor)).await?;
            dispatches.push(Dispatch { pipeline, bind_group, grid: step.grid });
        }
        Ok(Session {
            connection: connection.clone(),
            plan,
            buffers,
            dispatches,
            staging: Mutex::new(staging),
            turns: Semaphore::new(RUNS),
            order: async_lock::Mutex::default(),
            has_run: AtomicBool::new(false),
            canary,
            runs: AtomicU32::new(0),
        })
    }

    /// Runs the plan: uploads the input, runs every dispatch, and reads back the kept values.
    ///
    /// # Errors
    /// The device's (`gpu.*`); [`Error::GpuWrong`](crate::Error::GpuWrong) if this run did not write the results.
    pub(super) async fn run(&self, input: Input<'_>) -> Result<Vec<Tensor>> {
        let values = self.attempt(input).await?;
        if values.iter().zip(&self.plan.kept).any(|(value, placed)| transfer::has_canary(value, placed)) {
            return Err(self.connection.wrong("it reports the work as done, but no kernel has written the results"));
        }
        Ok(values)
    }

    /// Runs the plan as [`Session::run`] does, for kernels that may be wrong: an element that they have not written is NaN. Uses
    /// one submission, or several if one would take long.
    ///
    /// # Errors
    /// As [`Session::run`]; [`Error::GpuWrong`](crate::Error::GpuWrong) only if the device did nothing at all.
    pub(super) async fn attempt(&self, input: Input<'_>) -> Result<Vec<Tensor>> {
        let connection = &self.connection;
        let mut bytes = transfer::to_device(input, &self.plan.input);
        // Consecutive numbers with the highest bit set, which memory is unlikely to hold by chance.
        let stamp = (self.runs.fetch_add(1, Ordering::Relaxed) | (1 << 31)).to_le_bytes();
        bytes.extend(stamp);
        let _turn = self.turns.acquire().await;
        let free = lock(&self.staging).pop();
        let staging = match free {
            Some(staging) => staging,
            None => StagingBuffers::new(connection, &self.plan).await?,
        };
        connection.map(&staging.upload, wgpu::MapMode::Write, None).await?;
        staging.upload.get_mapped_range_mut(..).map_err(|error| connection.lose(error))?.copy_from_slice(&bytes);
        staging.upload.unmap();
        let portions = connection.pace.portions(&self.plan.steps);
        let submissions = self.submit(&portions, &staging).await?;
        for submission in &submissions {
            connection.wait(Some(submission.index.clone())).await?;
        }
        self.learn(&portions, &submissions);
        let last = submissions.last().map(|submission| &submission.index);
        let mut values = Vec::with_capacity(staging.readbacks.len());
        for (placed, readback) in self.plan.kept.iter().zip(&staging.readbacks) {
            connection.map(readback, wgpu::MapMode::Read, last.cloned()).await?;
            let read = readback.get_mapped_range(..).map(|view| {
                let (results, mark) = view.split_at(transfer::bytes(placed));
                (transfer::to_host(results, placed), mark == stamp)
            });
            let (value, stamped) = read.map_err(|error| connection.lose(error))?;
            if values.is_empty() && !stamped {
                return Err(connection.wrong("it reports the work as done, but has not copied the results"));
            }
            values.push(value);
            readback.unmap();
        }
        lock(&self.staging).push(staging);
        Ok(values)
    }

    async fn submit(&self, portions: &[Portion], staging: &StagingBuffers) -> Result<Vec<Submission>> {
        let _order = self.order.lock().await;
        let mut submissions = Vec::with_capacity(portions.len());
        for portion in portions {
            let record = |encoder: &mut wgpu::CommandEncoder| self.record(encoder, portion, staging);
            submissions.push(self.connection.submit("batch", record).await?);
        }
        Ok(submissions)
    }

    fn learn(&self, portions: &[Portion], submissions: &[Submission]) {
        let Some(times) = submissions.iter().map(Submission::time).collect::<Option<Vec<Duration>>>() else { return };
        log::debug!("a batch of {} in submissions of {times:.3?}", self.plan.input.view.shape.n);
        // Do not learn from the first run: it may have waited for the driver's compiler.
        if self.has_run.swap(true, Ordering::Relaxed) {
            self.connection.pace.learn(portions, &times);
        }
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, portion: &Portion, staging: &StagingBuffers) {
        if portion.steps.start == 0 {
            for kept in self.plan.kept.iter().map(|placed| &self.buffers[placed.buffer]) {
                let len = self.canary.size().min(kept.size());
                encoder.copy_buffer_to_buffer(&self.canary, 0, kept, 0, len);
                if kept.size() > len {
                    encoder.copy_buffer_to_buffer(&self.canary, 0, kept, kept.size() - len, len);
                }
            }
            let first = &self.buffers[self.plan.pixels.unwrap_or(self.plan.input.buffer)];
            let bytes = staging.upload.size() - STAMP_BYTES;
            encoder.copy_buffer_to_buffer(&staging.upload, 0, first, 0, bytes);
            if let Some(readback) = staging.readbacks.first() {
                let end = readback.size() - STAMP_BYTES;
                encoder.copy_buffer_to_buffer(&staging.upload, bytes, readback, end, STAMP_BYTES);
            }
        }
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let dispatches = &self.dispatches[portion.steps.clone()];
            dispatches.iter().for_each(|dispatch| dispatch.record(&self.connection, &mut pass));
        }
        if portion.steps.end == self.dispatches.len() {
            for (placed, readback) in self.plan.kept.iter().zip(&staging.readbacks) {
                let bytes = readback.size() - STAMP_BYTES;
                encoder.copy_buffer_to_buffer(&self.buffers[placed.buffer], 0, readback, 0, bytes);
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
    async fn new(connection: &Connection, plan: &Plan) -> Result<Self> {
        let align = connection.device.limits().min_uniform_buffer_offset_alignment as usize;
        let largest = plan.steps.iter().map(|step| step.uniform.len()).max().unwrap_or(16);
        let stride = largest.next_multiple_of(align);
        let mut blocks = vec![0; stride * plan.steps.len()];
        for (block, step) in blocks.chunks_exact_mut(stride).zip(&plan.steps) {
            block[..step.uniform.len()].copy_from_slice(&step.uniform);
        }
        Ok(Uniforms { buffer: connection.filled("extents", &blocks, wgpu::BufferUsages::UNIFORM).await?, stride })
    }

    fn binding(&self, step: usize, len: usize) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: (step * self.stride) as u64,
            size: std::num::NonZero::new(len as u64),
        })
    }
}
