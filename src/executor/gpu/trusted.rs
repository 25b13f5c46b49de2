//! All `unsafe` code for the GPU: shader modules without wgpu's run-time checks, pipelines from a file, cooperative matrices.
#![allow(unsafe_code, reason = "each call states why it is sound")]

/// Compiles WGSL of this crate without bounds checks on indices, counters in loops, or guards on integer division. The loop
/// counters alone keep drivers from unrolling the inner loops.
pub(super) fn shader_module(device: &wgpu::Device, label: &str, wgsl: &str) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
    // SAFETY: the text comes from `KernelKey::wgsl` alone, which puts together files of `shaders/` and constants chosen by `plan::select`;
    // none of it comes from a checkpoint or an image. The kernels index their buffers by the extents that the plan computed the buffers'
    // sizes from, and clamp indices past an edge. Their loops end, because the bounds are extents. They divide only by extents, which shape
    // inference has checked to be at least one.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// The driver's pipeline cache, filled with the data that it exported at an earlier start.
pub(super) fn pipeline_cache(device: &wgpu::Device, stored: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: stored, fallback: true };
    // SAFETY: `stored` must have come from `PipelineCache::get_data` of this adapter. `crate::cache` returns only complete contents,
    // checked by length and checksum, of a file that `gpu::pipeline_cache` wrote for this adapter, driver and version of the crate, and
    // that no other user may write. wgpu and the driver compare vendor, device and the driver's UUID once more.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// Permission to use wgpu's cooperative matrices, if they are `wanted`.
pub(super) fn experimental(wanted: bool) -> wgpu::ExperimentalFeatures {
    if !wanted {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the call acknowledges that experimental features may have undefined behaviour. One shader uses the one that is
    // requested, and its loads and stores lie inside its arrays. The known problem with it is wrong numbers (gfx-rs/wgpu#8805);
    // `selftest` looks for those before the kernel is used.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
