//! `residua evaluate`: measures a model on images whose classes are known.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufWriter, Cursor, Write},
    path::{Path, PathBuf},
};

use ::image::ImageFormat;
use residua::{
    Classifier, Error, ModelInfo,
    labels::Scoring,
    learn::{
        measures::{Answer, Measures},
        tagged::{TagMeasures, Tagged},
    },
};

use crate::cli::{
    args::Evaluate,
    draw::{confusion, curves, sheet},
    io::{
        answers::{self, Answered, Record, Tags},
        files::write_file,
        labelled::Labelled,
        matched::Matched,
        outputs,
        records::{JsonFailure, Output},
        report::Report,
        resume::Recorded,
        tag_report::TagReport,
        watched::Watched,
        work::Work,
    },
    options::Global,
    outcome::{Outcome, Stop},
    terminal::interrupt::Interrupt,
};

pub(crate) fn run(global: &Global, command: &Evaluate, out: &mut dyn Write) -> Outcome {
    check_outputs(command)?;
    let labelled = Labelled::read(&command.images, &command.folders, command.multi_label)?;
    let labelled = match &command.truth {
        Some(_) if !command.images.is_dir() => {
            let value = command.images.display().to_string();
            return Err(Error::config_value(
                "option",
                "--truth",
                value,
                "a folder of images; a list has classes of its own",
            )
            .into());
        }
        Some(file) => labelled.with_truth(file)?,
        None => labelled.with_synsets(),
    };
    let classifier = global.open(&command.model.model)?;
    let model = classifier.model();
    model.check_classes()?;
    check_scores(global, command, model)?;
    let matched = Matched::new(&labelled, &classifier, &command.images)?;
    matched.notes().for_each(|note| global.note(&note));
    if !labelled.loose.is_empty() {
        global.note(&format!("left out, because they are in no folder of a class: {} images", labelled.loose.len()));
    }
    let watched = watched(command, &classifier)?;
    let run = Run { global, command, labelled: &labelled, truth: &matched.truth, classifier: &classifier, watched };
    if command.multi_label {
        let (records, ok) = run.records::<Tags>()?;
        let tagged: Vec<Tagged> = records.iter().map(Tags::tagged).collect();
        let watched = run.watched(&records);
        let measures = TagMeasures::of(&tagged, model.classes);
        draw_curves(command, watched.as_ref())?;
        out.write_all(
            TagReport { model, measures: &measures, watched: watched.as_ref() }.text(command.format).as_bytes(),
        )?;
        return Ok(ok);
    }
    let (records, ok) = run.records::<Answered>()?;
    let answers: Vec<Answer> = records.iter().map(Answered::answer).collect();
    let watched = run.watched(&records);
    let measures = Measures::of(&answers);
    let report = Report { model, measures: &measures, records: &records, watched: watched.as_ref() };
    draw_curves(command, watched.as_ref())?;
    draw(global, command, &classifier, &report)?;
    out.write_all(report.text(command.format).as_bytes())?;
    Ok(ok)
}

/// Checks that the pictures can be written.
fn check_outputs(command: &Evaluate) -> Result<(), Error> {
    let pictures = [
        ("--confusion", command.confusion.as_deref()),
        ("--mistakes", command.mistakes.as_deref()),
        ("--curves", command.curves.as_deref()),
    ];
    let read = [
        ("IMAGES", Some(command.images.as_path())),
        ("--truth", command.truth.as_deref()),
        ("--resume", command.resume.as_deref()),
    ];
    outputs::check(&pictures, &read)
}

/// Checks that the model gives the scores that were asked for.
///
/// # Errors
/// [`Error::ConfigValue`] for --multi-label with a model whose scores are shares of one.
fn check_scores(global: &Global, command: &Evaluate, model: &ModelInfo) -> Result<(), Error> {
    let each_for_itself = model.scoring == Scoring::Sigmoid;
    if command.multi_label && !each_for_itself {
        let expected = "a model that gives each class a score of its own; this model's scores are shares of one";
        return Err(Error::config_value("option", "--multi-label", &model.name, expected));
    }
    if !command.multi_label && each_for_itself && model.classes > 1 {
        global.note("the model gives each class a score of its own: --multi-label measures each class separately");
    }
    Ok(())
}

/// A run of the command.
struct Run<'a> {
    global: &'a Global,
    command: &'a Evaluate,
    labelled: &'a Labelled,
    truth: &'a BTreeMap<PathBuf, Vec<usize>>,
    classifier: &'a Classifier,
    watched: Option<usize>,
}

impl Run<'_> {
    /// The records of all images, and whether all could be read. With --resume, those in the file are not computed again.
    fn records<R: Record>(&self) -> Result<(Vec<R>, bool), Stop> {
        let Run { global, command, labelled, truth, classifier, watched } = *self;
        let model = classifier.model();
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
        let known: BTreeSet<PathBuf> = truth.keys().cloned().collect();
        let skip = move |path: &Path| (path.is_file() && !known.contains(path)) || done.take(path);
        let interrupt = Interrupt::install();
        let inputs = labelled.inputs(None, &command.folders);
        let work = Work { global, classifier, inputs: &inputs, interrupt: &interrupt };
        let ok = work.run(before, skip, Classifier::predict, &mut |path, result| {
            match (result, truth.get(path)) {
                (Ok(prediction), Some(classes)) => {
                    let record = R::new(path, model, &prediction, classes, watched);
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
            let place = command.images.display().to_string();
            return Err(Error::config_value(place, "readable images", "none", "one at least").into());
        }
        Ok((records, ok))
    }

    /// The thresholds of the watched class, from these records.
    fn watched<R: Record>(&self, records: &[R]) -> Option<Watched> {
        let class = self.watched?;
        let scores: Vec<(f64, bool)> = records.iter().filter_map(|record| record.watched(self.watched)).collect();
        Some(Watched::new(self.classifier.model(), class, &scores, self.command.threshold.is_some()))
    }
}

/// The class whose score each record has: the class of --threshold, or the second of two.
fn watched(command: &Evaluate, classifier: &Classifier) -> Result<Option<usize>, Error> {
    let model = classifier.model();
    match &command.threshold {
        Some(name) => match model.labels.meant(name, model.classes) {
            Some(class) => Ok(Some(class)),
            None => model.labels.find(name, model.classes).map(Some),
        },
        None if model.classes == 2 => Ok(Some(1)),
        None if command.curves.is_some() => {
            let expected = "--threshold CLASS with it, or a model of two classes";
            Err(Error::config_value("option", "--curves", format!("{} classes", model.classes), expected))
        }
        None => Ok(None),
    }
}

/// Draws the pictures that were asked for.
fn draw(global: &Global, command: &Evaluate, classifier: &Classifier, report: &Report<'_>) -> Result<(), Stop> {
    if let Some(path) = &command.confusion {
        let is_picture = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"));
        let text = if is_picture { confusion::svg(report.measures, report.model) } else { report.confusion() };
        write_file(path, text.as_bytes())?;
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

/// Draws the curves of the watched class, if they were asked for.
fn draw_curves(command: &Evaluate, watched: Option<&Watched>) -> Result<(), Error> {
    match (&command.curves, watched) {
        (Some(path), Some(watched)) => write_file(path, curves::svg(&watched.cuts, &watched.name).as_bytes()),
        _ => Ok(()),
    }
}
