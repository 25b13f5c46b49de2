//! The whole path in order: image, pixels, normalised input, logits, scores, names.

use std::{
    fmt::Write,
    sync::{Arc, OnceLock},
};

use ::image::DynamicImage;

use crate::{
    Builder, Error, Result,
    backend::Backend,
    checkpoint::PreprocessConfig,
    explain::{self, Explanation},
    gpu::DeviceInfo,
    image::{Pixels, Preprocess},
    kernels::Precision,
    labels::{Labels, Prediction, Scoring},
    plan::{Footprint, Network},
    profile::{self, Profile},
    search::{self, Products},
    tensor::{Shape, Tensor},
    verify::{self, Coverage, Verification},
};

/// A network on a device, ready to classify. A handle: clones share the network, and all of them may be used from many threads.
#[derive(Debug, Clone)]
pub struct Classifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Backend,
    /// The network up to its head, which yields class maps; made when it is first wanted.
    maps: OnceLock<Backend>,
    model: ModelInfo,
    device: DeviceInfo,
    notes: Vec<String>,
}

const fn assert_shareable<T: Send + Sync + Clone>() {}
const _: () = assert_shareable::<Classifier>();

/// What is known of an opened model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// File name, repository on the hub, or `builtin`.
    pub name: String,
    /// Commit of a model of the hub.
    pub revision: Option<String>,
    /// Architecture as recognised, for example `resnet50`.
    pub architecture: String,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates of one image at the size of `preprocess`.
    pub macs: u64,
    /// Number of classes; 0 for a network without a classifier, which gives features only.
    pub classes: usize,
    /// Number of features that the head reads: the length of an embedding.
    pub features: usize,
    /// Number of tensors in the checkpoint, those that carry nothing left out.
    pub tensors: usize,
    /// Class names.
    pub labels: Labels,
    /// Licence, where the checkpoint's configuration or the table of published models names one.
    pub license: Option<String>,
    /// Top-1 accuracy that was published for these weights, with the size of its input and its source; never measured here.
    pub published_top1: Option<String>,
    /// Where the weights come from.
    pub source: String,
    /// How a photo becomes the network's input.
    pub preprocess: Preprocess,
    /// What is stated of that beside the weights, or known by their name; without it `preprocess` is torchvision's recipe.
    pub stated: Option<PreprocessConfig>,
    /// How logits become scores.
    pub scoring: Scoring,
}

impl ModelInfo {
    /// Whether there are classes to give.
    ///
    /// # Errors
    /// [`Error::NoClassifier`] if there are none.
    pub fn check_classes(&self) -> Result<()> {
        if self.classes > 0 { Ok(()) } else { Err(Error::NoClassifier { model: self.name.clone() }) }
    }
}

impl Classifier {
    /// Opens `builtin`, a `.safetensors` file or a folder on the best device there is. See [`Builder`] for choices.
    ///
    /// # Errors
    /// Those of [`Builder::open`].
    pub fn open(model: &str) -> Result<Self> {
        Self::builder().model(model).open()
    }

    /// Settings to open a classifier with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(backend: Backend, model: ModelInfo, notes: Vec<String>) -> Self {
        let device = match &backend {
            Backend::Gpu(executor) => executor.device().info().clone(),
            Backend::Reference(_) => DeviceInfo::reference(),
        };
        Classifier(Arc::new(Inner { backend, maps: OnceLock::new(), model, device, notes }))
    }

    /// The classes of one image.
    ///
    /// # Errors
    /// `image.*` if it has no pixels, `gpu.*` if the device fails.
    pub fn infer(&self, image: &DynamicImage) -> Result<Prediction> {
        let mut predictions = self.infer_batch(std::slice::from_ref(image))?;
        predictions.pop().ok_or_else(|| Error::Shape { node: "logits".into(), reason: "none for one image".into() })
    }

    /// The classes of each image, all of them in one batch. Nothing for no images.
    ///
    /// # Errors
    /// As [`Classifier::infer`]; [`Error::GpuLimits`] if the batch does not fit onto the device.
    pub fn infer_batch(&self, images: &[DynamicImage]) -> Result<Vec<Prediction>> {
        let pixels: Vec<Pixels> = images.iter().map(|image| self.preprocess(image)).collect::<Result<_>>()?;
        self.predict(&pixels)
    }

    /// What the network will see of an image: resized, cropped, not yet normalised.
    ///
    /// # Errors
    /// `image.*` if it has no pixels.
    pub fn preprocess(&self, image: &DynamicImage) -> Result<Pixels> {
        self.0.model.preprocess.pixels(image)
    }

    /// The classes of preprocessed images, in one batch.
    ///
    /// # Errors
    /// As [`Classifier::infer_batch`]; [`Error::Shape`] if the pixels are not of the size that [`Classifier::preprocess`] gives.
    pub fn predict(&self, pixels: &[Pixels]) -> Result<Vec<Prediction>> {
        if pixels.is_empty() {
            return Ok(Vec::new());
        }
        self.0.model.check_classes()?;
        let logits = self.0.backend.output(&self.0.model.preprocess.batch(pixels)?)?;
        let prediction = |n| {
            let scores = self.0.model.scoring.scores(logits.image(n));
            Prediction::new(scores, self.0.model.labels.clone())
        };
        Ok((0..pixels.len()).map(prediction).collect())
    }

    /// The features of one image, of length [`ModelInfo::features`] (512 for ResNet-18 and -34, 2048 for ResNet-50 and deeper):
    /// the last feature map's mean over all pixels, which the head reads, not scaled to unit length. It is what torchvision's
    /// `fc` takes, and what timm gives with `num_classes=0`.
    ///
    /// # Errors
    /// As [`Classifier::infer`].
    pub fn embed(&self, image: &DynamicImage) -> Result<Vec<f32>> {
        let mut features = self.features(&[self.preprocess(image)?])?;
        Ok(features.remove(0))
    }

    /// The features of each image as [`Classifier::embed`] gives them, all of them in one batch. Nothing for no images.
    ///
    /// # Errors
    /// As [`Classifier::infer_batch`].
    pub fn embed_batch(&self, images: &[DynamicImage]) -> Result<Vec<Vec<f32>>> {
        let pixels: Vec<Pixels> = images.iter().map(|image| self.preprocess(image)).collect::<Result<_>>()?;
        self.features(&pixels)
    }

    /// The features of preprocessed images, in one batch.
    ///
    /// # Errors
    /// As [`Classifier::predict`].
    pub fn features(&self, pixels: &[Pixels]) -> Result<Vec<Vec<f32>>> {
        if pixels.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = self.0.backend.network().graph().features();
        let features = self.0.backend.finite(&self.0.model.preprocess.batch(pixels)?, wanted)?;
        Ok((0..pixels.len()).map(|n| features.image(n).to_vec()).collect())
    }

    /// Calls `each` with the dot products of all `queries` with all `vectors`, part by part: vectors in chunks that fit the device,
    /// and for each of them the queries in batches. Of vectors of unit length these are cosine similarities. They may be of any
    /// length, the same for all, and are stored on the device in its [`Classifier::precision`].
    ///
    /// # Errors
    /// [`Error::Shape`] if they differ in length, [`Error::TensorValue`] for a vector that is not finite, `gpu.*` if the device
    /// fails, and what `each` returns.
    pub fn products<E: From<Error>>(
        &self,
        queries: &[&[f32]],
        vectors: &[&[f32]],
        each: &mut dyn FnMut(Products) -> Result<(), E>,
    ) -> Result<(), E> {
        search::products(&self.0.backend, queries, vectors, each)
    }

    /// The same network on the same device, with kernels that are chosen as for batches of `images`, whatever batch comes: an image then
    /// gets the same bits in each of them, a last one that is not full among them. Weights are shared. What was asked for with
    /// [`Builder::deterministic`] stays.
    pub fn for_batches(&self, images: usize) -> Self {
        let Inner { backend, model, device, notes, .. } = &*self.0;
        let Some(backend) = backend.chosen_for(images.max(1)) else { return self.clone() };
        let (maps, model, device, notes) = (OnceLock::new(), model.clone(), device.clone(), notes.clone());
        Classifier(Arc::new(Inner { backend, maps, model, device, notes }))
    }

    /// Which weights these are: the FNV-1a hash of the checkpoint's bytes. Files of other names with the same bytes are equal.
    pub fn fingerprint(&self) -> u64 {
        self.0.backend.network().checkpoint().fingerprint()
    }

    /// Bytes of the buffers that hold the activations of `batch` images on the device, weights not counted; 0 on the CPU
    /// reference path.
    ///
    /// # Errors
    /// Those of [`Network::plan`].
    pub fn activation_bytes(&self, batch: usize) -> Result<u64> {
        match &self.0.backend {
            Backend::Gpu(executor) => Ok(executor.plan(self.input_shape(batch))?.buffers.iter().sum()),
            Backend::Reference(_) => Ok(0),
        }
    }

    /// Logits `[N, classes, 1, 1]` of a normalised input `[N, 3, H, W]` of any size that the network admits.
    ///
    /// # Errors
    /// [`Error::Shape`] if it does not admit it, [`Error::ConfigValue`] if a number of the input is NaN or infinite, `gpu.*` if the
    /// device fails, [`Error::NotFinite`] if a logit is NaN or infinite, with the first layer that made such a value,
    /// [`Error::NoClassifier`] if the network ends in its features.
    pub fn logits(&self, input: &Tensor) -> Result<Tensor> {
        self.0.model.check_classes()?;
        check(input)?;
        self.0.backend.output(input)
    }

    /// Where in an image the evidence for `class` lies, or for the class of the highest score.
    ///
    /// The first call uploads the network's weights once more.
    ///
    /// # Errors
    /// As [`Classifier::infer`]; [`Error::ConfigValue`] if there is no such class, [`Error::Shape`] if the network's head does not
    /// act on global average pooling.
    pub fn explain(&self, image: &DynamicImage, class: Option<usize>) -> Result<Explanation> {
        let Inner { backend, maps, model, .. } = &*self.0;
        model.check_classes()?;
        let maps = match maps.get() {
            Some(maps) => maps,
            None => {
                let made = explain::maps_of(backend)?;
                maps.get_or_init(|| made)
            }
        };
        let input = model.preprocess.batch(&[self.preprocess(image)?])?;
        let maps = maps.output(&input)?;
        let biases = explain::biases(backend.network(), model.classes)?;
        explain::explanation(&maps, &biases, model, class, model.preprocess.region(image.width(), image.height()))
    }

    /// Every layer on the device against the CPU reference, for `batch` images of made-up pixels, with the kernels of `coverage`.
    ///
    /// # Errors
    /// [`Error::NeedsGpu`] on the CPU reference path, which has nothing to compare itself with; `gpu.*` if the device fails.
    pub fn verify(&self, batch: usize, coverage: Coverage) -> Result<Verification> {
        match &self.0.backend {
            Backend::Gpu(executor) => verify::verify(executor, self.input_shape(batch), coverage),
            Backend::Reference(_) => Err(Error::NeedsGpu { what: "comparing a device with the CPU reference path" }),
        }
    }

    /// The time of every dispatch on the device, for `batch` images of made-up pixels: medians of `runs` runs.
    ///
    /// # Errors
    /// [`Error::NeedsGpu`] on the CPU reference path, which makes no dispatches; `gpu.*` if the device fails.
    pub fn profile(&self, batch: usize, runs: usize) -> Result<Profile> {
        match &self.0.backend {
            Backend::Gpu(executor) => profile::profile(executor, self.input_shape(batch), runs),
            Backend::Reference(_) => Err(Error::NeedsGpu { what: "timing kernels" }),
        }
    }

    /// Device memory for an input of shape `input`; none on the CPU reference path.
    ///
    /// # Errors
    /// Those of [`Network::plan`].
    pub fn footprint(&self, input: Shape) -> Result<Option<Footprint>> {
        match &self.0.backend {
            Backend::Gpu(executor) => Ok(Some(executor.plan(input)?.footprint)),
            Backend::Reference(_) => Ok(None),
        }
    }

    /// Bytes that all buffers on the device of this classifier take now, as its allocator counts them; none on the CPU reference path
    /// and where the driver's memory is not suballocated.
    pub fn device_memory(&self) -> Option<u64> {
        match &self.0.backend {
            Backend::Gpu(executor) => pollster::block_on(executor.device().memory()),
            Backend::Reference(_) => None,
        }
    }

    /// The graph, and on a GPU the plan for one image with its fusions, as text.
    ///
    /// # Errors
    /// Those of [`Network::plan`].
    pub fn describe(&self) -> Result<String> {
        let mut text = String::new();
        let network = self.0.backend.network();
        let _ = writeln!(text, "graph\n{}", network.graph());
        if let Backend::Gpu(executor) = &self.0.backend {
            let plan = executor.plan(self.input_shape(1))?;
            let _ = writeln!(text, "plan\n{plan}submissions for one image: {}\n\nfusions", executor.submissions(&plan));
            network.report().iter().for_each(|line| text.extend([line, "\n"]));
        }
        Ok(text)
    }

    /// The network: its graph, its layers and what was fused into them.
    pub fn network(&self) -> &Network {
        self.0.backend.network()
    }

    /// The shape of `batch` preprocessed images.
    pub fn input_shape(&self, batch: usize) -> Shape {
        let Preprocess { height, width, .. } = self.0.model.preprocess;
        Shape::new(batch, 3, height, width)
    }

    /// The device that is used.
    pub fn device(&self) -> &DeviceInfo {
        &self.0.device
    }

    /// Type of activations and weights on the device.
    pub fn precision(&self) -> Precision {
        match &self.0.backend {
            Backend::Gpu(executor) => executor.stored(),
            Backend::Reference(_) => Precision::F32,
        }
    }

    /// What is known of the model.
    pub fn model(&self) -> &ModelInfo {
        &self.0.model
    }

    /// What a user should be told about the choice of device and model, and of kernels that the driver has refused since.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.0.notes.clone();
        if let Backend::Gpu(executor) = &self.0.backend {
            notes.extend(executor.device().notes());
        }
        notes
    }
}

/// Whether a tensor is as large as it says, and finite throughout.
fn check(input: &Tensor) -> Result<()> {
    let (got, expected) = (input.data.len(), input.shape.elements());
    if got != expected {
        return Err(Error::Shape { node: "input".into(), reason: format!("{got} values for shape {}", input.shape) });
    }
    match input.data.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::ConfigValue {
            place: "input".into(),
            field: format!("flat index {i}"),
            value: input.data[i].to_string(),
            expected: "a finite number".into(),
        }),
    }
}
