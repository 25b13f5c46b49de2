//! Runs many images through the engine of the command line. Its threads decode and compute. The calling thread converts Python's
//! objects to inputs when the engine asks for them, and results to Python's objects.

use std::{
    collections::HashMap,
    mem,
    path::PathBuf,
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
    vec,
};

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::{
    exceptions::{PyException, PyRuntimeError},
    prelude::*,
    types::{PyDict, PyIterator, PyList},
};
use residua::{
    Class, Classifier, Error, Prediction, Result,
    folder::{Choice, Found},
    search::unit,
    stream::{Batch, Done, Early, ImageSource, Stream},
};

use crate::{
    errors::{exception, of_package, raised},
    inputs::source,
    wait::{PATIENCE, ended, panicked},
};

/// What to compute for each image.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    Classify {
        top_k: usize,
        min_score: Option<f32>,
    },
    Embed {
        normalize: bool,
    },
    /// The scores of all classes.
    Score,
}

/// The result for an image.
enum Answer {
    Classes(Vec<Class>),
    Vector(Vec<f32>),
}

/// Identifies an image to the caller.
struct Key {
    index: usize,
    path: Option<PathBuf>,
}

/// An input for the engine.
type Given = (Key, Result<ImageSource>);

/// A finished image.
struct Row {
    key: Key,
    result: Result<Answer>,
    flaw: Option<String>,
}

/// A message of the engine's threads to the calling thread.
enum Event {
    /// The engine asks for more inputs; an empty answer ends the stream.
    More(SyncSender<Vec<Given>>),
    Rows(Vec<Row>),
    End {
        halved_to: Option<usize>,
        ended: Result<(), Early<Closed>>,
    },
}

/// The caller no longer takes results.
struct Closed;

/// Largest number of finished batches that wait for the caller.
const READY: usize = 4;

/// Limits for converting inputs in one go: time, number, and bytes. Getting the interpreter takes 5 ms while another thread
/// computes in Python.
const MAKING: Duration = Duration::from_millis(20);
const MOST: usize = 1024;
const MOST_BYTES: usize = 32 << 20;

/// Images on their way through a classifier.
#[pyclass(frozen, module = "residua._residua")]
pub(crate) struct Run {
    live: Mutex<Option<Live>>,
    stop: Arc<AtomicBool>,
    /// Numbers of a vector.
    columns: usize,
    started_by: u32,
}

/// Exceptions of images by their indices.
type Failures = HashMap<usize, Py<PyAny>>;

/// Takes a batch, and returns whether it wants another.
type Take<'a> = dyn FnMut(Python<'_>, Vec<Row>, &mut Failures) -> PyResult<bool> + Send + 'a;

/// The classifier, and how to run it.
struct Engine {
    classifier: Classifier,
    batch: Batch,
    task: Task,
    /// Number of images, if known.
    count: Option<usize>,
}

/// A run that has not ended.
struct Live {
    events: Receiver<Event>,
    thread: JoinHandle<()>,
    images: Option<Images>,
}

/// The images from Python.
struct Images {
    iterator: Py<PyIterator>,
    exif: bool,
    given: usize,
    /// Exceptions for those that are not images.
    failures: Failures,
}

impl Run {
    /// Starts with the images of an iterable.
    pub(crate) fn of_images(
        classifier: Classifier,
        batch: Batch,
        exif: bool,
        task: Task,
        images: &Bound<'_, PyAny>,
        count: Option<usize>,
    ) -> PyResult<Self> {
        let iterator = images.try_iter()?.unbind();
        let images = Images { iterator, exif, given: 0, failures: HashMap::new() };
        let (to_caller, events) = mpsc::sync_channel(READY);
        let inputs = Wanted { to_caller: to_caller.clone(), made: Vec::new().into_iter() };
        Ok(Self::start(Engine { classifier, batch, task, count }, inputs, to_caller, events, Some(images)))
    }

    /// Starts with the images in a folder, in the order of the command line.
    pub(crate) fn of_folder(
        classifier: Classifier,
        batch: Batch,
        task: Task,
        folder: PathBuf,
        choice: Choice,
    ) -> PyResult<Self> {
        let (to_engine, found) = mpsc::sync_channel(1);
        // The thread ends when nobody takes what it finds.
        thread::spawn(move || {
            let mut left_out: u64 = 0;
            let walked = choice.walk(&folder, &mut |found| match found {
                Found::Image(path) => to_engine.send((path.clone(), Ok(ImageSource::Path(path)))).map_err(drop),
                Found::Failed(path, error) => to_engine.send((path, Err(error))).map_err(drop),
                _ => {
                    left_out += 1;
                    Ok(())
                }
            });
            if walked.is_ok() && left_out > 0 {
                log::info!(target: "residua", "skipped {left_out} files and folders in {}", folder.display());
            }
        });
        let key = |(index, (path, source))| (Key { index, path: Some(path) }, source);
        let inputs = found.into_iter().enumerate().map(key);
        let (to_caller, events) = mpsc::sync_channel(READY);
        Ok(Self::start(Engine { classifier, batch, task, count: None }, inputs, to_caller, events, None))
    }

    fn start(
        engine: Engine,
        inputs: impl Iterator<Item = Given> + Send + 'static,
        to_caller: SyncSender<Event>,
        events: Receiver<Event>,
        images: Option<Images>,
    ) -> Self {
        let Engine { classifier, batch, task, count } = engine;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let columns = match task {
            Task::Score => classifier.model().classes,
            Task::Classify { .. } | Task::Embed { .. } => classifier.model().features,
        };
        let thread = thread::spawn(move || {
            let stream = Stream::new(&classifier).batch(batch).stop_if(move || stopped.load(Ordering::Relaxed));
            let stream = count.into_iter().fold(stream, Stream::expect);
            let hand_over = |rows: Vec<Row>| to_caller.send(Event::Rows(rows)).map_err(|_| Closed);
            let outcome = match task {
                Task::Classify { top_k, min_score } => stream.run(inputs, Classifier::predict, &mut |batch| {
                    hand_over(rows(batch, |prediction| classes(&prediction, top_k, min_score)))
                }),
                Task::Embed { normalize } => stream.run(inputs, Classifier::features, &mut |batch| {
                    hand_over(rows(batch, |vector| Answer::Vector(if normalize { unit(vector) } else { vector })))
                }),
                Task::Score => stream.run(inputs, Classifier::predict, &mut |batch| {
                    hand_over(rows(batch, |prediction| Answer::Vector(prediction.scores)))
                }),
            };
            // After an interruption, nobody waits for this.
            let _ = to_caller.send(Event::End { halved_to: outcome.halved_to, ended: outcome.ended });
        });
        let live = Some(Live { events, thread, images });
        Run { live: Mutex::new(live), stop, columns, started_by: process::id() }
    }

    /// Calls `take` with batch after batch, until it wants no more. Returns whether there are more.
    fn pump(&self, py: Python<'_>, take: &mut Take<'_>) -> PyResult<bool> {
        if process::id() != self.started_by {
            return Err(of_package(py, "gpu.forked", "this was started in the process from which this one was forked"));
        }
        // Do not wait here: that would hold the interpreter.
        let Ok(mut place) = self.live.try_lock() else {
            return Err(PyRuntimeError::new_err("another thread is taking results of the same call"));
        };
        let Some(live) = place.as_mut() else { return Ok(false) };
        match live.pump(py, take) {
            Ok(true) => Ok(true),
            outcome => {
                let ended = place.take();
                self.stop.store(true, Ordering::Relaxed);
                ended.into_iter().for_each(|live| live.end(py));
                outcome
            }
        }
    }
}

#[pymethods]
impl Run {
    /// The classes of all images: a list for each, or its exception. With `raises` the first exception is raised.
    fn all_classes<'py>(&self, py: Python<'py>, raises: bool) -> PyResult<Bound<'py, PyList>> {
        let all = PyList::empty(py).unbind();
        self.pump(py, &mut |py, batch, failures| {
            for row in batch {
                match object(py, row, failures)? {
                    (_, Ok(classes)) => all.bind(py).append(classes)?,
                    (_, Err(error)) if raises => return Err(PyErr::from_value(error)),
                    (_, Err(error)) => all.bind(py).append(error)?,
                }
            }
            Ok(true)
        })?;
        Ok(all.into_bound(py))
    }

    /// The vectors of all images, float32 `[N, columns]`, and a dictionary from index to exception; the rows of such images are NaN.
    /// With `raises` the first exception is raised.
    fn all_vectors<'py>(
        &self,
        py: Python<'py>,
        raises: bool,
    ) -> PyResult<(Bound<'py, PyArray2<f32>>, Bound<'py, PyDict>)> {
        let (mut all, mut count, columns) = (Vec::new(), 0, self.columns);
        let errors = PyDict::new(py).unbind();
        self.pump(py, &mut |py, batch, failures| {
            count += batch.len();
            for row in batch {
                match row {
                    Row { result: Ok(Answer::Vector(vector)), key, flaw } => {
                        tell(&key, flaw);
                        all.extend(vector);
                    }
                    row => {
                        all.resize(all.len() + columns, f32::NAN);
                        match object(py, row, failures)? {
                            (_, Err(error)) if raises => return Err(PyErr::from_value(error)),
                            (index, Err(error) | Ok(error)) => errors.bind(py).set_item(index, error)?,
                        }
                    }
                }
            }
            Ok(true)
        })?;
        Ok((PyArray1::from_vec(py, all).reshape([count, columns])?, errors.into_bound(py)))
    }

    /// The next results: for each image, its path if it has one, and a list of classes, a vector or an exception. `None` at the
    /// end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let some = PyList::empty(py).unbind();
        let more = self.pump(py, &mut |py, batch, failures| {
            for row in batch {
                let path = row.key.path.clone();
                let (_, result) = object(py, row, failures)?;
                some.bind(py).append((path.map(PathBuf::into_os_string), result.unwrap_or_else(|error| error)))?;
            }
            Ok(false)
        })?;
        let some = some.into_bound(py);
        Ok((more || !some.is_empty()).then_some(some))
    }

    /// Ends the run early. A thread that waits for results gets no more.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the run early, and waits until the device is idle.
    fn close(&self, py: Python<'_>) {
        self.stop();
        let live = self.live.try_lock().ok().and_then(|mut place| place.take());
        live.into_iter().for_each(|live| live.end(py));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Live {
    fn pump(&mut self, py: Python<'_>, take: &mut Take<'_>) -> PyResult<bool> {
        let mut none = HashMap::new();
        let mut checked = Instant::now();
        loop {
            // A receiver belongs to one thread: this one.
            let events = &mut self.events;
            let event = py.detach(move || events.recv_timeout(PATIENCE));
            if checked.elapsed() >= PATIENCE {
                py.check_signals()?;
                checked = Instant::now();
            }
            match event {
                Ok(Event::More(reply)) => {
                    let more = self.images.as_mut().map_or_else(|| Ok(Vec::new()), |images| images.make(py))?;
                    // A stopped stream takes no more inputs.
                    let _ = reply.send(more);
                }
                Ok(Event::Rows(rows)) => {
                    let failures = self.images.as_mut().map_or(&mut none, |images| &mut images.failures);
                    if !take(py, rows, failures)? {
                        return Ok(true);
                    }
                }
                Ok(Event::End { halved_to, ended }) => {
                    if let Some(size) = halved_to {
                        log::warn!(target: "residua", "the device's memory cannot hold batches of more than {size} images");
                    }
                    return match ended {
                        Ok(()) | Err(Early::Sink(Closed)) => Ok(false),
                        Err(Early::Stopped) => Err(of_package(py, "stopped", "the call was stopped")),
                        Err(Early::Failed(error)) => Err(raised(py, &error)),
                    };
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let thread = mem::replace(&mut self.thread, thread::spawn(|| {}));
                    return Err(panicked(py, thread));
                }
            }
        }
    }

    /// Releases the engine's threads, and waits for them a while.
    fn end(self, py: Python<'_>) {
        drop(self.events);
        ended(py, &self.thread);
    }
}

impl Images {
    /// The next inputs; empty at the end. Anything that is not an image becomes an input that fails.
    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Given>> {
        let (began, mut made, mut bytes) = (Instant::now(), Vec::new(), 0);
        while made.len() < MOST && bytes < MOST_BYTES && (made.is_empty() || began.elapsed() < MAKING) {
            let Some(image) = self.iterator.bind(py).clone().next() else { break };
            let image = image?;
            let index = self.given;
            self.given += 1;
            let source = match source(&image, self.exif) {
                Ok((source, more)) => {
                    bytes += more;
                    Ok(source)
                }
                Err(error) if error.is_instance_of::<PyException>(py) => {
                    self.failures.insert(index, error.into_value(py).into_any());
                    // The exception replaces this error.
                    Err(Error::ImageNone)
                }
                Err(signal) => return Err(signal),
            };
            let path = match &source {
                Ok(ImageSource::Path(path)) => Some(path.clone()),
                _ => None,
            };
            made.push((Key { index, path }, source));
        }
        Ok(made)
    }
}

/// Inputs that the calling thread makes on demand.
struct Wanted {
    to_caller: SyncSender<Event>,
    made: vec::IntoIter<Given>,
}

impl Iterator for Wanted {
    type Item = Given;

    fn next(&mut self) -> Option<Given> {
        if let Some(given) = self.made.next() {
            return Some(given);
        }
        let (reply, more) = mpsc::sync_channel(1);
        self.to_caller.send(Event::More(reply)).ok()?;
        self.made = more.recv().ok()?.into_iter();
        self.made.next()
    }
}

fn rows<T>(batch: Vec<Done<Key, T>>, answer: impl Fn(T) -> Answer) -> Vec<Row> {
    let row = |done: Done<Key, T>| Row { key: done.key, result: done.result.map(&answer), flaw: done.flaw };
    batch.into_iter().map(row).collect()
}

fn classes(prediction: &Prediction, top_k: usize, min_score: Option<f32>) -> Answer {
    let mut classes = prediction.top(top_k);
    classes.retain(|class| min_score.is_none_or(|least| class.score >= least));
    Answer::Classes(classes)
}

/// Logs damage in an image.
fn tell(key: &Key, flaw: Option<String>) {
    if let Some(flaw) = flaw {
        let name = key.path.as_ref().map_or_else(|| format!("image {}", key.index), |path| path.display().to_string());
        log::warn!(target: "residua", "{name}: {flaw}");
    }
}

/// The index of an image, and the Python object of its result or exception.
type Object<'py> = (usize, std::result::Result<Bound<'py, PyAny>, Bound<'py, PyAny>>);

fn object<'py>(py: Python<'py>, row: Row, failures: &mut Failures) -> PyResult<Object<'py>> {
    let Row { key, result, flaw } = row;
    tell(&key, flaw);
    let result = match result {
        Ok(Answer::Vector(vector)) => Ok(PyArray1::from_vec(py, vector).into_any()),
        Ok(Answer::Classes(classes)) => Ok(dictionaries(py, &classes)?.into_any()),
        Err(error) => Err(match failures.remove(&key.index) {
            Some(failure) => {
                failure.bind(py).setattr("index", key.index)?;
                failure.into_bound(py)
            }
            None => exception(py, &error, key.path.as_deref(), Some(key.index))?,
        }),
    };
    Ok((key.index, result))
}

fn dictionaries<'py>(py: Python<'py>, classes: &[Class]) -> PyResult<Bound<'py, PyList>> {
    let all = PyList::empty(py);
    for class in classes {
        let dict = PyDict::new(py);
        dict.set_item("label", &class.label)?;
        dict.set_item("score", class.score)?;
        dict.set_item("index", class.index)?;
        all.append(dict)?;
    }
    Ok(all)
}
