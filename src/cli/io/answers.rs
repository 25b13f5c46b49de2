//! The predictions for images whose classes are known, in memory and in a file that a later run continues.

use std::{
    fs::{self, File},
    path::Path,
};

use residua::{
    Class, Error, ModelInfo, Prediction,
    learn::{
        measures::Answer,
        tagged::{THRESHOLD, Tagged},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    inputs::text_of,
    records::Format,
    resume::{self, Recorded},
};

/// The best classes that a record names.
const BEST: usize = 5;

/// An image and its prediction.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// The record of an image of the classes `truth`, with the score of the class `watched`.
    fn new(path: &Path, model: &ModelInfo, predicted: &Prediction, truth: &[usize], watched: Option<usize>) -> Self;

    /// Checks that it can be of that model and of a run that watched this class; the error says why not.
    fn check(&self, model: &ModelInfo, watched: Option<usize>) -> Result<(), String>;

    /// The score of the watched class, and whether the image is of the class.
    fn watched(&self, class: Option<usize>) -> Option<(f64, bool)>;
}

/// An image of one class.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) path: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    truth: usize,
    score_of_truth: f64,
    rank_of_truth: usize,
    predictions: Vec<Named>,
    /// The watched class, and its score.
    #[serde(skip_serializing_if = "Option::is_none")]
    watched: Option<(usize, f64)>,
}

/// An image of any number of classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tags {
    path: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    /// The true classes.
    tags: Vec<usize>,
    /// The score of each class.
    scores: Vec<f32>,
    /// The predicted classes.
    predictions: Vec<Named>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Named {
    index: usize,
    label: String,
    score: f64,
}

impl From<Class> for Named {
    fn from(class: Class) -> Self {
        Named { index: class.index, label: class.label, score: class.score.into() }
    }
}

impl Record for Answered {
    fn new(path: &Path, model: &ModelInfo, predicted: &Prediction, truth: &[usize], watched: Option<usize>) -> Self {
        let truth = truth.first().copied().unwrap_or_default();
        let Answer { of_truth, rank, .. } = Answer::new(&predicted.scores, truth);
        Answered {
            path: text_of(path),
            model: model.name.clone(),
            revision: model.revision.clone(),
            truth,
            score_of_truth: of_truth,
            rank_of_truth: rank,
            predictions: predicted.top(BEST).into_iter().map(Named::from).collect(),
            watched: watched.map(|class| (class, predicted.scores[class].into())),
        }
    }

    fn check(&self, model: &ModelInfo, watched: Option<usize>) -> Result<(), String> {
        let fits = self.watched.map(|(class, _)| class) == watched && self.truth < model.classes;
        if fits { Ok(()) } else { Err(format!("class {}, watched {:?}", self.truth, self.watched)) }
    }

    fn watched(&self, _: Option<usize>) -> Option<(f64, bool)> {
        self.watched.map(|(class, score)| (score, class == self.truth))
    }
}

impl Answered {
    /// The same without names.
    pub(crate) fn answer(&self) -> Answer {
        let best = self.predictions.first();
        Answer {
            truth: self.truth,
            predicted: best.map_or(0, |predicted| predicted.index),
            score: best.map_or(0.0, |predicted| predicted.score),
            of_truth: self.score_of_truth,
            rank: self.rank_of_truth,
        }
    }
}

impl Record for Tags {
    fn new(path: &Path, model: &ModelInfo, predicted: &Prediction, truth: &[usize], _: Option<usize>) -> Self {
        let is_predicted = |class: &Class| class.score > THRESHOLD;
        Tags {
            path: text_of(path),
            model: model.name.clone(),
            revision: model.revision.clone(),
            tags: truth.to_vec(),
            scores: predicted.scores.clone(),
            predictions: predicted.top(model.classes).into_iter().filter(is_predicted).map(Named::from).collect(),
        }
    }

    fn check(&self, model: &ModelInfo, _: Option<usize>) -> Result<(), String> {
        let fits = self.scores.len() == model.classes && self.tags.iter().all(|&class| class < model.classes);
        if fits { Ok(()) } else { Err(format!("{} scores, classes {:?}", self.scores.len(), self.tags)) }
    }

    fn watched(&self, class: Option<usize>) -> Option<(f64, bool)> {
        class.map(|class| (self.scores[class].into(), self.tags.contains(&class)))
    }
}

impl Tags {
    /// The same without names.
    pub(crate) fn tagged(&self) -> Tagged {
        Tagged { truth: self.tags.clone(), scores: self.scores.clone() }
    }
}

/// Opens the records of an earlier run, or creates their file. Returns the file, positioned at its end, the inputs that are done, and their
/// records.
///
/// # Errors
/// Those of [`resume::open`]; [`Error::ConfigValue`] for a record of another command, or of another class to watch.
pub(crate) fn resume<R: Record>(
    path: &Path,
    model: &ModelInfo,
    watched: Option<usize>,
) -> Result<(File, Recorded, Vec<R>), Error> {
    let (file, done) = resume::open(path, Format::Jsonl, model, 0)?;
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    let mut records = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.contains("\"error\":{\"code\":") && !line.contains("\"predictions\":") {
            continue;
        }
        let foreign = |value: String| {
            let expected = "a record of the same command with the same --threshold; --resume continues no other";
            Error::config_value(path.display().to_string(), format!("line {}", number + 1), value, expected)
        };
        let record: R = serde_json::from_str(line).map_err(|error| foreign(error.to_string()))?;
        record.check(model, watched).map_err(foreign)?;
        records.push(record);
    }
    Ok((file, done, records))
}
