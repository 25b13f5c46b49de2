//! An open classifier.

use std::{
    mem,
    path::PathBuf,
    process,
    sync::{Mutex, PoisonError},
};

use numpy::{
    PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray4,
    PyUntypedArrayMethods,
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};
use residua::{
    Classifier, DeviceInfo, Error, Result,
    check::{
        faults,
        verify::{Coverage, Verification},
    },
    folder::Choice,
    image::{DynamicImage, Resize},
    labels::Scoring,
    program::environment::cache_folder,
    stream::{Batch, Stream},
    tensor::{Shape, Tensor},
};

use crate::{
    errors::raised,
    explanation::Explanation,
    inputs::{decoded, source},
    learn, logging,
    run::{Run, Task},
    settings::Settings,
    wait::on_thread,
};

/// A class, by index or by name.
#[derive(FromPyObject)]
enum Target {
    Index(usize),
    Name(String),
}

/// A classifier that is open.
#[pyclass(frozen, module = "residua._residua")]
pub(crate) struct Engine {
    /// `None` only while it is dropped.
    classifier: Option<Classifier>,
    batch: Batch,
    exif: bool,
    opened_by: u32,
    /// Classifiers for some batch sizes, most recently used last. They are kept so that the next call can use their buffers.
    kept: Mutex<Vec<(usize, Classifier)>>,
}

/// Largest number of them, and largest activations of a batch for which one is kept, in bytes.
const KEPT: usize = 3;
const KEPT_BYTES: u64 = 128 << 20;

impl Engine {
    /// The classifier.
    ///
    /// # Errors
    /// `gpu.forked` in a fork of the process that opened it: threads that the fork does not have may hold its locks.
    pub(crate) fn classifier(&self, py: Python<'_>) -> PyResult<Classifier> {
        let classifier = self.any_classifier();
        let device = classifier.device();
        if device.index.is_some() && process::id() != self.opened_by {
            let (device, opened_by, used_by) = (device.name.clone(), self.opened_by, process::id());
            return Err(raised(py, &Error::GpuForked { device, opened_by, used_by }));
        }
        Ok(classifier.clone())
    }

    fn any_classifier(&self) -> &Classifier {
        self.classifier.as_ref().expect("it is taken when it is dropped")
    }

    /// The classifier for a call with `count` images, in batches of the best size.
    fn classifier_for(&self, py: Python<'_>, count: Option<usize>) -> PyResult<Classifier> {
        let classifier = self.classifier(py)?;
        Ok(py.detach(|| {
            let stream = Stream::new(&classifier).batch(self.batch);
            let size = count.into_iter().fold(stream, Stream::expect).batch_size();
            self.for_batches(&classifier, size)
        }))
    }

    fn for_batches(&self, classifier: &Classifier, size: usize) -> Classifier {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(of, _)| *of == size) {
            let found = kept.remove(at);
            kept.push(found);
        } else {
            let made = classifier.for_batches(size);
            if classifier.activation_bytes(size).is_ok_and(|bytes| bytes > KEPT_BYTES) {
                return made;
            }
            kept.push((size, made));
            let over = kept.len().saturating_sub(KEPT);
            kept.drain(..over);
        }
        kept.last().map_or_else(|| classifier.clone(), |(_, classifier)| classifier.clone())
    }

    /// Runs `work` with the classifier and the whole image, turned upright.
    fn with_image<T: Send + 'static>(
        &self,
        image: &Bound<'_, PyAny>,
        work: impl FnOnce(&Classifier, &DynamicImage) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let py = image.py();
        let classifier = self.classifier(py)?;
        let (source, _) = source(image, self.exif)?;
        let outcome = on_thread(py, move || {
            let image = decoded(source, classifier.decode_options())?;
            work(&classifier, &image)
        })?;
        outcome.map_err(|error| raised(py, &error))
    }
}

#[pymethods]
impl Engine {
    /// Opens a model with all settings of `Classifier`.
    #[staticmethod]
    fn open(py: Python<'_>, settings: Settings) -> PyResult<Self> {
        logging::start(py)?;
        let (batch, exif) = (settings.batch(), settings.exif);
        let builder = settings.builder().map_err(|error| raised(py, &error))?;
        let classifier = on_thread(py, move || builder.open())?.map_err(|error| raised(py, &error))?;
        let kept = Mutex::default();
        Ok(Engine { classifier: Some(classifier), batch, exif, opened_by: process::id(), kept })
    }

    /// Starts to classify `images`, an iterable.
    #[pyo3(signature = (images, count, top_k, min_score))]
    fn classify(
        &self,
        images: &Bound<'_, PyAny>,
        count: Option<usize>,
        top_k: usize,
        min_score: Option<f32>,
    ) -> PyResult<Run> {
        let classifier = self.classifier_for(images.py(), count)?;
        let task = Task::Classify { top_k, min_score };
        Run::of_images(classifier, self.batch, self.exif, task, images, count)
    }

    /// Starts to embed `images`, an iterable.
    #[pyo3(signature = (images, count, normalize))]
    fn embed(&self, images: &Bound<'_, PyAny>, count: Option<usize>, normalize: bool) -> PyResult<Run> {
        let classifier = self.classifier_for(images.py(), count)?;
        Run::of_images(classifier, self.batch, self.exif, Task::Embed { normalize }, images, count)
    }

    /// Starts to compute the scores of all classes for `images`, an iterable.
    #[pyo3(signature = (images, count))]
    fn score(&self, images: &Bound<'_, PyAny>, count: Option<usize>) -> PyResult<Run> {
        let classifier = self.classifier_for(images.py(), count)?;
        Run::of_images(classifier, self.batch, self.exif, Task::Score, images, count)
    }

    /// The same network on the same device with another head.
    #[pyo3(signature = (weights, biases, neighbours, labels, several))]
    fn with_head(
        &self,
        py: Python<'_>,
        weights: PyReadonlyArray2<'_, f32>,
        biases: PyReadonlyArray1<'_, f32>,
        neighbours: Option<(usize, Vec<usize>)>,
        labels: Vec<String>,
        several: bool,
    ) -> PyResult<Self> {
        let classifier = self.classifier(py)?;
        let head = learn::head(&weights, &biases, neighbours)?;
        let made = on_thread(py, move || classifier.with_head(&head, &labels, several))?;
        let classifier = Some(made.map_err(|error| raised(py, &error))?);
        Ok(Engine { classifier, batch: self.batch, exif: self.exif, opened_by: self.opened_by, kept: Mutex::default() })
    }

    /// Writes the model to a file; `made`, JSON, says how it was made.
    fn save(&self, py: Python<'_>, path: PathBuf, made: &str) -> PyResult<()> {
        let classifier = self.classifier(py)?;
        let made = serde_json::from_str(made).map_err(|error| PyValueError::new_err(error.to_string()))?;
        on_thread(py, move || classifier.save(&path, None, made))?.map_err(|error| raised(py, &error))
    }

    /// The class that each name means: its name, WordNet id or index. None if the model has no such class.
    fn meant(&self, names: Vec<String>) -> Vec<Option<usize>> {
        let model = self.any_classifier().model();
        names.iter().map(|name| model.labels.meant(name, model.classes)).collect()
    }

    /// Starts to classify the images in a folder and its subfolders.
    #[pyo3(signature = (folder, hidden, exclude, top_k, min_score))]
    fn classify_folder(
        &self,
        py: Python<'_>,
        folder: PathBuf,
        hidden: bool,
        exclude: Vec<String>,
        top_k: usize,
        min_score: Option<f32>,
    ) -> PyResult<Run> {
        let task = Task::Classify { top_k, min_score };
        Run::of_folder(self.classifier(py)?, self.batch, task, folder, choice(py, hidden, &exclude)?)
    }

    /// Starts to embed the images in a folder and its subfolders.
    #[pyo3(signature = (folder, hidden, exclude, normalize))]
    fn embed_folder(
        &self,
        py: Python<'_>,
        folder: PathBuf,
        hidden: bool,
        exclude: Vec<String>,
        normalize: bool,
    ) -> PyResult<Run> {
        Run::of_folder(
            self.classifier(py)?,
            self.batch,
            Task::Embed { normalize },
            folder,
            choice(py, hidden, &exclude)?,
        )
    }

    /// Logits `[N, classes]` of normalised images `[N, 3, H, W]`, in batches; `[N, known images]` of a model that counts the nearest.
    fn logits<'py>(&self, py: Python<'py>, input: PyReadonlyArray4<'py, f32>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let classifier = self.classifier(py)?;
        let &[n, c, h, w] = input.shape() else { unreachable!("it has four axes") };
        let data = input.as_slice()?.to_vec();
        let size = match self.batch {
            Batch::Of(size) => size.get(),
            Batch::Auto => LOGITS_AT_ONCE.min(n.max(1)),
        };
        let classifier = py.detach(|| self.for_batches(&classifier, size));
        let logits = on_thread(py, move || logits(&classifier, size, &Tensor::new(Shape::new(n, c, h, w), data)))?;
        let logits = logits.map_err(|error| raised(py, &error))?;
        let model = self.any_classifier().model();
        let columns = match &model.scoring {
            Scoring::Neighbours(neighbours) => neighbours.of.len(),
            _ => model.classes,
        };
        PyArray1::from_vec(py, logits).reshape([n, columns])
    }

    /// Shows where in an image the evidence for a class lies.
    #[pyo3(signature = (image, target))]
    fn explain(&self, image: &Bound<'_, PyAny>, target: Option<Target>) -> PyResult<Explanation> {
        let (explained, size) = self.with_image(image, move |classifier, image| {
            let model = classifier.model();
            let class = match target {
                Some(Target::Name(name)) => Some(model.labels.find(&name, model.classes)?),
                Some(Target::Index(index)) => Some(index),
                None => None,
            };
            Ok((classifier.explain(image, class)?, (image.width(), image.height())))
        })?;
        let decode = self.any_classifier().decode_options().clone();
        Ok(Explanation::new(explained, size, decode))
    }

    /// What the network sees of an image, uint8 `[H, W, 3]`.
    fn preprocess<'py>(&self, image: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let pixels = self.with_image(image, Classifier::preprocess)?;
        PyArray1::from_vec(image.py(), pixels.data).reshape([pixels.height, pixels.width, 3])
    }

    /// The same, normalised: float32 `[3, H, W]`.
    fn normalized<'py>(&self, image: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let tensor = self.with_image(image, |classifier, image| {
            let pixels = classifier.preprocess(image)?;
            Ok(classifier.model().preprocess.batch(&[pixels])?.tensor())
        })?;
        let Shape { c, h, w, .. } = tensor.shape;
        PyArray1::from_vec(image.py(), tensor.data).reshape([c, h, w])
    }

    /// Compares every layer with the CPU reference.
    fn verify<'py>(&self, py: Python<'py>, batch: usize, every: bool) -> PyResult<Bound<'py, PyDict>> {
        let classifier = self.classifier(py)?;
        let coverage = if every { Coverage::Every } else { Coverage::Chosen };
        // Remember only what a comparison of all kernels finds.
        let remembered = cache_folder().filter(|_| every);
        let verification = on_thread(py, move || {
            let verification = classifier.verify(batch, coverage)?;
            if let Some(folder) = remembered {
                faults::record(&folder, classifier.device(), &verification.faults)?;
            }
            Ok(verification)
        })?;
        verified(py, &verification.map_err(|error| raised(py, &error))?)
    }

    /// Information about the model.
    fn model<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.any_classifier().model();
        let dict = PyDict::new(py);
        dict.set_item("name", &model.name)?;
        dict.set_item("revision", &model.revision)?;
        dict.set_item("architecture", &model.architecture)?;
        dict.set_item("parameters", model.parameters)?;
        dict.set_item("macs", model.macs)?;
        dict.set_item("classes", model.classes)?;
        dict.set_item("features", model.features)?;
        dict.set_item("license", &model.license)?;
        dict.set_item("published_top1", &model.published_top1)?;
        dict.set_item("source", &model.source)?;
        let preprocess = &model.preprocess;
        dict.set_item("input_size", (preprocess.height, preprocess.width))?;
        match preprocess.resize {
            Resize::Shorter(side) => dict.set_item("resize", side)?,
            Resize::Squash { height, width } => dict.set_item("resize", (height, width))?,
            _ => dict.set_item("resize", None::<usize>)?,
        }
        dict.set_item("filter", format!("{:?}", preprocess.filter).to_lowercase())?;
        // The shortest decimal numbers with these f32 values.
        let decimal = |values: [f32; 3]| values.map(|value| value.to_string().parse().unwrap_or(f64::from(value)));
        dict.set_item("mean", decimal(preprocess.mean))?;
        dict.set_item("std", decimal(preprocess.std))?;
        Ok(dict)
    }

    /// The names of the classes, in order.
    fn labels(&self) -> Vec<String> {
        let model = self.any_classifier().model();
        (0..model.classes).map(|class| model.labels.name(class)).collect()
    }

    /// Whether each class has a score of its own.
    fn multi_label(&self) -> bool {
        self.any_classifier().model().scoring == Scoring::Sigmoid
    }

    /// The device in use.
    fn device<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        device(py, self.any_classifier().device())
    }

    /// Type of activations and weights on the device.
    fn precision(&self) -> String {
        self.any_classifier().precision().to_string()
    }

    /// Notes for the user.
    fn notes(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let classifier = self.classifier(py)?;
        Ok(py.detach(|| classifier.notes().iter().map(ToString::to_string).collect()))
    }

    /// Bytes that its buffers take on the device now.
    fn device_memory(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let classifier = self.classifier(py)?;
        on_thread(py, move || classifier.device_memory())
    }

    /// Network and plan as text.
    fn describe(&self, py: Python<'_>) -> PyResult<String> {
        let classifier = self.classifier(py)?;
        py.detach(|| classifier.describe()).map_err(|error| raised(py, &error))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let classifier = self.classifier.take();
        // Detach: closing a device may wait for threads that log, which need the interpreter. If the interpreter is ending, leave
        // it to the system to close what is open.
        let kept = mem::take(&mut self.kept);
        let _ = Python::try_attach(|py| py.detach(|| drop((classifier, kept))));
    }
}

/// Logits of `input`, in batches of `size`.
fn logits(classifier: &Classifier, size: usize, input: &Tensor) -> Result<Vec<f32>> {
    classifier.model().check_classes()?;
    let Shape { n, c, h, w } = input.shape;
    check_finite(input)?;
    let mut logits = Vec::with_capacity(n * classifier.model().classes);
    for first in (0..n).step_by(size) {
        let images = size.min(n - first);
        let part: Vec<f32> = (first..first + images).flat_map(|image| input.image(image)).copied().collect();
        let some = classifier.logits(&Tensor::new(Shape::new(images, c, h, w), part)).map_err(|error| match error {
            Error::NotFinite { image, index, value, origin } => {
                Error::NotFinite { image: first + image, index, value, origin }
            }
            other => other,
        })?;
        logits.extend(some.data);
    }
    Ok(logits)
}

/// Batch size for normalised inputs; the engine does not choose one.
const LOGITS_AT_ONCE: usize = 16;

/// Whether all numbers are finite.
fn check_finite(input: &Tensor) -> Result<()> {
    let Shape { c, h, w, .. } = input.shape;
    let Some(at) = input.data.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let index = [at / (c * h * w), at / (h * w) % c, at / w % h, at % w];
    Err(Error::config_value("input", format!("{index:?}"), input.data[at].to_string(), "a finite number"))
}

/// Chooses the files of a folder.
fn choice(py: Python<'_>, hidden: bool, exclude: &[String]) -> PyResult<Choice> {
    let mut choice = Choice::default();
    choice.hidden = hidden;
    for pattern in exclude {
        let refused = |expected: String| raised(py, &Error::config_value("argument", "exclude", pattern, expected));
        choice.exclude.push(pattern.parse().map_err(refused)?);
    }
    Ok(choice)
}

/// A device as a dictionary.
pub(crate) fn device<'py>(py: Python<'py>, device: &DeviceInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("index", device.index)?;
    dict.set_item("name", &device.name)?;
    dict.set_item("backend", &device.backend)?;
    dict.set_item("driver", &device.driver)?;
    dict.set_item("kind", device.kind.to_string())?;
    dict.set_item("software", device.kind.software())?;
    Ok(dict)
}

fn verified<'py>(py: Python<'py>, verification: &Verification) -> PyResult<Bound<'py, PyDict>> {
    let layers = verification.layers.iter().map(|layer| {
        let dict = PyDict::new(py);
        dict.set_item("name", &layer.name)?;
        dict.set_item("kernel", &layer.kernel)?;
        dict.set_item("stored", layer.stored.to_string())?;
        dict.set_item("shape", layer.shape)?;
        dict.set_item("error", layer.error)?;
        dict.set_item("bound", layer.bound)?;
        dict.set_item("ok", layer.ok)?;
        dict.set_item("follows", layer.follows)?;
        Ok(dict)
    });
    let dict = PyDict::new(py);
    dict.set_item("ok", verification.ok)?;
    dict.set_item("layers", layers.collect::<PyResult<Vec<_>>>()?)?;
    Ok(dict)
}
