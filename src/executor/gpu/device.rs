//! A device: an adapter that is opened once, and again after each loss.

use std::{
    mem, process,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Wanted, adapter::adapters, connection::Connection, inject::Moment, lock, pace::Pace, pipeline_cache::PipelineCache,
    timing::Clock,
};
use crate::{
    Error, Note, Result,
    cache::Cache,
    executor::{
        DeviceInfo, Fault, Host,
        gpu::kernels::{self, Caps, KernelId},
    },
    tensor::StorageType,
};

/// Pauses before each attempt to open a lost device again: a driver that has crashed needs a moment to start.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1)];

/// An open device. If the driver loses it, the adapter is opened again, once for all runs that met the loss. Each of those runs
/// fails or is repeated.
#[derive(Debug)]
pub struct Device {
    info: DeviceInfo,
    caps: Caps,
    features: wgpu::Features,
    wanted: Wanted,
    /// Why it was chosen.
    reason: String,
    /// Notes for the user about the choice.
    notes: Vec<Note>,
    cache: Option<Cache>,
    pub(super) pace: Arc<Pace>,
    host: Arc<dyn Host>,
    given_up: Mutex<Vec<GivenUp>>,
    /// The process that opened it.
    process: Option<u32>,
    connection: async_lock::Mutex<Arc<Connection>>,
}

/// A kernel that is not to be used.
#[derive(Debug)]
struct GivenUp {
    kernel: KernelId,
    stored: StorageType,
    reason: String,
    /// The driver has compiled it, and its results are wrong.
    wrong: bool,
}

impl Device {
    /// Opens the adapter that `wanted` means (see [`pick`](super::pick)), with all the limits that it offers. If any adapter is
    /// accepted and the best cannot be opened, tries the next; [`Device::notes`] says so.
    ///
    /// # Errors
    /// The errors of [`pick`](super::pick); [`Error::GpuOpen`] if no driver opens one.
    pub async fn open(wanted: impl Into<Wanted>, host: Arc<dyn Host>) -> Result<Self> {
        Device::open_among(wanted.into(), host, |_| true).await
    }

    /// Opens a device as [`Device::open`] does, but if any adapter is accepted, skips software adapters: the CPU executor is faster.
    ///
    /// # Errors
    /// The errors of [`Device::open`]; [`Error::NoAdapter`] if there are software adapters only.
    pub async fn open_preferred(wanted: impl Into<Wanted>, host: Arc<dyn Host>) -> Result<Self> {
        let wanted = wanted.into();
        let any = cfg!(target_family = "wasm") || !wanted.is_auto();
        Device::open_among(wanted, host, |info| any || !info.kind.software()).await
    }

    /// Opens the best of the adapters that `admitted` accepts.
    async fn open_among(wanted: Wanted, host: Arc<dyn Host>, admitted: impl Fn(&DeviceInfo) -> bool) -> Result<Self> {
        let adapters = adapters(&wanted).await?;
        let infos: Vec<DeviceInfo> = adapters.iter().map(|(info, _)| info.clone()).collect();
        let (mut failed, mut refused) = (Vec::new(), Vec::new());
        for (index, reason) in wanted.candidates(&infos)? {
            let (info, adapter) = &adapters[index];
            if !admitted(info) {
                refused.push(format!("{} is a {} adapter", info.name, info.kind));
                continue;
            }
            let pace = Arc::new(Pace::new(info));
            match Connection::open(1, info, adapter, pace, host.clone()).await {
                Ok(connection) => return Ok(Device::of(connection, wanted, reason, failed)),
                Err(error) => failed.push(error),
            }
        }
        if failed.is_empty() {
            return Err(Error::NoAdapter { reason: refused.join(", ") });
        }
        Err(match <[Error; 1]>::try_from(failed) {
            Ok([error]) => error,
            Err(failed) => {
                let reasons: Vec<String> = failed.iter().map(Error::to_string).collect();
                Error::GpuOpen { device: format!("each of {} adapters", failed.len()), reason: reasons.join("; ") }
            }
        })
    }

    /// The device of a first connection. `reason` says why it was chosen, and `failed` has the errors of the adapters tried
    /// before.
    fn of(connection: Connection, wanted: Wanted, reason: String, failed: Vec<Error>) -> Self {
        let mut notes: Vec<Note> = failed.into_iter().map(Note::AdapterFailed).collect();
        if !notes.is_empty() || reason.starts_with("the first of") {
            notes.push(Note::AdapterChosen { device: connection.info.name.clone(), reason: reason.clone() });
        }
        Device {
            info: connection.info.clone(),
            caps: connection.caps.clone(),
            features: connection.device.features(),
            wanted,
            reason,
            notes,
            cache: None,
            pace: connection.pace.clone(),
            host: connection.host.clone(),
            given_up: Mutex::default(),
            process: process(),
            connection: async_lock::Mutex::new(Arc::new(connection)),
        }
    }

    /// Loads compiled pipelines from `cache` and stores new ones there, if the driver can export them.
    pub fn use_cache(&mut self, cache: Cache) {
        self.cache = Some(cache.clone());
        if let Some(connection) = Arc::get_mut(self.connection.get_mut()) {
            connection.pipeline_cache = PipelineCache::open(&connection.device, cache);
        }
    }

    /// Makes the device fail as `injection` plans, for tests.
    #[cfg(feature = "fault-injection")]
    pub fn inject(&mut self, injection: &super::Injection) {
        if let Some(connection) = Arc::get_mut(self.connection.get_mut()) {
            connection.injection = Some(injection.clone());
        }
    }

    /// The machine that the device was opened on.
    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// The adapter.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Why this adapter was chosen.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The features and limits that kernels may use.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Notes for the user: adapters that could not be opened before this one, and kernels that were replaced because the driver
    /// refused to compile them or because their results are wrong.
    pub fn notes(&self) -> Vec<Note> {
        let note = |GivenUp { kernel, reason, .. }: &GivenUp| Note::KernelGivenUp {
            kernel: kernel.to_string(),
            reason: reason.clone(),
        };
        self.notes.iter().cloned().chain(lock(&self.given_up).iter().map(note)).collect()
    }

    /// Kernels that are not to be used.
    pub(super) fn given_up(&self) -> Vec<(KernelId, StorageType)> {
        lock(&self.given_up).iter().map(|given_up| (given_up.kernel, given_up.stored)).collect()
    }

    /// Number of given-up kernels whose results were wrong.
    pub(super) fn wrong(&self) -> usize {
        lock(&self.given_up).iter().filter(|given_up| given_up.wrong).count()
    }

    /// Records that `kernel` is not to be used, for `reason`: its results are `wrong`, or else the driver refused it.
    pub(super) fn give_up(&self, kernel: KernelId, stored: StorageType, reason: String, wrong: bool) {
        let mut all = lock(&self.given_up);
        if !all.iter().any(|given_up| (given_up.kernel, given_up.stored) == (kernel, stored)) {
            all.push(GivenUp { kernel, stored, reason, wrong });
        }
    }

    /// The kernels of `faults` that are wrong on this device, with its present driver and the present shaders.
    pub fn known(&self, faults: &[Fault]) -> Vec<(KernelId, StorageType)> {
        let code = kernels::checksum();
        let concerns = faults.iter().filter(|fault| fault.concerns(&self.info, &code));
        concerns.filter_map(|fault| Some((fault.kernel.parse().ok()?, fault.stored))).collect()
    }

    /// The best clock that the device has.
    pub fn clock(&self) -> Clock {
        Clock::best(self.features)
    }

    /// Bytes that all buffers on the device take now, as wgpu's allocator counts them; `None` if wgpu does not count.
    pub async fn memory(&self) -> Option<u64> {
        self.check_process().ok()?;
        let report = self.connection.lock().await.device.generate_allocator_report()?;
        Some(report.total_allocated_bytes)
    }

    /// The connection, opened again if it was lost. While one caller opens it, the others wait.
    ///
    /// # Errors
    /// [`Error::GpuLost`] if the device cannot be opened again, [`Error::GpuForked`] in a fork of the process that opened it.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>> {
        self.check_process()?;
        let mut current = self.connection.lock().await;
        if let Some(reason) = current.lost() {
            log::warn!("{}: device lost: {reason}; opening it again", self.info.name);
            *current = Arc::new(self.reopen(&current, reason).await?);
        }
        Ok(current.clone())
    }

    /// Checks that this process opened the device, and is not a fork of the one that did. A fork must not touch anything of the
    /// device, not even a lock: the threads that would release it live in the parent.
    pub(super) fn check_process(&self) -> Result<()> {
        match (self.process, process()) {
            (Some(opened_by), Some(used_by)) if opened_by != used_by => {
                Err(Error::GpuForked { device: self.info.name.clone(), opened_by, used_by })
            }
            _ => Ok(()),
        }
    }

    async fn reopen(&self, lost: &Connection, why: &str) -> Result<Connection> {
        let mut reason = why.to_string();
        for pause in PAUSES {
            self.host.sleep(pause).await;
            match self.open_again(lost).await {
                Ok(connection) => return Ok(connection),
                Err(error) => reason = format!("{why}; it cannot be opened again: {error}"),
            }
        }
        Err(Error::GpuLost { device: self.info.name.clone(), reason })
    }

    /// Opens the same adapter through a new instance of the driver.
    async fn open_again(&self, lost: &Connection) -> Result<Connection> {
        lost.at(Moment::Open, "opening")?;
        let adapters = adapters(&self.wanted).await?;
        let alike = |info: &DeviceInfo| (&info.name, &info.backend) == (&self.info.name, &self.info.backend);
        let same = adapters.iter().find(|(info, _)| *info == self.info);
        let same = same.or_else(|| adapters.iter().find(|(info, _)| alike(info)));
        let Some((_, adapter)) = same else {
            return Err(Error::NoAdapter { reason: format!("{} is gone", self.info.name) });
        };
        let mut connection =
            Connection::open(lost.number + 1, &self.info, adapter, self.pace.clone(), self.host.clone()).await?;
        if connection.caps != self.caps {
            return Err(Error::NoAdapter { reason: format!("{} came back with other features", self.info.name) });
        }
        connection.injection = lost.injection.clone();
        connection.pipeline_cache = self.cache.clone().and_then(|cache| PipelineCache::open(&connection.device, cache));
        Ok(connection)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.check_process().is_err() {
            // Closing it in a fork would wait for the driver's threads, which only the parent has. The memory is freed when the
            // process ends.
            mem::forget(self.connection.get_mut().clone());
        }
    }
}

/// The id of this process, on systems with forks.
fn process() -> Option<u32> {
    cfg!(unix).then(process::id)
}
