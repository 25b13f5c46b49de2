//! Injected failures of the driver, for tests of this crate and of programs that use it.

#![cfg_attr(
    not(feature = "fault-injection"),
    allow(dead_code, unreachable_pub, reason = "only the feature plans failures")
)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::lock;

/// Makes a device fail at chosen moments. It is a handle: clones plan failures for the same device, before it is opened or while
/// it works.
///
/// ```
/// use residua::{Classifier, executor::gpu::{Failure, Injection, Moment}};
///
/// # fn main() -> residua::Result<()> {
/// let injection = Injection::default();
/// let classifier = Classifier::builder().device("0").inject(&injection).open()?;
/// injection.plan(Moment::Submit, 1, Failure::Lost);
/// classifier.infer(&image::DynamicImage::new_rgb8(32, 32))?; // the device is opened again, and the batch run once more
/// assert_eq!(injection.happened(), 1);
/// assert_eq!(injection.seen(Moment::Open), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Injection(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// How many times each moment has come.
    seen: HashMap<Moment, u64>,
    /// Planned failures: the moment, its count when the failure happens, and the failure.
    planned: Vec<(Moment, u64, Failure)>,
    happened: u64,
    patience: Option<Duration>,
}

/// When a device can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Moment {
    /// A lost device is about to be opened again.
    Open,
    /// A buffer is about to be made: for weights, extents, activations, upload or readback.
    Buffer,
    /// A kernel is about to be compiled.
    Pipeline,
    /// Commands are about to be submitted.
    Submit,
    /// A kernel is about to be dispatched.
    Dispatch,
    /// Commands were submitted and run.
    Submitted,
    /// A buffer is about to be mapped, to be written or read.
    Map,
    /// Commands are being waited for.
    Wait,
}

/// How a device can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The driver reports that the device is lost.
    Lost,
    /// The device is really destroyed, by wgpu's `Device::destroy`; later calls find out.
    Destroyed,
    /// The device has no memory left.
    Memory,
    /// The driver refuses to compile the kernel.
    Refused,
    /// The device does not answer, at [`Moment::Wait`] alone.
    Silent,
    /// The driver reports work as done that it has not done: all commands at [`Moment::Submit`], one kernel at
    /// [`Moment::Dispatch`].
    Idle,
}

impl Injection {
    /// Plans `failure` for the `nth` time that `moment` comes from now on; 1 is the next time.
    pub fn plan(&self, moment: Moment, nth: u64, failure: Failure) {
        let mut state = lock(&self.0);
        let at = state.seen.get(&moment).copied().unwrap_or_default() + nth;
        state.planned.push((moment, at, failure));
    }

    /// Sets how long the device may be silent before it counts as lost; some minutes otherwise.
    pub fn patience(&self, patience: Duration) {
        lock(&self.0).patience = Some(patience);
    }

    /// How many times `moment` has come.
    pub fn seen(&self, moment: Moment) -> u64 {
        lock(&self.0).seen.get(&moment).copied().unwrap_or_default()
    }

    /// How many of the planned failures have happened.
    pub fn happened(&self) -> u64 {
        lock(&self.0).happened
    }

    /// Counts `moment`, and returns the failure planned for it, if any.
    pub(super) fn at(&self, moment: Moment) -> Option<Failure> {
        let mut state = lock(&self.0);
        let seen = state.seen.entry(moment).or_default();
        *seen += 1;
        let now = (moment, *seen);
        let due = state.planned.iter().position(|&(moment, at, _)| (moment, at) == now)?;
        state.happened += 1;
        Some(state.planned.swap_remove(due).2)
    }

    pub(super) fn patient(&self) -> Option<Duration> {
        lock(&self.0).patience
    }
}
