//! Runs plans on a GPU: the only module that names `wgpu`. Everything inside is asynchronous; the caller blocks if it wants to.

mod device;
mod pipeline_cache;
mod pipelines;
mod prepare;
mod report;
mod session;
mod timing;
mod transfer;
mod trusted;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use device::{Device, DeviceInfo, devices, pick};
pub use report::{AdapterReport, adapter_reports};
use session::Session;
pub use timing::Clock;

use crate::{
    Result,
    graph::ValueId,
    kernels::Precision,
    plan::{Network, Options, Part, Plan, WeightsId},
    tensor::{Shape, Tensor},
};

/// Sessions whose buffers are kept for the next call.
const SESSIONS: usize = 3;

/// What a session is made for: the shape of its input and the values that it reads back.
type Purpose = (Shape, Vec<ValueId>);

/// A network on a device. Weights are uploaded once, buffers made once for each input
/// shape and set of wanted values; pipelines belong to the device.
#[derive(Debug)]
pub struct Executor {
    device: Arc<Device>,
    network: Arc<Network>,
    options: Options,
    weights: Arc<Mutex<HashMap<WeightsId, wgpu::Buffer>>>,
    /// Most recently used last.
    sessions: Mutex<Vec<(Purpose, Arc<async_lock::Mutex<Session>>)>>,
}

impl Executor {
    /// A network on `device`, planned with `options`.
    pub fn new(device: Arc<Device>, network: Network, options: Options) -> Self {
        Executor { device, network: Arc::new(network), options, weights: Arc::default(), sessions: Mutex::default() }
    }

    /// Another network on the same device, planned with the same options.
    pub fn with(&self, network: Network) -> Self {
        Executor::new(self.device.clone(), network, self.options.clone())
    }

    /// The same network on the same device, planned with other options. Weights that are stored alike are shared.
    pub fn planned(&self, options: Options) -> Self {
        let weights = if options.stored == self.options.stored { self.weights.clone() } else { Arc::default() };
        let (device, network) = (self.device.clone(), self.network.clone());
        Executor { device, network, options, weights, sessions: Mutex::default() }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How it is planned.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Type of stored activations and weights.
    pub fn stored(&self) -> Precision {
        self.options.stored
    }

    /// The plan that yields the logits for an input of shape `input`.
    ///
    /// # Errors
    /// Those of [`Network::plan`].
    pub fn plan(&self, input: Shape) -> Result<Plan> {
        self.network.plan(input, &[self.network.graph().output()], &self.options, self.device.caps())
    }

    /// Logits `[N, classes, 1, 1]` of a normalised `input` `[N, C, H, W]`, in one submission.
    ///
    /// # Errors
    /// Those of [`Network::plan`], and the device's (`gpu.*`).
    pub async fn run(&self, input: &Tensor) -> Result<Tensor> {
        let mut values = self.values(input, &[self.network.graph().output()]).await?;
        Ok(values.remove(0))
    }

    /// The values `wanted`, in that order, for a normalised `input` `[N, C, H, W]`, in one submission that goes no further than
    /// the last of them. Buffers stay for the next call that wants the same values of an input of the same shape.
    ///
    /// # Errors
    /// As [`Executor::run`]; [`Error::Shape`](crate::Error::Shape) for a value that is not one of [`Network::values`].
    pub async fn values(&self, input: &Tensor, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
        let session = self.session((input.shape, wanted.to_vec()))?;
        // One call at a time uses a session's buffers; the device runs one submission at a time anyway.
        let session = session.lock().await;
        session.run(&self.device, input).await
    }

    /// The value of every layer for `input`, in order, for comparing layer by layer. Each value gets a buffer of its own.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn trace(&self, input: &Tensor) -> Result<Vec<(ValueId, Tensor)>> {
        let wanted = self.network.values();
        // Not among the kept sessions: it is large, and seldom wanted twice.
        let session = self.new_session(input.shape, &wanted)?;
        let values = session.run(&self.device, input).await?;
        Ok(wanted.into_iter().zip(values).collect())
    }

    /// Bytes of the packed weights that are on the device.
    pub fn weight_bytes(&self) -> u64 {
        lock(&self.weights).values().map(wgpu::Buffer::size).sum()
    }

    /// The plan for `input`, and of each of its dispatches the median time of `runs` runs, by `clock`.
    ///
    /// # Errors
    /// As [`Executor::run`]; [`Error::GpuFeature`](crate::Error::GpuFeature) if the device does not have the clock,
    /// [`Error::GpuLimits`](crate::Error::GpuLimits) if there are more dispatches than it can time.
    pub async fn profile(&self, input: &Tensor, runs: usize, clock: Clock) -> Result<(Plan, Vec<Duration>)> {
        let session = self.new_session(input.shape, &[self.network.graph().output()])?;
        // Timed on what a whole run has left: some kernels are slower on zeros, and some on denormal numbers.
        session.run(&self.device, input).await?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs.max(1) {
            times.push(session.times(&self.device, clock).await?);
        }
        let median = |dispatch: usize| {
            let mut times: Vec<Duration> = times.iter().map(|run| run[dispatch]).collect();
            times.sort();
            times[times.len() / 2]
        };
        let medians = (0..session.dispatches.len()).map(median).collect();
        Ok((session.plan, medians))
    }

    fn session(&self, purpose: Purpose) -> Result<Arc<async_lock::Mutex<Session>>> {
        let mut sessions = lock(&self.sessions);
        let entry = match sessions.iter().position(|(made_for, _)| *made_for == purpose) {
            Some(i) => sessions.remove(i),
            None => {
                let session = self.new_session(purpose.0, &purpose.1)?;
                if sessions.len() == SESSIONS {
                    sessions.remove(0);
                }
                (purpose, Arc::new(async_lock::Mutex::new(session)))
            }
        };
        let session = entry.1.clone();
        sessions.push(entry);
        Ok(session)
    }

    fn new_session(&self, input: Shape, wanted: &[ValueId]) -> Result<Session> {
        Session::new(self, self.network.plan(input, wanted, &self.options, self.device.caps())?)
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
}

/// A buffer that holds `bytes` from the start.
fn upload(device: &Device, label: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    use wgpu::util::DeviceExt;
    // What is memory of the CPU anyway is written in place, not copied there by the device.
    let in_place = device.device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
    let usage = if in_place { usage | wgpu::BufferUsages::MAP_WRITE } else { usage };
    device.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some(label), contents: bytes, usage })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
