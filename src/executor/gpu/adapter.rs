//! Finds adapters and opens them.

use super::{Wanted, space::Space, trusted};
use crate::{
    Error, Result,
    executor::{
        DeviceInfo, DeviceKind,
        gpu::kernels::{Caps, cooperative},
    },
};

fn describe(index: usize, info: &wgpu::AdapterInfo) -> DeviceInfo {
    DeviceInfo {
        index: Some(index),
        name: info.name.clone(),
        backend: info.backend.to_str().into(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu,
            wgpu::DeviceType::Cpu => DeviceKind::Software,
            wgpu::DeviceType::Other => DeviceKind::Other,
        },
    }
}

/// The adapters of the interfaces that `wanted` admits, in the order of their indices.
///
/// # Errors
/// [`Error::GpuOpen`] if drivers might not fit into the limits of the process.
pub(super) async fn adapters(wanted: &Wanted) -> Result<Vec<(DeviceInfo, wgpu::Adapter)>> {
    Space::of_process().check_loading()?;
    let backends = wanted.backends();
    let defaults = wgpu::InstanceDescriptor::new_without_display_handle();
    // No dispatch here is indirect. To check indirect ones, wgpu would compile kernels of its own for each device that it opens.
    let flags = defaults.flags.difference(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    let descriptor = wgpu::InstanceDescriptor { backends, flags, ..defaults };
    let adapters = wgpu::Instance::new(descriptor).enumerate_adapters(backends).await;
    let described = |(i, adapter): (usize, wgpu::Adapter)| (describe(i, &adapter.get_info()), adapter);
    Ok(adapters.into_iter().enumerate().map(described).collect())
}

/// The adapters of the interfaces that `wanted` admits, in the order of their indices.
///
/// # Errors
/// [`Error::GpuOpen`] if drivers might not fit into the limits of the process.
pub async fn devices(wanted: &Wanted) -> Result<Vec<DeviceInfo>> {
    Ok(adapters(wanted).await?.into_iter().map(|(info, _)| info).collect())
}

/// Opens `adapter` with all its limits, and with those of its features that the kernels use.
///
/// # Errors
/// [`Error::GpuOpen`] if the driver does not open it, or might crash because too little address space is left.
pub(super) async fn connect(info: &DeviceInfo, adapter: &wgpu::Adapter) -> Result<(wgpu::Device, wgpu::Queue, Caps)> {
    Space::of_process().check_opening(info)?;
    let mut wanted = wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP
        | wgpu::Features::PIPELINE_CACHE
        | wgpu::Features::TIMESTAMP_QUERY
        | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
    if info.kind.software() {
        wanted |= wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
    }
    let limits = adapter.limits();
    let cooperative = cooperative(adapter, &limits);
    if cooperative {
        wanted |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    }
    let features = adapter.features() & wanted;
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("residua"),
        required_features: features,
        required_limits: limits.clone(),
        experimental_features: trusted::experimental(cooperative),
        ..Default::default()
    };
    let (device, queue) = adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| Error::GpuOpen { device: info.name.clone(), reason: error.to_string() })?;
    let adapter = adapter.get_info();
    let caps = Caps {
        device: info.name.clone(),
        software: info.kind.software(),
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroup: (features.contains(wgpu::Features::SUBGROUP)
            && adapter.subgroup_min_size == adapter.subgroup_max_size)
            .then_some(adapter.subgroup_max_size),
        cooperative,
        registers: registers(&adapter),
        fixed_registers: adapter.vendor == INTEL,
        max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
    };
    Ok((device, queue, caps))
}

/// Intel's number at the PCI-SIG. All of its threads have the same number of registers.
const INTEL: u32 = 0x8086;

/// The value for [`Caps::registers`], as measured with the compilers of Mesa's drivers (`tests/compilers`). An unknown GPU may have as few
/// as 64 registers in all, as Arm's have. Metal does not report a vendor. A CPU spills into its caches, which is cheap.
fn registers(info: &wgpu::AdapterInfo) -> u32 {
    const AMD: u32 = 0x1002;
    const NVIDIA: u32 = 0x10de;
    const QUALCOMM: u32 = 0x5143;
    match info.vendor {
        _ if info.device_type == wgpu::DeviceType::Cpu => 96,
        AMD | NVIDIA => 96,
        INTEL | QUALCOMM => 48,
        _ if info.name.contains("Apple") => 48,
        _ => 32,
    }
}

/// Whether the adapter has the features and sizes that the kernel on cooperative matrices needs.
fn cooperative(adapter: &wgpu::Adapter, limits: &wgpu::Limits) -> bool {
    use wgpu::CooperativeScalarType::{F16, F32};
    let info = adapter.get_info();
    let needed =
        wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    let serves = |p: &wgpu::CooperativeMatrixProperties| {
        (p.m_size, p.n_size, p.k_size) == (16, 16, 16) && (p.ab_type, p.cr_type) == (F16, F32)
    };
    adapter.features().contains(needed)
        && (info.subgroup_min_size, info.subgroup_max_size) == (32, 32)
        && limits.max_compute_workgroup_storage_size >= cooperative::WORKGROUP_BYTES
        && adapter.cooperative_matrix_properties().iter().any(serves)
}
