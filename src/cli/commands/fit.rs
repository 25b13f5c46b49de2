//! `residua fit`: a folder a class in, a model of these classes out.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
};

use residua::{
    Classifier, Error,
    checkpoint::Backbone,
    learn::{Fitted, Head, Logistic, Rows, Truth, centroid},
};
use serde_json::json;

use crate::cli::{
    args::{Fit, Method},
    io::{
        files::write_file,
        index::Index,
        labelled::Labelled,
        verdict::{Checked, Verdict},
        views,
        work::Work,
    },
    options::Global,
    outcome::{Outcome, Stop},
    terminal::interrupt::Interrupt,
};

/// Of a class with fewer images than this share of another's, it is told that classes may be balanced.
const UNBALANCED: usize = 3;

/// Images that are held out to be judged by: one of so many.
const HELD_OUT: usize = 5;

pub(crate) fn run(global: &Global, command: &Fit, out: &mut dyn Write) -> Outcome {
    let train = Labelled::read(&command.train, &command.folders, command.multi_label)?;
    let classes = Classes::of(&command.train, &train, command.multi_label)?;
    classes.check(&classes.truth(&train, train.images.keys()))?;
    let val = command.val.as_ref().map(|val| Labelled::read(val, &command.folders, command.multi_label)).transpose()?;
    if let Some(val) = &val {
        classes.check_known(command.val.as_deref().unwrap_or(Path::new("")), val)?;
    }
    if !train.loose.is_empty() {
        let first = train.loose[0].display();
        global.note(&format!("{} images lie in no folder of a class, and are left out: {first}", train.loose.len()));
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
    let learner = Learner { command, interrupt: &interrupt, features, views };
    let fitted = learner.fit(&index, &paths, &truth)?;
    if !fitted.converged {
        global.note("the regression has not come to its end: its weights are near the best ones, not at them");
    }
    let checked = match &val {
        Some(val) => {
            let paths = read(&index, val.images.keys());
            let truth = classes.truth(val, paths.iter().copied());
            Checked::new(
                "the images of --val",
                answers(&fitted.head, &index, features, &paths, &truth),
                command.multi_label,
            )
        }
        None => held_out(&learner, &index, &paths, &truth)?,
    };
    let verdict = Verdict { classes: &classes.names, paths: &paths, truth: &truth, fitted: &fitted, checked: &checked };
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

/// The classes that are to be told apart.
struct Classes {
    place: String,
    /// Sorted.
    names: Vec<String>,
    several: bool,
}

impl Classes {
    /// # Errors
    /// [`Error::ConfigValue`] for a class without an image.
    fn of(place: &Path, labelled: &Labelled, several: bool) -> Result<Self, Error> {
        let names: Vec<String> = labelled.classes.iter().cloned().collect();
        let classes = Classes { place: place.display().to_string(), names, several };
        let mut counts: HashMap<&String, usize> = HashMap::new();
        labelled.images.values().flatten().for_each(|class| *counts.entry(class).or_default() += 1);
        match classes.names.iter().find(|name| !counts.contains_key(name)) {
            Some(empty) => Err(classes.refused(empty, 0)),
            None => Ok(classes),
        }
    }

    fn refused(&self, class: &str, images: usize) -> Error {
        let expected = "two images at least, one to learn from and one to check with; add some, or leave the class out (--exclude)";
        Error::config_value(&*self.place, format!("images of the class {class}"), images.to_string(), expected)
    }

    /// What `labelled` says of the images `paths`.
    fn truth<'p, P: AsRef<Path> + 'p + ?Sized>(
        &self,
        labelled: &Labelled,
        paths: impl Iterator<Item = &'p P>,
    ) -> Truth {
        let index = |name: &String| self.names.binary_search(name).ok();
        let of = paths.map(|path| {
            let mut classes: Vec<usize> = labelled.images[path.as_ref()].iter().filter_map(index).collect();
            classes.sort_unstable();
            classes.dedup();
            classes
        });
        Truth { classes: self.names.len(), several: self.several, of: of.collect() }
    }

    /// As [`Truth::check`], with the name of the class.
    fn check(&self, truth: &Truth) -> Result<(), Error> {
        let counts = truth.counts();
        match counts.iter().position(|&count| count < 2) {
            Some(class) if self.names.len() > 1 => Err(self.refused(&self.names[class], counts[class])),
            _ => truth.check(),
        }
    }

    /// # Errors
    /// [`Error::ConfigValue`] if `val` has a class that is not among these.
    fn check_known(&self, place: &Path, val: &Labelled) -> Result<(), Error> {
        match val.classes.iter().find(|name| self.names.binary_search(name).is_err()) {
            None => Ok(()),
            Some(other) => {
                let expected = format!("the classes of {}: {}", self.place, some(&self.names));
                Err(Error::config_value(place.display().to_string(), "class", other, expected))
            }
        }
    }
}

/// The first of some names.
fn some(names: &[String]) -> String {
    let more = if names.len() > 10 { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(10)].join(", "))
}

/// The features of all images, and how many of these failed.
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
    let path = command.index.clone().unwrap_or_else(|| command.output.with_extension("index"));
    if path == command.output {
        let value = path.display().to_string();
        return Err(Error::config_value("option", "--output", value, "another name than that of the index").into());
    }
    if path.exists()
        && let Err(error) = index.read(&path)
    {
        if command.index.is_some() {
            return Err(error.into());
        }
        work.global.note(&format!("{} is not of this model and these options, and is made anew", path.display()));
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

/// Those of `paths` whose features are there.
fn read<'p>(index: &Index, paths: impl Iterator<Item = &'p PathBuf>) -> Vec<&'p Path> {
    paths.map(PathBuf::as_path).filter(|path| index.get(path).is_some()).collect()
}

/// Tells of images that are in two classes: files with the same features.
fn note_repeated(global: &Global, index: &Index, paths: &[&Path], truth: &Truth, classes: &Classes) {
    if truth.several {
        return;
    }
    let mut seen: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (i, path) in paths.iter().enumerate() {
        let bits = index.get(path).unwrap_or_default().iter().map(|value| value.to_bits()).collect();
        let first = *seen.entry(bits).or_insert(i);
        if truth.of[first] != truth.of[i] {
            pairs.push((first, i));
        }
    }
    if let Some((a, b)) = pairs.first() {
        let said = |i: &usize| format!("{} ({})", paths[*i].display(), classes.names[truth.of[*i][0]]);
        global.note(&format!("{} images are in two classes, the first is {} and {}", pairs.len(), said(a), said(b)));
    }
}

/// Tells of classes that are much smaller than others.
fn note_unbalanced(global: &Global, command: &Fit, truth: &Truth, classes: &Classes) {
    let counts = truth.counts();
    let by_count = |class: &usize| counts[*class];
    let (Some(least), Some(most)) = ((0..counts.len()).min_by_key(by_count), (0..counts.len()).max_by_key(by_count))
    else {
        return;
    };
    if !command.balanced && command.method == Method::Logistic && counts[most] > UNBALANCED * counts[least] {
        let name = |class: usize| format!("{} ({})", classes.names[class], counts[class]);
        let (most, least) = (name(most), name(least));
        global.note(&format!("{most} has many more images than {least}: --balanced lets classes count the same"));
    }
}

/// What fits heads.
struct Learner<'a> {
    command: &'a Fit,
    interrupt: &'a Interrupt,
    features: usize,
    views: usize,
}

impl Learner<'_> {
    /// Fits a head to images.
    fn fit(&self, index: &Index, paths: &[&Path], truth: &Truth) -> Result<Fitted, Stop> {
        let values: Vec<f32> = paths.iter().flat_map(|path| index.get(path).unwrap_or_default()).copied().collect();
        let rows = Rows { values: &values, features: self.features, views: self.views };
        match self.command.method {
            Method::Centroid => Ok(centroid(rows, truth)?),
            Method::Logistic => {
                let mut logistic = Logistic::default();
                logistic.balanced = self.command.balanced;
                if let Some(strength) = self.command.strength {
                    logistic.strengths = vec![strength];
                }
                logistic.fit(rows, truth, &mut |_| self.interrupt.check())
            }
        }
    }
}

/// What `head` makes of images.
fn answers(head: &Head, index: &Index, features: usize, paths: &[&Path], truth: &Truth) -> Vec<(Vec<f32>, Vec<usize>)> {
    // Of several views the first is the image as it is.
    let plain = |path: &&Path| head.logits(&index.get(path).unwrap_or_default()[..features]);
    paths.iter().map(plain).zip(truth.of.iter().cloned()).collect()
}

/// What a head that was fitted to the other images makes of every fifth.
fn held_out(learner: &Learner<'_>, index: &Index, paths: &[&Path], truth: &Truth) -> Result<Checked, Stop> {
    let folds = truth.folds(HELD_OUT);
    let part = |held: bool| -> (Vec<&Path>, Truth) {
        let images = (0..paths.len()).filter(|&image| (folds[image] == 0) == held);
        let (paths, of) = images.map(|image| (paths[image], truth.of[image].clone())).unzip();
        (paths, Truth { of, ..*truth })
    };
    let ((kept, truth_of_kept), (held, truth_of_held)) = (part(false), part(true));
    if truth_of_kept.check().is_err() || held.is_empty() {
        return Ok(Checked::default());
    }
    let Fitted { head, .. } = learner.fit(index, &kept, &truth_of_kept)?;
    let of = "a fifth of the images, by a head that was fitted to the others";
    Ok(Checked::new(of, answers(&head, index, learner.features, &held, &truth_of_held), truth.several))
}

/// What the model of a head alone opens by: a file by its name, a model of the hub by its commit.
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
    json!({
        "by": concat!("residua fit ", env!("CARGO_PKG_VERSION")),
        "backbone": {"name": model.name, "revision": model.revision, "fingerprint": format!("{:016x}", classifier.fingerprint())},
        "method": command.method.name(), "balanced": command.balanced,
        "views": if command.augment { views::NAMES } else { "plain" },
        "result": verdict.json(),
    })
}
