//! Pixels as they come out of a file, in place of normalised numbers.

use super::{Operand, Plan, RUNS, Step, limit};
use crate::{
    Result,
    graph::ValueId,
    kernels::{Caps, pixels},
};

impl Plan {
    /// The same plan for a [`PixelBatch`](crate::tensor::PixelBatch) in place of the input's numbers: with a step in front that
    /// normalises it, and a buffer for it.
    ///
    /// # Errors
    /// [`Error::GpuLimits`](crate::Error::GpuLimits) if the batch is too large for the device.
    pub fn of_pixels(mut self, input: ValueId, caps: &Caps) -> Result<Self> {
        let (kernel, dims, grid) = pixels::normalise(self.input.stored, self.input.view);
        let size = pixels::source_bytes(self.input.view.pixels()) as u64;
        if let Some(&groups) = grid.iter().find(|&&groups| groups > caps.max_workgroups) {
            let what = "pixels: workgroups in a dispatch".into();
            return Err(limit(caps, what, groups.into(), caps.max_workgroups.into()));
        }
        let source = self.buffers.len();
        let step = Step {
            name: "pixels".into(),
            value: input,
            variant: None,
            kernel,
            reason: "the input comes in eight bits a channel".into(),
            uniform: bytemuck::bytes_of(&dims).to_vec(),
            operands: vec![Operand::Buffer(source), Operand::Buffer(self.input.buffer)],
            grid,
            macs: 0,
            bytes: size + self.input.buffer_bytes(),
        };
        self.steps.insert(0, step);
        self.buffers.push(size);
        self.pixels = Some(source);
        self.footprint.activations += size;
        self.footprint.staging -= RUNS as u64 * self.input.buffer_bytes();
        self.footprint.staging += RUNS as u64 * size;
        Ok(self)
    }
}
