//! Runs plans on a GPU: the only module that names `wgpu`. Everything inside is asynchronous; the caller blocks if it wants to.

mod device;
mod session;
mod transfer;
mod trusted;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use device::{Device, DeviceInfo, devices, pick};
use session::Session;

use crate::{
    Result,
    graph::ValueId,
    kernels::{Binding, KernelKey, Precision},
    plan::{Keep, Network, Options, Part, Plan, WeightsId},
    tensor::{Shape, Tensor},
};

/// Input shapes whose buffers are kept for the next call.
const SESSIONS: usize = 3;

/// A network on a device. Weights are uploaded once, pipelines made once, buffers made once for each input shape.
#[derive(Debug)]
pub struct Executor {
    device: Arc<Device>,
    network: Network,
    options: Options,
    weights: Mutex<HashMap<WeightsId, wgpu::Buffer>>,
    pipelines: Mutex<HashMap<KernelKey, Pipeline>>,
    /// Most recently used last.
    sessions: Mutex<Vec<(Shape, Arc<Mutex<Session>>)>>,
}

type Pipeline = (wgpu::ComputePipeline, wgpu::BindGroupLayout);

impl Executor {
    /// A network on `device`, planned with `options`.
    pub fn new(device: Arc<Device>, network: Network, options: Options) -> Self {
        Executor {
            device,
            network,
            options,
            weights: Mutex::default(),
            pipelines: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Type of stored activations and weights.
    pub fn stored(&self) -> Precision {
        self.options.stored
    }

    /// The plan for an input of shape `input`.
    ///
    /// # Errors
    /// Those of [`Network::plan`].
    pub fn plan(&self, input: Shape) -> Result<Plan> {
        self.network.plan(input, &self.options, self.device.caps())
    }

    /// Logits `[N, classes, 1, 1]` of a normalised `input` `[N, C, H, W]`, in one submission.
    ///
    /// # Errors
    /// Those of [`Network::plan`], and the device's (`gpu.*`).
    pub async fn run(&self, input: &Tensor) -> Result<Tensor> {
        let session = self.session(input.shape)?;
        // One call at a time uses a session's buffers; the device runs one submission at a time anyway.
        let session = lock(&session);
        session.run(&self.device, input).await
    }

    /// The value of every step for `input`, in order, for comparing layer by layer. Each value gets a buffer of its own.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn trace(&self, input: &Tensor) -> Result<Vec<(ValueId, Tensor)>> {
        let options = Options { keep: Keep::All, ..self.options };
        let plan = self.network.plan(input.shape, &options, self.device.caps())?;
        Session::new(self, plan)?.trace(&self.device, input).await
    }

    fn session(&self, shape: Shape) -> Result<Arc<Mutex<Session>>> {
        let mut sessions = lock(&self.sessions);
        let entry = match sessions.iter().position(|(s, _)| *s == shape) {
            Some(i) => sessions.remove(i),
            None => {
                let plan = self.plan(shape)?;
                if sessions.len() == SESSIONS {
                    sessions.remove(0);
                }
                (shape, Arc::new(Mutex::new(Session::new(self, plan)?)))
            }
        };
        let session = entry.1.clone();
        sessions.push(entry);
        Ok(session)
    }

    /// The packed array `id` on the device.
    fn weights(&self, id: WeightsId) -> Result<wgpu::Buffer> {
        if let Some(buffer) = lock(&self.weights).get(&id) {
            return Ok(buffer.clone());
        }
        let values = self.network.pack(id)?;
        let stored = if id.part == Part::Weights { self.options.stored } else { Precision::F32 };
        let bytes = transfer::encode(&values, stored);
        let buffer = upload(&self.device, "weights", &bytes, wgpu::BufferUsages::STORAGE);
        self.device.check("weights")?;
        lock(&self.weights).insert(id, buffer.clone());
        Ok(buffer)
    }

    /// The compiled kernel of `key`.
    fn pipeline(&self, key: &KernelKey) -> Result<Pipeline> {
        if let Some(pipeline) = lock(&self.pipelines).get(key) {
            return Ok(pipeline.clone());
        }
        let label = key.to_string();
        let device = &self.device.device;
        let shader = key.shader.shader();
        let entries: Vec<_> =
            shader.bindings.iter().enumerate().map(|(i, binding)| layout_entry(i, *binding)).collect();
        let layout = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = trusted::shader_module(device, &label, &key.wgsl());
        let constants: Vec<(&str, f64)> = key.overrides.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        self.device.check(&label)?;
        lock(&self.pipelines).insert(key.clone(), (pipeline.clone(), layout.clone()));
        Ok((pipeline, layout))
    }
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

/// A buffer that holds `bytes` from the start.
fn upload(device: &Device, label: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    use wgpu::util::DeviceExt;
    device.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some(label), contents: bytes, usage })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
