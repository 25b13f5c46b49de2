//! Runs many images through a classifier: decodes ahead on all cores, runs batches, and returns results in the order of the inputs, each
//! with its own error if it failed.
//!
//! ```
//! use residua::{Classifier, stream::{ImageSource, Stream}};
//!
//! # fn main() -> residua::Result<()> {
//! let classifier = Classifier::open("builtin")?;
//! let names = ["a.png", "b.png"];
//! let inputs = names.into_iter().map(|name| (name, Ok(ImageSource::Path(name.into()))));
//! let outcome = Stream::new(&classifier).run(inputs, Classifier::predict, &mut |batch| {
//!     for done in batch {
//!         match done.result {
//!             Ok(prediction) => println!("{}: {}", done.key, prediction.top(1)[0].label),
//!             Err(error) => println!("{}: {error}", done.key),
//!         }
//!     }
//!     Ok::<(), std::io::Error>(())
//! });
//! assert!(outcome.ended.is_ok());
//! # Ok(())
//! # }
//! ```

mod batch;
mod feed;
mod running;
mod source;

use std::{collections::VecDeque, fmt, sync::Arc};

pub use batch::Batch;
use batch::BatchSize;
use feed::Feed;
use running::{Ready, Runner};
pub use source::ImageSource;

use crate::{Classifier, Error, Pixels, Result, image::DecodeOptions};

/// Batches in flight: one runs while the results of the previous one are read and the next is written.
const DEPTH: usize = 2;

/// Smallest number of images to decode ahead of the device.
const AHEAD: usize = 32;

/// Computes a batch: one result per image, such as [`Classifier::predict`] or [`Classifier::features`].
#[doc(hidden)]
pub type Infer<T> = fn(&Classifier, &[Pixels]) -> Result<Vec<T>>;

/// A finished input.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done<K, T> {
    /// The caller's name for the input.
    pub key: K,
    /// The result or the error.
    pub result: Result<T>,
    /// A sentence about damage that the image's decoder worked around.
    pub flaw: Option<String>,
}

/// Runs many images through a classifier: settings, each with a default, and [`Stream::run`].
#[derive(Clone)]
pub struct Stream<'a> {
    classifier: &'a Classifier,
    batch: Batch,
    images: Option<usize>,
    decode: DecodeOptions,
    stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The outcome of a stream.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<E> {
    /// Images in the largest batch that fitted, if a larger one did not fit into the device's memory.
    pub halved_to: Option<usize>,
    /// Why the stream ended early, if it did. The sink has the results of all earlier images.
    pub ended: Result<(), Early<E>>,
}

/// Why a stream ended before its last input.
#[derive(Debug)]
pub enum Early<E> {
    /// [`Stream::stop_if`] requested the end.
    Stopped,
    /// The sink failed.
    Sink(E),
    /// An error that concerns every image, such as a lost device.
    Failed(Error),
}

/// [`Stream::stop_if`] requested the end.
#[derive(Debug)]
struct Stopped;

impl<E> From<Stopped> for Early<E> {
    fn from(_: Stopped) -> Self {
        Early::Stopped
    }
}

impl<'a> Stream<'a> {
    /// A stream through `classifier`.
    pub fn new(classifier: &'a Classifier) -> Self {
        Stream {
            classifier,
            batch: Batch::Auto,
            images: None,
            decode: classifier.decode_options().clone(),
            stop: Arc::new(|| false),
        }
    }

    /// Images per batch.
    pub fn batch(mut self, batch: Batch) -> Self {
        self.batch = batch;
        self
    }

    /// Sets the number of images, if it is known: [`Batch::Auto`] makes no larger batches.
    pub fn expect(mut self, images: usize) -> Self {
        self.images = Some(images);
        self
    }

    /// Sets how to decode images, instead of [`Classifier::decode_options`].
    pub fn decode(mut self, options: DecodeOptions) -> Self {
        self.decode = options;
        self
    }

    /// Ends the stream early once `stop` returns `true`. It is called at least every 50 ms.
    pub fn stop_if(mut self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stop = Arc::new(stop);
        self
    }

    /// Images per batch, as long as they fit.
    #[doc(hidden)]
    pub fn batch_size(&self) -> usize {
        BatchSize::new(self.batch, self.classifier, self.images).size()
    }

    /// Runs `infer` on the images of `inputs` and calls `sink` with the results, in order, batch by batch. An input consists of a key
    /// for the sink and an image, or the error in its place.
    pub fn run<K: Send + 'static, T: Send + 'static, E>(
        &self,
        inputs: impl Iterator<Item = (K, Result<ImageSource>)> + Send + 'static,
        infer: Infer<T>,
        sink: &mut dyn FnMut(Vec<Done<K, T>>) -> Result<(), E>,
    ) -> Outcome<E> {
        let batches = BatchSize::new(self.batch, self.classifier, self.images);
        // This gives an image the same bits in a last, partial batch and in the halves of a batch that did not fit.
        let classifier = &self.classifier.for_batches(batches.size());
        let mut runner = Runner { classifier, infer, batches };
        let (decode, classifier) = (self.decode.clone(), self.classifier.clone());
        let prepare = move |source: ImageSource| source.prepare(&classifier, &decode);
        let ahead = AHEAD.max(2 * runner.batches.size());
        let feed = Feed::start(inputs, prepare, ahead, self.stop.clone());
        let ended = drive(&feed, &mut runner, sink);
        Outcome { halved_to: runner.batches.halved_to(), ended }
    }
}

/// Runs the images of `feed` to their end.
fn drive<K: Send + 'static, T: Send + 'static, E>(
    feed: &Feed<K>,
    runner: &mut Runner<'_, T>,
    sink: &mut dyn FnMut(Vec<Done<K, T>>) -> Result<(), E>,
) -> Result<(), Early<E>> {
    let mut finish = |runner: &mut Runner<'_, T>, batch| {
        let results = runner.finish(batch).map_err(Early::Failed)?;
        sink(results).map_err(Early::Sink)
    };
    let mut running = VecDeque::new();
    let mut ended = loop {
        match collect(feed, runner.batches.size()) {
            Ok(batch) if batch.is_empty() => break Ok(()),
            Ok(batch) => running.push_back(runner.start(batch)),
            Err(stopped) => break Err(stopped.into()),
        }
        if running.len() >= DEPTH {
            let oldest = running.pop_front().expect("one was pushed");
            if let Err(early) = finish(runner, oldest) {
                break Err(early);
            }
        }
    };
    // Always wait for running batches: a process must not end while a driver works.
    for batch in running {
        match ended {
            Ok(()) | Err(Early::Stopped) => ended = finish(runner, batch).and(ended),
            Err(_) => batch.abandon(),
        }
    }
    ended
}

/// The next inputs, with `size` good images if that many are left. Bad images take no place on the device, but a batch has at most `2 *
/// size` inputs.
fn collect<K: Send + 'static>(feed: &Feed<K>, size: usize) -> Result<Ready<K>, Stopped> {
    let (mut batch, mut good) = (Vec::new(), 0);
    while good < size && batch.len() < 2 * size {
        let Some((key, ready)) = feed.next()? else { break };
        good += usize::from(ready.is_ok());
        batch.push((key, ready));
    }
    Ok(batch)
}

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stream { classifier, batch, decode, .. } = self;
        f.debug_struct("Stream")
            .field("classifier", classifier)
            .field("batch", batch)
            .field("decode", decode)
            .finish_non_exhaustive()
    }
}
