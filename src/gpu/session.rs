//! A plan on a device: its buffers, its bind groups, and running it in one submission.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{Device, Executor, prepare::prepare, transfer};
use crate::{
    Result,
    plan::{Operand, Plan},
    tensor::Tensor,
};

/// Everything that is needed to run a plan again and again; nothing is allocated on the device after it is made.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    upload: wgpu::Buffer,
    /// One for each value that the plan keeps.
    readbacks: Vec<wgpu::Buffer>,
    pub(super) dispatches: Vec<Dispatch>,
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
    pub(super) fn new(executor: &Executor, plan: Plan) -> Result<Self> {
        let device = &executor.device;
        let buffer = |label: &str, size: u64, usage| {
            let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
            device.device.create_buffer(&descriptor)
        };
        let activation = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let buffers: Vec<_> = plan.buffers.iter().map(|&size| buffer("activations", size, activation)).collect();
        let upload = buffer(
            "upload",
            transfer::bytes(&plan.input) as u64,
            wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
        );
        let to_host = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readbacks =
            plan.kept.iter().map(|placed| buffer("readback", transfer::bytes(placed) as u64, to_host)).collect();
        device.check("activation buffers")?;
        prepare(executor, &plan)?;
        // As large as any element of a kernel's arrays.
        let unused = buffer("unused", 16, wgpu::BufferUsages::STORAGE);
        let uniforms = Uniforms::new(device, &plan);
        let mut dispatches = Vec::with_capacity(plan.steps.len());
        for (i, step) in plan.steps.iter().enumerate() {
            let (pipeline, layout) = device.pipeline(&step.kernel)?;
            let weights: Vec<Option<wgpu::Buffer>> = step
                .operands
                .iter()
                .map(|operand| match operand {
                    Operand::Buffer(_) | Operand::Unused => Ok(None),
                    Operand::Weights(id) => executor.weights(*id).map(Some),
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
            let bind_group = device.device.create_bind_group(&descriptor);
            dispatches.push(Dispatch { pipeline, bind_group, grid: step.grid });
        }
        device.check("bind groups")?;
        Ok(Session { plan, buffers, upload, readbacks, dispatches })
    }

    /// One submission: the input in, every dispatch in one pass, the kept values out.
    pub(super) async fn run(&self, device: &Device, input: &Tensor) -> Result<Vec<Tensor>> {
        let upload = map(device, &self.upload, wgpu::MapMode::Write);
        upload.await?;
        let range = self.upload.get_mapped_range_mut(..);
        range.map_err(|error| device.lost(error))?.copy_from_slice(&transfer::to_device(input, &self.plan.input));
        self.upload.unmap();
        let mut encoder = device.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.upload, 0, &self.buffers[self.plan.input.buffer], 0, self.upload.size());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.dispatches.iter().for_each(|dispatch| dispatch.record(&mut pass));
        }
        for (placed, readback) in self.plan.kept.iter().zip(&self.readbacks) {
            encoder.copy_buffer_to_buffer(&self.buffers[placed.buffer], 0, readback, 0, readback.size());
        }
        device.queue.submit([encoder.finish()]);
        device.check("submission")?;
        let mut values = Vec::with_capacity(self.readbacks.len());
        for (placed, readback) in self.plan.kept.iter().zip(&self.readbacks) {
            map(device, readback, wgpu::MapMode::Read).await?;
            device.check("submission")?;
            let view = readback.get_mapped_range(..).map_err(|error| device.lost(error))?;
            values.push(transfer::to_host(&view, placed));
            drop(view);
            readback.unmap();
        }
        Ok(values)
    }
}

/// Maps a whole buffer. Natively this waits for the device inside; in a browser the caller's executor does.
pub(super) async fn map(device: &Device, buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> Result<()> {
    let mapped = Signal::default();
    let signal = mapped.clone();
    buffer.map_async(mode, .., move |result| signal.set(result.map_err(|error| error.to_string())));
    device.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| device.lost(error))?;
    mapped.await.map_err(|reason| device.check("mapping").err().unwrap_or_else(|| device.lost(reason)))
}

/// The result of a callback, as a future.
#[derive(Clone, Default)]
struct Signal(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    result: Option<Result<(), String>>,
    waker: Option<Waker>,
}

impl Signal {
    fn set(&self, result: Result<(), String>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.result = Some(result);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Future for Signal {
    type Output = Result<(), String>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
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
    fn new(device: &Device, plan: &Plan) -> Self {
        let align = device.device.limits().min_uniform_buffer_offset_alignment as usize;
        let largest = plan.steps.iter().map(|step| step.uniform.len()).max().unwrap_or(16);
        let stride = largest.next_multiple_of(align);
        let mut blocks = vec![0; stride * plan.steps.len()];
        for (block, step) in blocks.chunks_exact_mut(stride).zip(&plan.steps) {
            block[..step.uniform.len()].copy_from_slice(&step.uniform);
        }
        Uniforms { buffer: super::upload(device, "extents", &blocks, wgpu::BufferUsages::UNIFORM), stride }
    }

    fn binding(&self, step: usize, len: usize) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: (step * self.stride) as u64,
            size: std::num::NonZero::new(len as u64),
        })
    }
}
