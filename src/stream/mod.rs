//! Many images through a classifier: decoded ahead on all cores, run in batches, back in the order in which they came, each with its
//! result or its own error.
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

/// Batches on their way at once: one runs while the results of the last are read and the next is written.
const DEPTH: usize = 2;

/// Images that are decoded ahead of the device, at least.
const AHEAD: usize = 32;

/// Computes a batch: one result an image, such as [`Classifier::predict`] or [`Classifier::features`].
#[doc(hidden)]
pub type Infer<T> = fn(&Classifier, &[Pixels]) -> Result<Vec<T>>;

/// An input that is done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done<K, T> {
    /// By which the caller knows it.
    pub key: K,
    /// Its result, or its error.
    pub result: Result<T>,
    /// The damage that the image's decoder worked around, as a sentence.
    pub flaw: Option<String>,
}

/// How many images go through a classifier: settings, each with a default, and [`Stream::run`].
#[derive(Clone)]
pub struct Stream<'a> {
    classifier: &'a Classifier,
    batch: Batch,
    images: Option<usize>,
    decode: DecodeOptions,
    stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What a stream did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<E> {
    /// Images in the largest batch that fitted, if the device's memory did not hold a larger one that was tried.
    pub halved_to: Option<usize>,
    /// Why it ended early, if it did. The results of all earlier images were handed out.
    pub ended: Result<(), Early<E>>,
}

/// Why a stream ended before its last input.
#[derive(Debug)]
pub enum Early<E> {
    /// [`Stream::stop_if`] asked for it.
    Stopped,
    /// The sink failed.
    Sink(E),
    /// An error that concerns every image, such as a lost device.
    Failed(Error),
}

/// [`Stream::stop_if`] said so.
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

    /// How many images there will be, where that is known: [`Batch::Auto`] makes no larger batches.
    pub fn expect(mut self, images: usize) -> Self {
        self.images = Some(images);
        self
    }

    /// How images are decoded, instead of as [`Classifier::decode_options`] says.
    pub fn decode(mut self, options: DecodeOptions) -> Self {
        self.decode = options;
        self
    }

    /// Ends the stream early once `stop` gives `true`. It is called at least every 50 ms.
    pub fn stop_if(mut self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stop = Arc::new(stop);
        self
    }

    /// Images in a batch, as long as they fit.
    #[doc(hidden)]
    pub fn batch_size(&self) -> usize {
        BatchSize::new(self.batch, self.classifier, self.images).size()
    }

    /// Runs `infer` on the images of `inputs` and calls `sink` with the results, in order, a batch at a time. An input has a key, by
    /// which the sink knows it, and an image or the reason why there is none.
    pub fn run<K: Send + 'static, T: Send + 'static, E>(
        &self,
        inputs: impl Iterator<Item = (K, Result<ImageSource>)> + Send + 'static,
        infer: Infer<T>,
        sink: &mut dyn FnMut(Vec<Done<K, T>>) -> Result<(), E>,
    ) -> Outcome<E> {
        let batches = BatchSize::new(self.batch, self.classifier, self.images);
        // An image then has the same bits in a last batch that is not full, and in the halves of one that did not fit.
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
    // Batches that run are waited for in any case: a process must not end under a driver at work.
    for batch in running {
        match ended {
            Ok(()) | Err(Early::Stopped) => ended = finish(runner, batch).and(ended),
            Err(_) => batch.abandon(),
        }
    }
    ended
}

/// The next inputs, `size` good images among them if there are so many. Bad ones take no place on the device; as many of them
/// as images end a batch too.
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
