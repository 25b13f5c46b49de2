//! `residua evaluate`: how well a model does on images whose classes are known.

use std::{
    io::{BufWriter, Cursor, Write},
    path::Path,
};

use ::image::ImageFormat;
use residua::{
    Classifier, Error,
    learn::measures::{Answer, Measures, cuts},
};

use crate::cli::{
    args::Evaluate,
    draw::{confusion, curves, sheet},
    io::{
        answers::{self, Matched, Record},
        files::write_file,
        labelled::Labelled,
        records::{JsonFailure, Output},
        report::Report,
        resume::Recorded,
        work::Work,
    },
    options::Global,
    outcome::{Outcome, Stop},
    terminal::interrupt::Interrupt,
};

pub(crate) fn run(global: &Global, command: &Evaluate, out: &mut dyn Write) -> Outcome {
    let labelled = Labelled::read(&command.images, &command.folders, false)?.with_synsets();
    let classifier = global.open(&command.model.model)?;
    let model = classifier.model();
    model.check_classes()?;
    let Matched { truth, unknown, left_out } = Matched::new(&labelled, &classifier, &command.images)?;
    if !unknown.is_empty() {
        let names = unknown.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        let more = if unknown.len() > 10 { ", ..." } else { "" };
        global.note(&format!("{left_out} images are left out, as the model has no such class: {names}{more}"));
    }
    if !labelled.loose.is_empty() {
        global.note(&format!("{} images lie in no folder of a class, and are left out", labelled.loose.len()));
    }
    let watched = watched(command, &classifier)?;
    let (mut file, mut done, mut records) = match &command.resume {
        None => (None, Recorded::default(), Vec::new()),
        Some(path) => {
            let (file, done, records) = answers::resume(path, model, watched)?;
            (Some(Output::new(BufWriter::new(file), path)), done, records)
        }
    };
    if done.inputs > 0 {
        global.note(&format!("{} images are recorded already", done.inputs));
    }
    let before = (done.inputs, done.failed);
    let known = truth.clone();
    let skip = move |path: &Path| (path.is_file() && !known.contains_key(path)) || done.take(path);
    let interrupt = Interrupt::install();
    let inputs = labelled.inputs(None, &command.folders);
    let work = Work { global, classifier: &classifier, inputs: &inputs, interrupt: &interrupt };
    let ok = work.run(before, skip, Classifier::predict, &mut |path, result| {
        match (result, truth.get(path)) {
            (Ok(prediction), Some(&class)) => {
                let record = Record::new(path, model, &prediction, class, watched);
                if let Some(file) = &mut file {
                    file.json(&record)?;
                }
                records.push(record);
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                if let Some(file) = &mut file {
                    file.json(&JsonFailure::new(path, &error))?;
                }
            }
        }
        file.as_mut().map_or(Ok(()), Output::flush)
    })?;
    if records.is_empty() {
        return Err(Error::ImageNone.into());
    }
    let answers: Vec<Answer> = records.iter().map(Record::answer).collect();
    let measures = Measures::of(&answers);
    let scores: Vec<(f64, bool)> = records.iter().filter_map(Record::watched).collect();
    let cuts = cuts(&scores);
    let report =
        Report { model, measures: &measures, records: &records, watched: watched.map(|class| (class, &*cuts)) };
    draw(global, command, &classifier, &report)?;
    out.write_all(report.text(command.format).as_bytes())?;
    Ok(ok)
}

/// The class whose score is wanted of every image: the one of --threshold, or the second of two.
fn watched(command: &Evaluate, classifier: &Classifier) -> Result<Option<usize>, Error> {
    let model = classifier.model();
    match &command.threshold {
        Some(name) => match model.labels.meant(name, model.classes) {
            Some(class) => Ok(Some(class)),
            None => model.labels.find(name, model.classes).map(Some),
        },
        None if model.classes == 2 => Ok(Some(1)),
        None if command.curves.is_some() => {
            let expected = "with --threshold CLASS, which says whose curves, or a model of two classes";
            Err(Error::config_value("option", "--curves", format!("{} classes", model.classes), expected))
        }
        None => Ok(None),
    }
}

/// Writes the pictures that were asked for.
fn draw(global: &Global, command: &Evaluate, classifier: &Classifier, report: &Report<'_>) -> Result<(), Stop> {
    if let Some(path) = &command.confusion {
        let is_picture = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"));
        let text = if is_picture { confusion::svg(report.measures, report.model) } else { report.confusion() };
        write_file(path, text.as_bytes())?;
    }
    if let (Some(path), Some((class, cuts))) = (&command.curves, report.watched) {
        write_file(path, curves::svg(cuts, &report.model.labels.name(class)).as_bytes())?;
    }
    if let Some(path) = &command.mistakes {
        let mut png = Cursor::new(Vec::new());
        sheet::draw(global, classifier, &report.mistakes())
            .write_to(&mut png, ImageFormat::Png)
            .map_err(|error| Error::io(path, &std::io::Error::other(error)))?;
        write_file(path, png.get_ref())?;
    }
    Ok(())
}
