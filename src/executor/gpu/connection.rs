//! An open device. When the driver loses it, everything made on it is gone. Every call to the driver that can fail goes through
//! here.

use std::{
    collections::{HashMap, HashSet},
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use futures_channel::oneshot;

use super::{
    adapter::connect,
    inject::{Failure, Injection, Moment},
    lock,
    pace::Pace,
    pipeline_cache::PipelineCache,
    space::Space,
};
use crate::{
    Error, Result,
    executor::{
        DeviceInfo, Host, Work,
        gpu::kernels::{Caps, KernelKey},
    },
};

/// Resolves to the error that the driver found, if any.
type Caught = Work<'static, Option<wgpu::Error>>;

/// A compiled kernel and the layout of its bindings.
pub(super) type Pipeline = (wgpu::ComputePipeline, wgpu::BindGroupLayout);

/// An open adapter, until it is lost.
#[derive(Debug)]
pub(super) struct Connection {
    /// Number of this opening of the device, counted from 1.
    pub(super) number: u64,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) caps: Caps,
    pub(super) pipelines: Mutex<HashMap<KernelKey, Pipeline>>,
    /// Kernels that the driver refused to compile.
    pub(super) refused: Mutex<HashSet<KernelKey>>,
    pub(super) pipeline_cache: Option<PipelineCache>,
    pub(super) injection: Option<Injection>,
    pub(super) pace: Arc<Pace>,
    pub(super) host: Arc<dyn Host>,
    pub(super) info: DeviceInfo,
    space: Space,
    adapter: wgpu::Adapter,
    /// Why it is lost; empty while it is not.
    lost: Arc<OnceLock<String>>,
    finished: Arc<Mutex<Finished>>,
}

/// The work that the device is known to have finished.
#[derive(Debug, Default)]
struct Finished {
    submissions: u64,
    /// When the last of them finished, by the host's clock.
    at: Option<Duration>,
}

/// Commands that were submitted to the device.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) index: wgpu::SubmissionIndex,
    took: Arc<OnceLock<Duration>>,
}

impl Submission {
    /// How long the device took; `None` until it is known to be done.
    pub(super) fn time(&self) -> Option<Duration> {
        self.took.get().copied()
    }
}

impl Connection {
    /// Opens `adapter`, for the `number`th time.
    ///
    /// # Errors
    /// [`Error::GpuOpen`] if the driver does not open it.
    pub(super) async fn open(
        number: u64,
        info: &DeviceInfo,
        adapter: &wgpu::Adapter,
        pace: Arc<Pace>,
        host: Arc<dyn Host>,
    ) -> Result<Self> {
        let (device, queue, caps) = connect(info, adapter).await?;
        let lost = Arc::new(OnceLock::new());
        let slot = lost.clone();
        // `guarded` catches errors where they arise. After an error that it misses, the device cannot be trusted.
        device.on_uncaptured_error(Arc::new(move |error| {
            let _ = slot.set(error.to_string());
        }));
        let slot = lost.clone();
        device.set_device_lost_callback(move |reason, text| {
            let _ = slot.set(format!("{reason:?} {text}").trim().into());
        });
        Ok(Connection {
            number,
            device,
            queue,
            caps,
            pipelines: Mutex::default(),
            refused: Mutex::default(),
            pipeline_cache: None,
            injection: None,
            pace,
            host,
            info: info.clone(),
            space: Space::of_process(),
            adapter: adapter.clone(),
            lost,
            finished: Arc::default(),
        })
    }

    /// Opens the same adapter a second time, beside this connection.
    pub(super) async fn another(&self) -> Result<Self> {
        Connection::open(self.number, &self.info, &self.adapter, self.pace.clone(), self.host.clone()).await
    }

    /// Why the device was lost, if it was.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Marks the device as lost for `reason`, unless it is lost already, and returns the error that says so.
    pub(super) fn lose(&self, reason: impl ToString) -> Error {
        let reason = self.lost.get_or_init(|| reason.to_string()).clone();
        Error::GpuLost { device: self.info.name.clone(), reason }
    }

    /// Does `work`, and returns the error that the driver finds in it. `what` names the work in the error.
    ///
    /// # Errors
    /// [`Error::GpuMemory`], [`Error::GpuLost`], [`Error::GpuShader`].
    pub(super) async fn guarded<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T> {
        let (value, memory, validation, internal) = self.scoped(work);
        let (memory, validation, internal) = (memory.await, validation.await, internal.await);
        if let Some(error) = memory {
            return Err(self.memory(format!("{what}: {}", causes(&error))));
        }
        if let Some(reason) = self.lost() {
            return Err(self.lose(reason));
        }
        match validation.or(internal) {
            None => Ok(value),
            Some(error) => Err(self.refused(what, error.to_string())),
        }
    }

    /// Does `work`. Returns its value and the errors that the driver finds in it, by kind: out of memory, validation, internal.
    fn scoped<T>(&self, work: impl FnOnce() -> T) -> (T, Caught, Caught, Caught) {
        // A scope belongs to its thread, so it does not catch the errors of other threads.
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let value = work();
        (value, Box::pin(memory.pop()), Box::pin(validation.pop()), Box::pin(internal.pop()))
    }

    fn memory(&self, reason: String) -> Error {
        Error::GpuMemory { device: self.info.name.clone(), reason }
    }

    fn refused(&self, what: &str, reason: String) -> Error {
        let DeviceInfo { name, driver, .. } = &self.info;
        Error::GpuShader { device: format!("{name} ({driver})"), kernel: what.into(), reason }
    }

    /// Causes the failure that [`Injection`] has planned for `moment`, in the work on `what`. Returns `true` if the caller must skip the
    /// work and report it as done.
    pub(super) fn at(&self, moment: Moment, what: &str) -> Result<bool> {
        let reason = || format!("injected: {what}");
        match self.injection.as_ref().and_then(|injection| injection.at(moment)) {
            None | Some(Failure::Silent) => Ok(false),
            Some(Failure::Idle) => Ok(true),
            Some(Failure::Lost) => Err(self.lose(reason())),
            Some(Failure::Memory) => Err(self.memory(reason())),
            Some(Failure::Refused) => Err(self.refused(what, reason())),
            Some(Failure::Destroyed) => {
                self.device.destroy();
                Ok(false)
            }
        }
    }

    /// The error for a device whose results are wrong.
    pub(super) fn wrong(&self, reason: &str) -> Error {
        let DeviceInfo { name, driver, .. } = &self.info;
        Error::GpuWrong { device: format!("{name} ({driver})"), reason: reason.into() }
    }

    /// Creates a buffer of `size` bytes.
    pub(super) async fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.at(Moment::Buffer, label)?;
        self.space.check_buffer(&self.info, size)?;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.guarded(label, || self.device.create_buffer(&descriptor)).await
    }

    /// Creates a buffer that holds `bytes`, whose number must be a multiple of four.
    pub(super) async fn filled(&self, label: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.at(Moment::Buffer, label)?;
        // On a software adapter, buffers are memory of the CPU: write to them in place, so that the device need not copy.
        let in_place = self.device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
        let usage = if in_place { usage | wgpu::BufferUsages::MAP_WRITE } else { usage };
        let size = bytes.len() as u64;
        self.space.check_buffer(&self.info, size)?;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: true };
        let buffer = self.guarded(label, || self.device.create_buffer(&descriptor)).await?;
        buffer.get_mapped_range_mut(..).map_err(|error| self.lose(error))?.copy_from_slice(bytes);
        self.guarded(label, || buffer.unmap()).await?;
        Ok(buffer)
    }

    /// Submits what `record` records.
    pub(super) async fn submit(
        &self,
        what: &str,
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Submission> {
        let idle = self.at(Moment::Submit, what)?;
        let submit = || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(what) });
            if !idle {
                record(&mut encoder);
            }
            self.queue.submit([encoder.finish()])
        };
        let index = self.guarded(what, submit).await?;
        let (submitted, took) = (self.host.now(), Arc::<OnceLock<Duration>>::default());
        let (finished, time, host) = (self.finished.clone(), took.clone(), self.host.clone());
        self.queue.on_submitted_work_done(move || {
            let now = host.now();
            let mut finished = lock(&finished);
            // The device starts it after everything that was submitted earlier.
            let began = finished.at.map_or(submitted, |before| before.max(submitted));
            let _ = time.set(now.saturating_sub(began));
            *finished = Finished { submissions: finished.submissions + 1, at: Some(now) };
        });
        self.at(Moment::Submitted, what)?;
        Ok(Submission { index, took })
    }

    fn finished(&self) -> u64 {
        lock(&self.finished).submissions
    }

    /// Waits until the device has done `submission`, or everything that was submitted if that is `None`.
    ///
    /// # Errors
    /// [`Error::GpuLost`] if the device is lost, or finishes nothing for a long time.
    pub(super) async fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let injected = self.injection.as_ref().and_then(|injection| injection.at(Moment::Wait));
        let patience = self.injection.as_ref().and_then(Injection::patient);
        let patience = patience.unwrap_or_else(|| self.pace.patience());
        if injected == Some(Failure::Destroyed) {
            self.device.destroy();
        }
        loop {
            let before = self.finished();
            let submission_index = submission.clone();
            let done = match injected {
                Some(Failure::Silent) => {
                    self.host.sleep(patience).await;
                    false
                }
                Some(Failure::Lost) => self.caught(|| panic!("injected: waiting"))?,
                _ => self.poll(wgpu::PollType::Wait { submission_index, timeout: Some(patience) })?,
            };
            if done {
                return Ok(());
            }
            if self.finished() == before {
                return Err(self.lose(format!("no answer within {} s", patience.as_secs_f64())));
            }
        }
    }

    /// Lets wgpu see what the device has done, and runs the callbacks. Returns `false` if the time is over.
    fn poll(&self, poll_type: wgpu::PollType) -> Result<bool> {
        let mut polled = None;
        let mut poll_type = Some(poll_type);
        self.host.block(&mut || polled = poll_type.take().map(|poll_type| self.caught(|| self.device.poll(poll_type))));
        match polled.ok_or_else(|| self.lose("the host did not wait"))?? {
            Ok(_) => Ok(true),
            Err(wgpu::PollError::Timeout) => Ok(false),
            Err(error) => Err(self.lose(error)),
        }
    }

    /// Calls `poll`, and turns a panic into an error: wgpu 30 panics there when the driver reports a loss.
    fn caught<T>(&self, poll: impl FnOnce() -> T) -> Result<T> {
        panic::catch_unwind(AssertUnwindSafe(poll)).map_err(|_| self.lose("the driver reported the loss during a wait"))
    }

    /// Maps a whole buffer that is used by nothing that was submitted after `submission`.
    ///
    /// # Errors
    /// As [`Connection::wait`]; [`Error::GpuLost`] too if the driver does not map it.
    pub(super) async fn map(
        &self,
        buffer: &wgpu::Buffer,
        mode: wgpu::MapMode,
        submission: Option<wgpu::SubmissionIndex>,
    ) -> Result<()> {
        self.at(Moment::Map, "mapping")?;
        let (sender, mut receiver) = oneshot::channel();
        self.guarded("mapping", || buffer.map_async(mode, .., move |result| drop(sender.send(result)))).await?;
        self.poll(wgpu::PollType::Poll)?;
        let mapped = match receiver.try_recv().map_err(|error| self.lose(error))? {
            Some(mapped) => mapped,
            None => {
                self.wait(submission).await?;
                receiver.await.map_err(|error| self.lose(error))?
            }
        };
        mapped.map_err(|error| self.lose(error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.lost().is_some() {
            // wgpu waits for the queue before it frees it. That may never end, and panics if it fails.
            let queue = self.queue.clone();
            self.host.detach(Box::new(move || drop(queue)));
        }
    }
}

/// An error of wgpu with its causes.
fn causes(error: &wgpu::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
