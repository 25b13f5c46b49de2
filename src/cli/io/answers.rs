//! What a model said of images whose classes are known, in memory and in a file that a later run goes on with.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use residua::{Classifier, Error, ModelInfo, Prediction, learn::measures::Answer};
use serde::{Deserialize, Serialize};

use super::{
    inputs::text_of,
    labelled::Labelled,
    records::Format,
    resume::{self, Recorded},
};

/// Classes that a record names.
const BEST: usize = 5;

/// An image with what was said of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) path: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    truth: usize,
    score_of_truth: f64,
    rank_of_truth: usize,
    predictions: Vec<Said>,
    /// A class whose score is wanted of every image, and that score.
    #[serde(skip_serializing_if = "Option::is_none")]
    watched: Option<(usize, f64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Said {
    index: usize,
    label: String,
    score: f64,
}

impl Record {
    pub(crate) fn new(path: &Path, model: &ModelInfo, said: &Prediction, truth: usize, watched: Option<usize>) -> Self {
        let Answer { of_truth, rank, .. } = Answer::new(&said.scores, truth);
        let of = |class: residua::Class| Said { index: class.index, label: class.label, score: class.score.into() };
        Record {
            path: text_of(path),
            model: model.name.clone(),
            revision: model.revision.clone(),
            truth,
            score_of_truth: of_truth,
            rank_of_truth: rank,
            predictions: said.top(BEST).into_iter().map(of).collect(),
            watched: watched.map(|class| (class, said.scores[class].into())),
        }
    }

    /// What was said, less the names.
    pub(crate) fn answer(&self) -> Answer {
        let best = self.predictions.first();
        Answer {
            truth: self.truth,
            said: best.map_or(0, |said| said.index),
            score: best.map_or(0.0, |said| said.score),
            of_truth: self.score_of_truth,
            rank: self.rank_of_truth,
        }
    }

    /// The score of the watched class, and whether that is true.
    pub(crate) fn watched(&self) -> Option<(f64, bool)> {
        self.watched.map(|(class, score)| (score, class == self.truth))
    }
}

/// Opens the records of an earlier run, or makes their file: the file, positioned to go on, what is done, and its records.
///
/// # Errors
/// Those of [`resume::open`]; [`Error::ConfigValue`] for a record of another command, or of another class to watch.
pub(crate) fn resume(
    path: &Path,
    model: &ModelInfo,
    watched: Option<usize>,
) -> Result<(File, Recorded, Vec<Record>), Error> {
    let (file, done) = resume::open(path, Format::Jsonl, model, 0)?;
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    let mut records = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.contains("\"error\":{\"code\":") && !line.contains("\"predictions\":") {
            continue;
        }
        let foreign = |value: String| {
            let expected = "--resume goes on with the output of the same command only, with the same --threshold";
            Error::config_value(path.display().to_string(), format!("line {}", number + 1), value, expected)
        };
        let record: Record = serde_json::from_str(line).map_err(|error| foreign(error.to_string()))?;
        if record.watched.map(|(class, _)| class) != watched || record.truth >= model.classes {
            return Err(foreign(format!("class {}, watched {:?}", record.truth, record.watched)));
        }
        records.push(record);
    }
    Ok((file, done, records))
}

/// The classes of images by index, and the names that are no class of the model.
pub(crate) struct Matched {
    pub(crate) truth: BTreeMap<PathBuf, usize>,
    pub(crate) unknown: Vec<String>,
    /// Images that have such a name only.
    pub(crate) left_out: usize,
}

impl Matched {
    /// Finds the classes of `labelled` among those of a model.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if none is found.
    pub(crate) fn new(labelled: &Labelled, classifier: &Classifier, place: &Path) -> Result<Self, Error> {
        let model = classifier.model();
        let meant: BTreeMap<&String, Option<usize>> =
            labelled.classes.iter().map(|name| (name, model.labels.meant(name, model.classes))).collect();
        let known = |names: &Vec<String>| names.iter().find_map(|name| meant[name]);
        let truth: BTreeMap<PathBuf, usize> =
            labelled.images.iter().filter_map(|(path, names)| Some((path.clone(), known(names)?))).collect();
        let unknown: Vec<String> =
            meant.iter().filter(|(_, class)| class.is_none()).map(|(name, _)| (*name).clone()).collect();
        if truth.is_empty() {
            let labels: Vec<String> = (0..model.classes.min(5)).map(|class| model.labels.name(class)).collect();
            let expected = format!(
                "names, WordNet ids or indices of the model's {} classes, such as {}",
                model.classes,
                labels.join("; ")
            );
            let value = unknown.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::config_value(place.display().to_string(), "classes", value, expected));
        }
        let left_out = labelled.images.len() - truth.len();
        Ok(Matched { truth, unknown, left_out })
    }
}
