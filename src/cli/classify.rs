//! `residua classify`: images in, classes out, a batch at a time, errors in their places.

use std::{io::Write, path::PathBuf};

use residua::{Classifier, Error, Pixels, Prediction};

use super::{
    Outcome, Stop,
    args::{Batch, Classify, Global},
    inputs,
    records::Records,
};

/// Images per submission where `--batch auto` is left to us.
const AUTO_BATCH: usize = 16;

pub(super) fn run(global: &Global, command: &Classify, out: &mut dyn Write) -> Outcome {
    let classifier = global.open(&command.model.model)?;
    classifier.model().check_classes()?;
    let device = classifier.device();
    let batch = match global.batch {
        Batch::Of(n) => n,
        Batch::Auto if device.software => 1,
        Batch::Auto => AUTO_BATCH,
    };
    let records = Records::new(command.format, classifier.model(), &device.name, out)?;
    let mut job = Job { global, classifier: &classifier, k: command.k, records, waiting: Vec::new(), batch, ok: true };
    inputs::walk(&command.inputs, command.recursive, &mut |path, error| job.take(path, error))?;
    job.finish()?;
    Ok(job.ok)
}

struct Job<'a> {
    global: &'a Global,
    classifier: &'a Classifier,
    k: usize,
    records: Records<'a>,
    /// Images of the batch to come, or what is wrong with them.
    waiting: Vec<(PathBuf, Result<Pixels, Error>)>,
    batch: usize,
    ok: bool,
}

impl Job<'_> {
    fn take(&mut self, path: PathBuf, error: Option<Error>) -> Result<(), Stop> {
        let pixels = match error {
            Some(error) => Err(error),
            None => inputs::read(&path, &self.global.decode_options())
                .and_then(|decoded| self.classifier.preprocess(&decoded.image)),
        };
        self.waiting.push((path, pixels));
        if self.waiting.len() >= self.batch { self.finish() } else { Ok(()) }
    }

    /// Classifies and writes what is waiting.
    fn finish(&mut self) -> Result<(), Stop> {
        let waiting = std::mem::take(&mut self.waiting);
        let good: Vec<Pixels> = waiting.iter().filter_map(|(_, pixels)| pixels.as_ref().ok().cloned()).collect();
        let mut predictions = self.predict(&good)?.into_iter();
        for (path, pixels) in waiting {
            let prediction = pixels.and_then(|_| predictions.next().unwrap_or_else(|| Err(no_prediction())));
            match prediction {
                Ok(prediction) => self.records.classes(&path, &prediction.top(self.k))?,
                Err(error) => {
                    self.ok = false;
                    self.records.error(&path, &error)?;
                    self.records.flush()?;
                    self.global.complain_of(&path, &error);
                }
            }
        }
        self.records.flush()
    }

    /// One result an image. NaN in one image's logits is that image's error alone, so such a batch is run image by image.
    fn predict(&self, pixels: &[Pixels]) -> Result<Vec<Result<Prediction, Error>>, Error> {
        match self.classifier.predict(pixels) {
            Ok(predictions) => Ok(predictions.into_iter().map(Ok).collect()),
            Err(error @ Error::NotFinite { .. }) if pixels.len() == 1 => Ok(vec![Err(error)]),
            Err(Error::NotFinite { .. }) => {
                let singly: Result<Vec<_>, Error> = pixels.chunks(1).map(|one| self.predict(one)).collect();
                Ok(singly?.into_iter().flatten().collect())
            }
            Err(error) => Err(error),
        }
    }
}

fn no_prediction() -> Error {
    Error::Shape { node: "logits".into(), reason: "fewer rows than images".into() }
}
