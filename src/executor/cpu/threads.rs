//! The threads of the process that compute networks: one pool for each number of them, made when it is first wanted. A fork has none of its
//! parent's threads: there a network of the parent is computed by its caller, and one that is opened by threads of the fork's own.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::Range,
    process,
    sync::{Arc, Mutex, PoisonError},
};

use rayon::prelude::*;

use super::lanes::Lanes;

/// By process and number.
static POOLS: Mutex<BTreeMap<(u32, usize), Arc<Threads>>> = Mutex::new(BTreeMap::new());

/// Threads that share the work of a layer, and go from one layer to the next without being started again.
#[derive(Debug)]
pub(super) struct Threads {
    count: usize,
    process: u32,
    /// Nothing where no thread can be started: then the caller does the work.
    pool: Option<rayon::ThreadPool>,
}

impl Threads {
    /// The pool of so many threads, for the whole process.
    pub(super) fn shared(count: usize) -> Arc<Self> {
        let process = process::id();
        let make = || {
            let named = rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("residua-{i}"));
            let pool = named.build().map_err(|error| log::warn!("no threads to compute with: {error}")).ok();
            Arc::new(Threads { count, process, pool })
        };
        POOLS.lock().unwrap_or_else(PoisonError::into_inner).entry((process, count)).or_insert_with(make).clone()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` on one of the threads, from where it shares what it has with the others.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.pool() {
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
}

/// `0..len` in so many parts of nearly the same size.
pub(super) fn cut(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| part * len / parts..(part + 1) * len / parts)
}

thread_local! {
    static SCRATCH: RefCell<Vec<Lanes>> = const { RefCell::new(Vec::new()) };
}

/// Lends this thread's own memory to `work`: so many lanes, with whatever was left in them. Vectors have to be dispatched to inside of
/// `work`: what comes through here is compiled for any processor.
pub(super) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [Lanes]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, Lanes::default());
        }
        work(&mut scratch[..len])
    })
}
