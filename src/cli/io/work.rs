//! Runs the inputs of a command through a classifier.

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
use crate::cli::{
    hints,
    options::Global,
    outcome::{Outcome, Stop},
    terminal::{interrupt::Interrupt, progress::Bar},
};

/// Receives the result of an image.
pub(crate) type Sink<'a, T> = dyn FnMut(&Path, Result<T, Error>) -> Result<(), Stop> + 'a;

/// Images to run through a network.
pub(crate) struct Work<'a> {
    pub(crate) global: &'a Global,
    pub(crate) classifier: &'a Classifier,
    pub(crate) inputs: &'a Inputs,
    pub(crate) interrupt: &'a Interrupt,
}

impl Work<'_> {
    /// Runs `infer` on all images for which `skip` is false, and calls `sink` with each result, in order. Shows progress, damage and
    /// errors. Returns whether no image failed, now or in an earlier run. The earlier run did `done` images; `failed` of them failed.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        (done, mut failed): (u64, u64),
        skip: impl FnMut(&Path) -> bool + Send + 'static,
        infer: Infer<T>,
        sink: &mut Sink<'_, T>,
    ) -> Outcome {
        let Work { global, classifier, inputs, interrupt } = *self;
        let notes = classifier.notes().len();
        let interrupt = interrupt.clone();
        let progress = Bar::start(global, done, inputs.counter());
        let (images, walk) = walked(inputs.clone(), skip);
        let stream = Stream::new(classifier).batch(global.batch);
        let stream = inputs.count().into_iter().fold(stream, Stream::expect);
        let stream = stream.decode(global.decode_options()).stop_if(move || interrupt.check().is_err());
        let mut total = done;
        let outcome = stream.run(images, infer, &mut |batch: Vec<Done<PathBuf, T>>| {
            total += batch.len() as u64;
            progress.add(batch.len());
            progress.beside(|| {
                batch.into_iter().try_for_each(|Done { key: path, result, flaw, .. }| {
                    global.note_flaw(&path, flaw);
                    if let Err(error) = &result {
                        failed += 1;
                        global.complain_of(&path, error);
                    }
                    sink(&path, result)
                })
            })
        });
        drop(progress);
        classifier.notes().iter().skip(notes).for_each(|note| global.note(&hints::of_note(note)));
        if let Some(size) = outcome.halved_to {
            global.note(&format!("the device's memory cannot hold batches of more than {size} images"));
        }
        outcome.ended.map_err(|early| match early {
            Early::Stopped => Stop::Interrupted,
            Early::Sink(stop) => stop,
            Early::Failed(error) => error.into(),
        })?;
        if let Ok(Some(left_out)) = walk.join() {
            left_out.notes().for_each(|note| global.note(&note));
        }
        if failed > 0 && total > 1 {
            global.note(&format!("{failed} of {total} images failed"));
        }
        Ok(failed == 0)
    }
}

/// An image's name, with its source or its error.
type Found = (PathBuf, Result<ImageSource, Error>);

/// The images that `inputs` name and `skip` does not exclude. A thread finds them, and returns the counts of entries left out once it has
/// walked all inputs.
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
