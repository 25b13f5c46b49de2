//! Gets a plan ready on all cores: compiles its pipelines, and packs and uploads its weights.

use std::{
    cmp::Reverse,
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{connection::Connection, lock, pipelines, weights::Weights};
use crate::{
    Result,
    executor::{
        Work,
        gpu::{
            kernels::KernelKey,
            plan::{Operand, Plan, WeightsId},
        },
    },
};

/// Largest number of extra devices, opened for a moment to compile kernels for a software driver.
const HELPERS: usize = 3;

/// If a short kernel takes longer than this to warm up, the driver's cache of compiled shaders does not have it.
const CACHED: Duration = Duration::from_millis(15);

/// One piece of work that must be done before a plan can run.
enum Job<'a> {
    /// Compile a kernel.
    Kernel(&'a KernelKey),
    /// Pack an array of weights and upload it.
    Weights(WeightsId),
}

/// Compiles the kernels of `plan`, and packs and uploads its weights, each once. Starts with those that take longest.
pub(super) async fn prepare(weights: &Weights, connection: &Connection, plan: &Plan) -> Result<()> {
    let mut seen = HashSet::new();
    let mut kernels: Vec<&KernelKey> = plan
        .steps
        .iter()
        .map(|step| &step.key)
        .filter(|key| !pipelines::has(connection, key) && seen.insert(*key))
        .collect();
    kernels.sort_by_cached_key(|key| Reverse(key.wgsl().len()));
    let operands = plan.steps.iter().flat_map(|step| &step.operands);
    let arrays: HashSet<WeightsId> =
        operands.filter_map(|operand| if let Operand::Weights(id) = operand { Some(*id) } else { None }).collect();
    let mut arrays = Vec::from_iter(arrays);
    arrays.sort_by_cached_key(|id| (Reverse(weights.size(*id)), *id));
    let mut jobs: Vec<Job<'_>> = kernels.iter().map(|key| Job::Kernel(key)).collect();
    jobs.extend(arrays.into_iter().map(Job::Weights));
    let workers = connection.host.cores().min(jobs.len());
    let preparation = Preparation {
        weights,
        connection,
        jobs,
        next_job: AtomicUsize::new(0),
        compiled: AtomicUsize::new(0),
        kernels,
        next_warm_up: AtomicUsize::new(0),
        failed: Mutex::default(),
    };
    let works = (0..workers).map(|_| -> Work<'_> { Box::pin(preparation.work()) });
    connection.host.all(works.collect()).await;
    if let Some(cache) = connection.pipeline_cache.as_ref().filter(|_| !preparation.kernels.is_empty()) {
        cache.save();
    }
    preparation.failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}

/// The state that the workers share.
struct Preparation<'a> {
    weights: &'a Weights,
    connection: &'a Connection,
    jobs: Vec<Job<'a>>,
    next_job: AtomicUsize,
    compiled: AtomicUsize,
    kernels: Vec<&'a KernelKey>,
    /// The next kernel to warm up. A software driver compiles a kernel to machine code at its first dispatch, in the thread of
    /// the device's queue, one kernel after the other. A kernel that one device has compiled is then in the driver's cache for
    /// every other device of that driver.
    next_warm_up: AtomicUsize,
    failed: Mutex<Option<crate::Error>>,
}

impl Preparation<'_> {
    /// Does jobs until none is left.
    async fn work(&self) {
        let mut room = Vec::new();
        while let Some(job) = self.jobs.get(self.next_job.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = self.job(job, &mut room).await {
                lock(&self.failed).get_or_insert(error);
                return;
            }
        }
    }

    async fn job(&self, job: &Job<'_>, room: &mut Vec<f32>) -> Result<()> {
        match job {
            Job::Kernel(key) => {
                pipelines::compiled(self.connection, key).await?;
                // llvmpipe compiles under the lock that creating a pipeline needs, so warm up after the last pipeline exists.
                let last = self.compiled.fetch_add(1, Ordering::Relaxed) + 1 == self.kernels.len();
                if last && self.connection.caps.software { self.warm_up().await } else { Ok(()) }
            }
            Job::Weights(id) => self.weights.get(self.connection, *id, room).await.map(drop),
        }
    }

    /// Makes a software driver compile every kernel; on several devices if its cache does not have them.
    async fn warm_up(&self) -> Result<()> {
        if !self.knows_the_last().await? {
            let host = &self.connection.host;
            let helpers = HELPERS.min(host.cores().saturating_sub(1));
            let mut works: Vec<Work<'_>> = (0..helpers).map(|_| -> Work<'_> { Box::pin(self.help()) }).collect();
            works.push(Box::pin(self.keep(self.connection)));
            host.all(works).await;
            return Ok(());
        }
        self.warm_up_on(self.connection).await
    }

    /// Whether the driver's cache has the last of the kernels.
    async fn knows_the_last(&self) -> Result<bool> {
        let Some(last) = self.kernels.last() else { return Ok(true) };
        let began = self.connection.host.now();
        pipelines::warm_up(self.connection, last).await?;
        Ok(self.connection.host.now().saturating_sub(began) < CACHED)
    }

    /// Warms up kernels on another device. A kernel that fails here is compiled when it is first used.
    async fn help(&self) {
        if let Ok(helper) = self.connection.another().await {
            let _ = self.warm_up_on(&helper).await;
        }
    }

    async fn keep(&self, connection: &Connection) {
        if let Err(error) = self.warm_up_on(connection).await {
            lock(&self.failed).get_or_insert(error);
        }
    }

    /// Warms up one kernel after the other, as long as there are any that no device has taken.
    async fn warm_up_on(&self, connection: &Connection) -> Result<()> {
        while let Some(key) = self.kernels.get(self.next_warm_up.fetch_add(1, Ordering::Relaxed)) {
            pipelines::warm_up(connection, key).await?;
        }
        Ok(())
    }
}
