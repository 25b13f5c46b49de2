//! The inputs of a command through the engine.

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use residua::{
    Classifier, Error,
    stream::{Early, ImageSource, Infer, Results, Stream},
};

use super::{Stop, args::Inputs, interrupt::Interrupt, options::Global};

/// Takes the results of a batch.
pub(super) type Sink<'a, T> = dyn FnMut(Results<PathBuf, T>) -> Result<(), Stop> + 'a;

/// Images to be run through a network.
pub(super) struct Work<'a> {
    pub(super) global: &'a Global,
    pub(super) classifier: &'a Classifier,
    pub(super) inputs: &'a Inputs,
    pub(super) interrupt: &'a Interrupt,
}

impl Work<'_> {
    /// Runs `infer` on all images without those that `skip` says are done, and calls `sink` with the result of each in order, a
    /// batch at a time.
    pub(super) fn run<T: Send + 'static>(
        &self,
        skip: impl FnMut(&Path) -> bool + Send + 'static,
        infer: Infer<T>,
        sink: &mut Sink<'_, T>,
    ) -> Result<(), Stop> {
        let Work { global, classifier, inputs, interrupt } = *self;
        let told = classifier.notes().len();
        let interrupt = interrupt.clone();
        let outcome = Stream::new(classifier)
            .batch(global.batch)
            .decode(global.decode_options())
            .stop_if(move || interrupt.check().is_err())
            .run(walked(inputs.clone(), skip), infer, sink);
        classifier.notes().iter().skip(told).for_each(|note| global.note(note));
        if let Some(size) = outcome.halved_to {
            global.note(&format!("the device's memory did not hold larger batches than {size} images"));
        }
        outcome.ended.map_err(|early| match early {
            Early::Stopped => Stop::Interrupted,
            Early::Sink(stop) => stop,
            Early::Failed(error) => error.into(),
        })
    }
}

/// The images that `inputs` name, without those that `skip` says are done, as a thread finds them.
fn walked(
    inputs: Inputs,
    mut skip: impl FnMut(&Path) -> bool + Send + 'static,
) -> impl Iterator<Item = (PathBuf, Result<ImageSource, Error>)> + Send + 'static {
    let (found, walked) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let _ = inputs.walk(&mut |path, error| {
            if skip(&path) { Ok(()) } else { found.send((path, error)).map_err(drop) }
        });
    });
    walked.into_iter().map(|(path, error): (PathBuf, Option<Error>)| {
        let source = error.map_or_else(|| Ok(source_of(&path)), Err);
        (path, source)
    })
}

/// The image at `path`, or on stdin for `-`.
pub(super) fn source_of(path: &Path) -> ImageSource {
    if path.as_os_str() == "-" { ImageSource::Reader(Box::new(io::stdin())) } else { ImageSource::Path(path.into()) }
}
