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
    /// Those of `network`, none of them uploaded yet.
    pub(super) fn new(network: Arc<Network>, stored: StorageType) -> Self {
        Weights { network, stored, buffers: Mutex::default() }
    }

    /// The packed array `id` on the device.
    pub(super) async fn get(&self, connection: &Connection, id: WeightsId) -> Result<wgpu::Buffer> {
        if let Some(buffer) = lock(&self.buffers).on(connection)?.get(&id) {
            return Ok(buffer.clone());
        }
        let values = plan::pack(&self.network, id)?;
        let bytes = transfer::encode(&values, id.array.stored(self.stored));
        let buffer = connection.filled("weights", &bytes, wgpu::BufferUsages::STORAGE).await?;
        lock(&self.buffers).on(connection)?.insert(id, buffer.clone());
        Ok(buffer)
    }

    /// Lets go of all of them.
    pub(super) fn clear(&self, connection: &Connection) -> Result<()> {
        lock(&self.buffers).on(connection)?.clear();
        Ok(())
    }

    /// Bytes of those that are on the device.
    pub(super) fn bytes(&self) -> u64 {
        lock(&self.buffers).held.values().map(wgpu::Buffer::size).sum()
    }
}
