//! `residua classify`: images in, classes out, errors in their places.

use std::{
    io::{BufWriter, Write},
    path::Path,
};

use residua::{Class, Classifier, Error, stream::Done};

use crate::cli::{
    args::Classify,
    io::{
        records::{Format, Output, Records},
        resume::{self, Recorded},
        work::Work,
    },
    options::Global,
    outcome::Outcome,
    terminal::{interrupt::Interrupt, progress::Progress},
};

pub(crate) fn run(global: &Global, command: &Classify, out: &mut dyn Write) -> Outcome {
    if command.resume.is_some() && command.format == Format::Text {
        return Err(Error::ConfigValue {
            place: "option".into(),
            field: "--resume".into(),
            value: "--format text".into(),
            expected: "jsonl or csv, which can be read back".into(),
        }
        .into());
    }
    let classifier = global.open(&command.model.model)?;
    let model = classifier.model();
    model.check_classes()?;
    let (out, mut done) = match &command.resume {
        None => (Output::new(out, Path::new("stdout")), Recorded::default()),
        Some(path) => {
            let (file, done) = resume::open(path, command.format, model, command.k.min(model.classes))?;
            (Output::new(BufWriter::new(file), path), done)
        }
    };
    if done.inputs > 0 {
        global.note(&format!("{} inputs are recorded already", done.inputs));
    }
    let mut records = Records { format: command.format, model, device: &classifier.device().name, out };
    if done.inputs == 0 {
        records.header()?;
    }
    let progress = Progress::start(global, &command.inputs, done.inputs);
    let (mut images, mut failed) = (done.inputs, done.failed);
    let skip = move |path: &Path| done.take(path);
    let interrupt = Interrupt::install();
    let work = Work { global, classifier: &classifier, inputs: &command.inputs, interrupt: &interrupt };
    work.run(skip, Classifier::predict, &mut |batch| {
        images += batch.len() as u64;
        progress.add(batch.len());
        progress.beside(|| {
            for Done { key: path, result, flaw, .. } in batch {
                global.note_flaw(&path, flaw);
                match result {
                    Ok(prediction) => records.classes(&path, &chosen(prediction.top(command.k), command.min_score))?,
                    Err(error) => {
                        failed += 1;
                        records.error(&path, &error)?;
                        records.out.flush()?;
                        global.complain_of(&path, &error);
                    }
                }
            }
            records.out.flush()
        })
    })?;
    drop(progress);
    if failed > 0 && images > 1 {
        global.note(&format!("{failed} of {images} images failed"));
    }
    Ok(failed == 0)
}

/// The classes of at least `min_score`.
fn chosen(mut classes: Vec<Class>, min_score: Option<f32>) -> Vec<Class> {
    classes.retain(|class| min_score.is_none_or(|least| class.score >= least));
    classes
}
