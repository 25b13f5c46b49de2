//! What to open, on which device, and how: the settings of a [`Classifier`], and the way from a model's name to its parts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Classifier, Error, Result,
    cache::Cache,
    check::{
        selftest,
        tune::{self, Tune},
        verify::Fault,
    },
    checkpoint::{Checkpoint, ModelConfig, PreprocessConfig, ProblemType, published},
    classifier::ModelInfo,
    executor::{
        Executor, Host, Reference, Work,
        gpu::{self, Device, Injection, Wanted, kernels::cooperative, plan::Options},
    },
    image::{self, DecodeOptions, Preprocess},
    labels::{Labels, Scoring},
    models::{Architecture, Property, Shapes},
    network::Network,
    open::source::{Reader, Source, class_names, not_found},
    structure::{GlobalPool, Structure},
    tensor::{Shape, StorageType},
};
#[cfg(feature = "hub")]
use crate::{
    executor::gpu::plan,
    hub::{Hub, ModelId, near},
};

/// In which precision activations and weights are stored on the device. Sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// Settings of a [`Classifier`], each with a default.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    model: Option<String>,
    synthetic: Option<String>,
    checkpoint: Option<(Checkpoint, Option<ModelConfig>)>,
    wanted: Wanted,
    untested: bool,
    precision: Precision,
    resize: Option<usize>,
    crop: Option<usize>,
    filter: Option<image::Filter>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    labels: Option<Labels>,
    decode: DecodeOptions,
    faults: Vec<Fault>,
    test_size: bool,
    deterministic: bool,
    tune: Tune,
    allow_extra: bool,
    no_config: bool,
    allow_nonfinite: bool,
    structure: Structure,
    cache: Option<Cache>,
    injection: Option<Injection>,
    #[cfg(feature = "hub")]
    hub: Hub,
}

impl Builder {
    /// `builtin` (the default), a `.safetensors` file, a folder with `model.safetensors`, in both cases with the `config.json` that lies
    /// beside the file, or, with the feature `hub`, a model of the hub: an alias such as `resnet50` or a repository such as
    /// `timm/resnet50.a1_in1k`, with `@revision` after either. What is there as a file or folder is not looked for on the hub.
    pub fn model(mut self, model: &str) -> Self {
        self.model = Some(model.into());
        self
    }

    /// An architecture such as `resnet50` with made-up weights, for measuring and testing; wins over [`Builder::model`].
    pub fn synthetic(mut self, architecture: &str) -> Self {
        self.synthetic = Some(architecture.into());
        self
    }

    /// A checkpoint that is in memory, with its configuration or the one that it carries in its metadata; wins over
    /// [`Builder::model`] and [`Builder::synthetic`].
    pub fn checkpoint(mut self, checkpoint: Checkpoint, config: Option<ModelConfig>) -> Self {
        self.checkpoint = Some((checkpoint, config));
        self
    }

    /// `auto` (the default), `cpu` (the reference path), an index, or a part of an adapter's name; a number is an index always.
    pub fn device(mut self, device: &str) -> Self {
        self.wanted = self.wanted.device(device);
        self
    }

    /// The adapter that is wanted, with what the environment says of it; instead of what [`Builder::device`] has named before.
    pub fn adapter(mut self, wanted: Wanted) -> Self {
        self.wanted = wanted;
        self
    }

    /// Whether to do without the test of a device that is not known to be right, to look at one that is wrong. The default is `false`.
    pub fn untested(mut self, untested: bool) -> Self {
        self.untested = untested;
        self
    }

    /// Storage precision on the device.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Pixels of the shorter side before the crop, instead of the model's own resize.
    pub fn resize(mut self, shorter: usize) -> Self {
        self.resize = Some(shorter);
        self
    }

    /// Rows and columns of the network's input, instead of the model's own.
    pub fn crop(mut self, size: usize) -> Self {
        self.crop = Some(size);
        self
    }

    /// Resampling filter, instead of the model's own.
    pub fn filter(mut self, filter: image::Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Mean of red, green and blue in 0..1, instead of the model's own.
    pub fn mean(mut self, mean: [f32; 3]) -> Self {
        self.mean = Some(mean);
        self
    }

    /// Standard deviation of red, green and blue in 0..1, instead of the model's own.
    pub fn std(mut self, std: [f32; 3]) -> Self {
        self.std = Some(std);
        self
    }

    /// Whether photos get the size that a model's authors test it at (timm's `test_input_size` and `test_crop_pct`), where
    /// that is stated, instead of the size that it was trained at. As in timm and transformers the default is `false`.
    pub fn test_size(mut self, test_size: bool) -> Self {
        self.test_size = test_size;
        self
    }

    /// Class names, instead of the model's own.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = Some(labels);
        self
    }

    /// Kernels are chosen as for one image, whatever the batch: an image then gets the same bits in batches of any size, which may
    /// take longer. See also [`Classifier::for_batches`].
    pub fn deterministic(mut self, deterministic: bool) -> Self {
        self.deterministic = deterministic;
        self
    }

    /// Whether kernels are measured on the device when the model is opened, and what is made of earlier measurements, which are
    /// kept in the folder of [`Builder::cache`].
    pub fn tune(mut self, tune: Tune) -> Self {
        self.tune = tune;
        self
    }

    /// Leaves out tensors that lie beside the network (a copy of all weights, an auxiliary head) and names them in
    /// [`Classifier::notes`]; without this call they are an error. Tensors inside the modules of the network, such as the bias of a
    /// convolution that has none, are always an error: with them it computes something else.
    pub fn allow_extra(mut self, allow: bool) -> Self {
        self.allow_extra = allow;
        self
    }

    /// Takes no notice of the `config.json` that lies beside a checkpoint, which is read without this call.
    pub fn no_config(mut self, no_config: bool) -> Self {
        self.no_config = no_config;
        self
    }

    /// Opens a checkpoint with weights that are NaN or infinite, to look at it, and names the tensors in [`Classifier::notes`];
    /// without this call they are an error. What such a network makes of an image is an error still, unless it is finite.
    pub fn allow_nonfinite(mut self, allow: bool) -> Self {
        self.allow_nonfinite = allow;
        self
    }

    /// What no tensor shows of the network, in place of what the model's configuration states and of what is usual:
    /// `"stem-pool=max,activation=silu".parse()?`. [`ModelInfo::structure`] has what was taken.
    pub fn structure(mut self, structure: Structure) -> Self {
        self.structure = structure;
        self
    }

    /// A folder to keep compiled pipelines and measurements in from one start to the next. Without this call nothing is kept.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(Cache::new(folder));
        self
    }

    /// Where models of the hub come from. Without this call there is no folder for them, and opening one fails.
    #[cfg(feature = "hub")]
    pub fn hub(mut self, hub: Hub) -> Self {
        self.hub = hub;
        self
    }

    /// Kernels that are known to be wrong on some device, as [`Classifier::verify`] reports them: they are not chosen there.
    pub fn faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    /// How [`Classifier::infer_path`] and the others that take files decode them.
    pub fn decode(mut self, options: DecodeOptions) -> Self {
        self.decode = options;
        self
    }

    /// Failures of the device at moments that `injection` chooses, to test how they are met.
    pub fn inject(mut self, injection: &Injection) -> Self {
        self.injection = Some(injection.clone());
        self
    }

    /// Loads the model and opens the device.
    ///
    /// # Errors
    /// `model.*` and `config.*` for what is wrong with the model, `hub.*` for fetching it, `gpu.*` for the device:
    /// [`Error::GpuWrong`] for one that does not compute what it should. With device `auto` an adapter that is not there, or cannot be
    /// opened, is not an error: the next one or the CPU reference path serves, and [`Classifier::notes`] says so.
    pub async fn open_async(self, host: Arc<dyn Host>) -> Result<Classifier> {
        let (mut device, mut network, mut notes) = (None, None, Vec::new());
        {
            let open = async { device = Some(self.open_device(host.clone()).await) };
            let read = async { network = Some(self.network(&mut notes)) };
            // Opening a device takes about as long as reading a checkpoint.
            let mut works: Vec<Work<'_>> = vec![Box::pin(read)];
            if !self.wanted.is_cpu() {
                works.push(Box::pin(open));
            }
            host.all(works).await;
        }
        let (network, model) = network.ok_or_else(|| stopped("reading the model"))??;
        let size = (model.preprocess.height, model.preprocess.width);
        let executor = self.executor(network, device, size, &mut notes).await?;
        Ok(Classifier::new(executor, model, self.decode.clone(), notes))
    }

    fn network(&self, notes: &mut Vec<String>) -> Result<(Network, ModelInfo)> {
        let Source { mut checkpoint, config, name, origin, revision, published_top1, notes: disagreements } =
            self.source()?;
        notes.extend(disagreements);
        if self.allow_nonfinite {
            checkpoint = checkpoint.allow_nonfinite();
        }
        let (architecture, extra) = self.detect(checkpoint.name(), checkpoint.shapes(), &config.structure)?;
        if !extra.is_empty() {
            notes.push(format!("left out, as the architecture has no place for them: {}", some(&extra)));
        }
        let structure = self.stated(&architecture, &config, notes);
        let graph = architecture.graph();
        let mut broken = Vec::new();
        for (name, shape) in graph.tensors() {
            let values = checkpoint.tensor(&name, &shape)?;
            let count = values.iter().filter(|value| !value.is_finite()).count();
            if count > 0 {
                broken.push(format!("{name} ({count} of {})", values.len()));
            }
        }
        if !broken.is_empty() {
            notes.push(format!("values that are not finite are in {}", some(&broken)));
        }
        let stated = config.preprocess.or_else(|| published(checkpoint.name(), &architecture.name()));
        let preprocess = self.preprocess(&architecture, stated.as_ref())?;
        let classes = architecture.classes().unwrap_or(0);
        let shapes = graph.infer_shapes(Shape::new(1, 3, preprocess.height, preprocess.width))?;
        if self.test_size && stated.as_ref().is_none_or(|stated| stated.test_framing.is_none()) {
            notes.push("no test size is stated for this model; photos get its ordinary size".into());
        }
        let labels = class_names(self.labels.as_ref(), config.labels, config.claims.classes, classes, notes);
        if config.license.as_ref().is_some_and(|license| license.to_lowercase().starts_with("cc-by-nc")) {
            notes.push(format!("the licence of {name} does not allow commercial use"));
        }
        let model = ModelInfo {
            name,
            revision,
            architecture: architecture.name(),
            parameters: architecture.parameters(),
            macs: architecture.macs(preprocess.height, preprocess.width)?,
            classes,
            features: shapes[graph.features().0].c,
            tensors: checkpoint.shapes().len(),
            labels,
            license: config.license,
            published_top1,
            source: origin,
            preprocess,
            structure,
            stated,
            scoring: match config.problem_type {
                Some(ProblemType::Regression) => Scoring::Logits,
                Some(ProblemType::MultiLabelClassification) => Scoring::Sigmoid,
                _ if classes == 1 => Scoring::Sigmoid,
                _ => Scoring::Softmax,
            },
        };
        Ok((Network::new(graph, checkpoint), model))
    }

    /// The architecture of tensors of these shapes, with what is `configured` of it, and the names of those that it has no place
    /// for, if there may be any.
    fn detect<'a>(
        &self,
        model: &str,
        shapes: &'a Shapes,
        configured: &Structure,
    ) -> Result<(Architecture, Vec<&'a str>)> {
        let (architecture, extra) = Architecture::detect_stated(model, shapes, &self.structure, configured)?;
        if !self.allow_extra {
            architecture.refuse_extra(model, &extra)?;
        }
        Ok((architecture, extra))
    }

    /// The architecture that tensors of these shapes may be of, whatever its configuration states, which is not read yet.
    fn recognise(&self, model: &str, shapes: &Shapes) -> Result<Architecture> {
        // The head then has twice as many inputs.
        let both = Structure { global_pool: Some(GlobalPool::CatAvgMax), ..Structure::default() };
        match self.detect(model, shapes, &Structure::default()) {
            Err(error @ Error::TensorShape { .. }) => self.detect(model, shapes, &both).map_err(|_| error),
            outcome => outcome,
        }
        .map(|(architecture, _)| architecture)
    }

    /// What no tensor shows, each with the place where it is stated.
    fn stated(&self, architecture: &Architecture, config: &ModelConfig, notes: &mut Vec<String>) -> Vec<Property> {
        let places = [&self.structure, &config.structure];
        let place = |key: &str| Some(places.into_iter().find(|stated| stated.decides(key))?.stated_in.clone());
        // The name of a network for CIFAR says what its stem is.
        let named = config.architecture.as_deref().is_some_and(|name| name.starts_with("cifar_"));
        notes.extend(architecture.doubt(|key| named || place(key).is_some()));
        architecture.unseen(place)
    }

    fn source(&self) -> Result<Source> {
        let detect = |model: &str, shapes: &Shapes| self.recognise(model, shapes);
        let reader = Reader { detect: &detect, beside: !self.no_config };
        if let Some((checkpoint, config)) = &self.checkpoint {
            return reader.memory(checkpoint.clone(), config.clone());
        }
        match (&self.synthetic, self.model.as_deref().unwrap_or("builtin")) {
            (Some(architecture), _) => Source::synthetic(architecture),
            (None, "builtin") => Source::builtin(),
            (None, model) if Path::new(model).exists() => reader.path(Path::new(model)),
            (None, model) => self.hub_source(model, &reader),
        }
    }

    #[cfg(feature = "hub")]
    fn hub_source(&self, model: &str, reader: &Reader<'_>) -> Result<Source> {
        match ModelId::parse(model) {
            Some(id) => reader.hub(&id, &self.hub),
            None => Err(not_found(model, &near(model))),
        }
    }

    #[cfg(not(feature = "hub"))]
    fn hub_source(&self, model: &str, _: &Reader<'_>) -> Result<Source> {
        Err(not_found(model, &[]))
    }

    fn preprocess(&self, architecture: &Architecture, stated: Option<&PreprocessConfig>) -> Result<Preprocess> {
        let (height, width) = architecture.default_input();
        let mut preprocess = match stated {
            Some(stated) => stated.preprocess(self.test_size),
            None if (height, width) == (224, 224) => Preprocess::torchvision(),
            None => Preprocess::square(height, image::IMAGENET_MEAN, image::IMAGENET_STD),
        };
        if let Some(size) = self.crop {
            (preprocess.height, preprocess.width) = (size, size);
            if let image::Resize::Squash { .. } = preprocess.resize {
                preprocess.resize = image::Resize::Squash { height: size, width: size };
            }
        }
        if let Some(shorter) = self.resize {
            preprocess.resize = image::Resize::Shorter(shorter);
        }
        preprocess.filter = self.filter.unwrap_or(preprocess.filter);
        preprocess.mean = self.mean.unwrap_or(preprocess.mean);
        preprocess.std = self.std.unwrap_or(preprocess.std);
        preprocess.check()?;
        Ok(preprocess)
    }

    async fn open_device(&self, host: Arc<dyn Host>) -> Result<Device> {
        let mut device = Device::open(self.wanted.clone(), host).await?;
        if let Some(cache) = self.cache.clone() {
            device.use_cache(cache);
        }
        if let Some(injection) = &self.injection {
            device.inject(injection);
        }
        Ok(device)
    }

    /// What computes the network on `device`; without one that is the CPU reference path.
    async fn executor(
        &self,
        network: Network,
        device: Option<Result<Device>>,
        size: (usize, usize),
        notes: &mut Vec<String>,
    ) -> Result<Box<dyn Executor>> {
        let device = match device {
            Some(Ok(device)) => device,
            None if self.precision == Precision::F16 => {
                return Err(Error::GpuFeature { device: "cpu".into(), feature: "f16 storage".into() });
            }
            None => return Ok(Box::new(Reference::new(network))),
            Some(Err(error @ (Error::NoAdapter { .. } | Error::GpuOpen { .. })))
                if self.wanted.is_auto() && self.precision != Precision::F16 =>
            {
                notes.push(format!("{error}; using the CPU reference path, which is slow"));
                return Ok(Box::new(Reference::new(network)));
            }
            Some(Err(error)) => return Err(error),
        };
        let info = device.info();
        if info.kind.software() {
            notes.push(format!("{} is a software adapter: it runs on the CPU", info.name));
        }
        let mut stored = match self.precision {
            Precision::Auto | Precision::F32 => StorageType::F32,
            Precision::F16 if device.caps().f16 => StorageType::F16,
            Precision::F16 => {
                return Err(Error::GpuFeature { device: info.name.clone(), feature: "shader-f16".into() });
            }
        };
        if stored == StorageType::F16
            && let Some((layer, largest)) = plan::beyond_f16(&network)?
        {
            notes.push(format!(
                "weights of {layer} reach {largest:.3e}, which f16 does not hold: everything is stored as f32"
            ));
            stored = StorageType::F32;
        }
        let faults = self.faults.iter().filter(|fault| fault.concerns(info));
        let mut faulty: Vec<_> = faults.map(|fault| (fault.kernel, fault.stored)).collect();
        if !faulty.is_empty() {
            let kernels: Vec<String> = faulty.iter().map(|(kernel, stored)| format!("{kernel} in {stored}")).collect();
            notes.push(format!("not used, as verify found them wrong on this device: {}", kernels.join("; ")));
        }
        let device = Arc::new(device);
        if !self.untested {
            selftest::check(&device, &faulty, self.cache.as_ref()).await?;
        }
        let tensor_cores = (cooperative::ID, StorageType::F16);
        if stored == StorageType::F16
            && device.caps().cooperative
            && !faulty.contains(&tensor_cores)
            && let Some(doubt) = selftest::doubt(&device, cooperative::ID, StorageType::F16).await?
        {
            notes.push(format!("cooperative matrices are not used, they fail their test on this device: {doubt}"));
            faulty.push(tensor_cores);
        }
        let options = Options { faulty, chosen_for: self.deterministic.then_some(1), ..Options::new(stored) };
        let tables = tune::tables(&self.tune, &device, &network, &options, size, self.cache.as_ref(), notes).await?;
        let options = Options { tuned: Arc::new(tables), ..options };
        Ok(Box::new(gpu::Executor::new(device, network, options)))
    }
}

/// A host that has not done its work.
fn stopped(work: &str) -> Error {
    Error::ModelNotFound { model: work.into(), reason: "the host stopped it".into() }
}

/// The first ten of `names`, and how many more there are.
fn some(names: &[impl AsRef<str>]) -> String {
    let listed: Vec<&str> = names.iter().take(10).map(AsRef::as_ref).collect();
    let more = names.len() - listed.len();
    listed.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}
