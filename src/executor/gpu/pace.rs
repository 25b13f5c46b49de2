//! Estimates how long the steps of a plan take on a device, so that no submission blocks other work on it or runs into the
//! driver's watchdog.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use super::lock;
use crate::executor::{DeviceInfo, DeviceKind, gpu::plan::Step};

/// Estimated seconds of the longest submission, if it has more than one step. Watchdogs wait for 2 s or more.
const LONGEST: f64 = 0.4;

/// Runs shorter than this, in seconds, measure latency and not speed.
const SHORT: f64 = 0.005;

/// A device counts as lost if it finishes nothing for this many seconds, or for a multiple of its longest submission if that
/// is longer. A software adapter gets little of a busy CPU, and compiles kernels in the same queue.
const PATIENCE: f64 = 120.0;
const PATIENCE_SOFTWARE: f64 = 900.0;
const PATIENCE_TIMES: f64 = 20.0;

/// Estimates the time of steps: from the kind of adapter at first, then from measured runs.
#[derive(Debug)]
pub(super) struct Pace {
    /// Operations and bytes a second that any adapter of this kind reaches.
    flops: f64,
    bandwidth: f64,
    /// Smallest number of seconds without progress before the device counts as lost.
    patience: f64,
    measured: Mutex<Measured>,
}

#[derive(Debug)]
struct Measured {
    /// Measured time of steps, divided by the first guess.
    factor: f64,
    /// Estimated seconds of the longest submission so far.
    longest: f64,
}

/// The steps of one submission.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Portion {
    pub(super) steps: Range<usize>,
    /// The first guess of its time, in seconds.
    pub(super) guess: f64,
}

impl Pace {
    pub(super) fn new(device: &DeviceInfo) -> Self {
        let (flops, bandwidth) = match device.kind {
            DeviceKind::DiscreteGpu => (2e12, 1e11),
            DeviceKind::IntegratedGpu | DeviceKind::VirtualGpu => (1e11, 1e10),
            DeviceKind::Other | DeviceKind::Cpu | DeviceKind::Software | DeviceKind::Reference => (2e10, 4e9),
        };
        let patience = if device.kind.software() { PATIENCE_SOFTWARE } else { PATIENCE };
        Pace { flops, bandwidth, patience, measured: Mutex::new(Measured { factor: 1.0, longest: 0.0 }) }
    }

    /// Cuts `steps` into portions that each take at most [`LONGEST`], unless a single step takes longer.
    pub(super) fn portions(&self, steps: &[Step]) -> Vec<Portion> {
        let factor = self.measured().factor;
        let mut portions = vec![Portion { steps: 0..0, guess: 0.0 }];
        for (i, step) in steps.iter().enumerate() {
            let guess = 2.0 * step.macs as f64 / self.flops + step.bytes as f64 / self.bandwidth;
            match portions.last_mut() {
                Some(last) if last.steps.is_empty() || factor * (last.guess + guess) <= LONGEST => {
                    last.steps.end = i + 1;
                    last.guess += guess;
                }
                _ => portions.push(Portion { steps: i..i + 1, guess }),
            }
        }
        let longest = portions.iter().map(|portion| factor * portion.guess).fold(0.0, f64::max);
        let mut measured = self.measured();
        measured.longest = measured.longest.max(longest);
        portions
    }

    /// Learns from a run that had the device to itself: its portions and their times. The slowest portion counts, because some
    /// kinds of steps take longer than others for the same number of operations.
    pub(super) fn learn(&self, portions: &[Portion], times: &[Duration]) {
        if times.iter().sum::<Duration>().as_secs_f64() < SHORT {
            return;
        }
        let ratio = |(portion, time): (&Portion, &Duration)| time.as_secs_f64() / portion.guess.max(1e-9);
        let slowest = portions.iter().zip(times).map(ratio).fold(0.0, f64::max);
        let mut measured = self.measured();
        measured.factor = f64::midpoint(measured.factor, slowest);
    }

    /// How long the device may go without finishing anything before it counts as lost.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience.max(PATIENCE_TIMES * self.measured().longest))
    }

    fn measured(&self) -> MutexGuard<'_, Measured> {
        lock(&self.measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        executor::gpu::kernels::{KernelKey, Types, registers},
        graph::ValueId,
    };

    /// As many steps and operations as ResNet-152 for a batch of eight: 185 GFLOP.
    fn steps() -> Vec<Step> {
        let key =
            KernelKey { shader: &registers::SHADER, types: Types::F32, consts: Vec::new(), overrides: Vec::new() };
        let step = Step {
            name: "imagined".into(),
            value: ValueId(0),
            kernel: registers::ID,
            key,
            reason: "imagined".into(),
            uniform: Vec::new(),
            operands: Vec::new(),
            grid: [1; 3],
            macs: 600_000_000,
            bytes: 10_000_000,
        };
        vec![step; 154]
    }

    fn pace(kind: DeviceKind) -> Pace {
        Pace::new(&DeviceInfo { kind, ..DeviceInfo::reference() })
    }

    #[test]
    fn a_slow_device_gets_portions_and_a_fast_one_the_whole() {
        let steps = steps();
        assert_eq!(pace(DeviceKind::DiscreteGpu).portions(&steps).len(), 1);
        let portions = pace(DeviceKind::Software).portions(&steps);
        assert!(portions.len() > 10, "{portions:?}");
        assert_eq!(
            portions.iter().flat_map(|portion| portion.steps.clone()).collect::<Vec<_>>(),
            Vec::from_iter(0..steps.len())
        );
        assert!(portions.iter().all(|portion| portion.guess <= LONGEST || portion.steps.len() == 1));
        assert_eq!(pace(DeviceKind::DiscreteGpu).portions(&[]), [Portion { steps: 0..0, guess: 0.0 }]);
    }

    #[test]
    fn it_learns_from_runs() {
        let (steps, pace) = (steps(), pace(DeviceKind::DiscreteGpu));
        let run = |seconds: f64| {
            let portions = pace.portions(&steps);
            let total: f64 = portions.iter().map(|portion| portion.guess).sum();
            let times: Vec<_> =
                portions.iter().map(|portion| Duration::from_secs_f64(seconds * portion.guess / total)).collect();
            pace.learn(&portions, &times);
            portions.len()
        };
        let settle = |seconds| (0..20).fold(0, |_, _| run(seconds));
        settle(4.0);
        assert!((10..15).contains(&run(4.0)), "four seconds in portions of 0.4 s");
        assert_eq!(settle(0.01), 1);
        assert_eq!(pace.patience(), Duration::from_secs(120));
        assert_eq!(self::pace(DeviceKind::Software).patience(), Duration::from_secs(900));
        settle(10_000.0);
        assert!(pace.patience() > Duration::from_secs(1000), "a layer of this network takes over a minute there");
    }
}
