//! Getting a plan ready: its pipelines and its weights, on all cores.

use std::{
    collections::HashSet,
    num::NonZero,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{Executor, connection::Connection};
use crate::{
    Result,
    kernels::KernelKey,
    plan::{Operand, Plan, WeightsId},
};

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
    let kernels: Vec<&KernelKey> =
        plan.steps.iter().map(|step| &step.kernel).filter(|key| !connection.has(key) && seen.insert(*key)).collect();
    let mut arrays = HashSet::new();
    for operand in plan.steps.iter().flat_map(|step| &step.operands) {
        if let Operand::Weights(id) = operand {
            arrays.insert(*id);
        }
    }
    let mut jobs: Vec<Job<'_>> = kernels.iter().map(|key| Job::Kernel(key)).collect();
    jobs.extend(arrays.into_iter().map(Job::Weights));
    let (next, compiled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            match job {
                Job::Kernel(key) => {
                    connection.pipeline(key)?;
                    // llvmpipe holds a lock while it compiles that creating a pipeline needs: so not before the last one.
                    if compiled.fetch_add(1, Ordering::Relaxed) + 1 == kernels.len() && connection.caps.software {
                        connection.warm_up(&kernels)?;
                    }
                }
                Job::Weights(id) => drop(executor.weights(connection, *id)?),
            }
        }
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let done = thread::scope(|scope| {
        let others: Vec<_> = (1..cores.min(jobs.len())).map(|_| scope.spawn(work)).collect();
        let joined = |outcome: thread::Result<Result<()>>| outcome.unwrap_or_else(|cause| panic::resume_unwind(cause));
        others.into_iter().map(|other| joined(other.join())).fold(work(), Result::and)
    });
    if let Some(cache) = connection.pipeline_cache.as_ref().filter(|_| !kernels.is_empty()) {
        cache.save();
    }
    done
}
