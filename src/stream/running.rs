//! Runs batches on the device, each in its own thread, and halves a batch that does not fit.

use std::{panic, sync::mpsc::Receiver, thread};

use super::{Done, Infer, batch::BatchSize, source::Prepared};
use crate::{Classifier, Error, Pixels, Result, workers};

/// Inputs in order, each ready or with its error.
pub(super) type Ready<K> = Vec<(K, Result<Prepared>)>;

/// Runs batches.
pub(super) struct Runner<'a, T> {
    pub(super) classifier: &'a Classifier,
    pub(super) infer: Infer<T>,
    pub(super) batches: BatchSize,
}

/// A batch that is running on the device.
pub(super) struct Running<K, T> {
    /// Its inputs: their flaws, or the errors of those that are not in the batch.
    inputs: Vec<(K, Result<Option<String>>)>,
    ran: Receiver<thread::Result<Ran<T>>>,
}

/// A batch that ran.
struct Ran<T> {
    pixels: Vec<Pixels>,
    results: Result<Vec<T>>,
}

impl<K, T> Running<K, T> {
    /// Waits for the device, and drops the results.
    pub(super) fn abandon(self) {
        drop(self.ran.recv());
    }
}

impl<T: Send + 'static> Runner<'_, T> {
    /// Starts a batch.
    pub(super) fn start<K>(&self, batch: Ready<K>) -> Running<K, T> {
        let mut pixels = Vec::with_capacity(batch.len());
        let mut inputs = Vec::with_capacity(batch.len());
        for (key, ready) in batch {
            let flaw = ready.map(|Prepared { pixels: image, flaw }| {
                pixels.push(image);
                flaw
            });
            inputs.push((key, flaw));
        }
        let (classifier, infer) = (self.classifier.clone(), self.infer);
        let ran = workers::start(move || {
            let results = infer(&classifier, &pixels);
            Ran { pixels, results }
        });
        Running { inputs, ran }
    }

    /// Waits for a batch; returns one result per input.
    pub(super) fn finish<K>(&mut self, batch: Running<K, T>) -> Result<Vec<Done<K, T>>> {
        let ran = batch.ran.recv().expect("a worker sends an outcome");
        let Ran { pixels, results } = ran.unwrap_or_else(|panicked| panic::resume_unwind(panicked));
        let mut at_once = pixels.len();
        let results = match results {
            Ok(results) => results.into_iter().map(Ok).collect(),
            Err(error) => self.halves(&pixels, error, &mut at_once)?,
        };
        self.batches.ran(pixels.len(), at_once);
        let mut results = results.into_iter();
        let missing = || Err(Error::Shape { node: "output".into(), reason: "fewer rows than images".into() });
        let done = |(key, flaw): (K, Result<Option<String>>)| match flaw {
            Ok(flaw) => Done { key, result: results.next().unwrap_or_else(missing), flaw },
            Err(error) => Done { key, result: Err(error), flaw: None },
        };
        Ok(batch.inputs.into_iter().map(done).collect())
    }

    /// The results of images that failed together with `error`. Runs them again in halves if that may help: a batch that does not fit may
    /// fit in two, and NaN or exhausted memory becomes the error of a single image. `at_once` becomes the largest part that was tried after
    /// one that did not fit.
    fn halves(&self, pixels: &[Pixels], error: Error, at_once: &mut usize) -> Result<Vec<Result<T>>> {
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
    use std::num::NonZero;

    use ::image::{DynamicImage, Rgb, RgbImage};

    use crate::{
        Classifier,
        executor::gpu::{Failure, Injection, Moment},
        stream::{Batch, ImageSource, Stream},
    };

    /// The best classes of eight images, in order, in batches of `batch`, when allocating the first `failures` buffers fails.
    fn run(batch: Batch, failures: u64) -> Vec<Result<usize, &'static str>> {
        let inputs = (0..8_u8).map(|i| {
            let image = RgbImage::from_fn(32, 32, |x, y| Rgb([(x * u32::from(i)) as u8, 8 * y as u8, 25 * i]));
            (i, Ok(ImageSource::Image(DynamicImage::ImageRgb8(image))))
        });
        let injection = Injection::default();
        let classifier = Classifier::builder().device("0").deterministic(true).inject(&injection).open().unwrap();
        (1..=failures).for_each(|nth| injection.plan(Moment::Buffer, nth, Failure::Memory));
        let (mut keys, mut results) = (Vec::new(), Vec::new());
        let outcome = Stream::new(&classifier).batch(batch).expect(8).run(inputs, Classifier::predict, &mut |batch| {
            for done in batch {
                keys.push(done.key);
                results.push(done.result.map(|prediction| prediction.top(1)[0].index).map_err(|error| error.code()));
            }
            Ok::<(), ()>(())
        });
        assert!(outcome.ended.is_ok());
        assert_eq!(injection.happened(), failures);
        assert_eq!(keys, Vec::from_iter(0..8), "each image once");
        results
    }

    #[test]
    fn memory_that_runs_out_costs_the_images_concerned_alone() {
        let of = |n| Batch::Of(NonZero::new(n).unwrap());
        let expected = run(of(1), 0);
        assert!(expected.iter().all(Result::is_ok));
        assert_eq!(run(Batch::Auto, 1), expected, "in halves it fits");
        // Batches of eight, four, two, one and one, two, one.
        let errors = vec![Err("gpu.oom"); 3];
        assert_eq!(run(Batch::Auto, 7), [&errors, &expected[3..]].concat());
        let plain = run(of(4), 1);
        assert_eq!(plain.iter().filter(|result| result.is_err()).count(), 4, "{plain:?}");
        assert!(plain.iter().zip(&expected).all(|(got, right)| got == right || *got == Err("gpu.oom")));
    }
}
