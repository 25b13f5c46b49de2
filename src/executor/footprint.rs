//! Device memory of a network.

use std::fmt;

/// Device memory of a plan in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footprint {
    /// Packed weights.
    pub weights: u64,
    /// Buffers of activations.
    pub activations: u64,
    /// Transfer buffers for input and results. There are two sets: one serves the next run while the device computes.
    pub staging: u64,
    /// Largest number of bytes of activations in use at once: no assignment of buffers can need less.
    pub live: u64,
}

impl Footprint {
    /// Total number of bytes.
    pub fn total(&self) -> u64 {
        self.weights + self.activations + self.staging
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let Footprint { weights, activations, staging, live } = *self;
        let (total, weights, staging) = (mib(self.total()), mib(weights), mib(staging));
        write!(f, "{total:.1} MiB: weights {weights:.1}, activations {:.1}, of which at most ", mib(activations))?;
        write!(f, "{:.1} are alive at once, input and results {staging:.1}", mib(live))
    }
}
