//! Chooses the batch size: the requested number, or one that depends on the network and the device. It never depends on time, so the same
//! work gives the same batches.

use std::num::NonZero;

use crate::{Classifier, Error, executor::DeviceKind};

/// The smallest and the largest size of `auto`, if the memory allows.
const LEAST: usize = 4;
const MOST: usize = 256;

/// Largest number of bytes of activations for `auto` on a discrete GPU, and on other devices, which use the host's memory.
const DISCRETE_BYTES: u64 = 4 << 30;
const SHARED_BYTES: u64 = 1 << 30;

/// Multiply-accumulates per batch that keep a device busy: 64 images through ResNet-50 on a discrete GPU, 4 on another. On a CPU one
/// image keeps the kernels busy, and a batch only spreads the cost of a dispatch.
const DISCRETE_MACS: u64 = 256 << 30;
const SHARED_MACS: u64 = 16 << 30;
const SOFTWARE_MACS: u64 = 1 << 30;

/// Images per batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batch {
    /// As many as keep the device busy and fit, judged by the network and the kind of device. A batch that does not fit is halved.
    #[default]
    Auto,
    /// A fixed number. If a batch does not fit, each of its images gets an error.
    Of(NonZero<usize>),
}

/// The size of the next batches.
pub(super) struct BatchSize {
    size: usize,
    auto: bool,
    /// Whether a batch did not fit.
    halved: bool,
}

impl BatchSize {
    /// The size for `images` images, if their number is known.
    pub(super) fn new(wanted: Batch, classifier: &Classifier, images: Option<usize>) -> Self {
        let device = classifier.device();
        let (size, auto) = match wanted {
            Batch::Of(n) => (n.get(), false),
            Batch::Auto if device.kind == DeviceKind::Reference => (1, true),
            Batch::Auto => {
                let (bytes, macs) = match device.kind {
                    DeviceKind::DiscreteGpu => (DISCRETE_BYTES, DISCRETE_MACS),
                    DeviceKind::Cpu | DeviceKind::Software => (SHARED_BYTES, SOFTWARE_MACS),
                    _ => (SHARED_BYTES, SHARED_MACS),
                };
                let fits = |n: usize| classifier.activation_bytes(n).is_ok_and(|needed| needed <= bytes);
                let most = images.map_or(MOST, usize::next_power_of_two);
                (size(macs, classifier.model().macs, fits).min(most), true)
            }
        };
        BatchSize { size, auto, halved: false }
    }

    /// Images in the next batch.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether a batch that met `error` should be tried again in halves.
    pub(super) fn splits(&self, error: &Error) -> bool {
        self.auto && matches!(error, Error::GpuLimits { .. } | Error::GpuMemory { .. })
    }

    /// The reduced size, if a batch did not fit.
    pub(super) fn halved_to(&self) -> Option<usize> {
        self.halved.then_some(self.size)
    }

    /// Records a batch: its number of images, and the largest number that ran at once.
    pub(super) fn ran(&mut self, images: usize, at_once: usize) {
        if self.auto && at_once < images {
            (self.size, self.halved) = (self.size.min(at_once), true);
        }
    }
}

/// The largest batch size, a power of two, that fits and stays within `wanted` multiply-accumulates, at `image` per image.
fn size(wanted: u64, image: u64, fits: impl Fn(usize) -> bool) -> usize {
    let images = (wanted / image.max(1)).clamp(LEAST as u64, MOST as u64) as usize;
    (0..=images.ilog2()).map(|i| 1 << i).take_while(|&n| fits(n)).last().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_keeps_the_device_busy_and_fits() {
        let (resnet50, cifar) = (4_089_000_000, 41_000_000);
        let sizes = [DISCRETE_MACS, SHARED_MACS, SOFTWARE_MACS].map(|macs| size(macs, resnet50, |_| true));
        assert_eq!(sizes, [64, 4, 4]);
        let sizes = [DISCRETE_MACS, SHARED_MACS, SOFTWARE_MACS].map(|macs| size(macs, cifar, |_| true));
        assert_eq!(sizes, [256, 256, 16]);
        assert_eq!(size(DISCRETE_MACS, resnet50, |n| n <= 24), 16, "the memory allows 24");
        assert_eq!(size(DISCRETE_MACS, resnet50, |_| false), 1, "no batch fits: the error comes with the first image");
    }

    #[test]
    fn what_does_not_fit_is_not_tried_again() {
        let mut batch = BatchSize { size: 4, auto: true, halved: false };
        batch.ran(4, 2);
        assert_eq!((batch.size(), batch.halved_to()), (2, Some(2)));
        batch.ran(4, 3);
        assert_eq!(batch.size(), 2, "a batch that was already running");
        let mut asked_for = BatchSize { size: 8, auto: false, halved: false };
        let memory = Error::GpuMemory { device: String::new(), reason: String::new() };
        assert!(batch.splits(&memory) && !asked_for.splits(&memory));
        asked_for.ran(8, 8);
        assert_eq!((asked_for.size(), asked_for.halved_to()), (8, None));
    }
}
