//! Runs plans on a GPU. Only this module names `wgpu`. It is asynchronous: a [`Host`](super::Host) provides time, waiting and
//! threads.

mod adapter;
mod connection;
mod device;
mod executor;
mod inject;
pub mod kernels;
mod pace;
mod per_connection;
mod pipeline_cache;
mod pipelines;
pub mod plan;
mod prepare;
mod report;
mod session;
mod sessions;
mod space;
mod staging;
mod timing;
mod transfer;
mod trusted;
mod wanted;
mod weights;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use adapter::devices;
pub use device::Device;
pub use executor::Executor;
#[cfg(feature = "fault-injection")]
pub use inject::{Failure, Injection, Moment};
pub use report::{AdapterReport, adapter_reports};
pub use timing::{Clock, Stopwatch};
pub use wanted::{Wanted, pick};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
