//! The driver's compiled pipelines, kept on disk if the driver exports them (`VkPipelineCache`). llvmpipe exports only an empty
//! header: Mesa keeps compiled shaders in a cache of its own.

use std::sync::Mutex;

use super::{lock, trusted};
use crate::cache::Cache;

/// The driver's cache and the file that it came from.
#[derive(Debug)]
pub(super) struct PipelineCache {
    pub(super) driver: wgpu::PipelineCache,
    files: Cache,
    name: String,
    key: String,
    /// Contents of the file.
    stored: Mutex<Option<Vec<u8>>>,
}

impl PipelineCache {
    /// Opens the cache of `device`'s adapter and driver; `None` if wgpu has no cache for them.
    pub(super) fn open(device: &wgpu::Device, files: Cache) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let adapter = device.adapter_info();
        let name = wgpu::util::pipeline_cache_key(&adapter)?;
        // The driver tells pipelines apart by their shaders. The version in the key drops pipelines of older versions of the crate.
        let key = format!("{name} {} {} residua {}", adapter.driver, adapter.driver_info, env!("CARGO_PKG_VERSION"));
        let stored = files.read(&name, &key);
        let driver = trusted::pipeline_cache(device, stored.as_deref());
        Some(PipelineCache { driver, files, name, key, stored: Mutex::new(stored) })
    }

    /// Writes the file if the driver's cache differs from it.
    pub(super) fn save(&self) {
        let mut stored = lock(&self.stored);
        let data = self.driver.get_data();
        if let Some(data) = data.filter(|data| Some(data) != stored.as_ref()) {
            self.files.write(&self.name, &self.key, &data);
            *stored = Some(data);
        }
    }
}
