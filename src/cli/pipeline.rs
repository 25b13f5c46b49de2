//! Inputs through the device: images are decoded while batches run, and results come in the order of the inputs.

use std::{
    collections::VecDeque,
    panic,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use residua::{Classifier, Error, Pixels};

use super::{Stop, args::Inputs, batch::BatchSize, feed::Feed, inputs, interrupt::Interrupt, options::Global};

/// Batches on their way at once: one runs while the results of the last are read and the next is written.
const DEPTH: usize = 2;

/// Images of [`Feed`] that are ready or on their way, at least.
const AHEAD: usize = 32;

/// What runs a batch: one result an image.
pub(super) type Infer<T> = fn(&Classifier, &[Pixels]) -> Result<Vec<T>, Error>;

/// Inputs in order, each with what became of it.
pub(super) type Results<T> = Vec<(PathBuf, Result<T, Error>)>;

/// Takes the results of a batch.
pub(super) type Sink<'a, T> = dyn FnMut(Results<T>) -> Result<(), Stop> + 'a;

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
        let batches = BatchSize::new(global.batch, classifier, inputs.count());
        // So that an image has the same bits in a last batch that is not full, in the halves of one that did not fit, and after --resume.
        let classifier = &classifier.for_batches(batches.size());
        let mut device = Device { classifier, infer, batches };
        let (options, preprocess) = (global.decode_options(), classifier.clone());
        let prepare =
            move |path: &Path| inputs::read(path, &options).and_then(|decoded| preprocess.preprocess(&decoded.image));
        let ahead = AHEAD.max(2 * device.batches.size());
        let feed = Feed::start(inputs.clone(), skip, prepare, ahead, interrupt.clone());
        let mut running = VecDeque::new();
        let mut ended = loop {
            match collect(&feed, device.batches.size()) {
                Ok(batch) if batch.is_empty() => break Ok(()),
                Ok(batch) => running.push_back(device.start(batch)),
                Err(stop) => break Err(stop),
            }
            if running.len() >= DEPTH {
                let oldest = running.pop_front().expect("one was pushed");
                if let Err(stop) = device.finish(oldest).and_then(&mut *sink) {
                    break Err(stop);
                }
            }
        };
        // What runs is waited for in any case: a process must not end under a driver at work.
        for batch in running {
            match ended {
                Ok(()) | Err(Stop::Interrupted) => ended = device.finish(batch).and_then(&mut *sink).and(ended),
                Err(_) => drop(batch.ran.join()),
            }
        }
        let notes = classifier.notes().into_iter().skip(told);
        notes.chain(device.batches.note()).for_each(|note| global.note(&note));
        ended
    }
}

/// Inputs in order, each with its pixels or what is wrong with it.
type Batch = Vec<(PathBuf, Result<Pixels, Error>)>;

/// The next inputs, `size` good images among them if there are so many. Bad ones take no place on the device; as many of them
/// as images end a batch too.
fn collect(feed: &Feed, size: usize) -> Result<Batch, Stop> {
    let (mut batch, mut good) = (Vec::new(), 0);
    while good < size && batch.len() < 2 * size {
        let Some((path, pixels)) = feed.next()? else { break };
        good += usize::from(pixels.is_ok());
        batch.push((path, pixels));
    }
    Ok(batch)
}

/// A batch on its way through the device.
struct Running<T> {
    /// Its inputs, with what is wrong with those that are not on the way.
    inputs: Vec<(PathBuf, Option<Error>)>,
    ran: JoinHandle<Ran<T>>,
}

/// What became of a batch.
struct Ran<T> {
    pixels: Vec<Pixels>,
    results: Result<Vec<T>, Error>,
}

/// What runs batches.
struct Device<'a, T> {
    classifier: &'a Classifier,
    infer: Infer<T>,
    batches: BatchSize,
}

impl<T: Send + 'static> Device<'_, T> {
    fn start(&self, batch: Batch) -> Running<T> {
        let mut pixels = Vec::with_capacity(batch.len());
        let mut inputs = Vec::with_capacity(batch.len());
        for (path, ready) in batch {
            inputs.push((path, ready.map(|image| pixels.push(image)).err()));
        }
        let (classifier, infer) = (self.classifier.clone(), self.infer);
        let ran = thread::spawn(move || {
            let results = infer(&classifier, &pixels);
            Ran { pixels, results }
        });
        Running { inputs, ran }
    }

    /// Waits for a batch; one result an input.
    fn finish(&mut self, batch: Running<T>) -> Result<Results<T>, Stop> {
        let Ran { pixels, results } = batch.ran.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked));
        let mut at_once = pixels.len();
        let results = match results {
            Ok(results) => results.into_iter().map(Ok).collect(),
            Err(error) => self.halves(&pixels, error, &mut at_once)?,
        };
        self.batches.ran(pixels.len(), at_once);
        let mut results = results.into_iter();
        let result = |(path, error): (PathBuf, Option<Error>)| {
            let missing = || Err(Error::Shape { node: "output".into(), reason: "fewer rows than images".into() });
            (path, error.map_or_else(|| results.next().unwrap_or_else(missing), Err))
        };
        Ok(batch.inputs.into_iter().map(result).collect())
    }

    /// The results of images that met `error` together, by halves if that may help: what does not fit in one may fit in two, and
    /// NaN in one image's output is that image's error alone, as is memory that runs out. `at_once` becomes the largest part that
    /// was tried behind one that did not fit.
    fn halves(&self, pixels: &[Pixels], error: Error, at_once: &mut usize) -> Result<Vec<Result<T, Error>>, Error> {
        let not_finite = matches!(error, Error::NotFinite { .. });
        let splits = pixels.len() > 1 && (not_finite || self.batches.splits(&error));
        if !splits && (not_finite || matches!(error, Error::GpuMemory { .. })) {
            return Ok(pixels.iter().map(|_| Err(error.clone())).collect());
        }
        if !splits {
            return Err(error);
        }
        let half = pixels.len().div_ceil(2);
        if !not_finite {
            *at_once = (*at_once).min(half);
        }
        let mut results = Vec::with_capacity(pixels.len());
        for part in pixels.chunks(half) {
            match (self.infer)(self.classifier, part) {
                Ok(part) => results.extend(part.into_iter().map(Ok)),
                Err(error) => results.extend(self.halves(part, error, at_once)?),
            }
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use image::{Rgb, RgbImage};
    use residua::gpu::{Failure, Injection, Moment};

    use super::*;
    use crate::cli::args::{Args, Command};

    /// What became of eight images, of which `auto` makes one batch, in order, in batches as `batch` says, where the first `failures` buffers are too many.
    fn run(batch: &str, failures: u64) -> Vec<Result<usize, &'static str>> {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..8_u8 {
            let image = RgbImage::from_fn(32, 32, |x, y| Rgb([(x * u32::from(i)) as u8, 8 * y as u8, 25 * i]));
            image.save(folder.path().join(format!("{i}.png"))).unwrap();
        }
        let path = folder.path().to_str().unwrap();
        let args = Args::parse_from(["residua", "classify", "--quiet", "--batch", batch, "-r", path]);
        let Command::Classify(command) = args.command else { panic!("it is not classify") };
        let injection = Injection::default();
        let classifier = Classifier::builder().deterministic(true).inject(&injection).open().unwrap();
        (1..=failures).for_each(|nth| injection.plan(Moment::Buffer, nth, Failure::Memory));
        let (mut paths, mut results) = (Vec::new(), Vec::new());
        let interrupt = Interrupt::install();
        let work =
            Work { global: &args.global, classifier: &classifier, inputs: &command.inputs, interrupt: &interrupt };
        let ended = work.run(|_| false, Classifier::predict, &mut |batch| {
            for (path, result) in batch {
                paths.push(path.file_name().unwrap().to_str().unwrap().to_string());
                results.push(result.map(|prediction| prediction.top(1)[0].index).map_err(|error| error.code()));
            }
            Ok(())
        });
        assert!(ended.is_ok());
        assert_eq!(injection.happened(), failures);
        assert_eq!(paths, (0..8).map(|i| format!("{i}.png")).collect::<Vec<_>>(), "each image once");
        results
    }

    #[test]
    fn memory_that_runs_out_costs_the_images_concerned_alone() {
        let expected = run("1", 0);
        assert!(expected.iter().all(Result::is_ok));
        assert_eq!(run("auto", 1), expected, "in halves it fits");
        // Eight images, four, two, one and one, two, one.
        let errors = vec![Err("gpu.oom"); 3];
        assert_eq!(run("auto", 7), [&errors, &expected[3..]].concat());
        let plain = run("4", 1);
        assert_eq!(plain.iter().filter(|result| result.is_err()).count(), 4, "{plain:?}");
        assert!(plain.iter().zip(&expected).all(|(got, right)| got == right || *got == Err("gpu.oom")));
    }
}
