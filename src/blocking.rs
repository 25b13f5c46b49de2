//! Blocking versions of the asynchronous calls. Apart from the hub client, this is the only file of the library in which a thread waits.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ::image::DynamicImage;

use crate::{
    Builder, Classifier, Error, Explanation, Pixels, Prediction, Result, Similarities,
    check::{
        profile::Profile,
        verify::{Coverage, Verification},
    },
    executor::{
        DeviceInfo, Host, Task, Work,
        gpu::{self, Wanted},
    },
    tensor::Tensor,
};

/// A host with threads, on which callers may block.
#[derive(Debug)]
pub struct Threads {
    start: Instant,
}

impl Threads {
    /// The host that this program runs on.
    pub fn host() -> Arc<dyn Host> {
        Arc::new(Threads { start: Instant::now() })
    }
}

impl Host for Threads {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) -> Work<'_> {
        Box::pin(async move { thread::sleep(time) })
    }

    fn cores(&self) -> usize {
        thread::available_parallelism().map_or(1, NonZero::get)
    }

    fn all<'a>(&'a self, works: Vec<Work<'a>>) -> Work<'a> {
        Box::pin(async move {
            let others = works.len().saturating_sub(1);
            let works = Mutex::new(works);
            let next = || works.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let work = || {
                while let Some(work) = next() {
                    wait(work);
                }
            };
            thread::scope(|scope| {
                // If a thread cannot be started, the others do its work.
                (0..others).for_each(|_| drop(thread::Builder::new().spawn_scoped(scope, work)));
                work();
            });
        })
    }

    fn block(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn detach(&self, task: Task) {
        thread::spawn(task);
    }
}

/// Blocks this thread until `work` is done; returns its result.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}

/// All adapters, in the order of their indices; empty if no driver can be loaded.
pub fn devices() -> Vec<DeviceInfo> {
    wait(gpu::devices(&Wanted::default())).unwrap_or_default()
}

impl Builder {
    /// Loads the model and opens the device.
    ///
    /// # Errors
    /// The errors of [`Builder::open_async`].
    pub fn open(self) -> Result<Classifier> {
        wait(self.open_async(Threads::host()))
    }
}

/// The blocking calls of a classifier. Each is described in full at the call that ends in `_async`.
impl Classifier {
    /// Opens `builtin`, a checkpoint file or a folder on the best available device. [`Builder`] has more settings.
    ///
    /// # Errors
    /// The errors of [`Builder::open`].
    pub fn open(model: &str) -> Result<Self> {
        Self::builder().model(model).open()
    }

    /// Returns the classes of one image.
    ///
    /// # Errors
    /// The errors of [`Classifier::infer_async`].
    pub fn infer(&self, image: &DynamicImage) -> Result<Prediction> {
        wait(self.infer_async(image))
    }

    /// Returns the classes of each image, all of them in one batch.
    ///
    /// # Errors
    /// The errors of [`Classifier::infer_batch_async`].
    pub fn infer_batch(&self, images: &[DynamicImage]) -> Result<Vec<Prediction>> {
        wait(self.infer_batch_async(images))
    }

    /// Returns the classes of preprocessed images, in one batch.
    ///
    /// # Errors
    /// The errors of [`Classifier::predict_async`].
    pub fn predict(&self, pixels: &[Pixels]) -> Result<Vec<Prediction>> {
        wait(self.predict_async(pixels))
    }

    /// Returns the features of one image, of length [`ModelInfo::features`](crate::ModelInfo::features).
    ///
    /// # Errors
    /// The errors of [`Classifier::embed_async`].
    pub fn embed(&self, image: &DynamicImage) -> Result<Vec<f32>> {
        wait(self.embed_async(image))
    }

    /// Returns the features of each image, all of them in one batch.
    ///
    /// # Errors
    /// The errors of [`Classifier::embed_batch_async`].
    pub fn embed_batch(&self, images: &[DynamicImage]) -> Result<Vec<Vec<f32>>> {
        wait(self.embed_batch_async(images))
    }

    /// Returns the features of preprocessed images, in one batch.
    ///
    /// # Errors
    /// The errors of [`Classifier::features_async`].
    pub fn features(&self, pixels: &[Pixels]) -> Result<Vec<Vec<f32>>> {
        wait(self.features_async(pixels))
    }

    /// Calls `each` with the cosine similarities of all `queries` to all `vectors`, block by block.
    ///
    /// # Errors
    /// The errors of [`Classifier::similarities_async`].
    pub fn similarities<E: From<Error>>(
        &self,
        queries: &[&[f32]],
        vectors: &[&[f32]],
        each: &mut dyn FnMut(Similarities) -> Result<(), E>,
    ) -> Result<(), E> {
        wait(self.similarities_async(queries, vectors, each))
    }

    /// Logits `[N, classes, 1, 1]` of a normalised input `[N, 3, H, W]` of any size that the network admits.
    ///
    /// # Errors
    /// The errors of [`Classifier::logits_async`].
    pub fn logits(&self, input: &Tensor) -> Result<Tensor> {
        wait(self.logits_async(input))
    }

    /// Where in an image the evidence lies for `class`, or by default for the class with the highest score.
    ///
    /// # Errors
    /// The errors of [`Classifier::explain_async`].
    pub fn explain(&self, image: &DynamicImage, class: Option<usize>) -> Result<Explanation> {
        wait(self.explain_async(image, class))
    }

    /// Compares every layer on the device with the CPU reference, for `batch` synthetic images.
    ///
    /// # Errors
    /// The errors of [`Classifier::verify_async`].
    pub fn verify(&self, batch: usize, coverage: Coverage) -> Result<Verification> {
        wait(self.verify_async(batch, coverage))
    }

    /// Measures the time of every dispatch on the device, for `batch` synthetic images: medians of `runs` runs.
    ///
    /// # Errors
    /// The errors of [`Classifier::profile_async`].
    pub fn profile(&self, batch: usize, runs: usize) -> Result<Profile> {
        wait(self.profile_async(batch, runs))
    }

    /// Bytes of device memory in all buffers of this classifier at the moment; `None` if the device does not count them.
    #[doc(hidden)]
    pub fn device_memory(&self) -> Option<u64> {
        wait(self.device_memory_async())
    }
}
