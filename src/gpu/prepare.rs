//! Getting a plan ready: its pipelines and its weights, on all cores.

use std::{
    cmp::Reverse,
    collections::HashSet,
    num::NonZero,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Executor, connection::Connection};
use crate::{
    Result,
    kernels::KernelKey,
    plan::{Operand, Plan, WeightsId},
};

/// Most devices that are opened for a moment to compile for a software driver.
const HELPERS: usize = 3;

/// A short kernel that takes longer until it is dispatched is not in the driver's cache of compiled shaders.
const CACHED: Duration = Duration::from_millis(15);

/// What must be there before a plan can run.
enum Job<'a> {
    /// Compile a kernel.
    Kernel(&'a KernelKey),
    /// Pack an array of weights and upload it.
    Weights(WeightsId),
}

/// Compiles the kernels of `plan`, packs and uploads its weights, each once, those that take longest to get ready first.
pub(super) fn prepare(executor: &Executor, connection: &Connection, plan: &Plan) -> Result<()> {
    let mut seen = HashSet::new();
    let mut kernels: Vec<&KernelKey> =
        plan.steps.iter().map(|step| &step.key).filter(|key| !connection.has(key) && seen.insert(*key)).collect();
    kernels.sort_by_cached_key(|key| Reverse(key.wgsl().len()));
    let mut arrays = HashSet::new();
    for operand in plan.steps.iter().flat_map(|step| &step.operands) {
        if let Operand::Weights(id) = operand {
            arrays.insert(*id);
        }
    }
    let mut jobs: Vec<Job<'_>> = kernels.iter().map(|key| Job::Kernel(key)).collect();
    jobs.extend(arrays.into_iter().map(Job::Weights));
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, compiled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (jobs, kernels, next, compiled) = (&jobs, &kernels, &next, &compiled);
    let software = Software { kernels, next: AtomicUsize::new(0) };
    let software = &software;
    let done = thread::scope(|scope| {
        let work = move || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                match job {
                    Job::Kernel(key) => {
                        connection.pipeline(key)?;
                        // llvmpipe holds a lock while it compiles that creating a pipeline needs: so not before the last one.
                        if compiled.fetch_add(1, Ordering::Relaxed) + 1 == kernels.len() && connection.caps.software {
                            if !software.knows_the_last(connection)? {
                                let help = || connection.another().and_then(|helper| software.compile(&helper));
                                // What they fail at is done without them.
                                (0..HELPERS.min(cores - 1)).for_each(|_| drop(scope.spawn(help)));
                            }
                            software.compile(connection)?;
                        }
                    }
                    Job::Weights(id) => drop(executor.weights(connection, *id)?),
                }
            }
            Ok(())
        };
        let others: Vec<_> = (1..cores.min(jobs.len())).map(|_| scope.spawn(work)).collect();
        let joined = |outcome: thread::Result<Result<()>>| outcome.unwrap_or_else(|cause| panic::resume_unwind(cause));
        others.into_iter().map(|other| joined(other.join())).fold(work(), Result::and)
    });
    if let Some(cache) = connection.pipeline_cache.as_ref().filter(|_| !kernels.is_empty()) {
        cache.save();
    }
    done
}

/// Kernels of which a software driver makes machine code when they are first dispatched, in the thread of a device's queue, one after
/// the other. What one device has compiled, another of the same driver finds in the driver's cache of compiled shaders.
struct Software<'a> {
    kernels: &'a [&'a KernelKey],
    next: AtomicUsize,
}

impl Software<'_> {
    /// Whether the last of the kernels is there at once.
    fn knows_the_last(&self, connection: &Connection) -> Result<bool> {
        let Some(last) = self.kernels.last() else { return Ok(true) };
        let began = Instant::now();
        connection.warm_up(last)?;
        Ok(began.elapsed() < CACHED)
    }

    /// Has one kernel after the other compiled, as long as there are any that no device has taken.
    fn compile(&self, connection: &Connection) -> Result<()> {
        while let Some(key) = self.kernels.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            connection.warm_up(key)?;
        }
        Ok(())
    }
}
