//! One opening of a device: all that is made on it is gone when it is lost. Every call of the driver that can fail goes through
//! here.

use std::{
    collections::{HashMap, HashSet},
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use futures_channel::oneshot;

use super::{
    adapter::{DeviceInfo, connect},
    inject::{Failure, Injection, Moment},
    lock,
    pace::Pace,
    pipeline_cache::PipelineCache,
    pipelines::Pipeline,
};
use crate::{
    Error, Result,
    kernels::{Caps, KernelKey},
};

/// An open adapter, until it is lost.
#[derive(Debug)]
pub(super) struct Connection {
    /// Counts the openings of a device.
    pub(super) number: u64,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) caps: Caps,
    pub(super) pipelines: Mutex<HashMap<KernelKey, Pipeline>>,
    /// What the driver has not compiled.
    pub(super) refused: Mutex<HashSet<KernelKey>>,
    pub(super) pipeline_cache: Option<PipelineCache>,
    pub(super) injection: Option<Injection>,
    pub(super) pace: Arc<Pace>,
    info: DeviceInfo,
    adapter: wgpu::Adapter,
    /// Why it is lost.
    lost: Arc<OnceLock<String>>,
    finished: Arc<Mutex<Finished>>,
}

/// What the device has done, as far as is known.
#[derive(Debug, Default)]
struct Finished {
    submissions: u64,
    /// When the last of them was.
    at: Option<Instant>,
}

/// Commands that the device has, or had.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) index: wgpu::SubmissionIndex,
    took: Arc<OnceLock<Duration>>,
}

impl Submission {
    /// How long the device was at it; nothing before it is known to be done.
    pub(super) fn time(&self) -> Option<Duration> {
        self.took.get().copied()
    }
}

impl Connection {
    /// Opens `adapter`, for the `number`th time.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if the driver does not open it.
    pub(super) async fn open(number: u64, info: &DeviceInfo, adapter: &wgpu::Adapter, pace: Arc<Pace>) -> Result<Self> {
        let (device, queue, caps) = connect(info, adapter).await?;
        let lost = Arc::new(OnceLock::new());
        let slot = lost.clone();
        // Errors are caught where they arise, in `guarded`; what escapes that leaves the device in doubt.
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
            info: info.clone(),
            adapter: adapter.clone(),
            lost,
            finished: Arc::default(),
        })
    }

    /// The adapter, opened once more beside this.
    pub(super) fn another(&self) -> Result<Self> {
        pollster::block_on(Connection::open(self.number, &self.info, &self.adapter, self.pace.clone()))
    }

    /// Why nothing will come of it any more, if so.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Gives it up for `reason`, unless it is lost already; the error that says so.
    pub(super) fn lose(&self, reason: impl ToString) -> Error {
        let reason = self.lost.get_or_init(|| reason.to_string()).clone();
        Error::GpuLost { device: self.info.name.clone(), reason }
    }

    /// Does `work`, which is about `what`, and collects what the driver finds wrong with it.
    ///
    /// # Errors
    /// [`Error::GpuMemory`], [`Error::GpuLost`], [`Error::GpuShader`].
    pub(super) fn guarded<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T> {
        // Scopes belong to the thread, so no error is another thread's.
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let value = work();
        let [memory, validation, internal] =
            [memory, validation, internal].map(|scope| pollster::block_on(scope.pop()));
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

    fn memory(&self, reason: String) -> Error {
        Error::GpuMemory { device: self.info.name.clone(), reason }
    }

    fn refused(&self, what: &str, reason: String) -> Error {
        let DeviceInfo { name, driver, .. } = &self.info;
        Error::GpuShader { device: format!("{name} ({driver})"), kernel: what.into(), reason }
    }

    /// What [`Injection`] has planned for `moment`, in the work on `what`.
    pub(super) fn at(&self, moment: Moment, what: &str) -> Result<()> {
        let reason = || format!("injected: {what}");
        match self.injection.as_ref().and_then(|injection| injection.at(moment)) {
            None | Some(Failure::Silent) => Ok(()),
            Some(Failure::Lost) => Err(self.lose(reason())),
            Some(Failure::Memory) => Err(self.memory(reason())),
            Some(Failure::Refused) => Err(self.refused(what, reason())),
            Some(Failure::Destroyed) => {
                self.device.destroy();
                Ok(())
            }
        }
    }

    /// A buffer of `size` bytes.
    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.at(Moment::Buffer, label)?;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.guarded(label, || self.device.create_buffer(&descriptor))
    }

    /// A buffer that holds `bytes`, a multiple of four of them, from the start.
    pub(super) fn filled(&self, label: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.at(Moment::Buffer, label)?;
        // What is memory of the CPU anyway is written in place, not copied there by the device.
        let in_place = self.device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
        let usage = if in_place { usage | wgpu::BufferUsages::MAP_WRITE } else { usage };
        let size = bytes.len() as u64;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: true };
        let buffer = self.guarded(label, || self.device.create_buffer(&descriptor))?;
        let range = buffer.get_mapped_range_mut(..);
        range.map_err(|error| self.lose(error))?.copy_from_slice(bytes);
        self.guarded(label, || buffer.unmap())?;
        Ok(buffer)
    }

    /// Submits what `record` records.
    pub(super) fn submit(&self, what: &str, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<Submission> {
        self.at(Moment::Submit, what)?;
        let index = self.guarded(what, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(what) });
            record(&mut encoder);
            self.queue.submit([encoder.finish()])
        })?;
        let (submitted, took) = (Instant::now(), Arc::<OnceLock<Duration>>::default());
        let (finished, time) = (self.finished.clone(), took.clone());
        self.queue.on_submitted_work_done(move || {
            let now = Instant::now();
            let mut finished = lock(&finished);
            // It came after what was submitted before it.
            let began = finished.at.map_or(submitted, |before| before.max(submitted));
            let _ = time.set(now.saturating_duration_since(began));
            *finished = Finished { submissions: finished.submissions + 1, at: Some(now) };
        });
        self.at(Moment::Submitted, what)?;
        Ok(Submission { index, took })
    }

    fn finished(&self) -> u64 {
        lock(&self.finished).submissions
    }

    /// Waits until the device has done `submission`, or all that was submitted.
    ///
    /// # Errors
    /// [`Error::GpuLost`] if the device is lost, or finishes nothing at all for a long time.
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
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
                    thread::sleep(patience);
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

    /// Lets wgpu see what the device has done, and runs the callbacks; `false` if the time is over.
    fn poll(&self, poll_type: wgpu::PollType) -> Result<bool> {
        match self.caught(|| self.device.poll(poll_type))? {
            Ok(_) => Ok(true),
            Err(wgpu::PollError::Timeout) => Ok(false),
            Err(error) => Err(self.lose(error)),
        }
    }

    /// What `poll` gives. wgpu 30 panics in it where the driver reports a loss.
    fn caught<T>(&self, poll: impl FnOnce() -> T) -> Result<T> {
        panic::catch_unwind(AssertUnwindSafe(poll)).map_err(|_| self.lose("the driver reported it in a wait"))
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
        self.guarded("mapping", || buffer.map_async(mode, .., move |result| drop(sender.send(result))))?;
        self.poll(wgpu::PollType::Poll)?;
        let mapped = match receiver.try_recv().map_err(|error| self.lose(error))? {
            Some(mapped) => mapped,
            None => {
                self.wait(submission)?;
                receiver.await.map_err(|error| self.lose(error))?
            }
        };
        mapped.map_err(|error| self.lose(error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.lost().is_some() {
            // wgpu waits for the queue before it lets go of it, which may take for ever, and panics if that fails.
            let queue = self.queue.clone();
            thread::spawn(move || drop(queue));
        }
    }
}

/// An error of wgpu with what brought it about.
fn causes(error: &wgpu::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
