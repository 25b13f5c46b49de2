//! The settings of a [`Classifier`], one call each.

use std::{num::NonZero, path::PathBuf, sync::Arc};

use super::settings::{Precision, Settings};
#[cfg(feature = "hub")]
use crate::hub::Hub;
use crate::{
    Classifier, Result,
    cache::Cache,
    check::{tune::Tune, verify::Fault},
    checkpoint::{Checkpoint, ModelConfig},
    executor::{Host, gpu::Wanted},
    graph::Graph,
    image::{self, DecodeOptions},
    labels::Labels,
    structure::Structure,
};

impl Classifier {
    /// Settings to open a classifier with.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Settings of a [`Classifier`], each with a default.
#[derive(Debug, Clone, Default)]
pub struct Builder(Settings);

impl Builder {
    /// `builtin` (the default), a `.safetensors` file, a folder with `model.safetensors`, in both cases with the `config.json` that lies
    /// beside the file, or, with the feature `hub`, a model of the hub: an alias such as `resnet50` or a repository such as
    /// `timm/resnet50.a1_in1k`, with `@revision` after either. What is there as a file or folder is not looked for on the hub.
    pub fn model(mut self, model: &str) -> Self {
        self.0.model = Some(model.into());
        self
    }

    /// An architecture such as `resnet50` with made-up weights, for measuring and testing; wins over [`Builder::model`].
    pub fn synthetic(mut self, architecture: &str) -> Self {
        self.0.synthetic = Some(architecture.into());
        self
    }

    /// A checkpoint that is in memory, with its configuration or the one that it carries in its metadata; wins over
    /// [`Builder::model`] and [`Builder::synthetic`].
    pub fn checkpoint(mut self, checkpoint: Checkpoint, config: Option<ModelConfig>) -> Self {
        self.0.checkpoint = Some((checkpoint, config));
        self
    }

    /// A network of one's own for photos of three channels, with the weights of [`Builder::checkpoint`] under the names that its operators
    /// give. Photos become its input as torchvision prepares them, unless [`Builder::crop`] and the other calls say otherwise.
    pub fn graph(mut self, graph: Graph) -> Self {
        self.0.graph = Some(graph);
        self
    }

    /// `auto` (the default), `cpu`, `reference` (plain loops, the oracle), an index, or a part of an adapter's name; a number is always an
    /// index. `auto` takes the best GPU, and the CPU where there is none.
    pub fn device(mut self, device: &str) -> Self {
        self.0.wanted = self.0.wanted.device(device);
        self
    }

    /// The adapter that is wanted, with what the environment says of it; instead of what [`Builder::device`] has named before.
    #[doc(hidden)]
    pub fn adapter(mut self, wanted: Wanted) -> Self {
        self.0.wanted = wanted;
        self
    }

    /// Whether to do without the test of a device that is not known to be right, to look at one that is wrong. The default is `false`.
    #[doc(hidden)]
    pub fn untested(mut self, untested: bool) -> Self {
        self.0.untested = untested;
        self
    }

    /// Storage precision on the device.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.0.precision = precision;
        self
    }

    /// Threads that compute where the device is the CPU, instead of as many as the process may use cores.
    #[doc(hidden)]
    pub fn threads(mut self, threads: NonZero<usize>) -> Self {
        self.0.threads = Some(threads);
        self
    }

    /// Pixels of the shorter side before the crop, instead of the model's own resize.
    pub fn resize(mut self, shorter: usize) -> Self {
        self.0.resize = Some(shorter);
        self
    }

    /// Rows and columns of the network's input, instead of the model's own.
    pub fn crop(mut self, size: usize) -> Self {
        self.0.crop = Some(size);
        self
    }

    /// Resampling filter, instead of the model's own.
    pub fn filter(mut self, filter: image::Filter) -> Self {
        self.0.filter = Some(filter);
        self
    }

    /// Mean of red, green and blue in 0..1, instead of the model's own.
    pub fn mean(mut self, mean: [f32; 3]) -> Self {
        self.0.mean = Some(mean);
        self
    }

    /// Standard deviation of red, green and blue in 0..1, instead of the model's own.
    pub fn std(mut self, std: [f32; 3]) -> Self {
        self.0.std = Some(std);
        self
    }

    /// Whether photos get the size that a model's authors test it at (timm's `test_input_size` and `test_crop_pct`), where
    /// that is stated, instead of the size that it was trained at. As in timm and transformers the default is `false`.
    pub fn test_size(mut self, test_size: bool) -> Self {
        self.0.test_size = test_size;
        self
    }

    /// Class names, instead of the model's own.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.0.labels = Some(labels);
        self
    }

    /// Kernels are chosen as for one image, whatever the batch: an image then gets the same bits in batches of any size, which may
    /// take longer. See also [`Classifier::for_batches`].
    pub fn deterministic(mut self, deterministic: bool) -> Self {
        self.0.deterministic = deterministic;
        self
    }

    /// Whether kernels are measured on the device when the model is opened, and what is made of earlier measurements, which are
    /// kept in the folder of [`Builder::cache`].
    #[doc(hidden)]
    pub fn tune(mut self, tune: Tune) -> Self {
        self.0.tune = tune;
        self
    }

    /// Which network of a checkpoint to take, by the prefix of its tensors or what of that is no wrapper's name: `teacher`, `encoder_k`,
    /// `backbone.body`. All other tensors are left out, a head beside it too. Without this call it is the only one that is no average
    /// of another: student before teacher, `encoder_q` before `encoder_k`, the model before its EMA; which of several others is meant is
    /// not guessed. [`Classifier::notes`] names the one that was taken, and the others.
    pub fn part(mut self, part: &str) -> Self {
        self.0.part = Some(part.into());
        self
    }

    /// Leaves out tensors beside the network that may take part in what it computes (modules of other names around it, a second head)
    /// and names them in [`Classifier::notes`]; without this call they are an error. What is known to take no part (projectors, queues,
    /// states of training) is left out in any case. Tensors inside the modules of the network are always an error: with them it
    /// computes something else.
    pub fn allow_extra(mut self, allow: bool) -> Self {
        self.0.allow_extra = allow;
        self
    }

    /// Takes no notice of the `config.json` that lies beside a checkpoint, which is read without this call.
    pub fn no_config(mut self, no_config: bool) -> Self {
        self.0.no_config = no_config;
        self
    }

    /// Opens a checkpoint with weights that are NaN or infinite, to look at it, and names the tensors in [`Classifier::notes`];
    /// without this call they are an error. What such a network makes of an image is an error still, unless it is finite.
    #[doc(hidden)]
    pub fn allow_nonfinite(mut self, allow: bool) -> Self {
        self.0.allow_nonfinite = allow;
        self
    }

    /// What no tensor shows of the network, in place of what the model's configuration states and of what is usual:
    /// `"stem-pool=max,activation=silu".parse()?`. [`ModelInfo::structure`](crate::ModelInfo::structure) has what was taken.
    pub fn structure(mut self, structure: Structure) -> Self {
        self.0.structure = structure;
        self
    }

    /// A folder to keep compiled pipelines and measurements in from one start to the next. Without this call nothing is kept.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.0.cache = Some(Cache::new(folder));
        self
    }

    /// Images of the batches that opening prepares for, 1 without this call: kernels are compiled and weights uploaded in the form that
    /// such batches want. Batches of other sizes find what they have in common with it. With 0 all of that is left to the first call.
    #[doc(hidden)]
    pub fn prepare(mut self, images: usize) -> Self {
        self.0.prepare = Some(images);
        self
    }

    /// Where models of the hub come from. Without this call there is no folder for them, and opening one fails.
    #[cfg(feature = "hub")]
    pub fn hub(mut self, hub: Hub) -> Self {
        self.0.hub = hub;
        self
    }

    /// Kernels that are known to be wrong on some device, as [`Classifier::verify`] reports them: they are not chosen there.
    #[doc(hidden)]
    pub fn faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    /// How [`Classifier::infer_path`] and the others that take files decode them.
    pub fn decode(mut self, options: DecodeOptions) -> Self {
        self.0.decode = options;
        self
    }

    /// Failures of the device at moments that `injection` chooses, to test how they are met.
    #[cfg(feature = "fault-injection")]
    #[doc(hidden)]
    pub fn inject(mut self, injection: &crate::executor::gpu::Injection) -> Self {
        self.0.injection = Some(injection.clone());
        self
    }

    /// Loads the model and opens the device.
    ///
    /// # Errors
    /// `model.*` and `config.*` for what is wrong with the model, `hub.*` for fetching it, `gpu.*` for the device:
    /// [`Error::GpuWrong`](crate::Error::GpuWrong) for one that does not compute what it should. With device `auto` an adapter that is
    /// not there, or cannot be opened, is not an error: the next one or the CPU serves, and [`Classifier::notes`] says so.
    pub async fn open_async(self, host: Arc<dyn Host>) -> Result<Classifier> {
        super::open(self.0, host).await
    }
}
