//! The buffers through which a run's input goes onto the device, and its results come back.

use super::{connection::Connection, transfer};
use crate::{Result, executor::gpu::plan::Plan};

/// Bytes that a run's stamp takes, after the input and after the first of the results.
pub(super) const STAMP_BYTES: u64 = 4;

/// The way of a run onto the device and back. After the input comes a stamp, which the device copies after the first of the results:
/// another stamp there is from an earlier run, and so are the results.
#[derive(Debug)]
pub(super) struct StagingBuffers {
    pub(super) upload: wgpu::Buffer,
    /// One for each value that the plan keeps.
    pub(super) readbacks: Vec<wgpu::Buffer>,
}

impl StagingBuffers {
    /// Those that `plan` needs.
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
