//! What a model said of images whose classes are known, in memory and in a file that a later run goes on with.

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

/// Classes that a record names.
const BEST: usize = 5;

/// An image with what was said of it.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// What `said` says of an image of the classes `truth`; of `watched` the score is wanted.
    fn new(path: &Path, model: &ModelInfo, said: &Prediction, truth: &[usize], watched: Option<usize>) -> Self;

    /// Whether it may be of that model and of a run that watched this class; if not, why.
    fn check(&self, model: &ModelInfo, watched: Option<usize>) -> Result<(), String>;

    /// The score of the watched class, and whether that is true.
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
    predictions: Vec<Said>,
    /// A class whose score is wanted of every image, and that score.
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
    /// The classes that are true.
    tags: Vec<usize>,
    /// The score of each class.
    scores: Vec<f32>,
    /// Those that are said of it.
    predictions: Vec<Said>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Said {
    index: usize,
    label: String,
    score: f64,
}

impl From<Class> for Said {
    fn from(class: Class) -> Self {
        Said { index: class.index, label: class.label, score: class.score.into() }
    }
}

impl Record for Answered {
    fn new(path: &Path, model: &ModelInfo, said: &Prediction, truth: &[usize], watched: Option<usize>) -> Self {
        let truth = truth.first().copied().unwrap_or_default();
        let Answer { of_truth, rank, .. } = Answer::new(&said.scores, truth);
        Answered {
            path: text_of(path),
            model: model.name.clone(),
            revision: model.revision.clone(),
            truth,
            score_of_truth: of_truth,
            rank_of_truth: rank,
            predictions: said.top(BEST).into_iter().map(Said::from).collect(),
            watched: watched.map(|class| (class, said.scores[class].into())),
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
}

impl Record for Tags {
    fn new(path: &Path, model: &ModelInfo, said: &Prediction, truth: &[usize], _: Option<usize>) -> Self {
        let is_said = |class: &Class| class.score > THRESHOLD;
        Tags {
            path: text_of(path),
            model: model.name.clone(),
            revision: model.revision.clone(),
            tags: truth.to_vec(),
            scores: said.scores.clone(),
            predictions: said.top(model.classes).into_iter().filter(is_said).map(Said::from).collect(),
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
    /// What was said, less the names.
    pub(crate) fn tagged(&self) -> Tagged {
        Tagged { truth: self.tags.clone(), scores: self.scores.clone() }
    }
}

/// Opens the records of an earlier run, or makes their file: the file, positioned to go on, what is done, and its records.
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
            let expected = "--resume goes on with the output of the same command only, with the same --threshold";
            Error::config_value(path.display().to_string(), format!("line {}", number + 1), value, expected)
        };
        let record: R = serde_json::from_str(line).map_err(|error| foreign(error.to_string()))?;
        record.check(model, watched).map_err(foreign)?;
        records.push(record);
    }
    Ok((file, done, records))
}
