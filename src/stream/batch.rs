//! How many images go to the device at once: a number that was asked for, or one found by measuring while the work goes on.

use std::{num::NonZero, time::Duration};

use crate::{Classifier, Error};

/// The first size of `auto`, and its largest.
const FIRST: usize = 4;
const MOST: usize = 256;

/// Bytes of activations that `auto` allows itself on a discrete GPU, and elsewhere, where the memory is the host's.
const DISCRETE_BYTES: u64 = 4 << 30;
const SHARED_BYTES: u64 = 1 << 30;

/// A larger batch must be this much faster for each image.
const WORTHWHILE: f64 = 1.05;

/// Timed runs of a size, after one that makes its buffers and pipelines.
const RUNS: usize = 2;

/// Images per batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batch {
    /// As many as pay, measured while the work goes on; a batch that does not fit onto the device is halved.
    #[default]
    Auto,
    /// This many. A batch that does not fit is an error for each of its images.
    Of(NonZero<usize>),
}

/// The size of the batches to come.
pub(super) struct BatchSize {
    size: usize,
    most: usize,
    auto: bool,
    settled: bool,
    /// A batch did not fit.
    halved: bool,
    /// Images a second of the size before this one.
    before: f64,
    /// Runs of this size so far, and images a second of the best of them.
    runs: usize,
    best: f64,
}

impl BatchSize {
    pub(super) fn new(wanted: Batch, classifier: &Classifier) -> Self {
        match wanted {
            Batch::Of(n) => BatchSize::fixed(n.get(), false),
            Batch::Auto if classifier.device().index.is_none() => BatchSize::fixed(1, true),
            Batch::Auto => {
                let discrete = classifier.device().kind == "discrete GPU";
                let allowed = if discrete { DISCRETE_BYTES } else { SHARED_BYTES };
                let fits = |n: usize| classifier.activation_bytes(n).is_ok_and(|bytes| bytes <= allowed);
                let most = (0..=MOST.ilog2()).map(|i| 1 << i).take_while(|&n| fits(n)).last().unwrap_or(1);
                BatchSize { most, settled: false, ..BatchSize::fixed(FIRST.min(most), true) }
            }
        }
    }

    fn fixed(size: usize, auto: bool) -> Self {
        BatchSize { size, most: size, auto, settled: true, halved: false, before: 0.0, runs: 0, best: 0.0 }
    }

    /// Images in the next batch.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The largest size that may come.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The size will not change any more, so that batches need not be timed one by one.
    pub(super) fn settled(&self) -> bool {
        self.settled
    }

    /// Whether a batch that met `error` should be tried again in halves.
    pub(super) fn splits(&self, error: &Error) -> bool {
        self.auto && matches!(error, Error::GpuLimits { .. } | Error::GpuMemory { .. })
    }

    /// The size that was left, if a batch did not fit.
    pub(super) fn halved_to(&self) -> Option<usize> {
        self.halved.then_some(self.size)
    }

    /// Takes note of a batch: its images, the most that ran at once, and how long they took.
    pub(super) fn ran(&mut self, images: usize, at_once: usize, time: Duration) {
        if self.auto && at_once < images {
            let size = self.size.min(at_once);
            (self.size, self.most, self.settled, self.halved) = (size, size, true, true);
        }
        if self.settled || images != self.size {
            return;
        }
        self.runs += 1;
        if self.runs > 1 {
            self.best = self.best.max(images as f64 / time.as_secs_f64());
        }
        if self.runs <= RUNS {
            return;
        }
        if self.best < WORTHWHILE * self.before {
            (self.size, self.settled) = (self.size / 2, true);
        } else if 2 * self.size > self.most {
            self.settled = true;
        } else {
            (self.size, self.before, self.best, self.runs) = (2 * self.size, self.best, 0.0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(most: usize) -> BatchSize {
        BatchSize { most, settled: false, ..BatchSize::fixed(FIRST, true) }
    }

    /// Runs batches that take `seconds(size)` until the size is settled, the first of a size ten times as long.
    fn settle(batch: &mut BatchSize, seconds: impl Fn(usize) -> f64) -> usize {
        for _ in 0..100 {
            let (size, slow) = (batch.size(), if batch.runs == 0 { 10.0 } else { 1.0 });
            batch.ran(size, size, Duration::from_secs_f64(slow * seconds(size)));
        }
        assert!(batch.settled());
        batch.size()
    }

    #[test]
    fn it_grows_while_that_pays() {
        assert_eq!(settle(&mut growing(256), |_| 1.0), 256, "a batch costs the same whatever its size");
        assert_eq!(settle(&mut growing(256), |n| n as f64), 4, "an image costs the same whatever the size");
        assert_eq!(settle(&mut growing(256), |n| n.max(32) as f64), 32, "32 images fill the device");
        assert_eq!(settle(&mut growing(8), |_| 1.0), 8, "the memory allows 8");
    }

    #[test]
    fn what_does_not_fit_is_not_tried_again() {
        let mut batch = growing(256);
        batch.ran(4, 2, Duration::from_secs(1));
        assert_eq!((batch.size(), batch.settled()), (2, true));
        assert_eq!(batch.halved_to(), Some(2));
        batch.ran(4, 3, Duration::from_secs(1));
        assert_eq!(batch.size(), 2, "a batch that was under way already");
        let mut asked_for = BatchSize::fixed(8, false);
        let memory = Error::GpuMemory { device: String::new(), reason: String::new() };
        assert!(growing(8).splits(&memory) && !asked_for.splits(&memory));
        asked_for.ran(8, 8, Duration::from_secs(1));
        assert_eq!((asked_for.size(), asked_for.halved_to()), (8, None));
    }
}
