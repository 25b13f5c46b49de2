//! The settings: plain data that the later steps read.

use std::num::NonZero;

#[cfg(feature = "hub")]
use crate::hub::Hub;
use crate::{
    cache::Cache,
    check::{tune::Tune, verify::Fault},
    checkpoint::{Checkpoint, ModelConfig},
    executor::gpu::Wanted,
    graph::Graph,
    image::{self, DecodeOptions},
    labels::Labels,
    structure::Structure,
};

/// Precision in which activations and weights are stored on the device. Sums are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Precision {
    /// f32 on every device.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats; an error if the device does not have them.
    F16,
}

/// The settings of a [`Builder`](crate::Builder).
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(super) model: Option<String>,
    pub(super) synthetic: Option<String>,
    pub(super) graph: Option<Graph>,
    pub(super) checkpoint: Option<(Checkpoint, Option<ModelConfig>)>,
    pub(super) wanted: Wanted,
    pub(super) untested: bool,
    pub(super) precision: Precision,
    /// Number of threads that compute on the CPU, instead of one for each core.
    pub(super) threads: Option<NonZero<usize>>,
    /// Number of head files through which this model was reached.
    pub(super) heads: usize,
    pub(super) resize: Option<usize>,
    pub(super) crop: Option<usize>,
    pub(super) filter: Option<image::Filter>,
    pub(super) mean: Option<[f32; 3]>,
    pub(super) std: Option<[f32; 3]>,
    pub(super) labels: Option<Labels>,
    pub(super) decode: DecodeOptions,
    pub(super) faults: Vec<Fault>,
    pub(super) test_size: bool,
    pub(super) deterministic: bool,
    pub(super) tune: Tune,
    pub(super) part: Option<String>,
    pub(super) allow_extra: bool,
    pub(super) no_config: bool,
    pub(super) allow_nonfinite: bool,
    pub(super) structure: Structure,
    pub(super) cache: Option<Cache>,
    /// Batch size to prepare for; 1 if `None`.
    pub(super) prepare: Option<usize>,
    #[cfg(feature = "fault-injection")]
    pub(super) injection: Option<crate::executor::gpu::Injection>,
    #[cfg(feature = "hub")]
    pub(super) hub: Hub,
}
