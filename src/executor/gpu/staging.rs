//! The buffers that carry a run's input to the device and its results back.

use super::{connection::Connection, transfer};
use crate::{Result, executor::gpu::plan::Plan};

/// Bytes of a run's stamp, which follows the input and the first result.
pub(super) const STAMP_BYTES: u64 = 4;

/// The buffers of one run. A stamp follows the input, and the device copies it after the first of the results. If another stamp is found
/// there, the results come from an earlier run.
#[derive(Debug)]
pub(super) struct StagingBuffers {
    pub(super) upload: wgpu::Buffer,
    /// One for each value that the plan keeps.
    pub(super) readbacks: Vec<wgpu::Buffer>,
}

impl StagingBuffers {
    /// Creates the buffers that `plan` needs.
    pub(super) async fn new(connection: &Connection, plan: &Plan) -> Result<Self> {
        let from_host = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let size = plan.pixels.map_or_else(|| plan.input.buffer_bytes(), |buffer| plan.buffers[buffer]);
        let upload = connection.buffer("upload", size + STAMP_BYTES, from_host).await?;
        let to_host = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut readbacks = Vec::with_capacity(plan.kept.len());
        for placed in &plan.kept {
            let size = transfer::bytes(placed) as u64 + STAMP_BYTES;
            readbacks.push(connection.buffer("readback", size, to_host).await?);
        }
        Ok(StagingBuffers { upload, readbacks })
    }
}
