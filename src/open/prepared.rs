//! Prepares the executor of a model, on a device that has passed its self-test, with weights and kernels loaded.

use std::sync::Arc;

use super::{
    described::Described,
    settings::{Precision, Settings},
};
use crate::{
    Error, ModelInfo, Note, Result,
    check::{selftest, tune},
    executor::{
        Executor, Host,
        gpu::{
            self, Device,
            kernels::{KernelId, cooperative},
            plan::{self, Options},
        },
        on_cpu,
    },
    network::Network,
    tensor::{Shape, StorageType},
};

/// A network ready to run.
pub(super) struct Prepared {
    pub(super) executor: Box<dyn Executor>,
    pub(super) model: ModelInfo,
    pub(super) notes: Vec<Note>,
}

/// Opens the device that `settings` ask for. The CPU is preferred to software adapters, except for f16, which it does not have.
///
/// # Errors
/// The errors of [`Device::open_preferred`].
pub(super) async fn device(settings: &Settings, host: Arc<dyn Host>) -> Result<Device> {
    let wanted = settings.wanted.clone();
    let mut device = match settings.precision {
        Precision::F16 => Device::open(wanted, host).await?,
        Precision::Auto | Precision::F32 => Device::open_preferred(wanted, host).await?,
    };
    if let Some(cache) = settings.cache.clone() {
        device.use_cache(cache);
    }
    #[cfg(feature = "fault-injection")]
    if let Some(injection) = &settings.injection {
        device.inject(injection);
    }
    Ok(device)
}

impl Prepared {
    /// Puts a network on the device, or on the CPU if there is none.
    ///
    /// # Errors
    /// `gpu.*` if the device cannot be opened (unless any device is accepted), lacks a feature that was asked for, or fails its
    /// self-test.
    pub(super) async fn of(
        described: Described,
        device: Option<Result<Device>>,
        settings: &Settings,
        host: Arc<dyn Host>,
    ) -> Result<Self> {
        let Described { network, model, mut notes } = described;
        let executor: Box<dyn Executor> = match device {
            Some(Ok(device)) => Box::new(on_gpu(network, device, &model, settings, &mut notes).await?),
            None if settings.precision == Precision::F16 => {
                return Err(Error::GpuFeature { device: settings.wanted.name().into(), feature: "f16 storage".into() });
            }
            None => prepared(on_cpu(settings.wanted.name(), network, host), &model, settings).await,
            Some(Err(error @ (Error::NoAdapter { .. } | Error::GpuOpen { .. })))
                if settings.wanted.is_auto() && settings.precision != Precision::F16 =>
            {
                notes.push(Note::CpuUsed(error));
                prepared(on_cpu(settings.wanted.name(), network, host), &model, settings).await
            }
            Some(Err(error)) => return Err(error),
        };
        Ok(Prepared { executor, model, notes })
    }
}

/// Prepares `executor` for the requested batch size.
async fn prepared(executor: Box<dyn Executor>, model: &ModelInfo, settings: &Settings) -> Box<dyn Executor> {
    let images = settings.prepare.unwrap_or(1);
    if images > 0 {
        executor
            .prepare(Shape::new(
                images,
                executor.network().graph().channels(),
                model.preprocess.height,
                model.preprocess.width,
            ))
            .await;
    }
    executor
}

async fn on_gpu(
    network: Network,
    device: Device,
    model: &ModelInfo,
    settings: &Settings,
    notes: &mut Vec<Note>,
) -> Result<gpu::Executor> {
    if device.info().kind.software() {
        notes.push(Note::SoftwareAdapter { device: device.info().name.clone() });
    }
    let stored = stored(settings.precision, &network, &device, notes)?;
    let device = Arc::new(device);
    let faulty = faulty(&device, stored, settings, notes).await?;
    let (height, width) = (model.preprocess.height, model.preprocess.width);
    let options = Options { faulty, chosen_for: settings.deterministic.then_some(1), ..Options::new(stored) };
    let cache = settings.cache.as_ref();
    let tables = tune::tables(&settings.tune, &device, &network, &options, (height, width), cache, notes).await?;
    let channels = network.graph().channels();
    let executor = gpu::Executor::new(device, network, Options { tuned: Arc::new(tables), ..options });
    let images = settings.prepare.unwrap_or(1);
    if images > 0 {
        executor.prepare(Shape::new(images, channels, height, width)).await;
    }
    Ok(executor)
}

/// The type in which values are stored.
fn stored(precision: Precision, network: &Network, device: &Device, notes: &mut Vec<Note>) -> Result<StorageType> {
    match precision {
        Precision::Auto | Precision::F32 => Ok(StorageType::F32),
        Precision::F16 if device.caps().f16 => Ok(match plan::beyond_f16(network)? {
            None => StorageType::F16,
            Some((layer, largest)) => {
                notes.push(Note::BeyondF16 { layer: layer.into(), largest });
                StorageType::F32
            }
        }),
        Precision::F16 => Err(Error::GpuFeature { device: device.info().name.clone(), feature: "shader-f16".into() }),
    }
}

/// The kernels not to use: those known to be wrong, and those that fail a test here. The device itself has passed its self-test.
async fn faulty(
    device: &Arc<Device>,
    stored: StorageType,
    settings: &Settings,
    notes: &mut Vec<Note>,
) -> Result<Vec<(KernelId, StorageType)>> {
    let mut faulty = device.known(&settings.faults);
    if !faulty.is_empty() {
        notes
            .push(Note::KernelsFaulty(faulty.iter().map(|(kernel, stored)| format!("{kernel} in {stored}")).collect()));
    }
    if !settings.untested {
        selftest::check(device, &faulty, settings.cache.as_ref()).await?;
    }
    let tensor_cores = (cooperative::ID, StorageType::F16);
    if stored == StorageType::F16
        && device.caps().cooperative
        && !faulty.contains(&tensor_cores)
        && let Some(reason) = selftest::doubt(device, cooperative::ID, StorageType::F16).await?
    {
        notes.push(Note::KernelDoubted { kernel: cooperative::ID.to_string(), reason });
        faulty.push(tensor_cores);
    }
    Ok(faulty)
}
