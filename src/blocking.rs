//! The blocking edge: the only file of the library, but for the client of the hub, in which a thread waits.

use std::{
    num::NonZero,
    panic,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::gpu::{Host, Task, Work};

/// A machine with threads, whose callers may be blocked.
#[derive(Debug)]
pub struct Threads {
    start: Instant,
}

impl Threads {
    /// This machine.
    pub fn host() -> Arc<dyn Host> {
        Arc::new(Threads { start: Instant::now() })
    }
}

impl Host for Threads {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) -> Work<'_> {
        Box::pin(async move { thread::sleep(time) })
    }

    fn cores(&self) -> usize {
        thread::available_parallelism().map_or(1, NonZero::get)
    }

    fn all<'a>(&'a self, mut works: Vec<Work<'a>>) -> Work<'a> {
        Box::pin(async move {
            let Some(own) = works.pop() else { return };
            thread::scope(|scope| {
                let others: Vec<_> = works.into_iter().map(|work| scope.spawn(|| wait(work))).collect();
                wait(own);
                others.into_iter().for_each(|other| other.join().unwrap_or_else(|cause| panic::resume_unwind(cause)));
            });
        })
    }

    fn block(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn detach(&self, task: Task) {
        thread::spawn(task);
    }
}

/// The outcome of `work`, for which this thread waits.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}
