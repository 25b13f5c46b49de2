//! Finds the fastest kernel for each layer of a network on its device. All kernels that support the layer run on synthetic values,
//! alone and in turns; kernels that agree with the plain kernel are timed. The times are kept in a readable file in the cache, one
//! for each device and driver.

mod trials;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use trials::Trials;

use crate::{
    Note, Result,
    cache::Cache,
    executor::{
        DeviceInfo,
        gpu::{
            Device,
            kernels::KernelId,
            plan::{self, Candidates, Case, Options, Table, Timing, bucket, shipped},
        },
    },
    network::Network,
    tensor::{Shape, StorageType},
};

/// Largest file of times to read, in bytes.
const MAX_FILE: u64 = 8 << 20;

/// How measured kernel times are used when a model is opened.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Tune {
    /// Ignore measurements and choose kernels by rules.
    Never,
    /// Times measured on this device or shipped with the crate overrule the rules.
    #[default]
    Known,
    /// Like `Known`, after measuring missing times.
    Measure(Measure),
}

/// The measurements to take.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    /// Images per batch. Kernels are measured for batches of 1, of 2 to 16, and of more; each size here selects one of these classes. If
    /// empty: the first two, and on hardware also the third.
    pub batches: Vec<usize>,
    /// Rows and columns of the network's input, if different from the model's own.
    pub size: Option<(usize, usize)>,
    /// Measure again layers that already have times.
    pub anew: bool,
    /// Receives the progress.
    pub watch: Watch,
}

/// Progress of the measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Layers measured so far.
    pub done: usize,
    /// Layers to measure.
    pub total: usize,
}

/// Called with the [`Progress`] before each layer and after the last one. The default does nothing.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl Watch {
    /// Calls `watch` with the progress.
    pub fn new(watch: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Watch(Some(Arc::new(watch)))
    }

    fn tell(&self, done: usize, total: usize) {
        if let Some(watch) = &self.0 {
            watch(Progress { done, total });
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watch" } else { "no watch" })
    }
}

/// Path in a cache of the times measured on a device with its driver.
pub fn path(cache: &Path, device: &DeviceInfo) -> PathBuf {
    cache.join(file(device))
}

/// Whether to offer a measurement: `true` on the first call for a device that has no file and is not a software adapter. Writes
/// a file without times, so that later calls return `false`; also `false` if it cannot be written.
pub fn offer(cache: &Path, device: &DeviceInfo) -> bool {
    let fresh = device.index.is_some() && !device.kind.software() && !path(cache, device).exists();
    fresh && Cache::new(cache).write_text(&file(device), &Table::new(&device.name, &device.driver).text())
}

fn file(device: &DeviceInfo) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = format!("{} {}", device.name, device.driver).chars().map(plain).take(150).collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    format!("tuned-{}.json", words.join("-"))
}

/// The times of `device` from its file in `cache`; none if the file is foreign or broken.
fn own(cache: Option<&Cache>, device: &DeviceInfo) -> Table {
    let table = cache.and_then(|cache| Table::parse(&cache.read_text(&file(device), MAX_FILE)?));
    let concerns = |table: &Table| (&table.device, &table.driver) == (&device.name, &device.driver);
    table.filter(concerns).unwrap_or_else(|| Table::new(&device.name, &device.driver))
}

/// The tables for choosing kernels for a network planned with `options` for inputs of `size`, after the measurements that were asked
/// for. Kernels found to be wrong are added to `notes`.
pub(crate) async fn tables(
    tune: &Tune,
    device: &Arc<Device>,
    network: &Network,
    options: &Options,
    size: (usize, usize),
    cache: Option<&Cache>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Table>> {
    if let Tune::Never = tune {
        return Ok(Vec::new());
    }
    let info = device.info();
    let mut table = own(cache, info);
    if let Tune::Measure(measure) = tune {
        let candidates = |case: &Case| Candidates::of(case, options, device.caps());
        let mut cases = cases(measure, info, network, options, size)?;
        cases.retain(|case| candidates(case).kernels.len() > 1);
        let known = |case: &Case| table.get(case).is_some_and(|timing| timing.wgsl == candidates(case).wgsl);
        let missing: Vec<&Case> = cases.iter().filter(|case| measure.anew || !known(case)).collect();
        let mut trials = Trials::new(device);
        for (done, case) in missing.iter().enumerate() {
            measure.watch.tell(done, missing.len());
            let Candidates { mut kernels, wgsl } = candidates(case);
            kernels.retain(|kernel| !options.faulty.contains(&(*kernel, case.stored)));
            table.insert(Timing::new(**case, wgsl, &trials.times(case, &kernels).await?));
            if let Some(cache) = cache {
                cache.write_text(&file(info), &table.text());
            }
        }
        measure.watch.tell(missing.len(), missing.len());
        let wrong =
            |(kernel, stored): (KernelId, StorageType)| Note::KernelWrong { kernel: kernel.to_string(), stored };
        notes.extend(trials.wrong.into_iter().map(wrong));
    }
    let mut tables = vec![table];
    tables.extend(shipped(&info.name));
    tables.retain(|table| !table.timings().is_empty());
    Ok(tables)
}

/// The distinct layers to measure for the batches.
fn cases(
    measure: &Measure,
    device: &DeviceInfo,
    network: &Network,
    options: &Options,
    size: (usize, usize),
) -> Result<Vec<Case>> {
    let (h, w) = measure.size.unwrap_or(size);
    let usual = if device.kind.software() { &[1, 8][..] } else { &[1, 8, 64] };
    let mut batches: Vec<usize> = if measure.batches.is_empty() { usual } else { &measure.batches }
        .iter()
        .map(|&images| bucket(options.chosen_for.unwrap_or(images)))
        .collect();
    batches.sort_unstable();
    batches.dedup();
    let mut cases = Vec::new();
    for n in batches {
        for case in plan::cases(network, Shape::new(n, 3, h, w), options.stored)? {
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
    }
    Ok(cases)
}
