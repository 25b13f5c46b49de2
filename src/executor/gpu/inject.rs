//! Failures on purpose, at the edge to the driver: for tests of this crate, and of what depends on it.

#![cfg_attr(
    not(feature = "fault-injection"),
    allow(dead_code, unreachable_pub, reason = "without the feature nobody plans a failure")
)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::lock;

/// Makes a device fail at chosen moments. A handle: clones plan for the same device, before it is opened or while it works.
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
    /// How often each moment has come.
    seen: HashMap<Moment, u64>,
    /// What fails when a moment has come that often.
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
    /// The device is really destroyed, by wgpu's `Device::destroy`; what follows finds out.
    Destroyed,
    /// There is no memory left.
    Memory,
    /// The driver refuses.
    Refused,
    /// The device does not answer, at [`Moment::Wait`] alone.
    Silent,
    /// The driver reports as done what is never done: all commands at [`Moment::Submit`], one kernel at [`Moment::Dispatch`].
    Idle,
}

impl Injection {
    /// Plans `failure` for when `moment` comes the `nth` time from now, 1 being the next time.
    pub fn plan(&self, moment: Moment, nth: u64, failure: Failure) {
        let mut state = lock(&self.0);
        let at = state.seen.get(&moment).copied().unwrap_or_default() + nth;
        state.planned.push((moment, at, failure));
    }

    /// How long the device may be silent before it is taken for lost, instead of some minutes.
    pub fn patience(&self, patience: Duration) {
        lock(&self.0).patience = Some(patience);
    }

    /// How often `moment` has come.
    pub fn seen(&self, moment: Moment) -> u64 {
        lock(&self.0).seen.get(&moment).copied().unwrap_or_default()
    }

    /// How many of the planned failures have happened.
    pub fn happened(&self) -> u64 {
        lock(&self.0).happened
    }

    /// Counts `moment`; what happens at it, if anything.
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
