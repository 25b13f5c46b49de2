//! `residua fit`: turns a folder with a folder for each class into a model of these classes.

mod classes;
mod learner;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use residua::{Classifier, checkpoint::Backbone};
use serde_json::json;

use self::{
    classes::{Classes, note_repeated, note_unbalanced},
    learner::Learner,
};
use crate::cli::{
    args::Fit,
    io::{files::write_file, index::Index, labelled::Labelled, outputs, verdict::Verdict, views, work::Work},
    options::Global,
    outcome::{Outcome, Stop},
    terminal::interrupt::Interrupt,
};

pub(crate) fn run(global: &Global, command: &Fit, out: &mut dyn Write) -> Outcome {
    learner::check(command)?;
    let index_file = index_path(command);
    let outputs = [
        ("--output", Some(command.output.as_path())),
        ("--index", Some(index_file.as_path())),
        ("--json", command.json.as_deref()),
    ];
    outputs::check(&outputs, &[("TRAIN", Some(&command.train))])?;
    let train = Labelled::read(&command.train, &command.folders, command.multi_label)?;
    let classes = Classes::of(&command.train, &train, command.multi_label)?;
    classes.check(&classes.truth(&train, train.images.keys()))?;
    let val = command.val.as_ref().map(|val| Labelled::read(val, &command.folders, command.multi_label)).transpose()?;
    if let Some(val) = &val {
        classes.check_known(command.val.as_deref().unwrap_or(Path::new("")), val)?;
    }
    if !train.loose.is_empty() {
        let first = train.loose[0].display();
        global.note(&format!(
            "left out, because they are in no folder of a class: {} images, first {first}",
            train.loose.len()
        ));
    }
    let classifier = global.open(&command.model.model)?;
    let features = classifier.model().features;
    let interrupt = Interrupt::install();
    let inputs = train.inputs(val.as_ref(), &command.folders);
    let work = Work { global, classifier: &classifier, inputs: &inputs, interrupt: &interrupt };
    let (index, failed) = index(command, &work)?;

    let paths: Vec<&Path> = read(&index, train.images.keys());
    let truth = classes.truth(&train, paths.iter().copied());
    classes.check(&truth)?;
    note_repeated(global, &index, &paths, &truth, &classes);
    note_unbalanced(global, command, &truth, &classes);
    let views = if command.augment { views::COUNT } else { 1 };
    let learner = Learner { global, command, interrupt: &interrupt, features, views };
    let fitted = learner.fit(&index, &paths, &truth)?;
    if !fitted.converged {
        global.note("the regression has not converged: its weights are only near the best ones");
    }
    let checked = match &val {
        Some(val) => {
            let paths = read(&index, val.images.keys());
            let truth = classes.truth(val, paths.iter().copied());
            learner.checked("images of --val", &fitted.head, &index, &paths, &truth)
        }
        None => learner.held_out(&fitted, &index, &paths, &truth)?,
    };
    let verdict = Verdict {
        classes: &classes.names,
        paths: &paths,
        truth: &truth,
        setting: command.method.setting(),
        fitted: &fitted,
        checked: &checked,
    };
    interrupt.check()?;
    let own = classifier.with_head(&fitted.head, &classes.names, command.multi_label)?;
    let backbone = command.head_only.then(|| backbone(command, &classifier));
    own.save(&command.output, backbone, made(command, &classifier, &verdict))?;
    if let Some(path) = &command.json {
        write_file(path, format!("{:#}\n", verdict.json()).as_bytes())?;
    }
    let model = classifier.model();
    writeln!(out, "{}: {} classes on the features of {}", command.output.display(), classes.names.len(), model.name)?;
    write!(out, "{verdict}")?;
    Ok(failed == 0)
}

/// The file that keeps the features.
fn index_path(command: &Fit) -> PathBuf {
    command.index.clone().unwrap_or_else(|| command.output.with_extension("index"))
}

/// The features of all images, and the number of images that failed.
fn index(command: &Fit, work: &Work<'_>) -> Result<(Index, u64), Stop> {
    let new = || {
        let index = Index::new(work.global, work.classifier);
        if command.augment {
            index.of_views(views::NAMES, views::features)
        } else {
            index.of_views("plain", Classifier::features)
        }
    };
    let mut index = new();
    let path = index_path(command);
    if path.exists()
        && let Err(error) = index.read(&path)
    {
        if command.index.is_some() {
            return Err(error.into());
        }
        work.global.note(&format!("{} is of another model or other options, and is computed again", path.display()));
        index = new();
    }
    let (failed, ended) = index.refresh(work);
    let views = if command.augment { views::COUNT } else { 1 };
    if let (true, Ok(()) | Err(Stop::Interrupted)) = (index.images().next().is_some(), &ended) {
        index.write(&path, work.classifier.model().features * views)?;
    }
    ended?;
    Ok((index, failed))
}

/// Those of `paths` that have features.
fn read<'p>(index: &Index, paths: impl Iterator<Item = &'p PathBuf>) -> Vec<&'p Path> {
    paths.map(PathBuf::as_path).filter(|path| index.get(path).is_some()).collect()
}

/// The backbone that a file with only a head names: a file by its name, a model of the hub by its commit.
fn backbone(command: &Fit, classifier: &Classifier) -> Backbone {
    let model = classifier.model();
    let at_commit = model.revision.as_ref().map(|revision| format!("{}@{revision}", model.name));
    let given = Path::new(&command.model.model);
    let file = given.file_name().filter(|_| given.exists()).map(|name| name.to_string_lossy().into_owned());
    let model = at_commit.or(file).unwrap_or_else(|| command.model.model.clone());
    Backbone { model, fingerprint: format!("{:016x}", classifier.fingerprint()) }
}

/// How the file was made, for its metadata.
fn made(command: &Fit, classifier: &Classifier, verdict: &Verdict<'_>) -> serde_json::Value {
    let model = classifier.model();
    let mut result = verdict.json();
    // The file does not give away the names of the training images.
    if let Some(result) = result.as_object_mut() {
        result.remove("doubtful");
    }
    json!({
        "by": concat!("residua fit ", env!("CARGO_PKG_VERSION")),
        "backbone": {"name": model.name, "revision": model.revision, "fingerprint": format!("{:016x}", classifier.fingerprint())},
        "method": command.method.name(), "balanced": command.balanced,
        "views": if command.augment { views::NAMES } else { "plain" },
        "result": result,
    })
}
