//! The threads that compute networks: one pool for each number of threads, made when it is first needed. A fork does not have its
//! parent's threads. There, a network that the parent opened runs on the caller's thread, and one that the fork opened runs on a
//! pool of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    hint,
    ops::Range,
    panic::resume_unwind,
    process,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use rayon::Yield;

use crate::Result;

/// How often an idle thread looks for work, some tenths of a millisecond, before it lets threads outside the pool run.
const SPINS: usize = 2000;

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
                let run = || pool.install(|| awake(work));
                thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
            }
            Some(pool) => pool.install(|| awake(work)),
            None => work(),
        }
    }

    fn pool(&self) -> Option<&rayon::ThreadPool> {
        self.pool.as_ref().filter(|_| self.process == process::id())
    }

    /// Calls `work` for each of `tasks`, on all threads. Each thread takes a share of neighbouring tasks in order, and then helps the
    /// others from the end of theirs.
    pub(super) fn each<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) + Sync) {
        let count = self.count.min(tasks.len());
        if count < 2 || self.pool().is_none() {
            return tasks.into_iter().for_each(work);
        }
        let left = AtomicUsize::new(tasks.len());
        let lens: Vec<usize> = cut(tasks.len(), count).map(|share| share.len()).collect();
        let mut tasks = tasks.into_iter();
        let shares: Vec<Mutex<VecDeque<T>>> =
            lens.into_iter().map(|len| Mutex::new(tasks.by_ref().take(len).collect())).collect();
        let share = |i: usize| shares[i % count].lock().unwrap_or_else(PoisonError::into_inner);
        let run = |own: usize| {
            // Never hold two locks at once.
            let first = || share(own).pop_front();
            let last = |other: usize| share(other).pop_back();
            let next = || {
                let of_own = first();
                of_own.or_else(|| (own + 1..own + count).find_map(last))
            };
            while let Some(task) = next() {
                let _done = Done(&left);
                work(task);
            }
        };
        rayon::scope(|scope| {
            let run = &run;
            (1..count).for_each(|own| scope.spawn(move |_| run(own)));
            run(0);
            wait(|| left.load(Ordering::Acquire) == 0);
        });
    }

    /// The same for work that may fail. After a failure, some tasks may be left undone.
    ///
    /// # Errors
    /// One of the errors of `work`.
    pub(super) fn try_each<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
        let failure = OnceLock::new();
        self.each(tasks, |task| {
            if failure.get().is_none()
                && let Err(error) = work(task)
            {
                let _ = failure.set(error);
            }
        });
        failure.into_inner().map_or(Ok(()), Err)
    }
}

/// Counts a task as done, even if it panics.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Runs `work` on this thread of a pool while the others stay awake: a layer takes about as long as it takes to wake a thread.
fn awake<T>(work: impl FnOnce() -> T) -> T {
    struct Over(Arc<AtomicBool>);
    impl Drop for Over {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let over = Over(Arc::default());
    let (caller, seen) = (rayon::current_thread_index(), over.0.clone());
    rayon::spawn_broadcast(move |thread| {
        if Some(thread.index()) != caller {
            wait(|| seen.load(Ordering::Acquire));
        }
    });
    work()
}

/// Does work of the pool until `over`. Does not sleep.
fn wait(over: impl Fn() -> bool) {
    let mut idle = 0;
    while !over() {
        match rayon::yield_now() {
            Some(Yield::Executed) => idle = 0,
            _ if idle < SPINS => {
                idle += 1;
                hint::spin_loop();
            }
            _ => thread::yield_now(),
        }
    }
}

/// Cuts `0..len` into `parts` ranges of nearly equal size.
pub(super) fn cut(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| part * len / parts..(part + 1) * len / parts)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::Error;

    #[test]
    fn every_task_is_done_once_on_any_number_of_threads() {
        for count in [1, 2, 5] {
            let threads = Threads::shared(count);
            for len in [0, 1, 4, 100] {
                let done: Vec<AtomicUsize> = (0..len).map(|_| AtomicUsize::new(0)).collect();
                threads.run(|| {
                    threads.each((0..len).collect(), |task: usize| _ = done[task].fetch_add(1, Ordering::Relaxed))
                });
                assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{len} tasks on {count} threads");
            }
        }
    }

    #[test]
    fn a_failure_and_a_panic_reach_the_caller_who_can_go_on() {
        let threads = Threads::shared(3);
        let work = |task| {
            if task == 40 { Err(Error::GpuMemory { device: "cpu".into(), reason: String::new() }) } else { Ok(()) }
        };
        for _ in 0..20 {
            let outcome = threads.run(|| threads.try_each((0..100).collect(), work));
            assert_eq!(outcome.unwrap_err().code(), "gpu.oom");
            let panics = || threads.run(|| threads.each((0..100).collect(), |task: usize| assert_ne!(task, 70)));
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        }
    }
}
