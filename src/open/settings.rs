//! What is wanted: plain settings, of which the later steps ask what concerns them.

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

/// In which precision activations and weights are stored on the device. Sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Precision {
    /// f32 for now on every device.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats; an error where the device has none.
    F16,
}

/// What [`Builder`](crate::Builder) was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(super) model: Option<String>,
    pub(super) synthetic: Option<String>,
    pub(super) graph: Option<Graph>,
    pub(super) checkpoint: Option<(Checkpoint, Option<ModelConfig>)>,
    pub(super) wanted: Wanted,
    pub(super) untested: bool,
    pub(super) precision: Precision,
    /// Threads that compute on the CPU, instead of as many as the host has cores.
    pub(super) threads: Option<NonZero<usize>>,
    /// How many heads in files of their own the model is the backbone of.
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
    /// Images of a batch that is prepared for, 1 if it is not given.
    pub(super) prepare: Option<usize>,
    #[cfg(feature = "fault-injection")]
    pub(super) injection: Option<crate::executor::gpu::Injection>,
    #[cfg(feature = "hub")]
    pub(super) hub: Hub,
}
