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
    /// Sets the model: `builtin` (the default), a `.safetensors` file, a folder with `model.safetensors`, in both cases with the
    /// `config.json` beside the file, or, with the feature `hub`, a model of the hub: an alias such as `resnet50` or a repository such as
    /// `timm/resnet50.a1_in1k`, with `@revision` after either. An existing file or folder wins over a model of the hub.
    pub fn model(mut self, model: &str) -> Self {
        self.0.model = Some(model.into());
        self
    }

    /// Takes an architecture such as `resnet50` with made-up weights, for measuring and testing. Overrides [`Builder::model`].
    pub fn synthetic(mut self, architecture: &str) -> Self {
        self.0.synthetic = Some(architecture.into());
        self
    }

    /// Takes a checkpoint in memory, with `config` or else the configuration in its metadata. Overrides [`Builder::model`] and
    /// [`Builder::synthetic`].
    pub fn checkpoint(mut self, checkpoint: Checkpoint, config: Option<ModelConfig>) -> Self {
        self.0.checkpoint = Some((checkpoint, config));
        self
    }

    /// Takes a network of your own for photos of three channels. Its weights come from [`Builder::checkpoint`], under the names in its
    /// operators. Photos are prepared as torchvision does, unless [`Builder::crop`] and the calls like it say otherwise.
    pub fn graph(mut self, graph: Graph) -> Self {
        self.0.graph = Some(graph);
        self
    }

    /// Sets the device: `auto` (the default), `cpu`, `reference` (plain loops, to compare with), an index, or a part of an adapter's name.
    /// A number is always an index. `auto` takes the best GPU, or the CPU if there is none.
    pub fn device(mut self, device: &str) -> Self {
        self.0.wanted = self.0.wanted.device(device);
        self
    }

    /// Sets the adapter to use, which may come from the environment. Replaces an earlier [`Builder::device`].
    #[doc(hidden)]
    pub fn adapter(mut self, wanted: Wanted) -> Self {
        self.0.wanted = wanted;
        self
    }

    /// Sets whether to skip the self-test of the device, for instance to examine one that fails it. The default is `false`.
    #[doc(hidden)]
    pub fn untested(mut self, untested: bool) -> Self {
        self.0.untested = untested;
        self
    }

    /// Sets the storage precision on the device.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.0.precision = precision;
        self
    }

    /// Sets the number of threads that compute on the device `cpu`. The default is the number of cores that the process may use.
    #[doc(hidden)]
    pub fn threads(mut self, threads: NonZero<usize>) -> Self {
        self.0.threads = Some(threads);
        self
    }

    /// Sets the number of pixels of the shorter side before the crop, instead of the model's own resize.
    pub fn resize(mut self, shorter: usize) -> Self {
        self.0.resize = Some(shorter);
        self
    }

    /// Sets the rows and columns of the network's input, instead of the model's own.
    pub fn crop(mut self, size: usize) -> Self {
        self.0.crop = Some(size);
        self
    }

    /// Sets the resampling filter, instead of the model's own.
    pub fn filter(mut self, filter: image::Filter) -> Self {
        self.0.filter = Some(filter);
        self
    }

    /// Sets the mean of red, green and blue in 0..1, instead of the model's own.
    pub fn mean(mut self, mean: [f32; 3]) -> Self {
        self.0.mean = Some(mean);
        self
    }

    /// Sets the standard deviation of red, green and blue in 0..1, instead of the model's own.
    pub fn std(mut self, std: [f32; 3]) -> Self {
        self.0.std = Some(std);
        self
    }

    /// Sets whether photos are resized to the size at which the model's authors test it (timm's `test_input_size` and `test_crop_pct`), if
    /// the model states one, instead of the training size. The default is `false`, as in timm and transformers.
    pub fn test_size(mut self, test_size: bool) -> Self {
        self.0.test_size = test_size;
        self
    }

    /// Sets the class names, instead of the model's own.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.0.labels = Some(labels);
        self
    }

    /// Sets whether to choose kernels as for one image, whatever the batch. A result then has the same bits in every batch, but may take
    /// longer. See also [`Classifier::for_batches`].
    pub fn deterministic(mut self, deterministic: bool) -> Self {
        self.0.deterministic = deterministic;
        self
    }

    /// Sets whether to time kernels on the device when the model is opened, and how to use earlier times, which are kept in the folder
    /// of [`Builder::cache`].
    #[doc(hidden)]
    pub fn tune(mut self, tune: Tune) -> Self {
        self.0.tune = tune;
        self
    }

    /// Chooses the network of a checkpoint, by the prefix of its tensors, with or without wrappers' names: `teacher`,
    /// `encoder_k`, `backbone.body`. Leaves out all other tensors, even a head beside the network. Without this call, the only
    /// network that is not an average of another is taken: student before teacher, `encoder_q` before `encoder_k`, the model
    /// before its EMA. If several are left, opening fails instead of guessing. [`Classifier::notes`] names the network taken and
    /// the others.
    pub fn part(mut self, part: &str) -> Self {
        self.0.part = Some(part.into());
        self
    }

    /// Sets whether to leave out tensors beside the network that may change its results, such as other modules around it or a second head.
    /// [`Classifier::notes`] names them; by default they are an error. Projectors, queues and training state are always left out. Extra
    /// tensors inside the modules of the network are always an error.
    pub fn allow_extra(mut self, allow: bool) -> Self {
        self.0.allow_extra = allow;
        self
    }

    /// Sets whether to ignore the `config.json` beside a checkpoint. By default it is read.
    pub fn no_config(mut self, no_config: bool) -> Self {
        self.0.no_config = no_config;
        self
    }

    /// Sets whether to open a checkpoint with NaN or infinite weights, to examine it. [`Classifier::notes`] names the tensors; by
    /// default they are an error. Results that are not finite remain an error.
    #[doc(hidden)]
    pub fn allow_nonfinite(mut self, allow: bool) -> Self {
        self.0.allow_nonfinite = allow;
        self
    }

    /// Sets properties of the network that its tensors do not show, instead of the configuration's or the usual ones:
    /// `"stem-pool=max,activation=silu".parse()?`. [`ModelInfo::structure`](crate::ModelInfo::structure) has the properties in use.
    pub fn structure(mut self, structure: Structure) -> Self {
        self.0.structure = structure;
        self
    }

    /// Sets a folder in which to keep compiled pipelines and kernel times between starts. Without this call, nothing is kept.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.0.cache = Some(Cache::new(folder));
        self
    }

    /// Sets the batch size to prepare for when the model is opened; 1 by default. Compiles the kernels and uploads the weights for this
    /// size. Other sizes reuse what they share with it. With 0, the first call does both.
    #[doc(hidden)]
    pub fn prepare(mut self, images: usize) -> Self {
        self.0.prepare = Some(images);
        self
    }

    /// Sets the source and folder of models from the hub. Without this call, opening a model of the hub fails.
    #[cfg(feature = "hub")]
    pub fn hub(mut self, hub: Hub) -> Self {
        self.0.hub = hub;
        self
    }

    /// Sets the kernels that are wrong on some device, as [`Classifier::verify`] reports them. They are not used on that device.
    #[doc(hidden)]
    pub fn faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    /// Sets how [`Classifier::infer_path`] and the other calls that take files or bytes decode them.
    pub fn decode(mut self, options: DecodeOptions) -> Self {
        self.0.decode = options;
        self
    }

    /// Makes the device fail at moments that `injection` chooses, to test how a program handles it.
    #[cfg(feature = "fault-injection")]
    #[doc(hidden)]
    pub fn inject(mut self, injection: &crate::executor::gpu::Injection) -> Self {
        self.0.injection = Some(injection.clone());
        self
    }

    /// Loads the model and opens the device.
    ///
    /// # Errors
    /// `model.*` and `config.*` if something is wrong with the model, `hub.*` if it cannot be fetched, `gpu.*` if something is
    /// wrong with the device; [`Error::GpuWrong`](crate::Error::GpuWrong) if it computes wrong results. With the device `auto`,
    /// an adapter that is missing or cannot be opened is not an error: the next adapter or the CPU is used, and
    /// [`Classifier::notes`] says so.
    pub async fn open_async(self, host: Arc<dyn Host>) -> Result<Classifier> {
        super::open(self.0, host).await
    }
}
