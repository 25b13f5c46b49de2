//! The threads that compute networks: one pool for each number of threads, made when it is first needed. A fork does not have its
//! parent's threads. There, a network that the parent opened runs on the caller's thread, and one that the fork opened runs on a
//! pool of its own.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::resume_unwind,
    process,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rayon::prelude::*;

use crate::Result;

/// Pools by process and number of threads.
static POOLS: Mutex<BTreeMap<(u32, usize), Arc<Threads>>> = Mutex::new(BTreeMap::new());

/// Threads that share the work of each layer. They are reused from one layer to the next.
#[derive(Debug)]
pub(super) struct Threads {
    count: usize,
    process: u32,
    /// `None` if no thread can be started; the caller then does the work.
    pool: Option<rayon::ThreadPool>,
    /// Held by the run that uses the threads. A thread that waits for others takes up any work in the pool; without turns it
    /// would start one run inside another, each with buffers of its own.
    turn: async_lock::Mutex<()>,
}

impl Threads {
    /// The process's pool of `count` threads.
    pub(super) fn shared(count: usize) -> Arc<Self> {
        let (count, process) = (count.max(1), process::id());
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = pools.get(&(process, count)) {
            return threads.clone();
        }
        let named = rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("residua-{i}"));
        let pool = named.build().map_err(|error| log::warn!("no threads to compute with: {error}")).ok();
        let threads = Arc::new(Threads { count, process, pool, turn: async_lock::Mutex::default() });
        // Do not keep a pool without threads: the next network may be able to start some.
        if threads.pool.is_some() {
            pools.insert((process, count), threads.clone());
        }
        threads
    }

    /// Number of threads.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Waits until no other run uses the threads. A fork does not wait: it has neither the threads nor the run that used them.
    pub(super) async fn turn(&self) -> Option<async_lock::MutexGuard<'_, ()>> {
        match self.pool() {
            Some(_) => Some(self.turn.lock().await),
            None => None,
        }
    }

    /// Runs `work` on one of the threads; from there it can share its tasks with the others.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.pool() {
            // While it waits here, a thread of another pool would take up other work of that pool, although its caller may hold
            // locks.
            Some(pool) if rayon::current_thread_index().is_some() && pool.current_thread_index().is_none() => {
                let run = || pool.install(work);
                thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
            }
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn pool(&self) -> Option<&rayon::ThreadPool> {
        self.pool.as_ref().filter(|_| self.process == process::id())
    }

    /// Calls `work` for each of `tasks`, on all threads. Neighbouring tasks tend to run in order on one thread.
    pub(super) fn each<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) + Sync + Send) {
        if tasks.len() > 1 && self.pool().is_some() {
            tasks.into_par_iter().with_max_len(1).for_each(work);
        } else {
            tasks.into_iter().for_each(work);
        }
    }

    /// The same for work that may fail. After a failure, some tasks may be left undone.
    ///
    /// # Errors
    /// One of the errors of `work`.
    pub(super) fn try_each<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) -> Result<()> + Sync + Send) -> Result<()> {
        if tasks.len() > 1 && self.pool().is_some() {
            tasks.into_par_iter().with_max_len(1).try_for_each(work)
        } else {
            tasks.into_iter().try_for_each(work)
        }
    }
}

/// Cuts `0..len` into `parts` ranges of nearly equal size.
pub(super) fn cut(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| part * len / parts..(part + 1) * len / parts)
}
