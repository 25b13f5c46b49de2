//! `residua classify`: classifies images; an image that fails gives an error record.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

use residua::{Class, Classifier, Error};

use crate::cli::{
    args::Classify,
    io::{
        records::{Format, Output, Records},
        resume::{self, Recorded},
        work::Work,
    },
    options::Global,
    outcome::Outcome,
    terminal::interrupt::Interrupt,
};

pub(crate) fn run(global: &Global, command: &Classify, out: &mut dyn Write) -> Outcome {
    if command.resume.is_some() && command.format == Format::Text {
        let expected = "jsonl or csv, which can be read back";
        return Err(Error::config_value("option", "--resume", "--format text", expected).into());
    }
    let classifier = global.open(&command.model.model)?;
    let model = classifier.model();
    model.check_classes()?;
    if command.model.model == "builtin" && command.format == Format::Text && io::stderr().is_terminal() {
        global.note("builtin knows only the ten classes of CIFAR-10; -m resnet50 knows a thousand");
    }
    let (out, mut done) = match &command.resume {
        None => (Output::new(out, Path::new("stdout")), Recorded::default()),
        Some(path) => {
            let (file, done) = resume::open(path, command.format, model, command.k.min(model.classes))?;
            (Output::new(BufWriter::new(file), path), done)
        }
    };
    if done.inputs > 0 {
        global.note(&format!("{} inputs are already recorded", done.inputs));
    }
    let mut records = Records { format: command.format, model, device: &classifier.device().name, out };
    if done.inputs == 0 {
        records.header()?;
    }
    let before = (done.inputs, done.failed);
    let skip = move |path: &Path| done.take(path);
    let interrupt = Interrupt::install();
    let work = Work { global, classifier: &classifier, inputs: &command.inputs, interrupt: &interrupt };
    work.run(before, skip, Classifier::predict, &mut |path, result| {
        match result {
            Ok(prediction) => records.classes(path, &chosen(prediction.top(command.k), command.min_score))?,
            Err(error) => records.error(path, &error)?,
        }
        records.out.flush()
    })
}

/// The classes with at least `min_score`.
fn chosen(mut classes: Vec<Class>, min_score: Option<f32>) -> Vec<Class> {
    classes.retain(|class| min_score.is_none_or(|least| class.score >= least));
    classes
}
