//! Compiled kernels, shared by all networks on a device.

use super::{
    connection::{Connection, Pipeline},
    inject::Moment,
    lock, trusted,
};
use crate::{
    Error, Result,
    executor::gpu::kernels::{Binding, KernelKey},
};

/// The compiled kernel of `key`.
pub(super) async fn compiled(connection: &Connection, key: &KernelKey) -> Result<Pipeline> {
    if let Some(pipeline) = lock(&connection.pipelines).get(key) {
        return Ok(pipeline.clone());
    }
    let label = key.to_string();
    let compiled = match connection.at(Moment::Pipeline, &label) {
        Ok(_) => connection.guarded(&label, || compile(connection, key, &label)).await,
        Err(error) => Err(error),
    };
    match &compiled {
        Ok(pipeline) => {
            lock(&connection.pipelines).insert(key.clone(), pipeline.clone());
            lock(&connection.refused).remove(key);
        }
        Err(Error::GpuShader { .. }) => drop(lock(&connection.refused).insert(key.clone())),
        Err(_) => {}
    }
    compiled
}

fn compile(connection: &Connection, key: &KernelKey, label: &str) -> Pipeline {
    let device = &connection.device;
    let shader = key.shader;
    let entries: Vec<_> = shader.bindings.iter().enumerate().map(|(i, binding)| layout_entry(i, *binding)).collect();
    let layout = device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(shader.name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let module = trusted::shader_module(device, label, &key.wgsl());
    let constants: Vec<(&str, f64)> = key.overrides.iter().map(|&(name, value)| (name, f64::from(value))).collect();
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            zero_initialize_workgroup_memory: false,
        },
        cache: connection.pipeline_cache.as_ref().map(|cache| &cache.driver),
    });
    (pipeline, layout)
}

/// Whether the driver has refused to compile `key`.
pub(super) fn refuses(connection: &Connection, key: &KernelKey) -> bool {
    lock(&connection.refused).contains(key)
}

/// Whether the kernel of `key` is compiled.
pub(super) fn has(connection: &Connection, key: &KernelKey) -> bool {
    lock(&connection.pipelines).contains_key(key)
}

/// Makes the driver compile the kernel: dispatches zero workgroups of it, and waits.
pub(super) async fn warm_up(connection: &Connection, key: &KernelKey) -> Result<()> {
    let (pipeline, layout) = compiled(connection, key).await?;
    let mut buffers = Vec::with_capacity(key.shader.bindings.len());
    for binding in key.shader.bindings {
        buffers.push(placeholder(connection, *binding).await?);
    }
    let entries: Vec<_> = (0..)
        .zip(&buffers)
        .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
        .collect();
    let descriptor = wgpu::BindGroupDescriptor { label: Some("unused"), layout: &layout, entries: &entries };
    let bind_group = connection.guarded("warm-up", || connection.device.create_bind_group(&descriptor)).await?;
    let record = |encoder: &mut wgpu::CommandEncoder| {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(0, 1, 1);
    };
    let submission = connection.submit("warm-up", record).await?;
    connection.wait(Some(submission.index)).await
}

/// Creates the smallest buffer that fits the binding.
async fn placeholder(connection: &Connection, binding: Binding) -> Result<wgpu::Buffer> {
    let (size, usage) = match binding {
        Binding::Uniform(bytes) => (bytes, wgpu::BufferUsages::UNIFORM),
        Binding::Read | Binding::Write => (16, wgpu::BufferUsages::STORAGE),
    };
    connection.buffer("unused", size, usage).await
}

fn layout_entry(binding: usize, kind: Binding) -> wgpu::BindGroupLayoutEntry {
    let (ty, size) = match kind {
        Binding::Uniform(bytes) => (wgpu::BufferBindingType::Uniform, std::num::NonZero::new(bytes)),
        Binding::Read => (wgpu::BufferBindingType::Storage { read_only: true }, None),
        Binding::Write => (wgpu::BufferBindingType::Storage { read_only: false }, None),
    };
    wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: size },
        count: None,
    }
}
