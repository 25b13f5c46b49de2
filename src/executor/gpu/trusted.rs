//! What of the GPU is `unsafe`: shader modules without the run-time checks of wgpu, pipelines out of a file, cooperative matrices.
#![allow(unsafe_code, reason = "the arguments stand at the calls")]

/// A shader module out of WGSL of this crate, without bounds checks on indices, without a counter in every loop and without
/// guards on integer division: the counter alone keeps drivers from unrolling the inner loops.
pub(super) fn shader_module(device: &wgpu::Device, label: &str, wgsl: &str) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
    // SAFETY: the text comes from `KernelKey::wgsl` alone, which puts together files of `shaders/` and constants chosen by
    // `plan::select`; nothing of it stems from a checkpoint or an image. The kernels index their buffers by extents
    // that the plan has computed the buffers' sizes from, clamp what goes past an edge, have loops that end (their bounds
    // are extents), and divide by extents only, which shape inference has found to be at least one.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// The driver's pipeline cache, filled with what it gave at an earlier start.
pub(super) fn pipeline_cache(device: &wgpu::Device, stored: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: stored, fallback: true };
    // SAFETY: `stored` must have come from `PipelineCache::get_data` of this adapter. `crate::cache` gives nothing but the whole
    // contents, by length and checksum, of a file that `gpu::pipeline_cache` wrote for this adapter, driver and version of the
    // crate, and that no other user may write. wgpu and the driver compare vendor, device and the driver's UUID once more.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// Leave to use wgpu's cooperative matrices, where they are `wanted`.
pub(super) fn experimental(wanted: bool) -> wgpu::ExperimentalFeatures {
    if !wanted {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the call asks for the acknowledgement that experimental features may have undefined behaviour. The one that is requested
    // is used by one shader, whose loads and stores lie inside its arrays; what is known to go wrong with it (gfx-rs/wgpu#8805) are
    // wrong numbers, which `selftest` looks for before the kernel is used.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
