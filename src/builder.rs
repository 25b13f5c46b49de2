//! What to open, on which device, and how: the settings of a [`Classifier`], and the way from a model's name to its parts.

use std::{
    panic,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

#[cfg(feature = "hub")]
use crate::hub::{Hub, ModelId, near};
use crate::{
    Classifier, Error, Result,
    backend::Backend,
    cache::Cache,
    checkpoint::{Checkpoint, ModelConfig, PreprocessConfig, ProblemType, published},
    classifier::ModelInfo,
    gpu::{Device, DeviceInfo, Executor, Injection},
    image::{self, Preprocess},
    kernels::{Precision as Stored, cooperative},
    labels::{Labels, Scoring},
    models::{Architecture, Shapes, check_declared},
    plan::{Network, Options},
    selftest,
    source::Source,
    tensor::Shape,
    tune::{self, Tune},
    verify::Fault,
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
    device: Option<String>,
    precision: Precision,
    resize: Option<usize>,
    crop: Option<usize>,
    filter: Option<image::Filter>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    labels: Option<Labels>,
    faults: Vec<Fault>,
    test_size: bool,
    deterministic: bool,
    tune: Tune,
    allow_extra: bool,
    allow_nonfinite: bool,
    cache: Option<Cache>,
    injection: Option<Injection>,
    #[cfg(feature = "hub")]
    hub: Hub,
}

impl Builder {
    /// `builtin` (the default), a `.safetensors` file, a folder with `model.safetensors` and `config.json`, or, with the feature
    /// `hub`, a model of the hub: an alias such as `resnet50` or a repository such as `timm/resnet50.a1_in1k`, with `@revision`
    /// after either. What is there as a file or folder is not looked for on the hub.
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

    /// `auto` (the default), `cpu` (the reference path), an index, or a part of an adapter's name.
    pub fn device(mut self, device: &str) -> Self {
        self.device = Some(device.into());
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
    /// take longer.
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

    /// Leaves out tensors that the architecture has no place for (a copy of all weights, an auxiliary head) and names them in
    /// [`Classifier::notes`]; without this call they are an error.
    pub fn allow_extra(mut self, allow: bool) -> Self {
        self.allow_extra = allow;
        self
    }

    /// Opens a checkpoint with weights that are NaN or infinite, to look at it, and names the tensors in [`Classifier::notes`];
    /// without this call they are an error. What such a network makes of an image is an error still, unless it is finite.
    pub fn allow_nonfinite(mut self, allow: bool) -> Self {
        self.allow_nonfinite = allow;
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

    /// Failures of the device at moments that `injection` chooses, to test how they are met.
    pub fn inject(mut self, injection: &Injection) -> Self {
        self.injection = Some(injection.clone());
        self
    }

    /// Loads the model and opens the device.
    ///
    /// # Errors
    /// `model.*` and `config.*` for what is wrong with the model, `hub.*` for fetching it, `gpu.*` for the device. With device
    /// `auto`, having no adapter is no error: the CPU reference path serves, and [`Classifier::notes`] says so.
    pub fn open(self) -> Result<Classifier> {
        let mut notes = Vec::new();
        // Opening a device takes about as long as reading a checkpoint.
        thread::scope(|scope| {
            let device = (self.wanted() != "cpu").then(|| scope.spawn(|| self.open_device()));
            let (network, model) = self.network(&mut notes)?;
            let device = device.map(|device| device.join().unwrap_or_else(|cause| panic::resume_unwind(cause)));
            let size = (model.preprocess.height, model.preprocess.width);
            let backend = self.backend(network, device, size, &mut notes)?;
            Ok(Classifier::new(backend, model, notes))
        })
    }

    fn network(&self, notes: &mut Vec<String>) -> Result<(Network, ModelInfo)> {
        let Source { mut checkpoint, config, name, origin, revision, published_top1 } = self.source()?;
        if self.allow_nonfinite {
            checkpoint = checkpoint.allow_nonfinite();
        }
        if let Some(declared) = &config.architecture {
            check_declared(checkpoint.name(), declared)?;
        }
        let (architecture, extra) = self.detect(checkpoint.name(), checkpoint.shapes())?;
        if !extra.is_empty() {
            notes.push(format!("left out, as the architecture has no place for them: {}", some(&extra)));
        }
        let architecture = architecture.downsample_in_bottleneck(config.downsample_in_bottleneck.unwrap_or(false));
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
        let labels = match (&self.labels, config.labels) {
            (Some(labels), _) => labels.clone(),
            (None, Some(names)) if names.len() > classes && classes > 0 => {
                let named = names.len();
                notes.push(format!(
                    "the configuration names {named} classes, the weights have {classes}: its names are not used"
                ));
                Labels::new(Vec::new())
            }
            (None, Some(names)) => Labels::new(names),
            (None, None) if classes == 1000 => Labels::imagenet(),
            (None, None) => Labels::new(Vec::new()),
        };
        match labels.len() {
            0 => {}
            few if few < classes => {
                notes.push(format!("{few} labels for {classes} classes: the others are named by their index"))
            }
            many if many > classes && classes > 0 => {
                notes.push(format!("{many} labels for {classes} classes: the rest is not used"))
            }
            _ => {}
        }
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

    /// The architecture of tensors of these shapes, and the names of those that it has no place for, if there may be any.
    fn detect<'a>(&self, model: &str, shapes: &'a Shapes) -> Result<(Architecture, Vec<&'a str>)> {
        if self.allow_extra {
            Architecture::detect_within(model, shapes)
        } else {
            Architecture::detect(model, shapes).map(|architecture| (architecture, Vec::new()))
        }
    }

    fn source(&self) -> Result<Source> {
        if let Some((checkpoint, config)) = &self.checkpoint {
            return Source::new(checkpoint.clone(), config.clone(), "memory");
        }
        match (&self.synthetic, self.model.as_deref().unwrap_or("builtin")) {
            (Some(architecture), _) => Source::synthetic(architecture),
            (None, "builtin") => Source::builtin(),
            (None, model) if Path::new(model).exists() => {
                Source::path(Path::new(model), &|model, shapes| self.detect(model, shapes).map(drop))
            }
            (None, model) => self.hub_source(model),
        }
    }

    #[cfg(feature = "hub")]
    fn hub_source(&self, model: &str) -> Result<Source> {
        match ModelId::parse(model) {
            Some(id) => Source::hub(&id, &self.hub, &|model, shapes| self.detect(model, shapes).map(drop)),
            None => Err(not_found(model, &near(model))),
        }
    }

    #[cfg(not(feature = "hub"))]
    fn hub_source(&self, model: &str) -> Result<Source> {
        Err(not_found(model, &[]))
    }

    fn preprocess(&self, architecture: &Architecture, stated: Option<&PreprocessConfig>) -> Result<Preprocess> {
        let (height, width) = architecture.default_input();
        let mut preprocess = match stated {
            Some(stated) => of_config(stated, self.test_size),
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

    /// The name of the device that is wanted.
    fn wanted(&self) -> &str {
        self.device.as_deref().unwrap_or("auto")
    }

    fn open_device(&self) -> Result<Device> {
        let mut device = pollster::block_on(Device::open(self.wanted()))?;
        if let Some(cache) = self.cache.clone() {
            device.use_cache(cache);
        }
        if let Some(injection) = &self.injection {
            device.inject(injection);
        }
        Ok(device)
    }

    /// What computes the network on `device`; without one that is the CPU reference path.
    fn backend(
        &self,
        network: Network,
        device: Option<Result<Device>>,
        size: (usize, usize),
        notes: &mut Vec<String>,
    ) -> Result<Backend> {
        let device = match device {
            Some(Ok(device)) => device,
            None if self.precision == Precision::F16 => {
                return Err(Error::GpuFeature { device: "cpu".into(), feature: "f16 storage".into() });
            }
            None => return Ok(Backend::Reference(network)),
            Some(Err(error @ Error::NoAdapter { .. }))
                if self.wanted() == "auto" && self.precision != Precision::F16 =>
            {
                notes.push(format!("{error}; using the CPU reference path, which is slow"));
                return Ok(Backend::Reference(network));
            }
            Some(Err(error)) => return Err(error),
        };
        let info = device.info();
        if info.software {
            notes.push(format!("{} is a software adapter: it runs on the CPU", info.name));
        }
        let mut stored = match self.precision {
            Precision::Auto | Precision::F32 => Stored::F32,
            Precision::F16 if device.caps().f16 => Stored::F16,
            Precision::F16 => {
                return Err(Error::GpuFeature { device: info.name.clone(), feature: "shader-f16".into() });
            }
        };
        if stored == Stored::F16
            && let Some((layer, largest)) = network.beyond_f16()?
        {
            notes.push(format!(
                "weights of {layer} reach {largest:.3e}, which f16 does not hold: everything is stored as f32"
            ));
            stored = Stored::F32;
        }
        let faults = self.faults.iter().filter(|fault| fault.concerns(info));
        let mut faulty: Vec<_> = faults.map(|fault| (fault.kernel, fault.stored)).collect();
        if !faulty.is_empty() {
            let kernels: Vec<String> = faulty.iter().map(|(kernel, stored)| format!("{kernel} in {stored}")).collect();
            notes.push(format!("not used, as verify found them wrong on this device: {}", kernels.join("; ")));
        }
        let device = Arc::new(device);
        let tensor_cores = (cooperative::ID, Stored::F16);
        if stored == Stored::F16
            && device.caps().cooperative
            && !faulty.contains(&tensor_cores)
            && let Some(doubt) = selftest::doubt(&device, cooperative::ID, Stored::F16)?
        {
            notes.push(format!("cooperative matrices are not used, they fail their test on this device: {doubt}"));
            faulty.push(tensor_cores);
        }
        let options = Options { faulty, deterministic: self.deterministic, ..Options::new(stored) };
        let tables = tune::tables(&self.tune, &device, &network, &options, size, self.cache.as_ref(), notes)?;
        let options = Options { tuned: Arc::new(tables), ..options };
        Ok(Backend::Gpu(Executor::new(device, network, options)))
    }
}

/// All adapters, in the order of their indices.
pub fn devices() -> Vec<DeviceInfo> {
    pollster::block_on(crate::gpu::devices())
}

/// The first ten of `names`, and how many more there are.
fn some(names: &[impl AsRef<str>]) -> String {
    let listed: Vec<&str> = names.iter().take(10).map(AsRef::as_ref).collect();
    let more = names.len() - listed.len();
    listed.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

fn not_found(model: &str, near: &[&str]) -> Error {
    let mut reason = String::from("there is no such file or folder, and it is no name on the hub");
    if !near.is_empty() {
        reason += &format!("; names like it: {}", near.join(", "));
    }
    reason += "; give builtin, a .safetensors file, a folder with model.safetensors and config.json, a name such as resnet50 or a hub id such as timm/resnet50.a1_in1k";
    Error::ModelNotFound { model: model.into(), reason }
}

fn of_config(config: &PreprocessConfig, test_size: bool) -> Preprocess {
    let mut preprocess = Preprocess::torchvision();
    let framing = config.test_framing.filter(|_| test_size).unwrap_or(config.framing);
    (preprocess.height, preprocess.width) = (framing.height, framing.width);
    preprocess.resize = framing.resize;
    (preprocess.filter, preprocess.rounding) = (config.filter, config.rounding);
    (preprocess.mean, preprocess.std) = (config.mean, config.std);
    preprocess
}
