//! The inputs of a command through the engine.

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use residua::{
    Classifier, Error,
    stream::{Done, Early, ImageSource, Infer, Stream},
};

use super::{inputs::Inputs, left_out::LeftOut};
use crate::cli::{options::Global, outcome::Stop, terminal::interrupt::Interrupt};

/// Takes the results of a batch.
pub(crate) type Sink<'a, T> = dyn FnMut(Vec<Done<PathBuf, T>>) -> Result<(), Stop> + 'a;

/// Images to be run through a network.
pub(crate) struct Work<'a> {
    pub(crate) global: &'a Global,
    pub(crate) classifier: &'a Classifier,
    pub(crate) inputs: &'a Inputs,
    pub(crate) interrupt: &'a Interrupt,
}

impl Work<'_> {
    /// Runs `infer` on all images without those that `skip` says are done, and calls `sink` with the result of each in order, a
    /// batch at a time.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        skip: impl FnMut(&Path) -> bool + Send + 'static,
        infer: Infer<T>,
        sink: &mut Sink<'_, T>,
    ) -> Result<(), Stop> {
        let Work { global, classifier, inputs, interrupt } = *self;
        let told = classifier.notes().len();
        let interrupt = interrupt.clone();
        let (images, walk) = walked(inputs.clone(), skip);
        let stream = Stream::new(classifier).batch(global.batch);
        let stream = inputs.count().into_iter().fold(stream, Stream::expect);
        let outcome =
            stream.decode(global.decode_options()).stop_if(move || interrupt.check().is_err()).run(images, infer, sink);
        classifier.notes().iter().skip(told).for_each(|note| global.note(note));
        if let Some(size) = outcome.halved_to {
            global.note(&format!("the device's memory did not hold larger batches than {size} images"));
        }
        if outcome.ended.is_ok()
            && let Ok(Some(left_out)) = walk.join()
        {
            left_out.notes().for_each(|note| global.note(&note));
        }
        outcome.ended.map_err(|early| match early {
            Early::Stopped => Stop::Interrupted,
            Early::Sink(stop) => stop,
            Early::Failed(error) => error.into(),
        })
    }
}

/// The name of an image, and where to read it or why it cannot be read.
type Found = (PathBuf, Result<ImageSource, Error>);

/// The images that `inputs` name, without those that `skip` says are done, as a thread finds them; the thread gives what it left out
/// once it has walked all of them.
fn walked(
    inputs: Inputs,
    mut skip: impl FnMut(&Path) -> bool + Send + 'static,
) -> (impl Iterator<Item = Found> + Send + 'static, JoinHandle<Option<LeftOut>>) {
    let (found, images) = mpsc::sync_channel(1);
    let walk = thread::spawn(move || {
        let walked = inputs.walk(&mut |path, error| {
            if skip(&path) { Ok(()) } else { found.send((path, error)).map_err(drop) }
        });
        walked.ok()
    });
    let images = images.into_iter().map(|(path, error): (PathBuf, Option<Error>)| {
        let source = error.map_or_else(|| Ok(source_of(&path)), Err);
        (path, source)
    });
    (images, walk)
}

/// The image at `path`, or on stdin for `-`.
pub(crate) fn source_of(path: &Path) -> ImageSource {
    if path.as_os_str() == "-" { ImageSource::Reader(Box::new(io::stdin())) } else { ImageSource::Path(path.into()) }
}
