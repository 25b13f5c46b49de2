//! The threads of the process that compute networks: one pool for each number of them, made when it is first wanted. A fork has none of its
//! parent's threads: there a network of the parent is computed by its caller, and one that is opened by threads of the fork's own.

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

/// By process and number.
static POOLS: Mutex<BTreeMap<(u32, usize), Arc<Threads>>> = Mutex::new(BTreeMap::new());

/// Threads that share the work of a layer, and go from one layer to the next without being started again.
#[derive(Debug)]
pub(super) struct Threads {
    count: usize,
    process: u32,
    /// Nothing where no thread can be started: then the caller does the work.
    pool: Option<rayon::ThreadPool>,
    /// Held by the run that the threads work for. A thread that waits for others takes up whatever work there is: without turns it would
    /// begin one run inside another, each with buffers of its own.
    turn: async_lock::Mutex<()>,
}

impl Threads {
    /// The pool of so many threads, for the whole process.
    pub(super) fn shared(count: usize) -> Arc<Self> {
        let (count, process) = (count.max(1), process::id());
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = pools.get(&(process, count)) {
            return threads.clone();
        }
        let named = rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("residua-{i}"));
        let pool = named.build().map_err(|error| log::warn!("no threads to compute with: {error}")).ok();
        let threads = Arc::new(Threads { count, process, pool, turn: async_lock::Mutex::default() });
        // The next network may find threads where this one found none.
        if threads.pool.is_some() {
            pools.insert((process, count), threads.clone());
        }
        threads
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Waits until no other run has the threads. A fork, which has none of them, does not wait: whoever had them is not there.
    pub(super) async fn turn(&self) -> Option<async_lock::MutexGuard<'_, ()>> {
        match self.pool() {
            Some(_) => Some(self.turn.lock().await),
            None => None,
        }
    }

    /// Runs `work` on one of the threads, from where it shares what it has with the others.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.pool() {
            // A thread of another pool would do other work of that pool while it waits, with whatever locks its caller holds.
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

    /// Calls `work` for each of `tasks`, on all threads. Neighbours tend to go to one thread, in order.
    pub(super) fn each<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) + Sync + Send) {
        if tasks.len() > 1 && self.pool().is_some() {
            tasks.into_par_iter().with_max_len(1).for_each(work);
        } else {
            tasks.into_iter().for_each(work);
        }
    }

    /// The same for work that may fail: then some tasks are left undone.
    ///
    /// # Errors
    /// One of those of `work`.
    pub(super) fn try_each<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) -> Result<()> + Sync + Send) -> Result<()> {
        if tasks.len() > 1 && self.pool().is_some() {
            tasks.into_par_iter().with_max_len(1).try_for_each(work)
        } else {
            tasks.into_iter().try_for_each(work)
        }
    }
}

/// `0..len` in so many parts of nearly the same size.
pub(super) fn cut(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| part * len / parts..(part + 1) * len / parts)
}
