//! The services that executors need from the machine: a clock, waiting, threads. The caller that opens a device provides them, so that the
//! same code runs with threads and in a browser.

use std::{fmt, pin::Pin, time::Duration};

/// A boxed future, to be awaited on any thread.
#[cfg(not(target_family = "wasm"))]
pub type Work<'a, T = ()> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A boxed future, for one thread: WebGPU's objects belong to the thread that made them.
#[cfg(target_family = "wasm")]
pub type Work<'a, T = ()> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A task to start without waiting for its end.
#[cfg(not(target_family = "wasm"))]
pub type Task = Box<dyn FnOnce() + Send>;

/// A task to start without waiting for its end.
#[cfg(target_family = "wasm")]
pub type Task = Box<dyn FnOnce()>;

/// The clock and the threads of a machine.
pub trait Host: fmt::Debug + Send + Sync {
    /// Time since a fixed moment; never decreases.
    fn now(&self) -> Duration;

    /// Completes after `time`.
    fn sleep(&self, time: Duration) -> Work<'_>;

    /// Number of jobs that run at the same time.
    fn cores(&self) -> usize;

    /// Runs `works`, as many at a time as there are cores; completes when all of them are done.
    fn all<'a>(&'a self, works: Vec<Work<'a>>) -> Work<'a>;

    /// Calls `wait`, which blocks its thread until the device makes progress. A runtime that must not block moves its other tasks to
    /// another thread first.
    fn block(&self, wait: &mut dyn FnMut());

    /// Starts `task`, which may never end, and does not wait for it.
    fn detach(&self, task: Task);
}
