//! Plans that take pixels as decoded from a file, instead of a normalised tensor.

use super::{Operand, Plan, RUNS, Step, limit};
use crate::{
    Result,
    executor::gpu::kernels::{Caps, Problem, Role, Types, pixels},
    graph::ValueId,
};

impl Plan {
    /// The same plan for a [`PixelBatch`](crate::tensor::PixelBatch) as its input: adds a first step that normalises it, and a
    /// buffer for it.
    ///
    /// # Errors
    /// [`Error::GpuLimits`](crate::Error::GpuLimits) if the batch is too large for the device.
    pub fn of_pixels(mut self, input: ValueId, caps: &Caps) -> Result<Self> {
        let problem = Problem::Pixels(self.input.view);
        let work = pixels::ID.work(&problem, Types::all(self.input.stored), caps).expect("it serves pixels");
        let size = pixels::source_bytes(self.input.view.pixels()) as u64;
        let source = self.buffers.len();
        let bytes = size + self.input.buffer_bytes();
        for (at, dispatch) in work.dispatches.into_iter().enumerate() {
            if let Some(&groups) = dispatch.grid.iter().find(|&&groups| groups > caps.max_workgroups) {
                let what = "pixels: workgroups in a dispatch".into();
                return Err(limit(caps, what, groups.into(), caps.max_workgroups.into()));
            }
            let buffer = |role| if role == Role::Pixels { source } else { self.input.buffer };
            let step = Step {
                name: "pixels".into(),
                value: input,
                kernel: pixels::ID,
                reason: "the input has eight bits a channel".into(),
                operands: dispatch.operands.into_iter().map(|role| Operand::Buffer(buffer(role))).collect(),
                key: dispatch.key,
                uniform: dispatch.uniform,
                grid: dispatch.grid,
                macs: dispatch.macs,
                bytes,
            };
            self.steps.insert(at, step);
        }
        self.buffers.push(size);
        self.pixels = Some(source);
        self.footprint.activations += size;
        self.footprint.staging -= RUNS as u64 * self.input.buffer_bytes();
        self.footprint.staging += RUNS as u64 * size;
        Ok(self)
    }
}
