//! The whole path in order: image, pixels, normalised input, logits, scores, names.

use std::sync::{Arc, OnceLock};

use ::image::DynamicImage;

use crate::{
    Error, ModelInfo, Note, Result,
    check::{
        profile::{self, Profile},
        verify::{self, Coverage, Verification},
    },
    executor::{DeviceInfo, Executor, Footprint},
    explain::{self, Explanation},
    image::{DecodeOptions, Pixels, Preprocess},
    labels::Prediction,
    network::Network,
    search::{self, Similarities},
    tensor::{Shape, StorageType, Tensor},
};

/// A network on a device, ready to classify. It is a handle: clones share the network and may be used from many threads.
#[derive(Debug, Clone)]
pub struct Classifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    executor: Box<dyn Executor>,
    /// The network that yields class maps; made when it is first needed.
    maps: OnceLock<Box<dyn Executor>>,
    model: ModelInfo,
    decode: DecodeOptions,
    notes: Vec<Note>,
}

#[cfg(not(target_family = "wasm"))]
const _: () = {
    const fn assert_shareable<T: Send + Sync + Clone>() {}
    assert_shareable::<Classifier>();
};

impl Classifier {
    pub(crate) fn new(executor: Box<dyn Executor>, model: ModelInfo, decode: DecodeOptions, notes: Vec<Note>) -> Self {
        Classifier(Arc::new(Inner { executor, maps: OnceLock::new(), model, decode, notes }))
    }

    /// Returns the classes of one image.
    ///
    /// # Errors
    /// `image.*` if it has no pixels, `gpu.*` if the device fails.
    pub async fn infer_async(&self, image: &DynamicImage) -> Result<Prediction> {
        Ok(self.infer_batch_async(std::slice::from_ref(image)).await?.remove(0))
    }

    /// Classifies each image, all in one batch. Returns an empty vector for an empty slice.
    ///
    /// # Errors
    /// As [`Classifier::infer`]; [`Error::GpuLimits`] if the batch does not fit onto the device.
    pub async fn infer_batch_async(&self, images: &[DynamicImage]) -> Result<Vec<Prediction>> {
        let pixels: Vec<Pixels> = images.iter().map(|image| self.preprocess(image)).collect::<Result<_>>()?;
        self.predict_async(&pixels).await
    }

    /// The part of an image that the network sees: resized, cropped, not yet normalised.
    ///
    /// # Errors
    /// `image.*` if it has no pixels.
    pub fn preprocess(&self, image: &DynamicImage) -> Result<Pixels> {
        let preprocess = &self.0.model.preprocess;
        if self.network().graph().channels() == 1 { preprocess.grey_pixels(image) } else { preprocess.pixels(image) }
    }

    /// Returns the classes of preprocessed images, in one batch.
    ///
    /// # Errors
    /// As [`Classifier::infer_batch`]; [`Error::Shape`] if the pixels are not of the size that [`Classifier::preprocess`] gives.
    #[doc(hidden)]
    pub async fn predict_async(&self, pixels: &[Pixels]) -> Result<Vec<Prediction>> {
        if pixels.is_empty() {
            return Ok(Vec::new());
        }
        self.0.model.check_classes()?;
        let logits = self.of_pixels(pixels, false).await?;
        let prediction = |n| {
            let scores = self.0.model.scoring.scores(logits.image(n));
            Prediction::new(scores, self.0.model.labels.clone())
        };
        Ok((0..pixels.len()).map(prediction).collect())
    }

    /// Returns the features of one image, of length [`ModelInfo::features`] (512 for ResNet-18 and -34, 2048 for ResNet-50 and deeper): the
    /// last feature map's mean over all pixels, which the head reads, not scaled to unit length. It equals the input of torchvision's `fc`,
    /// and timm's output with `num_classes=0`.
    ///
    /// # Errors
    /// As [`Classifier::infer`].
    pub async fn embed_async(&self, image: &DynamicImage) -> Result<Vec<f32>> {
        let mut features = self.features_async(&[self.preprocess(image)?]).await?;
        Ok(features.remove(0))
    }

    /// Computes the features of each image as [`Classifier::embed`] does, all in one batch. Returns an empty vector for an empty slice.
    ///
    /// # Errors
    /// As [`Classifier::infer_batch`].
    pub async fn embed_batch_async(&self, images: &[DynamicImage]) -> Result<Vec<Vec<f32>>> {
        let pixels: Vec<Pixels> = images.iter().map(|image| self.preprocess(image)).collect::<Result<_>>()?;
        self.features_async(&pixels).await
    }

    /// Returns the features of preprocessed images, in one batch.
    ///
    /// # Errors
    /// As [`Classifier::predict`].
    #[doc(hidden)]
    pub async fn features_async(&self, pixels: &[Pixels]) -> Result<Vec<Vec<f32>>> {
        if pixels.is_empty() {
            return Ok(Vec::new());
        }
        let features = self.of_pixels(pixels, true).await?;
        Ok((0..pixels.len()).map(|n| features.image(n).to_vec()).collect())
    }

    /// Returns the features of preprocessed images, or the network's output if `features` is false.
    async fn of_pixels(&self, pixels: &[Pixels], features: bool) -> Result<Tensor> {
        let Inner { executor, model, .. } = &*self.0;
        let graph = self.network().graph();
        let wanted = if features { graph.features() } else { graph.output() };
        let batch = model.preprocess.batch(pixels)?;
        match graph.channels() {
            3 => executor.finite(&batch, wanted).await,
            1 => executor.finite(&batch.first_channel(), wanted).await,
            channels => Err(no_photos(channels)),
        }
    }

    /// Calls `each` with the cosine similarities of all `queries` to all `vectors`, part by part: vectors in chunks that fit the device,
    /// and for each chunk the queries in batches. All vectors must have the same length, which may differ from the model's. The device
    /// stores them in [`Classifier::precision`]; [`cosine`](crate::cosine) computes the exact similarity of two vectors.
    ///
    /// # Errors
    /// [`Error::Shape`] if they differ in length, [`Error::TensorValue`] for a vector that is not finite, `gpu.*` if the device fails, and
    /// the errors of `each`.
    #[doc(hidden)]
    pub async fn similarities_async<E: From<Error>>(
        &self,
        queries: &[&[f32]],
        vectors: &[&[f32]],
        each: &mut dyn FnMut(Similarities) -> Result<(), E>,
    ) -> Result<(), E> {
        search::similarities(&*self.0.executor, queries, vectors, each).await
    }

    /// The same network on the same device, with the kernels for batches of `images` at every batch size. An image then gets the same bits
    /// in every batch, even in a last, partial one. Weights are shared. [`Builder::deterministic`](crate::Builder::deterministic) stays in
    /// force.
    #[doc(hidden)]
    pub fn for_batches(&self, images: usize) -> Self {
        let Inner { executor, model, decode, notes, .. } = &*self.0;
        match executor.chosen_for(images.max(1)) {
            Some(executor) => Classifier::new(executor, model.clone(), decode.clone(), notes.clone()),
            None => self.clone(),
        }
    }

    /// Another network on the same device, prepared in the same way.
    #[cfg(feature = "fit")]
    pub(crate) fn with_network(&self, network: Network, model: ModelInfo) -> Self {
        let Inner { executor, decode, notes, .. } = &*self.0;
        Classifier::new(executor.with_network(network), model, decode.clone(), notes.clone())
    }

    /// Identifies the weights: the FNV-1a hash of the checkpoint's bytes, independent of the file's name.
    #[doc(hidden)]
    pub fn fingerprint(&self) -> u64 {
        self.network().checkpoint().fingerprint()
    }

    /// Bytes of the buffers that hold the activations of `batch` images on the device, weights not counted; 0 for the
    /// reference.
    ///
    /// # Errors
    /// The errors of [`Plan::new`](crate::executor::gpu::plan::Plan::new).
    #[doc(hidden)]
    pub fn activation_bytes(&self, batch: usize) -> Result<u64> {
        Ok(self.footprint(self.input_shape(batch))?.map_or(0, |footprint| footprint.activations))
    }

    /// Logits `[N, classes, 1, 1]` of a normalised input `[N, 3, H, W]` of any size that the network admits.
    ///
    /// # Errors
    /// [`Error::Shape`] if it does not, [`Error::ConfigValue`] if a number of the input is NaN or infinite, `gpu.*` if the device fails,
    /// [`Error::NotFinite`] if a logit is NaN or infinite, with the first layer that made such a value, [`Error::NoClassifier`] if the
    /// network ends with its features.
    pub async fn logits_async(&self, input: &Tensor) -> Result<Tensor> {
        self.0.model.check_classes()?;
        check(input)?;
        self.0.executor.output(input).await
    }

    /// Where in an image the evidence lies for `class`, or by default for the class with the highest score.
    ///
    /// The first call uploads the network's weights once more.
    ///
    /// # Errors
    /// As [`Classifier::infer`]; [`Error::ConfigValue`] if there is no such class, [`Error::NoClassMaps`] if the network's head
    /// does not follow global average pooling.
    pub async fn explain_async(&self, image: &DynamicImage, class: Option<usize>) -> Result<Explanation> {
        let Inner { executor, maps, model, .. } = &*self.0;
        model.check_classes()?;
        let maps = match maps.get() {
            Some(maps) => maps,
            None => {
                let made = explain::maps_of(&**executor)?;
                maps.get_or_init(|| made)
            }
        };
        let batch = model.preprocess.batch(&[self.preprocess(image)?])?;
        let maps = match self.network().graph().channels() {
            3 => maps.output(&batch).await?,
            1 => maps.output(&batch.first_channel()).await?,
            channels => return Err(no_photos(channels)),
        };
        let biases = explain::biases(executor.network(), maps.shape.c)?;
        explain::explanation(&maps, &biases, model, class, model.preprocess.region(image.width(), image.height()))
    }

    /// Compares every layer on the device with the CPU reference, for `batch` synthetic images, with the kernels of `coverage`. Wrong
    /// kernels are no longer used if others can replace them.
    ///
    /// # Errors
    /// `gpu.*` if the device fails.
    #[doc(hidden)]
    pub async fn verify_async(&self, batch: usize, coverage: Coverage) -> Result<Verification> {
        verify::verify(&*self.0.executor, self.input_shape(batch), coverage).await
    }

    /// The time of every step on the device, for `batch` synthetic images: medians of `runs` runs. A step is a dispatch of a kernel, a
    /// layer on the CPU, or an operator of the reference.
    ///
    /// # Errors
    /// `gpu.*` if the device fails.
    #[doc(hidden)]
    pub async fn profile_async(&self, batch: usize, runs: usize) -> Result<Profile> {
        profile::profile(&*self.0.executor, self.input_shape(batch), runs).await
    }

    /// Device memory for an input of shape `input`; zero for the reference.
    ///
    /// # Errors
    /// The errors of [`Plan::new`](crate::executor::gpu::plan::Plan::new).
    #[doc(hidden)]
    pub fn footprint(&self, input: Shape) -> Result<Option<Footprint>> {
        self.0.executor.footprint(input)
    }

    /// Bytes that all buffers on this classifier's device take now, as its allocator counts them. `None` on the CPU, and for drivers whose
    /// memory wgpu does not suballocate.
    #[doc(hidden)]
    pub async fn device_memory_async(&self) -> Option<u64> {
        self.0.executor.memory().await
    }

    /// The graph, and on a GPU the plan for one image with its fusions, as text.
    ///
    /// # Errors
    /// The errors of [`Plan::new`](crate::executor::gpu::plan::Plan::new).
    #[doc(hidden)]
    pub fn describe(&self) -> Result<String> {
        Ok(format!("graph\n{}\n{}", self.network().graph(), self.0.executor.describe(self.input_shape(1))?))
    }

    /// The network: its graph, its layers, and the operators fused into them.
    #[doc(hidden)]
    pub fn network(&self) -> &Network {
        self.0.executor.network()
    }

    /// The shape of `batch` preprocessed images.
    pub fn input_shape(&self, batch: usize) -> Shape {
        let Preprocess { height, width, .. } = self.0.model.preprocess;
        Shape::new(batch, self.network().graph().channels(), height, width)
    }

    /// The device in use.
    pub fn device(&self) -> &DeviceInfo {
        self.0.executor.info()
    }

    /// Storage type of activations and weights on the device.
    pub fn precision(&self) -> StorageType {
        self.0.executor.stored()
    }

    /// Information about the model.
    pub fn model(&self) -> &ModelInfo {
        &self.0.model
    }

    /// How files are decoded.
    #[doc(hidden)]
    pub fn decode_options(&self) -> &DecodeOptions {
        &self.0.decode
    }

    /// Notes for the user about the device and the model, including the kernels that the driver has refused so far.
    pub fn notes(&self) -> Vec<Note> {
        self.0.notes.iter().cloned().chain(self.0.executor.notes()).collect()
    }
}

/// The error for a network that does not read photos.
fn no_photos(channels: usize) -> Error {
    let reason = format!(
        "the network reads {channels} channels, but photos have three, or one if grey; give it normalised values instead"
    );
    Error::Shape { node: "input".into(), reason }
}

/// Checks that a tensor has as many values as its shape says, and that all are finite.
fn check(input: &Tensor) -> Result<()> {
    let (got, expected) = (input.data.len(), input.shape.elements());
    if got != expected {
        return Err(Error::Shape { node: "input".into(), reason: format!("{got} values for shape {}", input.shape) });
    }
    match input.data.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(i) => {
            let (field, value) = (format!("flat index {i}"), input.data[i].to_string());
            Err(Error::config_value("input", field, value, "a finite number"))
        }
    }
}
