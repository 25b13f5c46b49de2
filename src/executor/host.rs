//! What the GPU room needs of the machine that it runs on: a clock, waiting, threads. Whoever opens a device hands it in, so that the
//! same code runs on threads and in a browser.

use std::{fmt, pin::Pin, time::Duration};

/// A boxed future, to be awaited on any thread.
#[cfg(not(target_family = "wasm"))]
pub type Work<'a, T = ()> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A boxed future. WebGPU's objects belong to their thread.
#[cfg(target_family = "wasm")]
pub type Work<'a, T = ()> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Something to be done without waiting for it.
#[cfg(not(target_family = "wasm"))]
pub type Task = Box<dyn FnOnce() + Send>;

/// Something to be done without waiting for it.
#[cfg(target_family = "wasm")]
pub type Task = Box<dyn FnOnce()>;

/// The clock and the threads of a machine.
pub trait Host: fmt::Debug + Send + Sync {
    /// Time since a fixed moment; it never goes back.
    fn now(&self) -> Duration;

    /// Is done after `time`.
    fn sleep(&self, time: Duration) -> Work<'_>;

    /// How many works run at the same time.
    fn cores(&self) -> usize;

    /// Runs `works`, as many at the same time as there are cores, and is done when all of them are.
    fn all<'a>(&'a self, works: Vec<Work<'a>>) -> Work<'a>;

    /// Calls `wait`, which blocks its thread until the device has done something. A runtime that must not be blocked moves its other
    /// tasks to another thread first.
    fn block(&self, wait: &mut dyn FnMut());

    /// Does `task`, which may never end, without waiting for it.
    fn detach(&self, task: Task);
}
