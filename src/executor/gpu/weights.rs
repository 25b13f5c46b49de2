//! The packed weights of a network on a device.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{connection::Connection, lock, per_connection::PerConnection, transfer};
use crate::{
    Result,
    executor::gpu::plan::{self, WeightsId},
    network::Network,
    tensor::StorageType,
};

/// Arrays of weights, each packed and uploaded when it is first wanted.
#[derive(Debug)]
pub(super) struct Weights {
    network: Arc<Network>,
    stored: StorageType,
    buffers: Mutex<PerConnection<HashMap<WeightsId, wgpu::Buffer>>>,
}

impl Weights {
    /// The weights of `network`, none of them uploaded yet.
    pub(super) fn new(network: Arc<Network>, stored: StorageType) -> Self {
        Weights { network, stored, buffers: Mutex::default() }
    }

    /// Returns the packed array `id` on the device. Packs it in `room`; callers reuse this, so that memory is not allocated each time.
    pub(super) async fn get(
        &self,
        connection: &Connection,
        id: WeightsId,
        room: &mut Vec<f32>,
    ) -> Result<wgpu::Buffer> {
        if let Some(buffer) = lock(&self.buffers).on(connection)?.get(&id) {
            return Ok(buffer.clone());
        }
        plan::pack(&self.network, id, room)?;
        let bytes = transfer::encode(room, id.array.stored(self.stored));
        let buffer = connection.filled("weights", &bytes, wgpu::BufferUsages::STORAGE).await?;
        lock(&self.buffers).on(connection)?.insert(id, buffer.clone());
        Ok(buffer)
    }

    /// Bytes of the packed array `id`.
    pub(super) fn size(&self, id: WeightsId) -> u64 {
        plan::packed(&self.network, id, self.stored)
    }

    /// Frees all of them.
    pub(super) fn clear(&self, connection: &Connection) -> Result<()> {
        lock(&self.buffers).on(connection)?.clear();
        Ok(())
    }

    /// Bytes of the arrays that are on the device.
    pub(super) fn bytes(&self) -> u64 {
        lock(&self.buffers).held.values().map(wgpu::Buffer::size).sum()
    }
}
