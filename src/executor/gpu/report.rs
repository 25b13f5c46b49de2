//! The features and limits of an adapter, by WebGPU's names: for people and bug reports, not for the choice of kernels.

use super::{Wanted, adapter::adapters};
use crate::{Result, executor::DeviceInfo};

/// An adapter with its features and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterReport {
    /// Name, kind, driver.
    pub device: DeviceInfo,
    /// PCI vendor id and device id.
    pub ids: [u32; 2],
    /// Smallest and largest subgroup, in lanes.
    pub subgroup: [u32; 2],
    /// Names of the features.
    pub features: Vec<String>,
    /// The limits that matter for compute: bytes, invocations or workgroups.
    pub limits: Vec<(&'static str, u64)>,
}

/// The adapters of the interfaces that `wanted` admits, in the order of their indices.
///
/// # Errors
/// [`Error::NoAdapter`](crate::Error::NoAdapter) if drivers cannot be loaded.
pub async fn adapter_reports(wanted: &Wanted) -> Result<Vec<AdapterReport>> {
    Ok(adapters(wanted).await?.into_iter().map(|(device, adapter)| report(device, &adapter)).collect())
}

fn report(device: DeviceInfo, adapter: &wgpu::Adapter) -> AdapterReport {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    AdapterReport {
        device,
        ids: [info.vendor, info.device],
        subgroup: [info.subgroup_min_size, info.subgroup_max_size],
        features: adapter.features().iter_names().map(|(name, _)| name.to_lowercase()).collect(),
        limits: vec![
            ("max_buffer_size", limits.max_buffer_size),
            ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
            ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
            ("max_uniform_buffer_binding_size", limits.max_uniform_buffer_binding_size),
            ("min_uniform_buffer_offset_alignment", limits.min_uniform_buffer_offset_alignment.into()),
            ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
            ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
            ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x.into()),
            ("max_compute_workgroup_size_y", limits.max_compute_workgroup_size_y.into()),
            ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
        ],
    }
}
